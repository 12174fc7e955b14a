"""The folder that extraction writes and `convert` reads.

    rgb/VIDEO.npy  flow/VIDEO.npy   [snippets, 1024] float32
    extraction.json                 how they were made, and each video's length
    labels.csv                      to be filled in with each video's labels

A video's files get their names when they are whole, and only then is the video
in extraction.json; what is in there is not made again.
"""

import csv
import io
import json
import os
import pathlib

import numpy as np

from tfwstal import files
from tfwstal.errors import UNEXPECTED_JSON, InputError, shortened

DESCRIPTION = "extraction.json"
LABELS = "labels.csv"
# What makes features comparable: all of it must be the same in one folder.
IDENTITY = (
    *("network", "fps", "frames_per_snippet", "flow", "shorter_side"),
    *("crop_size", "weights"),
)


class FeatureFolder:
    """A folder of features, new or begun before.

    Args:
        path: created if need be.
        facts: dict with the keys of IDENTITY and "versions".

    Raises:
        InputError: if the folder was begun otherwise, or is of something else.
    """

    def __init__(self, path, facts):
        self.path = pathlib.Path(path)
        self.streams = tuple(facts["weights"])
        self._facts = facts
        self._writers = {}
        self.videos, self.failed = {}, {}
        if (self.path / DESCRIPTION).exists():
            before = read_description(self.path)
            _check_same(self.path, before, facts)
            self.videos = before["videos"]
        elif self.path.exists() and (
            not self.path.is_dir() or any(self.path.iterdir())
        ):
            raise InputError(
                f"--output_dir={path} is not empty and has no {DESCRIPTION}; "
                "choose another folder"
            )
        for stream in self.streams:
            (self.path / stream).mkdir(parents=True, exist_ok=True)
            for stale in (self.path / stream).glob(".*.incomplete"):
                stale.unlink()
        self._write_description()

    def has(self, source):
        """Whether a video's features are there, of this very file."""
        facts = self.videos.get(source.name)
        return bool(
            facts
            and facts["bytes"] == size_of(source)
            and all(self._file(s, source).is_file() for s in self.streams)
        )

    def add(self, source, features):
        """Takes the next snippets of a video: dict stream -> [n, 1024]."""
        for stream, rows in features.items():
            key = stream, source.name
            if key not in self._writers:
                self._writers[key] = _Writer(self._file(stream, source))
            self._writers[key].add(rows)

    def finish(self, source, facts):
        """Gives a video's files their names and notes its facts."""
        for stream in self.streams:
            self._writers.pop((stream, source.name)).finish()
        self.videos[source.name] = {
            "file": source.path.name,
            "bytes": size_of(source),
            **facts,
        }
        self.failed.pop(source.name, None)
        self._write_description()

    def adopt(self, finished, failed):
        """Takes videos that were extracted in folders of their own.

        Args:
            finished: dict from a video's name to the path of its folder, as
                this class writes it; the features are moved.
            failed: dict from a video's name to a message.
        """
        for name, folder in finished.items():
            found = read_description(folder)["videos"][name]
            for stream in self.streams:
                path = pathlib.Path(stream, f"{name}.npy")
                os.replace(pathlib.Path(folder) / path, self.path / path)
            self.videos[name] = found
            self.failed.pop(name, None)
        self.failed |= failed
        self._write_description()

    def rename(self, path):
        """Gives the folder another path, at which there is nothing."""
        os.rename(self.path, path)
        self.path = pathlib.Path(path)

    def fail(self, source, message):
        """Removes what there is of a video and notes why."""
        for stream in self.streams:
            writer = self._writers.pop((stream, source.name), None)
            if writer:
                writer.remove()
        self.failed[source.name] = message
        self._write_description()

    def write_labels(self):
        """Writes labels.csv, or adds the videos that it lacks.

        Raises:
            InputError: if there is one that is not a table of labels.
        """
        path = self.path / LABELS
        new = {
            "labels": "",
            "fps": f"{self._facts['fps']:g}",
            "frames_per_snippet": str(self._facts["frames_per_snippet"]),
            "split": "",
        }
        columns, rows = ["video_id", *new], []
        if path.exists():
            with open(path, newline="", encoding="utf-8-sig") as file:
                table = csv.DictReader(file, skipinitialspace=True)
                columns = [name.strip() for name in table.fieldnames or ()]
                table.fieldnames = columns
                rows = list(table)
            if "video_id" not in columns or "labels" not in columns:
                raise InputError(
                    f"{path} has no columns video_id and labels; mend it or "
                    "move it away, and give the command again"
                )
        known = {(row["video_id"] or "").strip() for row in rows}
        missing = sorted(self.videos.keys() - known)
        if not missing and path.exists():
            return
        rows += [{**new, "video_id": name} for name in missing]
        text = io.StringIO()
        table = csv.DictWriter(
            text, columns, extrasaction="ignore", lineterminator="\n"
        )
        table.writeheader()
        table.writerows(rows)
        files.write(path, text.getvalue())

    def _file(self, stream, source):
        return self.path / stream / f"{source.name}.npy"

    def _write_description(self):
        content = {
            **self._facts,
            "videos": dict(sorted(self.videos.items())),
            "failed": dict(sorted(self.failed.items())),
        }
        path = self.path / DESCRIPTION
        files.write_json(path, content, indent=2)


