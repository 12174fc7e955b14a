"""W-TALC's annotations: a folder NAME-Annotations of .npy files.

    videoname  subset  duration          of each video
    segments  labels                     [start, end] and class of each action
    labels_all                           classes of each video
    classlist                            all classes

HAM-Net, CO2-Net, DELU and FAC-Net use the same files
(https://github.com/sujoyp/wtalc-pytorch). extracted_fps and original_fps are
not read: the former is wrong (issue 9 there: 25 fps, 16 frames a snippet), the
latter is not the frame rate of the features.
"""

import math

from tfrecords_tools import object_arrays
from tfwstal.errors import InputError

# Elements for each byte of a file: videos may share one list, but not so that
# nobody could go through them.
_MOST_SHARED = 100


def is_one(folder):
    """Whether a folder has such files."""
    return (folder / "videoname.npy").is_file()


def find(root):
    """Folders with such files: `root` or folders in it, sorted."""
    return [
        path
        for path in [root, *sorted(root.glob("*-Annotations"))]
        if is_one(path)
    ]


def read(folder):
    """Reads the folder.

    Returns:
        A pair of a dict like "database" in ActivityNet JSON, and a dict
        video id -> its labels in labels_all.npy, empty without that file.

    Raises:
        InputError: if a file is missing or damaged, or has another number of
            videos.
    """
    names = _column(folder, "videoname", _text)
    subsets = _column(folder, "subset", _text, len(names))
    durations = _optional(folder, "duration", _same, len(names))
    segments = _optional(folder, "segments", _items, len(names))
    labels = _optional(folder, "labels", _texts, len(names))
    labels_all = _optional(folder, "labels_all", _texts, len(names))
    if labels_all is None and (segments is None or labels is None):
        raise InputError(
            f"{folder} has neither labels_all.npy nor segments.npy with "
            "labels.npy; copy the folder again"
        )
    database = {}
    for index, name in enumerate(names):
        if name in database:
            raise InputError(
                f"{folder / 'videoname.npy'}[{index}]: video {name!r} is "
                "listed twice; remove one"
            )
        database[name] = {
            "subset": subsets[index],
            "duration": durations[index] if durations else None,
            "annotations": _pairs(folder, index, name, segments, labels),
        }
    stated = dict(zip(names, labels_all or (), strict=bool(labels_all)))
    return database, stated


def read_names(folder):
    """Names of the videos, in the order of the file of features."""
    return _column(folder, "videoname", _text)


def read_classes(folder):
    """The classes in classlist.npy, and its path."""
    return _column(folder, "classlist", _text), folder / "classlist.npy"


def _pairs(folder, index, name, segments, labels):
    """The annotations of one video."""
    if segments is None or labels is None:
        return []
    found, classes = segments[index], labels[index]
    if len(found) != len(classes):
        raise InputError(
            f"{folder}: video {name!r} (index {index}) has {len(found)} "
            f"segments in segments.npy, but {len(classes)} labels in "
            "labels.npy; correct the files"
        )
    return [
        {"segment": segment, "label": label}
        for segment, label in zip(found, classes, strict=True)
    ]


def _column(folder, name, convert, length=None):
    """The elements of one file."""
    path = folder / f"{name}.npy"
    found = object_arrays.read(path)
    if length is not None and len(found) != length:
        raise InputError(
            f"{path} has {len(found)} videos, but videoname.npy has {length}; "
            "copy the folder again"
        )
    elements, count = [], 0
    most = _MOST_SHARED * path.stat().st_size
    for index, value in enumerate(found):
        count += _length(value)
        if count > most:
            raise InputError(
                f"{path}[{index}]: the videos up to here have {count} "
                "elements, far more than the file's bytes; save it again"
            )
        try:
            elements.append(convert(value))
        except (TypeError, UnicodeDecodeError, RecursionError):
            raise InputError(
                f"{path}[{index}] is not a {_NOUNS[convert]}; correct the file"
            ) from None
    return elements


def _optional(folder, name, convert, length):
    """`_column`, or None if the file does not exist."""
    if not (folder / f"{name}.npy").is_file():
        return None
    return _column(folder, name, convert, length)


def _same(value):
    return value


def _length(value):
    """How many elements a list or an array has; 1 for anything else."""
    if isinstance(value, object_arrays.PickledArray):
        return math.prod(value.shape)
    return len(value) if isinstance(value, (list, tuple)) else 1


def _text(value):
    if isinstance(value, bytes):  # Python 2's text
        value = value.decode("utf-8")
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value):
    return [_text(item) for item in _items(value)]


def _items(value):
    """The elements of a list or an array, segments become [start, end].

    What is nested more deeply stays as it is, and is no segment.
    """
    return [_pair(item) for item in _elements(value)]


def _pair(item):
    try:
        elements = _elements(item)
    except TypeError:
        return item
    return elements if len(elements) <= 2 else item


def _elements(value):
    """The elements of a list, a tuple or an array, as a list."""
    if isinstance(value, object_arrays.PickledArray):
        if value.objects is None:
            return value.content()[0].tolist()
        value = value.objects
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return list(value)


_NOUNS = {_same: "number", _text: "text", _texts: "list", _items: "list"}
