"""From true positives to average precision, and the averages of mAP."""

import numpy as np

# Averages over thresholds that papers quote, first:last[:step].
AVERAGES = ("0.1:0.5", "0.1:0.7", "0.5:0.95:0.05")


def precision_at_ranks(is_true_positive, counts=None):
    """Precision at each rank.

    Args:
        is_true_positive: [H, N] bool, detections in descending score.
        counts: [H, N] bool, False for detections that are neither true nor
            false positives; None: all count.

    Returns:
        [H, N] float64 array; 0 before the first detection that counts.
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

    The interpolated precision at a rank is the highest precision at that rank
    or a later one. Recall rises only at true positives, each time by
    1 / num_ground_truth, so the area is a sum over the true positives.

    Args:
        is_true_positive, counts: as for `precision_at_ranks`.
        num_ground_truth: number of instances to find, at least 1.

    Returns:
        [H] float64 array; zeros without detections.

    Raises:
        ValueError: if `num_ground_truth` is below 1.
    """
    precision = precision_at_ranks(is_true_positive, counts)
    return _mean_at_hits(
        _best_later(precision), is_true_positive, num_ground_truth
    )


def non_interpolated_average_precision(
    is_true_positive, num_ground_truth, counts=None
):
    """Mean over the instances of the precision at the rank that finds each.

    Args, returns and raises: as `interpolated_average_precision`.
    """
    precision = precision_at_ranks(is_true_positive, counts)
    return _mean_at_hits(precision, is_true_positive, num_ground_truth)


def normalized_precision(is_true_positive, num_ground_truth, average, counts):
    """Precision at each rank as if the class were as frequent as the average.

    Section 3.1 of https://arxiv.org/abs/1807.10706 (DETAD): R N / (R N + F) for
    recall R, mean number of instances of a class N and F false positives.

    Args:
        is_true_positive, counts: as for `precision_at_ranks`.
        num_ground_truth: number of instances to find, at least 1.
        average: N.

    Returns:
        [H, N] float64 array; 0 before the first true positive.
    """
    hits = np.cumsum(is_true_positive, axis=1)
    false = np.cumsum(counts & ~is_true_positive, axis=1)
    scaled = hits / num_ground_truth * average
    return scaled / np.where(hits > 0, scaled + false, 1.0)


def normalized_average_precision(
    is_true_positive, num_ground_truth, average, counts
):
    """`interpolated_average_precision` of `normalized_precision`: [H]."""
    precision = normalized_precision(
        is_true_positive, num_ground_truth, average, counts
    )
    return _mean_at_hits(
        _best_later(precision), is_true_positive, num_ground_truth
    )


def averages(mean_ap, thresholds, ranges=AVERAGES):
    """Averages of mAP over ranges of thresholds, as papers quote them.

    Args:
        mean_ap: [H] mAP at each threshold.
        thresholds: the H thresholds.
        ranges: texts "first:last", in steps of 0.1, or "first:last:step".

    Returns:
        dict range -> float, for the ranges whose thresholds are all among
        `thresholds`. The name omits a step of 0.05: "0.5:0.95".

    Raises:
        ValueError: for a text that is not a range; the message names it.
    """
    # Rounded, 0.1 + 0.2 and 0.3 are the same key.
    by_threshold = {
        round(float(t), 6): float(m)
        for t, m in zip(thresholds, mean_ap, strict=True)
    }
    found = {}
    for text in ranges:
        wanted = thresholds_of_range(text)
        if all(t in by_threshold for t in wanted):
            name = text.removesuffix(":0.05")  # as papers write it
            found[name] = sum(by_threshold[t] for t in wanted) / len(wanted)
    return found


def thresholds_of_range(text):
    """The thresholds of "first:last[:step]", including both ends.

    Raises:
        ValueError: if the text is not a range, or its steps miss its end.
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


def _best_later(precision):
    """[H, N] the highest precision at each rank or a later one."""
    return np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]


def _mean_at_hits(precision, is_true_positive, num_ground_truth):
    """Sum of precision [H, N] at the hits [H, N] over num_ground_truth: [H]."""
    if num_ground_truth < 1:
        raise ValueError(
            f"num_ground_truth={num_ground_truth}: the average precision of a "
            "class without instances is undefined"
        )
    at_hits = precision * np.asarray(is_true_positive, dtype=bool)
    return at_hits.sum(axis=1) / num_ground_truth
