"""Localization: Section 3.7 and Eq. 9."""

import math

from tests.reference.arithmetic import float64

_SHORTEST_SIDE = 1e-9  # snippets; a shorter outer area counts as absent


def proposals(z, thresholds):
    """Runs of consecutive snippets at or above a threshold, Section 3.7.

    Args:
        z: [T], the activation of one class.
        thresholds: the values of eta; their proposals are pooled.

    Returns:
        Sorted list of unique (first, last), both inclusive.
    """
    found = set()
    for threshold in thresholds:
        first = None
        for t in range(len(z)):
            if z[t] >= threshold:
                if first is None:
                    first = t
            elif first is not None:
                found.add((first, t - 1))
                first = None
        if first is not None:
            found.add((first, len(z) - 1))
    return sorted(found)


def _mean_inside_video(z, start, end):
    """Mean of z over the part of [start, end] in [0, T]; None if there is none.

    z is piecewise constant: its value on [t, t + 1) is z[t].
    """
    low, high = max(start, 0.0), min(end, float(len(z)))
    if high - low <= _SHORTEST_SIDE:
        return None
    integral = 0.0
    for t in range(len(z)):
        overlap = min(high, t + 1.0) - max(low, float(t))
        if overlap > 0:
            integral += float(z[t]) * overlap
    return integral / (high - low)


def outer_inner_contrast(z, start, end, inflation=0.2):
    """Inner mean minus outer mean, phi_in - phi_out of Eq. 9.

    The outer areas are [start - v, start] and [end, end + v], where
    v = inflation * (end - start). Each is averaged over its part inside the
    video, and phi_out is the mean of the sides that exist. Without either side
    phi_out is 0: a segment that spans the whole video keeps its inner mean.

    Args:
        z: [T], the activation of one class.
        start: beginning in snippets, a real number in [0, T).
        end: end in snippets, a real number in (start, T].
        inflation: length of an outer area over that of the segment.

    Returns:
        float.
    """
    v = inflation * (end - start)
    sides = [
        _mean_inside_video(z, start - v, start),
        _mean_inside_video(z, end, end + v),
    ]
    existing = [side for side in sides if side is not None]
    outer = sum(existing) / len(existing) if existing else 0.0
    return _mean_inside_video(z, start, end) - outer


def tiou(a, b):
    """Temporal intersection over union of two (start, end).

    Disjoint segments have 0. Two identical segments of zero length have 1.
    """
    if a[0] == b[0] and a[1] == b[1]:
        return 1.0
    intersection = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - intersection
    if union <= 0:  # two different points
        return 0.0
    return intersection / union


def hard_nms(segments, threshold):
    """Non-maximum suppression: drops segments that overlap a better one.

    Args:
        segments: list of (start, end, score).
        threshold: a segment is dropped if its tIoU with a kept one is higher.

    Returns:
        Indices of the kept segments, best first; equal scores keep the order
        of the input.
    """
    order = sorted(range(len(segments)), key=lambda i: -segments[i][2])
    kept = []
    for i in order:
        if all(tiou(segments[i], segments[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


def soft_nms(segments, sigma, max_outputs):
    """Gaussian soft-NMS: overlapping segments lose score, none is dropped.

    The segment with the highest current score is taken and every remaining
    score is multiplied by exp(-tIoU^2 / sigma); this is repeated. Scores below
    zero, which overlap would raise, count as zero.

    Args:
        segments: list of (start, end, score).
        sigma: width of the decay.
        max_outputs: the most segments to return.

    Returns:
        List of (index, final score) in the order they were taken; equal scores
        keep the order of the input.
    """
    scores = [max(float(score), 0.0) for _, _, score in segments]
    remaining = list(range(len(segments)))
    taken = []
    while remaining and len(taken) < max_outputs:
        best = remaining[0]
        for i in remaining:
            if scores[i] > scores[best]:
                best = i
        taken.append((best, scores[best]))
        remaining.remove(best)
        for i in remaining:
            overlap = tiou(segments[i], segments[best])
            scores[i] *= math.exp(-(overlap**2) / sigma)
    return taken


def localize(
    z,
    video_scores,
    thresholds,
    alpha=0.1,
    beta=0.2,
    inflation=0.2,
    nms_tiou=0.5,
    seconds_per_snippet=0.64,
):
    """Detections in one video, Section 3.7 and Eq. 9, with hard NMS per class.

    Actions whose video score is below alpha are skipped; if none is left, the
    best action stays (the first of equals). Snippets i to j
    make the segment [i * s, (j + 1) * s), s = seconds_per_snippet.

    Args:
        z: [T, C + 1], the foreground activation.
        video_scores: [C + 1], the foreground row of Eq. 4.
        thresholds: the values of eta.
        alpha: lowest video score of a class.
        beta: weight of the video score in Eq. 9.
        inflation: length of an outer area over that of the segment.
        nms_tiou: threshold of the suppression.
        seconds_per_snippet: seconds from one snippet to the next.

    Returns:
        List of dicts, best first: label (class index), score, segment
        (start, end) in seconds. Equal scores are in the order of class, then of
        the suppression.
    """
    z = float64(z)
    actions = range(1, len(video_scores))
    classes = [c for c in actions if video_scores[c] >= alpha]
    if not classes:
        classes = [max(actions, key=lambda c: video_scores[c])]
    detections = []
    for c in classes:
        candidates = []
        for first, last in proposals(z[:, c], thresholds):
            start, end = float(first), last + 1.0
            contrast = outer_inner_contrast(z[:, c], start, end, inflation)
            score = contrast + beta * float(video_scores[c])
            candidates.append(
                (start * seconds_per_snippet, end * seconds_per_snippet, score)
            )
        for i in hard_nms(candidates, nms_tiou):
            start, end, score = candidates[i]
            detections.append(
                {"label": c, "score": score, "segment": (start, end)}
            )
    return sorted(detections, key=lambda detection: -detection["score"])
