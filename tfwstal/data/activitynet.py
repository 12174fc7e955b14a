"""ActivityNet JSON: reads ground truth and detections, writes detections.

Ground truth is `{"database": {video: {"subset", "duration", "annotations":
[{"label", "segment": [start, end]}]}}}`, detections are `{"version",
"results": {video: [{"label", "score", "segment": [start, end]}]},
"external_data"}`; both as the ActivityNet challenge defines them
(http://activity-net.org/challenges/2016/guidelines.html). Times are seconds.

Segments are not compared with the file's "duration", which is wrong in the
THUMOS-14 file in circulation for videos of other than 30 frames per second.
"""

import dataclasses

from tfwstal import files
from tfwstal.data.annotations import BadSegment, Segment, VideoAnnotation
from tfwstal.data.json_fields import (
    Malformed,
    check_name,
    first_of,
    get,
    number,
    read_section,
    segment,
)
from tfwstal.errors import quoted


def read_ground_truth(path, bad_segments="error"):
    """Reads a ground-truth file. Segments of zero length are legal.

    Args:
        path: the JSON file.
        bad_segments: how to treat segments that are reversed or start before
            their video: "error"; "skip" leaves them out; "keep" keeps them,
            unless they are reversed.

    Returns:
        A pair of a dict, video id -> VideoAnnotation, in the file's order, and
        a tuple of the BadSegments, empty under "error".

    Raises:
        InputError: if the file is missing or malformed, or holds bad segments
            under "error". Names the first place and counts the others.
    """
    return parse_database(path, read_section(path, "database"), bad_segments)


def parse_database(path, database, bad_segments="error"):
    """Parses the "database" of a ground-truth file.

    Args:
        path: the file it comes from, for messages.
        database: dict video id -> {"subset", "duration", "annotations"}.
        bad_segments: as for `read_ground_truth`.

    Returns, raises:
        as `read_ground_truth`.
    """
    videos, bad, problems = {}, [], []
    for video_id, entry in database.items():
        try:
            video = _parse_video(video_id, entry)
        except Malformed as error:
            problems.append(f"video {quoted(video_id)}: {error}")
            continue
        videos[video_id] = _without_bad(video, bad_segments == "keep", bad)
    if problems:
        raise first_of(path, problems, "correct the file")
    if bad and bad_segments == "error":
        raise first_of(
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
    return parse_results(path, read_section(path, "results"), allow_reversed)


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
        InputError: if a name is unusable, a number is not finite, or the like.
            Names the first place, video and index from 0, and counts the
            others.
    """
    results, problems = {}, []
    for video_id, entries in section.items():
        try:
            check_name(video_id)
            if not isinstance(entries, list):
                raise Malformed("expected a list")
        except Malformed as error:
            problems.append(f"video {quoted(video_id)}: {error}")
            continue
        results[video_id] = []
        for i, entry in enumerate(entries):
            try:
                detection = _parse_detection(entry, allow_reversed)
                results[video_id].append(detection)
            except Malformed as error:
                problems.append(
                    f"video {quoted(video_id)}: detection {i}: {error}"
                )
    if problems:
        raise first_of(path, problems, "correct the file")
    return results


def write_detections(path, results):
    """Writes a detections file; whole, or not at all.

    Args:
        path: the JSON file; replaced if it exists.
        results: as returned by `read_detections`; numbers may be NumPy's.

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


def _parse_video(video_id, entry):
    """One VideoAnnotation with all its segments, bad ones too."""
    check_name(video_id)
    annotations = get(entry, "annotations", list)
    duration = entry.get("duration")
    return VideoAnnotation(
        video_id=video_id,
        subset=get(entry, "subset", str),
        duration=None if duration is None else number(duration, "duration"),
        segments=tuple(
            _parse_annotation(i, item) for i, item in enumerate(annotations)
        ),
        fps=_frame_rate(entry),
    )


def _parse_annotation(index, item):
    try:
        return Segment(get(item, "label", str), *segment(item))
    except Malformed as error:
        raise Malformed(f"annotation {index}: {error}") from None


def _frame_rate(entry):
    """Frames per second; None instead of an error, as few readers need it."""
    try:
        if "fps" in entry:
            rate = number(entry["fps"], "fps")
        else:
            frames = number(entry.get("frame"), "frame")
            rate = frames / number(entry.get("duration"), "duration")
    except (Malformed, ZeroDivisionError):
        return None
    return rate if 1e-3 <= rate <= 1e6 else None


def _parse_detection(entry, allow_reversed):
    start, end = segment(entry)
    if end < start and not allow_reversed:
        raise Malformed(f"segment [{start:g}, {end:g}] is reversed")
    if "score" not in entry:
        raise Malformed("has no 'score'")
    return {
        "label": get(entry, "label", str),
        "score": number(entry["score"], "score"),
        "segment": [start, end],
    }


def _without_bad(video, keep, bad):
    """`video` without its bad segments, which are appended to the list `bad`.

    `keep` keeps a segment that starts too early, but not a reversed one: no
    evaluation can handle a negative length.
    """
    segments = []
    for i, each in enumerate(video.segments):
        kept, reason = True, ""
        if each.end < each.start:
            kept, reason = False, "is reversed"
        elif each.start < 0:
            kept, reason = keep, "starts before its video"
        if reason:
            bad.append(BadSegment(video.video_id, each, reason, kept, i))
        if kept:
            segments.append(each)
    return dataclasses.replace(video, segments=tuple(segments))
