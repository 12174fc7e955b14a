"""Detections and ground truth in the formats that others write.

Detections: ActivityNet JSON, with or without "results", as OpenTAD writes it
too; the THUMOS kit's text; CSV; pickles of ActionFormer and of pandas tables;
MATLAB. Ground truth: ActivityNet JSON, THUMOS's folder of text files, CSV,
pickled tables.
docs/evaluation.md shows an example of each. Reading executes nothing that a
file asks for.
"""

import os

from tfwstal.data import activitynet
from tfwstal.errors import InputError, quoted
from tfwstal.evaluation.formats import (
    databases,
    json_files,
    mat_files,
    pickles,
    texts,
)
from tfwstal.evaluation.formats.class_names import name_of, read_classes
from tfwstal.evaluation.formats.problem import Problem

__all__ = ["FORMATS", "read_classes", "read_detections", "read_ground_truth"]

FORMATS = ("auto", "json", "thumos", "csv", "pickle", "mat")
_READERS = {
    "json": json_files.read,
    "thumos": texts.read_thumos,
    "csv": texts.read_csv,
    "pickle": pickles.read,
    "mat": mat_files.read,
}


def read_detections(path, file_format="auto", classes=None, label=None):
    """Reads a detections file of any supported format.

    Args:
        path: the file.
        file_format: one of FORMATS.
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
    content = _content(path)
    chosen = _find(content) if file_format == "auto" else file_format
    try:
        section = _READERS[chosen](content)
        if label is None:
            section = _named(section, classes)
        else:
            section = _labelled(section, label)
    except Problem as error:
        found = "found by content" if file_format == "auto" else "as given"
        others = ", ".join(name for name in _READERS if name != chosen)
        raise InputError(
            f"{path}: {error}; it was read as --format={chosen} ({found}); "
            f"correct the file, or give --format: {others}"
        ) from None
    return activitynet.parse_results(path, section, allow_reversed=True)


def read_ground_truth(path, subset, bad_segments="error", classes=None):
    """Reads ground truth: ActivityNet JSON, THUMOS's folder, CSV or a pickle.

    Args:
        path: a file, or a folder of CLASS_test.txt or CLASS_val.txt.
        subset: the subset of the videos of a pickle, or of CSV without that
            column.
        bad_segments: as for `activitynet.read_ground_truth`.
        classes: dict from number to class name, or None.

    Returns, raises:
        as `activitynet.read_ground_truth`.
    """
    if os.path.isdir(path):
        database = databases.thumos_database(path)
    elif str(path).lower().endswith(".csv"):
        database = databases.csv_database(path, subset, classes)
    elif _is_pickle(content := _content(path)):
        database = databases.pickle_database(path, content, subset, classes)
    else:
        return activitynet.read_ground_truth(path, bad_segments)
    return activitynet.parse_database(path, database, bad_segments)


def _content(path):
    """The bytes of a file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None


def _is_pickle(content):
    return content[:1] == b"\x80"  # of protocol 2 or later


def _find(content):
    """The format of a file's content."""
    start = content.lstrip()[:1000]
    if start[:1] in (b"{", b"["):
        return "json"
    if _is_pickle(content):
        return "pickle"
    if content[:6] == b"MATLAB":
        return "mat"
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
            entry | {"label": name_of(entry["label"], classes)}
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
            raise Problem(f"video {quoted(video)}: expected a list")
        changed[str(video)] = [
            change(entry) if isinstance(entry, dict) else entry
            for entry in entries
        ]
    return changed
