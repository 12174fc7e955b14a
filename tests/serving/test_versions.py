"""Versions of a model in one folder, with concurrent writers."""

import hashlib
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT, random_model
from tfwstal import export
from tfwstal.config import Config
from tfwstal.serving import versions
from tfwstal.training import run_folder


def names(base):
    return sorted(path.name for path in base.iterdir() if path.is_dir())


def write(base, text="model"):
    """Publishes a version that holds one file; returns its number."""
    with versions.writing(base) as path:
        (path / "weights").write_text(text)
        return versions.publish(
            path, lambda number: (path / "number").write_text(str(number))
        )


@pytest.fixture
def runs(tmp_path):
    """Folders of two runs with different weights."""
    folders = []
    for seed in (0, 1):
        folder = tmp_path / f"run_{seed}"
        run_folder.create(folder, Config().run_flags(), ("a", "b", "c"))
        run_folder.save_model(random_model(seed=seed), folder)
        folders.append(folder)
    return folders


def test_versions_count_up(tmp_path):
    base = tmp_path / "models"
    assert [write(base), write(base)] == [1, 2]
    (base / "7").mkdir()
    (base / "notes").mkdir()
    (base / "99999999999999999999").mkdir()  # not an int64
    assert write(base) == 8
    assert (base / "8" / "number").read_text() == "8"


def test_the_number_of_a_withdrawn_version_is_not_used_again(tmp_path):
    base = tmp_path / "models"
    assert [write(base) for _ in range(3)] == [1, 2, 3]
    os.rename(base / "3", tmp_path / "withdrawn-3")
    assert write(base) == 4
    os.rename(base / "4", tmp_path / "withdrawn-4")
    os.rename(base / "2", tmp_path / "withdrawn-2")
    assert write(base) == 5
    assert names(base) == ["1", "5"]


def test_a_number_that_appears_meanwhile_is_not_written_to(tmp_path):
    base = tmp_path / "models"

    def another_program(number):
        (base / str(number)).mkdir()
        (base / str(number) / "theirs").touch()

    with pytest.raises(OSError), versions.writing(base) as path:
        (path / "ours").touch()
        versions.publish(path, another_program)
    assert names(base) == ["1"]
    assert [each.name for each in (base / "1").iterdir()] == ["theirs"]
    assert write(base) == 2


def test_nothing_is_left_of_a_failure(tmp_path):
    base = tmp_path / "a" / "b" / "models"

    def fail(number):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), versions.writing(base) as p:
        (p / "weights").touch()
        versions.publish(p, fail)
    assert list(tmp_path.iterdir()) == []
    # The number was never visible, so it is free again.
    assert write(base) == 1


def test_what_a_killed_export_left_is_removed_after_a_day(tmp_path):
    killed, running = tmp_path / "incomplete-1", tmp_path / "incomplete-2"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "weights").touch()
    day_before = time.time() - 25 * 3600
    os.utime(killed, (day_before, day_before))
    write(tmp_path)
    assert names(tmp_path) == ["1", "incomplete-2"]


# All wait for the file `go`, so that they publish at the same time.
MANY = """
import pathlib, sys
from tfwstal.serving import versions
base, name, ready, go = sys.argv[1:]
pathlib.Path(ready).touch()
while not pathlib.Path(go).exists():
    pass
for turn in range(25):
    with versions.writing(base) as path:
        (path / "weights").write_text(f"{name} {turn}")
        number = versions.publish(
            path, lambda number: (path / "number").write_text(str(number)))
    print(number, name, turn)
"""


def started(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def wait_for(path, process):
    """Waits until another process has made a file."""
    limit = time.time() + 120
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.time() < limit
        time.sleep(0.05)


def test_processes_that_publish_at_once_get_numbers_of_their_own(tmp_path):
    base, go = tmp_path / "models", tmp_path / "go"
    ready = {name: tmp_path / name for name in "abc"}
    processes = {
        name: started(MANY, base, name, file, go)
        for name, file in ready.items()
    }
    for name, file in ready.items():
        wait_for(file, processes[name])
    go.touch()
    lines = [
        line.split()
        for process in processes.values()
        for line in ended(process).splitlines()
    ]
    published = {int(line[0]): line[1:] for line in lines}
    assert len(published) == len(lines) == 75  # no number twice
    assert names(base) == sorted(map(str, published))
    for number, (name, turn) in published.items():
        folder = base / str(number)
        assert (folder / "weights").read_text() == f"{name} {turn}"
        assert (folder / "number").read_text() == str(number)


# The second export starts and ends between the first one's model and its other
# files. This order once mixed the two.
SLOW = """
import pathlib, sys, time
from tfwstal import export
from tfwstal.config import Config
from tfwstal.serving import saved_model
run, base, written, go_on = sys.argv[1:]
def wait(path, *rest):
    pathlib.Path(written).touch()
    while not pathlib.Path(go_on).exists():
        time.sleep(0.05)
    return write_warmup(path, *rest)
write_warmup, saved_model._write_warmup = saved_model._write_warmup, wait
export.main(Config(run_dir=run, export_dir=base))
"""


def test_two_exports_at_once_are_not_mixed(runs, tmp_path):
    base = tmp_path / "models" / "tfwstal"
    written, go_on = tmp_path / "written", tmp_path / "go_on"
    slow = started(SLOW, runs[0], base, written, go_on)
    wait_for(written, slow)
    export.main(Config(run_dir=str(runs[1]), export_dir=str(base)))
    go_on.touch()
    assert "version 2" in ended(slow)

    assert names(base) == ["1", "2"]
    for number, run in ((1, runs[1]), (2, runs[0])):
        folder = base / str(number)
        info = json.loads((folder / "export_info.json").read_text())
        assert info["version"] == number
        assert info["flags"]["run_dir"] == str(run)
        files = {
            path.relative_to(folder).as_posix(): hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
            for path in folder.rglob("*")
            if path.is_file() and path.name != "export_info.json"
        }
        assert files == info["sha256"]
        model, _ = run_folder.load(run)
        reader = tf.train.load_checkpoint(str(folder / "variables/variables"))
        stored = {
            reader.get_tensor(name).tobytes()
            for name in reader.get_variable_to_shape_map()
            if name.startswith("weights/")
        }
        served = {
            np.asarray(tf.convert_to_tensor(weight)).tobytes()
            for weight in model.weights
        }
        assert stored and stored <= served


@pytest.mark.parametrize("limit", [300, 20_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(runs, tmp_path, limit):
    # A limit on the size of files simulates a full disk: writing the weights or
    # the graph fails.
    base = tmp_path / "new" / "models"
    process = subprocess.run(
        [sys.executable, "-m", "tfwstal.export"]
        + [f"--run_dir={runs[0]}", f"--export_dir={base}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (limit, limit)
        ),
    )
    assert (process.returncode, process.stdout) == (1, "")
    expected = f"error: --export_dir={base} cannot be written: File too large"
    assert process.stderr.splitlines()[-1] == expected
    assert not (tmp_path / "new").exists()
