"""tIoU, average precision and mAP, against arithmetic and a loop oracle."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from tests.conftest import ROOT
from tests.evaluation import scnn
from tfwstal.data import activitynet
from tfwstal.evaluation import columns
from tfwstal.evaluation.average_precision import (
    Detections,
    Instances,
    averages,
    interpolated_average_precision,
    match,
    mean_average_precision,
    non_interpolated_average_precision,
    segment_tiou,
)
from tfwstal.evaluation.average_precision.unstable_sort import argsort

_PROTOCOLS = ("activitynet", "thumos14")


def _columns(ground_truth, detections, ambiguous=()):
    """Rows (video, label, start, end[, score]) as columns.

    Rows of `ambiguous` are (video, start, end).
    """
    segments = [row[2:4] for row in ground_truth]
    instances = Instances(*_first_two(ground_truth), segments)
    found = Detections(
        *_first_two(detections),
        [row[2:4] for row in detections],
        [row[4] for row in detections],
    )
    unclear = Instances(
        [row[0] for row in ambiguous],
        ["Ambiguous"] * len(ambiguous),
        [row[1:3] for row in ambiguous],
    )
    return instances, found, unclear


def _first_two(rows):
    return [row[0] for row in rows], [row[1] for row in rows]


def _evaluate(
    ground_truth,
    detections,
    thresholds=(0.5,),
    protocol="activitynet",
    ambiguous=(),
):
    """mean_average_precision of rows; see `_columns`."""
    instances, found, unclear = _columns(ground_truth, detections, ambiguous)
    return mean_average_precision(
        instances, found, thresholds, protocol, unclear
    )


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
    # Not square and not symmetric: a row for each of the first argument.
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


def test_average_precision_of_each_threshold_is_independent():
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
    for average in (
        interpolated_average_precision,
        non_interpolated_average_precision,
    ):
        with pytest.raises(ValueError, match="num_ground_truth=0"):
            average([[True]], 0)


def test_interpolation_is_what_the_two_averages_differ_by():
    # Precisions 0, 1/2, 2/3 with hits at ranks 2 and 3, two to find: the first
    # hit's 1/2 is raised to 2/3, or not.
    flags = [[0, 1, 1]]
    assert interpolated_average_precision(flags, 2) == pytest.approx([2 / 3])
    ap = non_interpolated_average_precision(flags, 2)
    assert ap == pytest.approx([(1 / 2 + 2 / 3) / 2])


def test_what_counts_neither_way_takes_no_rank():
    # Ranks 1 and 3 do not count: the hits are at ranks 1 and 2 of those left.
    flags, counts = [[0, 1, 0, 1]], [[0, 1, 0, 1]]
    for average in (
        interpolated_average_precision,
        non_interpolated_average_precision,
    ):
        assert average(flags, 2, counts) == pytest.approx([1.0])
        assert average(flags, 2) == pytest.approx([0.5])


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


def test_thresholds_are_matched_independently():
    # The first detection has tIoU 0.6 with the instance, the second 1.0: at
    # 0.5 the first takes it, at 0.7 only the second can, at rank 2.
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


def test_identical_scores_take_the_last_first():
    # argsort()[::-1]. The hit is at rank 1 if it is last in the input.
    truth = [("v", "a", 0, 1)]
    right, wrong = ("v", "a", 0, 1, 0.5), ("v", "a", 8, 9, 0.5)
    assert _evaluate(truth, [wrong, right]).mean_ap == pytest.approx([1.0])
    assert _evaluate(truth, [right, wrong]).mean_ap == pytest.approx([0.5])


def test_identical_scores_take_the_first_first_in_thumos14():
    # MATLAB's sort is stable.
    truth = [("v", "a", 0, 1)]
    right, wrong = ("v", "a", 0, 1, 0.5), ("v", "a", 8, 9, 0.5)
    ap = _evaluate(truth, [right, wrong], protocol="thumos14").mean_ap
    assert ap == pytest.approx([1.0])
    ap = _evaluate(truth, [wrong, right], protocol="thumos14").mean_ap
    assert ap == pytest.approx([0.5])
    # Several videos are in the order of their names, not of the input: u's
    # wrong detection comes before v's right one.
    wrong = ("u", "a", 0, 1, 0.5)
    for found in ([right, wrong], [wrong, right]):
        ap = _evaluate(truth, found, protocol="thumos14").mean_ap
        assert ap == pytest.approx([0.5])


def test_identical_tiou_takes_the_last_first():
    # The first detection overlaps both instances by 2 / 6; the second reaches
    # the left one only.
    left, right = ("v", "a", 0, 4), ("v", "a", 4, 8)
    found = [("v", "a", 2, 6, 0.9), ("v", "a", 0, 4, 0.8)]
    # Left last: the first detection takes it, so the second finds nothing: one
    # of two, at rank 1.
    result = _evaluate([right, left], found, (0.3,))
    assert result.mean_ap == pytest.approx([0.5])
    result = _evaluate([left, right], found, (0.3,))
    assert result.mean_ap == pytest.approx([1.0])


def test_identical_tiou_among_many_instances_is_as_numpy_sorts():
    # 20 instances, beyond what NumPy sorts by insertion. The detection ties
    # with the first and the last; which of them it takes shows in what is
    # left for the second detection, which equals the first instance.
    others = [("v", "a", 100 * i, 100 * i + 4) for i in range(1, 19)]
    truth = [("v", "a", 0, 4), *others, ("v", "a", 4, 8)]
    found = [("v", "a", 2, 6, 0.9), ("v", "a", 0, 4, 0.8)]
    tiou = segment_tiou([(2, 6)], [row[2:4] for row in truth])[0]
    order = argsort(tiou.tolist())[::-1]
    assert set(order[:2]) == {0, 19}
    result = _evaluate(truth, found, (0.3,))
    hits = 1 if order[0] == 0 else 2
    assert result.mean_ap == pytest.approx([hits / 20])


def test_score_of_another_class_or_video_matters_only_in_its_class():
    # Class a is ranked over all videos: u's wrong detection comes before v's
    # right one.
    truth = [("u", "a", 0, 1), ("v", "a", 0, 1), ("v", "b", 0, 1)]
    found = [
        ("v", "a", 0, 1, 0.2),
        ("u", "a", 8, 9, 0.3),
        ("v", "b", 0, 1, 0.1),
    ]
    result = _evaluate(truth, found)
    assert result.labels == ("a", "b")
    assert result.num_instances.tolist() == [2, 1]
    # a: one of two instances, found at rank 2: 1/2 * 1/2. b: 1.
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


@pytest.mark.parametrize("protocol", _PROTOCOLS)
@pytest.mark.parametrize("seed", range(30))
def test_equals_the_oracle(seed, protocol):
    rng = np.random.default_rng(seed)

    def segments(count):
        # A coarse grid makes ties of tIoU, and tIoU equal to a threshold,
        # common.
        return np.sort(rng.integers(0, 12, (count, 2)), axis=1).astype(float)

    def names(prefix, high, count):
        return [f"{prefix}{n}" for n in rng.integers(high, size=count)]

    truth = [
        (video, label, *segment)
        for video, label, segment in zip(
            names("v", 4, 25), names("c", 3, 25), segments(25), strict=True
        )
    ]
    # Equal scores only in classes so small that the oracle's sort is exact.
    count = 16 if seed % 2 else int(rng.integers(1, 120))
    scores = rng.integers(0, 6, 16) if seed % 2 else rng.permutation(count)
    found = [  # one video and one class more than the ground truth has
        (video, label, *segment, float(score))
        for video, label, segment, score in zip(
            names("v", 5, count),
            names("c", 4, count),
            segments(count),
            scores,
            strict=True,
        )
    ]
    ambiguous = [
        (video, *segment)
        for video, segment in zip(names("v", 9, 4), segments(4), strict=True)
    ]
    thresholds = (0.5, 0.1, 0.3, 1.0, 0.95)
    result = _evaluate(truth, found, thresholds, protocol, ambiguous)
    expected = reference.mean_average_precision(
        truth, found, thresholds, protocol, ambiguous
    )
    for threshold, ap in zip(thresholds, result.ap, strict=True):
        assert list(result.labels) == list(expected[threshold])
        np.testing.assert_allclose(
            ap, list(expected[threshold].values()), rtol=1e-12
        )


@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_chunks_of_pairs_change_nothing(monkeypatch, protocol):
    rng = np.random.default_rng(0)
    truth = [("v", "a", s, s + 4) for s in rng.integers(0, 30, 22)]
    found = [
        ("v", "a", s, s + 4, float(x))
        for s, x in zip(rng.integers(0, 30, 50), rng.random(50), strict=True)
    ]
    ambiguous = [("v", 3, 6), ("v", 20, 22)]
    flags = ((0.1, 0.5), protocol, ambiguous)
    whole = _evaluate(truth, found, *flags)
    assert 0 < whole.ap.min() and whole.ap.max() < 1
    for size in (1, 100):  # less than one row's pairs, and a few rows'
        monkeypatch.setattr(
            "tfwstal.evaluation.average_precision.matching._CHUNK", size
        )
        np.testing.assert_array_equal(
            _evaluate(truth, found, *flags).ap, whole.ap
        )


# === THUMOS-14's rules, where they differ ===


def test_thumos14_wants_more_than_the_threshold():
    # Intersection 5, union 10: tIoU 0.5.
    truth, found = [("v", "a", 0, 10)], [("v", "a", 0, 5, 1.0)]
    result = _evaluate(truth, found, (0.5, 0.499), "thumos14")
    np.testing.assert_allclose(result.mean_ap, [0.0, 1.0])


def test_thumos14_gives_an_instance_the_closest_detection():
    # The better scored detection has tIoU 0.6, the other 1: the instance takes
    # the other, at rank 2: AP 1/2. In ActivityNet's the first hits: AP 1.
    truth = [("v", "a", 0, 10)]
    found = [("v", "a", 0, 6, 0.9), ("v", "a", 0, 10, 0.8)]
    assert _evaluate(truth, found).mean_ap == pytest.approx([1.0])
    ap = _evaluate(truth, found, protocol="thumos14").mean_ap
    assert ap == pytest.approx([0.5])


def test_thumos14_serves_instances_in_their_order():
    # (0, 4) is the closest to both, tIoU 1 and 0.8; (0, 3) reaches the first
    # by 3/4 and the second by 3/5.
    truth = [("v", "a", 0, 4), ("v", "a", 0, 5)]
    found = [("v", "a", 0, 4, 0.9), ("v", "a", 0, 3, 0.8)]
    result = _evaluate(truth, found, (0.7,), "thumos14")
    # The first takes (0, 4), and (0, 3) is below the second's threshold.
    assert result.mean_ap == pytest.approx([0.5])
    result = _evaluate(truth[::-1], found, (0.7,), "thumos14")
    assert result.mean_ap == pytest.approx([1.0])


@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_false_positive_on_an_ambiguous_segment_does_not_count(protocol):
    truth = [("v", "a", 0, 10)]
    wrong, right = ("v", "a", 20, 30, 0.9), ("v", "a", 0, 10, 0.8)
    for ambiguous, expected in (
        ([], 0.5),  # the wrong one takes rank 1
        ([("v", 29.9, 50)], 1.0),  # however short the overlap
        ([("v", 30, 50)], 0.5),  # touching is not overlapping
        ([("w", 20, 30)], 0.5),  # another video's
        # A hit counts, even on an ambiguous segment.
        ([("v", 0, 10)], 0.5),
    ):
        ap = _evaluate(truth, [wrong, right], (0.5,), protocol, ambiguous)
        assert ap.mean_ap == pytest.approx([expected])


def test_match_tells_right_from_wrong():
    # At 0.5 the first detection takes the instance, at 0.7 the second does.
    instances, found, unclear = _columns(
        [("v", "a", 0, 10), ("v", "b", 0, 1)],
        [
            ("v", "z", 0, 1, 1.0),  # of no class
            ("v", "a", 0, 10, 0.8),
            ("v", "a", 0, 6, 0.9),
            ("v", "a", 40, 41, 0.7),
        ],
        [("v", 40, 60)],
    )
    matches = match(instances, found, (0.5, 0.7), "activitynet", unclear)
    assert matches.labels == ("a", "b")
    assert matches.rows.tolist() == [2, 1, 3]
    assert matches.begins.tolist() == [0, 3, 3]
    assert matches.hits.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert matches.counts.tolist() == [[1, 1, 0], [1, 1, 0]]
    assert matches.found.tolist() == [[1, 0], [1, 0]]


def test_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="protocol='voc': must be one of"):
        _evaluate([("v", "a", 0, 1)], [], protocol="voc")


# === Properties ===

# No deadline: the machine may be busy.
RANDOM_CASES = settings(derandomize=True, deadline=None, max_examples=40)

_TIMES = st.floats(0, 50, allow_nan=False, width=32)
_SEGMENTS = st.tuples(_TIMES, _TIMES).map(sorted)
_TRUTH = st.lists(
    st.tuples(st.sampled_from("uv"), st.sampled_from("ab"), _SEGMENTS).map(
        lambda row: (row[0], row[1], *row[2])
    ),
    min_size=1,
    max_size=8,
)
_PLACES = st.lists(
    st.tuples(st.sampled_from("uv"), st.sampled_from("ab"), _SEGMENTS).map(
        lambda row: (row[0], row[1], *row[2])
    ),
    max_size=12,
)


def _scored(places, order):
    """Detections with distinct scores from 0 up."""
    return [
        (*place, float(score))
        for place, score in zip(places, order, strict=True)
    ]


@RANDOM_CASES
@given(_TRUTH, _PLACES, st.randoms(), st.sampled_from(_PROTOCOLS))
def test_order_of_detections_never_matters(truth, places, random, protocol):
    found = _scored(places, range(len(places)))
    before = _evaluate(truth, found, (0.1, 0.5), protocol)
    random.shuffle(found)
    after = _evaluate(truth, found, (0.1, 0.5), protocol)
    np.testing.assert_array_equal(before.ap, after.ap)


@RANDOM_CASES
@given(_TRUTH, _PLACES, st.randoms())
def test_order_of_instances_matters_only_in_ties(truth, places, random):
    found = _scored(places, range(len(places)))
    for place in places:
        overlaps = [
            segment_tiou([place[2:]], [row[2:]])[0, 0]
            for row in truth
            if row[:2] == place[:2]
        ]
        reached = [overlap for overlap in overlaps if overlap >= 0.1]
        if len(reached) != len(set(reached)):
            return
    before = _evaluate(truth, found, (0.1, 0.5))
    random.shuffle(truth)
    np.testing.assert_array_equal(
        before.ap, _evaluate(truth, found, (0.1, 0.5)).ap
    )


@RANDOM_CASES
@given(_TRUTH, _PLACES, st.sampled_from(_PROTOCOLS))
def test_false_positive_below_all_others_never_raises_ap(
    truth, places, protocol
):
    found = _scored(places, range(len(places)))
    before = _evaluate(truth, found, (0.1, 0.5), protocol)
    found.append(("v", "a", 90, 91, -1.0))
    after = _evaluate(truth, found, (0.1, 0.5), protocol)
    # It even changes nothing, since it comes after all hits.
    np.testing.assert_allclose(after.ap, before.ap, rtol=1e-12)


@RANDOM_CASES
@given(_TRUTH, _PLACES, st.sampled_from(_PROTOCOLS))
def test_false_positive_above_all_others_never_raises_ap(
    truth, places, protocol
):
    found = _scored(places, range(len(places)))
    before = _evaluate(truth, found, (0.1, 0.5), protocol)
    found.append(("v", "a", 90, 91, 99.0))
    after = _evaluate(truth, found, (0.1, 0.5), protocol)
    assert (after.ap <= before.ap + 1e-12).all()
    lost = before.ap[:, 0] > 0 if before.labels[0] == "a" else [False] * 2
    assert (after.ap[:, 0] < before.ap[:, 0]).tolist() == list(lost)


@RANDOM_CASES
@given(_TRUTH, st.randoms(), st.sampled_from(_PROTOCOLS))
def test_perfect_detector_scores_one(truth, random, protocol):
    order = list(range(len(truth)))
    random.shuffle(order)
    result = _evaluate(truth, _scored(truth, order), (0.1, 0.99), protocol)
    np.testing.assert_allclose(result.ap, 1.0, rtol=1e-12)


@RANDOM_CASES
@given(_TRUTH, _PLACES, st.sampled_from(_PROTOCOLS))
def test_equals_the_oracle_on_any_input(truth, places, protocol):
    found = _scored(places, range(len(places)))
    result = _evaluate(truth, found, (0.25,), protocol)
    expected = reference.mean_average_precision(truth, found, (0.25,), protocol)
    np.testing.assert_allclose(
        result.ap[0], list(expected[0.25].values()), rtol=1e-12
    )


# === NumPy's order of equal values ===


@RANDOM_CASES
@given(st.lists(st.integers(0, 5), max_size=80))
def test_argsort_sorts_and_keeps_every_position(values):
    order = argsort(values)
    assert sorted(order) == list(range(len(values)))
    assert [values[i] for i in order] == sorted(values)
    if len(values) <= 16:
        assert order == sorted(range(len(values)), key=values.__getitem__)


def test_argsort_is_numpys_without_vector_instructions(tmp_path):
    rng = np.random.default_rng(0)
    values = [
        # Mostly zeros, like the tIoU of a detection with many instances.
        np.where(rng.random(n) < 0.5, rng.integers(0, 4, n), 0).tolist()
        for n in (16, 17, 18, 42, 100, 218, 1000, 5000)
        for _ in range(20)
    ]
    (tmp_path / "values.json").write_text(json.dumps(values))
    code = (
        "import json, sys, numpy as np\n"
        "try: from numpy._core import _multiarray_umath as u\n"
        "except ImportError: from numpy.core import _multiarray_umath as u\n"
        "features = u.__cpu_dispatch__\n"
        "print(' '.join(f for f in features if u.__cpu_features__[f]))\n"
        "if len(sys.argv) > 1:\n"
        "  rows = json.load(open(sys.argv[1]))\n"
        "  print(json.dumps([np.argsort(np.array(row, float)).tolist()"
        " for row in rows]))\n"
    )

    def run(arguments, disabled):
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, *arguments],
            env={"PATH": "/usr/bin", "NPY_DISABLE_CPU_FEATURES": disabled},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.splitlines()

    features = run([], "")[0]
    still_on, orders = run([tmp_path / "values.json"], features)
    if still_on:
        pytest.skip(f"NumPy's {still_on} cannot be switched off")
    assert json.loads(orders) == [argsort(row) for row in values]


# === Other ===


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
    # With mAP t at threshold t, an average is the middle of its range.
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


def test_equals_the_kit_on_stpns_detections(shared_data):
    folder = shared_data / "results" / "stpn"
    videos, _ = activitynet.read_ground_truth(folder / "gt.json")
    found = activitynet.read_detections(folder / "results.json")
    expected = json.loads((folder / "expected.json").read_text())
    result = mean_average_precision(
        columns.to_instances(videos.values()),
        columns.to_detections(found),
        expected["tiou"],
    )
    np.testing.assert_allclose(result.mean_ap, expected["mAP"], atol=1e-9)
    assert set(result.labels) == set(expected["per_class_ap"])
    for label, ap in zip(result.labels, result.ap.T, strict=True):
        np.testing.assert_allclose(
            ap, expected["per_class_ap"][label], atol=1e-9, err_msg=label
        )
    # The table of its README, in percent with one decimal. It shows 4.99 as
    # 4.9 and 0.098 as 0.1, so a tolerance of half a unit is not enough.
    *published, average = expected["repo_readme_reported"]
    np.testing.assert_allclose(100 * result.mean_ap, published, atol=0.1)
    published = float(average.removeprefix("avg "))
    assert 100 * result.mean_ap.mean() == pytest.approx(published, abs=0.1)


@pytest.mark.parametrize(
    ("name", "thresholds"),
    [
        ("THUMOS14", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("THUMOS14_Res3D", (0.3, 0.4, 0.5, 0.6, 0.7)),
    ],
)
def test_equals_the_challenges_kit_on_scnns_detections(
    shared_data, name, thresholds
):
    folder = shared_data / "results" / "scnn" / name
    truth = shared_data / "thumos14/official_txt/thumos14-test-annotations"
    classes = (truth / "detclasslist.txt").read_text().split()[1::2]
    rows = [
        (video, number, float(start), float(end))
        for number, label in enumerate(classes, 1)
        for video, start, end in _lines(truth / f"{label}_test.txt")
    ]
    ambiguous = [
        (video, float(start), float(end))
        for video, start, end in _lines(truth / "Ambiguous_test.txt")
    ]
    published = scnn.published_ap(folder)
    for threshold, expected in zip(thresholds, published, strict=True):
        found = scnn.detections(folder, threshold)
        result = _evaluate(rows, found, (threshold,), "thumos14", ambiguous)
        np.testing.assert_allclose(
            result.ap[0], expected, atol=1e-9, err_msg=f"tIoU {threshold}"
        )


def _lines(path):
    return [line.split() for line in path.read_text().splitlines()]


@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_activitynets_sample_is_perfect(shared_data, protocol):
    folder = shared_data / "activitynet13"
    videos, _ = activitynet.read_ground_truth(
        folder / "activity_net.v1-3.reconstructed.json"
    )
    instances = columns.to_instances(
        video for video in videos.values() if video.subset == "validation"
    )
    # Three have zero length and are found nevertheless.
    assert sum(start == end for start, end in instances.segments) == 3
    found = activitynet.read_detections(
        folder
        / "official_evaluation_samples"
        / "sample_detection_prediction.json"
    )
    result = mean_average_precision(
        instances,
        columns.to_detections(found),
        (0.5, 0.75, 0.95),
        protocol,
    )
    np.testing.assert_allclose(result.ap, 1.0, atol=1e-12)
    assert len(result.labels) == 200


def test_needs_numpy_only():
    # Imported from the folder, without TensorFlow and the package.
    folder = ROOT / "tfwstal" / "evaluation"
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); "
        "import average_precision as ap; "
        "ap.mean_average_precision(ap.Instances('v', 'a', [(0, 1)]), "
        "ap.Detections('', '', [], []), [0.5]); "
        "sys.exit('tensorflow' in sys.modules or 'tfwstal' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
