"""What a killed run goes on from: everything that its next step depends on.

A checkpoint is one .npz: the variables of the training step (weights, moments,
states of dropout, running means), the place in the training, and history.csv.
The order of the videos and their snippets are functions of (seed, epoch), so
no more is needed to go on bit for bit. It is written aside, and takes its name
when it is whole.
"""

import contextlib
import hashlib
import os
import pathlib
import signal
import time
import zipfile
import zlib

import keras
import numpy as np

from tfwstal import files, keras_versions
from tfwstal.errors import InputError, Terminated
from tfwstal.training import run_folder
from tfwstal.training.workers import Workers


class Checkpoint(keras.callbacks.Callback):
    """Writes checkpoints of a run, and puts back the last one.

    Put it behind the callback that writes history.csv, and let `fit` begin at
    `start`.

    Args:
        run_dir: folder of the run.
        info: DatasetInfo of its records; with others it does not go on.
        steps_per_epoch: training steps.
        minutes: between checkpoints; 0 for one after every step.
        workers: workers.Workers; the chief alone writes, and all end at
            a SIGTERM to any of them. By default this process is alone.

    Attributes:
        start: epoch, and step in it, with which `fit` is to begin: that of
            the restored checkpoint, and at an epoch's end the next one.
    """

    def __init__(self, run_dir, info, steps_per_epoch, minutes, workers=None):
        super().__init__()
        self._path = pathlib.Path(run_dir) / run_folder.CHECKPOINT
        self._history = pathlib.Path(run_dir) / "history.csv"
        self._records = hashlib.sha256(repr(info).encode()).hexdigest()
        self._steps_per_epoch = steps_per_epoch
        self._seconds = 60.0 * minutes
        self._last = time.monotonic()
        self._workers = workers or Workers()
        self._terminated = False
        self._values = None  # to be put back when `fit` begins an epoch
        self.start = (0, 0)

    @contextlib.contextmanager
    def saving_at_sigterm(self):
        """SIGTERM in here ends the training behind the step, saved.

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
        """Puts the last checkpoint back: model, history.csv and `start`.

        Without a checkpoint the run is as new.

        Raises:
            InputError: for a damaged checkpoint, or one of other records.
        """
        if not self._path.exists():
            if self._workers.chief:
                self._history.unlink(missing_ok=True)
            return
        saved = _read(self._path)
        if str(saved["records"]) != self._records:
            raise InputError(
                f"{self._path}: the records in --data_dir are others than "
                "those that this run began with; give them, choose another "
                "--run_dir or give --overwrite"
            )
        self._values = [
            saved[f"variable_{i}"] for i in range(int(saved["num_variables"]))
        ]
        variables = keras_versions.training_variables(model)
        if [value.shape for value in self._values] != [
            tuple(variable.shape) for variable in variables
        ]:
            raise InputError(
                f"{self._path} is of another version of Keras or tfwstal; go "
                "on with that one or give --overwrite"
            )
        if self._workers.chief:
            self._history.write_bytes(saved["history"].tobytes())
        self.start = tuple(saved["start"].tolist())
        self._assign(model)

    def on_epoch_begin(self, epoch, logs=None):
        """Puts all back, for what Keras changes before `fit` begins."""
        if self._values is not None:
            self._assign(self.model)
            self._values = None
            if not self.start[1]:  # the means are of the epoch before
                self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        """Saves inside of an epoch."""
        epoch, skipped = self.start
        done = skipped + batch + 1
        if done < self._steps_per_epoch:  # else `on_epoch_end` follows
            self._save_if_due(epoch, done)

    def on_epoch_end(self, epoch, logs=None):
        """Saves between epochs."""
        if self.start[1]:
            # `fit` ends here, which for some optimizers changes the weights
            # (moving averages), though the training goes on.
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
        # All workers must end behind the same step, whoever was asked to.
        terminated = self._workers.gathered([self._terminated]).any()
        if self._workers.chief and (due or terminated):
            self._save(epoch, step)
            self._last = time.monotonic()
        if terminated:
            raise Terminated(
                f"saved after epoch {epoch}, step {step}; the same command "
                "goes on from there"
            )

    def _save(self, epoch, step):
        values = self._current()
        for value in values:
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise InputError(
                    f"epoch {epoch}, step {step}: the training has diverged (a "
                    "weight is no number any more); lower --learning_rate or "
                    "give --clip_norm"
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


def _read(path):
    """dict of the arrays of a checkpoint."""
    try:
        with open(path, "rb") as file:
            return dict(np.load(file))
    except (
        ValueError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}); give --overwrite to "
            "train from the beginning"
        ) from None


def _write(path, content):
    """Writes a dict of arrays; the old file stays until the new is whole."""
    try:
        with files.replacing(path, f"incomplete-{path.name}") as aside:
            with open(aside, "wb") as file:
                _write_arrays(file, content)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); make room and give "
            "the same command again: it goes on from the last checkpoint"
        ) from None


def _write_arrays(file, content):
    """As `numpy.savez`, which before NumPy 2 leaves its archive open where
    the disk is full."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in content.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(
                    entry, np.asarray(value), allow_pickle=False
                )
