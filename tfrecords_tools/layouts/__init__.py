"""Supported layouts of feature folders, one reader each.

acmnet (ACM-Net, ASM-Loc), [T, D] RGB then flow:
    gt.json  split_train.txt  split_test.txt  train/VIDEO.npy  test/VIDEO.npy

basnet (BaS-Net, UM, CoLA), two streams of [T, D / 2]:
    gt.json  features/{train,test}/{rgb,flow}/VIDEO.npy

folders (your own videos):
    labels.csv  rgb/VIDEO.npy  flow/VIDEO.npy
    labels.csv  joined/VIDEO.npy       or      labels.csv  VIDEO.npy

actionformer (ActionFormer, OpenTAD), features at the frame rate of each video:
    annotations/NAME.json  i3d_features/VIDEO.npy

wtalc (W-TALC, HAM-Net, CO2-Net, DELU, FAC-Net), all videos in one file:
    NAME-I3D-JOINTFeatures.npy  NAME-Annotations/*.npy

npz, hdf5, with any annotations (`archives`):
    NAME.npz  NAME.h5  {rgb,flow}.npz  {train,test}.h5  VIDEO.npz

In all layouts the annotations may be of any kind that `labels` reads, and may
be elsewhere. A file may be named v_VIDEO.npy if the annotations have no "v_",
like those of ActivityNet. This package does not load features.
"""

import collections
import dataclasses
import itertools
import pathlib

from tfrecords_tools import labels
from tfrecords_tools.labels.source_video import SourceVideo
from tfrecords_tools.layouts import archives, joint_file, separate_files, splits
from tfwstal.errors import InputError


@dataclasses.dataclass(frozen=True)
class Source:
    """The result of `discover`.

    Attributes:
        layout: name of the layout.
        annotations: path of the annotation file or folder.
        classes: action names; class index c is classes[c - 1].
        classes_from: source of their order.
        splits_from: source of the splits.
        videos: the SourceVideos to convert, sorted by id.
        left_out: (video, reason) of every other video, sorted.
        bad_segments: BadSegments of `videos`, see
            `activitynet.read_ground_truth`.
        notes: (video, note about its annotations) of `videos`, sorted.
        table: path of labels.csv, if it states time scales beside gt.json.
    """

    layout: str
    annotations: pathlib.Path
    classes: tuple[str, ...]
    classes_from: str
    splits_from: str
    videos: tuple[SourceVideo, ...]
    left_out: tuple[tuple[str, str], ...]
    bad_segments: tuple
    notes: tuple[tuple[str, str], ...] = ()
    table: pathlib.Path | None = None

    def doubts(self):
        """What is legal, but seldom meant, as sentences."""
        counts = collections.Counter(video.split for video in self.videos)
        usual = {"train", "test"}
        if counts["test"]:
            usual.add("validation")
        trained = {
            label
            for video in self.videos
            if video.split == "train"
            for label in video.labels
        }
        untrained = [c for c in self.classes if c not in trained]
        spellings = {}
        for name in self.classes:
            spellings.setdefault(name.casefold(), []).append(name)
        found = [
            f"the split {name!r} has {counts[name]} videos; train and "
            "localize use train and test unless told otherwise"
            for name in sorted(counts.keys() - usual)
        ]
        if counts["train"] and untrained:
            found.append(
                f"{len(untrained)} classes have no training video, such as "
                f"{untrained[0]!r}"
            )
        found += [
            f"the classes {' and '.join(map(repr, names))} differ in case alone"
            for names in spellings.values()
            if len(names) > 1
        ]
        joined = [name for name in self.classes if "," in name]
        if joined and self.annotations.suffix == ".csv":
            found.append(
                f"the class {joined[0]!r} has a comma in its name; "
                f"{self.annotations.name} separates several labels by ;"
            )
        if self.table:
            found.append(
                f"{self.table.name} beside {self.annotations.name}: labels, "
                "segments and splits are taken from the latter, frame rates "
                "and frames per snippet from the former"
            )
        return found


