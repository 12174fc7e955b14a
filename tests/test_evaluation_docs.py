"""The commands and the example of docs/evaluation.md, run as they are."""

import json
import pickle
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tfwstal.config import Config

TEXT = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(.*?)\n```", TEXT, flags=re.DOTALL)
CLASSES = ("Dive", "Jump")
# (video, class, start, end); each is found exactly, so mAP is 100 %.
ROWS = [
    ("video_test_0000001", "Jump", 0.5, 10.0),
    ("video_test_0000001", "Dive", 12.0, 14.5),
    ("video_test_0000002", "Jump", 3.0, 9.0),
]


def run(folder, *arguments):
    found = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The folder, and the output of each command."""
    folder = tmp_path_factory.mktemp("evaluation")
    database, results = {}, {}
    for video, label, start, end in ROWS:
        entry = {"label": label, "segment": [start, end]}
        of_video = {"subset": "test", "annotations": []}
        database.setdefault(video, of_video)["annotations"].append(entry)
        results.setdefault(video, []).append(entry | {"score": 0.5})
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    for name in ("detections", "other"):
        (folder / f"{name}.json").write_text(json.dumps({"results": results}))
    videos, labels, start, end = zip(*ROWS, strict=True)
    columns = {
        "video-id": list(videos),
        "t-start": np.array(start),
        "t-end": np.array(end),
        "label": np.array([CLASSES.index(label) for label in labels]),
        "score": np.full(len(ROWS), 0.5),
    }
    (folder / "eval_results.pkl").write_bytes(pickle.dumps(columns))
    (folder / "classes.txt").write_text("".join(f"{c}\n" for c in CLASSES))
    # The challenge's class numbers. One detection is reversed; that with the
    # lowest score is in a video without annotations.
    (folder / "detclasslist.txt").write_text("8 Dive\n21 Jump\n")
    lines = [
        f"{video} {start} {end} {dict(Dive=8, Jump=21)[label]} 0.5"
        for video, label, start, end in ROWS[1:]
    ]
    lines.append("video_test_0000001 10.0 0.5 21 0.9")
    lines.append("video_test_0000003 10.0 20.5 21 0.1")
    (folder / "results.txt").write_text("\n".join(lines))
    (folder / "annotations").mkdir()
    for name in CLASSES:
        (folder / "annotations" / f"{name}_test.txt").write_text(
            "".join(f"{v} {s} {e}\n" for v, c, s, e in ROWS if c == name)
        )
    printed = []
    for command in COMMANDS:
        python, *arguments = shlex.split(command)
        assert python == "python"
        printed.append(run(folder, *arguments))
    return folder, printed


def test_there_are_five_commands_and_an_example():
    assert len(COMMANDS) == 5
    assert TEXT.count("```python") == 1


def test_each_command_scores_perfect_detections_100(outputs):
    folder, printed = outputs
    assert json.loads((folder / "report.json").read_text())["mAP"] == [1.0] * 14
    for text in printed:
        assert "100.00" in text
    for text in printed[:3]:
        values = re.findall(r"^0\.\d+ +(\S+)$", text, flags=re.MULTILINE)
        assert set(values) == {"100.00"}
    assert "end before they start, swapped: 1" in printed[2]
    assert "in unknown videos, counted: 1" in printed[2]


def test_the_comparison_is_written_and_its_intervals_shown(outputs):
    folder, printed = outputs
    lines = (folder / "comparison.md").read_text().splitlines()
    assert lines[0].startswith("| mAP %, tIoU | 0.1 |")
    assert lines[2].startswith("| detections | 100.00 |")
    assert "| Jump | 2 | 100.00 | 100.00 |" in lines
    assert "100.00 (100.00 to 100.00)" in printed[4]
    assert "+0.00 (+0.00 to +0.00)" in printed[4]


def test_the_example_in_python(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    expected = re.search(r"print\(result.mean_ap\)  # (.*)", example).group(1)
    assert run(tmp_path, "-c", example).strip() == expected


def test_every_flag_and_preset_exists():
    for flag in re.findall(r"--([a-z_]+)", TEXT):
        assert hasattr(Config, flag) or flag in ("saveonly", "flagfile"), flag
    presets = set(re.findall(r"`(eval_\w+\.flags)`", TEXT))
    assert presets == {
        path.name for path in (ROOT / "configs").glob("eval_*.flags")
    }


def test_the_library_needs_no_tensorflow(tmp_path):
    code = (
        "import sys; from tfwstal.evaluation import average_precision; "
        "print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    assert run(tmp_path, "-c", code) == "set()\n"
