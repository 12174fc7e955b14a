"""Where a run loses its mAP: in classes, in the order of confidence, elsewhere.

    python -m benchmarks.diagnosis --run_dir=runs/a --data_dir=records

Prints, for --split:
  - how far attentions and activations tell snippets inside actions from those
    outside: mean inside, mean outside, area under the ROC curve;
  - how often the best-scored class is right, for videos and for snippets;
  - the average mAP over --tiou_thresholds: as it is; with the true labels of
    each video in place of its video scores (what is lost by classes); and with
    each detection scored by its best tIoU with an instance of its class (what
    is lost by the order; what is left is lost by the boundaries).
"""

import sys

import numpy as np
import tensorflow as tf
from absl import flags

from tfwstal import (
    average_precision,
    command_line,
    dataset,
    dataset_info,
    localization,
    run_folder,
)
from tfwstal.errors import InputError


def main(config):
    """Prints the figures of a run."""
    config.require("run_dir", "data_dir")
    info = dataset_info.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    truth = dataset.ground_truth(info, config.data_dir, config.split)
    videos = list(outputs_of(model, info, config))
    print_snippets(videos, truth)
    settings = localization.localization_settings(config)
    found = localized(videos, settings)
    given = localized(videos, settings, truth)
    for name, detections in (
        ("as it is", found),
        ("true labels given", given),
        ("best order given", best_order(found, truth)),
        ("both given", best_order(given, truth)),
    ):
        value = average_map(detections, truth, config.tiou_thresholds)
        print(f"average mAP, {name:<18} {100 * value:6.2f} %")


def outputs_of(model, info, config):
    """(name, seconds a snippet, outputs as arrays) of each video."""

    @tf.function(reduce_retracing=True)
    def forward(features):
        inputs = {"features": features, "num_snippets": [tf.shape(features)[1]]}
        return model(inputs, training=False)

    for video in dataset.whole_videos(info, config.data_dir, config.split):
        found = forward(video["features"][tf.newaxis])
        yield (
            video["video_id"].numpy().decode(),
            float(video["seconds_per_snippet"]),
            {
                "attention": found["attention"][0].numpy(),
                "activation": found["activation"][0, :, 0].numpy(),
                "scores": found["video_scores"][0, 0].numpy(),
            },
        )


def print_snippets(videos, truth):
    """What tells snippets inside actions from those outside."""
    inside, columns, right_videos, right_snippets = [], [], [], []
    for name, seconds, found in videos:
        segments, labels = truth[name]
        centres = (np.arange(len(found["attention"])) + 0.5) * seconds
        actual = np.zeros(len(centres), int)
        for (start, end), label in zip(segments, labels, strict=True):
            actual[(centres >= start) & (centres < end)] = label
        acting = actual > 0
        inside.append(acting)
        true = found["activation"][:, np.unique(labels)].max(axis=1)
        columns.append(np.column_stack([found["attention"], true]))
        right_videos.append(found["scores"][1:].argmax() + 1 in labels)
        best = found["activation"][acting, 1:].argmax(axis=1) + 1
        right_snippets += (best == actual[acting]).tolist()
    inside, columns = np.concatenate(inside), np.concatenate(columns)
    names = ("a_fg", "a_ct", "a_bg", "z of the video's classes")
    print(f"{'':<26}{'inside':>8}{'outside':>8}{'AUC':>8}")
    for name, values in zip(names, columns.T, strict=True):
        print(
            f"{name:<26}{values[inside].mean():8.3f}"
            f"{values[~inside].mean():8.3f}{auc(values, inside):8.3f}"
        )
    print(f"best video score is right  {np.mean(right_videos):8.3f}")
    print(f"best class inside is right {np.mean(right_snippets):8.3f}")


def auc(values, positive):
    """Share of pairs of a positive and another in the right order."""
    _, ranks, counts = np.unique(
        values, return_inverse=True, return_counts=True
    )
    # Equal values share the mean of their ranks, so that a tie is a half.
    middle = (np.cumsum(counts) - (counts - 1) / 2)[ranks]
    n = positive.sum()
    return (middle[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum())


def localized(videos, settings, truth=None):
    """Detections in columns: videos, labels, segments, scores.

    With `truth`, a video's labels take the place of its video scores.
    """

    @tf.function(reduce_retracing=True)
    def localizer(activation, attention, scores):
        return localization.localize_video(
            activation, attention, scores, settings
        )

    columns = [], [], [], []
    for name, seconds, found in videos:
        scores = found["scores"]
        if truth is not None:
            scores = np.zeros_like(scores)
            scores[truth[name][1]] = 1.0
        segments, labels, scores = localizer(
            found["activation"], found["attention"][:, 0], scores
        )
        rows = [name] * len(labels), labels, segments * seconds, scores
        for column, values in zip(columns, rows, strict=True):
            column.extend(np.asarray(values).tolist())
    return columns


def best_order(detections, truth):
    """The same detections, scored by their best tIoU with an instance."""
    videos, labels, segments, _ = detections
    scores = []
    for name, label, segment in zip(videos, labels, segments, strict=True):
        own = truth[name][0][truth[name][1] == label]
        tiou = average_precision.segment_tiou([segment], own)
        scores.append(tiou.max(initial=0.0))
    return videos, labels, segments, scores


def average_map(detections, truth, thresholds):
    """Mean over the thresholds of the mAP, from 0 to 1."""
    rows = [
        (name, int(label), segment)
        for name, (segments, labels) in truth.items()
        for segment, label in zip(segments, labels, strict=True)
    ]
    return average_precision.mean_average_precision(
        average_precision.Instances(*zip(*rows, strict=True)),
        average_precision.Detections(*detections),
        thresholds,
    ).mean_ap.mean()


if __name__ == "__main__":
    try:
        main(command_line.parse(sys.argv, "localize"))
    except (InputError, flags.Error, OSError) as error:
        sys.exit(f"error: {error}")
