"""DETAD's analyses: by hand and against loops."""

import numpy as np
import pytest

from tests.reference import error_analysis as reference
from tfwstal.evaluation import error_analysis
from tfwstal.evaluation.average_precision import (
    Detections,
    Instances,
    match,
)
from tfwstal.evaluation.average_precision.diagnosis import (
    SETTINGS,
    Setting,
    diagnose,
)
from tfwstal.evaluation.average_precision.error_kinds import (
    KINDS,
    kinds_of_detections,
)
from tfwstal.evaluation.average_precision.sensitivity import characteristics_of


def _instances(rows):
    """Instances of rows (video, label, start, end)."""
    return Instances(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2:4] for row in rows],
    )


def _detections(rows):
    """Detections of rows (video, label, start, end, score)."""
    return Detections(
        *(list(column) for column in zip(*(r[:2] for r in rows), strict=True)),
        [row[2:4] for row in rows],
        [row[4] for row in rows],
    )


# One detection of each kind at tIoU 0.5, best first.
_TRUTH = [("u", "a", 0, 10), ("u", "a", 40, 60), ("u", "b", 20, 30)]
_TRUTH += [("v", "a", 0, 2)]
_SEGMENTS = [
    (0, 10),  # true positive
    (1, 10),  # tIoU 0.9 with an instance that is already found
    (20, 30),  # equal to b's
    (5, 14),  # tIoU 5 / 14 with a's
    (25, 40),  # tIoU 5 / 20 with b's
    (70, 80),  # overlaps nothing
    (90, 95),  # ambiguous
]
_FOUND = [("u", "a", *s, 0.9 - 0.1 * i) for i, s in enumerate(_SEGMENTS)]


def test_each_kind_is_told_from_the_others():
    ambiguous = _instances([("u", "x", 94, 99)])
    settings = (_instances(_TRUTH), _detections(_FOUND), (0.5,))
    matches = match(*settings, ambiguous=ambiguous)
    kinds = kinds_of_detections(*settings, matches)
    assert kinds.tolist() == [list(range(len(KINDS)))]
    diagnosis = diagnose(*settings[:2], ambiguous=ambiguous)
    # Class a has three instances: groups of 3, 3 and 1.
    assert diagnosis.group_sizes.tolist() == [3, 3, 1] + [0] * 7
    np.testing.assert_allclose(
        diagnosis.profile[:3],
        [
            [1 / 3, 1 / 3, 1 / 3, 0, 0, 0, 0],
            [0, 0, 0, 1 / 3, 1 / 3, 1 / 3, 0],
            [0, 0, 0, 0, 0, 0, 1],
        ],
    )


def test_the_instance_that_is_overlapped_most_decides():
    # tIoU 6 / 10 with a's instance, 8 / 10 with b's: the label is wrong, though
    # a's instance is reached.
    truth = [("u", "a", 0, 6), ("u", "b", 0, 8)]
    found = [("u", "a", 0, 6, 0.9), ("u", "a", 0, 10, 0.8)]
    settings = (_instances(truth), _detections(found), (0.5,))
    kinds = kinds_of_detections(*settings, match(*settings))
    assert [KINDS[k] for k in kinds[0]] == ["true positive", "wrong label"]


def test_normalized_precision_by_hand():
    # Two classes, 3 instances and 1: N = 2. a: a false positive, then a hit:
    # R = 1 / 3, R N = 2 / 3, precision (2 / 3) / (2 / 3 + 1) = 2 / 5. Its AP is
    # 2 / 5 / 3; b's hit at rank 1 gives 1. Without the false positive a's is
    # 1 / 3.
    truth = [("u", "a", 0, 10), ("u", "a", 20, 30), ("u", "a", 40, 50)]
    truth += [("u", "b", 60, 70)]
    found = [("u", "a", 80, 90, 0.9), ("u", "a", 0, 10, 0.8)]
    found += [("u", "b", 60, 70, 0.7)]
    diagnosis = diagnose(_instances(truth), _detections(found))
    assert diagnosis.normalized_map == pytest.approx((2 / 15 + 1) / 2)
    assert diagnosis.gains["background"] == pytest.approx((1 / 3 - 2 / 15) / 2)
    assert diagnosis.gains["localization"] == 0
    assert diagnosis.missed == 2 / 4


