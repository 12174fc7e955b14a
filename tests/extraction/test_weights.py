"""Checkpoints with the published names and shapes, and with wrong ones."""

import hashlib
import importlib.util
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import SHARED
from tests.extraction.random_weights import random_values, write_checkpoint
from tfwstal.errors import InputError
from tfwstal.extraction import i3d, weights

PREFIX = {"rgb": "RGB/inception_i3d/", "flow": "Flow/inception_i3d/"}
HAS_TORCH = importlib.util.find_spec("torch") is not None


def published_shapes(stream):
    """Shapes from the published list if available, else from our model."""
    path = SHARED / "i3d" / f"checkpoint_variables_{stream}.json"
    if path.is_file():
        return {n: tuple(s) for n, s in json.loads(path.read_text()).items()}
    return {
        PREFIX[stream] + name: tuple(variable.shape)
        for name, variable in i3d.I3D(stream).published_variables().items()
    }


@pytest.fixture(scope="module")
def published():
    """Random values under the published names: dict stream -> dict."""
    return {
        stream: random_values(published_shapes(stream), seed=index)
        for index, stream in enumerate(PREFIX)
    }


@pytest.fixture(scope="module")
def folders(published, tmp_path_factory):
    """dict stream -> folder of its checkpoint, as published."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for stream, values in published.items():
        (folder / stream).mkdir()
        write_checkpoint(folder / stream / "model.ckpt", values)
    return {stream: folder / stream for stream in published}


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_a_checkpoint_is_read_whole(published, folders, stream):
    model, loaded = weights.load(folders[stream] / "model.ckpt", stream)
    for name, variable in model.published_variables().items():
        np.testing.assert_array_equal(
            variable, published[stream][PREFIX[stream] + name]
        )
    (data,) = folders[stream].glob("*.data-*")
    assert loaded.sha256 == hashlib.sha256(data.read_bytes()).hexdigest()
    assert loaded.source == "model.ckpt.data-00000-of-00001"


@pytest.mark.parametrize("given", ["model.ckpt.index", ""])
def test_ways_to_name_a_checkpoint(folders, given):
    loaded = weights.read_checkpoint(folders["rgb"] / given, "rgb")
    assert len(loaded.values) == 230


@pytest.fixture
def rgb(published):
    return dict(published["rgb"])


BETA = "RGB/inception_i3d/Mixed_4c/Branch_2/Conv3d_0b_3x3/batch_norm/beta"


def test_what_does_not_fit_is_named(rgb, tmp_path):
    mean = BETA.replace("beta", "moving_mean")
    rgb["RGB/inception_i3d/global_step"] = np.float32(3)
    rgb[mean] = np.zeros(63, np.float32)
    del rgb[BETA]
    write_checkpoint(tmp_path / "model.ckpt", rgb)
    with pytest.raises(InputError) as caught:
        weights.load(tmp_path / "model.ckpt", "rgb")
    short = BETA.removeprefix(PREFIX["rgb"])
    assert f"{short} is missing" in str(caught.value)
    assert "global_step is left over" in str(caught.value)
    assert (
        f"{short.replace('beta', 'moving_mean')} has the shape [63], not [64]"
        in str(caught.value)
    )


def test_many_that_do_not_fit_are_counted(rgb, tmp_path):
    kept = {name: value for name, value in rgb.items() if "Mixed" not in name}
    write_checkpoint(tmp_path / "model.ckpt", kept)
    # 9 modules of 6 convolutions with 4 variables are missing: 216, of which
    # 5 are named.
    with pytest.raises(InputError, match=r"and 211 more\)"):
        weights.load(tmp_path / "model.ckpt", "rgb")


def test_the_other_streams_checkpoint(folders):
    with pytest.raises(InputError, match="of the rgb stream; give it as --rgb"):
        weights.load(folders["rgb"], "flow")


def test_missing_and_damaged_checkpoints(rgb, tmp_path):
    with pytest.raises(InputError, match="model.ckpt.index and"):
        weights.load(tmp_path / "model.ckpt", "rgb")
    with pytest.raises(InputError, match="holds 0 checkpoints"):
        weights.load(tmp_path, "rgb")
    write_checkpoint(tmp_path / "model.ckpt", rgb)
    (data,) = tmp_path.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read as a TensorFlow"):
        weights.load(tmp_path / "model.ckpt", "rgb")
    (tmp_path / "model.ckpt.index").write_bytes(b"no index")
    with pytest.raises(InputError, match="cannot be read as a TensorFlow"):
        weights.load(tmp_path / "model.ckpt", "rgb")


def test_without_torch_a_pt_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "rgb.pt").write_bytes(b"")
    with pytest.raises(InputError, match="needs PyTorch; install it"):
        weights.load(tmp_path / "rgb.pt", "rgb")
    with pytest.raises(InputError, match="is not a file"):
        weights.load(tmp_path / "none.pt", "rgb")


def as_port(values, rng):
    """Published values under the port's keys, with gammas that are not 1."""
    scopes = {scope: module for module, scope in weights.port_names().items()}
    stored, gammas = {}, {}
    for name, value in values.items():
        scope, layer, kind = name.rsplit("/", 2)
        module = scopes[scope]
        if kind == "w":
            stored[f"{module}.conv3d.weight"] = value.transpose(4, 3, 0, 1, 2)
            if scope != i3d.LOGITS:
                gamma = rng.uniform(0.5, 2.0, value.shape[-1]) * rng.choice(
                    [-1, 1], value.shape[-1]
                )
                gammas[scope] = gamma.astype(np.float32)
                stored[f"{module}.bn.weight"] = gammas[scope]
                stored[f"{module}.bn.num_batches_tracked"] = np.array(7)
        else:
            kinds = {
                "b": "conv3d.bias",
                "beta": "bn.bias",
                "moving_mean": "bn.running_mean",
                "moving_variance": "bn.running_var",
            }
            stored[f"{module}.{kinds[kind]}"] = value
    return stored, gammas


