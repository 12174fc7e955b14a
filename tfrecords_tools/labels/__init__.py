"""What an annotation file says of its videos: labels, segments, classes.

Two kinds of annotation file are read. ActivityNet JSON (gt.json) has segments,
of which the labels follow. labels.csv has labels only, one video a row:

    video_id,labels,fps,frames_per_snippet,split
    video_1,HighJump;LongJump,25,16,train

Only the first two columns are needed. The split is "train" where its cell is
empty; a file without the column leaves the splits to split_train.txt and
split_test.txt, or to the layout.
"""

import csv
import dataclasses
import pathlib

from tfwstal import annotations
from tfwstal.errors import InputError

_COLUMNS = ("video_id", "labels", "fps", "frames_per_snippet", "split")


@dataclasses.dataclass(frozen=True)
class LabelledVideo:
    """One video of an annotation file.

    Attributes:
        video_id: as the file has it.
        labels: its actions, each once.
        segments: (start, end, label), seconds; those that can be used.
        duration: seconds as annotated, or None.
        subset: as gt.json spells it, or None.
        split: as labels.csv states it, or None.
        fps: as the file states it, or None.
        frames_per_snippet: likewise.
    """

    video_id: str
    labels: tuple[str, ...]
    segments: tuple[tuple[float, float, str], ...] = ()
    duration: float | None = None
    subset: str | None = None
    split: str | None = None
    fps: float | None = None
    frames_per_snippet: int | None = None


def find_annotations(features_dir, given, prefer_csv):
    """The annotation file: the one given, or gt.json or labels.csv.

    Where both lie in `features_dir`, it is gt.json, unless `prefer_csv`.

    Raises:
        InputError: if there is none.
    """
    names = (
        ["labels.csv", "gt.json"] if prefer_csv else ["gt.json", "labels.csv"]
    )
    if given:
        found = [pathlib.Path(given)]
    else:
        found = [pathlib.Path(features_dir) / name for name in names]
    for path in found:
        if path.is_file():
            return path
    if given:
        raise InputError(f"--annotations={given}: no such file; check the path")
    raise InputError(
        f"{features_dir} has neither gt.json nor labels.csv; name the file "
        "with --annotations"
    )


def read_annotations(path, bad_segments):
    """Reads gt.json or labels.csv.

    Args:
        path: the file; a name that ends in .csv is read as labels.csv.
        bad_segments: as the flag; here it concerns segments that are reversed
            or start before their video.

    Returns:
        A pair of a dict, video id -> LabelledVideo, and a tuple of the
        `annotations.BadSegment`s.

    Raises:
        InputError: if the file cannot be used; names the video or the line.
    """
    if path.suffix.lower() == ".csv":
        return _read_csv(path), ()
    truth, bad = annotations.read_ground_truth(path, bad_segments)
    if not truth:
        raise InputError(f"{path} has no video; check the file")
    # A video carries its label even where the segment cannot be used.
    left_out = {}
    for item in bad:
        if not item.kept:
            left_out.setdefault(item.video_id, []).append(item.segment)
    videos = {}
    for name, video in truth.items():
        all_segments = [*video.segments, *left_out.get(name, ())]
        videos[name] = LabelledVideo(
            video_id=name,
            labels=_unique(segment.label for segment in all_segments),
            segments=tuple((s.start, s.end, s.label) for s in video.segments),
            duration=video.duration,
            subset=video.subset,
        )
    return videos, bad


def read_classes(features_dir, given, videos):
    """The class names in order, and where they come from.

    That is --classes, else classes.txt in `features_dir`, else the sorted
    labels of all annotated videos, converted or not, so that the indices do
    not depend on which features are there.

    Raises:
        InputError: if the file is missing, empty or names a class twice.
    """
    path = pathlib.Path(given or pathlib.Path(features_dir) / "classes.txt")
    if not given and not path.is_file():
        found = {label for video in videos.values() for label in video.labels}
        return tuple(sorted(found)), "sorted labels"
    if not path.is_file():
        raise InputError(f"--classes={given}: no such file; check the path")
    classes = read_lines(path)
    if not classes:
        raise InputError(f"{path} is empty; give one action name a line")
    for name in classes:
        if annotations.name_problem(name):
            raise InputError(
                f"{path}: class {name!r} {annotations.name_problem(name)}"
            )
        if classes.count(name) > 1:
            raise InputError(
                f"{path}: class {name!r} stands there twice; remove one line"
            )
    return tuple(classes), path.name


