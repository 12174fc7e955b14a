"""Temporal IoU, and the matching of detections and instances by either kit.

Shapes: H thresholds, N detections, M ground-truth instances. Segments are
[start, end]. A key is an integer for a class and a video: only a detection and
an instance with the same key can match.
"""

import numpy as np

from . import unstable_sort

# Pairs compared at a time: limits the memory, without effect on results.
_CHUNK = 1 << 20


def segment_tiou(a, b):
    """Temporal intersection over union of every pair of segments.

    Two identical segments of zero length have tIoU 1. A segment of zero length
    has tIoU 0 with any other segment.

    Args:
        a: [N, 2] start and end, start <= end.
        b: [M, 2] likewise, in the same unit.

    Returns:
        [N, M] float64 array.
    """
    a, b = as_segments(a), as_segments(b)
    return tiou_of_pairs(a[:, None], b[None, :])


def as_segments(values):
    """Converts `values`, empty ones too, to a float64 array [N, 2]."""
    return np.asarray(values, dtype=np.float64).reshape(-1, 2)


def match_activitynet(detections, instances, thresholds):
    """Detections, best first, each take the free instance of highest tIoU.

    The tIoU must reach the threshold. Equal tIoU come in the order of the
    kit's `argsort()[::-1]` over the video's instances: for up to 16, the last
    comes first.

    Args:
        detections: a pair of keys [N] int and segments [N, 2], best first.
        instances: a pair of keys [M] int and segments [M, 2].
        thresholds: [H] lowest tIoU of a match.

    Returns:
        [H, N] int, the instance that each detection finds, -1 for none.
    """
    return _greedy(
        detections,
        instances,
        thresholds,
        tiou_of_pairs,
        "right",
        _as_the_kit_sorts,
    )


def match_thumos14(detections, instances, thresholds):
    """Instances, in order, each take the free detection of highest tIoU.

    Scores play no part. The tIoU must exceed the threshold; among equal tIoU,
    the better detection is taken.

    Args:
        detections, instances, thresholds: as for `match_activitynet`.

    Returns:
        [H, N] int, the instance that each detection finds, -1 for none.
    """
    taken = _greedy(
        instances, detections, thresholds, _hull_tiou, "left", _stably
    )
    found = np.full((len(thresholds), len(detections[0])), -1)
    threshold, instance = np.nonzero(taken >= 0)
    found[threshold, taken[threshold, instance]] = instance
    return found


def overlaps_any(detections, others):
    """Finds the detections that overlap any segment by more than a point.

    Args:
        detections: a pair of keys [N] int and segments [N, 2].
        others: likewise.

    Returns:
        [N] bool.
    """
    found = np.zeros(len(detections[0]), dtype=bool)
    for rows, columns in pairs(detections[0], others[0]):
        a, b = detections[1][rows], others[1][columns]
        found[rows[_intersection(a, b) > 0]] = True
    return found


def best_instances(detections, instances):
    """The instance that overlaps each detection most; of equal ones the first.

    Args:
        detections: a pair of keys [N] int and segments [N, 2].
        instances: a pair of keys [M] int and segments [M, 2].

    Returns:
        [N] int, the instance, -1 for none, and [N] float64, its tIoU, 0 for
        none.
    """
    best = np.full(len(detections[0]), -1)
    highest = np.zeros(len(detections[0]))
    for rows, others in pairs(detections[0], instances[0]):
        tiou = tiou_of_pairs(detections[1][rows], instances[1][others])
        order = np.lexsort((others, -tiou, rows))
        found, first = np.unique(rows[order], return_index=True)
        best[found] = others[order[first]]
        highest[found] = tiou[order[first]]
    return best, highest


def pairs(key, other_key):
    """Yields every pair of rows that share a key, a bounded number at a time.

    Args:
        key: [N] int; other_key: [M] int.

    Yields:
        rows: [P] into `key`, ascending; others: [P] into `other_key`,
        ascending within a row. All pairs of a row come together.
    """
    by_key = np.argsort(other_key, kind="stable")
    sorted_key = other_key[by_key]
    first = np.searchsorted(sorted_key, key, side="left")
    count = np.searchsorted(sorted_key, key, side="right") - first
    total = np.concatenate([[0], np.cumsum(count)])  # pairs before a row
    begin = 0
    while begin < len(key):
        end = np.searchsorted(total, total[begin] + _CHUNK, side="right") - 1
        end = max(end, begin + 1)  # at least one row
        rows = np.repeat(np.arange(begin, end), count[begin:end])
        # 0, 1, ..., count - 1 within each row.
        within = np.arange(len(rows)) - (total[rows] - total[begin])
        yield rows, by_key[first[rows] + within]
        begin = end


