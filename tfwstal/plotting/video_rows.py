"""Rows of a timeline from ground truth, detections and a model's curves."""

import difflib

from tfwstal.errors import InputError
from tfwstal.plotting import timeline
from tfwstal.plotting.timeline import Bars, Curves


def truth_bars(videos):
    """The row of the ground truth of each video.

    Args:
        videos: dict video id -> VideoAnnotation.

    Returns:
        dict video id -> Bars.
    """
    return {
        name: Bars("Ground truth", video.segments, (1.0,) * len(video.segments))
        for name, video in videos.items()
    }


def all_rows(truths, found, curves):
    """The rows of all videos.

    Args:
        truths: dict video id -> Bars; {} without ground truth.
        found: dict video id -> detections; None without detections.
        curves: dict video id -> list of Curves; {} without a model.

    Returns:
        dict video id -> list of rows. The videos are those of the ground
        truth; without it, of the curves; without both, of the detections.

    Raises:
        InputError: if there is no video.
    """
    videos = {}
    for name in truths or curves or found or ():
        rows = [truths[name]] if truths else []
        if found is not None:
            rows.append(timeline.strongest(found.get(name, ())))
        videos[name] = rows + curves.get(name, [])
    if not videos:
        raise InputError(
            "nothing to draw; give --ground_truth with videos of --subset, "
            "--run_dir and --data_dir, or --detections"
        )
    return videos


def require_content(video, rows):
    """Raises InputError if the rows of a video are all empty."""
    if not any(isinstance(row, Curves) or row.segments for row in rows):
        raise InputError(
            f"nothing to draw of --video={video}; give --run_dir and "
            "--data_dir, or --ground_truth or --detections with segments of it"
        )


def require_video(video, names, where):
    """Raises InputError if `video` is not among the names of a source."""
    if video not in names:
        near = difflib.get_close_matches(video, names, n=1, cutoff=0.0)
        raise InputError(
            f"--video={video} is not among the {len(names)} videos of {where}"
            + "".join(f"; the nearest name is {name!r}" for name in near)
        )
