"""Average precision, Section 4.1."""

import math

from tests.reference.localization import tiou


def interpolated_average_precision(true_positive, num_ground_truth):
    """Area under the interpolated precision-recall curve (VOC 2011).

    The precision at each rank is raised to the highest precision at that rank
    or a later one, and summed over the changes of recall, as in ActivityNet's
    evaluation.

    Args:
        true_positive: one flag per detection, best first.
        num_ground_truth: number of instances to find.

    Returns:
        float in [0, 1]; 0 without detections.
    """
    precisions, recalls = [], []
    hits = 0
    for rank, flag in enumerate(true_positive, start=1):
        hits += bool(flag)
        precisions.append(hits / rank)
        recalls.append(hits / num_ground_truth)
    for i in range(len(precisions) - 2, -1, -1):
        precisions[i] = max(precisions[i], precisions[i + 1])
    area, previous_recall = 0.0, 0.0
    for precision, recall in zip(precisions, recalls, strict=True):
        area += (recall - previous_recall) * precision
        previous_recall = recall
    return area


def non_interpolated_average_precision(true_positive, num_ground_truth):
    """Mean over the instances of the precision at which each is found.

    Args:
        true_positive: one flag per detection that counts, best first.
        num_ground_truth: number of instances to find.
    """
    total, hits = 0.0, 0
    for rank, flag in enumerate(true_positive, start=1):
        hits += bool(flag)
        if flag:
            total += hits / rank
    return total / num_ground_truth


def _argsort_reversed(values):
    """ActivityNet's `argsort()[::-1]`, which is stable up to 16 values."""
    return sorted(range(len(values)), key=values.__getitem__)[::-1]


def _activitynet_flags(instances, detections, threshold):
    """(best first, true positive) of one class's rows: each detection walks
    the instances of its video by descending tIoU and takes the first free."""
    ranked = [
        detections[i] for i in _argsort_reversed([row[4] for row in detections])
    ]
    used, flags = set(), []
    for video, _, start, end, _ in ranked:
        there = [i for i, row in enumerate(instances) if row[0] == video]
        overlaps = [tiou((start, end), instances[i][2:4]) for i in there]
        flag = False
        for k in _argsort_reversed(overlaps):
            if overlaps[k] >= threshold and there[k] not in used:
                used.add(there[k])
                flag = True
                break
        flags.append(flag)
    return ranked, flags


def _thumos14_flags(instances, detections, threshold):
    """(best first, true positive) of one class's rows: each instance takes
    the detection of its video that overlaps it most and is still free."""
    by_name = sorted(detections, key=lambda row: row[0])
    ranked = sorted(by_name, key=lambda row: -row[4])
    flags = [False] * len(ranked)
    for video, _, start, end in instances:
        best, chosen = threshold, None
        for i, row in enumerate(ranked):
            if row[0] == video and not flags[i]:
                overlap = tiou(row[2:4], (start, end))
                if overlap > best:
                    best, chosen = overlap, i
        if chosen is not None:
            flags[chosen] = True
    return ranked, flags


def mean_average_precision(
    ground_truth, detections, thresholds, protocol="activitynet", ambiguous=()
):
    """Average precision of each class at each tIoU, by the rules of either kit.

    Detections of classes without ground truth are ignored, and so are those
    that find no instance and overlap an ambiguous segment of their video.

    Args:
        ground_truth: list of (video, label, start, end).
        detections: list of (video, label, start, end, score).
        thresholds: tIoU thresholds.
        protocol: "activitynet" or "thumos14".
        ambiguous: list of (video, start, end).

    Returns:
        dict threshold -> {label: average precision}; the mean over the labels
        is the mAP at that threshold.
    """
    find_flags, average = {
        "activitynet": (_activitynet_flags, interpolated_average_precision),
        "thumos14": (_thumos14_flags, non_interpolated_average_precision),
    }[protocol]
    labels = sorted({label for _, label, _, _ in ground_truth})
    results = {}
    for threshold in thresholds:
        results[threshold] = {}
        for label in labels:
            instances = [row for row in ground_truth if row[1] == label]
            ranked, flags = find_flags(
                instances,
                [row for row in detections if row[1] == label],
                threshold,
            )
            counted = []
            for (video, _, start, end, _), flag in zip(
                ranked, flags, strict=True
            ):
                excused = any(
                    video == other and min(end, last) > max(start, first)
                    for other, first, last in ambiguous
                )
                if flag or not excused:
                    counted.append(flag)
            results[threshold][label] = average(counted, len(instances))
    return results


def average_recall(ground_truth, proposals, thresholds, largest):
    """Recall at 100 budgets, as in ActivityNet's kit for proposals.

    Each video first keeps a share of its proposals, so that `largest` remain
    per video on average, then j / 100 of these, each number rounded down.

    Args:
        ground_truth: list of (video, start, end).
        proposals: list of (video, start, end, score).
        thresholds: tIoU thresholds.
        largest: mean number of proposals per video.

    Returns:
        dict threshold -> list of 100 recalls, and the 100 mean numbers of
        proposals per video.
    """
    videos = sorted({row[0] for row in ground_truth})
    kept = {}
    for video in videos:
        there = [row for row in proposals if row[0] == video]
        order = _argsort_reversed([row[3] for row in there])
        part = largest * len(videos) / len(proposals)
        count = min(math.floor(len(there) * part), len(there))
        kept[video] = [there[i] for i in order[:count]]
    total = sum(len(there) for there in kept.values())
    parts = [j / 100 * (largest * len(videos) / total) for j in range(1, 101)]
    recall = {}
    for threshold in thresholds:
        recall[threshold] = []
        for part in parts:
            hits = 0
            for video, *segment in ground_truth:
                there = kept[video]
                there = there[: min(math.floor(len(there) * part), len(there))]
                hits += any(
                    tiou(segment, row[1:3]) >= threshold for row in there
                )
            recall[threshold].append(hits / len(ground_truth))
    return recall, [part * total / len(videos) for part in parts]
