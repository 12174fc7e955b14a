"""The folder of a run: written by training, read by the other commands."""

import pathlib
import shutil

import keras
import numpy as np

from tfwstal import files, keras_versions
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError, quoted
from tfwstal.extraction import feature_folder
from tfwstal.method.model import TwoStreamLocalizer
from tfwstal.training import recorded_flags

MODEL = "model.keras"
FLAGS = "flags.flags"
CLASSES = "classes.txt"
EXTRACTION = "extraction.json"
CHECKPOINT = "checkpoints/last.npz"


def time_scale(run_dir):
    """(fps, frames per snippet) of the features a run was trained on.

    Raises:
        InputError: if the run does not record them.
    """
    path = pathlib.Path(run_dir) / FLAGS
    try:
        recorded = recorded_flags.read(path)
        return float(recorded["fps"]), int(recorded["frames_per_snippet"])
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"{path} does not record --fps and --frames_per_snippet; restore "
            "the file or train again"
        ) from None


def create(run_dir, flags, classes):
    """Creates the folder of a run, with all files but the model.

    It appears under its name when it is complete.

    Args:
        run_dir: the folder; it must not exist, or be empty.
        flags: dict from name to text, written as a flagfile.
        classes: action names.
    """
    aside = run_dir.with_name(f".{run_dir.name}.incomplete")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        (aside / CHECKPOINT).parent.mkdir(parents=True)
        lines = [f"--{name}={text}\n" for name, text in flags.items()]
        (aside / FLAGS).write_text("".join(lines), encoding="utf-8")
        (aside / CLASSES).write_text(
            "".join(f"{name}\n" for name in classes), encoding="utf-8"
        )
        aside.rename(run_dir)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise InputError(
            f"--run_dir={run_dir} cannot be written: {error.strerror}"
        ) from None


def save_extraction(facts, run_dir):
    """Writes how the features of the training were extracted.

    Args:
        facts: dict that JSON can hold, or None, which writes nothing.
        run_dir: the folder.
    """
    if facts:
        files.write_json(pathlib.Path(run_dir) / EXTRACTION, facts, indent=2)


def read_extraction(run_dir):
    """What `save_extraction` wrote; None if the run does not have it.

    Raises:
        InputError: if the file is damaged.
    """
    path = pathlib.Path(run_dir) / EXTRACTION
    if not path.is_file():
        return None
    return feature_folder.load_facts(
        path,
        "remove it, and features are only checked for their width and time "
        "scale",
    )


def save_model(model, run_dir):
    """Writes model.keras, whole or not at all.

    Raises:
        InputError: if the training has diverged, or the disk is full.
    """
    _check_finite(
        model,
        "the training has diverged (a weight is not finite); lower "
        "--learning_rate or check the features",
    )
    path = pathlib.Path(run_dir) / MODEL
    try:
        with files.replacing(path, f"incomplete-{MODEL}") as aside:
            model.save(aside)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); free some space "
            "and run the same command again: it resumes from the last "
            "checkpoint"
        ) from None


def files_of(run_dir):
    """Paths of the files of a run that other commands read; [] for ""."""
    names = (MODEL, FLAGS, CLASSES, CHECKPOINT)
    return [pathlib.Path(run_dir) / name for name in names] if run_dir else []


def check_finished(run_dir):
    """Raises InputError unless the folder has a finished run."""
    run_dir = pathlib.Path(run_dir)
    if not run_dir.is_dir():
        raise InputError(f"--run_dir={run_dir} does not exist; check the path")
    if not (run_dir / FLAGS).is_file() and not (run_dir / MODEL).is_file():
        raise InputError(
            f"--run_dir={run_dir} is not a run folder (it has neither "
            f"{FLAGS} nor {MODEL}); check the path"
        )
    for name in (MODEL, CLASSES):
        if not (run_dir / name).is_file():
            raise InputError(
                f"--run_dir={run_dir} has no {name}: the run is not finished; "
                "run the command that trains it again"
            )
    if not (run_dir / FLAGS).is_file():
        raise InputError(
            f"--run_dir={run_dir} has no {FLAGS}, whose thresholds other "
            "commands use; restore the file"
        )


def load(run_dir):
    """Reads a finished run.

    Returns:
        the TwoStreamLocalizer, which computes in float32 whatever the
        precision of its training was, and a tuple of its action names.

    Raises:
        InputError: if the folder does not have a finished run, or a file in
            it is damaged.
    """
    check_finished(run_dir)
    run_dir = pathlib.Path(run_dir)
    model = _load_model(run_dir / MODEL)
    classes = load_classes(run_dir / CLASSES)
    if len(classes) != model.num_classes:
        raise InputError(
            f"{run_dir / CLASSES} has {len(classes)} names, but {MODEL} was "
            f"trained for {model.num_classes}; restore the file"
        )
    _check_finite(
        model,
        f"{run_dir / MODEL}: a weight is not finite; restore the file or "
        "train again",
    )
    return model, classes


def _load_model(path):
    try:
        # Detection needs no optimizer, and tensorflow-addons, which some
        # optimizers come from, may not be installed.
        model = keras.models.load_model(path, compile=False)
        if not isinstance(model, TwoStreamLocalizer):
            raise TypeError(f"a {type(model).__name__}")
        if keras_versions.dtype_policy(model).name != "float32":
            weights = model.get_weights()
            model = model.from_config({**model.get_config(), "dtype": None})
            model.set_weights(weights)
        return model
    # Keras, zipfile and h5py raise errors of many classes for a damaged file.
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:80]
        raise InputError(
            f"{path} is damaged or was not written by tfwstal "
            f"({type(error).__name__}: {reason}); restore it or train again"
        ) from error


def load_classes(path):
    """Reads the action names of a file with one name a line.

    Raises:
        InputError: if the file cannot be read, or a name is empty, repeated,
            or has control characters.
    """
    try:
        # Some editors put a byte order mark before the first name.
        classes = path.read_text("utf-8-sig").splitlines()
    except UnicodeError:
        raise InputError(
            f"{path} is damaged (not UTF-8 text); restore the file"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); restore the file"
        ) from None
    for number, name in enumerate(classes, 1):
        problem = name_problem(name)
        if name in classes[: number - 1]:
            problem = "is listed twice"
        if problem:
            raise InputError(
                f"{path}, line {number}: the name {quoted(name)} {problem}; "
                "restore the file"
            )
    return tuple(classes)


def _check_finite(model, problem):
    """Raises InputError(problem) unless all weights are finite."""
    for weight in model.weights:
        value = np.asarray(weight)
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(problem)


def check_match(model, classes, info, data_dir):
    """Raises InputError if a model cannot be used on a set of records.

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
            f"{data_dir}: its {len(info.classes)} classes are not the "
            f"{len(classes)} of the model in the same order; convert with "
            f"--classes=RUN_DIR/{CLASSES}"
        )
