"""Decides on the split of each video.

The first of these that exists decides: the column `split` of labels.csv; the
lists split_train.txt and split_test.txt, beside the annotations or else in
--features_dir; the folder of the features, if the layout has a folder for each
split; the subset in gt.json.
"""

from tfrecords_tools import labels
from tfwstal.errors import InputError, quoted

# ActivityNet's files and lists add it to the names in the annotations.
PREFIX = "v_"

_TRAIN = ("train", "training")
_VALIDATION = ("val", "validation")
_TEST = ("test", "testing")


def assign(labelled, annotations, features_dir, listing):
    """Decides on the split of each annotated video.

    Args:
        labelled: dict video id -> SourceVideo.
        annotations: path of their file.
        features_dir: pathlib.Path.
        listing: dict split, or None for no split -> names of feature files.

    Returns:
        A dict video id -> split, the source of the splits, and a dict
        video id -> reason, for videos without a split.

    Raises:
        InputError: if a video is in two splits, or listed but not annotated.
    """
    if any(video.split for video in labelled.values()):
        splits = {name: video.split for name, video in labelled.items()}
        source, reason = annotations.name, ""
    elif lists := read_lists([annotations.parent, features_dir]):
        splits = _with_known_names(lists, labelled, annotations)
        source = " and ".join(sorted({path.name for path in lists.values()}))
        reason = f"not in {source}"
    else:
        splits = subsets = of_subsets(labelled.values())
        from_subsets = any(video.subset for video in labelled.values())
        source = "subsets" if from_subsets else "default"
        reason = "subset without annotations"
        if None not in listing:
            inside = {name: _folder_of(name, listing) for name in labelled}
            splits = {name: inside[name] or subsets[name] for name in labelled}
            source = "folders"
    splits = {name: split for name, split in splits.items() if split}
    for name, split in splits.items():
        if not split.isidentifier():  # it becomes part of a file's name
            raise InputError(
                f"{annotations}: video {name!r} has the split {quoted(split)}; "
                "use train or test"
            )
    return splits, source, {n: reason for n in labelled if n not in splits}


def read_lists(folders):
    """Reads split_train.txt and split_test.txt of the first folder with one.

    Returns:
        dict name -> path of its list; empty if there is no list.

    Raises:
        InputError: if a name is listed twice.
    """
    for folder in folders:
        paths = [folder / f"split_{split}.txt" for split in ("train", "test")]
        paths = [path for path in paths if path.is_file()]
        lists = {}
        for path in paths:
            for name in labels.read_lines(path):
                if name in lists:
                    raise InputError(
                        f"{path}: video {quoted(name)} is listed twice, here "
                        f"and in {lists[name].name}; remove one line"
                    )
                lists[name] = path
        if paths:
            return lists
    return {}


def of_subsets(videos):
    """Derives splits from the subsets in gt.json.

    "validation" is for training in THUMOS-14, which also has "test", and for
    testing in ActivityNet, which also has "training". ActivityNet's "testing"
    has no public annotations and gets None. A data set with annotations in all
    three keeps them. Without a subset, as in labels.csv, it is "train".

    Returns:
        dict video id -> split, or None.
    """
    videos = list(videos)
    subset_of = {v.video_id: (v.subset or "train").lower() for v in videos}
    subsets = set(subset_of.values())
    tested = any(v.labels and subset_of[v.video_id] in _TEST for v in videos)
    has_train = not subsets.isdisjoint(_TRAIN)
    has_validation = not subsets.isdisjoint(_VALIDATION)

    def split_of(subset):
        if subset in _TRAIN:
            return "train"
        if subset in _TEST:
            hidden = has_train and has_validation and not tested
            return None if hidden else "test"
        if subset not in _VALIDATION:
            return subset
        if has_train:
            return "validation" if tested else "test"
        return "test" if subset == "val" else "train"

    return {name: split_of(subset) for name, subset in subset_of.items()}


def known_name(name, names):
    """The form of `name` in `names`, with or without ActivityNet's "v_"."""
    for known in (name, PREFIX + name, name.removeprefix(PREFIX)):
        if known in names:
            return known
    return None


def _with_known_names(lists, labelled, annotations):
    """dict video id -> split, from dict listed name -> path."""
    splits = {}
    for name, path in lists.items():
        known = known_name(name, labelled)
        if known is None or known in splits:
            what = "is not in" if known is None else "is listed twice for"
            raise InputError(
                f"{path}: video {quoted(name)} {what} {annotations}; remove "
                "the line or correct it"
            )
        splits[known] = path.stem.removeprefix("split_")
    return splits


def _folder_of(name, listing):
    """The split whose folder has the features, or None."""
    found = [s for s, names in listing.items() if known_name(name, names)]
    if len(found) > 1:
        raise InputError(
            f"video {name!r} has features in both {' and '.join(found)}; "
            "remove one, or list its split in split_train.txt or "
            "split_test.txt"
        )
    return found[0] if found else None
