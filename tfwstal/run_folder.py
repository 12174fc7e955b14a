"""The folder of a run: created by training, read by localize and export."""

import os
import pathlib
import shutil

import keras

from tfwstal.errors import InputError

MODEL = "model.keras"
FLAGS = "flags.flags"
CLASSES = "classes.txt"


def refuse_existing(run_dir, overwrite):
    """Raises InputError where a new run would write over something.

    With `overwrite` another run may go, but never a folder of anything else.
    """
    run_dir = pathlib.Path(run_dir)
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


def create(run_dir, config, classes):
    """Creates the folder of a new run, in place of an older one."""
    run_dir = pathlib.Path(run_dir)
    try:
        if run_dir.exists():
            shutil.rmtree(run_dir)
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
    """Writes model.keras aside and renames it, so that it is always whole."""
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
    classes = tuple((run_dir / CLASSES).read_text("utf-8").splitlines())
    # Detection needs no optimizer, and may lack the one of tensorflow-addons.
    model = keras.models.load_model(run_dir / MODEL, compile=False)
    return model, classes


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
