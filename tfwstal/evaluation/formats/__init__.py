"""Detections and ground truth in the formats that others write.

Detections: ActivityNet JSON, with or without "results"; the THUMOS kit's text;
CSV; pickles of ActionFormer, of OpenTAD and of pandas tables. Ground truth:
ActivityNet JSON, THUMOS's folder of text files, CSV. docs/evaluation.md shows
an example of each. Reading executes nothing that a file asks for.
"""

import os

from tfwstal import files
from tfwstal.data import activitynet
from tfwstal.errors import InputError
from tfwstal.evaluation.formats import json_files, pickles, texts
from tfwstal.evaluation.formats.problem import Problem

FORMATS = ("auto", "json", "thumos", "csv", "pickle")
_READERS = {
    "json": json_files.read,
    "thumos": texts.read_thumos,
    "csv": texts.read_csv,
    "pickle": pickles.read,
}


def read_detections(path, file_format="auto", classes=None, label=None):
    """Reads a detections file of any supported format.

    Args:
        path: the file.
        file_format: "auto", "json", "thumos", "csv" or "pickle".
        classes: dict from number to class name, for files that number the
            classes; or None.
        label: class to give to every detection in place of its own; JSON and
            pickled dicts of videos need none then. None: keep their own.

    Returns:
        dict video id -> list of {"label", "score", "segment": [start, end]}.
        A segment may end before it starts.

    Raises:
        InputError: if the file cannot be read; names the format, and whether
            it was given or found.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    chosen = _find(content) if file_format == "auto" else file_format
    try:
        section = _READERS[chosen](content)
        if label is None:
            section = _named(section, classes)
        else:
            section = _labelled(section, label)
    except Problem as error:
        found = "found by content" if file_format == "auto" else "as told"
        others = ", ".join(name for name in _READERS if name != chosen)
        raise InputError(
            f"{path}: {error}; it was read as --format={chosen} ({found}); "
            f"correct the file, or give --format: {others}"
        ) from None
    return activitynet.parse_results(path, section, allow_reversed=True)


def read_ground_truth(path, subset, bad_segments="error", classes=None):
    """Reads ground truth: ActivityNet JSON, THUMOS's text folder or CSV.

    Args:
        path: a file, or a folder of CLASS_test.txt or CLASS_val.txt.
        subset: the subset of the videos of a CSV file without that column.
        bad_segments: as for `activitynet.read_ground_truth`.
        classes: dict from number to class name, or None.

    Returns, raises:
        as `activitynet.read_ground_truth`.
    """
    if os.path.isdir(path):
        database = texts.thumos_database(path)
    elif str(path).lower().endswith(".csv"):
        database = texts.csv_database(path, subset, classes)
    else:
        return activitynet.read_ground_truth(path, bad_segments)
    return activitynet.parse_database(path, database, bad_segments)


def read_classes(path):
    """Reads a class list: one NAME per line from 0 on, or NUMBER NAME.

    Returns:
        dict from int to name.

    Raises:
        InputError: if the file cannot be read, or repeats a number.
    """
    lines = [line for _, line in files.numbered_lines(path)]
    pairs = [line.split(maxsplit=1) for line in lines]
    if all(len(pair) == 2 and pair[0].isdecimal() for pair in pairs):
        numbered = [(int(number), name) for number, name in pairs]
    else:
        numbered = list(enumerate(lines))
    classes = dict(numbered)
    if len(classes) != len(numbered) or not classes:
        raise InputError(
            f"{path}: is empty or repeats a number; write one NAME per line, "
            "or NUMBER NAME"
        )
    return classes


def _find(content):
    """The format of a file's content."""
    start = content.lstrip()[:1000]
    if start[:1] in (b"{", b"["):
        return "json"
    if content[:1] == b"\x80":
        return "pickle"
    first = start.splitlines()[0] if start else b""
    return "csv" if b"," in first else "thumos"


def _named(section, classes):
    """`section` with class names in the place of class numbers.

    Raises:
        Problem: for a number that has no name.
    """
    return _relabelled(
        section,
        lambda entry: (
            entry | {"label": _name(entry["label"], classes)}
            if "label" in entry
            else entry
        ),
    )


def _labelled(section, label):
    """`section` with `label` as the class of every detection."""
    return _relabelled(section, lambda entry: entry | {"label": label})


def _relabelled(section, change):
    """`section` with `change` applied to the detections that are dicts."""
    changed = {}
    for video, entries in section.items():
        if not isinstance(entries, list):
            raise Problem(f"video {video!r}: expected a list")
        changed[str(video)] = [
            change(entry) if isinstance(entry, dict) else entry
            for entry in entries
        ]
    return changed


def _name(label, classes):
    number = None
    if isinstance(label, (int, float)) and label == int(label):
        number = int(label)
    elif isinstance(label, str) and label.isdecimal():
        number = int(label)
    if number is None or (classes is None and isinstance(label, str)):
        return label
    if classes is None:
        raise Problem(
            f"its classes are numbers, such as {label}; name them with "
            "--classes, a file of one NAME or NUMBER NAME per line"
        )
    if number not in classes:
        raise Problem(f"class {label} is not in --classes")
    return classes[number]
