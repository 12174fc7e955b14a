"""From a film's own frame times to a fixed frame rate."""

import collections
import math

from tfwstal.errors import InputError

# Longer than any still picture that a recorder leaves out, shorter than what
# a damaged clock jumps by.
_LONGEST_GAP_SECONDS = 600.0
# What rounding may add to a time that lies halfway between two frames.
_TIE_SECONDS = 1e-9


def at_frame_rate(frames, fps):
    """Chooses the frame nearest to each multiple of 1 / fps seconds.

    Times count, not numbers of frames: 30, 23.976 or a variable number of
    frames a second become `fps` without drift. Of two frames that are equally
    near the earlier one is taken. A film of s seconds gives the whole number
    of frames nearest to s * fps, at least one.

    Args:
        frames: iterable of (start, end, frame), seconds, in ascending order;
            the first start is time 0, and one that does not ascend is
            passed over. Only neighbours are held.
        fps: frames a second.

    Yields:
        frames, some of them more than once or not at all.

    Raises:
        InputError: if times jump by more than ten minutes.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return
    zero, end, held = first
    start, end = 0.0, end - zero
    chosen, number = collections.deque(), 0
    for next_start, next_end, frame in frames:
        next_start -= zero
        if next_start <= start:
            continue
        if next_start - start > _LONGEST_GAP_SECONDS:
            raise InputError(
                f"its frame times jump from {start:.1f} s to {next_start:.1f} "
                "s; re-encode it (ffmpeg -i FILM NEW.mp4)"
            )
        middle = (start + next_start) / 2 + _TIE_SECONDS
        while (number + len(chosen)) / fps <= middle:
            chosen.append(held)
        # Not those that the film may turn out to be too short for.
        while chosen and number < _whole_frames(next_start, fps):
            yield chosen.popleft()
            number += 1
        start, end, held = next_start, next_end - zero, frame
    total = max(1, _whole_frames(max(end, start), fps))
    while number < total:
        yield chosen.popleft() if chosen else held
        number += 1


def _whole_frames(seconds, fps):
    """Half a frame and more counts as one."""
    return math.floor((seconds + _TIE_SECONDS) * fps + 0.5)
