"""What kinds of errors detections make, and on which instances, in NumPy.

The analyses of DETAD (Alwassel et al., "Diagnosing Error in Temporal Action
Detectors", ECCV 2018, https://arxiv.org/abs/1807.10706), see `error_kinds` and
`sensitivity`, and two of our own: curves of precision and recall, and each
video's best detections alone.

Shapes: H thresholds, C classes, M instances.
"""

import dataclasses

import numpy as np

from . import (
    Detections,
    error_kinds,
    match,
    mean_average_precision,
    precision_at_ranks,
)
from . import sensitivity as ranges
from .columns import indices

# Detections kept of a video, all classes together.
TOP_K = (1, 5, 10, 50, 100)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What an analysis depends on.

    Attributes:
        thresholds: H tIoU thresholds; results are means over them.
        edges: dict of the characteristics of `sensitivity` -> ascending values
            that part their ranges.
    """

    thresholds: tuple[float, ...]
    edges: dict


# DETAD's own, by benchmark. Lengths are seconds, coverage is a share.
SETTINGS = {
    "thumos14": Setting(
        (0.5,),
        {
            "coverage": (0.02, 0.04, 0.06, 0.08),
            "length": (3.0, 6.0, 12.0, 18.0),
            "instances": (1.0, 40.0, 80.0),
        },
    ),
    "activitynet": Setting(
        tuple(np.linspace(0.5, 0.95, 10).tolist()),
        {
            "coverage": tuple(np.linspace(0.0, 1.0, 6)[1:-1].tolist()),
            "length": (30.0, 60.0, 120.0, 180.0),
            "instances": (1.0, 4.0, 8.0),
        },
    ),
}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Result of `diagnose`; scores and shares from 0 to 1.

    Attributes:
        thresholds: H tIoU thresholds.
        labels: C classes of the ground truth, sorted.
        curves: C pairs of recall and precision at the first threshold, each an
            array with a value for each true positive, best first; recall rises
            nowhere else.
        group_sizes: [10] detections of each group of `error_kinds.profile`.
        profile: [10, kinds] their shares.
        gains: dict kind of error -> gain of the normalized mAP without it.
        normalized_map: normalized mAP, mean over the thresholds.
        sensitivity: dict characteristic -> sensitivity.Sensitivity.
        missed: share of all instances that is not found.
        top_k: dict k -> (mAP, recall) with only each video's k best
            detections; recall is the share of all instances that is found.
    """

    thresholds: tuple[float, ...]
    labels: tuple
    curves: tuple
    group_sizes: np.ndarray
    profile: np.ndarray
    gains: dict
    normalized_map: float
    sensitivity: dict
    missed: float
    top_k: dict


def diagnose(
    ground_truth,
    detections,
    setting=SETTINGS["thumos14"],
    protocol="activitynet",
    ambiguous=None,
    characteristics=None,
):
    """Finds what is right, what is wrong and why.

    Args:
        ground_truth, detections, protocol, ambiguous: as for `match`.
        setting: Setting.
        characteristics: dict from `sensitivity.characteristics_of`; those of
            `setting.edges` that it lacks are left out. None: of ground truth
            in seconds and videos of unknown duration.

    Returns:
        Diagnosis.

    Raises:
        ValueError: as `match` does.
    """
    settings = (setting.thresholds, protocol, ambiguous)
    matches = match(ground_truth, detections, *settings)
    kinds = error_kinds.kinds_of_detections(
        ground_truth, detections, setting.thresholds, matches
    )
    group_sizes, profile = error_kinds.profile(matches, kinds)
    if characteristics is None:
        characteristics = ranges.characteristics_of(ground_truth)
    classes = {label: c for c, label in enumerate(matches.labels)}
    instance_class = indices(ground_truth.labels, classes)
    missed = ranges.missed_instances(matches)
    return Diagnosis(
        thresholds=tuple(float(t) for t in setting.thresholds),
        labels=matches.labels,
        curves=tuple(_curves(matches)),
        group_sizes=group_sizes,
        profile=profile,
        gains=error_kinds.gains(matches, kinds),
        normalized_map=error_kinds.mean_normalized_ap(matches, matches.counts),
        sensitivity={
            name: ranges.sensitivity(
                matches, instance_class, missed, characteristics[name], edges
            )
            for name, edges in setting.edges.items()
            if name in characteristics
        },
        missed=float(missed.mean()),
        top_k=_top_k(ground_truth, detections, settings),
    )


def _curves(matches):
    """Yields recall and precision at the true positives, class by class."""
    for c, num_instances in enumerate(matches.num_instances):
        columns = matches.of_class(c)
        hits = matches.hits[:1, columns]
        precision = precision_at_ranks(hits, matches.counts[:1, columns])
        precision = precision[0, hits[0]]
        yield np.arange(1, len(precision) + 1) / num_instances, precision


def _top_k(ground_truth, detections, settings):
    """dict k -> (mAP, recall) with only each video's k best detections."""
    found = {}
    for k in TOP_K:
        kept = _best(detections, k)
        result = mean_average_precision(ground_truth, kept, *settings)
        recall = match(ground_truth, kept, *settings).found.mean()
        found[k] = float(result.mean_ap.mean()), float(recall)
    return found


def _best(detections, k):
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
