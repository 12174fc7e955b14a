"""Variables of MATLAB files, against SciPy and against hand-made bytes."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from tfwstal.evaluation.formats import mat_arrays

CELLS = np.empty((2, 3), object)
CELLS[0] = ["Übung", 2.5, np.array([[1, 2]], np.int16)]
CELLS[1] = [np.array(["ab", "cd"]), np.zeros((0, 0)), np.empty((1, 1), object)]
CELLS[1, 2][0, 0] = "deep"
FIELDS = np.empty((2, 1), [("name", object), ("t1", object)])
FIELDS[:, 0] = [("v", 0.5), ("w", np.arange(3.0))]
VARIABLES = {
    "doubles": np.arange(24.0).reshape(2, 3, 4) - 0.25,
    "whole": np.arange(6.0).reshape(2, 3),  # stored as bytes
    "single": np.float32([[0.1, np.inf, np.nan]]),
    "bytes": np.array([[-128, 127]], np.int8),
    "many": np.array([[2**63 - 1]]),
    "flags": np.array([[True, False]]),
    "text": "走る",
    "rows": np.array(["one", "two"]),
    "nothing": np.zeros((0, 5)),
    "cells": CELLS,
    "structure": {"t1": np.arange(4), "name": "v"},
    "structures": FIELDS,
}


def written(variables, **more):
    scipy_io = pytest.importorskip("scipy.io", reason="needs SciPy")
    content = io.BytesIO()
    scipy_io.savemat(content, variables, **more)
    return content.getvalue()


def assert_same(ours, theirs):
    if isinstance(theirs, str):
        assert ours == theirs
    elif theirs.dtype.names:
        assert (ours.dtype.names, ours.shape) == (
            theirs.dtype.names,
            theirs.shape,
        )
        for name in theirs.dtype.names:
            assert_same(ours[name], theirs[name])
    elif theirs.dtype == object:
        assert ours.shape == theirs.shape
        for one, other in zip(ours.flat, theirs.flat, strict=True):
            assert_same(one, other)
    elif theirs.dtype.kind == "U":
        assert ours.tolist() == theirs.tolist()
    else:
        np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("compressed", [False, True])
def test_as_scipy_reads_them(compressed):
    content = written(VARIABLES, do_compression=compressed)
    from scipy.io import loadmat

    theirs = loadmat(io.BytesIO(content))
    ours = mat_arrays.read(content)
    assert list(ours) == list(VARIABLES)
    for name, value in ours.items():
        assert_same(value, theirs[name])
    assert ours["text"].tolist() == ["走る"]
    assert ours["cells"][1, 2][0, 0].tolist() == ["deep"]


def element(kind, data, order="<"):
    return struct.pack(f"{order}II", kind, len(data)) + data.ljust(
        -(-len(data) // 8) * 8, b"\0"
    )


def matrix(kind, shape, *values, order="<", name=b"x"):
    return element(
        14,
        element(6, struct.pack(f"{order}II", kind, 0), order)
        + element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
        + element(1, name, order)
        + b"".join(values),
        order,
    )


def file(*elements, order="<"):
    mark = {"<": b"\x00\x01IM", ">": b"\x01\x00MI"}[order]
    return b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(elements)


def test_bytes_of_another_order():
    values = element(9, struct.pack(">2d", 1.5, -2.0), ">")
    content = file(matrix(6, (2, 1), values, order=">"), order=">")
    assert mat_arrays.read(content)["x"].tolist() == [[1.5], [-2.0]]


DOUBLE = matrix(6, (1, 1), element(9, struct.pack("<d", 1.0)))


def nested(times):
    content = DOUBLE
    for _ in range(times):
        content = matrix(1, (1, 1), content)
    return content


def packed(data):
    content = zlib.compress(data)
    return struct.pack("<II", 15, len(content)) + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DOUBLE[:-1], "the end is missing"),
        (DOUBLE[:5], "the end is missing"),
        (element(9, bytes(8)), "type 9 is not a variable"),
        (matrix(6, (1, 2), element(9, bytes(8))), "cannot reshape"),
        (matrix(6, (-1, 1), element(9, bytes(8))), "a shape of .-1, 1."),
        (matrix(6, (1,), element(9, bytes(8))), "a shape of .1,."),
        (matrix(6, (1, 1), element(9, bytes(7))), "buffer size must be"),
        (matrix(5, (1, 1), element(9, bytes(8))), "neither numbers, text"),
        (matrix(6, (1, 1), element(9, b""), name=b"\xff"), "can't decode"),
        # Dimensions that no file has room for are not allocated.
        (matrix(1, (2**31 - 1, 2**31 - 1)), "the end is missing"),
        (
            matrix(
                2,
                (2**31 - 1, 4),
                element(5, struct.pack("<i", 2)),
                element(1, b"a\0"),
            ),
            "the end is missing",
        ),
        (
            matrix(
                2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"a")
            ),
            "names of its fields are cut",
        ),
        (
            matrix(
                2,
                (1, 1),
                element(5, struct.pack("<i", 2)),
                element(1, b"a\0a\0"),
            ),
            "two of one name",
        ),
        (nested(9), "nested over 8 times"),
        (packed(bytes(10_000_000)), "unpacks to over 50 times"),
        (packed(packed(DOUBLE)), "type 15 is not a variable"),
        (packed(DOUBLE)[:-9], "the end is missing"),
    ],
)
def test_damaged_files(content, message):
    tracemalloc.start()
    try:
        with pytest.raises(mat_arrays.Damaged, match=message):
            mat_arrays.read(file(content))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_cells_in_cells():
    found = mat_arrays.read(file(nested(8)))["x"]
    for _ in range(8):
        found = found.item()
    assert found.item() == 1.0
