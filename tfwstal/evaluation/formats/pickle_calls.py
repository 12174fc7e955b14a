"""Pickles as values and records of the calls that they ask for.

A pickle is a program that may call any function. Here each name that it uses
must be one of NumPy's or pandas's for arrays and tables, and stands for a
record of the call, which is read afterwards; nothing of NumPy or pandas is
called by the pickle.

Ten bytes of such a program can also ask for any amount of memory, or refer to
the same list so often that nobody could go through it. Both are refused.
"""

import io
import math
import pickle
import pickletools

from tfwstal.errors import quoted
from tfwstal.evaluation.formats.problem import Problem


class Call:
    """What a pickle wants to make: name, arguments and state."""

    name = ""
    state = None

    def __new__(cls, *arguments, **_):
        call = super().__new__(cls)
        call.arguments = arguments
        return call

    def __setstate__(self, state):
        self.state = state


_NAMES = {
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.numeric": ("_frombuffer",),
    "pandas.core.frame": ("DataFrame",),
    "pandas.core.internals": ("BlockManager",),
    "pandas.core.internals.managers": ("BlockManager",),
    "pandas._libs.internals": ("_unpickle_block",),
    "pandas.core.indexes.base": ("_new_Index", "Index"),
    "pandas.core.indexes.range": ("RangeIndex",),
    "pandas.core.indexes.numeric": ("Int64Index",),
    "builtins": ("slice",),
    "__builtin__": ("slice",),
    "_codecs": ("encode",),
}
_CALLS = {
    name: type(name, (Call,), {"name": name})
    for name in {name for names in _NAMES.values() for name in names}
}


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if name not in _NAMES.get(module, ()):
            raise Problem(
                f"its pickle names {quoted(f'{module}.{name}')}, which is not "
                "loaded; only arrays, tables and text are"
            )
        return _CALLS[name]


def load(content):
    """Reads a pickle.

    Args:
        content: bytes.

    Returns:
        lists, tuples, dicts, text, numbers, and a Call in the place of
        everything else.

    Raises:
        Problem: for a name that is not NumPy's or pandas's, or a program that
            asks for more than it holds.
        Exception: of many kinds, for a damaged pickle.
    """
    _check_memory(content)
    # Python 2's text stays bytes, since its arrays are text too.
    found = _Reader(io.BytesIO(content), encoding="bytes").load()
    # Each value takes a byte or more; a number of NumPy's, 17 bytes, is five.
    if _num_values(found, {}) > len(content):
        raise Problem("its pickle holds lists many times over")
    return found


def _check_memory(content):
    """Refuses places in the unpickler's memo beyond those that were filled.

    The memo is an array: the unpickler makes room up to any place. Bytes that
    are not there make `genops` raise ValueError.
    """
    filled = 0
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            filled += 1
            if argument > filled:  # Python 2 counts from 1
                raise Problem("its pickle is damaged (its memo)")
        elif opcode.name == "MEMOIZE":
            filled += 1


def _num_values(value, known):
    """The number of values in `value`; repeated ones count each time.

    Args:
        value: as `load` returns it.
        known: dict from the id of a container to its number; infinite for one
            that holds itself.
    """
    if isinstance(value, Call) and value.name == "dtype":
        return 1  # the same one in all numbers of its kind
    if isinstance(value, Call):
        parts = (value.arguments, value.state)
    elif isinstance(value, dict):
        parts = (*value.keys(), *value.values())
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf  # while it is not known
        known[id(value)] = 1 + sum(_num_values(part, known) for part in parts)
    return known[id(value)]
