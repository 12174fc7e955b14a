"""The presets configs/eval_*.flags reproduce the published scores.

`shared_data` holds STPN's files and THUMOS-14's annotations. Others are read
from clones of the repositories in docs/golden.md, in the folder given by the
environment variable TFWSTAL_PUBLISHED.
"""

import hashlib
import os
import pathlib

import pytest

from tests.conftest import ROOT
from tfwstal import evaluate
from tfwstal.command_line import parse

GOLDEN = (ROOT / "docs" / "golden.md").read_text()
AUTOLOC = "AutoLoc/exp/{}/release/rslt/test.test_rslt_trainnms0.4_fg0.1_ioc0.7_"
TURN = "TURN-TAP/eval/thumos14_results/TURN-{}_SCNN_thumos14_iou{}.txt"
THUMOS = "thumos14/official_txt/thumos14-test-annotations"


@pytest.fixture
def cloned():
    """A function REPOSITORY/PATH -> file of a clone."""

    def find(path):
        folder = os.environ.get("TFWSTAL_PUBLISHED", "")
        file = pathlib.Path(folder, path)
        if not folder or not file.is_file():
            pytest.skip(f"$TFWSTAL_PUBLISHED has no {path}")
        return file

    return find


@pytest.fixture
def score(tmp_path):
    """A function that evaluates by a preset; returns mAP, averages, facts."""

    def run(preset, truth, detections, *flags, classes=()):
        digest = hashlib.sha256(detections.read_bytes()).hexdigest()
        assert digest in GOLDEN, f"{detections} is not the listed file"
        arguments = [
            f"--flagfile=configs/{preset}.flags",
            f"--ground_truth={truth}",
            f"--detections={detections}",
            *flags,
        ]
        if classes:
            names = tmp_path / "classes.txt"
            names.write_text("".join(f"{name}\n" for name in classes))
            arguments.append(f"--classes={names}")
        result, facts = evaluate.evaluate_files(
            parse(["evaluate", *arguments], "evaluate")
        )
        percent = [100 * value for value in result.mean_ap.tolist()]
        return dict(zip(result.thresholds, percent, strict=True)), facts

    return run


def test_every_preset_is_confirmed_here():
    presets = {path.stem for path in (ROOT / "configs").glob("eval_*.flags")}
    text = pathlib.Path(__file__).read_text()
    assert presets
    assert presets == {name for name in presets if f'"{name}"' in text}


def test_stpn_on_210_videos(shared_data, score):
    folder = shared_data / "results" / "stpn"
    found, facts = score(
        "eval_thumos14_210", folder / "gt.json", folder / "results.json"
    )
    # The README truncates 4.99 to 4.9.
    published = (52.1, 44.2, 34.7, 26.1, 17.7, 10.1, 4.9, 1.3, 0.1)
    assert list(found.values()) == pytest.approx(published, abs=0.1)
    assert facts["num_videos"] == 210


def test_the_lists_of_videos_differ_as_they_say(shared_data, score):
    # The challenge's folder has all 213 videos; each preset selects its own.
    detections = shared_data / "results" / "stpn" / "results.json"
    for preset, videos in (
        ("eval_thumos14_213", 213),
        ("eval_thumos14_212", 212),
        ("eval_thumos14_210", 210),
    ):
        _, facts = score(preset, shared_data / THUMOS, detections)
        assert facts["num_videos"] == videos


def test_actionformer_on_212_videos(shared_data, cloned, score):
    classes = (shared_data / THUMOS / "detclasslist.txt").read_text().split()
    found, facts = score(
        "eval_thumos14_212",
        shared_data / "thumos14" / "actionformer_thumos14.json",
        cloned("actionformer_performance/dfp.pkl"),
        classes=classes[1::2],
    )
    published = (82.13, 77.80, 70.95, 59.40, 43.87)
    of_table = [found[t] for t in (0.3, 0.4, 0.5, 0.6, 0.7)]
    assert of_table == pytest.approx(published, abs=0.015)
    assert facts["num_videos"] == 212


@pytest.mark.parametrize(
    "features, threshold, published",
    [
        ("C3D-16", 0.5, 22.5),
        ("FLOW-16", 0.1, 54.0),
        ("FLOW-16", 0.2, 50.9),
        ("FLOW-16", 0.3, 44.1),
        ("FLOW-16", 0.4, 34.9),
        ("FLOW-16", 0.5, 25.6),
    ],
)
def test_turn_on_213_videos(
    shared_data, cloned, score, features, threshold, published
):
    truth = shared_data / THUMOS
    found, facts = score(
        "eval_thumos14_213",
        truth,
        cloned(TURN.format(features, threshold)),
        f"--classes={truth / 'detclasslist.txt'}",
    )
    assert found[threshold] == pytest.approx(published, abs=0.0501)
    assert facts["num_ambiguous_segments"] == 99


def test_autoloc_on_activitynet_12(cloned, score):
    found, facts = score(
        "eval_activitynet12",
        cloned("AutoLoc/data/AN/val_gt_dump.indexified.pc"),
        cloned(AUTOLOC.format("AN") + "testnms0.4_iter4706.pc"),
        classes=[f"class{number}" for number in range(100)],
    )
    published = (27.3, 24.9, 22.5, 19.9, 17.5, 15.1, 13.0, 10.0, 6.8, 3.3)
    assert list(found.values()) == pytest.approx(published, abs=0.0501)
    assert facts["num_classes"] == 100
