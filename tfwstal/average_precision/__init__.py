"""Temporal IoU, average precision and mAP of detections, in NumPy.

Two protocols, each as its authors' kit counts, ties included:

activitynet: Evaluation/eval_detection.py of
https://github.com/activitynet/ActivityNet, interpolated AP. Detections of
equal score, and instances of equal tIoU with a detection, come in the order of
its `argsort()[::-1]` with NumPy's quicksort, see `unstable_sort`; up to 16
values that is the last first.

thumos14: TH14evalDet_Updated.m of the THUMOS-14 challenge
(http://crcv.ucf.edu/THUMOS14/), AP without interpolation. Equal scores come in
the order of the videos' names, then of the input.

One point is settled that both leave open: two identical segments of zero
length have tIoU 1, where the one divides by zero and the other says 0.

Shapes: H thresholds, C classes, N detections, M ground-truth instances.
Segments are [start, end] in seconds, or in any other unit.
"""

import collections.abc
import dataclasses

import numpy as np

from . import unstable_sort
from .matching import (
    as_segments,
    match_activitynet,
    match_thumos14,
    overlaps_any,
    segment_tiou,
)

__all__ = [
    "AVERAGES",
    "Detections",
    "Instances",
    "Matches",
    "MeanAveragePrecision",
    "averages",
    "interpolated_average_precision",
    "match",
    "mean_average_precision",
    "non_interpolated_average_precision",
    "overlaps",
    "precision_at_ranks",
    "segment_tiou",
    "thresholds_of_range",
]

# Averages over thresholds that papers quote, first:last[:step].
AVERAGES = ("0.1:0.5", "0.1:0.7", "0.5:0.95:0.05")


@dataclasses.dataclass(frozen=True)
class Instances:
    """Ground truth in columns, one row an instance.

    Attributes:
        videos: [M] video of each instance; anything that hashes.
        labels: [M] class of each instance; anything that hashes and sorts.
        segments: [M, 2] start and end.
    """

    videos: collections.abc.Sequence
    labels: collections.abc.Sequence
    segments: collections.abc.Sequence


@dataclasses.dataclass(frozen=True)
class Detections:
    """Detections in columns, one row a detection, in any order.

    Attributes:
        videos: [N] video of each detection.
        labels: [N] class of each detection.
        segments: [N, 2] start and end.
        scores: [N] the higher, the surer.
    """

    videos: collections.abc.Sequence
    labels: collections.abc.Sequence
    segments: collections.abc.Sequence
    scores: collections.abc.Sequence


@dataclasses.dataclass(frozen=True)
class MeanAveragePrecision:
    """What `mean_average_precision` finds.

    Attributes:
        thresholds: H tIoU thresholds, as they were asked for.
        labels: C classes of the ground truth, sorted.
        num_instances: [C] instances of each class.
        ap: [H, C] average precisions, from 0 to 1.
    """

    thresholds: tuple[float, ...]
    labels: tuple
    num_instances: np.ndarray
    ap: np.ndarray

    @property
    def mean_ap(self):
        """[H] mAP: the mean over all classes of the ground truth."""
        return self.ap.mean(axis=1)


@dataclasses.dataclass(frozen=True)
class Matches:
    """What `match` finds, a column a detection: by class, then best first.

    Only detections of classes that the ground truth has are there, K of them.

    Attributes:
        labels: C classes of the ground truth, sorted.
        num_instances: [C] instances of each class.
        rows: [K] row of each column in Detections.
        begins: [C + 1]; class c has the columns begins[c] to begins[c + 1].
        hits: [H, K] bool, true positives.
        counts: [H, K] bool, all but those that an ambiguous segment excuses.
        found: [H, M] bool, instances that are found.
    """

    labels: tuple
    num_instances: np.ndarray
    rows: np.ndarray
    begins: np.ndarray
    hits: np.ndarray
    counts: np.ndarray
    found: np.ndarray


def precision_at_ranks(is_true_positive, counts=None):
    """Precision at each rank.

    Args:
        is_true_positive: [H, N] bool, detections in descending score.
        counts: [H, N] bool, those that are no false positive either are
            False; None: all count.

    Returns:
        [H, N] float64 array; 0 before the first that counts.
    """
    is_true_positive = np.asarray(is_true_positive, dtype=bool)
    if counts is None:
        counts = np.ones_like(is_true_positive)
    ranks = np.cumsum(counts, axis=1)
    return np.cumsum(is_true_positive, axis=1) / np.maximum(ranks, 1)


