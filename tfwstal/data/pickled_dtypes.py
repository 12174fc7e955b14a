"""Dtypes of arrays in pickles, checked before NumPy makes them.

A pickle stores a dtype as a code, such as "f4", and a state: (version, byte
order, subarray, names, fields, size, alignment, flags).
"""

import re

import numpy as np


def code_of(value):
    """A dtype's code as text.

    Raises:
        ValueError: unless it is of numbers, booleans, text or objects; the
            message says what it is.
    """
    code = value.decode("ascii") if isinstance(value, bytes) else value
    if type(code) is not str:
        raise ValueError("a dtype that is no text")
    if not re.fullmatch(r"[fiubSUO]\d{1,6}", code):
        raise ValueError(f"a dtype like {code[:40]!r}")
    return code


def dtype_of(code, state):
    """The dtype of a code and a state.

    Raises:
        ValueError: for a dtype with parts.
    """
    order, parts = state[1], state[2:5]
    order = order.decode("ascii") if isinstance(order, bytes) else order
    if order not in ("<", ">", "|", "=") or parts != (None, None, None):
        raise ValueError(f"a dtype like {code} with parts")
    # "U31" is of 31 characters, whatever the state says.
    return np.dtype("O") if code[0] == "O" else np.dtype(order + code)
