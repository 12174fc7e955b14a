"""Checkpoints for exact resume.

A checkpoint is one .npz file with everything that the next step depends on:
the variables of the training step (weights, moments, states of dropout,
running means), the epoch and step, and history.csv. The order of the videos
and their snippets are functions of (seed, epoch), so a resumed run is equal
bit for bit. The file is written under a temporary name and renamed.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import signal
import time
import zipfile

import keras
import numpy as np

from tfwstal import files, keras_versions
from tfwstal.errors import InputError, Terminated, quoted
from tfwstal.training import run_folder
from tfwstal.training.workers import Workers


class Checkpoint(keras.callbacks.Callback):
    """Writes checkpoints of a run and restores the last one.

    List it after the callback that writes history.csv, and let `fit` begin at
    `start`.

    Args:
        run_dir: folder of the run.
        info: DatasetInfo of its records; a run resumes only with these.
        steps_per_epoch: training steps.
        epochs: of the whole training.
        minutes: between checkpoints; 0 for one after every step.
        workers: Workers. Only the chief writes, and all end at a SIGTERM to
            any of them. By default there is only this process.

    Attributes:
        start: the epoch, and the step in it, with which `fit` must begin. It
            is that of the restored checkpoint, or the next epoch after the
            end of one.
    """

    def __init__(
        self, run_dir, info, steps_per_epoch, epochs, minutes, workers=None
    ):
        super().__init__()
        self._path = pathlib.Path(run_dir) / run_folder.CHECKPOINT
        self._history = pathlib.Path(run_dir) / "history.csv"
        self._records = hashlib.sha256(repr(info).encode()).hexdigest()
        self._steps_per_epoch, self._epochs = steps_per_epoch, epochs
        self._seconds = 60.0 * minutes
        self._last = time.monotonic()
        self._workers = workers or Workers()
        self._terminated = False
        self._values = None  # restored again when `fit` begins an epoch
        self.start = (0, 0)

    @contextlib.contextmanager
    def saving_at_sigterm(self):
        """Within this block, SIGTERM saves after a step and ends the training.

        `fit` then raises Terminated.
        """

        def note(number, frame):
            self._terminated = True

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def restore(self, model):
        """Restores the model, history.csv and `start` from the checkpoint.

        Starts from scratch if no checkpoint exists.

        Raises:
            InputError: if the checkpoint is damaged, or comes from other
                records or versions.
        """
        if not self._path.exists():
            if self._workers.chief:
                self._history.unlink(missing_ok=True)
            return
        saved = _read(self._path)
        if saved.records != self._records:
            raise InputError(
                f"{self._path}: the records in --data_dir are not those that "
                "this run began with; restore them, choose another --run_dir, "
                "or delete the file to train from the beginning"
            )
        variables = [
            np.asarray(each)
            for each in keras_versions.training_variables(model)
        ]
        if _kinds(saved.values) != _kinds(variables):
            raise InputError(
                f"{self._path} was written by another version of Keras or "
                "tfwstal; resume with that version, or delete the file to "
                "train from the beginning"
            )
        epoch, step = saved.start
        if not (
            0 <= epoch <= self._epochs
            and 0 <= step < self._steps_per_epoch
            and saved.start <= (self._epochs, 0)
        ):
            raise _damage(
                self._path,
                f"epoch {epoch}, step {step} is outside a training of "
                f"{self._epochs} epochs with {self._steps_per_epoch} steps",
            )
        if self._workers.chief:
            self._history.write_bytes(saved.history)
        self._values, self.start = saved.values, saved.start
        self._assign(model)

    def on_epoch_begin(self, epoch, logs=None):
        """Restores again, since Keras changes variables before `fit` begins."""
        if self._values is not None:
            self._assign(self.model)
            self._values = None
            if not self.start[1]:  # the means are of the previous epoch
                self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        """Saves inside an epoch."""
        epoch, skipped = self.start
        done = skipped + batch + 1
        if done < self._steps_per_epoch:  # else `on_epoch_end` follows
            self._save_if_due(epoch, done)

    def on_epoch_end(self, epoch, logs=None):
        """Saves between epochs."""
        if self.start[1]:
            # `fit` ends here. For some optimizers this changes the weights to
            # their averages, although the training continues.
            self._values = self._current()
        self.start = (epoch + 1, 0)
        self._save_if_due(epoch + 1, 0)

    def _current(self):
        variables = keras_versions.training_variables(self.model)
        return [np.asarray(variable) for variable in variables]

    def _assign(self, model):
        variables = keras_versions.training_variables(model)
        for variable, value in zip(variables, self._values, strict=True):
            variable.assign(value)

    def _save_if_due(self, epoch, step):
        due = time.monotonic() - self._last >= self._seconds
        # All workers must end after the same step, whichever got the signal.
        terminated = self._workers.gathered([self._terminated]).any()
        if self._workers.chief and (due or terminated):
            self._save(epoch, step)
            self._last = time.monotonic()
        if terminated:
            raise Terminated(
                f"saved after epoch {epoch}, step {step}; run the same command "
                "again to resume"
            )

    def _save(self, epoch, step):
        values = self._current()
        for value in values:
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise InputError(
                    f"epoch {epoch}, step {step}: the training has diverged (a "
                    "weight is not finite); lower --learning_rate or set "
                    "--clip_norm"
                )
        history = b""
        if self._history.exists():
            history = self._history.read_bytes()
        content = {f"variable_{i}": value for i, value in enumerate(values)}
        content |= {
            "num_variables": np.int64(len(values)),
            "start": np.array([epoch, step]),
            "history": np.frombuffer(history, np.uint8),
            "records": np.array(self._records),
        }
        _write(self._path, content)


@dataclasses.dataclass(frozen=True)
class _Saved:
    """The content of a checkpoint."""

    values: list  # of the variables, arrays
    start: tuple  # epoch and step
    history: bytes  # of history.csv
    records: str  # sha256 of the DatasetInfo


def _read(path):
    """Reads and checks a checkpoint.

    Raises:
        InputError: if the file is not a complete checkpoint of finite numbers.
    """
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            content = dict(arrays)
        values = [
            content.pop(f"variable_{i}")
            for i in range(content.pop("num_variables").item())
        ]
        start, history = content.pop("start"), content.pop("history")
        records = str(content.pop("records"))
    # NumPy and zipfile raise many kinds of errors for a damaged file.
    except Exception as error:
        raise _damage(path, type(error).__name__) from error
    if content:
        raise _damage(path, f"it has an array {quoted(min(content))}")
    if start.shape != (2,) or start.dtype.kind != "i":
        raise _damage(path, "its start is not an epoch and a step")
    if history.ndim != 1 or history.dtype != np.uint8:
        raise _damage(path, "its history is not bytes")
    for value in values:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise _damage(path, "a number is not finite")
    return _Saved(values, tuple(start.tolist()), history.tobytes(), records)


def _kinds(arrays):
    return [(array.shape, array.dtype) for array in arrays]


def _damage(path, reason):
    """The InputError for a damaged checkpoint."""
    return InputError(
        f"{path} is damaged ({reason}); delete it to train from the beginning"
    )


def _write(path, content):
    """Writes a dict of arrays, whole or not at all."""
    try:
        with files.replacing(path, f"incomplete-{path.name}") as aside:
            with open(aside, "wb") as file:
                _write_arrays(file, content)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); free some space and "
            "run the same command again: it resumes from the last checkpoint"
        ) from None


def _write_arrays(file, content):
    """Writes like `numpy.savez`, which before NumPy 2 leaves the archive open
    when the disk is full."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in content.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(
                    entry, np.asarray(value), allow_pickle=False
                )
