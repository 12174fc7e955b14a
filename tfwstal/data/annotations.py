"""Annotated videos: segments, and the segments that cannot be used."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Segment:
    """One action: its class and its interval in seconds."""

    label: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class VideoAnnotation:
    """One video of the ground truth.

    Attributes:
        video_id: name of the video.
        subset: as the file spells it: "test", "Validation", ...
        duration: in seconds as the file has it, right or not; None if absent.
        segments: the actions, in the file's order.
        fps: frames per second, from "fps" (ActionFormer) or from "frame" and
            "duration" (OpenTAD); None if the file has neither.
    """

    video_id: str
    subset: str
    duration: float | None
    segments: tuple[Segment, ...]
    fps: float | None = None


@dataclasses.dataclass(frozen=True)
class BadSegment:
    """A segment that is reversed or starts before its video.

    Attributes:
        video_id: name of the video.
        segment: as the file has it, in seconds.
        reason: end of a sentence, "is reversed".
        kept: whether the video's segments include it nevertheless.
        index: its place among the video's annotations, from 0, if known.
    """

    video_id: str
    segment: Segment
    reason: str
    kept: bool
    index: int | None = None

    def __str__(self):
        segment = self.segment
        place = "" if self.index is None else f"annotation {self.index}: "
        return (
            f"video {self.video_id!r}: {place}segment [{segment.start:g}, "
            f"{segment.end:g}] of {segment.label!r} {self.reason}"
        )