def test_an_instance_found_among_many_false_positives_is_missed():
    # One class, N = 1: the hit at rank k has precision 1 / k; 1 / 20 = 0.05 is
    # too little, 1 / 19 is not.
    for false, missed in ((18, 0), (19, 1)):
        found = [("u", "a", 80, 90, 1 - i / 100) for i in range(false)]
        found += [("u", "a", 0, 10, 0.1)]
        diagnosis = diagnose(
            _instances([("u", "a", 0, 10)]), _detections(found)
        )
        assert diagnosis.missed == missed


def test_ranges_include_their_upper_edge():
    truth = [("u", "a", 0, 3), ("u", "a", 10, 16), ("v", "a", 0, 3.5)]
    found = [("u", "a", 0, 3, 0.9), ("v", "a", 0, 3.5, 0.8)]
    found += [("u", "a", 30, 31, 0.7)]
    diagnosis = diagnose(_instances(truth), _detections(found))
    length = diagnosis.sensitivity["length"]
    assert length.names == ("XS", "S", "M", "L", "XL")
    assert length.num_instances.tolist() == [1, 2, 0, 0, 0]
    np.testing.assert_allclose(length.missed[:2], [0, 1 / 2])
    # 3 s: found at rank 1; 3 to 6 s: one of two, at rank 1 of its range.
    np.testing.assert_allclose(length.mean_ap[:2], [1, 1 / 2])
    assert np.isnan(length.mean_ap[2:]).all()
    assert np.isnan(length.missed[2:]).all()
    counts = diagnosis.sensitivity["instances"]
    assert counts.names == ("XS", "S", "M", "L")
    assert counts.num_instances.tolist() == [1, 2, 0, 0]
    assert "coverage" not in diagnosis.sensitivity
    assert error_analysis.range_names(length.edges) == [
        "up to 3",
        "3 to 6",
        "6 to 12",
        "12 to 18",
        "over 18",
    ]


def test_coverage_needs_the_duration_of_every_video():
    truth = _instances([("u", "a", 0, 3), ("v", "a", 0, 3)])
    assert "coverage" not in characteristics_of(truth, {"u": 6.0, "v": None})
    found = characteristics_of(truth, {"u": 6.0, "v": 12.0}, 2.0)
    np.testing.assert_allclose(found["coverage"], [1, 0.5])
    np.testing.assert_allclose(found["length"], [6, 6])


def _drawn(rng):
    """Instances and detections of 4 classes in 5 videos of 100 s."""
    truth, found = [], []
    for video in range(5):
        for start in rng.uniform(0, 80, rng.integers(1, 6)):
            label = f"c{rng.integers(4)}"
            truth.append((video, label, start, start + rng.exponential(15)))
        for _ in range(rng.integers(0, 30)):
            _, label, start, end = truth[rng.integers(len(truth))]
            if rng.random() < 0.4:
                label = f"c{rng.integers(4)}"
            start += rng.normal() * 4
            end = max(start, end + rng.normal() * 4)
            found.append((video, label, start, end, rng.random()))
    labels = {row[1] for row in truth}
    return truth, [row for row in found if row[1] in labels]