def _greedy(seekers, goals, thresholds, tiou, side, best_first):
    """Seekers, in order, each take their best free goal.

    One pass over the overlapping pairs matches all thresholds: bit h of an
    integer stands for threshold h.

    Args:
        seekers, goals: pairs of keys and segments.
        thresholds: [H].
        tiou: function of segments [P, 2], [P, 2] -> [P].
        side: "right" if a tIoU equal to the threshold matches, or "left".
        best_first: function of rows, columns, tIoU [P] and the positions [Q]
            that may match -> the same positions, by row and then best first.

    Returns:
        [H, seekers] int, the goal that each takes, -1 for none.
    """
    ascending = np.argsort(thresholds)
    reached = [0]  # reached[n]: bits of the n lowest thresholds
    for h in ascending.tolist():
        reached.append(reached[-1] | 1 << h)
    goal_of = np.full((len(thresholds), len(seekers[0])), -1)
    taken = [0] * len(
        goals[0]
    )  # bits of the thresholds at which a goal is taken
    for rows, columns in pairs(seekers[0], goals[0]):
        overlap = tiou(seekers[1][rows], goals[1][columns])
        level = np.searchsorted(thresholds[ascending], overlap, side=side)
        good = best_first(rows, columns, overlap, np.flatnonzero(level))
        previous, free = -1, 0
        for row, column, n in zip(
            rows[good].tolist(),
            columns[good].tolist(),
            level[good].tolist(),
            strict=True,
        ):
            if row != previous:  # the next seeker, unmatched so far
                previous, free = row, reached[-1]
            match = reached[n] & free & ~taken[column]
            if match:  # at most H times per goal
                taken[column] |= match
                free &= ~match
                for h in range(len(thresholds)):
                    if match >> h & 1:
                        goal_of[h, row] = column
    return goal_of


def _stably(rows, columns, tiou, good):
    """Orders equal tIoU as in the input."""
    return good[np.lexsort((columns[good], -tiou[good], rows[good]))]


def _as_the_kit_sorts(rows, columns, tiou, good):
    """Orders equal tIoU as ActivityNet's kit does."""
    good = good[np.lexsort((-columns[good], -tiou[good], rows[good]))]
    row, value = rows[good], tiou[good]
    tied = (row[1:] == row[:-1]) & (value[1:] == value[:-1])
    for each in np.unique(row[1:][tied]).tolist():
        begin, end = np.searchsorted(rows, (each, each + 1)).tolist()
        if end - begin > unstable_sort.STABLE_LENGTH:
            order = unstable_sort.argsort(tiou[begin:end].tolist())[::-1]
            # Those that may match are the best.
            first, last = np.searchsorted(row, (each, each + 1)).tolist()
            good[first:last] = begin + np.array(order[: last - first])
    return good


def _intersection(a, b):
    """Length of the overlap of a [..., 2] and b [..., 2], broadcast: [...]."""
    shared = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    return np.maximum(shared, 0.0)


def tiou_of_pairs(a, b):
    """tIoU of a [..., 2] and b [..., 2], broadcast: [...]."""
    shared = _intersection(a, b)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - shared
    return _ratio(a, b, shared, union)


def _hull_tiou(a, b):
    """`tiou_of_pairs` as the THUMOS kit rounds it, the common hull as union.

    For overlapping segments the hull is the union; for others the ratio is 0
    either way. The last bit can differ, which matters at tIoU = threshold.
    """
    hull = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
    return _ratio(a, b, _intersection(a, b), hull)


def _ratio(a, b, shared, union):
    identical = (a == b).all(axis=-1)  # including zero length
    return np.where(identical, 1.0, shared / np.where(union > 0, union, 1.0))
