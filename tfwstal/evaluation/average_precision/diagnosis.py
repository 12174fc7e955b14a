"""What kinds of errors detections make, in NumPy.

The kinds of false positives, the budget of G to 10 G detections and the idea
of looking at lengths are those of Alwassel et al., "Diagnosing Error in
Temporal Action Detectors", ECCV 2018 (https://arxiv.org/abs/1807.10706).

Shapes: C classes, K detections of these classes, M instances, B lengths.
"""

import dataclasses

import numpy as np

from . import Detections, match, mean_average_precision, precision_at_ranks
from .matching import as_segments, best_tiou

KINDS = (
    "true positive",
    "double detection",
    "wrong label",
    "poor overlap",
    "wrong label, poor overlap",
    "background",
    "ambiguous",
)
# What overlaps nothing by this much is background.
LEAST_TIOU = 0.1
# Detections of a class that are looked at, as multiples of its instances.
BUDGETS = tuple(range(1, 11))
# Detections kept of a video, all classes together.
TOP_K = (1, 5, 10, 50, 100)


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` finds, at one threshold.

    Attributes:
        threshold: the tIoU threshold.
        labels: C classes of the ground truth, sorted.
        curves: C pairs of recall and precision, each an array with a value
            for each true positive, best first; recall rises nowhere else.
        by_budget: [10, kinds] detections of each kind among the b times G best
            of each class, for b = 1 ... 10; G are the class's instances.
        length_edges: B - 1 lengths that part the B ranges below; a length
            equal to an edge belongs below it.
        instances_by_length: [B] instances of each range.
        found_by_length: [B] those that are found.
        detections_by_length: [B, kinds] detections by their own length.
        top_k: dict k -> (mAP, recall) with only each video's k best
            detections; recall is the part of all instances that is found.
    """

    threshold: float
    labels: tuple
    curves: tuple
    by_budget: np.ndarray
    length_edges: tuple
    instances_by_length: np.ndarray
    found_by_length: np.ndarray
    detections_by_length: np.ndarray
    top_k: dict


def diagnose(
    ground_truth,
    detections,
    threshold=0.5,
    protocol="activitynet",
    ambiguous=None,
    length_edges=(),
):
    """Finds what is right, what is wrong and why, at one threshold.

    A detection is, the first that holds: a true positive; excused by an
    ambiguous segment; a double detection if it reaches an instance of its
    class (which another has taken); of a wrong label if it reaches one of
    another class; of poor overlap if its tIoU with one of its class is
    LEAST_TIOU or more; of both, likewise with another class; background.

    Args:
        ground_truth, detections, protocol, ambiguous: as for `match`.
        threshold: tIoU that reaches an instance.
        length_edges: ascending, in the unit of the segments.

    Returns:
        Diagnosis.

    Raises:
        ValueError: as `match` does.
    """
    settings = ((threshold,), protocol, ambiguous)
    matches = match(ground_truth, detections, *settings)
    kinds = kinds_of_detections(ground_truth, detections, threshold, matches)
    truth_range = _ranges(ground_truth.segments, length_edges)
    found_range = _ranges(detections.segments, length_edges)[matches.rows]
    num_ranges = len(length_edges) + 1
    by_length = np.bincount(
        found_range * len(KINDS) + kinds, minlength=num_ranges * len(KINDS)
    ).reshape(num_ranges, len(KINDS))
    top_k = {}
    for k in TOP_K:
        kept = _top(detections, k)
        top_k[k] = (
            float(
                mean_average_precision(ground_truth, kept, *settings).mean_ap[0]
            ),
            float(match(ground_truth, kept, *settings).found.mean()),
        )
    return Diagnosis(
        threshold=float(threshold),
        labels=matches.labels,
        curves=tuple(_curves(matches)),
        by_budget=np.stack([_within(matches, kinds, b) for b in BUDGETS]),
        length_edges=tuple(float(edge) for edge in length_edges),
        instances_by_length=np.bincount(truth_range, minlength=num_ranges),
        found_by_length=np.bincount(
            truth_range[matches.found[0]], minlength=num_ranges
        ),
        detections_by_length=by_length,
        top_k=top_k,
    )


def kinds_of_detections(ground_truth, detections, threshold, matches):
    """The kind of each detection in `matches`, which has one threshold.

    Returns:
        [K] int, positions in KINDS.
    """
    same, other = best_tiou(detections, ground_truth)
    same, other = same[matches.rows], other[matches.rows]
    conditions = (
        matches.hits[0],
        same >= threshold,
        other >= threshold,
        same >= LEAST_TIOU,
        other >= LEAST_TIOU,
    )
    kinds = np.full(len(matches.rows), KINDS.index("background"))
    for kind in reversed(range(len(conditions))):  # the first wins
        kinds[conditions[kind]] = kind
    kinds[~matches.counts[0]] = KINDS.index("ambiguous")
    return kinds


def _curves(matches):
    """Yields recall and precision at the true positives, class by class."""
    for c, num_instances in enumerate(matches.num_instances):
        columns = slice(matches.begins[c], matches.begins[c + 1])
        hits = matches.hits[:, columns]
        precision = precision_at_ranks(hits, matches.counts[:, columns])
        precision = precision[0, hits[0]]
        yield np.arange(1, len(precision) + 1) / num_instances, precision


def _within(matches, kinds, budget):
    """[kinds] how often each is among the budget times G best of a class."""
    begins, rank = matches.begins, np.arange(len(kinds))
    rank = rank - np.repeat(begins[:-1], np.diff(begins))
    most = np.repeat(budget * matches.num_instances, np.diff(begins))
    return np.bincount(kinds[rank < most], minlength=len(KINDS))


def _ranges(segments, edges):
    """[N] int, the range that the length of each segment falls in."""
    segments = as_segments(segments)
    return np.searchsorted(
        np.asarray(edges, np.float64), segments[:, 1] - segments[:, 0], "left"
    )


def _top(detections, k):
    """The k best Detections of each video, in the order of the input."""
    names, video = {}, []
    for name in detections.videos:
        video.append(names.setdefault(name, len(names)))
    video = np.array(video, np.int64)
    order = np.lexsort((-np.asarray(detections.scores, np.float64), video))
    ranked = video[order]
    rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    rows = np.sort(order[rank < k]).tolist()
    return Detections(
        *(
            [getattr(detections, field.name)[row] for row in rows]
            for field in dataclasses.fields(Detections)
        )
    )
