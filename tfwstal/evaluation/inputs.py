"""Reads ground truth and detections, checks that they fit, selects videos."""

import collections
import dataclasses

import numpy as np

from tfwstal.errors import InputError
from tfwstal.evaluation import (
    average_precision,
    choices,
    detection_checks,
    formats,
)
from tfwstal.evaluation.words import counted


@dataclasses.dataclass(frozen=True)
class Truth:
    """The ground truth, and the part of it that is evaluated.

    Attributes:
        path: the file.
        bad_segments: the rule that it was read with.
        everything: dict video id -> VideoAnnotation, of all subsets.
        of_subset: the same, of the subset alone, without ambiguous segments.
        videos: the same, of the videos that count.
        labels: set of all classes in the file.
        ambiguous: list of (video, start, end) in seconds.
        bad: BadSegments of the videos that count.
    """

    path: str
    bad_segments: str
    everything: dict
    of_subset: dict
    videos: dict
    labels: set
    ambiguous: list
    bad: tuple

    def with_one_class(self, label):
        """The same Truth with `label` as the class of all segments."""
        videos = {
            name: dataclasses.replace(
                video,
                segments=tuple(
                    dataclasses.replace(segment, label=label)
                    for segment in video.segments
                ),
            )
            for name, video in self.videos.items()
        }
        return dataclasses.replace(self, videos=videos, labels={label})


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Columns for `average_precision`, in the unit of the options.

    Attributes:
        instances: Instances.
        detections: Detections.
        ambiguous: Instances that excuse false positives, or None.
        videos: names of all videos evaluated, sorted.
        durations: dict video -> seconds as the ground truth states it, or
            None.
        seconds_per_unit: of all segments here.
        facts: dict for JSON: the options, and counts of what was found and
            ignored.
    """

    instances: average_precision.Instances
    detections: average_precision.Detections
    ambiguous: average_precision.Instances | None
    videos: tuple[str, ...]
    durations: dict
    seconds_per_unit: float
    facts: dict

    @property
    def num_detected_videos(self):
        """How many videos of the ground truth have a detection."""
        facts = self.facts
        return facts["num_videos"] - facts["num_videos_without_detections"]


def read_truth(path, options, bad_segments="error", classes=None):
    """Reads the ground truth and selects the videos that count.

    Args:
        path: ground truth, as for `formats.read_ground_truth`.
        options: EvaluationOptions.
        bad_segments: as for `activitynet.read_ground_truth`.
        classes: dict from number to class name, or None.

    Returns:
        Truth.

    Raises:
        InputError: for a file that cannot be read, or options that leave no
            segment.
    """
    everything, bad = formats.read_ground_truth(
        path, options.subset, bad_segments, classes
    )
    labels = {s.label for v in everything.values() for s in v.segments}
    labels |= {b.segment.label for b in bad}
    labels.discard(choices.AMBIGUOUS)
    of_subset = _select_subset(everything, path, options.subset)
    of_subset, unclear = choices.split_ambiguous(of_subset)
    if options.ambiguous:
        more = choices.read_ambiguous(options.ambiguous)
        of_subset = choices.add_ambiguous_videos(
            of_subset, more, everything, options.subset
        )
        unclear += more
    videos = choices.select_videos(of_subset, options, path)
    if not any(video.segments for video in videos.values()):
        raise InputError(
            f"--videos={options.videos} leaves no segment of subset "
            f"{options.subset!r} of {path}; correct the list"
        )
    return Truth(
        path,
        bad_segments,
        everything,
        of_subset,
        videos,
        labels,
        [row for row in unclear if row[0] in videos],
        tuple(b for b in bad if b.video_id in videos),
    )


def fit(truth, path, detected, options, snippet=(16, 25.0)):
    """Checks that detections fit the ground truth, and makes columns.

    Args:
        truth: Truth.
        path: file of the detections, for messages.
        detected: dict video id -> detections; see
            `activitynet.read_detections`. A segment may be reversed.
        options: EvaluationOptions.
        snippet: frames per snippet and frames per second, for the unit
            "snippets".

    Returns:
        Inputs.

    Raises:
        InputError: for detections that do not fit.
    """
    if not detected:
        raise InputError(
            f"{path}: 'results' is empty; list each video that was localized, "
            "with [] where nothing was found"
        )
    detected, num_bad = detection_checks.mend_reversed(
        path, detected, options.bad_detections
    )
    outside = sum(
        len(detected.pop(name))
        for name in list(detected)
        if name in truth.of_subset and name not in truth.videos
    )
    known, unknown = detection_checks.split_unknown(
        path, detected, truth, options
    )
    duplicates = list(detection_checks.find_duplicates(known))
    if duplicates and options.duplicates == "error":
        raise detection_checks.duplicate_error(path, duplicates)
    late = detection_checks.find_late(known, truth.videos)
    instances, detections, unclear = choices.to_columns(
        truth.videos, known, truth.ambiguous, options.unit, snippet
    )
    rule, dropped = options.rule_for_ambiguous, 0
    if rule == "drop":
        on_ambiguous = average_precision.overlaps(detections, unclear)
        detections = choices.without(detections, on_ambiguous)
        dropped = int(on_ambiguous.sum())
    scored = set(instances.labels)
    segments = np.asarray(instances.segments)
    facts = {
        "protocol": options.protocol,
        "ground_truth": truth.path,
        "subset": options.subset,
        "videos": options.videos,
        "ambiguous": options.ambiguous,
        "ambiguous_rule": rule,
        "unit": _unit(options.unit, snippet),
        "detections": path,
        "bad_segments": truth.bad_segments,
        "unknown_videos": options.rule_of("videos"),
        "unknown_classes": options.rule_of("classes"),
        "ignore_unknown": options.ignore_unknown,
        "bad_detections": options.bad_detections,
        "num_videos": len(truth.videos),
        "num_videos_without_detections": sum(
            not known.get(v) for v in truth.videos
        ),
        "num_classes": len(scored),
        "num_instances": len(instances.labels),
        "num_instances_of_zero_length": int(
            (segments[:, 0] == segments[:, 1]).sum()
        ),
        "num_ambiguous_segments": len(unclear.labels),
        "num_detections": len(detections.labels),
        "num_bad_detections": num_bad,
        **unknown,
        "num_detections_outside_videos": outside,
        "num_detections_dropped_as_ambiguous": dropped,
        # Of classes that the file has, but not in this subset.
        "num_unscored_detections": sum(
            label not in scored for label in detections.labels
        ),
        "num_duplicate_detections": len(duplicates),
        "first_duplicate_detection": duplicates[0] if duplicates else None,
        "num_late_detections": len(late),
        "first_late_detection": late[0] if late else None,
        "bad_segments_left_out": [str(b) for b in truth.bad if not b.kept],
        "bad_segments_kept": [str(b) for b in truth.bad if b.kept],
    }
    return Inputs(
        instances,
        detections,
        unclear if rule == "neutral" else None,
        tuple(sorted({*truth.videos, *detections.videos})),
        {name: video.duration for name, video in truth.videos.items()},
        1.0 if options.unit == "seconds" else snippet[0] / snippet[1],
        facts,
    )


def _unit(unit, snippet):
    if unit == "seconds":
        return unit
    frames, fps = snippet
    return f"snippets of {frames} / {fps:g} s"


def _select_subset(videos, path, subset):
    """The videos of a subset, whose name is compared without case."""
    chosen = {
        name: video
        for name, video in videos.items()
        if video.subset.casefold() == subset.casefold()
    }
    if any(video.segments for video in chosen.values()):
        return chosen
    counts = collections.Counter(v.subset for v in videos.values())
    there = ", ".join(
        f"{name} ({counted(n, 'video')})" for name, n in counts.items()
    )
    found = "has no segment" if chosen else "does not exist"
    raise InputError(
        f"{path}: subset {subset!r} {found}; choose --subset from: "
        f"{there or 'none, the file is empty'}"
    )
