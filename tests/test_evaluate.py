"""The evaluate command: what it prints, writes and refuses."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfwstal import evaluate
from tfwstal.average_precision import MeanAveragePrecision
from tfwstal.config import Config
from tfwstal.errors import InputError

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def _annotation(label, start, end):
    return {"label": label, "segment": [start, end]}


def _detection(label, start, end, score):
    return _annotation(label, start, end) | {"score": score}


_DATABASE = {
    "u": {
        "subset": "Test",
        "annotations": [_annotation("Jump", 0, 10), _annotation("Dive", 0, 4)],
    },
    "w": {"subset": "Test", "annotations": [_annotation("Jump", 5, 9)]},
    "t": {"subset": "training", "annotations": [_annotation("Swim", 0, 1)]},
}
# Jump: u's instance at rank 1 with tIoU 0.6, w's never: AP 1/2 up to 0.6, then
# 0. Dive: exact at rank 1: AP 1. mAP: 3/4 up to 0.6, then 1/2.
_RESULTS = {"u": [_detection("Jump", 0, 6, 0.9), _detection("Dive", 0, 4, 0.8)]}


@pytest.fixture
def config(tmp_path):
    """A function (database, results, **flags) -> Config; writes the files."""

    def make(database=_DATABASE, results=_RESULTS, **flags):
        truth, found = tmp_path / "gt.json", tmp_path / "det.json"
        truth.write_text(json.dumps({"database": database}))
        found.write_text(json.dumps({"results": results}))
        return Config(
            **{"ground_truth": str(truth), "detections": str(found)} | flags
        )

    return make


def _refused(config):
    with pytest.raises(InputError) as caught:
        evaluate.main(config)
    return str(caught.value)


# === What it prints and writes ===


def test_prints_the_table(config, capsys):
    evaluate.main(config(tiou_thresholds=(0.5, 0.6, 0.7)))
    assert capsys.readouterr().out.splitlines() == [
        "Subset 'test': 2 videos, 3 instances of 2 classes; 2 detections; "
        "protocol activitynet",
        "  videos without a detection: 1",
        "",
        "tIoU        mAP %",
        "0.5         75.00",
        "0.6         75.00",
        "0.7         50.00",
    ]


def test_prints_averages_and_classes(config, capsys):
    evaluate.main(
        config(tiou_thresholds=(0.1, 0.2, 0.3, 0.4, 0.5), per_class=True)
    )
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "average     mAP %",
        "0.1:0.5     75.00",
        "",
        "AP %, tIoU instances    0.1    0.2    0.3    0.4    0.5",
        "Dive               1 100.00 100.00 100.00 100.00 100.00",
        "Jump               2  50.00  50.00  50.00  50.00  50.00",
    ]


def test_default_thresholds_give_all_three_averages(config, capsys):
    evaluate.main(config())
    # 3/4 at 0.1 ... 0.6, 1/2 above. 0.1:0.7: (6 * 3/4 + 1/2) / 7 = 5/7.
    # 0.5:0.95: 0.5, 0.55, 0.6 of ten: (3 * 3/4 + 7 * 1/2) / 10 = 0.575.
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "0.1:0.5     75.00",
        "0.1:0.7     71.43",
        "0.5:0.95    57.50",
    ]


def test_table_of_a_result_without_a_file():
    result = MeanAveragePrecision(
        (0.5,), ("a", "b"), np.array([1, 2]), np.array([[0.25, 0.5]])
    )
    assert evaluate.format_table(result).splitlines() == [
        "tIoU        mAP %",
        "0.5         37.50",
    ]


def test_report_holds_result_and_choices(config, tmp_path, capsys):
    report = tmp_path / "out" / "report.json"
    flags = config(tiou_thresholds=(0.5, 0.7), report=str(report))
    evaluate.main(flags)
    assert f"Report: {report}" in capsys.readouterr().out
    assert json.loads(report.read_text()) == {
        "protocol": "activitynet",
        "ground_truth": flags.ground_truth,
        "subset": "test",
        "detections": flags.detections,
        "bad_segments": "error",
        "ignore_unknown": False,
        "num_videos": 2,
        "num_videos_without_detections": 1,
        "num_classes": 2,
        "num_instances": 3,
        "num_detections": 2,
        "num_unknown_detections": 0,
        "num_unscored_detections": 0,
        "bad_segments_left_out": [],
        "bad_segments_kept": [],
        "tiou_thresholds": [0.5, 0.7],
        "mAP": [0.75, 0.5],
        "average_mAP": {},
        "per_class": {
            "Dive": {"num_instances": 1, "AP": [1.0, 1.0]},
            "Jump": {"num_instances": 2, "AP": [0.5, 0.0]},
        },
    }


def test_subset_names_compare_without_case(config, capsys):
    for subset in ("test", "TEST", "Test"):
        evaluate.main(config(subset=subset))
        assert "2 videos, 3 instances" in capsys.readouterr().out


def test_bad_segments_are_counted(config, tmp_path, capsys):
    database = _DATABASE | {
        "w": {
            "subset": "Test",
            "annotations": [
                _annotation("Jump", 5, 9),
                _annotation("Jump", 9, 5),
                _annotation("Jump", -1, 2),
            ],
        },
        # Of another subset: nothing to this evaluation.
        "t": {"subset": "train", "annotations": [_annotation("Swim", 2, 1)]},
    }
    assert "is reversed (and 2 more" in _refused(config(database))
    report = tmp_path / "report.json"
    for policy, left_out, kept in (("skip", 2, 0), ("keep", 1, 1)):
        evaluate.main(
            config(
                database,
                bad_segments=policy,
                report=str(report),
                overwrite=True,
            )
        )
        out = capsys.readouterr().out
        assert f"bad segments of the ground truth, left out: {left_out}" in out
        assert ("bad segments of the ground truth, kept: 1" in out) == kept
        written = json.loads(report.read_text())
        assert len(written["bad_segments_left_out"]) == left_out
        assert len(written["bad_segments_kept"]) == kept
        assert written["num_instances"] == 3 + kept


# === Detections that do not fit ===


def test_video_of_no_subset_is_named_and_counted(config):
    results = _RESULTS | {"x": [_detection("Jump", 0, 1, 0.5)] * 3}
    flags = config(results=results)
    message = _refused(flags)
    assert message.startswith(
        f"{flags.detections}: video 'x' is not in {flags.ground_truth} (and 2 "
        "more detections"
    )
    assert "--ignore_unknown" in message


def test_video_of_another_subset_is_named(config):
    results = {"t": [_detection("Jump", 0, 1, 0.5)]}
    message = _refused(config(results=results))
    assert "video 't' is in subset 'training' of" in message
    assert "not in 'test';" in message


def test_unknown_class_is_named(config):
    results = {"u": [_detection("Fly", 0, 1, 0.5)]}
    message = _refused(config(results=results))
    assert "class 'Fly', detected in video 'u', is not in" in message


def test_ignore_unknown_passes_over_and_counts(config, capsys):
    results = {
        # Better than all others: counted, they would spoil both classes.
        "x": [_detection("Jump", 0, 1, 9.0), _detection("Dive", 0, 1, 9.0)],
        "u": [*_RESULTS["u"], _detection("Fly", 0, 4, 9.0)],
    }
    evaluate.main(
        config(results=results, ignore_unknown=True, tiou_thresholds=(0.5,))
    )
    out = capsys.readouterr().out
    assert "detections of unknown videos or classes, passed over: 3" in out
    assert "; 2 detections;" in out
    assert "0.5         75.00" in out


def test_class_of_another_subset_is_known_but_cannot_score(config, capsys):
    results = {"u": [*_RESULTS["u"], _detection("Swim", 0, 4, 9.0)]}
    evaluate.main(config(results=results, tiou_thresholds=(0.5,)))
    out = capsys.readouterr().out
    assert "classes that the subset lacks, without effect: 1" in out
    assert "0.5         75.00" in out


def test_video_without_entries_is_no_detection(config, capsys):
    # Tools list every video they have seen; nothing is claimed about x.
    evaluate.main(config(results=_RESULTS | {"x": [], "w": []}))
    assert "videos without a detection: 1" in capsys.readouterr().out


def test_no_detection_at_all_scores_zero(config, capsys):
    evaluate.main(config(results={}, tiou_thresholds=(0.5,)))
    out = capsys.readouterr().out
    assert "videos without a detection: 2" in out
    assert "0.5          0.00" in out


# === Other refusals ===


def test_files_are_needed():
    assert "--ground_truth is needed" in _refused(Config())
    assert "--detections is needed" in _refused(Config(ground_truth="gt.json"))


def test_missing_files_are_named(config, tmp_path):
    missing = str(tmp_path / "none.json")
    assert missing in _refused(config(ground_truth=missing))
    assert missing in _refused(config(detections=missing))


def test_unknown_subset_lists_the_subsets(config):
    flags = config(subset="val")
    assert _refused(flags) == (
        f"{flags.ground_truth}: subset 'val' does not exist; choose --subset "
        "from: Test (2 videos), training (1 video)"
    )


def test_subset_without_segments_lists_the_subsets(config):
    database = _DATABASE | {"h": {"subset": "testing", "annotations": []}}
    message = _refused(config(database, subset="testing"))
    assert "subset 'testing' has no segment; choose" in message
    assert "testing (1 video)" in message


def test_empty_ground_truth_is_refused(config):
    assert "none, the file is empty" in _refused(config({}))


def test_report_is_not_replaced_unless_asked(config, tmp_path, capsys):
    report = tmp_path / "report.json"
    report.write_text("mine")
    assert "give --overwrite" in _refused(config(report=str(report)))
    assert report.read_text() == "mine"
    # Refused before any work.
    assert capsys.readouterr().out == ""
    evaluate.main(config(report=str(report), overwrite=True))
    assert json.loads(report.read_text())["num_videos"] == 2


# === The real command ===


def _command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfwstal.evaluate", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )


def test_command_ends_with_one_line_on_an_error(config, tmp_path):
    flags = config(results={"x": [_detection("Jump", 0, 1, 0.5)]})
    report = tmp_path / "report.json"
    done = _command(
        f"--ground_truth={flags.ground_truth}",
        f"--detections={flags.detections}",
        f"--report={report}",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not report.exists()
    # TensorFlow may have put lines of its own before it.
    lines = done.stderr.splitlines()
    assert [n for n in lines if n.startswith("error:")] == [lines[-1]]
    assert "video 'x' is not in" in lines[-1]
    assert "Traceback" not in done.stderr


def test_command_parses_its_flags(config, tmp_path):
    flags = config()
    report = tmp_path / "report.json"
    done = _command(
        f"--ground_truth={flags.ground_truth}",
        f"--detections={flags.detections}",
        "--tiou_thresholds=0.5:0.7:0.1",
        f"--report={report}",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())["mAP"] == [0.75, 0.75, 0.5]
