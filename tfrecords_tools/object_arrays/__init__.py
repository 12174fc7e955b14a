"""Reads object arrays in .npy files without executing their pickle.

NumPy stores an object array as a pickle, which is a program: with
`np.load(allow_pickle=True)` a downloaded file could execute any code. The
interpreter of this package knows only numbers, text, lists, tuples and NumPy
arrays. It imports and calls nothing, and refuses all names but NumPy's names
for arrays. The values of an array stay in the file until they are needed, so
that only one video is in memory at a time.
"""

import math
import os
import pathlib
import struct

import numpy as np

from tfrecords_tools.object_arrays.interpreter import (
    Bounded,
    Interpreter,
    Refused,
)
from tfrecords_tools.object_arrays.pickled_array import PickledArray
from tfwstal.data import feature_files
from tfwstal.errors import InputError


def read(path):
    """Reads an array of any kind, without the values of arrays inside it.

    Args:
        path: a .npy file.

    Returns:
        list of its elements in flat order: numbers, text as str or bytes,
        lists, tuples, PickledArrays.

    Raises:
        InputError: if the file is not a complete .npy file, or its pickle has
            anything else.
    """
    path = pathlib.Path(path)
    try:
        with open(path, "rb") as file:
            shape, dtype = feature_files.read_npy_header(path, file)
            if not dtype.hasobject:
                file.seek(0)
                return np.load(file, allow_pickle=False).ravel().tolist()
            size = os.fstat(file.fileno()).st_size
            found = Interpreter(path, Bounded(file, size)).run()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    except Refused as error:
        raise InputError(
            f"{path} {error}, which is not loaded; only NumPy arrays, lists, "
            "text and numbers are"
        ) from None
    # Errors of the interpreter and of NumPy for damaged files.
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path} is damaged ({reason:.80}); copy it again"
        ) from None
    if found.objects is None or math.prod(shape) != len(found.objects):
        raise InputError(f"{path} is damaged (its size); copy it again")
    for key, item in enumerate(found.objects):
        if isinstance(item, PickledArray):
            item.key = key
    return list(found.objects)
