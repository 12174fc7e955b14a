"""The videos of a set, one at a time, from records or from raw folders."""

import collections.abc
import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tfrecords_tools import layouts
from tfwstal.data import feature_files, folder, reader
from tfwstal.data import record as record_format
from tfwstal.errors import InputError


@dataclasses.dataclass(frozen=True)
class Video:
    """One video.

    Attributes:
        video_id: its name.
        split: "train", "test", or a name of the annotations.
        labels: names of its actions.
        segments: (start, end, label), seconds.
        duration: seconds as annotated, or None.
        seconds_per_snippet: time from the start of a snippet to the next.
        source: its serialized record, or the paths of its feature files.
        features: [T, D] float32, RGB then flow; None if there is a problem.
        problem: why the features cannot be used, or "".
    """

    video_id: str
    split: str
    labels: tuple[str, ...]
    segments: tuple[tuple[float, float, str], ...]
    duration: float | None
    seconds_per_snippet: float
    source: bytes | tuple[pathlib.Path, ...]
    features: np.ndarray | None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Collection:
    """A set of videos that are read on demand.

    Attributes:
        about: dict for the report: what the set is, and its paths.
        classes: action names in order.
        num_videos: number of videos that `read` yields.
        left_out: (video, reason) of each video that `read` leaves out.
        dropped_segments: (video, detail) of each segment left out.
        names: function that returns the ids of the videos.
        read: function that yields each Video, or only the one whose id is its
            argument `only`.
        files: paths of the files that are read.
    """

    about: dict
    classes: tuple[str, ...]
    num_videos: int
    left_out: tuple[tuple[str, str], ...]
    dropped_segments: tuple[tuple[str, str], ...]
    names: collections.abc.Callable
    read: collections.abc.Callable
    files: tuple[pathlib.Path, ...]


def find(config):
    """The Collection of --data_dir or of --features_dir.

    Raises:
        InputError: if not exactly one of them is given, or it cannot be read.
    """
    if bool(config.data_dir) == bool(config.features_dir):
        raise InputError(
            "either --data_dir (records) or --features_dir is needed"
            + (", not both" if config.data_dir else "; see --help")
        )
    if config.data_dir:
        return of_records(config.data_dir)
    return of_features(config)


def of_records(data_dir):
    """The Collection of a folder that convert wrote."""
    info = folder.read(data_dir)
    splits = [split for split, shards in info.splits.items() if shards]
    if not splits:
        raise InputError(f"{data_dir} contains no video; convert again")

    def names():
        found = (reader.video_labels(info, data_dir, s) for s in splits)
        return [name for labels in found for name in labels]

    def read(only=None):
        for split in splits:
            paths = info.shard_paths(data_dir, split)
            with reader.readable(data_dir):
                for record in tf.data.TFRecordDataset(paths):
                    name = record_format.parse_labels(record)[
                        "video_id"
                    ].numpy()
                    if only is None or name.decode() == only:
                        yield _of_record(record, split, info, data_dir)

    return Collection(
        about={
            "records": str(data_dir),
            "storage_dtype": info.storage_dtype,
        },
        classes=info.classes,
        num_videos=sum(info.num_videos(split) for split in splits),
        left_out=tuple(
            (item["video"], item["reason"])
            for item in info.provenance.get("left_out", ())
        ),
        dropped_segments=tuple(
            (
                item["video"],
                _sentence(item["label"], *item["segment"], item["reason"]),
            )
            for item in info.provenance.get("bad_segments", ())
            if not item["kept"]
        ),
        names=names,
        read=read,
        files=tuple(folder.files_of(data_dir)),
    )


def of_features(config):
    """The Collection of a folder that convert can read.

    Missing files and bad segments, which stop convert, are reported instead.
    """
    source = layouts.discover(
        dataclasses.replace(
            config, missing_features="skip", bad_segments="keep"
        )
    )

    def read(only=None):
        for video in source.videos:
            if only is None or video.video_id == only:
                yield _of_files(video)

    return Collection(
        about={
            "features": config.features_dir,
            "layout": source.layout,
            "annotations": str(source.annotations),
            "splits_from": source.splits_from,
        },
        classes=source.classes,
        num_videos=len(source.videos),
        left_out=source.left_out,
        dropped_segments=tuple(
            (
                bad.video_id,
                _sentence(
                    bad.segment.label,
                    bad.segment.start,
                    bad.segment.end,
                    bad.reason,
                ),
            )
            for bad in source.bad_segments
            if not bad.kept
        ),
        names=lambda: [video.video_id for video in source.videos],
        read=read,
        files=tuple(_files_of(source, config)),
    )


def _files_of(source, config):
    """Paths of the features, the annotations and the lists of a Source."""
    for video in source.videos:
        for place in video.feature_files:
            yield place if isinstance(place, pathlib.Path) else place.path
    root = pathlib.Path(config.features_dir)
    yield from (root / "classes.txt", pathlib.Path(config.classes))
    yield source.annotations
    yield from source.annotations.rglob("*")  # if it is a folder
    for folder_of_lists in (root, source.annotations.parent):
        for split in ("train", "test"):
            yield folder_of_lists / f"split_{split}.txt"


def _of_record(record, split, info, data_dir):
    """The Video of a serialized record."""
    video = record_format.parse_video(record, info.feature_dim)
    truth = record_format.parse_ground_truth(record)
    name = video["video_id"].numpy().decode()

    def label(index):
        if not 1 <= index <= len(info.classes):
            raise InputError(
                f"{data_dir}: video {name!r} has the class index {index}, but "
                f"metadata.json lists {len(info.classes)} classes; convert "
                "again"
            )
        return info.classes[index - 1]

    return Video(
        video_id=name,
        split=split,
        labels=tuple(label(i) for i in video["label_indices"].numpy()),
        segments=tuple(
            (float(start), float(end), label(index))
            for (start, end), index in zip(
                truth["segments"].numpy(),
                truth["label_indices"].numpy(),
                strict=True,
            )
        ),
        duration=float(truth["duration"]) or None,
        seconds_per_snippet=float(video["seconds_per_snippet"]),
        source=record.numpy(),
        features=video["features"].numpy(),
    )


def _of_files(video):
    """The Video of a SourceVideo."""
    values, problem = None, ""
    try:
        length = feature_files.inspect(video.feature_files).num_snippets
        values, _ = feature_files.load(video.feature_files, length)
    except InputError as error:
        problem = str(error)
    return Video(
        video_id=video.video_id,
        split=video.split,
        labels=video.labels,
        segments=video.segments,
        duration=video.duration,
        seconds_per_snippet=record_format.seconds_per_snippet(
            video.fps, video.frames_per_snippet
        ),
        source=video.feature_files,
        features=values,
        problem=problem,
    )


def _sentence(label, start, end, reason):
    return f"segment [{start:g}, {end:g}] of {label!r} {reason}"
