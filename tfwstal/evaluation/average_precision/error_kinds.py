"""Kinds of detections, their shares among the best, and what each costs.

As in src/false_positive_analysis.py of https://github.com/HumamAlwassel/DETAD
(Alwassel et al., "Diagnosing Error in Temporal Action Detectors", ECCV 2018,
https://arxiv.org/abs/1807.10706, Section 4).

Shapes: H thresholds, C classes, K detections of these classes, M instances.
"""

import numpy as np

from .columns import checked_columns, indices
from .matching import best_instances
from .precision import normalized_average_precision

KINDS = (
    "true positive",
    "double detection",
    "wrong label",
    "localization",
    "confusion",
    "background",
    "ambiguous",
)
# Kinds that are errors: all but the first and the last.
ERRORS = range(1, 6)
# A detection that overlaps every instance by less is background.
LEAST_TIOU = 0.1
# The best detections of a class are looked at in 10 groups of G, where G is
# its number of instances.
NUM_GROUPS = 10


def kinds_of_detections(ground_truth, detections, thresholds, matches):
    """The kind of each detection.

    One that found no instance is judged by the instance of its video, of any
    class, that it overlaps most (of equal ones the first): a double detection
    if it reaches the threshold and the class is its own, of wrong label if the
    class is another; below the threshold a localization error or, with another
    class, a confusion; below LEAST_TIOU background. What an ambiguous segment
    excuses is ambiguous.

    Args:
        ground_truth: Instances.
        detections: Detections.
        thresholds: H tIoU thresholds.
        matches: what `match` found for all of these.

    Returns:
        [H, K] int, positions in KINDS.
    """
    videos = {v: i for i, v in enumerate(dict.fromkeys(ground_truth.videos))}
    best, tiou = best_instances(
        (indices(detections.videos, videos), checked_columns(detections)),
        (indices(ground_truth.videos, videos), checked_columns(ground_truth)),
    )
    best, tiou = best[matches.rows], tiou[matches.rows]
    classes = {label: c for c, label in enumerate(matches.labels)}
    detected = indices(detections.labels, classes)[matches.rows]
    other = detected != indices(ground_truth.labels, classes)[best]
    reached = tiou >= np.asarray(thresholds)[:, None]
    near = np.where(tiou >= LEAST_TIOU, 3 + other, KINDS.index("background"))
    kinds = np.where(reached, 1 + other, near)
    kinds[matches.hits] = KINDS.index("true positive")
    kinds[~matches.counts] = KINDS.index("ambiguous")
    return kinds


def profile(matches, kinds):
    """Shares of the kinds in groups of G detections: the best G, the next, ...

    Args:
        matches: Matches.
        kinds: [H, K], from `kinds_of_detections`.

    Returns:
        [10] int, the detections in each group, all classes together, and
        [10, kinds] float64, their shares, mean over the thresholds; zeros in
        an empty group.
    """
    group = _groups(matches)
    kept = group < NUM_GROUPS
    sizes = np.bincount(group[kept], minlength=NUM_GROUPS)
    counts = np.zeros((NUM_GROUPS, len(KINDS)))
    for of_threshold in kinds:
        np.add.at(counts, (group[kept], of_threshold[kept]), 1)
    return sizes, counts / np.maximum(sizes, 1)[:, None] / len(kinds)


def gains(matches, kinds):
    """Gain of the normalized mAP if the errors of one kind were removed.

    Only the 10 G best detections of each class are looked at.

    Args:
        matches, kinds: as for `profile`.

    Returns:
        dict kind -> float, the difference, mean over the thresholds.
    """
    limited = matches.counts & (_groups(matches) < NUM_GROUPS)
    before = mean_normalized_ap(matches, limited)
    return {
        KINDS[kind]: mean_normalized_ap(matches, limited & (kinds != kind))
        - before
        for kind in ERRORS
    }


def mean_normalized_ap(matches, counts):
    """Normalized mAP, mean over the thresholds.

    Args:
        matches: Matches.
        counts: [H, K] bool, the detections to look at; the others are treated
            as absent.
    """
    average = matches.num_instances.mean()
    values = []
    for c, num_instances in enumerate(matches.num_instances):
        columns = matches.of_class(c)
        kept = counts[:, columns]
        values.append(
            normalized_average_precision(
                matches.hits[:, columns] & kept, num_instances, average, kept
            )
        )
    return float(np.mean(values))


def _groups(matches):
    """[K] int, the rank of a detection in its class, over the class's G."""
    sizes = np.diff(matches.begins)
    rank = np.arange(len(matches.rows)) - np.repeat(matches.begins[:-1], sizes)
    return rank // np.repeat(matches.num_instances, sizes)
