"""Summaries of the model's internals during training, for TensorBoard.

Every few epochs the model is run on a few videos, and the result is written to
a folder of events. docs/watching.md explains each tag. Summaries draw no
random number and change no variable, so the training is the same bit for bit
with and without them.
"""

import time

import keras
import numpy as np
import tensorflow as tf

from tfwstal import inference
from tfwstal.errors import InputError
from tfwstal.plotting import centroid_usage

ATTENTIONS = ("foreground", "context", "background")
_OUTPUTS = ("attention", "class_logits", "activation", "video_scores")
# Share of the training time for summaries with --watch_every=-1.
TIME_SHARE = 0.1


class Watch(keras.callbacks.Callback):
    """Writes attentions, the use of the centroids and pictures of videos.

    Create it before a checkpoint is restored: the model's centroids at that
    time are taken as its first ones.

    Args:
        model: the TwoStreamLocalizer that will be trained.
        classes: names of its C actions.
        sample: `features` of a Sample.
        pictured: what `pictured_videos` returned.
        settings: LocalizationSettings, for the pictures.
        log_dir: folder of the events. No other writer may use it, because
            TensorBoard follows one file in a folder.
        every: epochs between summaries; -1: after the first epoch, the last
            one, and as many of the others as take a TIME_SHARE of the time.
    """

    def __init__(
        self, model, classes, sample, pictured, settings, log_dir, every=1
    ):
        super().__init__()
        self._classes = ("background", *classes)
        self._sample, self._pictured = sample, pictured
        self._settings, self._every = settings, every
        self._is_due, self._begin, self._spent = False, time.monotonic(), 0.0
        self._log_dir, self._writer = str(log_dir), None
        self._first = self._before = _centroids(model)
        forward = inference.make_forward(model)

        def look(features):
            outputs = forward(features)
            return {name: outputs[name] for name in _OUTPUTS}

        self._look = look

    def on_epoch_begin(self, epoch, logs=None):
        """Decides whether this epoch has a summary; keeps the centroids."""
        if self._every > 0:
            self._is_due = (epoch + 1) % self._every == 0
        else:
            passed = time.monotonic() - self._begin
            self._is_due = (
                self._spent <= TIME_SHARE * passed
                or epoch + 1 == self.params["epochs"]
            )
        if self._is_due:
            self._before = _centroids(self.model)

    def on_epoch_end(self, epoch, logs=None):
        """Writes the summary; raises InputError if it cannot open the file.

        Outputs that are not finite are skipped: the training is about to end.
        """
        if not self._is_due:
            return
        begin = time.monotonic()
        if self._writer is None:
            self._writer = self._open()
        with self._writer.as_default(step=epoch):
            self._write_numbers()
            for video in self._pictured:
                self._write_picture(video)
        # TensorFlow does not always report a full disk: see `logs`.
        self._writer.flush()
        self._spent += time.monotonic() - begin

    def on_train_end(self, logs=None):
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self):
        try:
            return tf.summary.create_file_writer(self._log_dir)
        except tf.errors.OpError as error:
            raise InputError(
                f"{self._log_dir} cannot be written ({type(error).__name__}); "
                "make it writable and run the same command again"
            ) from None

    def _write_numbers(self):
        """Attentions and centroids, over the snippets of the sample."""
        seen = [self._look(features) for features in self._sample]
        if not all(map(_is_finite, seen)):
            return
        attention = np.concatenate([each["attention"] for each in seen])
        for i, name in enumerate(ATTENTIONS):
            tf.summary.histogram(f"attention/{name}", attention[:, i])
        logits = np.concatenate([each["class_logits"] for each in seen])
        count = np.bincount(logits.argmax(axis=1), minlength=len(self._classes))
        centroids = _centroids(self.model)
        moved = np.linalg.norm(centroids - self._before, axis=1)
        way = np.linalg.norm(centroids - self._first, axis=1)
        tf.summary.scalar("centroids/used", np.count_nonzero(count))
        tf.summary.scalar("centroids/largest_share", count.max() / count.sum())
        for name, values in (("this_epoch", moved), ("since_start", way)):
            tf.summary.scalar(f"centroids_moved/mean_{name}", values.mean())
            tf.summary.scalar(f"centroids_moved/max_{name}", values.max())
        table = centroid_usage.table(self._classes, count, moved, way)
        tf.summary.text("centroids/by_class", table)
        tf.summary.image(
            "centroids/usage",
            _pixels(centroid_usage.draw(self._classes, count, way)),
        )

    def _write_picture(self, video):
        """Draws a video as `visualize` does, with the current model."""
        # Slow, and not always needed.
        from tfwstal.plotting import rows, timeline

        outputs = self._look(video["features"])
        if not _is_finite(outputs):
            return
        name = video["video_id"].numpy().decode()
        seconds = video["seconds_per_snippet"]
        # Eagerly: tracing a graph takes longer than many summaries.
        found = inference.localize_alone(outputs, seconds, self._settings)
        drawn = [
            rows.truth_bars(video["truth"]),
            rows.strongest(inference.entries(found, self._classes[1:])),
            *rows.curves(
                outputs,
                self.model.options.branches,
                self._classes[1:],
                self._settings.alpha,
                float(seconds),
            ),
        ]
        tf.summary.image(f"video/{name}", _pixels(timeline.draw(name, drawn)))


def _is_finite(outputs):
    return all(np.isfinite(value).all() for value in outputs.values())


def _centroids(model):
    # In float64, so that the squares of exploding weights stay finite.
    return np.array(model.centroids, np.float64)


def _pixels(figure):
    """A Figure as one image [1, H, W, 4] uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from tfwstal.plotting import figures

    with figures.style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[np.newaxis]
