"""Summaries of the model's inside during training, for TensorBoard.

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
from tfwstal.data import batches
from tfwstal.data.annotations import Segment
from tfwstal.data.names import unknown_video
from tfwstal.errors import InputError

ATTENTIONS = ("foreground", "context", "background")
_OUTPUTS = ("attention", "class_logits", "activation", "video_scores")
# Most training videos in the summaries of attentions and centroids.
SAMPLE = 32
# Videos that are drawn unless the user names some.
PICTURES = 2
# Share of the training time for summaries with --watch_every=-1.
TIME_SHARE = 0.1
# Classes in the picture of the centroids, the most chosen ones.
BARS = 30


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
        # TensorFlow does not report a full disk; the training continues.
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
        table = by_class(self._classes, count, moved, way)
        tf.summary.text("centroids/by_class", table)
        tf.summary.image(
            "centroids/usage",
            _pixels(draw_usage(self._classes, count, way)),
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


class Sample:
    """Training videos that show as many classes as possible.

    In the order of the records, these are the videos that carry an action
    which no video before carries, at most SAMPLE.

    Args:
        num_classes: C, the number of actions.
        num_snippets: snippets taken of a longer video, as in training.

    Attributes:
        features: list of [T, D], tensors, one for each video.
    """

    def __init__(self, num_classes, num_snippets):
        self._missing = set(range(1, num_classes + 1))
        self._num_snippets = num_snippets
        self.features = []

    def add(self, video):
        """Takes a video, a dict of `record.parse_video`, if it helps."""
        labels = set(video["label_indices"].numpy().tolist())
        if len(self.features) == SAMPLE or not labels & self._missing:
            return
        self._missing -= labels
        indices = batches.sample_snippets(
            video["num_snippets"], self._num_snippets, False, seed=[0, 0]
        )
        self.features.append(tf.gather(video["features"], indices))


def pictured_videos(info, data_dir, split, videos=()):
    """The videos to draw, each with its ground truth.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        split: where the videos are.
        videos: ids; by default the first PICTURES of the split, or none if
            the records have no such split.

    Returns:
        list of dicts of `record.parse_video`, with `truth`, tuple of Segment.

    Raises:
        InputError: if the split has no video with one of the ids.
    """
    if not videos and split not in info.splits:
        return []
    with batches.readable(data_dir):
        whole = batches.whole_videos(info, data_dir, split, videos or None)
        chosen = list(whole.take(len(set(videos)) or PICTURES))
    ids = [video["video_id"].numpy().decode() for video in chosen]
    for video in set(videos).difference(ids):
        raise unknown_video(
            "watch_videos",
            video,
            batches.video_labels(info, data_dir, split),
            f"split {split!r} of {data_dir}",
        )
    truths = batches.ground_truth(info, data_dir, split, ids)
    for name, video in zip(ids, chosen, strict=True):
        video["truth"] = tuple(
            Segment(info.classes[label - 1], *segment)
            for segment, label in zip(*truths[name], strict=True)
        )
    return chosen


def by_class(classes, count, moved, way):
    """A Markdown table with one row for each class, the most chosen first.

    Args:
        classes: names of the C+1 classes.
        count: [C+1] snippets that choose each class.
        moved: [C+1] Euclidean distance of its centroid from the one before
            the epoch.
        way: [C+1] Euclidean distance of its centroid from the first one.
    """
    lines = [
        "| class | snippets | share | moved this epoch | since the start |",
        "|---|---:|---:|---:|---:|",
    ]
    for i in np.argsort(-count, kind="stable"):
        name = classes[i].replace("\\", "\\\\").replace("|", "\\|")
        lines.append(
            f"| {name} | {count[i]} | {count[i] / count.sum():.1%} | "
            f"{moved[i]:.4g} | {way[i]:.4g} |"
        )
    return "\n".join(lines)


def draw_usage(classes, count, way):
    """A Figure of the most chosen classes: share of snippets, movement.

    Args:
        classes, count, way: as for `by_class`.
    """
    # Slow, and not always needed.
    from matplotlib.figure import Figure

    from tfwstal.plotting import figures

    chosen = np.argsort(-count, kind="stable")[:BARS]
    rows = range(len(chosen))
    height = 1.2 + 0.22 * len(chosen)  # inches
    figure = Figure((10, height))
    # Matplotlib's automatic layouts take as long as the drawing.
    figure.subplots_adjust(0.25, 0.35 / height, 0.98, 1 - 0.75 / height, 0.1)
    with figures.style():
        share, moved = figure.subplots(1, 2, sharey=True)
        share.barh(rows, count[chosen] / count.sum(), color="#1b9e77")
        share.set_xlim(0, 1)
        share.set_yticks(rows, [classes[i] for i in chosen])
        share.invert_yaxis()
        share.set_title("Share of snippets that choose the class", fontsize=9)
        moved.barh(rows, way[chosen], color="#7570b3")
        moved.set_title("Centroid moved since the start", fontsize=9)
        unused = np.count_nonzero(count == 0)
        figure.suptitle(
            f"{len(classes) - unused} of {len(classes)} classes are chosen"
            + f"; the first {len(chosen)}" * (len(chosen) < len(classes))
        )
    return figure


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
