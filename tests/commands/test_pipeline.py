"""The whole pipeline through the commands, as `make demo` runs it."""

import contextlib
import json

import numpy as np
import pytest

from tfrecords_tools import convert, synthesize
from tfwstal import evaluate, export, localize, train
from tfwstal.command_line import parse
from tfwstal.config import Config


def demo_config(command, *arguments):
    return parse(
        [command, "--flagfile=configs/demo.flags", *map(str, arguments)],
        command,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Runs a small demo; returns its folder and the mAP of each of three runs.

    NAME.stderr has the standard error of a run.
    """
    folder = tmp_path_factory.mktemp("demo")
    small = (
        "--num_train_videos=40",
        "--num_test_videos=20",
        "--num_classes=4",
        "--feature_dim=128",
        "--median_snippets=60",
        "--difficulty=0.25",
    )
    synthesize.main(
        demo_config("synthesize", f"--output_dir={folder / 'raw'}", *small)
    )
    convert.main(
        demo_config(
            "convert",
            f"--features_dir={folder / 'raw'}",
            f"--output_dir={folder / 'records'}",
        )
    )
    mean_ap = {}
    for name, flags in {
        "untrained": ["--epochs=0"],
        "trained": [],
        # At a hundred times the rate, the foreground attention of the residual
        # block dies. The classes are then random, so only the attention
        # decides what is found.
        "collapsed": [
            *("--epochs=5", "--learning_rate=0.1", "--residual"),
            *("--threshold_on=attention", "--eta=0.1:0.9:0.025"),
        ],
    }.items():
        with (
            open(folder / f"{name}.stderr", "w") as messages,
            contextlib.redirect_stderr(messages),
        ):
            mean_ap[name] = _mean_ap(folder, name, flags)
    return folder, mean_ap


def _mean_ap(folder, name, flags):
    """Trains, localizes and evaluates in turn; returns the mean over tIoU."""
    train.main(
        demo_config(
            "train",
            f"--data_dir={folder / 'records'}",
            f"--run_dir={folder / name}",
            *flags,
        )
    )
    found = folder / f"{name}.json"
    localize.main(
        parse(
            [
                "localize",
                f"--run_dir={folder / name}",
                f"--detections={found}",
            ],
            "localize",
        )
    )
    report = folder / f"{name}_report.json"
    evaluate.main(
        demo_config(
            "evaluate",
            f"--ground_truth={folder / 'raw' / 'gt.json'}",
            f"--detections={found}",
            f"--report={report}",
        )
    )
    return float(np.mean(json.loads(report.read_text())["mAP"]))


def test_training_finds_the_planted_actions(demo):
    _, mean_ap = demo
    assert mean_ap["trained"] > 0.3
    assert mean_ap["trained"] > 3 * mean_ap["untrained"]


def _warnings(folder, name):
    lines = (folder / f"{name}.stderr").read_text().splitlines()
    return [line for line in lines if line.startswith("warning:")]


def test_only_a_collapsed_run_warns(demo):
    folder, mean_ap = demo
    assert mean_ap["collapsed"] == 0.0
    assert _warnings(folder, "untrained") == _warnings(folder, "trained") == []
    trained, *others, localized, evaluated = _warnings(folder, "collapsed")
    assert "foreground attention has died" in trained
    assert all("dictionary has collapsed" in line for line in others)
    for line in (localized, evaluated):
        assert "only 0 of 20 videos have a detection" in line
    # Both files are written nevertheless.
    found = json.loads((folder / "collapsed.json").read_text())["results"]
    assert list(map(len, found.values())) == 20 * [0]
    report = json.loads((folder / "collapsed_report.json").read_text())
    assert report["num_videos_without_detections"] == 20


def test_every_test_video_is_answered(demo):
    folder, _ = demo
    found = json.loads((folder / "trained.json").read_text())["results"]
    listed = (folder / "raw" / "split_test.txt").read_text().split()
    assert sorted(found) == sorted(listed)


def test_evaluation_during_training_is_the_evaluate_command(demo):
    folder, mean_ap = demo
    train.main(
        demo_config(
            "train",
            f"--data_dir={folder / 'records'}",
            f"--run_dir={folder / 'watched'}",
            "--epochs=2",
            "--eval_every=2",
        )
    )
    localize.main(
        demo_config(
            "localize",
            f"--run_dir={folder / 'watched'}",
            f"--data_dir={folder / 'records'}",
            f"--detections={folder / 'watched.json'}",
        )
    )
    result, _ = evaluate.evaluate_files(
        demo_config(
            "evaluate",
            f"--ground_truth={folder / 'raw' / 'gt.json'}",
            f"--detections={folder / 'watched.json'}",
        )
    )
    rows = (folder / "watched" / "history.csv").read_text().splitlines()
    logged = dict(zip(rows[0].split(","), rows[2].split(","), strict=True))
    assert float(logged["mAP@0.1:0.7"]) == pytest.approx(
        float(np.mean(result.mean_ap)), abs=1e-6
    )


def test_the_run_exports(demo):
    folder, _ = demo
    export.main(
        parse(
            [
                "export",
                f"--run_dir={folder / 'trained'}",
                f"--export_dir={folder / 'models'}",
            ],
            "export",
        )
    )
    assert (folder / "models" / "1" / "saved_model.pb").is_file()


def test_real_i3d_features_go_all_the_way(shared_data, tmp_path, capsys):
    """Four labelled real videos: tests the data path, not the method."""
    real = shared_data / "features" / "real_i3d"
    convert.main(
        Config(features_dir=str(real), output_dir=str(tmp_path / "records"))
    )
    train.main(
        Config(
            data_dir=str(tmp_path / "records"),
            run_dir=str(tmp_path / "run"),
            epochs=2,
        )
    )
    localize.main(
        Config(
            run_dir=str(tmp_path / "run"),
            data_dir=str(tmp_path / "records"),
            split="train",
            detections=str(tmp_path / "found.json"),
            eta=(0.2, 0.25, 0.3),
        )
    )
    found = json.loads((tmp_path / "found.json").read_text())["results"]
    assert "video_validation_0000051" in found
    # 265 snippets of 16 frames at 25 frames per second.
    for each in found["video_validation_0000051"]:
        assert each["segment"][1] <= 265 * 16 / 25 + 1e-3
    capsys.readouterr()
    evaluate.main(
        Config(
            ground_truth=str(real / "annotations.json"),
            subset="validation",
            detections=str(tmp_path / "found.json"),
            ignore_unknown=True,
        )
    )
    assert "1 video" in capsys.readouterr().out
