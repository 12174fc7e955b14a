"""train, killed at any point and resumed, ends with the same result."""

import csv
import zipfile

import pytest

from tests import interrupted
from tests.conftest import random_record, tensorflow_addons, write_records
from tfwstal.keras_versions import KERAS_3

SAVE = "tfwstal.training.checkpoint:_write"
STEP = "tfwstal.training.checkpoint:Checkpoint.on_train_batch_end"
EPOCH = "tfwstal.training.checkpoint:Checkpoint.on_epoch_end"
CREATE = "tfwstal.training.run_folder:create"
MODEL = "tfwstal.training.run_folder:save_model"
POINTS = [  # of one run, in turn; calls are counted in each process
    (CREATE, 1, True, "kill"),  # only the folder exists
    (SAVE, 1, False, "kill"),  # one step done, none saved
    ("os:fsync", 2, False, "kill"),  # while writing a checkpoint
    ("os:replace", 2, False, "kill"),  # checkpoint complete, not yet renamed
    (SAVE, 1, True, "kill"),  # just saved, within an epoch
    (EPOCH, 1, False, "kill"),  # history.csv is ahead of the checkpoint
    (EPOCH, 1, True, "kill"),  # between epochs
    (STEP, 1, False, "terminate"),  # within an epoch
    (SAVE, 1, False, 2000),  # a full disk
    ("tfwstal.training.callbacks:LocalizationEvaluation.on_epoch_end",)
    + (1, False, "terminate"),  # between epochs
    (MODEL, 1, False, "kill"),
    ("os:replace", 1, False, "kill"),  # before the model; all steps are saved
    (MODEL, 1, True, "kill"),  # the model exists
]
CODES = [-9, -9, -9, -9, -9, -9, -9, 143, 1, 143, -9, -9, -9]
FLAGS = [
    *("--num_snippets=20", "--batch_size=3", "--epochs=4", "--dropout=0.5"),
    *("--embedding_dropout=0.3", "--learning_rate=0.01", "--eta=0.3,0.5"),
    *("--checkpoint_minutes=0", "--eval_every=2", "--clip_norm=0.5"),
    *("--watch_every=2", "--ema=0.8"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with records for three batches an epoch."""
    root = tmp_path_factory.mktemp("resume")
    train = [
        random_record(f"train_{n}", n, (1 + i % 3,))
        for i, n in enumerate([1, 3, 12, 25, 40, 7, 18, 30])
    ]
    test = [random_record("test", 14)]
    write_records(root / "records", {"train": train, "test": test})
    return root


def start(folder, jobs):
    """Starts jobs in turn: [(name of the run, flags, point or None)].

    Returns:
        Their exit codes, and their standard error.
    """
    jobs = [
        (
            [
                f"--data_dir={folder / 'records'}",
                f"--run_dir={folder / name}",
                *FLAGS,
                *flags,
            ],
            point,
        )
        for name, flags, point in jobs
    ]
    return interrupted.run("tfwstal.train", jobs)


def content(run_dir):
    """The outputs of a run without times: dict from name to bytes."""
    found = {"history.csv": (run_dir / "history.csv").read_bytes()}
    with zipfile.ZipFile(run_dir / "model.keras") as archive:
        for name in archive.namelist():
            if name != "metadata.json":  # the date
                found[name] = archive.read(name)
    return found


# Only Keras 3 trains in float16; its loss scale is part of the checkpoint.
FLOAT16 = ["--precision=mixed_float16"] * KERAS_3


# Compiling takes long, so only one mode has all points.
@pytest.mark.parametrize(
    ("mode", "points", "codes"),
    [
        (["--xla=off"], POINTS, CODES),
        (["--xla=on"], POINTS[4:5], CODES[4:5]),
        (["--deterministic", *FLOAT16], POINTS[4:5], CODES[4:5]),
    ],
)
def test_killed_at_every_point_and_equal_in_the_end(
    folder, mode, points, codes
):
    done = points is POINTS  # at the last point, everything is written
    found, messages = start(
        folder,
        [(f"whole{mode[0]}", mode, None)]
        + [(f"killed{mode[0]}", mode, point) for point in points]
        + [(f"killed{mode[0]}", mode, None)] * (not done),
    )
    assert found == [0, *codes] + [0] * (not done), messages
    whole, killed = (folder / f"{run}{mode[0]}" for run in ("whole", "killed"))
    assert content(killed) == content(whole)
    assert sorted(path.name for path in killed.iterdir()) == sorted(
        path.name for path in whole.iterdir()
    )
    with open(whole / "history.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == list("0123")
    assert "Traceback" not in messages
    assert messages.count("terminated: saved after epoch") == codes.count(143)
    assert messages.count("last.npz cannot be written (File too large)") == (
        codes.count(1)
    )


@tensorflow_addons
@pytest.mark.parametrize(
    "optimizer", ["Lookahead(RectifiedAdam)", "MovingAverage(SGD)"]
)
def test_optimizers_of_tensorflow_addons_go_on_too(folder, optimizer):
    flags = [f"--optimizer={optimizer}", "--ema=0"]
    points = [POINTS[i] for i in (4, 7, 9, 10)]
    found, messages = start(
        folder,
        [(f"whole{optimizer}", flags, None)]
        + [(f"killed{optimizer}", flags, point) for point in [*points, None]],
    )
    assert found == [0, *(CODES[i] for i in (4, 7, 9, 10)), 0], messages
    assert content(folder / f"killed{optimizer}") == content(
        folder / f"whole{optimizer}"
    )