@pytest.fixture
def port(rgb, tmp_path, monkeypatch):
    """The port's stored values; replaces torch's loader."""
    values = {n.removeprefix(PREFIX["rgb"]): v for n, v in rgb.items()}
    stored, gammas = as_port(values, np.random.default_rng(0))
    monkeypatch.setattr(weights, "_load_port", lambda path, stream: stored)
    (tmp_path / "rgb.pt").write_bytes(b"stand-in")
    return tmp_path / "rgb.pt", values, stored, gammas


def test_the_ports_gamma_goes_into_the_convolution(port):
    path, values, _, gammas = port
    model, loaded = weights.load(path, "rgb")
    assert loaded.sha256 == hashlib.sha256(b"stand-in").hexdigest()
    rng = np.random.default_rng(1)
    for layer in model.steps[:1] + model.steps[5].branches[2]:
        scope = layer.scope
        channels = layer.conv_3d.kernel.shape[3]
        clip = rng.normal(size=(1, 4, 6, 6, channels)).astype(np.float32)
        # What the port computes: gamma (w x - mean) / sqrt(var + eps) + beta.
        kernel = values[f"{scope}/conv_3d/w"]
        product = tf.nn.conv3d(
            clip, kernel, [1, *[layer.conv_3d.strides[0]] * 3, 1], "SAME"
        )
        part = {
            kind: values[f"{scope}/batch_norm/{kind}"]
            for kind in ("beta", "moving_mean", "moving_variance")
        }
        expected = np.maximum(
            gammas[scope]
            * (product - part["moving_mean"])
            / np.sqrt(part["moving_variance"] + 0.001)
            + part["beta"],
            0,
        )
        np.testing.assert_allclose(
            layer(clip), expected, atol=1e-5 * np.abs(expected).max()
        )


def test_the_ports_keys_are_all_accounted_for(port):
    path, _, stored, _ = port
    stored["Mixed_3b.b1a.conv3d.bias"] = np.zeros(96, np.float32)
    stored["Mixed_9z.b0.bn.bias"] = np.zeros(5, np.float32)
    del stored["Mixed_5b.b2b.bn.running_var"]
    with pytest.raises(InputError) as caught:
        weights.load(path, "rgb")
    for problem in (
        "Mixed_3b/Branch_1/Conv3d_0a_1x1/conv_3d/b is left over",
        "Mixed_9z.b0.bn.bias is left over",
        "Mixed_5b/Branch_2/Conv3d_0a_3x3/batch_norm/moving_variance is missing",
    ):
        assert problem in str(caught.value)


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
def test_a_pt_of_torch_is_read(rgb, tmp_path):
    import torch

    values = {n.removeprefix(PREFIX["rgb"]): v for n, v in rgb.items()}
    stored, _ = as_port(values, np.random.default_rng(0))
    torch.save(
        {
            key: torch.from_numpy(np.ascontiguousarray(value))
            for key, value in stored.items()
        },
        tmp_path / "rgb.pt",
    )
    model, _ = weights.load(tmp_path / "rgb.pt", "rgb")
    np.testing.assert_array_equal(
        model.logits.bias, values[f"{i3d.LOGITS}/conv_3d/b"]
    )
    (tmp_path / "bad.pt").write_bytes(b"no archive")
    with pytest.raises(InputError, match="is not a .pt of plain weights"):
        weights.load(tmp_path / "bad.pt", "rgb")
