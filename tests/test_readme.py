"""The README's commands do what it says, run as they stand there."""

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
IN_KERAS = (ROOT / "docs" / "keras.md").read_text(encoding="utf-8")


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def run_python(folder, code):
    """What Python prints of some code, in a folder."""
    found = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


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


def test_six_commands_and_the_python_examples(workplace):
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
    printed = run_python(workplace, example + "\nprint(activation.shape)")
    assert printed == "(15, 4)\n"  # three actions

    load, detect, tune, larger = blocks("python", IN_KERAS)
    code = load + detect + tune + larger
    # The larger model is the same when it is loaded.
    code += """
again = keras.models.load_model("larger.keras")
np.testing.assert_allclose(again(x), larger(x), rtol=1e-6)
assert len(again.trainable_variables) == 2
print(len(best), scores.shape)
"""
    assert run_python(workplace, code).splitlines()[-1] == "2 (2, 4)"


def test_every_file_and_room_is_listed():
    listing = re.search(r"## The files\n(.*?)\n## ", README, re.DOTALL)
    folder, named = "", set()
    for line in listing.group(1).splitlines():
        match = re.match(r"    (\w+/)?\s+(\w+(?:\.py|/))\s", line)
        if match:
            folder = match.group(1) or folder
            named.add(folder + match.group(2).rstrip("/"))
            assert (ROOT / folder / match.group(2)).exists(), line
    for package in ("tfrecords_tools", "tfwstal"):
        for room in (ROOT / package).glob("*/__init__.py"):
            assert f"{package}/{room.parent.name}" in named
        for path in (ROOT / package).glob("[a-z]*.py"):
            if "command_line.run(" in path.read_text(encoding="utf-8"):
                assert f"{package}/{path.name}" in named


def test_its_make_targets_are_there():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)
    assert targets
    for target in targets:
        assert f"\n{target}:" in makefile


def test_every_flag_it_names_exists():
    from tfwstal.config import Config

    others = {
        "help",
        "flagfile",
        "rows",
        "seeds",
        "logdir",
        "samples_per_plugin",
    }
    for path in (
        "README.md",
        "docs/data.md",
        "docs/training.md",
        "docs/watching.md",
    ):
        text = (ROOT / path).read_text(encoding="utf-8")
        for flag in re.findall(r"--([a-z_]+)", text):
            assert flag in others or hasattr(Config, flag), f"{path}: {flag}"