def check(videos, split_of, classes, path, classes_from):
    """Checks that labels are classes and training videos have one at least.

    Args:
        videos: dict video id -> LabelledVideo.
        split_of: dict video id -> split; the videos to check.
        classes: action names.
        path: of the annotation file, for the message.
        classes_from: from `read_classes`, likewise.

    Raises:
        InputError: names the first video, and its label.
    """
    for name in sorted(split_of):
        video_labels = videos[name].labels
        for label in video_labels:
            if label not in classes:
                raise InputError(
                    f"{path}: video {name!r} has the label {label!r}, which "
                    f"is not in {classes_from}; add it there or correct it"
                )
        if split_of[name] == "train" and not video_labels:
            raise InputError(
                f"{path}: video {name!r} of the training split has no label; "
                "give it one or leave it out of the split"
            )


def _read_csv(path):
    """labels.csv -> dict video id -> LabelledVideo."""
    try:
        # utf-8-sig: spreadsheets begin their files with a byte order mark.
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(
                file, restkey="", skipinitialspace=True, strict=True
            )
            columns = [name.strip() for name in rows.fieldnames or ()]
            rows.fieldnames = columns
            _check_columns(path, columns)
            videos = {}
            for row in rows:
                video = _parse_row(f"{path}, line {rows.line_num}", row)
                if video.video_id in videos:
                    raise InputError(
                        f"{path}, line {rows.line_num}: video "
                        f"{video.video_id!r} has a row already; remove one"
                    )
                videos[video.video_id] = video
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error})") from None
    if not videos:
        raise InputError(f"{path} has no video; give one row a video")
    return videos


def _check_columns(path, columns):
    for name in _COLUMNS[:2]:
        if name not in columns:
            raise InputError(
                f"{path} has no column {name!r}; its first line must be "
                f"{','.join(_COLUMNS)} (the last three are optional)"
            )
    for name in columns:
        # A misspelled fps would silently become the flag's.
        if name not in _COLUMNS or columns.count(name) > 1:
            raise InputError(
                f"{path}: column {name!r} is unknown or there twice; known are "
                f"{', '.join(_COLUMNS)}"
            )


def _parse_row(where, row):
    """One LabelledVideo; `where` names file and line."""
    if "" in row:
        raise InputError(
            f"{where}: there are more cells than columns; separate labels "
            "with ';'"
        )
    row = {name: (cell or "").strip() for name, cell in row.items()}
    labels = [label.strip() for label in row["labels"].split(";")]
    labels = [label for label in labels if label]
    for name in (row["video_id"], *labels):
        problem = annotations.name_problem(name)
        if problem:
            what = "video_id" if name == row["video_id"] else "label"
            raise InputError(f"{where}: the {what} {name[:40]!r} {problem}")
    return LabelledVideo(
        video_id=row["video_id"],
        labels=_unique(labels),
        split=(row["split"] or "train") if "split" in row else None,
        fps=_positive(where, row, "fps", float),
        frames_per_snippet=_positive(where, row, "frames_per_snippet", int),
    )


def _positive(where, row, name, kind):
    """The cell as a positive number, None where it is empty."""
    text = row.get(name)
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = 0
    # The bounds of the flags of the same names.
    if not (1e-3 if kind is float else 1) <= value <= 1e6:
        noun = "whole number" if kind is int else "number"
        raise InputError(
            f"{where}: {name} is {text!r}, not a positive {noun} up to 1e6"
        )
    return value


def read_lines(path):
    """The lines of a text file that hold something, stripped."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})") from None
    return [line.strip() for line in lines if line.strip()]


def _unique(names):
    """The names in order of appearance, each once."""
    return tuple(dict.fromkeys(names))
