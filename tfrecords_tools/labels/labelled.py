"""One annotated video, and the parts that all readers need."""

import dataclasses

from tfwstal import files


@dataclasses.dataclass(frozen=True)
class LabelledVideo:
    """One video of an annotation file.

    Attributes:
        video_id: as the file has it.
        labels: its actions, each once.
        segments: (start, end, label), seconds; those that can be used.
        duration: seconds as annotated, or None.
        subset: as gt.json spells it, or None.
        split: as labels.csv states it, or None.
        fps: of the features, as labels.csv states it, or None.
        frames_per_snippet: likewise.
        video_fps: of the video, as gt.json states it, or None. Features may
            be of another rate.
        note: what is odd about it; "" if nothing is.
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


def read_lines(path):
    """The lines of a text file that hold something, stripped."""
    return [line for _, line in files.numbered_lines(path)]


def unique(names):
    """The names in order of appearance, each once."""
    return tuple(dict.fromkeys(names))
