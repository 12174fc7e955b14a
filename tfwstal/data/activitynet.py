"""The ActivityNet JSON files, ground truth and detections: read and written.

Ground truth is `{"database": {video: {"subset", "duration", "annotations":
[{"label", "segment": [start, end]}]}}}`, detections are `{"version",
"results": {video: [{"label", "score", "segment": [start, end]}]},
"external_data"}`; both as the ActivityNet challenge defines them
(http://activity-net.org/challenges/2016/guidelines.html). Times are seconds.

Segments are not compared with the file's "duration": for the THUMOS videos
that do not run at 30 frames per second the file in circulation has it wrong.
"""

import dataclasses
import json
import math
import pathlib
import reprlib

from tfwstal import files
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError

# Seconds and scores beyond this (30 years) are mistakes, and would overflow
# the microseconds of a record.
_MOST = 1e9


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
            "duration" (OpenTAD); None where they do not tell.
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
        kept: whether it stands among the video's segments nevertheless.
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


def read_ground_truth(path, bad_segments="error"):
    """Reads a ground-truth file. Segments of zero length are legal.

    Args:
        path: the JSON file.
        bad_segments: what becomes of a segment that is reversed or starts
            before its video: "error"; "skip" leaves it out; "keep" keeps it,
            unless it is reversed.

    Returns:
        A pair of a dict, video id -> VideoAnnotation, in the file's order, and
        a tuple of the BadSegments, empty under "error".

    Raises:
        InputError: if the file is missing or malformed, or holds bad segments
            under "error". Names the first place and counts the others.
    """
    return parse_database(path, _read_section(path, "database"), bad_segments)


def parse_database(path, database, bad_segments="error"):
    """Parses what stands under "database" in a ground-truth file.

    Args:
        path: where it comes from, for messages.
        database: dict video id -> {"subset", "duration", "annotations"}.
        bad_segments: as for `read_ground_truth`.

    Returns, raises:
        as `read_ground_truth`.
    """
    videos, bad, problems = {}, [], []
    for video_id, entry in database.items():
        try:
            video = _parse_video(video_id, entry)
        except _Malformed as error:
            problems.append(f"video {video_id!r}: {error}")
            continue
        videos[video_id] = _without_bad(video, bad_segments == "keep", bad)
    if problems:
        raise _first_of(path, problems, "correct the file")
    if bad and bad_segments == "error":
        raise _first_of(
            path,
            [str(b) for b in bad],
            "correct the file, or leave such segments out with "
            "--bad_segments=skip",
        )
    return videos, tuple(bad)


def read_detections(path, allow_reversed=False):
    """Reads a detections file.

    Args, returns and raises: as `parse_results`, of the file's "results".
    """
    return parse_results(path, _read_section(path, "results"), allow_reversed)


def parse_results(path, section, allow_reversed=False):
    """Parses detections by video.

    Args:
        path: the file they come from, for messages.
        section: dict video id -> list of {"label", "score", "segment"}.
        allow_reversed: whether a segment may end before it starts.

    Returns:
        dict video id -> list of {"label": str, "score": float, "segment":
        [start, end] in seconds}, in the file's order.

    Raises:
        InputError: if a number is not finite, or the like. Names the first
            place, video and index from 0, and counts the others.
    """
    results, problems = {}, []
    for video_id, entries in section.items():
        if not isinstance(entries, list):
            problems.append(f"video {video_id!r}: expected a list")
            continue
        results[video_id] = []
        for i, entry in enumerate(entries):
            try:
                found = _parse_detection(entry, allow_reversed)
                results[video_id].append(found)
            except _Malformed as error:
                problems.append(f"video {video_id!r}: detection {i}: {error}")
    if problems:
        raise _first_of(path, problems, "correct the file")
    return results


def write_detections(path, results):
    """Writes a detections file; whole, or not at all.

    Args:
        path: the JSON file; replaced if it exists.
        results: as from `read_detections`; numbers may be NumPy's.

    Raises:
        InputError: if the file cannot be written.
    """
    files.write_json(
        path,
        {
            "version": "VERSION 1.3",
            "results": {
                video_id: [
                    {
                        "label": str(entry["label"]),
                        "score": float(entry["score"]),
                        "segment": [float(t) for t in entry["segment"]],
                    }
                    for entry in entries
                ]
                for video_id, entries in results.items()
            },
            # The challenge asks for data beyond its own training videos.
            "external_data": {
                "used": True,
                "details": "Features of a pretrained I3D network",
            },
        },
    )


class _Malformed(Exception):
    """What is wrong with one entry of a file, as the end of a sentence."""


