"""Bootstrap and tie band, against an oracle on explicit resampled sets.

In the oracle's set, a video that was drawn twice occurs twice, under two names.
"""

import itertools
import json

import numpy as np
import pytest

from tests import reference
from tfwstal import evaluate
from tfwstal.config import Config
from tfwstal.evaluation import average_precision as ap
from tfwstal.evaluation.average_precision import resampling

THRESHOLDS = (0.2, 0.5, 0.7)
VIDEOS = ("s", "t", "u", "v", "w")  # w has neither instances nor detections


def random_rows(seed, levels=None):
    """Ground truth, detections and ambiguous segments, as rows."""
    rng = np.random.default_rng(seed)

    def draw(count, shortest):
        start = rng.uniform(0, 40, count)
        return list(
            zip(
                rng.choice(VIDEOS[:-1], count).tolist(),
                rng.choice(["a", "b", "c"], count).tolist(),
                start.tolist(),
                (start + rng.uniform(shortest, 15, count)).tolist(),
                strict=True,
            )
        )

    truth, found = draw(14, 4), draw(90, 1)
    scores = rng.permutation(len(found)) / len(found)
    if levels:
        scores = np.floor(scores * levels) / levels
    found = [(*row, s) for row, s in zip(found, scores.tolist(), strict=True)]
    unclear = [(v, s, e) for v, _, s, e in draw(4, 1)]
    return truth, found, unclear


def as_columns(truth, found, unclear):
    def segments(rows, first):
        return [row[first : first + 2] for row in rows]

    return (
        ap.Instances(
            [r[0] for r in truth], [r[1] for r in truth], segments(truth, 2)
        ),
        ap.Detections(
            [r[0] for r in found],
            [r[1] for r in found],
            segments(found, 2),
            [r[4] for r in found],
        ),
        ap.Instances(
            [r[0] for r in unclear], ["?"] * len(unclear), segments(unclear, 1)
        ),
    )


def copied(rows, weights):
    """Rows of a set in which video i occurs weights[i] times."""
    return [
        (f"{row[0]} {copy}", *row[1:])
        for row in rows
        for copy in range(weights[VIDEOS.index(row[0])])
    ]


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
@pytest.mark.parametrize("seed", range(4))
def test_bootstrap_is_that_of_explicit_sets(seed, protocol):
    rows = random_rows(seed)
    truth, found, unclear = as_columns(*rows)
    matches = ap.match(truth, found, THRESHOLDS, protocol, unclear)
    weights = resampling.draw_weights(len(VIDEOS), 8, seed)
    assert weights.shape == (8, 5)
    assert (weights.sum(axis=1) == 5).all()
    assert weights.max() > 1
    values = resampling.bootstrap(
        matches, truth, found, VIDEOS, weights, protocol
    )
    for row, draw in zip(values, weights, strict=True):
        results = reference.mean_average_precision(
            copied(rows[0], draw),
            copied(rows[1], draw),
            THRESHOLDS,
            protocol,
            copied(rows[2], draw),
        )
        expected = [
            sum(results[t].values()) / max(len(results[t]), 1)
            for t in THRESHOLDS
        ]
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)


def test_each_video_once_is_the_set_itself():
    for protocol in ("activitynet", "thumos14"):
        truth, found, unclear = as_columns(*random_rows(9))
        once = np.ones((1, 5), int)
        matches = ap.match(truth, found, THRESHOLDS, protocol, unclear)
        values = resampling.bootstrap(
            matches, truth, found, VIDEOS, once, protocol
        )
        expected = ap.mean_average_precision(
            truth, found, THRESHOLDS, protocol, unclear
        )
        np.testing.assert_allclose(values[0], expected.mean_ap, atol=1e-12)


