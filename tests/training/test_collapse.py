"""Warnings about a collapse, on both sides of each bound."""

import json

import numpy as np
import pytest

from tfwstal import command_line, evaluate
from tfwstal.config import Config
from tfwstal.training import collapse


def signs(foreground, chosen, lambda_smt=0.05):
    """`collapse.signs` of 100 snippets of two actions, Run and Jump.

    Args:
        foreground: (value, number of snippets) pairs of the attention.
        chosen: number of snippets that choose each of the three classes.
    """
    values, counts = zip(*foreground, strict=True)
    attention = np.repeat(np.float32(values), counts)
    logits = np.eye(3, dtype=np.float32)[np.repeat(range(3), chosen)]
    assert len(attention) == len(logits) == 100
    # The order of the snippets does not matter.
    np.random.default_rng(0).shuffle(attention)
    return collapse.signs(attention, logits, ("Run", "Jump"), 0.5, lambda_smt)


HALF = ((0.05, 50), (0.95, 50))  # no sign
MIXED = (50, 30, 20)  # no sign


@pytest.mark.parametrize(
    ("foreground", "is_dead"),
    [
        (((0.0, 100),), True),
        (((0.1, 100),), True),  # 0.1 does not exceed 0.1
        (((0.0999, 99), (0.1001, 1)), False),  # 1 % of them do
        (((1 / 3, 100),), False),  # undecided
        (HALF, False),
    ],
)
def test_foreground_attention_that_died(foreground, is_dead):
    found = signs(foreground, MIXED)
    assert len(found) == is_dead
    assert all("foreground attention has died" in each for each in found)


@pytest.mark.parametrize(
    ("foreground", "is_flat"),
    [
        (((1.0, 100),), True),
        (((0.99991, 100),), True),
        (((0.99991, 99), (0.99989, 1)), False),  # 1 % do not exceed it
        (((0.9999, 100),), False),
        (((0.998, 100),), False),  # seen in models that find actions
    ],
)
def test_foreground_attention_that_is_one_everywhere(foreground, is_flat):
    found = signs(foreground, MIXED)
    assert len(found) == is_flat
    assert all("separates nothing" in each for each in found)


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ((100, 0, 0), "'background'"),
        ((96, 3, 1), "'background'"),
        ((95, 3, 2), None),
        ((2, 2, 96), "'Jump'"),
        ((0, 5, 95), None),
        ((0, 50, 50), None),  # no background at all: seen in good models
    ],
)
def test_one_class_that_takes_all(chosen, name):
    found = signs(HALF, chosen)
    if name is None:
        assert not found
    else:
        (sentence,) = found
        assert "dictionary has collapsed" in sentence
        assert f"{max(chosen)}.0% of 100 snippets" in sentence
        assert f" choose {name}, more" in sentence
        assert "--lambda_smt" in sentence
        (sentence,) = signs(HALF, chosen, lambda_smt=0)
        assert "dictionary" not in sentence
        assert "--lambda_smt" not in sentence


def test_a_sign_has_the_numbers_and_what_to_try():
    # The mean of 98 zeros and two 0.05 is 0.001. The 99th percentile has index
    # 0.99 * 99 = 98.01 of the 100 sorted values, where 0.05 begins.
    died, collapsed = signs(((0.0, 98), (0.05, 2)), (100, 0, 0))
    assert "mean is 0.001 and its 99th percentile 0.05" in died
    assert "--background_warmup_epochs" in died
    for flag in ("--learning_rate (it was 0.5)", "--rate_warmup_epochs"):
        assert flag in died
        assert flag in collapsed


@pytest.mark.parametrize(
    ("detected", "total", "is_few"),
    [(0, 1, True), (1, 2, False), (2, 5, True), (3, 5, False), (9, 9, False)],
)
def test_half_of_the_videos_is_enough(detected, total, is_few):
    found = collapse.few_detections(detected, total, "look")
    assert bool(found) == is_few
    if is_few:
        assert found == (
            f"only {detected} of {total} videos have a detection, fewer than "
            "50%; look"
        )


def test_a_warning_is_one_line_on_standard_error(capsys):
    command_line.warn("a name\nof two lines")
    command_line.warn(None)
    assert capsys.readouterr() == ("", "warning: a name of two lines\n")


@pytest.mark.parametrize(
    ("videos", "warning"), [("ab", ""), ("a", "warning: only 1 of 4 videos")]
)
def test_evaluate_warns_of_videos_without_detections(
    tmp_path, capsys, videos, warning
):
    run = {"label": "Run", "segment": [0.0, 4.0]}
    truth, found = tmp_path / "gt.json", tmp_path / "found.json"
    truth.write_text(
        json.dumps(
            {
                "database": {
                    name: {"subset": "test", "annotations": [run]}
                    for name in "abcd"
                }
            }
        )
    )
    entries = {name: [run | {"score": 1.0}] for name in videos}
    found.write_text(json.dumps({"results": {"d": []} | entries}))
    report = tmp_path / "report.json"
    evaluate.main(
        Config(
            ground_truth=str(truth), detections=str(found), report=str(report)
        )
    )
    out, err = capsys.readouterr()
    missing = 4 - len(videos)
    assert f"videos without a detection: {missing}" in out
    written = json.loads(report.read_text())
    assert written["num_videos_without_detections"] == missing
    assert err.startswith(warning) and len(err.splitlines()) == bool(warning)
