"""tIoU, average precision and mAP, against arithmetic and a loop oracle."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import reference

from tfwstal import annotations
from tfwstal.average_precision import (
    Detections,
    Instances,
    averages,
    interpolated_average_precision,
    mean_average_precision,
    segment_tiou,
)

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_STPN = _ROOT.parent / "shared" / "data" / "results" / "stpn"


def _evaluate(ground_truth, detections, thresholds=(0.5,)):
    """mean_average_precision of rows (video, label, start, end[, score])."""
    columns = [list(c) for c in zip(*ground_truth, strict=True)]
    instances = Instances(*columns[:2], list(zip(*columns[2:4], strict=True)))
    columns = [list(c) for c in zip(*detections, strict=True)] or [[]] * 5
    segments = list(zip(*columns[2:4], strict=True))
    found = Detections(*columns[:2], segments, columns[4])
    return mean_average_precision(instances, found, thresholds)


# === tIoU ===


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((0, 4), (0, 4), 1.0, id="identical"),
        # Intersection 2, union 4 + 4 - 2 = 6.
        pytest.param((0, 4), (2, 6), 1 / 3, id="overlapping"),
        # Intersection 1, union 4.
        pytest.param((0, 4), (1, 2), 0.25, id="nested"),
        pytest.param((0, 4), (4, 6), 0.0, id="touching"),
        pytest.param((0, 4), (5, 6), 0.0, id="apart"),
        pytest.param((3, 3), (3, 3), 1.0, id="identical points"),
        pytest.param((3, 3), (4, 4), 0.0, id="different points"),
        pytest.param((3, 3), (0, 4), 0.0, id="point inside"),
    ],
)
def test_tiou_of_named_cases(a, b, expected):
    assert segment_tiou([a], [b]) == pytest.approx(np.array([[expected]]))
    assert segment_tiou([b], [a]) == pytest.approx(np.array([[expected]]))


def test_tiou_is_of_every_pair():
    # Not square and not symmetric: rows are those of the first argument.
    tiou = segment_tiou([(0, 2), (1, 3)], [(0, 2), (2, 3), (1, 2)])
    # (0, 2): itself 1; touches (2, 3); contains (1, 2): 1 / 2.
    # (1, 3): with (0, 2) 1 / 3; contains (2, 3) and (1, 2): 1 / 2 each.
    expected = [[1, 0, 0.5], [1 / 3, 0.5, 0.5]]
    np.testing.assert_allclose(tiou, expected, rtol=1e-15)


def test_tiou_of_nothing_is_empty():
    assert segment_tiou([], [(0, 1)]).shape == (0, 1)
    assert segment_tiou([(0, 1)], []).shape == (1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_tiou_equals_the_oracle(seed):
    rng = np.random.default_rng(seed)
    # A grid makes identical, touching and empty segments common.
    a = np.sort(rng.integers(0, 6, (7, 2)), axis=1)
    b = np.sort(rng.integers(0, 6, (9, 2)), axis=1)
    expected = [[reference.tiou(x, y) for y in b] for x in a]
    np.testing.assert_allclose(segment_tiou(a, b), expected, rtol=1e-12)


# === Average precision ===


@pytest.mark.parametrize(
    ("flags", "num_ground_truth", "expected"),
    [
        pytest.param([1, 1], 2, 1.0, id="all found"),
        # Precisions 1, 1/2, 2/3; hits at ranks 1 and 3: (1 + 2/3) / 2.
        pytest.param([1, 0, 1], 2, 5 / 6, id="one wrong between"),
        # Precisions 0, 1/2, 2/3: rank 2 is raised to 2/3, the best later.
        pytest.param([0, 1, 1], 2, 2 / 3, id="interpolation raises"),
        # One of four found, at rank 1.
        pytest.param([1, 0], 4, 1 / 4, id="recall below one"),
        pytest.param([0, 0], 3, 0.0, id="nothing right"),
        pytest.param([], 3, 0.0, id="no detection"),
    ],
)
def test_average_precision_of_named_cases(flags, num_ground_truth, expected):
    ap = interpolated_average_precision([flags], num_ground_truth)
    assert ap == pytest.approx([expected])


def test_average_precision_takes_thresholds_apart():
    # The only instance found at rank 1, at rank 2 (precision 1/2), or never.
    flags = [[1, 0], [0, 1], [0, 0]]
    ap = interpolated_average_precision(flags, 1)
    np.testing.assert_allclose(ap, [1.0, 0.5, 0.0])


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_the_oracle(seed):
    rng = np.random.default_rng(seed)
    flags = rng.random((3, 20)) < 0.4
    expected = [reference.interpolated_average_precision(f, 25) for f in flags]
    ap = interpolated_average_precision(flags, 25)
    np.testing.assert_allclose(ap, expected, rtol=1e-12)


def test_average_precision_of_no_instances_is_refused():
    with pytest.raises(ValueError, match="num_ground_truth=0"):
        interpolated_average_precision([[True]], 0)


# === Mean average precision ===


def test_double_detection_is_a_false_positive():
    # The best detection takes the instance at rank 1: AP 1, whatever follows.
    truth = [("v", "a", 0, 10)]
    twice = [("v", "a", 0, 10, 0.9), ("v", "a", 0, 10, 0.8)]
    assert _evaluate(truth, twice).mean_ap == pytest.approx([1.0])
    # With a second instance found last, hits are at ranks 1 and 3: 5/6.
    truth.append(("v", "a", 20, 30))
    twice.append(("v", "a", 20, 30, 0.7))
    assert _evaluate(truth, twice).mean_ap == pytest.approx([5 / 6])


def test_detection_takes_the_next_best_free_instance():
    # tIoU of (0, 10) is 1 with the first, 0.8 with the second (8 / 10).
    # Both detections prefer the first; the later one falls to the second.
    truth = [("v", "a", 0, 10), ("v", "a", 0, 8)]
    found = [("v", "a", 0, 10, 0.9), ("v", "a", 0, 10, 0.8)]
    result = _evaluate(truth, found, (0.8, 0.9))
    # At 0.9 the second is out of reach: one of two, at rank 1.
    np.testing.assert_allclose(result.mean_ap, [1.0, 0.5])


def test_thresholds_are_matched_apart():
    # The first detection has tIoU 0.6 with the instance, the second 1.0: at
    # 0.5 the first takes it, at 0.7 it is left to the second, at rank 2.
    truth = [("v", "a", 0, 10)]
    found = [("v", "a", 0, 6, 0.9), ("v", "a", 0, 10, 0.8)]
    result = _evaluate(truth, found, (0.7, 0.5))
    assert result.thresholds == (0.7, 0.5)
    np.testing.assert_allclose(result.ap, [[0.5], [1.0]])


def test_tiou_equal_to_the_threshold_matches():
    # Intersection 5, union 10.
    result = _evaluate([("v", "a", 0, 10)], [("v", "a", 0, 5, 1.0)], (0.5,))
    assert result.mean_ap == pytest.approx([1.0])


def test_touching_segments_do_not_match():
    result = _evaluate([("v", "a", 0, 5)], [("v", "a", 5, 9, 1.0)], (1e-9,))
    assert result.mean_ap == pytest.approx([0.0])


def test_zero_length_instance_is_found_by_its_equal_only():
    truth = [("v", "a", 5, 5)]
    wide = _evaluate(truth, [("v", "a", 4, 6, 1.0)], (0.1,))
    assert wide.mean_ap == pytest.approx([0.0])
    equal = _evaluate(truth, [("v", "a", 5, 5, 1.0)], (0.1, 1.0))
    np.testing.assert_allclose(equal.mean_ap, [1.0, 1.0])


def test_identical_scores_keep_the_order_of_the_input():
    truth = [("v", "a", 0, 1)]
    right, wrong = ("v", "a", 0, 1, 0.5), ("v", "a", 8, 9, 0.5)
    assert _evaluate(truth, [right, wrong]).mean_ap == pytest.approx([1.0])
    # Wrong first: the hit is at rank 2.
    assert _evaluate(truth, [wrong, right]).mean_ap == pytest.approx([0.5])


def test_identical_tiou_keeps_the_order_of_the_input():
    # The first detection overlaps both instances by 2 / 6; the second reaches
    # the left one only.
    left, right = ("v", "a", 0, 4), ("v", "a", 4, 8)
    found = [("v", "a", 2, 6, 0.9), ("v", "a", 0, 4, 0.8)]
    # Left first: it is gone when the second comes: one of two, at rank 1.
    result = _evaluate([left, right], found, (0.3,))
    assert result.mean_ap == pytest.approx([0.5])
    result = _evaluate([right, left], found, (0.3,))
    assert result.mean_ap == pytest.approx([1.0])


def test_score_of_another_class_or_video_matters_only_in_its_class():
    # Class a ranks over all videos: u's wrong one comes before v's right one.
    truth = [("u", "a", 0, 1), ("v", "a", 0, 1), ("v", "b", 0, 1)]
    found = [
        ("v", "a", 0, 1, 0.2),
        ("u", "a", 8, 9, 0.3),
        ("v", "b", 0, 1, 0.1),
    ]
    result = _evaluate(truth, found)
    assert result.labels == ("a", "b")
    assert result.num_instances.tolist() == [2, 1]
    # a: the hit at rank 2 of one of two instances: 1/2 * 1/2. b: 1.
    np.testing.assert_allclose(result.ap, [[0.25, 1.0]])
    assert result.mean_ap == pytest.approx([0.625])


def test_class_without_detections_has_ap_zero():
    truth = [("v", "a", 0, 1), ("v", "b", 0, 1)]
    result = _evaluate(truth, [("v", "a", 0, 1, 1.0)])
    np.testing.assert_allclose(result.ap, [[1.0, 0.0]])
    assert result.mean_ap == pytest.approx([0.5])


def test_class_absent_from_ground_truth_does_not_count():
    found = [("v", "a", 0, 1, 0.1), ("v", "z", 0, 1, 0.9)]
    result = _evaluate([("v", "a", 0, 1)], found)
    assert result.labels == ("a",)
    assert result.mean_ap == pytest.approx([1.0])


def test_video_absent_from_ground_truth_is_a_false_positive():
    found = [("v", "a", 0, 1, 0.1), ("w", "a", 0, 1, 0.9)]
    result = _evaluate([("v", "a", 0, 1)], found)
    assert result.mean_ap == pytest.approx([0.5])


def test_video_absent_from_detections_stays_in_the_denominator():
    truth = [("v", "a", 0, 1), ("w", "a", 0, 1)]
    result = _evaluate(truth, [("v", "a", 0, 1, 1.0)])
    assert result.mean_ap == pytest.approx([0.5])


def test_no_detection_at_all():
    result = _evaluate([("v", "a", 0, 1)], [], (0.1, 0.5))
    np.testing.assert_array_equal(result.ap, [[0.0], [0.0]])


@pytest.mark.parametrize("seed", range(30))
def test_equals_the_oracle(seed):
    rng = np.random.default_rng(seed)

    def rows(count, videos, labels):
        # A coarse grid makes ties of tIoU and of score common.
        segments = np.sort(rng.integers(0, 12, (count, 2)), axis=1)
        return [
            (
                f"v{rng.integers(videos)}",
                f"c{rng.integers(labels)}",
                float(start),
                float(end),
                float(rng.integers(0, 8)),
            )
            for start, end in segments
        ]

    truth = [row[:4] for row in rows(25, 4, 3)]
    # One video and one class more than the ground truth has.
    found = rows(int(rng.integers(1, 120)), 5, 4)
    thresholds = (0.5, 0.1, 0.3, 1.0, 0.95)
    result = _evaluate(truth, found, thresholds)
    expected = reference.mean_average_precision(truth, found, thresholds)
    for threshold, ap in zip(thresholds, result.ap, strict=True):
        assert list(result.labels) == list(expected[threshold])
        np.testing.assert_allclose(
            ap, list(expected[threshold].values()), rtol=1e-12
        )


def test_chunks_of_detections_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    truth = [("v", "a", s, s + 4) for s in rng.integers(0, 30, 12)]
    found = [
        ("v", "a", s, s + 4, float(x))
        for s, x in zip(rng.integers(0, 30, 50), rng.random(50), strict=True)
    ]
    whole = _evaluate(truth, found, (0.1, 0.5))
    monkeypatch.setattr("tfwstal.average_precision._CHUNK", 7)
    np.testing.assert_array_equal(
        _evaluate(truth, found, (0.1, 0.5)).ap, whole.ap
    )


def test_more_thresholds_than_an_integer_of_the_machine_has_bits():
    # (0, 10) against (0, 8): tIoU 0.8 reaches 1/100, 2/100, ..., 80/100.
    thresholds = [i / 100 for i in range(1, 101)]
    result = _evaluate([("v", "a", 0, 10)], [("v", "a", 0, 8, 1)], thresholds)
    np.testing.assert_array_equal(result.mean_ap, [1.0] * 80 + [0.0] * 20)


@pytest.mark.parametrize(
    ("instances", "detections", "message"),
    [
        pytest.param(
            Instances([], [], []),
            Detections([], [], [], []),
            "holds no instance",
            id="empty ground truth",
        ),
        pytest.param(
            Instances(["v"], ["a", "b"], [(0, 1)]),
            Detections([], [], [], []),
            "Instances differ in length",
            id="lengths",
        ),
        pytest.param(
            Instances(["v"], ["a"], [(0, 1)]),
            Detections(["v"], ["a"], [(0, 1)], []),
            "Detections differ in length",
            id="no score",
        ),
        pytest.param(
            Instances(["v"], ["a"], [(0, 1)]),
            Detections(["v"], ["a"], [(0, 1)], [np.nan]),
            "not finite",
            id="score nan",
        ),
        pytest.param(
            Instances(["v"], ["a"], [(0, np.inf)]),
            Detections([], [], [], []),
            "not finite",
            id="segment infinite",
        ),
        pytest.param(
            Instances(["v"], ["a"], [(0, 1)]),
            Detections(["v"], ["a"], [(2, 1)], [1.0]),
            "ends before it starts",
            id="reversed",
        ),
    ],
)
def test_unusable_columns_are_refused(instances, detections, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(instances, detections, (0.5,))


# === Averages ===


def test_averages_of_complete_ranges():
    # mAP t at threshold t: an average is the middle of its range.
    thresholds = [0.1, 0.2, 0.1 + 0.2, 0.4]
    thresholds += [0.5 + 0.05 * i for i in range(10)]
    found = averages(thresholds, thresholds)
    assert list(found) == ["0.1:0.5", "0.1:0.7", "0.5:0.95"]
    assert found == pytest.approx(
        {"0.1:0.5": 0.3, "0.1:0.7": 0.4, "0.5:0.95": 0.725}
    )


def test_averages_lack_what_has_a_threshold_missing():
    thresholds = (0.5, 0.4, 0.3, 0.2, 0.1, 0.7)
    assert list(averages([0.0] * 6, thresholds)) == ["0.1:0.5"]
    assert averages([0.0], [0.5]) == {}


# === Published detections ===


@pytest.fixture(scope="module")
def stpn():
    """Instances, detections and the expected AP [H, C] of STPN on THUMOS."""
    if not _STPN.is_dir():
        pytest.skip(f"the published detections are not in {_STPN}")
    videos, _ = annotations.read_ground_truth(_STPN / "gt.json")
    results = annotations.read_detections(_STPN / "results.json")
    expected = json.loads((_STPN / "expected.json").read_text())
    return (
        annotations.to_instances(videos.values()),
        annotations.to_detections(results),
        expected,
    )


def test_equals_the_kit_on_published_detections(stpn):
    instances, detections, expected = stpn
    # The CliffDiving found at (110.2, 120.3) in this video overlaps two
    # instances by exactly the same tIoU. The kit's unstable sort took the
    # later one when the expected numbers were made; so it comes first here.
    rows = list(
        zip(
            instances.videos,
            instances.labels,
            instances.segments,
            strict=True,
        )
    )
    tied = ("video_test_0001339", "CliffDiving", (117.3, 119.5))
    rows.remove(tied)
    columns = zip(tied, *rows, strict=True)
    result = mean_average_precision(
        Instances(*columns), detections, expected["tiou"]
    )
    np.testing.assert_allclose(result.mean_ap, expected["mAP"], atol=1e-9)
    assert set(result.labels) == set(expected["per_class_ap"])
    for label, ap in zip(result.labels, result.ap.T, strict=True):
        np.testing.assert_allclose(
            ap, expected["per_class_ap"][label], atol=1e-9, err_msg=label
        )


def test_order_of_input_settles_the_tie_of_published_detections(stpn):
    instances, detections, expected = stpn
    result = mean_average_precision(instances, detections, expected["tiou"])
    kit = [expected["per_class_ap"][label] for label in result.labels]
    difference = np.abs(result.ap - np.array(kit).T)
    # Only the tie above, and the tIoU that reach it (0.219).
    row = result.labels.index("CliffDiving")
    assert np.argwhere(difference > 1e-9).tolist() == [[0, row], [1, row]]
    # One instance of 217 more, and what its precision lifts before it.
    assert difference.max() < 3 / 217


def test_needs_numpy_only():
    # Straight from the file: a user's tools need neither TensorFlow nor us.
    path = _ROOT / "tfwstal" / "average_precision.py"
    code = (
        "import importlib.util, sys; "
        f"s = importlib.util.spec_from_file_location('ap', {str(path)!r}); "
        "m = importlib.util.module_from_spec(s); sys.modules['ap'] = m; "
        "s.loader.exec_module(m); "
        "sys.exit('tensorflow' in sys.modules or 'tfwstal' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
