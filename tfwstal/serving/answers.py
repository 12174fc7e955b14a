"""Checks the answers of a model server, whichever transport carried them.

A server may run another model, or a proxy may answer in its place. Everything
that the client reads from an answer is checked here first: names, dtypes,
shapes, counts, that numbers are finite, and that segments are inside the video.
"""

import numpy as np

from tfwstal.data.names import name_problem
from tfwstal.errors import quoted

_SEGMENTS = {
    "segments": ("floats", "BN2"),
    "labels": ("strings", "BN"),
    "class_indices": ("integers", "BN"),
    "scores": ("floats", "BN"),
    "num_detections": ("integers", "B"),
    "seconds_per_snippet": ("floats", "B"),
}
# Kind and shape of each output: B videos, N places for segments, T snippets,
# C classes with the background; digits are themselves.
OUTPUTS = {
    "serving_default": _SEGMENTS,
    "features": _SEGMENTS,
    "activations": {
        "attention": ("floats", "BT3"),
        "activation": ("floats", "BT3C"),
        "video_scores": ("floats", "B3C"),
    },
}
INPUTS = {
    "serving_default": {"examples"},
    "features": {"features", "num_snippets"},
    "activations": {"features", "num_snippets"},
}
# Versions exported before this output existed are served still.
OPTIONAL = {"seconds_per_snippet"}


class Malformed(ValueError):
    """An answer of a wrong form; the message is the end of a sentence."""


def checked(signature, outputs, num_videos, num_snippets=None):
    """The outputs of a signature, once everything in them is checked.

    Args:
        signature: a key of OUTPUTS.
        outputs: dict of arrays as they arrived; strings as objects.
        num_videos: B of the request.
        num_snippets: [B] of the request, if known.

    Returns:
        dict of arrays: float32, int32, and bytes as objects.

    Raises:
        Malformed: for the first fault.
    """
    arrays, sizes = {}, {"B": num_videos}
    for name, (kind, dimensions) in OUTPUTS[signature].items():
        if name in outputs:
            arrays[name] = _KINDS[kind](name, outputs[name])
            _check_shape(name, arrays[name].shape, dimensions, sizes)
        elif name not in OPTIONAL:
            raise Malformed(f"output {name!r} is missing")
    if signature == "activations":
        longest = 0 if num_snippets is None else max(num_snippets)
        if sizes["T"] < longest:
            raise Malformed(f"{sizes['T']} snippets instead of {longest}")
    else:
        _check_detections(arrays, num_snippets)
    return arrays


def detections(arrays):
    """The segments of a batch.

    Args:
        arrays: of the signatures `features` and `serving_default`, as `checked`
            returns them.

    Returns:
        for each video a list of {"label", "score", "segment": [start, end]} in
        seconds, best first.
    """
    return [
        [
            {
                "label": arrays["labels"][row, i].decode(),
                "score": float(arrays["scores"][row, i]),
                "segment": [float(t) for t in arrays["segments"][row, i]],
            }
            for i in range(count)
        ]
        for row, count in enumerate(arrays["num_detections"])
    ]


def _floats(name, array):
    if array.dtype.kind not in "fi":
        raise Malformed(f"output {name!r} holds {array.dtype}, not floats")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise Malformed(f"output {name!r} holds NaN or infinite values")
    return array


def _integers(name, array):
    if array.dtype.kind != "i":
        raise Malformed(f"output {name!r} holds {array.dtype}, not integers")
    limits = np.iinfo(np.int32)
    if ((array < limits.min) | (array > limits.max)).any():
        raise Malformed(f"output {name!r} holds more than an int32 can")
    return array.astype(np.int32)


def _strings(name, array):
    if not all(isinstance(each, bytes) for each in array.flat):
        raise Malformed(f"output {name!r} holds something else than strings")
    return array


_KINDS = {"floats": _floats, "integers": _integers, "strings": _strings}


def _check_shape(name, shape, dimensions, sizes):
    """Compares a shape with its letters; a new letter gets its size here."""
    fits = len(shape) == len(dimensions) and all(
        size == (int(letter) if letter.isdigit() else sizes.get(letter, size))
        for letter, size in zip(dimensions, shape, strict=True)
    )
    if not fits:
        expected = [
            letter if letter.isdigit() else str(sizes.get(letter, letter))
            for letter in dimensions
        ]
        raise Malformed(
            f"output {name!r} has shape {list(shape)}, not "
            f"[{', '.join(expected)}]"
        )
    sizes.update(zip(dimensions, shape, strict=True))


def _check_detections(arrays, num_snippets):
    counts, places = arrays["num_detections"], arrays["scores"].shape[1]
    if ((counts < 0) | (counts > places)).any():
        raise Malformed(f"counts {counts.tolist()} for {places} places")
    counted = np.arange(places) < counts[:, np.newaxis]  # [B, N]
    start, end = np.moveaxis(arrays["segments"], -1, 0)  # [B, N] each
    if (counted & ~((start >= 0) & (start <= end))).any():
        raise Malformed("a segment is reversed or starts before its video")
    scale = arrays.get("seconds_per_snippet")
    if scale is not None and num_snippets is not None:
        # A last snippet's end is rounded to float32.
        length = np.asarray(num_snippets) * scale.astype(np.float64)
        if (counted & (end > length[:, np.newaxis] * (1 + 1e-5))).any():
            raise Malformed("a segment ends after its video")
    if (counted[:, 1:] & (np.diff(arrays["scores"]) > 0)).any():
        raise Malformed("the scores are not in descending order")
    for label in set(arrays["labels"][counted]):
        problem = name_problem(label.decode())  # UnicodeError: a ValueError
        if problem:
            raise Malformed(f"label {quoted(label.decode())} {problem}")
