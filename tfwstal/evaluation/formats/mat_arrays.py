"""The variables of a MATLAB file of version 5 to 7, read with NumPy alone.

The format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf

An element is a tag, its type and number of bytes, and the bytes. A variable is
an element of other elements: flags, dimensions, name and values. SciPy reads
these files too, but a damaged one can end the process (1.17.1).
"""

import struct
import zlib

import numpy as np

from tfwstal.errors import quoted

_HEADER = 128  # bytes
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4"}
_NUMBERS |= {9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_ENCODINGS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCTURE, _TEXT = 1, 2, 4
# Classes of numbers; the values may be stored as another, smaller type.
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2"}
_CLASSES |= {12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = 0x800
_DEEPEST = 8  # cells in cells
# Deflate can pack 1,000 zeros into a byte; tables of detections pack 20-fold.
_UNPACKED, _LEAST_UNPACKED = 50, 2**22


class Damaged(ValueError):
    """Bytes that are not of this format; the message is half a sentence."""


class AnotherVersion(Exception):
    """A file of MATLAB 7.3, which is HDF5, or of version 4."""


def read(content):
    """The variables of a file.

    Args:
        content: bytes.

    Returns:
        dict from name to array: of numbers, of str, of objects for cells, or
        with a field of objects for each field of a structure. A matrix of
        characters is one str for each row.

    Raises:
        AnotherVersion: for another version of the format.
        Damaged: if the content cannot be read, or has other kinds of values.
    """
    version, mark = content[124:126], content[126:128]
    if mark not in (b"IM", b"MI"):
        raise AnotherVersion
    order = "<" if mark == b"IM" else ">"
    if struct.unpack(f"{order}H", version)[0] != 0x100:
        raise AnotherVersion
    elements = _Elements(content[_HEADER:], order)
    room = max(_LEAST_UNPACKED, _UNPACKED * len(content))
    found = {}
    try:
        for kind, data in _unpacked(elements, room):
            if kind != _MATRIX:
                raise Damaged(f"an element of type {kind} is not a variable")
            name, value = _variable(data, order, 0)
            found[name] = value
    # Of NumPy and of decoding, for numbers that contradict each other.
    except (ValueError, IndexError, OverflowError, TypeError) as error:
        raise Damaged(str(error)) from None
    return found


class _Elements:
    """The elements of some bytes, one after the other."""

    def __init__(self, content, order):
        self.order = order
        self._rest = memoryview(content)

    def __bool__(self):
        return len(self._rest) > 0

    def room_for(self, count):
        """Whether `count` more elements fit, of 8 bytes or more each."""
        return 8 * count <= len(self._rest)

    def next(self):
        """The type of the next element, and its bytes."""
        if len(self._rest) < 8:
            raise Damaged("the end is missing")
        kind, size = struct.unpack(f"{self.order}II", self._rest[:8])
        if kind >> 16:  # a small element: both numbers in four bytes
            size, kind, start, end = kind >> 16, kind & 0xFFFF, 4, 8
            if size > 4:
                raise Damaged(f"a small element of {size} bytes")
        else:
            # Compressed elements alone are not padded to eight bytes.
            padding = 0 if kind == _COMPRESSED else -size % 8
            start, end = 8, 8 + size + padding
        if start + size > len(self._rest):
            raise Damaged("the end is missing")
        data = self._rest[start : start + size]
        self._rest = self._rest[end:]
        return kind, data

    def numbers(self):
        """The next element as an array of one dimension."""
        kind, data = self.next()
        if kind not in _NUMBERS:
            raise Damaged(f"an element of type {kind} is not numbers")
        return np.frombuffer(data, self.order + _NUMBERS[kind])


def _unpacked(elements, room):
    """Yields the type and the bytes of each, unpacked if they are packed.

    All together unpack to `room` bytes at most.
    """
    while elements:
        kind, data = elements.next()
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            try:
                unpacked = unpacker.decompress(data, max(room, 1))
            except zlib.error as error:
                raise Damaged(str(error)) from None
            if unpacker.unconsumed_tail:
                raise Damaged(f"it unpacks to over {_UNPACKED} times its size")
            room -= len(unpacked)
            kind, data = _Elements(unpacked, elements.order).next()
        yield kind, data


def _variable(data, order, depth):
    """The name and the array of a variable, or of a cell or field."""
    if not data:  # an empty cell
        return "", np.zeros((0, 0))
    if depth > _DEEPEST:
        raise Damaged(f"cells are nested over {_DEEPEST} times")
    elements = _Elements(data, order)
    flags = int(elements.numbers()[0])
    shape = tuple(elements.numbers().tolist())
    if len(shape) < 2 or min(shape) < 0:
        raise Damaged(f"a shape of {quoted(shape)}")
    name = _ascii(elements.numbers())
    kind = flags & 0xFF
    if kind in _CLASSES and not flags & _COMPLEX:
        values = elements.numbers().astype(_CLASSES[kind])
        return name, values.reshape(shape, order="F")
    if kind == _TEXT:
        return name, _texts(elements, shape)
    if kind == _CELL:
        cells = _children(elements, shape, 1, depth)
        return name, cells[:, 0].reshape(shape, order="F")
    if kind == _STRUCTURE:
        return name, _structures(elements, shape, depth)
    raise Damaged(f"{quoted(name)} is neither numbers, text, cells nor fields")


def _texts(elements, shape):
    """Rows of characters: an array of str of the shape without its last axis.

    The characters are stored as numbers, or encoded.
    """
    kind, data = elements.next()
    if kind in _ENCODINGS:
        suffix = {"<": "-le", ">": "-be"}[elements.order] * (kind > 16)
        letters = bytes(data).decode(_ENCODINGS[kind] + suffix)
    elif kind in (1, 2, 4):
        dtype = elements.order + _NUMBERS[kind].replace("i", "u")
        letters = "".join(map(chr, np.frombuffer(data, dtype).tolist()))
    else:
        raise Damaged(f"an element of type {kind} is not text")
    if not letters:
        return np.empty((0,), object)
    table = np.array(list(letters), object).reshape(shape, order="F")
    rows = np.empty(shape[:-1], object)
    for place in np.ndindex(rows.shape):
        rows[place] = "".join(table[place])
    return rows


def _structures(elements, shape, depth):
    """An array with a field of objects for each field of a structure."""
    length = int(elements.numbers()[0])
    letters = elements.numbers().astype("u1").tobytes()
    if length < 1 or len(letters) % length:
        raise Damaged("the names of its fields are cut")
    names = [
        letters[start : start + length].split(b"\0")[0].decode("ascii")
        for start in range(0, len(letters), length)
    ]
    if not names or "" in names or len(set(names)) < len(names):
        raise Damaged("a field without a name, or two of one name")
    values = _children(elements, shape, len(names), depth)
    found = np.empty(len(values), [(name, object) for name in names])
    for place, name in enumerate(names):
        found[name] = values[:, place]
    return found.reshape(shape, order="F")


def _children(elements, shape, fields, depth):
    """The variables inside cells or fields: objects [elements, fields]."""
    count = 1
    for size in shape:
        count *= size
    if not elements.room_for(count * fields):
        raise Damaged("the end is missing")
    values = np.empty((count, fields), object)
    for place in np.ndindex(values.shape):
        kind, data = elements.next()
        if kind != _MATRIX:
            raise Damaged(f"an element of type {kind} is not a value")
        values[place] = _variable(data, elements.order, depth + 1)[1]
    return values


def _ascii(numbers):
    return numbers.astype("u1").tobytes().decode("ascii")