def test_draws_depend_on_the_seed_alone():
    truth, found, _ = as_columns(*random_rows(1))
    draw = [
        ap.bootstrap(
            truth, found, THRESHOLDS, videos=VIDEOS, num_draws=20, seed=seed
        )
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
def test_tie_band_holds_every_order(protocol):
    """All orders of equal scores, of one detection per video and class."""
    truth = [(v, "a", 0.0, 10.0) for v in "stuv"]
    # Three share 0.5: a hit in s, misses in t and u. Two share 0.2.
    found = [
        ("s", "a", 0.0, 10.0, 0.5),
        ("t", "a", 20.0, 30.0, 0.5),
        ("u", "a", 20.0, 30.0, 0.5),
        ("v", "a", 0.0, 9.0, 0.2),
        ("w", "a", 0.0, 9.0, 0.2),
    ]
    values = []
    for order in itertools.permutations(range(5)):
        # Distinct scores in that order, with the groups kept apart.
        ranked = [
            (*row[:4], row[4] + 0.01 * place)
            for row, place in zip(found, order, strict=True)
        ]
        results = reference.mean_average_precision(
            truth, ranked, [0.5], protocol
        )
        values.append(results[0.5]["a"])
    columns = as_columns(truth, found, [])
    worst, best = ap.tie_band(*columns[:2], [0.5], protocol)
    np.testing.assert_allclose(worst, min(values), atol=1e-12)
    np.testing.assert_allclose(best, max(values), atol=1e-12)
    assert worst < best


def test_tie_band_of_distinct_scores_is_one_number():
    truth, found, unclear = as_columns(*random_rows(2))
    for protocol in ("activitynet", "thumos14"):
        band = ap.tie_band(truth, found, THRESHOLDS, protocol, unclear)
        expected = ap.mean_average_precision(
            truth, found, THRESHOLDS, protocol, unclear
        ).mean_ap
        np.testing.assert_allclose(band, [expected, expected], atol=1e-12)


def test_tie_band_holds_the_mean_average_precision():
    for seed in range(5):
        truth, found, unclear = as_columns(*random_rows(seed, levels=6))
        for protocol in ("activitynet", "thumos14"):
            worst, best = ap.tie_band(
                truth, found, THRESHOLDS, protocol, unclear
            )
            value = ap.mean_average_precision(
                truth, found, THRESHOLDS, protocol, unclear
            ).mean_ap
            assert (worst <= value + 1e-12).all()
            assert (value <= best + 1e-12).all()


@pytest.fixture
def files(tmp_path):
    """gt.json, good.json and bad.json, the latter with later segments."""
    truth, found, _ = random_rows(3, levels=6)
    database = {}
    for video, label, start, end in truth:
        entry = database.setdefault(
            video, {"subset": "test", "annotations": []}
        )
        entry["annotations"].append({"label": label, "segment": [start, end]})
    for shift, name in ((0, "good"), (3, "bad")):
        results = {}
        rows = [(*row, 1.0) for row in truth] + found
        for video, label, start, end, score in rows:
            results.setdefault(video, []).append(
                {
                    "label": label,
                    "score": score,
                    "segment": [start + shift, end + shift],
                }
            )
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": results}))
    (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
    return tmp_path


def test_the_command_compares_and_tells_how_sure_it_is(files, capsys):
    report = files / "report.json"
    evaluate.main(
        Config(
            ground_truth=str(files / "gt.json"),
            detections=f"{files / 'good.json'},{files / 'bad.json'}",
            tiou_thresholds=(0.3, 0.4, 0.5),
            averages=("0.3:0.5",),
            ignore_unknown=True,
            bootstrap=200,
            ties=True,
            per_class=True,
            report=str(report),
            table=str(files / "table.csv"),
        )
    )
    out = capsys.readouterr().out
    good, bad = json.loads(report.read_text())["results"]
    assert good["mAP"][2] > bad["mAP"][2]
    for name in ("good", "bad"):
        assert f"{name} " in out
    low, high = good["bootstrap"]["0.3:0.5"]
    assert low <= good["average_mAP"]["0.3:0.5"] <= high
    worst, best = good["tie_band"]["0.5"]
    assert worst <= good["mAP"][2] <= best
    assert f"{100 * worst:.2f} to {100 * best:.2f}" in out
    difference = 100 * (bad["mAP"][2] - good["mAP"][2])
    assert f"\n0.5{difference:+.2f}" in out.replace(" ", "")
    assert "order of equal scores: moves mAP" in out
    lines = (files / "table.csv").read_text().splitlines()
    assert lines[0] == '"mAP %, tIoU",0.3,0.4,0.5,0.3:0.5'
    row = lines[1].split(",")
    assert row[0] == "good"
    assert [float(cell) for cell in row[1:4]] == [100 * m for m in good["mAP"]]
