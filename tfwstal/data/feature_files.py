"""Checks and loads the feature files of a video.

`inspect` reads only headers, so it finds nearly all problems of thousands of
files within seconds, before anything is written. `load` checks the values.

Instead of a path, functions also take an array inside a larger file: an object
with `header()`, which returns shape and dtype, and `content()`, which returns
the values and their sha256. Its `str` is its location, for messages.
"""

import dataclasses
import hashlib
import io
import math
import os
import tokenize

import numpy as np

from tfwstal.errors import InputError, quoted


@dataclasses.dataclass(frozen=True)
class Measured:
    """The size of a video's features, from the headers of its files.

    Attributes:
        num_snippets: T, that of the shorter stream if they differ by one.
        widths: D of each file.
        cut: whether one stream is one snippet longer than the other.
        wider: whether a file has more than single precision.
    """

    num_snippets: int
    widths: tuple[int, ...]
    cut: bool
    wider: bool


def inspect(paths):
    """Checks the headers of a video's feature files.

    Args:
        paths: one joined file, or RGB then flow.

    Returns:
        Measured.

    Raises:
        InputError: if a file is not a complete .npy file of [T, D] floats, or
            is empty, or if RGB and flow differ in length by more than one
            snippet.
    """
    headers = [_checked_header(path) for path in paths]
    lengths = [shape[0] for shape, _ in headers]
    if max(lengths) - min(lengths) > 1:
        names = " but ".join(
            f"{path} has {length} snippets"
            for path, length in zip(paths, lengths, strict=True)
        )
        raise InputError(
            f"{names}; extract both again with the same frame rate and step"
        )
    return Measured(
        num_snippets=min(lengths),
        widths=tuple(shape[1] for shape, _ in headers),
        cut=max(lengths) != min(lengths),
        wider=any(dtype.itemsize > 4 for _, dtype in headers),
    )


def load(paths, num_snippets, storage_dtype="float32"):
    """Loads a video's features.

    Args:
        paths: one joined file, or RGB then flow.
        num_snippets: T, from `inspect`.
        storage_dtype: "float32" or "float16".

    Returns:
        features [T, D] of that dtype, RGB then flow; and a tuple of the sha256
        of each file.

    Raises:
        InputError: if a value is not finite, or too large for the dtype.
    """
    streams, digests = [], []
    for path in paths:
        if isinstance(path, (str, os.PathLike)):
            content = _read_bytes(path)
            values = parse_npy(path, content)
            digest = hashlib.sha256(content).hexdigest()
        else:
            values, digest = path.content()
        digests.append(digest)
        streams.append(_stored(path, values[:num_snippets], storage_dtype))
    if len(streams) == 1:
        return streams[0], tuple(digests)
    return np.concatenate(streams, axis=1), tuple(digests)


def load_video(names):
    """Loads the features of one video, the files of --features.

    Args:
        names: one joined file, or RGB then flow.

    Returns:
        [T, D] float32.

    Raises:
        InputError: like `inspect` and `load`, or for more than two names.
    """
    if len(names) > 2:
        raise InputError(
            f"--features={','.join(names)}: give one joined file, or RGB and "
            "flow"
        )
    array, _ = load(names, inspect(names).num_snippets)
    return array


def read_npy_header(path, file):
    """Reads the header of a .npy file, up to the first byte of the values.

    Args:
        path: path for the message.
        file: the file, open at its start.

    Returns:
        shape and dtype.

    Raises:
        InputError: if it is not a .npy file.
    """
    shape, _, dtype = _read_header(path, file)
    return shape, dtype


def _read_header(path, file):
    """Returns shape, whether the order is Fortran's, and dtype."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0(file)
        else:
            header = np.lib.format.read_array_header_2_0(file)
    # NumPy parses the header as a Python literal.
    except (
        ValueError,
        SyntaxError,
        TypeError,
        tokenize.TokenError,
        RecursionError,
        MemoryError,  # from Python's parser, for deep nesting
    ) as error:
        raise _not_an_array(path, error) from None
    shape = header[0]
    if not all(type(n) is int and n >= 0 for n in shape):
        raise _not_an_array(path, f"its shape is {quoted(shape)}")
    return header


def parse_npy(path, content):
    """Parses the bytes of a .npy file.

    Args:
        path: path for the message.
        content: the bytes.

    Returns:
        the array, read-only.

    Raises:
        InputError: if it is not a complete .npy file, or has pickled objects.
    """
    try:
        file = io.BytesIO(content)
        shape, fortran, dtype = _read_header(path, file)
        if dtype.hasobject:
            raise ValueError("it contains pickled objects")
        count = math.prod(shape)
        needed = file.tell() + count * dtype.itemsize
        if needed > len(content):
            raise ValueError(f"{len(content)} bytes of {quoted(needed)}")
        # np.load would copy the values.
        values = np.frombuffer(content, dtype, count, file.tell())
        return values.reshape(shape, order="F" if fortran else "C")
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise _not_an_array(path, error) from None


def _checked_header(path):
    """Returns shape and dtype of a complete array of the right kind."""
    if isinstance(path, (str, os.PathLike)):
        try:
            with open(path, "rb") as file:
                shape, dtype = read_npy_header(path, file)
                start, size = file.tell(), file.seek(0, io.SEEK_END)
        except OSError as error:
            raise _unreadable(path, error) from None
    else:
        shape, dtype = path.header()
        start = size = None
    if dtype.hasobject:
        raise InputError(
            f"{path} contains pickled Python objects, which could run code "
            "and are not loaded; save a plain array with np.save"
        )
    if len(shape) != 2:
        raise InputError(
            f"{path} has shape {quoted(shape)} instead of [snippets, features]"
        )
    if dtype.kind != "f":
        raise InputError(
            f"{path} has dtype {dtype.name}; features must be floats"
        )
    if 0 in shape:
        raise InputError(
            f"{path} is empty (shape {quoted(shape)}); extract it again or "
            "leave the video out of the annotations"
        )
    if size is None:
        return shape, dtype
    expected = start + shape[0] * shape[1] * dtype.itemsize
    if size < expected:
        raise InputError(
            f"{path} is truncated: {size} bytes of {quoted(expected)}; copy it "
            "again"
        )
    return shape, dtype


def _stored(path, values, storage_dtype):
    """Converts values to the dtype of the records; all must be finite."""
    problem = _not_finite(values)
    if problem:
        raise InputError(
            f"{path}: {problem} NaN or infinite; extract the features again"
        )
    if values.dtype == storage_dtype:
        return values
    # NumPy's warning would only repeat the error below.
    with np.errstate(over="ignore"):
        stored = values.astype(storage_dtype)
    problem = _not_finite(stored)
    if problem:
        raise InputError(
            f"{path}: {problem} too large for {storage_dtype}; use "
            "--storage_dtype=float32 or scale the features"
        )
    return stored


def _not_finite(values):
    """Describes the values that are not finite; "" if all are finite."""
    finite = np.isfinite(values)
    if finite.all():
        return ""
    row, column = np.argwhere(~finite)[0]
    count = np.count_nonzero(~finite)
    return (
        f"of {finite.size} values {count} (first: snippet {row}, column "
        f"{column}) are"
    )


def _read_bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path, error):
    return InputError(f"{path} cannot be read ({error.strerror})")


def _not_an_array(path, error):
    return InputError(
        f"{path} is not a .npy array ({str(error)[:80]}); copy it again"
    )
