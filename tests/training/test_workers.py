"""train --strategy: several devices give the results of one."""

import csv
import json
import os
import socket
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from tests.conftest import ROOT, assert_close, random_record, write_records
from tfwstal import command_line
from tfwstal.errors import InputError
from tfwstal.training import cluster, loop
from tfwstal.training import workers as worker_processes
from tfwstal.training.options import TrainingOptions

# Runs commands from one process that has imported TensorFlow already. A job is
# a list of commands that run together: [arguments, TF_CONFIG or None, number
# of virtual CPU devices, step at whose end a signal is sent or 0, signal].
SCRIPT = """
import json, os, sys, warnings
import numpy as np
import tensorflow as tf
import tfwstal
from tfwstal import command_line, train
from tfwstal.training import checkpoint, keras_replicas
from tfwstal.training import workers as worker_processes

def run(arguments, tf_config, devices, step, signal):
    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * devices,
    )
    method, steps = checkpoint.Checkpoint.on_train_batch_end, []
    def on_train_batch_end(self, *args, **kwargs):
        steps.append(0)
        if len(steps) == step:
            os.kill(os.getpid(), signal)
        method(self, *args, **kwargs)
    checkpoint.Checkpoint.on_train_batch_end = on_train_batch_end
    sys.argv = ["train", *arguments]
    command_line.run(train.main, "train")

def print_dropout():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    workers = worker_processes.Workers("mirrored")
    workers.start(batch_size=2)
    with workers.scope():
        model = tfwstal.TwoStreamLocalizer(3, 5, dropout=0.5)
        model.compile()
    keras_replicas.prepare(model, workers)
    drop = lambda: model.dropout(tf.ones([1, 40]), training=True)
    masks = workers.strategy.run(tf.function(drop)).values
    print("masks", int(np.abs(masks[0] - masks[1]).sum() > 0))

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__", DeprecationWarning)
for job in json.loads(sys.argv[1]):
    sys.stdout.flush()
    children = []
    for command in job:
        children.append(os.fork())
        if not children[-1]:
            if command == "dropout":
                print_dropout()
                sys.exit()
            run(*command)
    for child in children:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("exit", code)
"""
# Ten videos in batches of three: the first of two replicas gets one video, the
# other two. Of an epoch's last batch, one video, the first gets none.
LENGTHS = [1, 3, 12, 25, 40, 7, 18, 30, 9, 11]
FLAGS = [
    *("--num_snippets=20", "--batch_size=3", "--epochs=2", "--clip_norm=0.5"),
    *("--dropout=0", "--learning_rate=0.01", "--warmup_epochs=1"),
    *("--checkpoint_minutes=0", "--weight_decay=0.01", "--ema=0.5"),
]
KILL, TERMINATE = 9, 15


def tf_configs():
    """TF_CONFIG of two workers on free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return [
        json.dumps(
            {"cluster": cluster, "task": {"type": "worker", "index": index}}
        )
        for index in range(2)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs of all jobs, exit.json and messages.txt."""
    root = tmp_path_factory.mktemp("distribution")
    train_videos = [
        random_record(f"train_{n}", n, (1 + i % 3,))
        for i, n in enumerate(LENGTHS)
    ]
    write_records(
        root / "records",
        {"train": train_videos, "test": [random_record("test", 14)]},
    )

    def command(name, *flags):
        return [
            f"--data_dir={root / 'records'}",
            f"--run_dir={root / name}",
            *FLAGS,
            *flags,
        ]

    def workers(names, stop=(0, 0), *flags):
        """A job of two workers; `stop`: step and signal, for worker 1."""
        arguments = [command(name, "--strategy=multiworker") for name in names]
        arguments[1] += flags
        first, second = tf_configs()
        return [
            [arguments[0], first, 1, 0, 0],
            [arguments[1], second, 1, *stop],
        ]

    jobs = {
        "whole": workers(["whole", "of_worker_1"]),
        # Detecting a lost worker takes a while, so other jobs train meanwhile.
        "killed": [
            *workers(["stopped", "stopped"], (3, KILL)),
            [command("alone"), None, 1, 0, 0],
            [command("mirrored", "--strategy=mirrored"), None, 2, 0, 0],
            "dropout",
        ],
        "terminated": workers(["stopped", "stopped"], (1, TERMINATE)),
        "resumed": workers(["stopped", "stopped"]),
        "flags": workers(["other", "other"], (0, 0), "--batch_size=4"),
    }
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(list(jobs.values()))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=900,
    )
    assert found.returncode == 0, found.stderr
    lines = [line.split() for line in found.stdout.splitlines()]
    codes = [int(words[1]) for words in lines if words[:1] == ["exit"]]
    codes = {name: [codes.pop(0) for _ in job] for name, job in jobs.items()}
    (root / "exit.json").write_text(json.dumps(codes))
    (root / "messages.txt").write_text(found.stdout + found.stderr)
    return root


def codes(folder, name):
    """Exit statuses of a job."""
    return json.loads((folder / "exit.json").read_text())[name]


def messages(folder):
    return (folder / "messages.txt").read_text()


def history(run_dir):
    """{column: [epochs] float64}."""
    with open(run_dir / "history.csv") as file:
        rows = list(csv.DictReader(file))
    return {
        name: np.array([float(row[name]) for row in rows]) for name in rows[0]
    }


def variables(run_dir):
    """All variables of a run: the model's, then the optimizer's."""
    model = keras.models.load_model(run_dir / "model.keras")
    return [
        np.asarray(each)
        for each in [*model.variables, *model.optimizer.variables]
    ]


