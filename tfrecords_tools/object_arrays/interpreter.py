"""Interprets the pickle of an object array with harmless values.

It knows the instructions that NumPy 1 and 2 write, on Python 2 and 3:
https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

import dataclasses
import math
import pickletools

import numpy as np

from tfrecords_tools.object_arrays.pickled_array import PickledArray
from tfwstal.data import pickled_dtypes

# NumPy 2 moved numpy.core to numpy._core.
_NAMES = {
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "numpy.core.multiarray _reconstruct": "reconstruct",
    "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy.core.multiarray scalar": "scalar",
    "numpy._core.multiarray scalar": "scalar",
}
_MOST_TEXT = 2**10  # bytes; longer text is an array and stays in the file
_MOST_LINE = 256  # bytes of a name


class Refused(Exception):
    """Content of a file that is refused; its text is the end of a sentence."""


class Bounded:
    """A file that never allocates more bytes than it has."""

    def __init__(self, file, size):
        self._file, self.size = file, size
        self.tell = file.tell

    def read(self, count):
        return self._file.read(min(count, self.size - self.tell()))

    def readline(self):
        line = self._file.readline(_MOST_LINE)
        if b"\\" in line:  # pickletools would interpret it, and warn
            raise Refused("has a backslash in a name")
        return line


class _Name(str):
    """One of the values of _NAMES, on the stack of the pickle."""


class _Bytes(bytes):
    """Bytes in a pickle; long ones are empty, with position and size."""

    offset: int
    size: int


@dataclasses.dataclass
class _Dtype:
    """An unfinished dtype: the pickle sets the byte order afterwards."""

    code: str
    dtype: np.dtype | None = None


class Interpreter:
    """Interprets the pickle in a file with harmless values."""

    def __init__(self, path, file):
        self._path, self._file = path, file
        self._stack, self._marks, self._memo = [], [], {}
        self._num_objects = 0

    def run(self):
        """Returns the array that the pickle describes."""
        for opcode, argument, _ in pickletools.genops(self._file):
            if opcode.name in _PLAIN:
                self._stack.append(argument)
            elif opcode.name in _BYTES:
                self._stack.append(self._bytes(argument))
            elif opcode.name in _STEPS:
                _STEPS[opcode.name](self, argument)
            elif opcode.name not in ("PROTO", "FRAME", "STOP"):
                raise Refused(f"has the pickle instruction {opcode.name}")
        found = self._stack.pop()
        if not isinstance(found, PickledArray) or found.shape is None:
            raise Refused("has a pickle that is not an array")
        return found

    def _bytes(self, argument):
        if isinstance(argument, str):  # text of Python 2, as latin-1
            size = len(argument)
            argument = argument.encode("latin-1") if size <= _MOST_TEXT else b""
        else:
            size = len(argument)
        value = _Bytes(argument if size <= _MOST_TEXT else b"")
        value.offset, value.size = self._file.tell() - size, size
        return value

    def _pop_mark(self):
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _mark(self, _):
        self._marks.append(len(self._stack))

    def _push_list(self, _):
        self._stack.append([])

    def _push_tuple(self, size):
        items = self._pop_mark() if size is None else self._pop(size)
        self._stack.append(tuple(items))

    def _pop(self, size):
        if size > len(self._stack):
            raise IndexError("the stack is empty")
        start = len(self._stack) - size
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _append(self, _):
        self._extend(self._pop(1))

    def _appends(self, _):
        self._extend(self._pop_mark())

    def _extend(self, items):
        if type(self._stack[-1]) is not list:
            raise Refused("appends to something that is not a list")
        self._stack[-1].extend(items)

    def _put(self, index):
        self._memo[len(self._memo) if index is None else index] = self._stack[
            -1
        ]

    def _get(self, index):
        self._stack.append(self._memo[index])

    def _global(self, name):
        if name is None:
            parts = self._pop(2)
            if not all(type(part) is str for part in parts):
                raise Refused("has a name that is not text")
            name = " ".join(parts)
        if name not in _NAMES:
            raise Refused(f"contains {name.replace(' ', '.')[:80]!r}")
        self._stack.append(_Name(_NAMES[name]))

    def _reduce(self, _):
        function, arguments = self._pop(2)
        if type(function) is not _Name or type(arguments) is not tuple:
            raise Refused("calls something unknown")
        if function == "dtype":
            made = _Dtype(_checked(pickled_dtypes.code_of, arguments[0]))
        elif function == "reconstruct" and arguments[0] == "ndarray":
            made = PickledArray(self._path)
        elif function == "scalar":
            kind, raw = arguments
            if type(kind) is not _Dtype or kind.dtype is None:
                raise Refused("has a number without a dtype")
            made = np.frombuffer(raw, kind.dtype).tolist()[0]
        else:
            raise Refused(f"calls {str(function)!r}")
        self._stack.append(made)

    def _build(self, _):
        made, state = self._pop(2)
        if type(state) is not tuple:
            raise Refused("sets the attributes of an object")
        if type(made) is _Dtype and made.dtype is None:
            made.dtype = _checked(pickled_dtypes.dtype_of, made.code, state)
        elif type(made) is PickledArray and made.shape is None:
            _fill(made, state)
            self._num_objects += len(made.objects or ())
            # Each takes a byte or more, unless arrays share them.
            if self._num_objects > 100 * self._file.size:
                raise Refused("holds one list in many arrays")
        else:
            raise Refused("sets the attributes of an object")
        self._stack.append(made)


# Instructions by their kind.
_PLAIN = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE"),
}
_BYTES = {
    *("BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_STEPS = {
    "NONE": lambda self, _: self._stack.append(None),
    "NEWTRUE": lambda self, _: self._stack.append(True),
    "NEWFALSE": lambda self, _: self._stack.append(False),
    "MARK": Interpreter._mark,
    "EMPTY_LIST": Interpreter._push_list,
    "APPEND": Interpreter._append,
    "APPENDS": Interpreter._appends,
    "EMPTY_TUPLE": lambda self, _: self._push_tuple(0),
    "TUPLE1": lambda self, _: self._push_tuple(1),
    "TUPLE2": lambda self, _: self._push_tuple(2),
    "TUPLE3": lambda self, _: self._push_tuple(3),
    "TUPLE": lambda self, _: self._push_tuple(None),
    "BINPUT": Interpreter._put,
    "LONG_BINPUT": Interpreter._put,
    "MEMOIZE": Interpreter._put,
    "BINGET": Interpreter._get,
    "LONG_BINGET": Interpreter._get,
    "GLOBAL": Interpreter._global,
    "STACK_GLOBAL": Interpreter._global,
    "REDUCE": Interpreter._reduce,
    "BUILD": Interpreter._build,
}


def _checked(function, *arguments):
    """Calls a function of `pickled_dtypes`; a ValueError refuses the file."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise Refused(f"has {error}") from None


def _fill(array, state):
    """Sets an array's (version, shape, dtype, order, values)."""
    _, shape, kind, fortran, values = state
    if type(shape) is not tuple or type(kind) is not _Dtype:
        raise Refused("has a damaged array")
    if len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
        raise Refused("has an array with an impossible shape")
    dtype = kind.dtype
    if dtype is None:
        raise Refused("has an unfinished dtype")
    size = math.prod(shape)
    if dtype.hasobject:
        whole = type(values) is list and len(values) == size
        # A copy, because the pickle may still append to its list.
        array.objects = tuple(values) if whole else None
    else:
        whole = type(values) is _Bytes and values.size == size * dtype.itemsize
        array.offset = values.offset if whole else None
    if not whole:
        raise Refused(f"has an array of {shape} {dtype} without its values")
    array.shape, array.dtype, array.fortran = shape, dtype, bool(fortran)