def interpolated_average_precision(
    is_true_positive, num_ground_truth, counts=None
):
    """Area under the interpolated precision-recall curve of VOC 2011.

    The precision of a rank is the best at that rank or a later one. Recall
    rises by 1 / num_ground_truth at each true positive and nowhere else, so
    the area is a sum over the true positives.

    Args:
        is_true_positive, counts: as for `precision_at_ranks`.
        num_ground_truth: number of instances to find, at least 1.

    Returns:
        [H] float64 array; zeros without detections.

    Raises:
        ValueError: if there is nothing to find.
    """
    precision = precision_at_ranks(is_true_positive, counts)
    best_later = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return _mean_at_hits(best_later, is_true_positive, num_ground_truth)


def non_interpolated_average_precision(
    is_true_positive, num_ground_truth, counts=None
):
    """The mean over the instances of the precision at which each is found.

    Args, returns and raises: as `interpolated_average_precision`.
    """
    precision = precision_at_ranks(is_true_positive, counts)
    return _mean_at_hits(precision, is_true_positive, num_ground_truth)


# protocol -> how it matches, and how it averages.
_PROTOCOLS = {
    "activitynet": (match_activitynet, interpolated_average_precision),
    "thumos14": (match_thumos14, non_interpolated_average_precision),
}


def mean_average_precision(
    ground_truth,
    detections,
    thresholds,
    protocol="activitynet",
    ambiguous=None,
):
    """Average precision of each class at each tIoU threshold.

    A class without detections has AP 0. Detections of classes that the ground
    truth lacks don't count; detections of videos that it lacks are false
    positives.

    Args:
        ground_truth, detections, thresholds, protocol, ambiguous: as for
            `match`.

    Returns:
        MeanAveragePrecision.

    Raises:
        ValueError: as `match` does.
    """
    thresholds = tuple(float(t) for t in thresholds)
    matches = match(ground_truth, detections, thresholds, protocol, ambiguous)
    ap = []
    for c, num_instances in enumerate(matches.num_instances):
        columns = slice(matches.begins[c], matches.begins[c + 1])
        ap.append(
            _PROTOCOLS[protocol][1](
                matches.hits[:, columns],
                num_instances,
                matches.counts[:, columns],
            )
        )
    return MeanAveragePrecision(
        thresholds=thresholds,
        labels=matches.labels,
        num_instances=matches.num_instances,
        ap=np.stack(ap, axis=1),
    )


def match(
    ground_truth,
    detections,
    thresholds,
    protocol="activitynet",
    ambiguous=None,
):
    """Which detections are true positives, by the rules of a protocol.

    activitynet: class by class, detections come in descending score. Each
    takes, of its video's instances of its class, the one of highest tIoU that
    is still free and reaches the threshold (tIoU >= threshold).

    thumos14: in each video, the instances of a class come in the order of the
    input. Each takes the detection of highest tIoU that is still free and
    exceeds the threshold (tIoU > threshold), whatever its score.

    Equal scores and equal tIoU are settled as the module says. What has found
    no instance is a false positive, unless it overlaps an ambiguous segment
    at all: then it counts neither way.

    Args:
        ground_truth: Instances, at least one.
        detections: Detections.
        thresholds: H tIoU thresholds in any order, above 0.
        protocol: "activitynet" or "thumos14".
        ambiguous: Instances, of any label, or None.

    Returns:
        Matches.

    Raises:
        ValueError: if columns differ in length, a number is not finite, a
            segment is reversed, the ground truth is empty, or there is no such
            protocol.
    """
    if protocol not in _PROTOCOLS:
        raise ValueError(
            f"protocol={protocol!r}: must be one of {', '.join(_PROTOCOLS)}"
        )
    ambiguous = ambiguous or Instances([], [], [])
    instance_segments = _checked_columns(ground_truth)
    segments = _checked_columns(detections)
    ambiguous_segments = _checked_columns(ambiguous)
    if not len(instance_segments):
        raise ValueError("the ground truth holds no instance")
    labels = sorted(set(ground_truth.labels))
    classes = {label: c for c, label in enumerate(labels)}
    # In the order of their names: it settles equal scores in thumos14.
    videos = sorted({*ground_truth.videos, *detections.videos})
    videos = {video: i for i, video in enumerate(videos)}
    instance_class = _indices(ground_truth.labels, classes)  # [M]
    detected_class = _indices(detections.labels, classes)  # [N]
    detected_video = _indices(detections.videos, videos)

    rows = _ranked(detections.scores, detected_class, detected_video, protocol)
    detected_class, detected_video = detected_class[rows], detected_video[rows]
    segments = segments[rows]
    # One number for class and video.
    key = detected_class * len(videos) + detected_video
    instance_key = instance_class * len(videos) + _indices(
        ground_truth.videos, videos
    )
    hits, found = _PROTOCOLS[protocol][0](
        (key, segments),
        (instance_key, instance_segments),
        np.asarray(thresholds, dtype=np.float64),
    )
    excused = overlaps_any(
        (detected_video, segments),
        (_indices(ambiguous.videos, videos), ambiguous_segments),
    )
    return Matches(
        labels=tuple(labels),
        num_instances=np.bincount(instance_class, minlength=len(labels)),
        rows=rows,
        begins=np.searchsorted(detected_class, np.arange(len(labels) + 1)),
        hits=hits,
        counts=hits | ~excused,
        found=found,
    )


