"""Cross-validation by video: folds, held-out outputs and their scores.

A model is trained on the videos of the other folds and scored by the mAP of
its detections in its own fold. Its outputs there are kept, so that localizing
them with other settings needs no forward pass.

Arrays concatenate V videos with T_1, T_2, ... snippets.
"""

import collections
import dataclasses
import functools
import hashlib

import numpy as np
import tensorflow as tf

from tfwstal import files, inference
from tfwstal.data import reader
from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision
from tfwstal.method import localization


@dataclasses.dataclass(frozen=True)
class HeldOutOutputs:
    """Model outputs on some videos, as far as localization needs them.

    Attributes:
        video_ids: [V] names of the videos.
        lengths: [V] snippets of each.
        seconds_per_snippet: [V] float32.
        video_scores: [V, C+1], y hat_fg.
        activation: [T_1 + T_2 + ..., C+1], z_fg.
        attention: [T_1 + T_2 + ..., 3], a.
    """

    video_ids: np.ndarray
    lengths: np.ndarray
    seconds_per_snippet: np.ndarray
    video_scores: np.ndarray
    activation: np.ndarray
    attention: np.ndarray

    def save(self, path):
        """Writes an .npz file; it is always complete."""
        name = f".{path.name}.incomplete"
        with files.replacing(path, name) as aside, open(aside, "wb") as file:
            np.savez(file, **dataclasses.asdict(self))

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote; raises InputError if it is damaged."""
        try:
            with open(path, "rb") as file, np.load(file) as arrays:
                return cls(**arrays)
        # NumPy and zipfile raise errors of many classes for a damaged file.
        except Exception as error:
            raise InputError(
                f"{path} is damaged; delete it, and it is made again"
            ) from error


def split_videos(labels, num_folds, seed):
    """Splits videos into folds with about equal numbers of each action.

    In an order that depends only on the seed and the ids, each video goes to
    the fold with the fewest videos of its actions, and among equal folds to
    the smallest.

    Args:
        labels: dict from video id to its actions; anything that hashes.
        num_folds: F, at least 2.
        seed: whole number.

    Returns:
        list of F sorted lists of video ids.

    Raises:
        InputError: if there are fewer videos than folds.
    """
    if len(labels) < num_folds:
        raise InputError(
            f"--folds={num_folds}: there are {len(labels)} training videos; "
            "give fewer folds"
        )
    folds = [[] for _ in range(num_folds)]
    counts = [collections.Counter() for _ in folds]

    def rank(video):
        return hashlib.sha256(f"{seed}/{video}".encode()).digest()

    for video in sorted(labels, key=rank):
        load = [
            (sum(count[label] for label in labels[video]), len(fold))
            for count, fold in zip(counts, folds, strict=True)
        ]
        chosen = load.index(min(load))
        folds[chosen].append(video)
        counts[chosen].update(labels[video])
    return [sorted(fold) for fold in folds]


def segments_of_folds(info, data_dir, folds):
    """The annotated segments of the training videos, fold by fold.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        folds: what `split_videos` returned.

    Returns:
        list of F dicts from video id to (segments [N, 2] seconds, class
        indices [N]); videos without segments are left out.

    Raises:
        InputError: if a fold has none.
    """
    truth = reader.ground_truth(info, data_dir, "train")
    annotated = {v: found for v, found in truth.items() if len(found[1])}
    if not annotated:
        raise InputError(
            f"{data_dir}: the records of the split 'train' have no segments to "
            "score trials on; convert with annotations that have segments"
        )
    of_folds = [
        {video: annotated[video] for video in fold if video in annotated}
        for fold in folds
    ]
    if not all(of_folds):
        raise InputError(
            f"--folds={len(folds)}: a fold has no video with segments to be "
            "scored on; give fewer folds"
        )
    return of_folds


def held_out_outputs(model, info, data_dir, videos=None, split="train"):
    """The HeldOutOutputs of a model on videos it was not trained on.

    Args:
        model: a TwoStreamLocalizer.
        info: DatasetInfo.
        data_dir: its folder.
        videos: ids of the videos; by default all of the split.
        split: the split that they are in.
    """
    forward = inference.make_forward(model)
    columns = [[] for _ in range(6)]
    for video in reader.whole_videos(info, data_dir, split, videos):
        outputs = forward(video["features"])
        row = (
            video["video_id"].numpy().decode(),
            video["num_snippets"].numpy(),
            video["seconds_per_snippet"].numpy(),
            outputs["video_scores"][0].numpy(),
            outputs["activation"][:, 0].numpy(),
            outputs["attention"].numpy(),
        )
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return HeldOutOutputs(
        *map(np.asarray, columns[:4]), *map(np.concatenate, columns[4:])
    )


def average_map(outputs, truth, settings, thresholds):
    """Average mAP of the detections in held-out videos.

    Args:
        outputs: HeldOutOutputs.
        truth: dict from video id to (segments [N, 2] seconds, class indices
            [N]), of these videos, as `reader.ground_truth` gives.
        settings: LocalizationSettings.
        thresholds: tIoU thresholds; the mean over them is the average.

    Returns:
        float from 0 to 1.
    """
    found = average_precision.mean_average_precision(
        average_precision.Instances.of_videos(truth),
        localized(outputs, settings),
        thresholds,
    )
    return float(found.mean_ap.mean())


def localized(outputs, settings):
    """The Detections in held-out videos; times in seconds, class indices."""
    localizer = _localizer(dataclasses.replace(settings, alpha=0.0, beta=0.0))
    videos, labels, segments, scores = [], [], [], []
    ends = np.cumsum(outputs.lengths)
    for v, name in enumerate(outputs.video_ids.tolist()):
        part = slice(ends[v] - outputs.lengths[v], ends[v])
        found, classes, confidence = localizer(
            outputs.activation[part],
            outputs.attention[part, 0],
            outputs.video_scores[v],
            settings.alpha,
            settings.beta,
        )
        videos += [name] * len(classes)
        labels += classes.numpy().tolist()
        segments.append(found.numpy() * outputs.seconds_per_snippet[v])
        scores.append(confidence.numpy())
    return average_precision.Detections(
        videos, labels, np.concatenate(segments), np.concatenate(scores)
    )


@functools.cache
def _localizer(settings):
    """`localize_video` as a graph that takes alpha and beta as inputs.

    Hundreds of their values then share one trace.
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec(shape, tf.float32)
            for shape in ([None, None], [None], [None], [], [])
        ]
    )
    def localizer(activation, attention, video_scores, alpha, beta):
        return localization.localize_video(
            activation,
            attention,
            video_scores,
            dataclasses.replace(settings, alpha=alpha, beta=beta),
        )

    return localizer
