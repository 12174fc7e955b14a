"""The files that describe a folder of records.

`dataset_info.json` and `features.json` are files of TensorFlow Datasets, so
`tfds.builder_from_directory` opens the folder. TFDS refuses unknown keys in
them, so everything else (frame rate, class names, provenance, videos left out)
is in `metadata.json`, which TFDS reserves for this.
"""

import dataclasses
import json
import pathlib

import numpy as np

from tfwstal.data import record
from tfwstal.data.names import name_problem
from tfwstal.errors import UNEXPECTED_JSON, InputError, quoted

VERSION = "1.0.0"
_FILES = ("dataset_info.json", "features.json", "metadata.json", "classes.txt")
# A record in a TFRecord file: its length, a checksum of the length, the content
# and a checksum of the content.
# https://www.tensorflow.org/tutorials/load_data/tfrecord
_LENGTH_BYTES, _CHECKSUM_BYTES = 8, 4


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of records: its name, number of videos and size in bytes."""

    name: str
    num_videos: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """A set of records.

    Attributes:
        name: first part of the names of the shards.
        classes: action names; class index c is classes[c - 1].
        feature_dim: D.
        storage_dtype: "float32" or "float16".
        fps: frame rate of the features; a record may state another one.
        frames_per_snippet: frames from the start of one snippet to the start
            of the next; a record may state another number.
        splits: dict from the name of a split to its shards, in order.
        provenance: dict of the converter, the sources and their sha256, and
            the videos left out.
    """

    name: str
    classes: tuple[str, ...]
    feature_dim: int
    storage_dtype: str
    fps: float
    frames_per_snippet: int
    splits: dict[str, tuple[Shard, ...]]
    provenance: dict

    def num_videos(self, split):
        """Number of videos of a split."""
        return sum(shard.num_videos for shard in self.splits[split])

    def write(self, folder):
        """Writes the four files that describe the shards in `folder`."""
        folder = pathlib.Path(folder)
        description = "I3D features and labels for temporal localization."
        info = {
            "name": self.name,
            "version": VERSION,
            "description": description,
            "fileFormat": "tfrecord",
            "splits": [
                {
                    "name": split,
                    "shardLengths": [str(s.num_videos) for s in shards],
                    "numBytes": str(sum(s.num_bytes for s in shards)),
                    "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-"
                    "{SHARD_X_OF_Y}",
                }
                for split, shards in self.splits.items()
            ],
        }
        metadata = {
            "classes": self.classes,
            "feature_dim": self.feature_dim,
            "storage_dtype": self.storage_dtype,
            "fps": self.fps,
            "frames_per_snippet": self.frames_per_snippet,
            "num_videos": {s: self.num_videos(s) for s in self.splits},
            "shard_bytes": {
                shard.name: shard.num_bytes
                for shards in self.splits.values()
                for shard in shards
            },
            "provenance": self.provenance,
        }
        features = record.tfds_features(self.feature_dim, self.storage_dtype)
        _write_json(folder / "dataset_info.json", info)
        _write_json(folder / "features.json", features)
        _write_json(folder / "metadata.json", metadata)
        (folder / "classes.txt").write_text(
            "".join(f"{name}\n" for name in self.classes), encoding="utf-8"
        )

    def shard_paths(self, data_dir, split):
        """Paths of the shards of a split.

        Args:
            data_dir: folder of the records.
            split: name of the split.

        Raises:
            InputError: if the split does not exist or is empty.
        """
        if not self.splits.get(split):
            known = ", ".join(
                f"{name} ({self.num_videos(name)} videos)"
                for name in self.splits
            )
            raise InputError(
                f"{data_dir}: split {split!r} has no videos; choose from "
                f"{known or '(no splits)'}"
            )
        return [
            str(pathlib.Path(data_dir) / shard.name)
            for shard in self.splits[split]
        ]


def shard_name(name, split, index, count):
    """Name of a shard, `NAME-SPLIT.tfrecord-00000-of-00010`, as TFDS does."""
    return f"{name}-{split}.tfrecord-{index:05d}-of-{count:05d}"


def files_of(data_dir):
    """Paths of the files of a records folder; [] for ""."""
    if not data_dir:
        return []
    folder = pathlib.Path(data_dir)
    return [folder / name for name in _FILES] + [
        path for path in folder.glob("*.tfrecord-*")
    ]


def read(data_dir):
    """Reads the description of a folder of records and checks its shards.

    Counts the records in each shard and compares the number with the
    description. Counting reads 8 bytes a record, not the features.

    Returns:
        DatasetInfo.

    Raises:
        InputError: if the folder is not a complete set of records. Names the
            shard that is missing, truncated or has another number of videos,
            or the invalid value.
    """
    folder = pathlib.Path(data_dir)
    try:
        return _read(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{error.filename} is missing: {data_dir!r} is not a records "
            "folder; give another --data_dir, or write one with "
            "python -m tfrecords_tools.convert"
        ) from None
    except OSError as error:
        raise InputError(
            f"{error.filename or folder} cannot be read ({error.strerror}); "
            "check the path"
        ) from None
    except InputError:
        raise
    except _Invalid as error:
        raise InputError(
            f"{folder}: damaged description ({error}); convert again"
        ) from None
    except UNEXPECTED_JSON as error:
        raise InputError(
            f"{folder}: damaged description ({type(error).__name__}: "
            f"{str(error)[:80]}); convert again"
        ) from None


class _Invalid(Exception):
    """A value that `convert` never writes; its text is a sentence."""


def _read(folder):
    """Returns the DatasetInfo; other exceptions than InputError mean damage."""
    info = json.loads((folder / "dataset_info.json").read_text("utf-8"))
    extra = json.loads((folder / "metadata.json").read_text("utf-8"))
    _check(extra)
    # Names of files are made of them.
    for name in (info["name"], *(split["name"] for split in info["splits"])):
        if not isinstance(name, str) or name_problem(name) or "/" in name:
            raise _Invalid(f"{quoted(name)} cannot be a set's or split's name")
    splits = {}
    for split in info["splits"]:
        lengths = [_length(text) for text in split["shardLengths"]]
        names = [
            shard_name(info["name"], split["name"], i, len(lengths))
            for i in range(len(lengths))
        ]
        if split["name"] in splits:
            raise _Invalid(f"the split {quoted(split['name'])} is listed twice")
        splits[split["name"]] = tuple(
            _checked_shard(folder, name, length, extra["shard_bytes"])
            for name, length in zip(names, lengths, strict=True)
        )
        for shard in splits[split["name"]]:
            _check_room(shard, extra)
    return DatasetInfo(
        name=info["name"],
        classes=tuple(extra["classes"]),
        feature_dim=extra["feature_dim"],
        storage_dtype=extra["storage_dtype"],
        fps=extra["fps"],
        frames_per_snippet=extra["frames_per_snippet"],
        splits=splits,
        provenance=extra["provenance"],
    )


def _check(metadata):
    """Checks the values of metadata.json.

    Raises:
        _Invalid: for the first value that `convert` never writes.
    """
    for key in ("feature_dim", "frames_per_snippet"):
        value = metadata[key]
        if type(value) is not int or not 0 < value < 2**31:
            raise _Invalid(f"{key} is {quoted(value)}, not a positive integer")
    fps = metadata["fps"]
    if type(fps) not in (int, float) or not 0 < fps < 1e9:
        raise _Invalid(f"fps is {quoted(fps)}, not a positive number")
    if metadata["storage_dtype"] not in ("float32", "float16"):
        raise _Invalid(
            f"storage_dtype is {quoted(metadata['storage_dtype'])}, not "
            "float32 or float16"
        )
    classes, provenance = metadata["classes"], metadata["provenance"]
    if not isinstance(classes, list) or not isinstance(provenance, dict):
        raise _Invalid("classes is not a list, or provenance not an object")
    seen = set()
    for name in classes:
        if not isinstance(name, str) or name_problem(name):
            raise _Invalid(f"{quoted(name)} cannot be a class name")
        if name in seen:
            raise _Invalid(f"the class {quoted(name)} is listed twice")
        seen.add(name)


def _check_room(shard, metadata):
    """Raises _Invalid if a shard is too small for a snippet of each video.

    Training would else need memory for the stated width before it reads the
    first record.
    """
    width = metadata["feature_dim"]
    least = width * np.dtype(metadata["storage_dtype"]).itemsize
    if shard.num_videos * least > shard.num_bytes:
        raise _Invalid(
            f"feature_dim is {width}, but the {shard.num_bytes} bytes of "
            f"{shard.name} have no room for it"
        )


def _length(text):
    """Parses the number of videos in a shard, which TFDS writes as text."""
    if not str(text).isdecimal() or int(text) < 1:
        raise _Invalid(f"shardLengths has {quoted(text)}, not a number above 0")
    return int(text)


def _checked_shard(folder, name, num_videos, shard_bytes):
    """Returns the Shard if its file is unchanged.

    Raises:
        InputError: if the size or the number of records differs.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(f"shard {path} is missing; copy it or convert again")
    size = path.stat().st_size
    if size != shard_bytes[name]:
        raise InputError(
            f"shard {path} has {size} bytes instead of {shard_bytes[name]}: "
            "it is truncated or changed; copy it again or convert again"
        )
    found, whole = count_records(path)
    if not whole:
        raise InputError(
            f"shard {path}: record {found - 1} is damaged (its length exceeds "
            "the file); copy it or convert again"
        )
    if found != num_videos:
        raise InputError(
            f"shard {path} has {found} videos, but dataset_info.json states "
            f"{num_videos}; copy both again or convert again"
        )
    return Shard(name, num_videos, size)


def count_records(path):
    """Counts the records of a TFRecord file without reading their content.

    Returns:
        the number of records, and whether the last one is whole.
    """
    count = position = 0
    size = path.stat().st_size
    with open(path, "rb", buffering=0) as file:
        while position < size:
            file.seek(position)
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            position += _LENGTH_BYTES + length + 2 * _CHECKSUM_BYTES
            count += 1
    return count, position == size


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
