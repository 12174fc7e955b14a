"""Temporal IoU, average precision and mAP of detections, in NumPy.

The semantics are those of ActivityNet's evaluation kit
(https://github.com/activitynet/ActivityNet, Evaluation/eval_detection.py),
with three points settled that the kit leaves open. Detections of equal score,
and instances of equal tIoU with a detection, keep the order of the input; the
kit's sort is unstable there, and its answer depends on NumPy's version and on
the processor. Two identical segments of zero length have a tIoU of 1, where
the kit divides by zero.

Shapes: H thresholds, C classes, N detections, M ground-truth instances.
Segments are [start, end] in seconds, or in any other unit.
"""

import collections.abc
import dataclasses

import numpy as np

# Averages over thresholds that papers quote: name -> (first, last, step).
_AVERAGES = {
    "0.1:0.5": (0.1, 0.5, 0.1),
    "0.1:0.7": (0.1, 0.7, 0.1),
    "0.5:0.95": (0.5, 0.95, 0.05),
}
# Detections matched at a time: bounds the memory, changes nothing else.
_CHUNK = 1 << 16


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


def segment_tiou(a, b):
    """Temporal intersection over union of every pair of segments.

    Two identical segments of zero length have tIoU 1; one of zero length has
    0 with any other.

    Args:
        a: [N, 2] start and end, start <= end.
        b: [M, 2] likewise, in the same unit.

    Returns:
        [N, M] float64 array.
    """
    a, b = _segments(a), _segments(b)
    return _tiou(a[:, None], b[None, :])


def interpolated_average_precision(is_true_positive, num_ground_truth):
    """Area under the interpolated precision-recall curve of VOC 2011.

    The precision of a rank is the best at that rank or a later one. Recall
    rises by 1 / num_ground_truth at each true positive and nowhere else, so
    the area is a sum over the true positives.

    Args:
        is_true_positive: [H, N] bool, detections in descending score.
        num_ground_truth: number of instances to find, at least 1.

    Returns:
        [H] float64 array; zeros without detections.

    Raises:
        ValueError: if there is nothing to find.
    """
    if num_ground_truth < 1:
        raise ValueError(
            f"num_ground_truth={num_ground_truth}: the average precision of a "
            "class without instances is undefined"
        )
    is_true_positive = np.asarray(is_true_positive, dtype=bool)
    ranks = np.arange(1, is_true_positive.shape[1] + 1)
    precision = np.cumsum(is_true_positive, axis=1) / ranks  # [H, N]
    best_later = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (best_later * is_true_positive).sum(axis=1) / num_ground_truth


def mean_average_precision(ground_truth, detections, thresholds):
    """Average precision of each class at each tIoU threshold.

    Class by class, detections come in descending score, equal scores in the
    order of the input. Each takes, of its video's instances of its class, the
    one of highest tIoU that is still free and reaches the threshold (equal
    tIoU: the first in the input), and is a true positive; failing that it is
    a false positive. A class without detections has AP 0. Detections of
    classes that the ground truth lacks don't count; detections of videos that
    it lacks are false positives.

    Args:
        ground_truth: Instances, at least one.
        detections: Detections.
        thresholds: H tIoU thresholds in any order; tIoU >= threshold matches.

    Returns:
        MeanAveragePrecision.

    Raises:
        ValueError: if columns differ in length, a number is not finite, a
            segment is reversed, or the ground truth is empty.
    """
    instance_segments = _checked_columns(ground_truth)
    segments = _checked_columns(detections)
    if not len(instance_segments):
        raise ValueError("the ground truth holds no instance")
    labels = sorted(set(ground_truth.labels))
    classes = {label: c for c, label in enumerate(labels)}
    videos = {v: i for i, v in enumerate(dict.fromkeys(ground_truth.videos))}
    instance_class = _indices(ground_truth.labels, classes)  # [M]
    instance_video = _indices(ground_truth.videos, videos)
    num_instances = np.bincount(instance_class, minlength=len(labels))  # [C]

    order, detected_class = _ranked(detections, classes)  # [N'], by class
    detected_video = _indices(detections.videos, videos)[order]
    hits = _match(
        # One number for class and video; below 0 where the video is unknown.
        instance_class * len(videos) + instance_video,
        instance_segments,
        np.where(
            detected_video < 0,
            -1,
            detected_class * len(videos) + detected_video,
        ),
        segments[order],
        np.asarray(thresholds, dtype=np.float64),
    )
    begins = np.searchsorted(detected_class, np.arange(len(labels) + 1))
    ap = [
        interpolated_average_precision(
            hits[:, begins[c] : begins[c + 1]], num_instances[c]
        )
        for c in range(len(labels))
    ]
    return MeanAveragePrecision(
        thresholds=tuple(float(t) for t in thresholds),
        labels=tuple(labels),
        num_instances=num_instances,
        ap=np.stack(ap, axis=1),
    )


