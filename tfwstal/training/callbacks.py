"""Keras callbacks of a run: stop at NaN, history.csv, mAP while training."""

import csv
import math

import keras

from tfwstal import inference
from tfwstal.data import reader
from tfwstal.errors import Diverged, InputError
from tfwstal.evaluation import average_precision
from tfwstal.training import optimizers


class StopAtNonFinite(keras.callbacks.Callback):
    """Ends the training at the first loss or gradient that is not finite.

    It checks the running means that Keras logs after each step: if one is not
    finite, and was finite a step before, this step made it so. List it before
    callbacks that save.

    Args:
        batch_videos: function of an epoch and a step in it, from 0, that
            returns the ids of the videos of that batch.
        start: the epoch, and the step in it, with which `fit` begins.
        steps: steps that run between two calls; the message names all.
    """

    def __init__(self, batch_videos, start=(0, 0), steps=1):
        super().__init__()
        self._batch_videos, self._start = batch_videos, start
        self._steps = steps
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Keeps the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Raises Diverged if a mean is not finite."""
        bad = [
            name.replace("gradient_norm", "the norm of the gradients")
            for name, value in logs.items()
            if not math.isfinite(value)
        ]
        if not bad:
            return
        first, skipped = self._start
        last = batch + (skipped if self._epoch == first else 0)
        steps = range(last - self._steps + 1, last + 1)
        videos = [
            video
            for step in steps
            for video in self._batch_videos(self._epoch, step)
        ]
        which = f"step {last}"
        if len(steps) > 1:
            which = f"one of the steps {steps[0]} to {last}"
        raise Diverged(
            f"epoch {self._epoch}, {which}: the training has diverged "
            f"({', '.join(bad)} is not finite), with the videos "
            f"{', '.join(videos)}; check their features, lower "
            "--learning_rate or set --clip_norm"
        )


class HistoryFile(keras.callbacks.Callback):
    """Appends each epoch's logs to a CSV file and closes it.

    Keras's CSVLogger leaves the file open if training fails.

    Args:
        path: the file; created if it does not exist.
    """

    def __init__(self, path):
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch, logs=None):
        """Appends a row; raises InputError if the file cannot be written."""
        names = sorted(logs)
        try:
            with open(self._path, "a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                if not file.tell():
                    writer.writerow(["epoch", *names])
                writer.writerow([epoch, *(logs[name] for name in names)])
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be written ({error.strerror}); free some "
                "space and run the same command again"
            ) from None


class LocalizationEvaluation(keras.callbacks.Callback):
    """Localizes a split every few epochs and logs its mAP.

    Adds the averages that papers quote, such as `mAP@0.1:0.7`, to the epoch's
    logs, or the mean over all thresholds if they allow none of these. The
    values are for information; no epoch is chosen by them. List it before
    callbacks that write the logs.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        split: the split to localize; its records hold the ground truth.
        settings: LocalizationSettings.
        tiou_thresholds: thresholds of the mAP.
        every: epochs between evaluations.
        protocol: that of `average_precision.mean_average_precision`.
        per_class: whether to log `AP/CLASS` too, each class's mean over the
            thresholds.

    Raises:
        InputError: if the records of the split have no segments.
    """

    def __init__(
        self,
        info,
        data_dir,
        split,
        settings,
        tiou_thresholds,
        every=1,
        protocol="activitynet",
        per_class=False,
    ):
        super().__init__()
        self._protocol, self._per_class = protocol, per_class
        self._info, self._data_dir, self._split = info, data_dir, split
        self._settings, self._every = settings, every
        self._thresholds = tiou_thresholds
        self._truth = average_precision.Instances.of_videos(
            reader.ground_truth(info, data_dir, split)
        )
        if not self._truth.labels:
            raise InputError(
                f"--eval_every: the records of the split {split!r} of "
                f"{data_dir} have no segments to evaluate on; drop "
                "--eval_every, or convert with annotations that have segments"
            )
        self._detector = None

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates after every `every`-th epoch."""
        if logs is None:
            return
        # Every epoch has the columns, because a CSV file has them in its first
        # line.
        logs.update(dict.fromkeys(self._names(), float("nan")))
        if (epoch + 1) % self._every == 0:
            with optimizers.averaged(self.model):
                logs.update(self._evaluate())

    def _names(self):
        names = list(self._averages([0.0] * len(self._thresholds)))
        return names + self._class_names(sorted(set(self._truth.labels)))

    def _class_names(self, labels):
        if not self._per_class:
            return []
        return [f"AP/{self._info.classes[label - 1]}" for label in labels]

    def _averages(self, mean_ap):
        named = average_precision.averages(mean_ap, self._thresholds)
        if not named:
            named = {"mean": sum(mean_ap) / len(mean_ap)}
        return {f"mAP@{name}": value for name, value in named.items()}

    def _evaluate(self):
        if self._detector is None:
            self._detector = inference.make_detector(self.model, self._settings)
        videos, labels, segments, scores = [], [], [], []
        for video, detections in inference.detect_videos(
            self._detector,
            reader.whole_videos(self._info, self._data_dir, self._split),
        ):
            columns = inference.columns(detections)
            videos += [video] * len(columns[0])
            for column, values in zip(
                (labels, scores, segments), columns, strict=True
            ):
                column += values.tolist()
        result = average_precision.mean_average_precision(
            self._truth,
            average_precision.Detections(videos, labels, segments, scores),
            self._thresholds,
            self._protocol,
        )
        return {
            **self._averages([float(value) for value in result.mean_ap]),
            **dict(
                zip(
                    self._class_names(result.labels),
                    result.ap.mean(axis=0).tolist(),
                    strict=False,  # without per_class there are no names
                )
            ),
        }
