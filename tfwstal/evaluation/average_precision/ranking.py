"""The order of detections, best first, with ties as in either kit."""

import numpy as np

from . import unstable_sort


def ranked(scores, detected_class, detected_video, protocol):
    """Returns [K] rows of known classes, by class, then by descending score."""
    scores = np.asarray(scores, dtype=np.float64)
    ties = {
        "activitynet": -np.arange(len(scores)),  # the last first
        "thumos14": detected_video,  # then, the sort is stable, the first first
    }
    rows = np.lexsort((ties[protocol], -scores, detected_class))
    rows = rows[detected_class[rows] >= 0]
    if protocol == "activitynet":
        _sort_ties_as_the_kit(rows, scores[rows], detected_class[rows])
    return rows


def _sort_ties_as_the_kit(rows, scores, detected_class):
    """Reorders `rows` in place within classes that have equal scores."""
    tied = (detected_class[1:] == detected_class[:-1]) & (
        scores[1:] == scores[:-1]
    )
    for c in np.unique(detected_class[1:][tied]).tolist():
        begin, end = np.searchsorted(detected_class, (c, c + 1)).tolist()
        if end - begin > unstable_sort.STABLE_LENGTH:
            in_file = np.argsort(rows[begin:end])
            order = unstable_sort.argsort(scores[begin:end][in_file].tolist())[
                ::-1
            ]
            rows[begin:end] = rows[begin:end][in_file][order]
