"""Where a run loses mAP: wrong classes, wrong order of scores, or elsewhere.

    python -m benchmarks.diagnosis --run_dir=runs/a --data_dir=records

Prints, for --split:
  - how well attentions and activations separate snippets inside actions from
    those outside: mean inside, mean outside, area under the ROC curve;
  - how often the class with the best score is right, for videos and snippets;
  - the average mAP over --tiou_thresholds: unchanged; with the true labels of
    each video instead of its video scores (the loss by classes); and with each
    detection scored by its best tIoU with an instance of its class (the loss by
    the order; the rest is lost by the boundaries).
"""

import dataclasses

import numpy as np

from tfwstal import command_line
from tfwstal.data import folder, reader
from tfwstal.evaluation import average_precision
from tfwstal.search import cross_validation
from tfwstal.training import run_folder


def main(config):
    """Prints the figures of a run."""
    config.require("run_dir", "data_dir")
    info = folder.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    truth = reader.ground_truth(info, config.data_dir, config.split)
    outputs = cross_validation.held_out_outputs(
        model, info, config.data_dir, split=config.split
    )
    print_snippets(outputs, truth)
    settings = config.localization_settings()
    found = cross_validation.localized(outputs, settings)
    given = cross_validation.localized(with_labels(outputs, truth), settings)
    instances = average_precision.Instances.of_videos(truth)
    for name, detections in (
        ("as it is", found),
        ("true labels given", given),
        ("best order given", best_order(found, truth)),
        ("both given", best_order(given, truth)),
    ):
        result = average_precision.mean_average_precision(
            instances, detections, config.tiou_thresholds
        )
        value = 100 * result.mean_ap.mean()
        print(f"average mAP, {name:<18} {value:6.2f} %")


def print_snippets(outputs, truth):
    """Prints how well outputs separate snippets inside actions from others."""
    actual, true, right_videos = [], [], []
    ends = np.cumsum(outputs.lengths)
    for v, name in enumerate(outputs.video_ids.tolist()):
        segments, labels = truth[name]
        length = outputs.lengths[v]
        centres = (np.arange(length) + 0.5) * outputs.seconds_per_snippet[v]
        acting = np.zeros(length, int)
        for (start, end), label in zip(segments, labels, strict=True):
            acting[(centres >= start) & (centres < end)] = label
        actual.append(acting)
        part = outputs.activation[ends[v] - length : ends[v]]
        true.append(part[:, np.unique(labels)].max(axis=1))
        best = outputs.video_scores[v, 1:].argmax() + 1
        right_videos.append(best in labels)
    actual = np.concatenate(actual)
    inside = actual > 0
    columns = np.column_stack([outputs.attention, np.concatenate(true)])
    names = ("a_fg", "a_ct", "a_bg", "z of the video's classes")
    print(f"{'':<26}{'inside':>8}{'outside':>8}{'AUC':>8}")
    for name, values in zip(names, columns.T, strict=True):
        print(
            f"{name:<26}{values[inside].mean():8.3f}"
            f"{values[~inside].mean():8.3f}{auc(values, inside):8.3f}"
        )
    best = outputs.activation[inside, 1:].argmax(axis=1) + 1
    print(f"best video score is right  {np.mean(right_videos):8.3f}")
    print(f"best class inside is right {np.mean(best == actual[inside]):8.3f}")


def auc(values, positive):
    """Share of pairs of a positive and a negative in the right order."""
    _, ranks, counts = np.unique(
        values, return_inverse=True, return_counts=True
    )
    # Equal values have the mean of their ranks, so a tie counts one half.
    middle = (np.cumsum(counts) - (counts - 1) / 2)[ranks]
    n = positive.sum()
    return (middle[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum())


def with_labels(outputs, truth):
    """The same outputs with each video's labels as its video scores."""
    scores = np.zeros_like(outputs.video_scores)
    for row, name in zip(scores, outputs.video_ids.tolist(), strict=True):
        row[truth[name][1]] = 1.0
    return dataclasses.replace(outputs, video_scores=scores)


def best_order(detections, truth):
    """The same detections, scored by their best tIoU with an instance."""
    scores = []
    for name, label, segment in zip(
        detections.videos, detections.labels, detections.segments, strict=True
    ):
        own = truth[name][0][truth[name][1] == label]
        tiou = average_precision.segment_tiou([segment], own)
        scores.append(tiou.max(initial=0.0))
    return dataclasses.replace(detections, scores=scores)


if __name__ == "__main__":
    command_line.run(main, "localize")