@pytest.mark.parametrize("seed", range(8))
def test_equals_loops(seed):
    truth, found = _drawn(np.random.default_rng(seed))
    thresholds = (0.3, 0.5, 0.8)
    edges = {"coverage": (0.1, 0.2, 0.5), "length": (5.0, 10.0, 20.0, 40.0)}
    characteristics = characteristics_of(
        _instances(truth), dict.fromkeys(range(5), 100.0)
    )
    diagnosis = diagnose(
        _instances(truth),
        _detections(found),
        Setting(thresholds, edges),
        characteristics=characteristics,
    )
    everything = set(range(len(found)))
    groups = reference.groups_of_best(truth, found)
    profile, gains = np.zeros((10, 7)), dict.fromkeys(diagnosis.gains, 0.0)
    overall = 0.0
    by_threshold = {
        t: reference.found_instances(truth, found, t) for t in thresholds
    }
    for t, finds in by_threshold.items():
        kinds = [
            reference.kind_of(truth, row, finds[d], t)
            for d, row in enumerate(found)
        ]
        for g, group in enumerate(groups):
            for d in group:
                profile[g, KINDS.index(kinds[d])] += 1 / len(group) / 3
        limited = {d for group in groups for d in group}
        before = reference.normalized_map(truth, found, finds, limited)
        for kind in gains:
            kept = {d for d in limited if kinds[d] != kind}
            after = reference.normalized_map(truth, found, finds, kept)
            gains[kind] += (after - before) / 3
        overall += reference.normalized_map(truth, found, finds, everything) / 3
    np.testing.assert_allclose(diagnosis.profile, profile, atol=1e-12)
    assert diagnosis.gains == pytest.approx(gains, abs=1e-12)
    assert diagnosis.normalized_map == pytest.approx(overall, abs=1e-12)
    missed = [reference.missed(truth, found, t) for t in thresholds]
    for name, limits in edges.items():
        values = characteristics[name]
        of_range = [-np.inf, *limits, np.inf]
        for b in range(len(limits) + 1):
            chosen = {
                i
                for i, value in enumerate(values)
                if of_range[b] < value <= of_range[b + 1]
            }
            result = diagnosis.sensitivity[name]
            assert result.num_instances[b] == len(chosen)
            kept = {
                d
                for d in everything
                if all(
                    f[d] is None or f[d] in chosen
                    for f in by_threshold.values()
                )
            }
            expected = np.mean(
                [
                    reference.normalized_map(truth, found, finds, kept, chosen)
                    for finds in by_threshold.values()
                ]
            )
            np.testing.assert_allclose(result.mean_ap[b], expected, atol=1e-12)
            if chosen:
                share = np.mean([len(m & chosen) / len(chosen) for m in missed])
                assert result.missed[b] == pytest.approx(share, abs=1e-12)


def test_detads_settings():
    # The branch for is_thumos14 of its scripts, and the other one.
    assert SETTINGS["thumos14"].thresholds == (0.5,)
    anet = SETTINGS["activitynet"]
    np.testing.assert_array_equal(anet.thresholds, np.linspace(0.5, 0.95, 10))
    np.testing.assert_array_equal(
        [0.0, *anet.edges["coverage"], 1.0], np.linspace(0, 1.0, 6)
    )


def test_best_detections_of_each_video_alone():
    # By score: u wrong, u right, v right. k = 1 keeps u's wrong, v's right.
    truth = _instances([("u", "a", 0, 1), ("v", "a", 0, 1)])
    found = [("v", "a", 0, 1, 0.1), ("u", "a", 0, 1, 0.2)]
    found += [("u", "a", 5, 6, 0.3)]
    top_k = diagnose(truth, _detections(found)).top_k
    # k = 1: one of two, at rank 2. k = 5: both, at ranks 2 and 3; the
    # precision 1/2 is raised to 2/3.
    assert top_k[1] == pytest.approx((0.25, 0.5))
    assert top_k[5] == pytest.approx((2 / 3, 1.0))


def test_mean_curve_is_of_the_best_precision_from_there_on():
    truth = [("u", "a", 0, 1), ("u", "a", 2, 3), ("u", "b", 0, 1)]
    found = [("u", "a", 8, 9, 3.0), ("u", "a", 0, 1, 2.0)]
    found += [("u", "a", 2, 3, 1.0)]
    diagnosis = diagnose(_instances(truth), _detections(found))
    recall, precision = diagnosis.curves[0]
    # Hits at ranks 2 and 3.
    np.testing.assert_allclose(recall, [1 / 2, 1])
    np.testing.assert_allclose(precision, [1 / 2, 2 / 3])
    # b has no detections, so the mean is half of a's.
    curve = error_analysis.mean_curve(diagnosis, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(curve, [1 / 3, 1 / 3, 1 / 3])
