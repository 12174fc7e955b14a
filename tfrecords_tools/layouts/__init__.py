"""The on-disk layouts that users already have, one reader each.

acmnet (ACM-Net, ASM-Loc), [T, D] RGB then flow:
    gt.json  split_train.txt  split_test.txt  train/VIDEO.npy  test/VIDEO.npy

basnet (BaS-Net, UM, CoLA), two streams of [T, D / 2]:
    gt.json  features/{train,test}/{rgb,flow}/VIDEO.npy

folders (one's own videos):
    labels.csv  rgb/VIDEO.npy  flow/VIDEO.npy
    labels.csv  joined/VIDEO.npy       or      labels.csv  VIDEO.npy

The annotations may be either kind of file, and lie elsewhere, in all three.
A file may be called v_VIDEO.npy where the annotations, as ActivityNet's, have
no "v_". No features are loaded here.
"""

import dataclasses
import pathlib

from tfrecords_tools import labels, splits
from tfwstal.errors import InputError


@dataclasses.dataclass(frozen=True)
class SourceVideo:
    """One video to convert.

    Attributes:
        video_id: name in the annotations.
        split: "train", "test", or a name of the annotations.
        feature_files: one file, RGB then flow joined, or the two.
        labels: names of its actions, in the order of the classes.
        segments: (start, end, label), seconds.
        duration: seconds as annotated, or None.
        fps: frame rate the features were extracted at.
        frames_per_snippet: frames from one snippet's start to the next one's.
    """

    video_id: str
    split: str
    feature_files: tuple[pathlib.Path, ...]
    labels: tuple[str, ...]
    segments: tuple[tuple[float, float, str], ...]
    duration: float | None
    fps: float
    frames_per_snippet: int


@dataclasses.dataclass(frozen=True)
class Source:
    """What `discover` found.

    Attributes:
        layout: name of the layout.
        annotations: path of the annotation file.
        classes: action names; class index c is classes[c - 1].
        classes_from: where their order comes from.
        splits_from: where the splits come from.
        videos: those to convert, sorted by id.
        left_out: (video, reason) of every other video, sorted.
        bad_segments: of `videos`, as `annotations.read_ground_truth` has them.
    """

    layout: str
    annotations: pathlib.Path
    classes: tuple[str, ...]
    classes_from: str
    splits_from: str
    videos: tuple[SourceVideo, ...]
    left_out: tuple[tuple[str, str], ...]
    bad_segments: tuple


def discover(config):
    """Finds the videos of --features_dir, their labels and their splits.

    Args:
        config: Config; its flags of convert are used.

    Returns:
        Source.

    Raises:
        InputError: if anything is missing, contradictory or ambiguous.
    """
    config.require("features_dir")
    root = pathlib.Path(config.features_dir)
    if not root.is_dir():
        raise InputError(f"--features_dir={root}: no such folder")
    layout, streams = _find_layout(root, config.layout)
    listing = {
        split: [{path.stem for path in f.glob("*.npy")} for f in folders]
        for split, folders in streams.items()
    }
    path = labels.find_annotations(
        root, config.annotations, prefer_csv=layout == "folders"
    )
    labelled, bad = labels.read_annotations(path, config.bad_segments)
    classes, classes_from = labels.read_classes(root, config.classes, labelled)
    split_of, splits_from, left_out = splits.assign(
        labelled,
        path,
        root,
        {split: set().union(*names) for split, names in listing.items()},
    )
    labels.check(labelled, split_of, classes, path, classes_from)
    files, missing = _find_files(split_of, streams, listing)
    if missing and config.missing_features == "error":
        raise _missing_error(missing)
    for name, file in missing.items():
        left_out[name] = f"{file.relative_to(root).as_posix()} is missing"
    for name in _unlabelled(listing, labelled):
        left_out[name] = f"features without an entry in {path.name}"
    if not files:
        raise InputError(
            f"{root}: none of the {len(labelled)} videos of {path} is left to "
            "convert; check --features_dir and --annotations"
        )
    return Source(
        layout=layout,
        annotations=path,
        classes=classes,
        classes_from=classes_from,
        splits_from=splits_from,
        videos=tuple(
            _source_video(labelled[n], split_of[n], files[n], classes, config)
            for n in sorted(files)
        ),
        left_out=tuple(sorted(left_out.items())),
        bad_segments=tuple(item for item in bad if item.video_id in files),
    )


