"""The video to convert, and what all readers of annotations use."""

import dataclasses

from tfwstal import files


@dataclasses.dataclass(frozen=True)
class SourceVideo:
    """One video to convert.

    The readers of annotations create it; `layouts.discover` then fills in its
    split, feature files and time scale, and sorts its labels.

    Attributes:
        video_id: name in the annotations.
        labels: names of its actions, each once; sorted by class index once
            discovered.
        segments: usable segments as (start, end, label), in seconds.
        duration: annotated duration in seconds, or None.
        subset: subset as spelled in gt.json, or None.
        split: "train", "test" or another name from the annotations. Before
            discovery: the split in labels.csv, or None.
        fps: frame rate at which the features were extracted. Before
            discovery: the rate in labels.csv, or None.
        frames_per_snippet: frames from the start of one snippet to the start
            of the next. Before discovery: as in labels.csv, or None.
        video_fps: frame rate of the video as given in gt.json, or None. The
            features may have another rate.
        note: what is odd about the annotations; "" if nothing is.
        feature_files: one file, RGB then flow joined, or the two; or arrays
            inside larger files, as `tfwstal.data.feature_files` takes them.
            Empty before discovery.
    """

    video_id: str
    labels: tuple[str, ...]
    segments: tuple[tuple[float, float, str], ...] = ()
    duration: float | None = None
    subset: str | None = None
    split: str | None = None
    fps: float | None = None
    frames_per_snippet: int | None = None
    video_fps: float | None = None
    note: str = ""
    feature_files: tuple = ()


def read_lines(path):
    """Returns the non-empty lines of a text file, stripped."""
    return [line for _, line in files.numbered_lines(path)]


def unique(names):
    """Returns each name once, in order of first appearance."""
    return tuple(dict.fromkeys(names))
