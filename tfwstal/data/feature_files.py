"""One video's feature files: checked by their headers, then loaded.

`inspect` reads headers only, so that nearly everything that can be wrong with
thousands of files is said within seconds, before a byte is written. What needs
the values themselves, `load` checks.

Where this module says path, it also takes an array inside a larger file: an
object with `header()`, its shape and dtype, and `content()`, its values and
their sha256, which says where it lies by `str`.
"""

import dataclasses
import hashlib
import io
import math
import os
import tokenize

import numpy as np

from tfwstal.errors import InputError


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the headers say of a video.

    Attributes:
        num_snippets: T; the shorter stream's where they differ by one.
        widths: D of each file.
        cut: whether one stream is one snippet longer.
        wider: whether a file is of more than single precision.
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
        InputError: if a file is no whole .npy, not [T, D] of floats or empty,
            or RGB and flow differ in length by more than one snippet.
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
        features [T, D] of that dtype, RGB then flow, and the sha256 of each
        file.

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
    """Loads one video's features, as --features names them.

    Args:
        names: one joined file, or RGB then flow.

    Returns:
        [T, D] float32.

    Raises:
        InputError: as `inspect` and `load`, or if there are more names.
    """
    if len(names) > 2:
        raise InputError(
            f"--features={','.join(names)}: give one joined file, or RGB and "
            "flow"
        )
    array, _ = load(names, inspect(names).num_snippets)
    return array


def read_npy_header(path, file):
    """Reads a .npy header, up to the first byte of the values.

    Args:
        path: for the message.
        file: the .npy, open at its start.

    Returns:
        shape and dtype.

    Raises:
        InputError: if it is not a .npy.
    """
    shape, _, dtype = _read_header(path, file)
    return shape, dtype


def _read_header(path, file):
    """Shape, whether the first axis changes fastest, and dtype."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0(file)
        else:
            header = np.lib.format.read_array_header_2_0(file)
    # A header is a Python literal, which NumPy parses as such.
    except (
        ValueError,
        SyntaxError,
        TypeError,
        tokenize.TokenError,
        RecursionError,
        MemoryError,  # Python's parser, of deep nesting
    ) as error:
        raise _not_an_array(path, error) from None
    shape = header[0]
    if not all(type(n) is int and n >= 0 for n in shape):
        raise _not_an_array(path, f"its shape is {shape!r:.40}")
    return header


def parse_npy(path, content):
    """The array in a .npy file's bytes, read-only; `path` is for the message.

    Raises:
        InputError: if it is no whole .npy, or holds pickled objects.
    """
    try:
        file = io.BytesIO(content)
        shape, fortran, dtype = _read_header(path, file)
        if dtype.hasobject:
            raise ValueError("it holds pickled objects")
        count = math.prod(shape)
        needed = file.tell() + count * dtype.itemsize
        if needed > len(content):
            raise ValueError(f"{len(content)} bytes of {needed}")
        # np.load would copy the values.
        values = np.frombuffer(content, dtype, count, file.tell())
        return values.reshape(shape, order="F" if fortran else "C")
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise _not_an_array(path, error) from None


def _checked_header(path):
    """Shape and dtype of an array that is whole and of the right kind."""
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
            f"{path} holds pickled Python objects, which are not loaded from "
            "data; save a plain array with np.save"
        )
    if len(shape) != 2:
        raise InputError(
            f"{path} has the shape {shape}; [snippets, features] is needed"
        )
    if dtype.kind != "f":
        raise InputError(
            f"{path} is of {dtype.name}; features are needed as floats"
        )
    if 0 in shape:
        raise InputError(
            f"{path} has the shape {shape}, no snippet; extract it again or "
            "leave the video out of the annotations"
        )
    if size is None:
        return shape, dtype
    expected = start + shape[0] * shape[1] * dtype.itemsize
    if size < expected:
        raise InputError(
            f"{path} is truncated: {size} bytes of {expected}; copy it again"
        )
    return shape, dtype


def _stored(path, values, storage_dtype):
    """The values in the dtype of the records, all finite."""
    problem = _not_finite(values)
    if problem:
        raise InputError(
            f"{path}: {problem} NaN or infinite; extract the features again"
        )
    if values.dtype == storage_dtype:
        return values
    # A warning of overflow would only repeat the error.
    with np.errstate(over="ignore"):
        stored = values.astype(storage_dtype)
    problem = _not_finite(stored)
    if problem:
        raise InputError(
            f"{path}: {problem} too large for {storage_dtype}; scale the "
            "features, or use --storage_dtype=float32 if that is not it"
        )
    return stored


def _not_finite(values):
    """Counts what is not finite and places the first; "" if all is."""
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