# A reader returns split -> folders of its streams, with the key None where
# the layout has no splits, or None if the folder is not laid out so.


def read_acmnet(root):
    """{train,test}/VIDEO.npy."""
    streams = {split: (root / split,) for split in ("train", "test")}
    if any(_has_features(folder) for (folder,) in streams.values()):
        return streams
    return None


def read_basnet(root):
    """features/{train,test}/{rgb,flow}/VIDEO.npy, or without features/."""
    for base in (root / "features", root):
        streams = {
            split: (base / split / "rgb", base / split / "flow")
            for split in ("train", "test")
        }
        if any(map(_has_features, sum(streams.values(), ()))):
            return streams
    return None


def read_folders(root):
    """{rgb,flow}/VIDEO.npy, joined/VIDEO.npy or VIDEO.npy."""
    two = (root / "rgb", root / "flow")
    found = [(folder,) for folder in (root / "joined", root)]
    found = [streams for streams in found if _has_features(*streams)]
    if any(map(_has_features, two)):
        found.append(two)
    if len(found) > 1:
        raise InputError(
            f"{root} has features in more than one place: "
            + " and ".join(str(folders[0]) for folders in found)
            + "; leave one of them there"
        )
    return {None: found[0]} if found else None


_READERS = {
    "acmnet": read_acmnet,
    "basnet": read_basnet,
    "folders": read_folders,
}


def _find_layout(root, layout):
    """Name of the layout and its streams; `layout` may be "auto"."""
    known = list(_READERS) if layout == "auto" else [layout]
    found = {name: _READERS[name](root) for name in known}
    found = {name: streams for name, streams in found.items() if streams}
    if len(found) == 1:
        return found.popitem()
    if found:
        raise InputError(
            f"{root} fits the layouts {' and '.join(found)}; choose one with "
            "--layout"
        )
    expected = "; ".join(
        f"{name}: {' '.join(_READERS[name].__doc__.split())}" for name in known
    )
    raise InputError(
        f"{root} has no .npy where --layout={layout} looks for them "
        f"({expected})"
    )


def _has_features(folder):
    return folder.is_dir() and any(folder.glob("*.npy"))


def _find_files(split_of, streams, listing):
    """The feature files of each video.

    Returns:
        dict video id -> paths, of the videos that have them all, and dict
        video id -> first missing path, of the others.
    """
    files, missing = {}, {}
    for name in sorted(split_of):
        key = None if None in streams else split_of[name]
        if key not in streams:
            raise InputError(
                f"video {name!r} is of the split {key!r}, but the features "
                "lie in train and test; list it in split_train.txt or "
                "split_test.txt"
            )
        paths = []
        for folder, names in zip(streams[key], listing[key], strict=True):
            known = splits.known_name(name, names)
            if known != name and known in split_of:  # another video's
                known = None
            paths.append(folder / f"{known or name}.npy")
            if known is None:
                missing.setdefault(name, paths[-1])
        files[name] = tuple(paths)
    return {n: p for n, p in files.items() if n not in missing}, missing


def _missing_error(missing):
    name, file = next(iter(missing.items()))
    others = len(missing) - 1
    count = f" (and of {others} more)" if others else ""
    return InputError(
        f"{file} is missing, the features of video {name!r}{count}; add it, "
        "or leave such videos out with --missing_features=skip"
    )


def _unlabelled(listing, labelled):
    """Names of feature files that belong to no annotated video, sorted."""
    found = set().union(*(names for part in listing.values() for names in part))
    return sorted(n for n in found if not splits.known_name(n, labelled))


def _source_video(video, split, files, classes, config):
    """SourceVideo of a LabelledVideo."""
    return SourceVideo(
        video_id=video.video_id,
        split=split,
        feature_files=files,
        labels=tuple(sorted(video.labels, key=classes.index)),
        segments=video.segments,
        duration=video.duration,
        fps=video.fps or config.fps,
        frames_per_snippet=(
            video.frames_per_snippet or config.frames_per_snippet
        ),
    )
