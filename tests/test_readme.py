"""Runs the README's commands and the Python of README and docs/keras.md.

test_evaluation_docs.py runs the commands of docs/evaluation.md. A `sh` block
needs something that a test does not have (a server, a film, hours) and is not
run; that its flags exist is tested here.
"""

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
PAGES = ["README.md"] + sorted(
    f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")
)
# Flags of other programs, or tested elsewhere.
OTHERS = {
    *("help", "flagfile", "logdir", "samples_per_plugin"),
    # Beam's and Dask's.
    *("runner", "dask_client_address", "dask_npartitions", "nthreads", "host"),
    *("port", "direct_running_mode", "direct_num_workers", "flink_master"),
    *("environment_type", "environment_config", "project", "region"),
    *("temp_location", "sdk_container_image"),
    # Of benchmarks.ablation and benchmarks.study.
    *("rows", "seeds", "sets", "stage", "table", "work_dir"),
    *("thresholds", "localize_with", "torch_python", "acmnet"),
    *("no-deps", "saveonly"),
}


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text):
    """The words of each line of a page's `bash` blocks."""
    lines = "\n".join(blocks("bash", text)).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    return [words for words in found if words]


def run(folder, *words):
    """Runs a Python command in a folder; returns what it prints."""
    found = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert found.returncode == 0, f"{shlex.join(words)}\n{found.stderr}"
    return found.stdout


def run_code(folder, code):
    return run(folder, "-W", "error::UserWarning", "-c", code)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the README's features and labels, after its commands."""
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
    six = commands(README)
    assert len(six) == 6
    for words in six:
        assert words[0] == "python"
        run(folder, *words[1:])
    return folder


def test_the_six_commands_leave_a_model_and_a_report(workplace):
    assert (workplace / "models/tfwstal/1/saved_model.pb").is_file()
    assert json.loads((workplace / "report.json").read_text())


def test_the_examples_in_python(workplace):
    (example,) = blocks("python")
    printed = run_code(workplace, example + "\nprint(activation.shape)")
    assert printed == "(15, 4)\n"  # three actions
    load, detect, tune, larger = blocks("python", IN_KERAS)
    code = load + detect + tune + larger
    # The model with more classes is the same after loading.
    code += """
again = keras.models.load_model("larger.keras")
np.testing.assert_allclose(again(x), larger(x), rtol=1e-6)
assert len(again.trainable_variables) == 2
print(len(best), scores.shape)
"""
    assert run_code(workplace, code).splitlines()[-1] == "2 (2, 4)"


def test_its_make_targets_are_there():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)
    assert targets
    for target in targets:
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_and_page_that_it_names_exists(page):
    from tfwstal.config import Config

    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    for flag in re.findall(r"(?<![\w-])--([a-z_]+)", text):
        name = flag.removeprefix("no")
        known = hasattr(Config, flag) or hasattr(Config, name)
        assert flag in OTHERS or known, f"{page}: --{flag}"
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (path.parent / link).exists(), f"{page}: {link}"
