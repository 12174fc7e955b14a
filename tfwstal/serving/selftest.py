"""Checks a running model server end to end, with random features.

It needs no data and no Python model: what is checked is that the server has
the model, takes videos of any length, answers a batch as it answers each video
alone, and survives a bad request.
"""

import numpy as np

from tfwstal.errors import InputError
from tfwstal.serving.connection import batch_of, detections
from tfwstal.serving.target import ServerError

LENGTHS = (1, 7, 64, 300)  # snippets
# The graph computes each video by itself, but a device may still choose another
# order for the same sums. Activations lie in [0, 1], and scores like them.
TOLERANCE = 1e-4
_SEGMENTS = {
    "class_indices",
    "labels",
    "num_detections",
    "scores",
    "segments",
}
_SIGNATURES = {
    "serving_default": ({"examples"}, _SEGMENTS),
    "features": ({"features", "num_snippets"}, _SEGMENTS),
    "activations": (
        {"features", "num_snippets"},
        {"activation", "attention", "video_scores"},
    ),
}


class _Failed(Exception):
    """What a check found instead."""


def run(client, seed=0):
    """Runs the checks and prints a line for each.

    Args:
        client: ServingClient.
        seed: of the random features.

    Raises:
        InputError: if a check failed; says how many.
        ServerError: if the server does not answer at all.
    """
    # The first two are needed for the rest, so their errors end the test.
    print(f"ok      model status: {_status(client)}")
    print(f"ok      signatures: {_signatures(client)}")
    # As I3D's last ReLU leaves them, not negative.
    rng = np.random.default_rng(seed)
    width = client.feature_dim()
    videos = [
        np.abs(rng.standard_normal((length, width))).astype(np.float32)
        for length in LENGTHS
    ]
    checks = {
        "each video alone": _alone,
        "segments of a batch as alone": _batch_segments,
        "activations of a batch as alone": _batch_activations,
        "a bad request is refused": _bad_requests,
    }
    failed = 0
    for name, check in checks.items():
        try:
            print(f"ok      {name}: {check(client, videos)}")
        except (_Failed, ServerError) as error:
            failed += 1
            print(f"FAILED  {name}: {error}")
    if failed:
        raise InputError(f"{failed} of {len(checks) + 2} checks failed")


def _status(client):
    versions = client.versions()
    text = ", ".join(f"{v} {state}" for v, state in sorted(versions.items()))
    if "AVAILABLE" not in versions.values():
        raise InputError(f"no version of the model is available: {text}")
    return text


def _signatures(client):
    found = client.signatures()
    for name, (inputs, outputs) in _SIGNATURES.items():
        there = found.get(name, {"inputs": {}, "outputs": {}})
        missing = (inputs ^ set(there["inputs"])) | (
            outputs - set(there["outputs"])
        )
        if missing:
            raise InputError(
                f"signature {name!r} differs in {', '.join(sorted(missing))}; "
                "serve what tfwstal.export wrote"
            )
    return f"{', '.join(_SIGNATURES)}; features {client.feature_dim()} wide"


def _alone(client, videos):
    counts = []
    for video in videos:
        (found,) = client.localize([video])
        scores = [each["score"] for each in found]
        if scores != sorted(scores, reverse=True):
            raise _Failed(f"{len(video)} snippets: scores are not descending")
        for each in found:
            start, end = each["segment"]
            if not (0 <= start < end and each["label"]):
                raise _Failed(f"{len(video)} snippets: {each}")
        counts.append(f"{len(found)} in {len(video)} snippets")
    return "segments found: " + ", ".join(counts)


def _batch_segments(client, videos):
    together = client.localize(videos)
    total = 0
    for video, batched in zip(videos, together, strict=True):
        (alone,) = client.localize([video])
        total += len(alone)
        if len(alone) != len(batched):
            raise _Failed(
                f"{len(video)} snippets: {len(batched)} segments, alone "
                f"{len(alone)}"
            )
        for one, other in zip(alone, batched, strict=True):
            numbers = np.array(
                [[each["score"], *each["segment"]] for each in (one, other)]
            )
            if one["label"] != other["label"] or not _close(*numbers):
                raise _Failed(f"{len(video)} snippets: {other}, alone {one}")
    return f"{total} segments in {len(videos)} videos"


def _batch_activations(client, videos):
    together = client.predict("activations", batch_of(videos))
    largest = 0.0
    for row, video in enumerate(videos):
        alone = client.predict("activations", batch_of([video]))
        for name, value in alone.items():
            # Past a video's own snippets a batch holds padding.
            length = value.shape[1]
            difference = np.abs(together[name][row, :length] - value[0]).max()
            largest = max(largest, float(difference))
    if not largest <= TOLERANCE:
        raise _Failed(f"differ by {largest:.1e}, more than {TOLERANCE:g}")
    return f"largest difference {largest:.1e}"


def _bad_requests(client, videos):
    """Each is refused as the caller's fault; then a good one is answered.

    Nothing of another rank: a server that batches may not survive that
    (https://github.com/tensorflow/serving/pull/4149).
    """
    good = batch_of(videos[1:2])
    before = detections(client.predict("features", good))
    bad = {
        "too wide": {
            **good,
            "features": np.repeat(good["features"], 2, axis=2),
        },
        "no num_snippets": {"features": good["features"]},
    }
    for name, inputs in bad.items():
        try:
            client.predict("features", inputs)
        except ServerError as error:
            if error.code != "INVALID_ARGUMENT":
                raise _Failed(f"{name}: {error.code}, {error}") from None
        else:
            raise _Failed(f"features {name} were answered")
    if detections(client.predict("features", good)) != before:
        raise _Failed("after it a good request has another answer")
    return f"{', '.join(bad)}; then a good one is answered as before"


def _close(one, other):
    return bool(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE))