def discover(config):
    """Finds the videos of --features_dir, their labels and their splits.

    Args:
        config: Config with the flags of `convert`.

    Returns:
        Source.

    Raises:
        InputError: if anything is missing, contradictory or ambiguous.
    """
    config.require("features_dir")
    root = pathlib.Path(config.features_dir)
    if not root.is_dir():
        raise InputError(f"--features_dir={root}: no such folder")
    layout, streams = _find_layout(root, config)
    path = labels.find_annotations(root, config.annotations)
    labelled, bad = labels.read_annotations(path, config.bad_segments)
    table = labels.find_table(root, config.annotations, path)
    if table:
        labelled = labels.add_time_scales(labelled, path, table)
    if layout == "actionformer":
        labelled = _at_own_frame_rate(labelled, path)
    classes, classes_from = labels.read_classes(
        root, config.classes, path, labelled
    )
    split_of, splits_from, left_out = splits.assign(
        labelled,
        path,
        root,
        {
            split: set().union(*(stream.places for stream in part))
            for split, part in streams.items()
        },
    )
    labels.check(labelled, split_of, classes, path, classes_from)
    files, missing = _find_files(split_of, streams)
    if missing and config.missing_features == "error":
        raise _missing_error(root, missing)
    for name, place in missing.items():
        left_out[name] = f"{place} is missing"
    for name in _unlabelled(streams, labelled):
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
            dataclasses.replace(
                labelled[name],
                split=split_of[name],
                feature_files=files[name],
                labels=tuple(sorted(labelled[name].labels, key=classes.index)),
                fps=labelled[name].fps or config.fps,
                frames_per_snippet=labelled[name].frames_per_snippet
                or config.frames_per_snippet,
            )
            for name in sorted(files)
        ),
        left_out=tuple(sorted(left_out.items())),
        bad_segments=tuple(item for item in bad if item.video_id in files),
        table=table,
        notes=tuple(
            (name, labelled[name].note)
            for name in sorted(files)
            if labelled[name].note
        ),
    )


_READERS = {
    "acmnet": separate_files.read_acmnet,
    "basnet": separate_files.read_basnet,
    "folders": separate_files.read_folders,
    "actionformer": separate_files.read_actionformer,
    "wtalc": joint_file.read_wtalc,
    "npz": archives.read_npz,
    "hdf5": archives.read_hdf5,
}


def _find_layout(root, config):
    """Returns the name of the layout and its streams."""
    layout = config.layout
    known = list(_READERS) if layout == "auto" else [layout]
    found = {name: _READERS[name](root, config) for name in known}
    found = {name: streams for name, streams in found.items() if streams}
    if len(found) == 1:
        return found.popitem()
    if found:
        hint = (
            "; actionformer uses the frame rates in the annotations, folders "
            "uses --fps"
            if {"actionformer", "folders"} <= found.keys()
            else ""
        )
        raise InputError(
            f"{root} matches the layouts {' and '.join(found)}; choose one "
            f"with --layout{hint}"
        )
    expected = "; ".join(
        f"{name}: {' '.join(_READERS[name].__doc__.split())}" for name in known
    )
    foreign = next(itertools.chain(root.rglob("*.pt"), root.rglob("*.pth")), "")
    raise InputError(
        f"{root} has no features where --layout={layout} looks for them "
        + (
            f"({foreign} is PyTorch's format; save arrays with numpy.save)"
            if foreign
            else f"({expected})"
        )
    )


def _at_own_frame_rate(labelled, path):
    """The videos, with their own frame rate as the rate of the features."""
    for name, video in labelled.items():
        if not video.video_fps:
            raise InputError(
                f"{path}: video {name!r} has neither 'fps' nor 'frame' and "
                "'duration', which --layout=actionformer needs; add them, or "
                "use --layout=folders --fps=RATE"
            )
    return {
        name: dataclasses.replace(video, fps=video.video_fps)
        for name, video in labelled.items()
    }


def _find_files(split_of, streams):
    """Finds the features of each video.

    Returns:
        dict video id -> places, for videos with all features, and dict
        video id -> first missing place, as text, for the others.
    """
    files, missing = {}, {}
    for name in sorted(split_of):
        key = None if None in streams else split_of[name]
        if key not in streams:
            raise InputError(
                f"video {name!r} is in the split {key!r}, but the features are "
                f"in {' and '.join(sorted(streams))}; list it in "
                "split_train.txt or split_test.txt"
            )
        places = []
        for stream in streams[key]:
            known = splits.known_name(name, stream.places)
            if known != name and known in split_of:  # of another video
                known = None
            if known is None:
                missing.setdefault(name, stream.where(name))
            else:
                places.append(stream.places[known])
        files[name] = tuple(places)
    return {n: p for n, p in files.items() if n not in missing}, missing


def _missing_error(root, missing):
    name, place = next(iter(missing.items()))
    others = len(missing) - 1
    count = f" (and of {others} more)" if others else ""
    return InputError(
        f"{root / place} is missing, the features of video {name!r}{count}; "
        "add it, or leave such videos out with --missing_features=skip"
    )


def _unlabelled(streams, labelled):
    """Names of features without an annotated video, sorted."""
    found = set().union(*(s.places for part in streams.values() for s in part))
    return sorted(n for n in found if not splits.known_name(n, labelled))
