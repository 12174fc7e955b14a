"""AR@AN and AUC of proposals, by hand, against loops, and in the command."""

import json

import numpy as np
import pytest

from tests.reference import evaluation as reference
from tfwstal import evaluate
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.evaluation.average_precision import Detections, Instances
from tfwstal.evaluation.average_precision.average_recall import (
    THRESHOLDS,
    average_recall,
)


def _instances(rows):
    """Instances of rows (video, start, end), each of a class of its own."""
    return Instances(
        [row[0] for row in rows], range(len(rows)), [row[1:3] for row in rows]
    )


def _proposals(rows):
    """Detections of rows (video, start, end, score)."""
    return Detections(
        [row[0] for row in rows],
        [0] * len(rows),
        [row[1:3] for row in rows],
        [row[3] for row in rows],
    )


def test_recall_grows_as_the_budget_does():
    # Two proposals in each of 2 videos, largest budget 2: budget j keeps
    # floor(2 * j / 100) per video: none below 50, one below 100, then two.
    # v's best is exact, its second hits nothing; w's second has tIoU 7 / 10,
    # which the thresholds 0.5 to 0.7 accept: 5 of 10.
    truth = [("v", 0, 10), ("w", 0, 10)]
    rows = [("v", 20, 30, 0.1), ("v", 0, 10, 0.9)]
    rows += [("w", 20, 30, 0.8), ("w", 0, 7, 0.7)]
    found = average_recall(_instances(truth), _proposals(rows), largest=2)
    np.testing.assert_array_equal(found.average[:49], 0)
    np.testing.assert_allclose(found.average[49:99], 1 / 2)
    np.testing.assert_allclose(found.average[99], (1 + 5 / 10) / 2)
    np.testing.assert_allclose(found.proposals_per_video[[0, 99]], [0.02, 2])
    assert found.at(1) == 0.5
    # Trapezoids of width 0.02: one from 0 to 1/2, 49 of 1/2, one to 3/4.
    area = 0.02 * (1 / 4 + 49 / 2 + (1 / 2 + 3 / 4) / 2)
    assert found.auc == pytest.approx(area / 2)


def test_a_proposal_may_serve_two_instances_of_any_class():
    truth = _instances([("v", 0, 10), ("v", 0, 9)])
    found = average_recall(truth, _proposals([("v", 0, 10, 1)]), [0.5], 1)
    assert found.average[-1] == 1


def test_recall_of_one_everywhere_gives_an_area_of_099():
    truth = [("v", 0, 10)]
    rows = [("v", 0, 10, 1 - i / 100) for i in range(100)]
    found = average_recall(_instances(truth), _proposals(rows))
    np.testing.assert_array_equal(found.average, 1)
    assert found.auc == pytest.approx(0.99)


def test_proposals_in_other_videos_lower_the_part_that_is_kept():
    truth = _instances([("v", 0, 10)])
    rows = [("v", 20, 30, 0.9), ("v", 0, 10, 0.8)]
    assert average_recall(truth, _proposals(rows), [0.5], 2).average[-1] == 1
    # 2 * 1 / 4 of v's two proposals is one: the best, which misses.
    rows += [("w", 0, 1, 0.5), ("w", 0, 1, 0.4)]
    assert average_recall(truth, _proposals(rows), [0.5], 2).average[-1] == 0