def size_of(source):
    """Bytes of a film; of a folder of pictures, their number."""
    if source.is_folder:
        return sum(1 for _ in source.path.iterdir())
    return source.path.stat().st_size


def read_description(folder):
    """The content of a folder's extraction.json.

    Raises:
        InputError: if it is damaged.
    """
    path = pathlib.Path(folder) / DESCRIPTION
    remedy = "extract into another folder"
    content = load_facts(path, remedy)
    videos = content.get("videos")
    if not isinstance(videos, dict) or not all(
        isinstance(each, dict) and "bytes" in each for each in videos.values()
    ):
        raise InputError(f"{path} is damaged (its videos); {remedy}")
    return content


def load_facts(path, remedy):
    """Reads how features were made, from the file of a folder or of a run.

    Args:
        path: the JSON file.
        remedy: what to do if it is damaged, as the end of a sentence.

    Returns:
        dict with the keys of IDENTITY at least.

    Raises:
        InputError: if the file is damaged.
    """
    try:
        content = json.loads(pathlib.Path(path).read_bytes())
        _check(content)
        json.dumps(content, allow_nan=False)  # it is written again
        return content
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    except UNEXPECTED_JSON as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path} is damaged ({reason:.80}); {remedy}"
        ) from None


def _check(content):
    """Raises an exception of several kinds for facts of no extraction."""
    for key in ("network", "flow"):
        if not isinstance(content[key], str):
            raise TypeError(key)
    for key in ("fps", "frames_per_snippet", "shorter_side", "crop_size"):
        kinds = (int, float) if key == "fps" else (int,)
        if type(content[key]) not in kinds or not 0 < content[key] <= 1e6:
            raise ValueError(key)
    weights = content["weights"]
    if not weights or not weights.keys() <= {"rgb", "flow"}:
        raise ValueError("weights")
    for each in weights.values():
        if not isinstance(each["sha256"], str):
            raise TypeError("sha256")


def read_facts(folder):
    """How the features of a folder were made.

    Returns:
        dict with the keys of IDENTITY, "extractor" and "versions"; None if
        there is no extraction.json.

    Raises:
        InputError: if that is damaged.
    """
    if not (pathlib.Path(folder) / DESCRIPTION).exists():
        return None
    content = read_description(folder)
    return {
        key: value
        for key, value in content.items()
        if key not in ("videos", "failed")
    }


def _check_same(path, before, facts):
    """Raises InputError if features of both would not be comparable."""
    different = difference(before, facts)
    if different:
        key, was, now = different
        raise InputError(
            f"--output_dir={path} was begun with {key} {was}, not {now}; "
            "choose another folder"
        )


def difference(facts, others):
    """The first thing in which two kinds of features differ.

    Returns:
        its name and both values as texts, or None.
    """
    for key in IDENTITY:
        values = _identity(facts, key), _identity(others, key)
        if values[0] != values[1]:
            return key, *(shortened(json.dumps(each)) for each in values)
    return None


def _identity(facts, key):
    """A fact as it is compared: of weights what they are, not their name."""
    if key != "weights":
        return facts[key]
    return {name: each["sha256"] for name, each in facts[key].items()}


class _Writer:
    """Writes a .npy whose number of rows is not known before its end.

    The file is open only while it is written to: films of any number may be
    under way.
    """

    def __init__(self, path):
        self._path = path
        self._partial = path.with_name(f".{path.name}.incomplete")
        self._shape = (0, 0)
        self._start = 0

    def _write_header(self, file):
        """Writes the header; NumPy leaves room in it for more rows."""
        header = {
            "descr": "<f4",
            "fortran_order": False,
            "shape": self._shape,
        }
        np.lib.format.write_array_header_1_0(file, header)
        return file.tell()

    def add(self, rows):
        is_first = not self._start
        with open(self._partial, "wb" if is_first else "ab") as file:
            if is_first:
                self._shape = (0, rows.shape[1])
                self._start = self._write_header(file)
            file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        self._shape = (self._shape[0] + len(rows), self._shape[1])

    def finish(self):
        with open(self._partial, "r+b") as file:
            if self._write_header(file) != self._start:
                raise RuntimeError(f"the header of {self._path} has grown")
        os.replace(self._partial, self._path)

    def remove(self):
        self._partial.unlink()
