"""Recall and mAP of each video, against an evaluation of it alone."""

import numpy as np
import pytest

from tests import reference
from tests.evaluation.test_resampling import as_columns, random_rows
from tfwstal.evaluation.average_precision.by_video import score_videos

THRESHOLDS = (0.2, 0.5, 0.7)


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
@pytest.mark.parametrize("seed", range(5))
def test_each_video_is_scored_as_if_it_were_alone(seed, protocol):
    truth, found, _ = random_rows(seed)
    scores = score_videos(
        *as_columns(truth, found, [])[:2], THRESHOLDS, protocol
    )
    assert scores.keys() == {row[0] for row in truth}
    for video, (_, mean_ap) in scores.items():
        own = [
            [row for row in rows if row[0] == video] for rows in (truth, found)
        ]
        results = reference.mean_average_precision(*own, THRESHOLDS, protocol)
        expected = [list(results[t].values()) for t in THRESHOLDS]
        assert mean_ap == pytest.approx(np.mean(expected), abs=1e-12)


def test_recall_counts_instances():
    truth = [("v", "a", 0, 10), ("v", "b", 20, 30), ("w", "a", 0, 10)]
    found = [("v", "a", 0, 6, 0.9), ("x", "a", 0, 10, 0.8)]
    scores = score_videos(*as_columns(truth, found, [])[:2], (0.5, 0.7))
    # tIoU 0.6: one of two instances, at one of two thresholds.
    assert scores == {"v": (0.25, 0.25), "w": (0.0, 0.0)}