@pytest.mark.parametrize("seed", range(12))
def test_equals_loops(seed):
    rng = np.random.default_rng(seed)
    videos = [f"v{i}" for i in range(rng.integers(1, 5))]
    truth, rows = [], []
    for video in videos:
        for start in rng.uniform(0, 50, rng.integers(1, 4)):
            truth.append((video, start, start + rng.uniform(1, 20)))
        # Ties among at most 16, for which the kit's order is stable.
        for i in range(rng.integers(0, 16) + (video == "v0")):
            start = rng.uniform(0, 50)
            score = round(rng.uniform(), 1 if seed % 2 else 9)
            rows.append((video, start, start + rng.uniform(1, 20), score))
            if i % 2:
                _, start, end = truth[rng.integers(len(truth))]
                rows[-1] = (video, start, end + rng.uniform(0, 9), score)
    largest = rng.choice([1, 3, 100, len(rows) / len(videos)])
    expected, budgets = reference.average_recall(
        truth, rows, THRESHOLDS, largest
    )
    found = average_recall(_instances(truth), _proposals(rows), largest=largest)
    np.testing.assert_allclose(
        found.recall, [expected[t] for t in THRESHOLDS], rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(found.proposals_per_video, budgets, rtol=1e-12)
    assert found.auc == pytest.approx(
        np.interp(
            np.linspace(budgets[0], budgets[-1], 99_001),
            budgets,
            np.mean([expected[t] for t in THRESHOLDS], axis=0),
        ).mean()
        * (budgets[-1] - budgets[0])
        / budgets[-1],
        rel=1e-4,
    )


def test_the_largest_budget_may_be_all_proposals():
    rows = [("v", 0, 1, 0.9), ("v", 1, 2, 0.8), ("w", 0, 1, 0.7)]
    truth = _instances([("v", 0, 1), ("w", 0, 1)])
    found = average_recall(truth, _proposals(rows), largest=None)
    assert found.proposals_per_video[-1] == pytest.approx(3 / 2)


@pytest.mark.parametrize("rows", [[], [("u", 0, 1, 0.5)]])
def test_nothing_in_the_videos_of_the_ground_truth_is_refused(rows):
    with pytest.raises(ValueError, match="keeps a proposal"):
        average_recall(_instances([("v", 0, 1)]), _proposals(rows))


def test_an_unknown_budget_is_refused():
    truth = _instances([("v", 0, 1)])
    found = average_recall(truth, _proposals([("v", 0, 1, 1)]))
    with pytest.raises(ValueError, match="budget=101"):
        found.at(101)


@pytest.fixture
def config(tmp_path):
    """A function (**flags) -> Config of one video with a perfect proposal."""
    annotations = [{"label": "Jump", "segment": [0, 10]}]
    database = {"v": {"subset": "test", "annotations": annotations}}
    results = {"v": [{"score": 0.5, "segment": [0, 10]}]}  # no label
    for name, content in (
        ("gt", {"database": database}),
        ("a", {"results": results}),
        ("b", {"results": {"v": [{"score": 0.5, "segment": [5, 6]}]}}),
        ("c", {"results": {"v": []}}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    def make(*names, **flags):
        paths = ",".join(str(tmp_path / f"{name}.json") for name in names)
        return Config(
            ground_truth=str(tmp_path / "gt.json"),
            detections=paths,
            proposals=True,
            **flags,
        )

    return make


def test_the_command_compares_files_without_labels(config, tmp_path, capsys):
    report, table = tmp_path / "report.json", tmp_path / "table.md"
    evaluate.main(config("a", "b", report=str(report), table=str(table)))
    # The one proposal is kept from j = 1: floor(1 * j / 100 * 100 / 1) = j.
    assert "| a | 100.00 | 100.00 |" in table.read_text()
    assert "AR@100    AUC" in capsys.readouterr().out
    first, second = json.loads(report.read_text())["results"]
    assert first["AUC"] == pytest.approx(0.99)
    assert second["AUC"] == 0
    assert len(first["average_recall"]) == 100


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"analysis": True}, "--analysis has no meaning"),
        ({"bootstrap": 10}, "--bootstrap has no meaning"),
        ({"protocol": "thumos14"}, "--protocol=thumos14 has no meaning"),
        ({"ambiguous_rule": "neutral"}, "--ambiguous_rule=neutral has no"),
    ],
)
def test_what_excludes_proposals_is_told(config, flags, message):
    with pytest.raises(InputError, match=message):
        evaluate.main(config("a", **flags))


def test_a_file_without_a_proposal_is_told(config):
    with pytest.raises(InputError, match=r"c\.json: no video of .* --subset"):
        evaluate.main(config("c"))
