"""Settings that change an evaluation's numbers: videos, ambiguity, unit."""

import dataclasses
import math

import numpy as np

from tfwstal import files
from tfwstal.data.annotations import VideoAnnotation
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError, quoted
from tfwstal.evaluation import average_precision, columns

AMBIGUOUS = "Ambiguous"
# Lists of THUMOS-14's test videos, by what they leave out: 1292 has ambiguous
# segments only; the annotations of 270 and 1496 lie beyond their ends.
# https://github.com/bellos1203/STPN/issues/2
_LEFT_OUT = {
    "all": (),
    "thumos14_212": ("video_test_0001292",),
    "thumos14_210": (
        "video_test_0000270",
        "video_test_0001292",
        "video_test_0001496",
    ),
}


def split_ambiguous(videos):
    """Separates segments labelled Ambiguous from the ground truth.

    Args:
        videos: dict video id -> VideoAnnotation.

    Returns:
        The dict without them, and a list of (video, start, end).
    """
    rows = [
        (name, segment.start, segment.end)
        for name, video in videos.items()
        for segment in video.segments
        if segment.label == AMBIGUOUS
    ]
    rest = {
        name: dataclasses.replace(
            video,
            segments=tuple(s for s in video.segments if s.label != AMBIGUOUS),
        )
        for name, video in videos.items()
    }
    return rest, rows


def read_ambiguous(path):
    """Reads ambiguous segments from lines VIDEO START END, in seconds.

    Returns:
        list of (video, start, end).

    Raises:
        InputError: if the file cannot be read or a line is malformed.
    """
    rows = []
    for number, line in files.numbered_lines(path):
        try:
            video, start, end = line.split()
            start, end = float(start), float(end)
            if not (math.isfinite(start) and start <= end < math.inf):
                raise ValueError
        except ValueError:
            raise InputError(
                f"{path}: line {number}: {quoted(line)} is not VIDEO START END "
                "with times in seconds; correct the file"
            ) from None
        if problem := name_problem(video):
            raise InputError(
                f"{path}: line {number}: the name of video {quoted(video)} "
                f"{problem}; correct the file"
            )
        rows.append((video, start, end))
    return rows


def add_ambiguous_videos(videos, rows, everything, subset):
    """Adds videos that only have ambiguous segments.

    THUMOS-14's video 1292 has only ambiguous segments. The ground truth in
    circulation lacks it, but the challenge's kit counts it.
    """
    added = dict(videos)
    for name, _, _ in rows:
        if name not in everything:
            added[name] = VideoAnnotation(name, subset, None, ())
    return added


def select_videos(videos, options, truth):
    """Selects the videos that `options.videos` lists.

    Args:
        videos: dict video id -> VideoAnnotation.
        options: EvaluationOptions.
        truth: path of the ground truth, for messages.

    Raises:
        InputError: if the file cannot be read, or names a video that is not
            in `videos`.
    """
    left_out = _LEFT_OUT.get(options.videos)
    if left_out is not None:
        return {n: video for n, video in videos.items() if n not in left_out}
    chosen = {}
    for number, name in files.numbered_lines(options.videos):
        if name not in videos:
            raise InputError(
                f"{options.videos}: line {number}: video {quoted(name)} is "
                f"not in subset {options.subset!r} of {truth}; correct the "
                "list or --subset"
            )
        chosen[name] = videos[name]
    return chosen


def to_columns(videos, results, ambiguous, unit="seconds", snippet=(16, 25.0)):
    """Converts videos and detections to columns for `average_precision`.

    Args:
        videos: dict video id -> VideoAnnotation.
        results: detections by video, as from `activitynet.read_detections`.
        ambiguous: list of (video, start, end) in seconds.
        unit: "seconds", or "snippets" to round all times to whole snippets.
        snippet: frames per snippet and frames per second.

    Returns:
        Instances, Detections and the ambiguous Instances.
    """
    unclear = average_precision.Instances(
        videos=[row[0] for row in ambiguous],
        labels=[AMBIGUOUS] * len(ambiguous),
        segments=[row[1:] for row in ambiguous],
    )
    in_seconds = (
        columns.to_instances(videos.values()),
        columns.to_detections(results),
        unclear,
    )
    if unit == "seconds":
        return in_seconds
    frames, fps = snippet
    return tuple(
        dataclasses.replace(
            each,
            segments=np.rint(
                np.array(each.segments, float).reshape(-1, 2) * (fps / frames)
            ),
        )
        for each in in_seconds
    )


def without(detections, dropped):
    """Returns the Detections without those that `dropped` [N] bool marks."""
    rows = np.flatnonzero(~dropped).tolist()
    return average_precision.Detections(
        *(
            [getattr(detections, field.name)[row] for row in rows]
            for field in dataclasses.fields(detections)
        )
    )
