"""Ground truth and detections in columns, and their checks."""

import collections.abc
import dataclasses

import numpy as np

from .matching import as_segments


@dataclasses.dataclass(frozen=True)
class Instances:
    """Ground truth in columns, one row per instance.

    Attributes:
        videos: [M] video of each instance; hashable.
        labels: [M] class of each instance; hashable and sortable.
        segments: [M, 2] start and end.
    """

    videos: collections.abc.Sequence
    labels: collections.abc.Sequence
    segments: collections.abc.Sequence

    @classmethod
    def of_videos(cls, truth):
        """The Instances of a dict: video -> (segments [N, 2], labels [N])."""
        videos, labels, segments = [], [], []
        for video, (video_segments, video_labels) in truth.items():
            videos += [video] * len(video_labels)
            labels += video_labels.tolist()
            segments += video_segments.tolist()
        return cls(videos, labels, segments)


@dataclasses.dataclass(frozen=True)
class Detections:
    """Detections in columns, one row per detection, in any order.

    Attributes:
        videos: [N] video of each detection.
        labels: [N] class of each detection.
        segments: [N, 2] start and end.
        scores: [N], higher for more confident detections.
    """

    videos: collections.abc.Sequence
    labels: collections.abc.Sequence
    segments: collections.abc.Sequence
    scores: collections.abc.Sequence


def indices(values, index):
    """[N] int64, index[value] of each value, -1 for unknown ones."""
    return np.fromiter(
        (index.get(value, -1) for value in values), np.int64, len(values)
    )


def checked_columns(columns):
    """The segments [N, 2] of Instances or Detections.

    Raises:
        ValueError: if columns differ in length, a number is not finite or a
            segment is reversed.
    """
    segments = as_segments(columns.segments)
    numbers = [segments]
    lengths = [len(columns.videos), len(columns.labels), len(segments)]
    if isinstance(columns, Detections):
        numbers.append(np.asarray(columns.scores, dtype=np.float64))
        lengths.append(len(columns.scores))
    name = type(columns).__name__
    if len(set(lengths)) > 1:
        raise ValueError(f"the columns of {name} differ in length: {lengths}")
    if not all(np.isfinite(n).all() for n in numbers):
        raise ValueError(f"{name} hold a number that is not finite")
    if (segments[:, 1] < segments[:, 0]).any():
        raise ValueError(f"{name} hold a segment that ends before it starts")
    return segments
