"""Creates the folder of a run; resumes or replaces an existing run."""

import contextlib
import pathlib
import shutil

from tfwstal import files
from tfwstal.errors import InputError, shortened
from tfwstal.training import recorded_flags, run_folder
from tfwstal.training.run_folder import CHECKPOINT, CLASSES, FLAGS, MODEL


def can_resume(run_dir, data_dir, flags, overwrite=False):
    """Whether the folder has an unfinished run with the same flags.

    A training resumes such a run. With `overwrite` it replaces any other run,
    but never a folder of something else or one that contains the records.

    Args:
        run_dir: folder of the run.
        data_dir: folder of the records to train on.
        flags: dict from the name of each flag of the run to its text.
        overwrite: whether another run may be replaced.

    Raises:
        InputError: if the folder has something that must not be replaced.
    """
    run_dir = pathlib.Path(run_dir)
    files.check_replaced_folder("run_dir", run_dir, {"data_dir": data_dir})
    if not run_dir.exists():
        return False
    if not run_dir.is_dir():
        raise InputError(f"--run_dir={run_dir} is a file; name a folder")
    if not any(run_dir.iterdir()):
        return False
    finished = (run_dir / MODEL).exists()
    difference = None
    if (run_dir / FLAGS).is_file():
        difference = _difference(run_dir / FLAGS, flags)
        if not finished and difference is None:
            return True
    if not overwrite:
        raise InputError(_refusal(run_dir, finished, difference))
    if not (run_dir / FLAGS).is_file():
        raise InputError(
            f"--run_dir={run_dir} is not a run folder (it has no {FLAGS}), so "
            "it is not overwritten; choose another folder"
        )
    return False


def _refusal(run_dir, finished, difference):
    """The message for a folder that only --overwrite may replace."""
    choice = "choose another folder or give --overwrite to replace it"
    if not (run_dir / FLAGS).is_file():
        return f"--run_dir={run_dir} is not empty; {choice}"
    if not finished:
        return (
            f"--run_dir={run_dir} has an unfinished run that only resumes "
            f"with its own flags, and {difference}; {choice}"
        )
    changed = f" ({difference})" if difference else ""
    return (
        f"--run_dir={run_dir} is not empty: it has a finished run, which "
        f"cannot be trained further{changed}; {choice}"
    )


def _difference(path, flags):
    """Describes the first flag that differs from a flagfile, or None."""
    try:
        recorded = recorded_flags.read(path)
    except UnicodeError:
        return f"{path} is not UTF-8 text"
    for name, text in flags.items():
        if recorded.get(name) != text:
            was = "unset"
            if name in recorded:
                was = f"--{name}={shortened(recorded[name])}"
            return f"--{name}={shortened(text)} was {was}"
    return None


def check_space(run_dir, num_weights):
    """Raises InputError if the disk has too little space for a run.

    A run needs a checkpoint, a second one while it is replaced, and the
    model, each with two moments for every weight.
    """
    needed = 3 * num_weights * 3 * 4 + 2**20
    folder = pathlib.Path(run_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"--run_dir={run_dir}: the run needs {needed / 1e6:.1f} MB, but "
            f"{free / 1e6:.1f} MB are free; free some space or choose another "
            "folder"
        )


@contextlib.contextmanager
def creating(run_dir, data_dir, flags, classes, overwrite=False):
    """Creates the folder of a run, or resumes it, while the block trains.

    A run that is replaced is put aside, and deleted when the new one is
    finished. If the block fails, the folder stays if it has a checkpoint to
    resume from. Otherwise it is deleted, and the replaced run comes back.

    Args:
        run_dir, data_dir, flags, overwrite: as for `can_resume`.
        classes: action names, written to the folder. A run that resumes must
            have the same ones.

    Raises:
        InputError: if the folder cannot be written, has other classes, or
            another process trains in it.
        KeyboardInterrupt: at Ctrl-C, with a message.
    """
    run_dir = pathlib.Path(run_dir)
    replaced = run_dir.with_name(f".{run_dir.name}.replaced")
    if can_resume(run_dir, data_dir, flags, overwrite):
        _check_classes(run_dir / CLASSES, classes, data_dir)
    else:
        if (run_dir / FLAGS).exists():
            with _locked(run_dir):
                _put_aside(run_dir, replaced)
        run_folder.create(run_dir, flags, classes)
    with _locked(run_dir):
        try:
            yield
        except BaseException as error:
            resumable = (run_dir / CHECKPOINT).exists()
            if not resumable:
                shutil.rmtree(run_dir, ignore_errors=True)
                if replaced.exists():
                    replaced.rename(run_dir)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(_after_interrupt(resumable)) from None
            raise
        (run_dir / CHECKPOINT).unlink(missing_ok=True)  # the model has it all
    shutil.rmtree(replaced, ignore_errors=True)


def _check_classes(path, classes, data_dir):
    """Refuses other names, which localization would give to the actions."""
    if run_folder.load_classes(path) != tuple(classes):
        raise InputError(
            f"{path} does not have the classes of {data_dir}; restore the file "
            "or the records, or choose another --run_dir"
        )


def _after_interrupt(resumable):
    if resumable:
        return "run the same command again to resume from the last checkpoint"
    return "nothing was saved yet; the same command starts from the beginning"


def _put_aside(run_dir, replaced):
    """Renames an older run. Of a finished and an unfinished one, it keeps the
    finished one."""
    if replaced.exists() and not (run_dir / MODEL).exists():
        shutil.rmtree(run_dir)
    else:
        shutil.rmtree(replaced, ignore_errors=True)
        run_dir.rename(replaced)


@contextlib.contextmanager
def _locked(run_dir):
    """Keeps other processes from training in a folder; a kill unlocks it."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
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
