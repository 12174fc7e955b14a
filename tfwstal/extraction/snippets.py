"""Frames and flows -> snippets of a fixed number of frames.

n frames have n - 1 flows, one from each frame to the next. The last flow is
repeated, so that n frames have n flows and both streams have n // S snippets;
otherwise a film of exactly k S frames would have k snippets of RGB and k - 1
of flow. Frames behind the last whole snippet are left out.
"""

import dataclasses

import numpy as np

from tfwstal.errors import InputError
from tfwstal.extraction.pictures import centre


@dataclasses.dataclass
class Count:
    """What `cut` has seen: frames in all, and those it left out."""

    frames: int = 0
    left_out: int = 0


def with_flow(frames, flow):
    """Yields (frame, flow to the next one) of each frame.

    Args:
        frames: iterable of uint8 [H, W, 3].
        flow: a flow.Flow.

    Raises:
        InputError: if there is but one frame.
    """
    held = values = None
    for frame in frames:
        found = flow(frame)
        if held is not None:
            values = found
            yield held, values
        held = frame
    if held is not None:
        if values is None:
            raise InputError("it has a single frame, and flow needs two")
        yield held, values


def with_flow_pictures(frames, flows, num_frames, num_flows):
    """Yields (frame, flow) from pictures; a missing last flow is repeated.

    Args:
        frames: iterable of uint8 [H, W, 3], or None for flow alone.
        flows: iterable of float32 [H, W, 2].
        num_frames: of `frames`.
        num_flows: of `flows`; as many as frames or one less.

    Raises:
        InputError: for other numbers.
    """
    if frames is None:
        for values in flows:
            yield None, values
        return
    if num_frames - num_flows not in (0, 1) or not num_flows:
        raise InputError(
            f"it has {num_frames} frames and {num_flows} flows; as many or "
            "one less are needed"
        )
    flows = iter(flows)
    values = None
    for frame in frames:
        values = next(flows, values)
        yield frame, values


def cut(pairs, frames_per_snippet, crop_size, count):
    """Yields snippets of the pictures' centres.

    Args:
        pairs: iterable of (frame or None, flow or None).
        frames_per_snippet: S.
        crop_size: c, pixels.
        count: Count, kept up to date.

    Yields:
        (uint8 [S, c, c, 3] or None, float32 [S, c, c, 2] or None).

    Raises:
        InputError: if there is not one whole snippet.
    """
    held = []
    for pair in pairs:
        # Copies: a view would keep the whole frame.
        held.append(
            [None if p is None else centre(p, crop_size).copy() for p in pair]
        )
        count.frames += 1
        if len(held) == frames_per_snippet:
            yield tuple(
                None if stream[0] is None else np.stack(stream)
                for stream in zip(*held, strict=True)
            )
            held = []
    count.left_out = len(held)
    if count.frames < frames_per_snippet:
        raise InputError(
            f"it has {count.frames} frames, fewer than the "
            f"{frames_per_snippet} of one snippet"
        )