@pytest.mark.parametrize("job", ["mirrored", "whole"])
def test_weights_and_metrics_are_those_of_one_process(folder, job):
    assert codes(folder, "killed")[2:] == [0, 0, 0], messages(folder)
    assert codes(folder, "whole") == [0, 0], messages(folder)
    ours, expected = history(folder / job), history(folder / "alone")
    assert ours.keys() == expected.keys()
    assert {"loss", "gradient_norm", "smt"} <= ours.keys()
    for name in ours:
        assert_close(ours[name], expected[name], name, tolerance=2e-6)
    # Adam's moments show its gradient, which would be off by a factor if it was
    # averaged over replicas or clipped by a partial norm. The tolerance is for
    # float32 sums in another order.
    for one, other in zip(
        variables(folder / job), variables(folder / "alone"), strict=True
    ):
        assert_close(one, other, tolerance=1e-5)


def test_replicas_draw_different_dropout(folder):
    assert "masks 1" in messages(folder)


def test_only_the_chief_writes(folder):
    assert (folder / "whole" / "model.keras").exists()
    assert not (folder / "of_worker_1").exists()
    names = [
        sorted(path.name for path in (folder / run).iterdir())
        for run in ("whole", "alone")
    ]
    assert names[0] == names[1]


def content(run_dir):
    """The outputs of a run without times: dict from name to bytes."""
    found = {"history.csv": (run_dir / "history.csv").read_bytes()}
    with zipfile.ZipFile(run_dir / "model.keras") as archive:
        for name in archive.namelist():
            if name != "metadata.json":  # the date
                found[name] = archive.read(name)
    return found


def test_terminated_and_killed_runs_resume_bit_for_bit(folder):
    assert codes(folder, "killed")[:2] == [1, -KILL], messages(folder)
    assert codes(folder, "terminated") == [143, 143]
    assert messages(folder).count("saved after epoch 0, step 3;") == 2
    assert codes(folder, "resumed") == [0, 0]
    assert content(folder / "stopped") == content(folder / "whole")


def test_lost_worker_is_named(folder):
    lost = [
        line
        for line in messages(folder).splitlines()
        if line.startswith("error: worker 1 (127.0.0.1:")
    ]
    assert len(lost) == 1
    assert "is lost" in lost[0]
    assert "same command on all workers again" in lost[0]
    assert "Traceback" not in messages(folder)


def test_workers_with_different_flags(folder):
    assert codes(folder, "flags") == [1, 1]
    assert (
        messages(folder).count("error: the flags or the records: worker 1") == 2
    )
    assert not (folder / "other").exists()


CLUSTER = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": '


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "not set"),
        ("", "not set"),
        ("{", "does not name workers"),
        ("[]", "does not name workers"),
        (CLUSTER + "{}}", "does not name workers"),
        (CLUSTER + '{"type": "worker", "index": 2}}', "does not name"),
        (CLUSTER + '{"type": "worker", "index": -1}}', "does not name"),
        (CLUSTER + '{"type": "ps", "index": 0}}', "does not name"),
        (CLUSTER.replace("b:2", "a:1") + '{"type": "worker", "index": 0}}',)
        + ("each once",),
        (CLUSTER.replace("b:2", "b") + '{"type": "worker", "index": 0}}',)
        + ("does not name",),
    ],
)
def test_bad_tf_config(monkeypatch, text, named):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=named):
        worker_processes.Workers("multiworker")


def test_workers_are_counted_from_the_chief(monkeypatch):
    cluster = {"chief": ["c:1"], "worker": ["a:1", "b:2"]}
    for kind, index, place in (("chief", 0, 0), ("worker", 1, 2)):
        task = {"type": kind, "index": index}
        text = json.dumps({"cluster": cluster, "task": task})
        monkeypatch.setenv("TF_CONFIG", text)
        workers = worker_processes.Workers("multiworker")
        assert workers.addresses == ["c:1", "a:1", "b:2"]
        assert (workers.index, workers.chief) == (place, not place)


def test_worker_that_never_comes(monkeypatch):
    first, _ = tf_configs()
    monkeypatch.setenv("TF_CONFIG", first)
    monkeypatch.setattr(cluster, "_WAIT_SECONDS", 0.0)
    missing = json.loads(first)["cluster"]["worker"][1]
    with pytest.raises(InputError, match=f"no worker answers at {missing};"):
        worker_processes.Workers("multiworker").start(batch_size=2)


def test_port_in_use(monkeypatch):
    first, _ = tf_configs()
    monkeypatch.setenv("TF_CONFIG", first)
    own = json.loads(first)["cluster"]["worker"][0]
    with socket.create_server(("", int(own.split(":")[1]))):
        with pytest.raises(InputError, match=f"{own} .Address already in use"):
            worker_processes.Workers("multiworker").start(batch_size=2)


def test_more_replicas_than_videos_in_a_batch(monkeypatch):
    workers = worker_processes.Workers("none")
    monkeypatch.setattr(worker_processes.Workers, "replicas", 3)
    with pytest.raises(InputError, match="--batch_size=2 is too small for 3"):
        workers.start(batch_size=2)


def test_xla_is_for_one_device():
    arguments = ["train", "--strategy=mirrored", "--xla=on"]
    with pytest.raises(InputError, match="--xla=on exclude each other"):
        command_line.parse(arguments, "train")
    options = command_line.parse(arguments[:2], "train").group(TrainingOptions)
    assert not loop.use_xla(options, distributed=True)