def overlaps(detections, ambiguous):
    """Which detections share time with an ambiguous segment of their video.

    Args:
        detections: Detections; ambiguous: Instances, of any label.

    Returns:
        [N] bool.
    """
    names = dict.fromkeys([*detections.videos, *ambiguous.videos])
    videos = {name: i for i, name in enumerate(names)}
    return overlaps_any(
        (_indices(detections.videos, videos), _checked_columns(detections)),
        (_indices(ambiguous.videos, videos), _checked_columns(ambiguous)),
    )


def averages(mean_ap, thresholds, ranges=AVERAGES):
    """The averages of mAP over thresholds that papers quote.

    Args:
        mean_ap: [H] mAP at each threshold.
        thresholds: the H thresholds.
        ranges: texts "first:last", in steps of 0.1, or "first:last:step".

    Returns:
        dict range -> float, of those ranges whose thresholds are all there;
        a step of 0.05 is not in the name, so "0.5:0.95".

    Raises:
        ValueError: for a range that is none; the message says which.
    """
    # Rounding makes 0.1 + 0.2 and 0.3 one key.
    by_threshold = {
        round(float(t), 6): float(m)
        for t, m in zip(thresholds, mean_ap, strict=True)
    }
    found = {}
    for text in ranges:
        wanted = thresholds_of_range(text)
        if all(t in by_threshold for t in wanted):
            name = text.removesuffix(":0.05")  # as papers have it
            found[name] = sum(by_threshold[t] for t in wanted) / len(wanted)
    return found


def thresholds_of_range(text):
    """The thresholds of "first:last[:step]", both ends too.

    Raises:
        ValueError: if it is no such range, or its steps miss its end.
    """
    try:
        first, last, step = [float(n) for n in (text + ":0.1").split(":")[:3]]
        count = round((last - first) / step)
        missed = abs(first + count * step - last) > 1e-6
    except (ValueError, OverflowError, ZeroDivisionError):
        count, missed = 0, True
    if missed or not 0 <= count < 10_000:
        raise ValueError(
            f"{text!r} is not first:last (in steps of 0.1) or first:last:step"
        )
    return [round(first + step * i, 6) for i in range(count + 1)]


def _ranked(scores, detected_class, detected_video, protocol):
    """[K] rows of known classes, by class and then by descending score."""
    scores = np.asarray(scores, dtype=np.float64)
    ties = {
        "activitynet": -np.arange(len(scores)),  # the last first
        "thumos14": detected_video,  # then, the sort is stable, the first first
    }
    rows = np.lexsort((ties[protocol], -scores, detected_class))
    rows = rows[detected_class[rows] >= 0]
    if protocol == "activitynet":
        _sort_ties_as_the_kit(rows, scores[rows], detected_class[rows])
    return rows


def _sort_ties_as_the_kit(rows, scores, detected_class):
    """Changes, in classes with equal scores, the order of their `rows`."""
    tied = (detected_class[1:] == detected_class[:-1]) & (
        scores[1:] == scores[:-1]
    )
    for c in np.unique(detected_class[1:][tied]).tolist():
        begin, end = np.searchsorted(detected_class, (c, c + 1)).tolist()
        if end - begin > unstable_sort.STABLE_LENGTH:
            in_file = np.argsort(rows[begin:end])
            order = unstable_sort.argsort(scores[begin:end][in_file].tolist())[
                ::-1
            ]
            rows[begin:end] = rows[begin:end][in_file][order]


def _mean_at_hits(precision, is_true_positive, num_ground_truth):
    """Sum of precision [H, N] at the hits [H, N] over num_ground_truth: [H]."""
    if num_ground_truth < 1:
        raise ValueError(
            f"num_ground_truth={num_ground_truth}: the average precision of a "
            "class without instances is undefined"
        )
    at_hits = precision * np.asarray(is_true_positive, dtype=bool)
    return at_hits.sum(axis=1) / num_ground_truth


def _indices(values, index):
    """[N] int64, index[value] of each value, -1 for unknown ones."""
    return np.fromiter(
        (index.get(value, -1) for value in values), np.int64, len(values)
    )


def _checked_columns(columns):
    """The segments [N, 2] of Instances or Detections, or a ValueError."""
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
