"""An array inside the file of an object array."""

import dataclasses
import hashlib
import math
import pathlib

import numpy as np

from tfwstal.errors import InputError


@dataclasses.dataclass(repr=False)
class PickledArray:
    """An array inside an object array's file.

    Attributes:
        path: the .npy file.
        key: index in the object array.
        shape: shape of the array.
        dtype: dtype of the array; kind "O" for an array of objects.
        fortran: whether the first axis changes fastest.
        offset: position of its values in the file; None for objects.
        objects: the objects in flat order; None for an array of values.
    """

    path: pathlib.Path
    key: int | None = None
    shape: tuple[int, ...] | None = None
    dtype: np.dtype | None = None
    fortran: bool = False
    offset: int | None = None
    objects: tuple | None = None

    def __str__(self):
        return f"{self.path}[{self.key}]"

    def __repr__(self):
        # Not its objects: each may be an array that holds many again.
        return f"an array of {self.shape}"

    def header(self):
        """Returns shape and dtype."""
        return self.shape, self.dtype

    def content(self):
        """Reads the array.

        Returns:
            the values, and the sha256 of their bytes in the file.

        Raises:
            InputError: if the file has changed or cannot be read.
        """
        size = math.prod(self.shape) * self.dtype.itemsize
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                raw = file.read(size)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be read ({error.strerror})"
            ) from None
        if len(raw) < size:
            raise InputError(f"{self} is truncated; copy the file again")
        flat = np.frombuffer(raw, self.dtype)
        values = flat.reshape(self.shape, order="F" if self.fortran else "C")
        return values, hashlib.sha256(raw).hexdigest()