def _read_section(path, key):
    """The object under `key` of the JSON object in a file."""
    try:
        content = json.loads(
            pathlib.Path(path).read_bytes(),
            object_pairs_hook=_without_duplicates,
        )
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except _Malformed as error:
        raise InputError(f"{path}: {error}; remove one of the two") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is not JSON ({error}); an ActivityNet JSON file is needed"
        ) from None
    section = content.get(key) if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise InputError(
            f"{path}: has no object {key!r}; an ActivityNet JSON file with "
            f'{{"{key}": {{video: ...}}}} is needed'
        )
    return section


def _without_duplicates(pairs):
    """A JSON object; Python's own reader silently keeps the last of equals."""
    content = dict(pairs)
    if len(content) != len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise _Malformed(f"{key!r} stands twice in one object")
            seen.add(key)
    return content


def _parse_video(video_id, entry):
    """One VideoAnnotation with all its segments, bad ones too."""
    if name_problem(video_id):
        raise _Malformed(f"its name {name_problem(video_id)}")
    annotations = _get(entry, "annotations", list)
    duration = entry.get("duration")
    return VideoAnnotation(
        video_id=video_id,
        subset=_get(entry, "subset", str),
        duration=None if duration is None else _number(duration, "duration"),
        segments=tuple(
            _parse_annotation(i, item) for i, item in enumerate(annotations)
        ),
        fps=_frame_rate(entry),
    )


def _parse_annotation(index, item):
    try:
        return Segment(_get(item, "label", str), *_segment(item))
    except _Malformed as error:
        raise _Malformed(f"annotation {index}: {error}") from None


def _frame_rate(entry):
    """Frames per second; None rather than an error, as few readers ask."""
    try:
        if "fps" in entry:
            rate = _number(entry["fps"], "fps")
        else:
            frames = _number(entry.get("frame"), "frame")
            rate = frames / _number(entry.get("duration"), "duration")
    except (_Malformed, ZeroDivisionError):
        return None
    return rate if 1e-3 <= rate <= 1e6 else None


def _parse_detection(entry, allow_reversed):
    start, end = _segment(entry)
    if end < start and not allow_reversed:
        raise _Malformed(f"segment [{start:g}, {end:g}] is reversed")
    if "score" not in entry:
        raise _Malformed("has no 'score'")
    return {
        "label": _get(entry, "label", str),
        "score": _number(entry["score"], "score"),
        "segment": [start, end],
    }


def _without_bad(video, keep, bad):
    """`video` without its bad segments, which are appended to the list `bad`.

    `keep` keeps a segment that starts too early, but not a reversed one: no
    evaluation can make sense of a negative length.
    """
    segments = []
    for i, segment in enumerate(video.segments):
        kept, reason = True, ""
        if segment.end < segment.start:
            kept, reason = False, "is reversed"
        elif segment.start < 0:
            kept, reason = keep, "starts before its video"
        if reason:
            bad.append(BadSegment(video.video_id, segment, reason, kept, i))
        if kept:
            segments.append(segment)
    return dataclasses.replace(video, segments=tuple(segments))


def _get(entry, key, kind):
    """entry[key], if it is a non-empty string or a list, as `kind` asks."""
    noun = "text" if kind is str else "list"
    if not isinstance(entry, dict) or key not in entry:
        raise _Malformed(f"has no {key!r}")
    value = entry[key]
    if not isinstance(value, kind) or value == "":
        raise _Malformed(f"{key!r} is {_short(value)}, not a {noun}")
    if kind is str and name_problem(value):
        raise _Malformed(f"{key!r}, {_short(value)}, {name_problem(value)}")
    return value


def _segment(entry):
    """(start, end) of an entry in seconds, finite."""
    value = _get(entry, "segment", list)
    if len(value) != 2:
        raise _Malformed(f"'segment' is {_short(value)}, not [start, end]")
    return tuple(_number(time, "segment") for time in value)


def _number(value, name):
    """A finite float; "18.6" in quotes is accepted, as some files have it."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _Malformed(f"{name!r} holds {_short(value)}, not a finite number")
    if abs(number) > _MOST:
        raise _Malformed(f"{name!r} holds {_short(value)}, beyond all reason")
    return number


def _short(value):
    # The limits of reprlib: W-TALC's lists may hold one another many times.
    plain = isinstance(value, (str, int, float))
    text = repr(value) if plain else reprlib.repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _first_of(path, problems, remedy):
    """An InputError with the first problem and the number of the others."""
    others = len(problems) - 1
    count = f" (and {others} more like it in the file)" if others else ""
    return InputError(f"{path}: {problems[0]}{count}; {remedy}")
