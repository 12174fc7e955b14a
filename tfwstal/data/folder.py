"""What a folder of records says of itself: written once, checked at reading.

`dataset_info.json` and `features.json` are TensorFlow Datasets' files, so that
`tfds.builder_from_directory` opens the folder; TFDS refuses keys it does not
know there, so everything else (frame rate, class names, provenance, videos
left out) stands in `metadata.json`, which is its place for that.
"""

import dataclasses
import json
import pathlib

from tfwstal.data import record
from tfwstal.errors import InputError

VERSION = "1.0.0"
_FILES = ("dataset_info.json", "features.json", "metadata.json", "classes.txt")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of records: its name, videos and bytes."""

    name: str
    num_videos: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """A set of records.

    Attributes:
        name: first part of the shards' names.
        classes: action names; class index c is classes[c - 1].
        feature_dim: D.
        storage_dtype: "float32" or "float16".
        fps: frame rate of the features, unless a record states its own.
        frames_per_snippet: likewise.
        splits: shards of each split, in order.
        provenance: converter, sources and their sha256, videos left out.
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
        """The paths of a split's shards.

        Raises:
            InputError: if there is no such split, or it is empty.
        """
        if not self.splits.get(split):
            known = ", ".join(
                f"{name} ({self.num_videos(name)} videos)"
                for name in self.splits
            )
            raise InputError(
                f"{data_dir}: split {split!r} holds no video; there is "
                f"{known or 'no split'}"
            )
        return [
            str(pathlib.Path(data_dir) / shard.name)
            for shard in self.splits[split]
        ]


def shard_name(name, split, index, count):
    """`NAME-SPLIT.tfrecord-00000-of-00010`, TFDS's file name template."""
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
    """Reads the description of a records folder and checks its shards.

    Raises:
        InputError: if the folder is not a whole set of records; names the
            shard that is missing or truncated.
    """
    folder = pathlib.Path(data_dir)
    try:
        return _read(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{error.filename} is missing: {data_dir!r} is no folder of "
            "records; write one with python -m tfrecords_tools.convert"
        ) from None
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder}: damaged description ({type(error).__name__}: "
            f"{error}); convert again"
        ) from None


def _read(folder):
    """The description as it stands; any exception means damage."""
    info = json.loads((folder / "dataset_info.json").read_text("utf-8"))
    extra = json.loads((folder / "metadata.json").read_text("utf-8"))
    splits = {}
    for split in info["splits"]:
        lengths = split["shardLengths"]
        splits[split["name"]] = tuple(
            _checked_shard(
                folder,
                shard_name(info["name"], split["name"], i, len(lengths)),
                int(length),
                extra["shard_bytes"],
            )
            for i, length in enumerate(lengths)
        )
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


def _checked_shard(folder, name, num_videos, shard_bytes):
    """The Shard, if the file is there with as many bytes as were written."""
    path = folder / name
    if not path.is_file():
        raise InputError(f"shard {path} is missing; copy it or convert again")
    size = path.stat().st_size
    if size != shard_bytes[name]:
        raise InputError(
            f"shard {path} has {size} bytes where {shard_bytes[name]} were "
            "written: truncated or changed; copy it or convert again"
        )
    return Shard(name, num_videos, size)


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
