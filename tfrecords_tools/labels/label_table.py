"""labels.csv: one row for each video, without segments.

    video_id,labels,fps,frames_per_snippet,split
    video_1,HighJump;LongJump,25,16,train

Only the first two columns are required. An empty split means "train". Without
the column, split_train.txt and split_test.txt or the layout give the splits.
"""

import csv

from tfrecords_tools.labels.source_video import SourceVideo, unique
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError, quoted

_COLUMNS = ("video_id", "labels", "fps", "frames_per_snippet", "split")


def read(path):
    """Reads labels.csv.

    Returns:
        dict video id -> SourceVideo.

    Raises:
        InputError: if it cannot be used; names the line.
    """
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
                        f"{video.video_id!r} already has a row; remove one"
                    )
                videos[video.video_id] = video
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is not UTF-8 text; save it again with that encoding"
        ) from None
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error})") from None
    if not videos:
        raise InputError(f"{path} has no videos; add a row for each video")
    return videos


def _check_columns(path, columns):
    for name in _COLUMNS[:2]:
        if name not in columns:
            semicolons = any(";" in column for column in columns)
            raise InputError(
                f"{path} has no column {name!r}; its first line must be "
                f"{','.join(_COLUMNS)} (the last three are optional)"
                + (", with commas between, not semicolons" * semicolons)
            )
    for name in columns:
        # With a misspelled fps the flag would silently apply.
        if name not in _COLUMNS or columns.count(name) > 1:
            raise InputError(
                f"{path}: column {quoted(name)} is unknown or repeated; the "
                f"columns are {', '.join(_COLUMNS)}"
            )


def _parse_row(where, row):
    """One SourceVideo; `where` names file and line."""
    if "" in row:
        raise InputError(
            f"{where} has more cells than columns; separate labels with ';'"
        )
    row = {name: (cell or "").strip() for name, cell in row.items()}
    labels = [label.strip() for label in row["labels"].split(";")]
    labels = [label for label in labels if label]
    for name in (row["video_id"], *labels):
        problem = name_problem(name)
        if problem:
            what = "video_id" if name == row["video_id"] else "label"
            raise InputError(f"{where}: the {what} {quoted(name)} {problem}")
    return SourceVideo(
        video_id=row["video_id"],
        labels=unique(labels),
        split=(row["split"] or "train") if "split" in row else None,
        fps=_positive(where, row, "fps", float),
        frames_per_snippet=_positive(where, row, "frames_per_snippet", int),
    )


def _positive(where, row, name, kind):
    """The cell as a positive number, or None if it is empty."""
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
            f"{where}: {name} is {quoted(text)}, not a positive "
            f"{noun} up to 1e6"
        )
    return value
