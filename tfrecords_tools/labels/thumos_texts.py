"""THUMOS-14's own annotations: a text file for each class and subset.

    .../CLASS_val.txt   .../CLASS_test.txt     VIDEO  START  END, in seconds
    .../detclasslist.txt                       NUMBER CLASS

as in the challenge's archives (https://www.crcv.ucf.edu/THUMOS14), unpacked
into one folder. "Ambiguous" is no class; what it marks is left out, as in the
challenge, and counted.
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
    """The folders of such files, [] or [root]."""
    found = _class_files(root)
    # Other files may end in _test.txt.
    known = any(
        label == _AMBIGUOUS or (path.parent / _LIST).exists()
        for path, label, _ in found
    )
    return [root] if known else []


def read(folder):
    """Reads the files in a folder and the folders in it.

    Returns:
        A pair of a dict as under "database" in ActivityNet JSON, and a tuple
        of `activitynet.BadSegment`, the ambiguous ones.

    Raises:
        InputError: if there is no such file, or a line is no segment; names
            the line.
    """
    files = _class_files(folder)
    if not files:
        raise InputError(
            f"--annotations={folder} holds neither W-TALC's videoname.npy nor "
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
                    f"{path}, line {number}: video {name!r} is of the subset "
                    f"{video['subset']!r} elsewhere; correct one"
                )
            video["annotations"].append(
                {"label": label, "segment": [start, end]}
            )
    return database, tuple(ambiguous)


def read_classes(folder):
    """The classes of detclasslist.txt, or else of the file names, sorted.

    Returns:
        list of names, and the path that they come from.
    """
    lists = [
        path for depth in _DEPTHS for path in sorted(folder.glob(depth + _LIST))
    ]
    if lists:
        return [line.split()[-1] for line in read_lines(lists[0])], lists[0]
    labels = {label for _, label, _ in _class_files(folder)}
    return sorted(labels - {_AMBIGUOUS}), folder


def _class_files(folder):
    """(path, label, subset) of each file, down to two folders below."""
    found = {}
    for ending, subset in _SUBSETS.items():
        for depth in _DEPTHS:
            for path in sorted(folder.glob(f"{depth}*{ending}.txt")):
                label = path.stem.removesuffix(ending)
                # split_test.txt is a list of videos, and W-TALC's folders
                # have the ambiguous segments of the test videos.
                if label == "split" or (path.parent / "videoname.npy").exists():
                    continue
                if path.name in found:
                    raise InputError(
                        f"{path} and {found[path.name][0]} are both of "
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
            f"{where}: {' '.join(texts)[:40]!r} is no START END in seconds; "
            "correct the line"
        ) from None
    return start, end
