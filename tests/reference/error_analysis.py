"""The analyses of DETAD in loops (https://arxiv.org/abs/1807.10706).

Rows: an instance is (video, label, start, end); a detection also has a score.
All scores are different.
"""

import math

from tests.reference.localization import tiou


def found_instances(instances, detections, threshold):
    """The row of the instance that each detection finds, or None.

    The detections of a class come best first; each takes the free instance of
    its class and video that it overlaps most, if that reaches the threshold.
    """
    found, used = [None] * len(detections), set()
    for d in _best_first(detections):
        video, label, *segment, _ = detections[d]
        free = [
            (tiou(segment, row[2:4]), i)
            for i, row in enumerate(instances)
            if row[:2] == (video, label) and i not in used
        ]
        overlap, best = max(free, default=(0, None))
        if best is not None and overlap >= threshold:
            found[d] = best
            used.add(best)
    return found


def kind_of(instances, detection, finds, threshold):
    """The name of a detection's kind."""
    if finds is not None:
        return "true positive"
    video, label, *segment, _ = detection
    highest, of_label = 0, None
    for row in instances:
        overlap = tiou(segment, row[2:4])
        if row[0] == video and overlap > highest:
            highest, of_label = overlap, row[1]
    if highest < 0.1:
        return "background"
    if highest < threshold:
        return "localization" if of_label == label else "confusion"
    return "double detection" if of_label == label else "wrong label"


def normalized_precisions(hits, num_instances, average):
    """Normalized precision after each detection of one class, best first."""
    precisions = []
    for rank in range(1, len(hits) + 1):
        recall = sum(hits[:rank]) / num_instances
        false = rank - sum(hits[:rank])
        precisions.append(recall * average / (recall * average + false))
    return precisions


def normalized_ap(hits, num_instances, average):
    """Interpolated average precision of normalized precision."""
    precisions = normalized_precisions(hits, num_instances, average)
    return (
        math.fsum(
            max(precisions[rank:]) for rank, hit in enumerate(hits) if hit
        )
        / num_instances
    )


def normalized_map(instances, detections, found, kept, chosen=None):
    """Mean normalized AP of the classes that have a chosen instance.

    Args:
        found: from `found_instances`.
        kept: set of rows of the detections to look at.
        chosen: set of rows of the instances to find; None for all.
    """
    labels = sorted({row[1] for row in instances})
    average = len(instances) / len(labels)
    values = []
    for label in labels:
        goals = [
            i
            for i, row in enumerate(instances)
            if row[1] == label and (chosen is None or i in chosen)
        ]
        if goals:
            hits = [
                found[d] is not None
                for d in _best_first(detections)
                if detections[d][1] == label and d in kept
            ]
            values.append(normalized_ap(hits, len(goals), average))
    return sum(values) / len(values) if values else math.nan


def groups_of_best(instances, detections):
    """Lists of rows: the best G detections of each class, the next G, ..."""
    groups = [[] for _ in range(10)]
    for label in sorted({row[1] for row in instances}):
        size = sum(row[1] == label for row in instances)
        rows = [d for d in _best_first(detections) if detections[d][1] == label]
        for g, group in enumerate(groups):
            group += rows[g * size : (g + 1) * size]
    return groups


def missed(instances, detections, threshold):
    """Rows of the instances that no detection finds with precision > 0.05."""
    found = found_instances(instances, detections, threshold)
    labels = {row[1] for row in instances}
    average = len(instances) / len(labels)
    left = set(range(len(instances)))
    for label in labels:
        size = sum(row[1] == label for row in instances)
        rows = [d for d in _best_first(detections) if detections[d][1] == label]
        hits = [found[d] is not None for d in rows]
        precisions = normalized_precisions(hits, size, average)
        for d, precision in zip(rows, precisions, strict=True):
            if found[d] is not None and precision > 0.05:
                left.discard(found[d])
    return left


def _best_first(detections):
    return sorted(range(len(detections)), key=lambda d: -detections[d][4])
