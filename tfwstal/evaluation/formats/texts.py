"""Detections in text: lines of the THUMOS kit, and CSV."""

import csv
import io
import re

from tfwstal.errors import quoted
from tfwstal.evaluation.formats.problem import Problem

# Names that files give to a column, without case, "-" and "_".
NAMES = {
    "video": ("video", "videoid", "videoname", "videonames", "vid", "id"),
    "start": ("start", "tstart", "stap", "stag", "segmentstart", "t1", "xmin"),
    "end": ("end", "tend", "endp", "endg", "segmentend", "t2", "xmax"),
    "label": ("label", "class", "cls", "clsid", "labp", "labg", "category"),
    "score": ("score", "scores", "conf", "confidence", "scop", "prob"),
}
_VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".webm")


def columns_of(heads):
    """Finds the columns of a table by their names.

    Args:
        heads: the names in order; what is neither text nor bytes is none.

    Returns:
        dict from "video", "start", "end", "label", "score" to a place in
        `heads`; those that are not found are missing.
    """
    found = {}
    for place, head in enumerate(heads):
        if isinstance(head, bytes):
            head = head.decode("latin-1")
        if not isinstance(head, str):
            continue
        plain = re.sub(r"[-_\s]", "", head).casefold()
        for name, others in NAMES.items():
            if plain in others:
                found.setdefault(name, place)
    return found


def rows_of_columns(columns, names, label=None):
    """Rows of a dict of columns.

    Args:
        columns: dict name -> list.
        names: columns to read, of NAMES.
        label: class of all rows, if there is no such column.

    Returns:
        iterable of tuples in the order of `names`, not checked.

    Raises:
        Problem: if a column is missing, or they differ in length.
    """
    if not isinstance(columns, dict):
        raise Problem("holds neither columns nor videos")
    places, keys = columns_of(columns), list(columns)
    lists = {name: columns[keys[place]] for name, place in places.items()}
    for name, values in lists.items():
        if not isinstance(values, list):
            raise Problem(f"the column {name} of its table is not a list")
    if label is not None and "video" in lists:
        lists.setdefault("label", [label] * len(lists["video"]))
    missing = ", ".join(name for name in names if name not in lists)
    if missing:
        raise Problem(f"its table has no column {missing}")
    lists = [lists[name] for name in names]
    if len({len(each) for each in lists}) > 1:
        raise Problem("the columns of its table differ in length")
    return zip(*lists, strict=True)


def by_video(rows):
    """Groups rows (video, start, end, label, score) by video."""
    results = {}
    for video, start, end, label, score in rows:
        results.setdefault(str(video), []).append(
            {"label": label, "score": score, "segment": [start, end]}
        )
    return results


def read_thumos(content):
    """Reads lines VIDEO START END CLASS SCORE, times in seconds.

    Args:
        content: bytes.

    Returns:
        dict video id -> list of {"label", "score", "segment"}, not checked.

    Raises:
        Problem: for a line of another form.
    """
    rows = []
    for number, line in enumerate(_text(content).splitlines(), 1):
        parts = line.split()
        if not parts or line.startswith("#"):
            continue
        if len(parts) != 5:
            raise Problem(
                f"line {number}: {quoted(line)} is not VIDEO START END CLASS "
                "SCORE"
            )
        rows.append(_row(number, *parts))
    return by_video(rows)


def read_csv(content):
    """Reads CSV with a header, or with the columns of `read_thumos`.

    Args, returns and raises: as for `read_thumos`.
    """
    rows = table(content)
    places = columns_of(rows[0][1]) if rows else {}
    if len(places) == len(NAMES):
        rows = rows[1:]
    elif places:
        missing = ", ".join(name for name in NAMES if name not in places)
        raise Problem(f"its header has no column {missing}")
    else:
        places = {name: place for place, name in enumerate(NAMES)}
    found = []
    for number, row in rows:
        if len(row) <= max(places.values()):
            raise Problem(f"line {number}: has {len(row)} columns")
        cells = {name: row[place].strip() for name, place in places.items()}
        found.append(_row(number, *(cells[name] for name in NAMES)))
    return by_video(found)


def table(content):
    """The rows of CSV that are not empty, as (line, list of cells).

    Raises:
        Problem: if it is not CSV in UTF-8.
    """
    reader = csv.reader(io.StringIO(_text(content), newline=""))
    try:
        return [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise Problem(f"line {reader.line_num}: {error}") from None


def _row(number, video, start, end, label, score):
    numbers = []
    for text in (start, end, score):
        try:
            numbers.append(float(text))
        except ValueError:
            raise Problem(
                f"line {number}: {quoted(text)} is not a number"
            ) from None
    start, end, score = numbers
    if video.endswith(_VIDEO_SUFFIXES):
        video = video.rpartition(".")[0]
    return video, start, end, label, score


def _text(content):
    try:
        return content.decode("utf-8-sig")
    except UnicodeError:
        raise Problem("is not UTF-8 text") from None
