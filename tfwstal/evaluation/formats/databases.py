"""Ground truth in other forms than JSON: THUMOS's folder, CSV and pickles.

Each function returns a dict video id -> {"subset", "annotations"}, as in the
"database" of ActivityNet JSON and for `activitynet.parse_database`.
"""

import pathlib
import re

from tfwstal import files
from tfwstal.errors import InputError, quoted
from tfwstal.evaluation.formats import class_names, pickles, texts
from tfwstal.evaluation.formats.problem import Problem

_NEEDED = ("video", "start", "end", "label")
_SUBSETS = {"test": "test", "val": "validation"}


def thumos_database(folder):
    """Reads THUMOS's ground truth: CLASS_test.txt, lines VIDEO START END.

    Args:
        folder: holds one file per class; Ambiguous_test.txt is a class
            "Ambiguous".

    Raises:
        InputError: if no such file is there, or a line has another form.
    """
    database = {}
    for path in sorted(pathlib.Path(folder).rglob("*.txt")):
        match = re.fullmatch(r"(\w+?)_(test|val)", path.stem)
        if not match:
            continue
        label, subset = match[1], _SUBSETS[match[2]]
        for number, line in files.numbered_lines(path):
            parts = line.split()
            try:
                video, start, end = parts[0], float(parts[1]), float(parts[2])
            except (ValueError, IndexError):
                raise InputError(
                    f"{path}: line {number}: {quoted(line)} is not VIDEO START "
                    "END; correct the file"
                ) from None
            _annotate(database, video, subset, label, start, end)
    if not database:
        raise InputError(
            f"{folder}: has no files CLASS_test.txt or CLASS_val.txt; give "
            "THUMOS's folder of annotations"
        )
    return database


def csv_database(path, subset, classes):
    """Reads ground truth from CSV: video, start, end, label, if any subset.

    Args:
        path: the file, with a header.
        subset: of all videos, if there is no such column.
        classes: dict from number to class name, or None.

    Raises:
        InputError: if the file cannot be read or lacks a column, or a line has
            no two times.
    """
    try:
        rows = texts.table(pathlib.Path(path).read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except Problem as error:
        raise InputError(f"{path}: {error}; correct the file") from None
    heads = rows[0][1] if rows else []
    places = texts.columns_of(heads)
    missing = [name for name in _NEEDED if name not in places]
    if missing:
        raise InputError(
            f"{path}: its header has no column {', '.join(missing)}; name the "
            "columns video, start, end, label and, if needed, subset"
        )
    of_subset = heads.index("subset") if "subset" in heads else None
    database = {}
    for number, row in rows[1:]:
        try:
            video, start, end, label = (
                row[places[name]].strip() for name in _NEEDED
            )
            start, end = float(start), float(end)
            name = subset if of_subset is None else row[of_subset].strip()
        except (ValueError, IndexError):
            raise InputError(
                f"{path}: line {number}: has no two times in seconds; correct "
                "the file"
            ) from None
        if classes:
            label = classes.get(class_names.number_of(label), label)
        _annotate(database, video, name, label, start, end)
    return database


def pickle_database(path, content, subset, classes):
    """Reads ground truth from a pickled table, or a list of one per class.

    Args:
        path: the file, for messages.
        content: its bytes.
        subset: of all videos.
        classes: dict from number to class name, or None.

    Raises:
        InputError: if the pickle is damaged or has no such columns.
    """
    database = {}
    try:
        for *row, label in pickles.read_rows(content, _NEEDED):
            label = class_names.name_of(label, classes)
            _annotate(database, str(row[0]), subset, label, *row[1:])
    except Problem as error:
        raise InputError(f"{path}: {error}; correct the file") from None
    return database


def _annotate(database, video, subset, label, start, end):
    entry = database.setdefault(video, {"subset": subset, "annotations": []})
    entry["annotations"].append({"label": label, "segment": [start, end]})
