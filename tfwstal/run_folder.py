"""The folder of a run: created by training, read by localize and export."""

import contextlib
import os
import pathlib
import shutil
import zipfile
import zlib

import keras
import numpy as np

from tfwstal.errors import InputError

MODEL = "model.keras"
FLAGS = "flags.flags"
CLASSES = "classes.txt"

# What Keras raises on files that are no whole model.
_DAMAGE = (
    ValueError,
    OSError,
    KeyError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


def refuse_existing(run_dir, data_dir, overwrite):
    """Raises InputError where a new run would write over something.

    With `overwrite` another run may go, but never a folder of anything else,
    and never one that holds the records to train on.
    """
    run_dir = pathlib.Path(run_dir)
    if run_dir.resolve() in (
        pathlib.Path(data_dir).resolve(),
        *pathlib.Path(data_dir).resolve().parents,
    ):
        raise InputError(
            f"--data_dir={data_dir} lies in --run_dir={run_dir}; choose "
            "another folder for the run"
        )
    if not run_dir.exists():
        return
    if not run_dir.is_dir():
        raise InputError(f"--run_dir={run_dir} is a file; name a folder")
    if not any(run_dir.iterdir()):
        return
    if not overwrite:
        raise InputError(
            f"--run_dir={run_dir} is not empty; choose another folder or "
            "give --overwrite"
        )
    if not (run_dir / FLAGS).is_file():
        raise InputError(
            f"--run_dir={run_dir} holds something that is no run (there is "
            f"no {FLAGS}); it is not overwritten"
        )


def check_space(run_dir, num_weights):
    """Raises InputError if the disk is too full for a run.

    Needed are a checkpoint and the model, each with two moments a weight, and
    the model once more while it is replaced. To be asked before training:
    HDF5, which writes the checkpoints, may end the process on a full disk.
    """
    needed = 3 * num_weights * 3 * 4 + 2**20
    folder = pathlib.Path(run_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"--run_dir={run_dir}: the run needs {needed / 1e6:.1f} MB, but "
            f"{free / 1e6:.1f} MB are free; make room or choose another folder"
        )


@contextlib.contextmanager
def creating(run_dir, config, classes):
    """The folder of a new run, for the time of its training.

    An older run there is put aside, and deleted when the new one is whole. If
    the training fails the older one comes back; without one, the folder
    stays if there is a checkpoint in it, and goes if not.

    Args:
        run_dir: the folder.
        config: Config, saved in it.
        classes: action names, likewise.
    """
    run_dir = pathlib.Path(run_dir)
    replaced = run_dir.with_name(f".{run_dir.name}.replaced")
    if run_dir.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        run_dir.rename(replaced)
    try:
        create(run_dir, config, classes)
        yield
    except BaseException:
        if replaced.exists():
            shutil.rmtree(run_dir, ignore_errors=True)
            replaced.rename(run_dir)
        elif not any(run_dir.glob("checkpoints/*")):
            shutil.rmtree(run_dir, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def create(run_dir, config, classes):
    """Creates the folder of a run with all but its model."""
    run_dir = pathlib.Path(run_dir)
    try:
        (run_dir / "checkpoints").mkdir(parents=True)
        config.save(run_dir / FLAGS)
        (run_dir / CLASSES).write_text(
            "".join(f"{name}\n" for name in classes), encoding="utf-8"
        )
    except OSError as error:
        raise InputError(
            f"--run_dir={run_dir} cannot be written: {error.strerror}"
        ) from None


def save_model(model, run_dir):
    """Writes model.keras aside and renames it, so that it is always whole.

    Raises:
        InputError: if the training has diverged.
    """
    _check_finite(
        model,
        "the training has diverged (a weight is no number any more); lower "
        "--learning_rate or look at the features",
    )
    aside = pathlib.Path(run_dir) / f"incomplete-{MODEL}"
    model.save(aside)
    os.replace(aside, aside.with_name(MODEL))


def load(run_dir):
    """Reads a run.

    Returns:
        the TwoStreamLocalizer and its action names, a tuple.

    Raises:
        InputError: if the folder is not there or holds no whole run.
    """
    run_dir = pathlib.Path(run_dir)
    if not run_dir.is_dir():
        raise InputError(f"--run_dir={run_dir} does not exist")
    for name in (MODEL, CLASSES):
        if not (run_dir / name).is_file():
            raise InputError(
                f"--run_dir={run_dir} holds no {name}: the run is not "
                "finished; train it first"
            )
    try:
        # Detection needs no optimizer, and may lack tensorflow-addons' own.
        model = keras.models.load_model(run_dir / MODEL, compile=False)
        classes = tuple((run_dir / CLASSES).read_text("utf-8").splitlines())
    except _DAMAGE as error:
        reason = str(error).strip().split("\n")[0][:120]
        raise InputError(
            f"--run_dir={run_dir}: {MODEL} or {CLASSES} is damaged or of "
            f"another program ({type(error).__name__}: {reason}); train again"
        ) from None
    if len(classes) != getattr(model, "num_classes", None):
        raise InputError(
            f"--run_dir={run_dir}: {CLASSES} has {len(classes)} names, which "
            f"is not what {MODEL} was trained for; restore the file"
        )
    _check_finite(model, f"{run_dir / MODEL} holds weights that are no numbers")
    return model, classes


def _check_finite(model, problem):
    """Raises InputError(problem) unless all weights are finite."""
    for weight in model.weights:
        value = np.asarray(weight)
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(problem)


def check_match(model, classes, info, data_dir):
    """Raises InputError if a set of records is not made for a model.

    Args:
        model: a TwoStreamLocalizer.
        classes: its action names.
        info: DatasetInfo of the records.
        data_dir: their folder.
    """
    if info.feature_dim != model.feature_dim:
        raise InputError(
            f"{data_dir}: features are {info.feature_dim} wide, the model "
            f"was trained on {model.feature_dim}"
        )
    if info.classes != classes:
        raise InputError(
            f"{data_dir}: {len(info.classes)} classes, other than the "
            f"{len(classes)} of the model, or in another order; convert with "
            f"--classes=RUN_DIR/{CLASSES}"
        )
