"""Unknown, reversed and late detections, against edited files and an oracle.

Both official kits count a detection in an unknown video as a false positive.
So does the oracle, which loops over all rows.
"""

import json

import numpy as np
import pytest

from tests import reference
from tfwstal.errors import InputError
from tfwstal.evaluation import scoring, tables
from tfwstal.evaluation.options import EvaluationOptions

THRESHOLDS = (0.3, 0.5, 0.7)


def random_rows(seed):
    """Ground truth (video, label, start, end), and detections with scores.

    The ground truth lacks the videos w and x and the class "c", which
    detections have.
    """
    rng = np.random.default_rng(seed)

    def draw(videos, labels, count):
        start = rng.uniform(0, 50, count).round(1)
        end = start + rng.uniform(1, 20, count).round(1)
        return list(
            zip(
                rng.choice(list(videos), count).tolist(),
                rng.choice(list(labels), count).tolist(),
                start.tolist(),
                end.tolist(),
                strict=True,
            )
        )

    truth = draw("uv", "ab", 12) + [("u", "a", 0.0, 5.0), ("v", "b", 0.0, 5.0)]
    found = draw("uvwx", "abc", 80)
    scores = rng.permutation(80) / 80
    return truth, [(*row, s) for row, s in zip(found, scores, strict=True)]


@pytest.fixture
def score(tmp_path):
    """A function that scores rows by way of files, with EvaluationOptions."""

    def act(truth, found, **options):
        database, results = {}, {}
        for video, label, start, end in truth:
            entry = {"subset": "test", "duration": 80, "annotations": []}
            database.setdefault(video, entry)["annotations"].append(
                {"label": label, "segment": [start, end]}
            )
        for video, label, start, end, value in found:
            results.setdefault(video, []).append(
                {"label": label, "score": value, "segment": [start, end]}
            )
        (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
        path = tmp_path / "found.json"
        path.write_text(json.dumps({"results": results}))
        options = EvaluationOptions(tiou_thresholds=THRESHOLDS, **options)
        (inputs,) = scoring.read(tmp_path / "gt.json", [path], options)
        return scoring.score(inputs, options), inputs.facts

    return act


def expected(truth, found, protocol):
    """AP [H, C] of the oracle."""
    results = reference.mean_average_precision(
        truth, found, THRESHOLDS, protocol
    )
    return [list(results[threshold].values()) for threshold in THRESHOLDS]


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
@pytest.mark.parametrize("seed", range(3))
def test_unknown_videos_count_as_in_the_kits_or_are_ignored(
    score, seed, protocol
):
    truth, found = random_rows(seed)
    common = {"protocol": protocol, "unknown_classes": "ignore"}
    counted, facts = score(truth, found, unknown_videos="count", **common)
    np.testing.assert_allclose(counted.ap, expected(truth, found, protocol))
    unknown = sum(row[0] in "wx" for row in found)
    assert facts["num_detections_of_unknown_videos"] == unknown > 0
    inside = [row for row in found if row[0] in "uv"]
    ignored, facts = score(truth, found, unknown_videos="ignore", **common)
    np.testing.assert_allclose(ignored.ap, expected(truth, inside, protocol))
    assert facts["num_detections_of_unknown_videos"] == unknown
    assert not np.allclose(counted.ap, ignored.ap)


def test_unknown_classes_change_no_precision(score):
    truth, found = random_rows(5)
    results = {}
    for rule in ("ignore", "count"):
        results[rule], facts = score(
            truth, found, unknown_videos="count", unknown_classes=rule
        )
        of_class = sum(row[0] in "uv" and row[1] == "c" for row in found)
        assert facts["num_detections_of_unknown_classes"] == of_class > 0
        assert facts["num_detections"] == len(found) - (
            of_class if rule == "ignore" else 0
        )
    np.testing.assert_array_equal(results["ignore"].ap, results["count"].ap)


def test_the_short_form_ignores_both(score):
    truth, found = random_rows(6)
    short, facts = score(truth, found, ignore_unknown=True)
    assert facts["unknown_videos"] == facts["unknown_classes"] == "ignore"
    long, _ = score(
        truth, found, unknown_videos="ignore", unknown_classes="ignore"
    )
    np.testing.assert_array_equal(short.ap, long.ap)


@pytest.mark.parametrize("rule", ["unknown_videos", "unknown_classes"])
def test_what_is_not_allowed_is_named(score, rule):
    truth, found = random_rows(7)
    rules = {"unknown_videos": "count", "unknown_classes": "count"}
    with pytest.raises(InputError, match=f"give --{rule}=ignore"):
        score(truth, found, **rules | {rule: "error"})


def test_a_class_that_is_a_number_asks_for_a_class_list(score):
    truth, found = random_rows(7)
    numbered = [(row[0], "7", *row[2:]) for row in found if row[0] in "uv"]
    with pytest.raises(InputError, match="--classes=FILE names classes"):
        score(truth, numbered)


def test_reversed_detections_are_swapped_skipped_or_refused(score):
    truth, found = random_rows(8)
    found = [row for row in found if row[0] in "uv" and row[1] in "ab"]
    turned = [
        (video, label, end, start, value) if i % 4 == 0 else row
        for i, row in enumerate(found)
        for video, label, start, end, value in [row]
    ]
    swapped, facts = score(truth, turned, bad_detections="swap")
    np.testing.assert_allclose(
        swapped.ap, expected(truth, found, "activitynet")
    )
    assert facts["num_bad_detections"] == len(found[::4])
    kept = [row for i, row in enumerate(found) if i % 4]
    skipped, facts = score(truth, turned, bad_detections="skip")
    np.testing.assert_allclose(skipped.ap, expected(truth, kept, "activitynet"))
    assert facts["num_bad_detections"] == len(found[::4])
    assert facts["num_detections"] == len(kept)
    with pytest.raises(InputError, match=r"is reversed \(and \d+ more"):
        score(truth, turned)


def test_times_in_frames_are_noticed(score):
    truth, found = random_rows(9)
    # Within the stated 80 s and one second after it: not late.
    inside = [*found[:1], ("u", "a", 70.0, 81.0, 0.5)]
    _, facts = score(truth, inside, ignore_unknown=True)
    assert facts["num_late_detections"] == 0
    frames = [(v, c, 25 * s, 25 * e, x) for v, c, s, e, x in found]
    _, facts = score(truth, frames, ignore_unknown=True)
    late = sum(
        row[0] in "uv" and row[1] in "ab" and row[3] > 81 for row in frames
    )
    assert facts["num_late_detections"] == late > 0
    assert f"stated duration: {late} (first: " in tables.format_facts(facts)