def averages(mean_ap, thresholds):
    """The averages of mAP over thresholds that papers quote.

    Args:
        mean_ap: [H] mAP at each threshold.
        thresholds: the H thresholds.

    Returns:
        dict name -> float, of "0.1:0.5" and "0.1:0.7" in steps of 0.1 and
        "0.5:0.95" in steps of 0.05; only those whose thresholds are all there.
    """
    # Rounding makes 0.1 + 0.2 and 0.3 one key.
    by_threshold = {
        round(float(t), 6): float(m)
        for t, m in zip(thresholds, mean_ap, strict=True)
    }
    found = {}
    for name, (first, last, step) in _AVERAGES.items():
        count = round((last - first) / step) + 1
        wanted = [round(first + step * i, 6) for i in range(count)]
        if all(t in by_threshold for t in wanted):
            found[name] = sum(by_threshold[t] for t in wanted) / count
    return found


def _ranked(detections, classes):
    """Rows that can count, by class and then by descending score.

    Returns:
        order: [N'] rows of detections, detected_class: [N'] their classes.
    """
    detected_class = _indices(detections.labels, classes)
    scores = np.asarray(detections.scores, dtype=np.float64)
    order = np.lexsort((-scores, detected_class))  # stable
    order = order[detected_class[order] >= 0]
    return order, detected_class[order]


def _match(instance_key, instance_segments, key, segments, thresholds):
    """Matches detections, best first, to instances of the same key greedily.

    All thresholds are matched in one walk over the pairs that overlap: bit h
    of an integer stands for threshold h.

    Args:
        instance_key: [M] int; instance_segments: [M, 2].
        key: [N] int, best detection first; segments: [N, 2].
        thresholds: [H].

    Returns:
        [H, N] bool, whether the detection is a true positive.
    """
    ascending = np.argsort(thresholds)
    reached = [0]  # reached[n]: the bits of the n lowest thresholds
    for h in ascending.tolist():
        reached.append(reached[-1] | 1 << h)
    hits = np.zeros((len(thresholds), len(key)), dtype=bool)
    taken = [0] * len(instance_key)  # thresholds at which an instance is found
    for ranks, rows, tiou in _pairs(
        instance_key, instance_segments, key, segments
    ):
        level = np.searchsorted(thresholds[ascending], tiou, side="right")
        good = level > 0
        columns = (ranks[good], rows[good], level[good])
        previous, free = -1, 0
        for rank, row, n in zip(*(c.tolist() for c in columns), strict=True):
            if rank != previous:  # the next detection, as yet unmatched
                previous, free = rank, reached[-1]
            match = reached[n] & free & ~taken[row]
            if match:  # at most H times an instance
                taken[row] |= match
                free &= ~match
                for h in range(len(thresholds)):
                    hits[h, rank] |= match >> h & 1
    return hits


def _pairs(instance_key, instance_segments, key, segments):
    """Yields every pair of a detection and an instance that share a key.

    Yields:
        ranks: [P] positions of detections, ascending; rows: [P] positions of
        instances, by descending tIoU within a detection; tiou: [P]. All pairs
        of one detection come together.
    """
    by_key = np.argsort(instance_key, kind="stable")
    sorted_key = instance_key[by_key]
    for begin in range(0, len(key), _CHUNK):
        chunk = key[begin : begin + _CHUNK]
        first = np.searchsorted(sorted_key, chunk, side="left")
        count = np.searchsorted(sorted_key, chunk, side="right") - first
        ranks = np.repeat(np.arange(begin, begin + len(chunk)), count)
        # 0, 1, ..., count - 1 within each detection.
        within = np.arange(len(ranks)) - np.repeat(
            np.cumsum(count) - count, count
        )
        rows = by_key[np.repeat(first, count) + within]
        tiou = _tiou(segments[ranks], instance_segments[rows])
        best_first = np.lexsort((rows, -tiou, ranks))
        yield ranks[best_first], rows[best_first], tiou[best_first]


def _tiou(a, b):
    """tIoU of a [..., 2] and b [..., 2], which broadcast: [...]."""
    overlap = np.minimum(a[..., 1], b[..., 1]) - np.maximum(
        a[..., 0], b[..., 0]
    )
    overlap = np.maximum(overlap, 0.0)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - overlap
    identical = (a == b).all(axis=-1)
    return np.where(identical, 1.0, overlap / np.where(union > 0, union, 1.0))


def _segments(values):
    return np.asarray(values, dtype=np.float64).reshape(-1, 2)


def _indices(values, index):
    """[N] int64, index[value] of each value, -1 for unknown ones."""
    return np.fromiter(
        (index.get(value, -1) for value in values), np.int64, len(values)
    )


def _checked_columns(columns):
    """The segments [N, 2] of Instances or Detections, or a ValueError."""
    segments = _segments(columns.segments)
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
