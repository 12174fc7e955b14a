"""THUMOS-14's annotations: a text file for each class and subset.

    .../CLASS_val.txt   .../CLASS_test.txt     VIDEO  START  END, in seconds
    .../detclasslist.txt                       NUMBER CLASS

These are the archives of the challenge (https://www.crcv.ucf.edu/THUMOS14),
unpacked into one folder. "Ambiguous" is not a class; its segments are left out,
as in the challenge, and counted.
"""

import math

from tfrecords_tools.labels.source_video import read_lines
from tfwstal.data.annotations import BadSegment, Segment
from tfwstal.errors import InputError
from tfwstal.files import numbered_lines

_AMBIGUOUS = "Ambiguous"
_SUBSETS = {"_val": "validation", "_test": "test"}
_LIST = "detclasslist.txt"
_DEPTHS = ("", "*/", "*/*/")


def find(root):
    """Returns [root] if it has such files, else []."""
    found = _class_files(root)
    # The names of other files may also end in _test.txt.
    known = any(
        label == _AMBIGUOUS or (path.parent / _LIST).exists()
        for path, label, _ in found
    )
    return [root] if known else []


def read(folder):
    """Reads the files in a folder and its subfolders.

    Returns:
        A pair of a dict like "database" in ActivityNet JSON, and a tuple of
        the ambiguous segments as BadSegments.

    Raises:
        InputError: if there is no such file, or a line is not a segment; names
            the line.
    """
    files = _class_files(folder)
    if not files:
        raise InputError(
            f"--annotations={folder} has neither W-TALC's videoname.npy nor "
            "THUMOS-14's CLASS_val.txt and CLASS_test.txt; check the path"
        )
    database, ambiguous = {}, []
    for path, label, subset in files:
        for number, line in numbered_lines(path):
            name, *times = line.split()
            start, end = _times(f"{path}, line {number}", times)
            if label == _AMBIGUOUS:
                reason = "is ambiguous, of no class"
                segment = Segment(label, start, end)
                ambiguous.append(BadSegment(name, segment, reason, False))
                continue
            video = database.setdefault(
                name, {"subset": subset, "annotations": []}
            )
            if video["subset"] != subset:
                raise InputError(
                    f"{path}, line {number}: video {name!r} is in the subset "
                    f"{video['subset']!r} elsewhere; correct one"
                )
            video["annotations"].append(
                {"label": label, "segment": [start, end]}
            )
    return database, tuple(ambiguous)


def read_classes(folder):
    """Reads the classes from detclasslist.txt, or else from the file names.

    Returns:
        list of names, and the path of their source.
    """
    lists = [
        path for depth in _DEPTHS for path in sorted(folder.glob(depth + _LIST))
    ]
    if lists:
        return [line.split()[-1] for line in read_lines(lists[0])], lists[0]
    labels = {label for _, label, _ in _class_files(folder)}
    return sorted(labels - {_AMBIGUOUS}), folder


def _class_files(folder):
    """(path, label, subset) of each file, up to two folders deep."""
    found = {}
    for ending, subset in _SUBSETS.items():
        for depth in _DEPTHS:
            for path in sorted(folder.glob(f"{depth}*{ending}.txt")):
                label = path.stem.removesuffix(ending)
                # split_test.txt is a list of videos, and the folders of W-TALC
                # have a file of ambiguous segments.
                if label == "split" or (path.parent / "videoname.npy").exists():
                    continue
                if path.name in found:
                    raise InputError(
                        f"{path} and {found[path.name][0]} are both for "
                        f"{label!r}; remove one"
                    )
                found[path.name] = (path, label, subset)
    return list(found.values())


def _times(where, texts):
    """(start, end) in seconds."""
    try:
        start, end = map(float, texts)
        if not math.isfinite(start) or not math.isfinite(end):
            raise ValueError
    except ValueError:
        raise InputError(
            f"{where}: {' '.join(texts)[:40]!r} is not START END in seconds; "
            "correct the line"
        ) from None
    return start, end
