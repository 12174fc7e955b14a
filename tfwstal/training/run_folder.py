"""The folder of a run: created by training, read by localize and export."""

import contextlib
import fcntl
import json
import pathlib
import shutil
import zipfile
import zlib

import keras
import numpy as np

from tfwstal import (
    TwoStreamLocalizer,  # noqa: F401  (registers the model with Keras)
    files,
    keras_versions,
)
from tfwstal.errors import InputError

MODEL = "model.keras"
FLAGS = "flags.flags"
CLASSES = "classes.txt"
EXTRACTION = "extraction.json"
CHECKPOINT = "checkpoints/last.npz"

# What Keras raises on files that are no whole model.
_DAMAGE = (
    ValueError,
    OSError,
    KeyError,
    TypeError,
    AttributeError,  # Keras 2.15, of a file of Keras 3
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


def goes_on(config):
    """Whether a training goes on with the unfinished run in --run_dir.

    It does where the run has the same flags. Where it would write over
    anything else that is an error. With --overwrite another run may go, but
    never a folder of anything else, and never one that holds the records to
    train on.

    Args:
        config: Config, with the time scale of the features.

    Raises:
        InputError: see above.
    """
    run_dir = pathlib.Path(config.run_dir)
    data_dir = pathlib.Path(config.data_dir).resolve()
    if run_dir.resolve() in (data_dir, *data_dir.parents):
        raise InputError(
            f"--data_dir={config.data_dir} lies in --run_dir={run_dir}; "
            "choose another folder for the run"
        )
    if not run_dir.exists():
        return False
    if not run_dir.is_dir():
        raise InputError(f"--run_dir={run_dir} is a file; name a folder")
    if not any(run_dir.iterdir()):
        return False
    if (run_dir / FLAGS).is_file() and not (run_dir / MODEL).exists():
        other = _other_flag(run_dir, config)
        if other is None or config.overwrite:
            return other is None
        raise InputError(
            f"--run_dir={run_dir} holds an unfinished run that goes on with "
            f"its own flags alone, and {other}; choose another folder or give "
            "--overwrite"
        )
    if not config.overwrite:
        raise InputError(
            f"--run_dir={run_dir} is not empty; choose another folder or "
            "give --overwrite"
        )
    if not (run_dir / FLAGS).is_file():
        raise InputError(
            f"--run_dir={run_dir} holds something that is no run (there is "
            f"no {FLAGS}); it is not overwritten"
        )
    return False


def _other_flag(run_dir, config):
    """What the first flag is that differs from a run's, in words, or None."""
    recorded = _recorded_flags(run_dir)
    for name, text in config.run_flags().items():
        if recorded.get(name) != text:
            was = f"--{name}={recorded[name]}" if name in recorded else "unset"
            return f"--{name}={text} was {was}"
    return None


def _recorded_flags(run_dir):
    """dict from the names of a run's flags to their texts."""
    lines = (run_dir / FLAGS).read_text("utf-8").splitlines()
    return dict(line.removeprefix("--").split("=", 1) for line in lines)


def check_space(run_dir, num_weights):
    """Raises InputError if the disk is too full for a run.

    Needed are a checkpoint, which is written beside the one before, and the
    model, each with two moments a weight.
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
def creating(config, classes):
    """The folder of a run, for the time of its training.

    An unfinished run of the same flags goes on. Any other one is put aside,
    and deleted when the new one is whole. If the training fails, the folder
    stays if there is a checkpoint in it, to go on from; if not, it goes, and
    an older run comes back.

    Args:
        config: Config, saved in the folder --run_dir.
        classes: action names, likewise.

    Raises:
        InputError: if the folder cannot be written, or another process trains
            in it.
    """
    run_dir = pathlib.Path(config.run_dir)
    replaced = run_dir.with_name(f".{run_dir.name}.replaced")
    if not goes_on(config):
        if (run_dir / FLAGS).exists():
            with _locked(run_dir):
                _put_aside(run_dir, replaced)
        create(run_dir, config, classes)
    with _locked(run_dir):
        try:
            yield
        except BaseException:
            if not (run_dir / CHECKPOINT).exists():
                shutil.rmtree(run_dir, ignore_errors=True)
                if replaced.exists():
                    replaced.rename(run_dir)
            raise
        (run_dir / CHECKPOINT).unlink(missing_ok=True)  # the model has it all
    shutil.rmtree(replaced, ignore_errors=True)


def _put_aside(run_dir, replaced):
    """Renames an older run. Of a whole and an unfinished one, the whole."""
    if replaced.exists() and not (run_dir / MODEL).exists():
        shutil.rmtree(run_dir)
    else:
        shutil.rmtree(replaced, ignore_errors=True)
        run_dir.rename(replaced)


def create(run_dir, config, classes):
    """Creates the folder of a run with all but its model, whole or not."""
    aside = run_dir.with_name(f".{run_dir.name}.incomplete")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        (aside / CHECKPOINT).parent.mkdir(parents=True)
        config.save(aside / FLAGS)
        (aside / CLASSES).write_text(
            "".join(f"{name}\n" for name in classes), encoding="utf-8"
        )
        aside.rename(run_dir)
    except OSError as error:
        raise InputError(
            f"--run_dir={run_dir} cannot be written: {error.strerror}"
        ) from None


@contextlib.contextmanager
def _locked(run_dir):
    """Keeps other processes from training in a folder; a kill unlocks it."""
    with open(run_dir / FLAGS, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"--run_dir={run_dir}: another process trains in it"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield


def save_extraction(facts, run_dir):
    """Writes how the features were made, of which the run learnt.

    Args:
        facts: dict that JSON can hold, or None, which writes nothing.
        run_dir: the folder.
    """
    if facts:
        files.write_json(pathlib.Path(run_dir) / EXTRACTION, facts, indent=2)


def time_scale(run_dir):
    """(fps, frames per snippet) of the features a run was trained on."""
    recorded = _recorded_flags(pathlib.Path(run_dir))
    return float(recorded["fps"]), int(recorded["frames_per_snippet"])


def read_extraction(run_dir):
    """What `save_extraction` wrote; None where the run does not know."""
    path = pathlib.Path(run_dir) / EXTRACTION
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({error}); remove it, and features are only "
            "checked for their width and time scale"
        ) from None


def save_model(model, run_dir):
    """Writes model.keras aside and renames it, so that it is always whole.

    Raises:
        InputError: if the training has diverged, or the disk is full.
    """
    _check_finite(
        model,
        "the training has diverged (a weight is no number any more); lower "
        "--learning_rate or look at the features",
    )
    path = pathlib.Path(run_dir) / MODEL
    try:
        with files.replacing(path, f"incomplete-{MODEL}") as aside:
            model.save(aside)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); "
            "make room and give the same command again: it goes on from the "
            "last checkpoint"
        ) from None


def files_of(run_dir):
    """Paths of the files of a run that other commands read; [] for ""."""
    names = (MODEL, FLAGS, CLASSES, CHECKPOINT)
    return [pathlib.Path(run_dir) / name for name in names] if run_dir else []


def load(run_dir):
    """Reads a run.

    Returns:
        the TwoStreamLocalizer, which computes in float32 whatever its
        training did, and its action names, a tuple.

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
                "finished; give the command that trains it again"
            )
    try:
        # Detection needs no optimizer, and may lack tensorflow-addons' own.
        model = keras.models.load_model(run_dir / MODEL, compile=False)
        if keras_versions.dtype_policy(model).name != "float32":
            weights = model.get_weights()
            model = model.from_config({**model.get_config(), "dtype": None})
            model.set_weights(weights)
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
