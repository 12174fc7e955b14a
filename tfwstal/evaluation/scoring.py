"""From files to scores: reads, checks, matches and averages."""

import pathlib

from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision, formats, inputs
from tfwstal.evaluation.average_precision.diagnosis import (
    SETTINGS,
    diagnose,
)
from tfwstal.evaluation.average_precision.sensitivity import (
    characteristics_of,
)


def paths_of(text):
    """The paths of a comma-separated list; one path may hold commas."""
    if pathlib.Path(text).exists():
        return [text]
    return [path for path in text.split(",") if path]


def read(
    ground_truth,
    detections,
    options,
    *,
    bad_segments="error",
    snippet=(16, 25.0),
    file_format="auto",
    classes="",
    as_proposals=False,
):
    """Reads the ground truth once, and each detections file.

    Args:
        ground_truth: path of the ground truth.
        detections: list of paths.
        options: EvaluationOptions.
        bad_segments: as for `activitynet.read_ground_truth`.
        snippet: frames per snippet and frames per second, for the unit
            "snippets".
        file_format: as for `formats.read_detections`.
        classes: path of a class list, "" for none.
        as_proposals: whether to replace all classes by one.

    Returns:
        list of Inputs, one for each detections file.

    Raises:
        InputError: for files that cannot be read or do not fit each other,
            and for averages that are not ranges.
    """
    for text in options.averages:
        try:
            average_precision.thresholds_of_range(text)
        except ValueError as error:
            raise InputError(f"--averages: {error}") from None
    names = formats.read_classes(classes) if classes else None
    truth = inputs.read_truth(ground_truth, options, bad_segments, names)
    label = None
    if as_proposals:
        label = "proposal"
        truth = truth.with_one_class(label)
    return [
        inputs.fit(
            truth,
            path,
            formats.read_detections(path, file_format, names, label),
            options,
            snippet,
        )
        for path in detections
    ]


def score(found, options):
    """The MeanAveragePrecision of Inputs."""
    return average_precision.mean_average_precision(
        found.instances,
        found.detections,
        options.tiou_thresholds,
        options.protocol,
        found.ambiguous,
    )


def analyse(found, options, benchmark):
    """The Diagnosis of Inputs, in DETAD's setting for a benchmark."""
    return diagnose(
        found.instances,
        found.detections,
        SETTINGS[benchmark],
        options.protocol,
        found.ambiguous,
        characteristics_of(
            found.instances, found.durations, found.seconds_per_unit
        ),
    )
