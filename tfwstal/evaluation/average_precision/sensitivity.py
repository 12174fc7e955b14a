"""Normalized mAP and missed instances by what the instances are like.

As in src/sensitivity_analysis.py and src/false_negative_analysis.py of
https://github.com/HumamAlwassel/DETAD (Alwassel et al., ECCV 2018,
https://arxiv.org/abs/1807.10706, Sections 5 and 6), for the characteristics
that every annotation has: coverage, length and number of instances. One
difference: DETAD removes instances without length and instances longer than
their video; here they stay.

Shapes: H thresholds, M instances, B ranges.
"""

import collections
import dataclasses

import numpy as np

from .columns import checked_columns
from .precision import normalized_average_precision, normalized_precision

# A detection at a rank of this normalized precision or less finds nothing: it
# would be among too many false positives.
LEAST_PRECISION = 0.05
_NAMES = {4: ("XS", "S", "M", "L"), 5: ("XS", "S", "M", "L", "XL")}


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """Scores by the ranges of one characteristic.

    Attributes:
        edges: B - 1 values that part the ranges; a value equal to an edge
            belongs below it.
        num_instances: [B] instances of each range.
        mean_ap: [B] normalized mAP of each range, mean over the thresholds and
            the classes with instances in it; NaN without one.
        missed: [B] share of the instances that is not found, mean over the
            thresholds; NaN without one.
    """

    edges: tuple[float, ...]
    num_instances: np.ndarray
    mean_ap: np.ndarray
    missed: np.ndarray

    @property
    def names(self):
        """DETAD's names of the ranges: XS, S, M, L and XL."""
        return _NAMES[len(self.num_instances)]


def characteristics_of(ground_truth, durations=None, seconds_per_unit=1.0):
    """What the instances are like.

    Args:
        ground_truth: Instances.
        durations: dict video -> seconds, or None if unknown.
        seconds_per_unit: of the times of `ground_truth`.

    Returns:
        dict of [M] arrays: "length" in seconds, "instances" of any class in
        the same video and, if `durations` has every video, "coverage", the
        share of the video.
    """
    segments = checked_columns(ground_truth) * seconds_per_unit
    length = segments[:, 1] - segments[:, 0]
    videos = collections.Counter(ground_truth.videos)
    found = {
        "length": length,
        "instances": np.array([videos[v] for v in ground_truth.videos], float),
    }
    if durations and all(durations.get(video) for video in videos):
        of_videos = np.array([durations[v] for v in ground_truth.videos], float)
        found = {"coverage": length / of_videos} | found
    return found


def missed_instances(matches):
    """Which instances are not found with a normalized precision that counts.

    Args:
        matches: Matches.

    Returns:
        [H, M] bool.
    """
    average = matches.num_instances.mean()
    missed = np.ones_like(matches.found)
    for c, num_instances in enumerate(matches.num_instances):
        columns = matches.of_class(c)
        hits, counts = matches.hits[:, columns], matches.counts[:, columns]
        precision = normalized_precision(hits, num_instances, average, counts)
        threshold, rank = np.nonzero(hits & (precision > LEAST_PRECISION))
        instances = matches.instances[:, columns][threshold, rank]
        missed[threshold, instances] = False
    return missed


def sensitivity(matches, instance_class, missed, values, edges):
    """Scores by the ranges of one characteristic.

    A range's normalized mAP is over its own instances: detections that found
    an instance of another range at any threshold are left out.

    Args:
        matches: Matches.
        instance_class: [M] int, position of each instance's class.
        missed: [H, M] bool, from `missed_instances`.
        values: [M], from `characteristics_of`.
        edges: B - 1 ascending values.

    Returns:
        Sensitivity.
    """
    ranges = np.searchsorted(np.asarray(edges, np.float64), values, "left")
    num_ranges = len(edges) + 1
    sizes = np.bincount(ranges, minlength=num_ranges)
    share = np.bincount(ranges, missed.mean(axis=0), minlength=num_ranges)
    with np.errstate(invalid="ignore"):  # 0 / 0 in a range without instances
        share = share / sizes
    return Sensitivity(
        edges=tuple(float(edge) for edge in edges),
        num_instances=sizes,
        mean_ap=np.array(
            [
                _mean_ap_of(matches, instance_class, ranges == b)
                for b in range(num_ranges)
            ]
        ),
        missed=share,
    )


def _mean_ap_of(matches, instance_class, chosen):
    """Normalized mAP of the instances [M] that are `chosen`."""
    average, values = matches.num_instances.mean(), []
    sizes = np.bincount(
        instance_class[chosen], minlength=len(matches.num_instances)
    )
    for c in np.flatnonzero(sizes).tolist():
        columns = matches.of_class(c)
        instances = matches.instances[:, columns]
        kept = ((instances < 0) | chosen[instances]).all(axis=0)
        values.append(
            normalized_average_precision(
                matches.hits[:, columns] & kept,
                sizes[c],
                average,
                matches.counts[:, columns] & kept,
            )
        )
    return float(np.mean(values)) if values else np.nan
