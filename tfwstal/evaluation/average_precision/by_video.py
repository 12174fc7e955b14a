"""Recall and average precision of each video by itself, in NumPy."""

import collections

import numpy as np

from . import _PROTOCOLS, match


def score_videos(
    ground_truth,
    detections,
    thresholds,
    protocol="activitynet",
    ambiguous=None,
):
    """Recall and mAP of each video, as if there were no other.

    Args:
        ground_truth, detections, thresholds, protocol, ambiguous: as for
            `match`.

    Returns:
        dict video -> (recall, mAP), means over the thresholds, from 0 to 1.
        Videos without instances are left out. Recall is the part of the
        video's instances that is found; mAP is the mean over the classes of
        its instances.

    Raises:
        ValueError: as `match` does.
    """
    matches = match(ground_truth, detections, thresholds, protocol, ambiguous)
    average = _PROTOCOLS[protocol][1]
    found, classes = collections.defaultdict(list), collections.defaultdict(int)
    for video, label, hit in zip(
        ground_truth.videos,
        ground_truth.labels,
        matches.found.mean(axis=0),
        strict=True,
    ):
        found[video].append(hit)
        classes[video, label] += 1
    columns = collections.defaultdict(list)  # best first, as in Matches
    for column, row in enumerate(matches.rows):
        columns[detections.videos[row], detections.labels[row]].append(column)
    precision = collections.defaultdict(list)
    for (video, label), count in classes.items():
        own = columns.get((video, label), [])
        area = average(matches.hits[:, own], count, matches.counts[:, own])
        precision[video].append(area.mean())
    return {
        video: (float(np.mean(hits)), float(np.mean(precision[video])))
        for video, hits in found.items()
    }
