"""The README's commands do what it says, run as they stand there."""

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the features and labels of which the README speaks."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    features = folder / "my_features"
    for stream in ("rgb", "flow"):
        (features / stream).mkdir(parents=True)
        for number in (1, 2, 3):
            values = rng.random((12 + number, 1024)).astype(np.float32)
            np.save(features / stream / f"video_{number}.npy", values)
    (labels,) = blocks("csv")
    (features / "labels.csv").write_text(labels)
    truth = re.search(r'`(\{"database".*?\}\})`', README, flags=re.DOTALL)
    json.loads(truth.group(1))
    (folder / "ground_truth.json").write_text(truth.group(1))
    return folder


def test_six_commands_and_the_python_example(workplace):
    (block,) = blocks("bash")
    commands = block.strip().splitlines()
    assert len(commands) == 6
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "python"
        found = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=workplace,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        )
        assert found.returncode == 0, f"{command}\n{found.stderr}"
    assert (workplace / "models/tfwstal/1/saved_model.pb").is_file()
    assert json.loads((workplace / "report.json").read_text())

    (example,) = blocks("python")
    joined = [
        np.load(workplace / "my_features" / stream / "video_3.npy")
        for stream in ("rgb", "flow")
    ]
    np.save(workplace / "my_features" / "joined.npy", np.concatenate(joined, 1))
    found = subprocess.run(
        [sys.executable, "-c", example + "\nprint(activation.shape)"],
        cwd=workplace,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert found.stdout == "(15, 4)\n", found.stderr  # three actions


def test_every_file_it_names_is_there():
    listing = re.search(r"## The files\n(.*?)\n## ", README, re.DOTALL)
    folder = ""
    for line in listing.group(1).splitlines():
        match = re.match(r"    (\w+/)?\s+(\S+\.py)\s", line)
        if match:
            folder = match.group(1) or folder
            assert list((ROOT / folder).glob(match.group(2))), line
    modules = {p.name for p in (ROOT / "tfwstal").glob("[a-z]*.py")}
    for name in modules - {"errors.py", "quiet_start.py", "keras_versions.py"}:
        assert name in listing.group(1), name


def test_its_make_targets_are_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_every_flag_it_names_exists():
    from tfwstal.config import Config

    for flag in re.findall(r"--([a-z_]+)", README):
        assert flag == "help" or flag == "flagfile" or hasattr(Config, flag), (
            flag
        )
