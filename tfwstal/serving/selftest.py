"""Checks a running model server end to end, with random features.

It needs neither data nor the run. It checks that the server has the model,
takes videos of any length, answers a batch as it answers each video alone, and
survives a bad request.
"""

import numpy as np

from tfwstal.errors import InputError
from tfwstal.serving import answers
from tfwstal.serving.connection import batch_of
from tfwstal.serving.target import ServerError

LENGTHS = (1, 7, 64, 300)  # snippets
# The graph computes each video by itself, but a device may still choose another
# order for the same sums. Activations are in [0, 1], and scores of that size.
TOLERANCE = 1e-4


class _Failed(Exception):
    """A check failed; the message says what it found."""


def run(server, seed=0):
    """Runs the checks and prints a line for each.

    Args:
        server: Connection.
        seed: of the random features.

    Raises:
        InputError: if a check failed; says how many.
        ServerError: if the server does not answer at all.
    """
    # The other checks need these two, so their errors end the test.
    print(f"ok      model status: {_status(server)}")
    print(f"ok      signatures: {_signatures(server)}")
    # Not negative, as I3D's last ReLU leaves them.
    rng = np.random.default_rng(seed)
    width = server.feature_dim()
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
            print(f"ok      {name}: {check(server, videos)}")
        except (_Failed, ServerError) as error:
            failed += 1
            print(f"FAILED  {name}: {error}")
    if failed:
        raise InputError(f"{failed} of {len(checks) + 2} checks failed")


def _status(server):
    versions = server.versions()
    text = ", ".join(f"{v} {state}" for v, state in sorted(versions.items()))
    if "AVAILABLE" not in versions.values():
        raise InputError(f"no version of the model is available: {text}")
    return text


def _signatures(server):
    signatures = server.signatures()
    for name, inputs in answers.INPUTS.items():
        served = signatures.get(name, {"inputs": {}, "outputs": {}})
        outputs = set(answers.OUTPUTS[name]) - answers.OPTIONAL
        missing = (inputs ^ set(served["inputs"])) | (
            outputs - set(served["outputs"])
        )
        if missing:
            raise InputError(
                f"signature {name!r} differs in {', '.join(sorted(missing))}; "
                "serve what tfwstal.export wrote"
            )
    return f"{', '.join(answers.INPUTS)}; features {server.feature_dim()} wide"


def _alone(server, videos):
    counts = []
    for video in videos:
        (found,) = server.localize([video])
        for each in found:
            start, end = each["segment"]
            if not start < end:
                raise _Failed(f"{len(video)} snippets: {each}")
        counts.append(f"{len(found)} in {len(video)} snippets")
    return "segments found: " + ", ".join(counts)


def _batch_segments(server, videos):
    together = server.localize(videos)
    total = 0
    for video, batched in zip(videos, together, strict=True):
        (alone,) = server.localize([video])
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


def _batch_activations(server, videos):
    together = server.predict("activations", batch_of(videos))
    largest = 0.0
    for row, video in enumerate(videos):
        alone = server.predict("activations", batch_of([video]))
        for name, value in alone.items():
            # Past a video's own snippets, a batch has padding.
            length = value.shape[1]
            difference = np.abs(together[name][row, :length] - value[0]).max()
            largest = max(largest, float(difference))
    if not largest <= TOLERANCE:
        raise _Failed(f"differ by {largest:.1e}, more than {TOLERANCE:g}")
    return f"largest difference {largest:.1e}"


def _bad_requests(server, videos):
    """Each is refused as the caller's fault; then a good one is answered.

    None has another rank: a server with batching may not survive that
    (https://github.com/tensorflow/serving/pull/4149).
    """
    good = batch_of(videos[1:2])
    before = answers.detections(server.predict("features", good))
    bad = {
        "too wide": {
            **good,
            "features": np.repeat(good["features"], 2, axis=2),
        },
        "no num_snippets": {"features": good["features"]},
    }
    for name, inputs in bad.items():
        try:
            server.predict("features", inputs)
        except ServerError as error:
            if error.code != "INVALID_ARGUMENT":
                raise _Failed(f"{name}: {error.code}, {error}") from None
        else:
            raise _Failed(f"features {name} were answered")
    if answers.detections(server.predict("features", good)) != before:
        raise _Failed("a good request afterwards has another answer")
    return f"{', '.join(bad)}; then a good one is answered as before"


def _close(one, other):
    return bool(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE))
