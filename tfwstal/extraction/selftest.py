"""I3D against DeepMind's own clip, weights and logits.

A checkout of https://github.com/google-deepmind/kinetics-i3d with its weights
holds, for both streams, the clip `data/v_CricketShot_g04_c01_STREAM.npy`, the
checkpoint `data/checkpoints/STREAM_imagenet/model.ckpt`, and in
`out/imagenet_STREAM.txt` what its own code prints for them.
"""

import pathlib

import numpy as np
import tensorflow as tf

from tfwstal.errors import InputError
from tfwstal.extraction import weights

# Of the largest logit; other kernels sum in another order.
TOLERANCE = 1e-3


def run(checkout):
    """Compares both streams.

    Args:
        checkout: the folder of kinetics-i3d.

    Returns:
        list of lines, a stream each, that tell the figures.

    Raises:
        InputError: if a file is missing, or a stream's logits are others.
    """
    root = pathlib.Path(checkout)
    return [_compare(root, stream) for stream in ("rgb", "flow")]


def _compare(root, stream):
    clip = _read_clip(root / f"data/v_CricketShot_g04_c01_{stream}.npy", stream)
    model, _ = weights.load(
        root / f"data/checkpoints/{stream}_imagenet/model.ckpt", stream
    )
    classes = _read_text(root / "data/label_map.txt").splitlines()
    path = root / f"out/imagenet_{stream}.txt"
    norm, expected = _read_expected(path)
    logits = model.endpoints(tf.constant(clip))["logits"][0].numpy()
    unknown = expected.keys() - set(classes)
    if unknown or len(classes) != len(logits):
        raise InputError(
            f"{root / 'data/label_map.txt'} does not fit {path.name} and the "
            "checkpoint; check the checkout out again"
        )
    ours = {name: float(logits[classes.index(name)]) for name in expected}
    largest = max(abs(value) for value in expected.values())
    error = max(abs(ours[name] - expected[name]) for name in expected) / largest
    norm_error = abs(float(np.linalg.norm(logits)) - norm) / norm
    best = max(expected, key=expected.get)
    line = (
        f"{stream}: {best!r} {ours[best]:.6f}, published {expected[best]:.6f}; "
        f"largest difference of {len(expected)} logits {error:.1e} of the "
        f"largest one, of the norm of all {norm_error:.1e}"
    )
    if not max(error, norm_error) <= TOLERANCE:
        raise InputError(
            f"{line}; at most {TOLERANCE:g} is allowed: these weights, or this "
            "network, are not what was published"
        )
    return line


def _read_clip(path, stream):
    """[1, frames, H, W, channels] float32."""
    try:
        clip = np.load(path, allow_pickle=False)
    except OSError as error:
        raise _missing(path, error) from None
    except (ValueError, EOFError):
        raise InputError(f"{path} is not a whole .npy; copy it again") from None
    channels = {"rgb": 3, "flow": 2}[stream]
    if clip.ndim != 5 or clip.shape[-1] != channels:
        raise InputError(
            f"{path} has the shape {clip.shape}, not [1, frames, height, "
            f"width, {channels}]; copy it again"
        )
    return clip.astype(np.float32)


def _read_expected(path):
    """The norm of all logits, and dict class -> logit of the best ones."""
    lines = _read_text(path).splitlines()
    try:
        (norm,) = [
            float(line.removeprefix("Norm of logits: "))
            for line in lines
            if line.startswith("Norm of logits: ")
        ]
        start = lines.index("Top classes and probabilities") + 1
        rows = [line.split(maxsplit=2) for line in lines[start:] if line]
        return norm, {name: float(logit) for _, logit, name in rows}
    except ValueError:
        raise InputError(
            f"{path} is not what evaluate_sample.py prints; check the checkout "
            "out again"
        ) from None


def _read_text(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _missing(path, error) from None


def _missing(path, error):
    return InputError(
        f"{path} cannot be read ({error.strerror}); --selftest needs a "
        "checkout of github.com/google-deepmind/kinetics-i3d"
    )
