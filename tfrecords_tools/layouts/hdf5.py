"""Arrays in HDF5 files, none of which may refer to another file.

HDF5 can store a dataset's values in any other file ("external storage"), and
can link to or assemble datasets of other files (external links, virtual
datasets). A downloaded file could read private files that way, so all three
are refused.
"""

import dataclasses
import hashlib
import math
import pathlib

import h5py
import numpy as np

from tfwstal.errors import InputError

# Errors of h5py on damaged or unusual files.
_DAMAGE = (
    OSError,
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    MemoryError,
    NotImplementedError,
)


@dataclasses.dataclass(frozen=True)
class Hdf5Array:
    """A dataset of an HDF5 file; for `tfwstal.data.feature_files`."""

    path: pathlib.Path
    key: str

    def __str__(self):
        return f"{self.path}[{self.key}]"

    def header(self):
        """Returns shape and dtype."""
        return self._read(lambda dataset: (dataset.shape, dataset.dtype))

    def content(self):
        """Returns the values, and the sha256 of their bytes in row-major
        order."""
        values = self._read(lambda dataset: np.ascontiguousarray(dataset[()]))
        return values, hashlib.sha256(values.tobytes()).hexdigest()

    def _read(self, get):
        try:
            with h5py.File(self.path, "r") as file:
                return get(_checked(self, _item(self, file, self.key)))
        except InputError:
            raise
        except _DAMAGE as error:
            raise _unreadable(self, error) from None


def keys(path):
    """Lists the datasets of a file: VIDEO, and VIDEO/NAME of its groups.

    Raises:
        InputError: if the file cannot be read, or contains anything else.
    """
    found = []
    try:
        with h5py.File(path, "r") as file:
            for video in file:
                item = _item(path, file, video)
                inside = isinstance(item, h5py.Group)
                found += [f"{video}/{k}" for k in item] if inside else [video]
    except InputError:
        raise
    except _DAMAGE as error:
        raise _unreadable(path, error) from None
    return found


def _item(where, file, key):
    """file[key], without following a link to another file."""
    item = file
    for part in key.split("/"):
        if isinstance(item.get(part, getlink=True), h5py.ExternalLink):
            raise _elsewhere(where)
        item = item[part]
    return item


def _checked(where, dataset):
    """The dataset, if its values are in its own file."""
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise InputError(
            f"{where} is not an array; datasets VIDEO, or VIDEO/rgb and "
            "VIDEO/flow, are needed"
        )
    if dataset.external or dataset.is_virtual:
        raise _elsewhere(where)
    if not _is_written(dataset):
        raise InputError(
            f"{where} has the shape {dataset.shape}, but not all of its values "
            "were written; extract it again"
        )
    return dataset


def _is_written(dataset):
    """Whether all values are in the file.

    Others would be filled in while reading, so that a small file could ask
    for any amount of memory.
    """
    if dataset.size == 0:
        return True
    if dataset.chunks is None:
        needed = dataset.size * dataset.dtype.itemsize
        return dataset.id.get_storage_size() >= needed
    chunks = [
        -(-n // chunk)
        for n, chunk in zip(dataset.shape, dataset.chunks, strict=True)
    ]
    return dataset.id.get_num_chunks() >= math.prod(chunks)


def _elsewhere(where):
    return InputError(
        f"{where} refers to another file, which is not read; copy the values "
        "into the file itself"
    )


def _unreadable(where, error):
    return InputError(
        f"{where} cannot be read ({type(error).__name__}: {str(error)[:80]}); "
        "copy the file again"
    )
