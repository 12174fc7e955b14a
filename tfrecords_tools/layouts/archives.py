"""Layouts with many videos in one file: .npz and HDF5.

The arrays of a file are named VIDEO for joined features, VIDEO/rgb and
VIDEO/flow for two streams, or VIDEO/anything for a single array (the features
of the ActivityNet challenge are VIDEO/c3d_features). Files named rgb and flow
have one stream each, files named train and test one split each; all others are
read together. A .npz file may also have a single video, VIDEO.npz, with the
arrays rgb and flow or with one array named features, feats, joined or arr_0.
"""

import dataclasses
import functools
import hashlib
import pathlib
import zipfile
import zlib

from tfrecords_tools.layouts import hdf5
from tfrecords_tools.layouts.streams import Stream
from tfwstal.data import feature_files
from tfwstal.errors import InputError

_OF_ONE_VIDEO = [
    {"rgb", "flow"},
    *({name} for name in ("features", "feats", "joined", "arr_0")),
]
# Errors of zipfile on damaged, encrypted or unusually compressed archives.
_DAMAGE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


def read_npz(root, _):
    """NAME.npz with arrays VIDEO or VIDEO/{rgb,flow}, {rgb,flow}.npz,
    {train,test}.npz, or VIDEO.npz."""
    return _read(root, [".npz"], _npz_arrays)


def read_hdf5(root, _):
    """NAME.h5 or .hdf5 with datasets VIDEO or VIDEO/{rgb,flow},
    {rgb,flow}.h5, or {train,test}.h5."""
    return _read(root, [".h5", ".hdf5"], _hdf5_arrays)


@dataclasses.dataclass(frozen=True)
class NpzArray:
    """An array of a .npz file; for `tfwstal.data.feature_files`."""

    path: pathlib.Path
    key: str

    def __str__(self):
        return f"{self.path}[{self.key}]"

    def header(self):
        """Returns shape and dtype."""
        try:
            with _open_zip(self.path).open(f"{self.key}.npy") as file:
                return feature_files.read_npy_header(self, file)
        except InputError:
            raise
        except _DAMAGE as error:
            raise _unreadable(self, error) from None

    def content(self):
        """Returns the values, and the sha256 of the array as a .npy file."""
        try:
            content = _open_zip(self.path).read(f"{self.key}.npy")
        except _DAMAGE as error:
            raise _unreadable(self, error) from None
        values = feature_files.parse_npy(self, content)
        return values, hashlib.sha256(content).hexdigest()


def _read(root, endings, arrays_of):
    """split -> Streams of the files in `root`, or None without one."""
    paths = sorted(p for p in root.iterdir() if p.suffix.lower() in endings)
    if not paths:
        return None
    found = {}  # (split, stream) -> pattern and video -> array
    for path in paths:
        split = path.stem if path.stem in ("train", "test") else None
        for video, stream, array in arrays_of(path):
            if path.stem in ("rgb", "flow"):
                stream = stream or path.stem
            pattern = f"{path.name}[{{}}{'/' + stream if stream else ''}]"
            part = found.setdefault((split, stream), Stream(pattern, {}))
            if video in part.places:
                raise InputError(
                    f"{array} and {part.places[video]} are both features of "
                    f"video {video!r}; remove one"
                )
            part.places[video] = array
    return _by_split(root, found)


def _by_split(root, found):
    """split -> Streams, from (split, stream) -> Stream."""
    splits = {split for split, _ in found}
    if None in splits and len(splits) > 1:
        raise InputError(
            f"{root} has files named train or test, and others; move the "
            "others away"
        )
    streams = {stream for _, stream in found}
    if None in streams and len(streams) > 1:
        joined, half = (
            next(s for (_, name), s in found.items() if (name is None) == one)
            for one in (True, False)
        )
        raise InputError(
            f"{root} has both joined features, {joined.pattern}, and single "
            f"streams, {half.pattern}; keep only one kind"
        )
    names = (None,) if None in streams else ("rgb", "flow")
    return {
        split: tuple(
            found.get((split, name), Stream(f"{name}[{{}}]", {}))
            for name in names
        )
        for split in splits
    }


def _named(path, keys, make):
    """(video, stream or None, array) of each array of a file."""
    parts = {}
    for key in keys:
        video, _, rest = key.partition("/")
        parts.setdefault(video, []).append(rest)
    for video, rests in parts.items():
        if set(rests) == {"rgb", "flow"}:
            for stream in rests:
                yield video, stream, make(path, f"{video}/{stream}")
        elif len(rests) == 1:
            rest = rests[0]
            key = f"{video}/{rest}" if rest else video
            yield (
                video,
                rest if rest in ("rgb", "flow") else None,
                make(path, key),
            )
        else:
            raise InputError(
                f"{path}: video {video!r} has the arrays "
                f"{' and '.join(sorted(rests)[:4])}; one is needed, or rgb "
                "and flow"
            )


def _npz_arrays(path):
    try:
        names = _open_zip(path).namelist()
    except _DAMAGE as error:
        raise _unreadable(path, error) from None
    for name in names:
        if not name.endswith(".npy"):
            raise InputError(
                f"{path} contains {name!r:.80}, which is not an array; write "
                "the file with np.savez"
            )
    keys = [name.removesuffix(".npy") for name in names]
    if set(keys) in _OF_ONE_VIDEO and path.stem not in ("rgb", "flow"):
        return [
            (path.stem, key if len(keys) == 2 else None, NpzArray(path, key))
            for key in keys
        ]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"{path}: video {twice!r} is in it twice; remove one")
    return list(_named(path, keys, NpzArray))


def _hdf5_arrays(path):
    return list(_named(path, hdf5.keys(path), hdf5.Hdf5Array))


def _open_zip(path):
    """The open ZipFile: reading its directory for each video is slow."""
    status = path.stat()
    return _cached_zip(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4)
def _cached_zip(path, *_):
    return zipfile.ZipFile(path)


def _unreadable(where, error):
    return InputError(
        f"{where} cannot be read ({type(error).__name__}: {str(error)[:80]}); "
        "copy the file again"
    )
