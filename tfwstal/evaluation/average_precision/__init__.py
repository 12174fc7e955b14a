"""Temporal IoU, average precision and mAP of detections, in NumPy.

Two protocols, each equal to its authors' kit, including the order of ties:

activitynet: Evaluation/eval_detection.py of
https://github.com/activitynet/ActivityNet, interpolated AP. Detections of
equal score, and instances of equal tIoU with a detection, come in the order of
its `argsort()[::-1]` with NumPy's quicksort (see `unstable_sort`); for up to 16
values, the last comes first.

thumos14: TH14evalDet_Updated.m of the THUMOS-14 challenge
(http://crcv.ucf.edu/THUMOS14/), AP without interpolation. Equal scores come in
the order of the videos' names, then of the input.

Two identical segments of zero length have tIoU 1 here. ActivityNet's kit
divides by zero, and the challenge's gives 0.

Shapes: H thresholds, C classes, N detections, M ground-truth instances.
Segments are [start, end] in any one unit, usually seconds.
"""

import dataclasses

import numpy as np

from . import resampling
from .columns import Detections, Instances, checked_columns, indices
from .matching import (
    match_activitynet,
    match_thumos14,
    overlaps_any,
    segment_tiou,
)
from .precision import (
    AVERAGES,
    averages,
    interpolated_average_precision,
    non_interpolated_average_precision,
    precision_at_ranks,
    thresholds_of_range,
)
from .ranking import ranked

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
    "bootstrap",
    "precision_at_ranks",
    "segment_tiou",
    "tie_band",
    "thresholds_of_range",
]


@dataclasses.dataclass(frozen=True)
class MeanAveragePrecision:
    """Result of `mean_average_precision`.

    Attributes:
        thresholds: H tIoU thresholds, as given.
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
    """Result of `match`: one column per detection, by class, then best first.

    K detections are left after those of classes that the ground truth lacks.

    Attributes:
        labels: C classes of the ground truth, sorted.
        num_instances: [C] instances of each class.
        rows: [K] row of each column in Detections.
        begins: [C + 1]; class c has the columns begins[c] to begins[c + 1].
        hits: [H, K] bool, true positives.
        instances: [H, K] row in Instances that each finds, -1 for none.
        counts: [H, K] bool, False where an ambiguous segment excuses.
        found: [H, M] bool, instances that are found.
    """

    labels: tuple
    num_instances: np.ndarray
    rows: np.ndarray
    begins: np.ndarray
    hits: np.ndarray
    instances: np.ndarray
    counts: np.ndarray
    found: np.ndarray

    def of_class(self, c):
        """The slice of the columns of class c."""
        return slice(self.begins[c], self.begins[c + 1])


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
        columns = matches.of_class(c)
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
    """Finds the true positives by the rules of a protocol.

    activitynet: the detections of a class are processed in descending score.
    Each takes the instance with the highest tIoU among the free instances of
    its video and class, if that tIoU >= threshold.

    thumos14: the instances of a class are processed in the order of the input.
    Each takes the detection with the highest tIoU among the free detections of
    its video and class, whatever their scores, if that tIoU > threshold.

    The module docstring describes ties. A detection without an instance is a
    false positive, unless it overlaps an ambiguous segment: then it is not
    counted.

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
            segment is reversed, the ground truth is empty, or the protocol is
            unknown.
    """
    if protocol not in _PROTOCOLS:
        raise ValueError(
            f"protocol={protocol!r}: must be one of {', '.join(_PROTOCOLS)}"
        )
    ambiguous = ambiguous or Instances([], [], [])
    instance_segments = checked_columns(ground_truth)
    segments = checked_columns(detections)
    ambiguous_segments = checked_columns(ambiguous)
    if not len(instance_segments):
        raise ValueError("the ground truth holds no instance")
    labels = sorted(set(ground_truth.labels))
    classes = {label: c for c, label in enumerate(labels)}
    # Sorted by name, which is the order of equal scores in thumos14.
    videos = sorted({*ground_truth.videos, *detections.videos})
    videos = {video: i for i, video in enumerate(videos)}
    instance_class = indices(ground_truth.labels, classes)  # [M]
    detected_class = indices(detections.labels, classes)  # [N]
    detected_video = indices(detections.videos, videos)

    rows = ranked(detections.scores, detected_class, detected_video, protocol)
    detected_class, detected_video = detected_class[rows], detected_video[rows]
    segments = segments[rows]
    # One number per pair of class and video.
    key = detected_class * len(videos) + detected_video
    instance_key = instance_class * len(videos) + indices(
        ground_truth.videos, videos
    )
    instances = _PROTOCOLS[protocol][0](
        (key, segments),
        (instance_key, instance_segments),
        np.asarray(thresholds, dtype=np.float64),
    )
    hits = instances >= 0
    found = np.zeros((len(instances), len(instance_key)), dtype=bool)
    found[np.nonzero(hits)[0], instances[hits]] = True
    excused = overlaps_any(
        (detected_video, segments),
        (indices(ambiguous.videos, videos), ambiguous_segments),
    )
    return Matches(
        labels=tuple(labels),
        num_instances=np.bincount(instance_class, minlength=len(labels)),
        rows=rows,
        begins=np.searchsorted(detected_class, np.arange(len(labels) + 1)),
        hits=hits,
        instances=instances,
        counts=hits | ~excused,
        found=found,
    )


def bootstrap(
    ground_truth,
    detections,
    thresholds,
    protocol="activitynet",
    ambiguous=None,
    *,
    videos,
    num_draws=1000,
    seed=0,
):
    """mAP of sets of videos drawn with replacement.

    Two results with the same videos and seed get the same draws, so their
    differences are paired.

    Args:
        ground_truth, detections, thresholds, protocol, ambiguous: as for
            `match`.
        videos: all videos that were evaluated, in a fixed order.
        num_draws: B.
        seed: of the draws.

    Returns:
        [B, H] float64.
    """
    matches = match(ground_truth, detections, thresholds, protocol, ambiguous)
    weights = resampling.draw_weights(len(videos), num_draws, seed)
    return resampling.bootstrap(
        matches, ground_truth, detections, videos, weights, protocol
    )


def tie_band(
    ground_truth,
    detections,
    thresholds,
    protocol="activitynet",
    ambiguous=None,
):
    """mAP with equal scores in the worst and in the best order.

    Args: as for `match`. Returns: as `resampling.tie_band`.
    """
    matches = match(ground_truth, detections, thresholds, protocol, ambiguous)
    return resampling.tie_band(
        matches, detections.scores, _PROTOCOLS[protocol][1]
    )


def overlaps(detections, ambiguous):
    """Finds the detections that overlap an ambiguous segment of their video.

    Args:
        detections: Detections; ambiguous: Instances, of any label.

    Returns:
        [N] bool.
    """
    names = dict.fromkeys([*detections.videos, *ambiguous.videos])
    videos = {name: i for i, name in enumerate(names)}
    return overlaps_any(
        (indices(detections.videos, videos), checked_columns(detections)),
        (indices(ambiguous.videos, videos), checked_columns(ambiguous)),
    )
