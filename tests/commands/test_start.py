"""Commands answer --help and wrong flags before TensorFlow is imported."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT, random_batch, random_model

COMMANDS = [
    f"{package}.{path.stem}"
    for package in ("tfwstal", "tfrecords_tools")
    for path in sorted((ROOT / package).glob("*.py"))
    if "command_line.run(" in path.read_text(encoding="utf-8")
]
HEAVY = ("tensorflow", "keras", "numpy", "matplotlib")


def python(*arguments, **environment):
    """Runs Python in a process of its own; returns the finished process."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )


def imported(found):
    """The top-level modules that a run with -X importtime imported."""
    return {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in found.stderr.splitlines()
        if line.startswith("import time:")
    }


def test_the_commands_are_known():
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command):
    found = python("-X", "importtime", "-m", command, "--help")
    assert "--flagfile" in found.stdout or "flags:" in found.stdout
    assert imported(found).isdisjoint(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_flag_imports_nothing_heavy(command):
    found = python("-X", "importtime", "-m", command, "--no_such_flag=1")
    assert found.returncode == 1
    assert "error: unknown flag --no_such_flag; " in found.stderr
    assert imported(found).isdisjoint(HEAVY)


def test_evaluate_needs_neither_tensorflow_nor_keras(tmp_path):
    action = {"label": "Jump", "segment": [0, 10]}
    (tmp_path / "gt.json").write_text(
        json.dumps(
            {"database": {"v": {"subset": "test", "annotations": [action]}}}
        )
    )
    (tmp_path / "found.json").write_text(
        json.dumps({"results": {"v": [action | {"score": 0.5}]}})
    )
    found = python(
        *("-X", "importtime", "-m", "tfwstal.evaluate", "--analysis"),
        f"--ground_truth={tmp_path / 'gt.json'}",
        f"--detections={tmp_path / 'found.json'}",
        f"--report={tmp_path / 'report.json'}",
        f"--picture={tmp_path / 'errors.svg'}",
    )
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "errors.svg").is_file()
    assert imported(found).isdisjoint({"tensorflow", "keras"})


@pytest.mark.parametrize(
    "imports",
    [
        "import keras, tfwstal",
        "import tfwstal, keras\nfrom tfwstal import TwoStreamLocalizer",
        "import tfwstal, keras\ntfwstal.TwoStreamLocalizer",
        "import keras\nfrom tfwstal import *",
    ],
)
def test_keras_reads_a_model_after_either_order_of_imports(imports, tmp_path):
    model = random_model()
    inputs, _ = random_batch([4, 7])
    expected = model(inputs)["video_scores"]
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "inputs.npz", **inputs)
    script = f"""
{imports}
import numpy as np
model = keras.models.load_model({str(tmp_path / "model.keras")!r})
inputs = dict(np.load({str(tmp_path / "inputs.npz")!r}))
np.save({str(tmp_path / "found.npy")!r}, model(inputs)["video_scores"])
"""
    found = python("-c", script)
    assert found.returncode == 0, found.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, 1e-5)


def test_importing_the_package_alone_stays_light():
    found = python("-X", "importtime", "-c", "import tfwstal")
    assert imported(found).isdisjoint(HEAVY)


def test_a_name_that_the_package_lacks():
    found = python("-c", "import tfwstal\ntfwstal.Localizer")
    assert "module 'tfwstal' has no attribute 'Localizer'" in found.stderr


def test_other_programs_keep_tensorflows_output(tmp_path):
    """`python -m` of another module that imports the package."""
    (tmp_path / "theirs.py").write_text(
        "import os, tfwstal\n"
        "os.write(2, b'before')\n"
        "import tensorflow\n"
        "os.write(2, b'after')\n"
        "print(os.environ.get('TF_CPP_MIN_LOG_LEVEL'))\n"
    )
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b' note ')")
    (tmp_path / "keras.py").write_text("")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "TF_CPP_MIN_LOG_LEVEL"
    }
    found = subprocess.run(
        [sys.executable, "-m", "theirs"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )
    assert found.stderr == "before note after"
    assert found.stdout == "None\n"


def test_a_command_hides_tensorflows_log_messages(tmp_path):
    script = (
        "from tfwstal import quiet_start; quiet_start.import_tensorflow(); "
        "print('imported')"
    )
    (tmp_path / "tensorflow.py").write_text(
        "import os\n"
        "class config:\n"
        "    @staticmethod\n"
        "    def list_physical_devices():\n"
        "        os.write(2, b' second')\n"
        "os.write(2, b'first')\n"
        "if 'BROKEN' in os.environ:\n"
        "    raise ImportError('no such library')\n"
    )
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    found = python("-P", "-c", script, **path)
    assert (found.stdout, found.stderr) == ("imported\n", "")
    found = python("-P", "-c", script, BROKEN="1", **path)
    assert found.stderr.startswith("first")
    assert "no such library" in found.stderr


def test_an_interrupt_during_the_imports_is_one_line():
    code = """
import sys
from tfwstal import command_line, quiet_start

def interrupted():
    raise KeyboardInterrupt

quiet_start.import_tensorflow = interrupted
sys.argv = ["train"]
command_line.start("train")
"""
    found = python("-c", code)
    assert found.stderr == "interrupted\n"
    assert found.returncode == -signal.SIGINT
