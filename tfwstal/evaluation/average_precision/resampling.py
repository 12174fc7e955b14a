"""Uncertainty of mAP: bootstrap over videos, and the order of equal scores.

Shapes: B draws, V videos, H thresholds, C classes, K detections of a class.
"""

import numpy as np

from .columns import indices


def draw_weights(num_videos, num_draws, seed):
    """Draws `num_videos` videos with replacement, `num_draws` times.

    Returns:
        [B, V] int: how often each draw has each video.
    """
    rng = np.random.default_rng(seed)
    part = np.full(num_videos, 1 / num_videos)
    return rng.multinomial(num_videos, part, num_draws)


def bootstrap(matches, ground_truth, detections, videos, weights, protocol):
    """mAP of resampled sets of videos.

    Whether a detection is a true positive depends only on its own video, so
    one matching serves all draws. A video that is drawn n times counts as n
    videos. The mean is over the classes that have instances in the draw.

    Args:
        matches: Matches.
        ground_truth: Instances that were matched.
        detections: Detections that were matched.
        videos: V names, including those of all instances and detections.
        weights: [B, V], from `draw_weights`.
        protocol: "activitynet" or "thumos14".

    Returns:
        [B, H] float64.
    """
    index = {video: v for v, video in enumerate(videos)}
    places = {label: c for c, label in enumerate(matches.labels)}
    of_detection = indices(detections.videos, index)[matches.rows]
    of_instance = indices(ground_truth.videos, index)
    instance_class = indices(ground_truth.labels, places)
    precision = _precision_sum(protocol, len(matches.rows), weights)
    num_draws, num_thresholds = len(weights), len(matches.hits)
    total = np.zeros((num_draws, num_thresholds))
    present = np.zeros((num_draws, 1))
    for c in range(len(matches.labels)):
        num_instances = weights[:, of_instance[instance_class == c]].sum(axis=1)
        columns = matches.of_class(c)
        copies = weights[:, of_detection[columns]]  # [B, K]
        hits, counts = matches.hits[:, columns], matches.counts[:, columns]
        # Detections that count at every threshold.
        always = counts.all(axis=0)
        ranks = np.cumsum(copies * always, axis=1)
        for h in range(num_thresholds):
            at = np.flatnonzero(hits[h])
            found = copies[:, at]
            true = np.cumsum(found, axis=1)
            counted = ranks[:, at] + np.cumsum(found * ~always[at], axis=1)
            area = precision(true, counted, found)
            total[:, h] += area / np.maximum(num_instances, 1)
        present += (num_instances > 0)[:, None]
    return total / np.maximum(present, 1)


def tie_band(matches, scores, average):
    """mAP with equal scores in the worst and in the best order.

    Of the detections of a class that share a score, the true positives come
    last or first. The matching stays: within one video, which of several
    detections of equal score finds an instance is not varied.

    Args:
        matches: Matches.
        scores: [N] of the Detections that were matched.
        average: function of hits [1, K], the number of instances and counts
            [1, K] -> average precision [1].

    Returns:
        A pair of [H] float64: the worst and the best mAP.
    """
    scores = np.asarray(scores, np.float64)[matches.rows]
    band = np.zeros((2, len(matches.hits)))
    for c, num_instances in enumerate(matches.num_instances):
        columns = matches.of_class(c)
        for h in range(len(matches.hits)):
            hits = matches.hits[h, columns]
            counts = matches.counts[h, columns]
            for side, key in enumerate((hits, ~hits)):
                order = np.lexsort((key, -scores[columns]))[None]
                band[side, h] += average(
                    hits[order], num_instances, counts[order]
                )[0]
    return tuple(band / len(matches.num_instances))


def _precision_sum(protocol, num_detections, weights):
    """The function (true, counted, copies) [B, hits] -> summed precision [B].

    `true` and `counted` are the true positives and all detections up to a hit
    and its copies.
    """
    if protocol == "activitynet":

        def interpolated(true, counted, copies):
            # Precision rises within the copies of a hit, so the last copy has
            # the highest.
            precision = true / np.maximum(counted, 1)
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            return (best * copies).sum(axis=1)

        return interpolated
    most = num_detections * int(weights.max(initial=1)) + 1
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1.0, most + 1))])

    def at_each_copy(true, counted, copies):
        # The sum over k = 1..n of (T + k) / (N + k), with T and N before the
        # copies, is n - (N - T)(H(N + n) - H(N)), H the harmonic numbers.
        before = counted - copies
        wrong = counted - true
        missed = wrong * (harmonic[counted] - harmonic[before])
        return (copies - missed).sum(axis=1)

    return at_each_copy
