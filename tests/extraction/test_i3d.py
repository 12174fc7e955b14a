"""I3D against DeepMind's variables and against loops with SAME padding."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import assert_close
from tests.extraction.random_weights import randomize
from tests.reference import i3d as reference
from tfwstal.extraction import i3d


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_variables_are_the_published_ones(shared_data, stream):
    path = shared_data / "i3d" / f"checkpoint_variables_{stream}.json"
    prefix = {"rgb": "RGB", "flow": "Flow"}[stream]
    ours = {
        f"{prefix}/inception_i3d/{name}": list(variable.shape)
        for name, variable in i3d.I3D(stream).published_variables().items()
    }
    assert ours == json.loads(path.read_text())
    assert len(ours) == 230


def test_every_variable_is_a_published_one():
    model = i3d.I3D("flow", num_classes=7)
    assert len(model.weights) == 230
    ids = {id(each) for each in model.published_variables().values()}
    assert {id(each) for each in model.weights} == ids


# Strides that divide the size or not: SAME pads 5 or 6 for a kernel of 7, and
# if that is odd, one more behind than before.
@pytest.mark.parametrize("shape", [(6, 8, 5), (5, 7, 8)])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (1, 1)])
def test_a_unit_is_the_loop(shape, kernel, stride):
    rng = np.random.default_rng(0)
    unit = i3d.Unit("a/b", 3, kernel, stride)
    unit.build((None, None, None, None, 2))
    values = {
        name: rng.uniform(0.2, 1.0, variable.shape) * rng.choice([-1, 1])
        if not name.endswith("variance")
        else rng.uniform(0.2, 1.0, variable.shape)
        for name, variable in unit.published_variables().items()
    }
    for name, variable in unit.published_variables().items():
        variable.assign(values[name])
    inputs = rng.normal(size=(2, *shape, 2))
    expected = reference.unit(
        inputs,
        values["a/b/conv_3d/w"],
        values["a/b/batch_norm/beta"],
        values["a/b/batch_norm/moving_mean"],
        values["a/b/batch_norm/moving_variance"],
        stride,
    )
    assert_close(unit(tf.constant(inputs, tf.float32)), expected)


@pytest.mark.parametrize("shape", [(6, 8, 5), (5, 7, 8)])
@pytest.mark.parametrize(
    "endpoint", [e for e in i3d.ENDPOINTS if isinstance(e, i3d.MaxPool)]
)
def test_a_max_pool_is_the_loop(shape, endpoint):
    # Negative values: zero padding, as in ports, would be the maximum.
    inputs = -np.random.default_rng(1).uniform(1, 2, (2, *shape, 3))
    layer = i3d._layer(endpoint)
    expected = reference.max_pool(inputs, endpoint.kernel, endpoint.stride)
    assert_close(layer(tf.constant(inputs, tf.float32)), expected)


@pytest.fixture(scope="module")
def model():
    return randomize(i3d.I3D("rgb", num_classes=5), seed=3)


@pytest.fixture(scope="module")
def found(model):
    clips = np.random.default_rng(5).uniform(-1, 1, (2, 20, 33, 40, 3))
    return model.endpoints(tf.constant(clips, tf.float32)), clips


def test_sizes_follow_from_same_padding(found):
    ends, _ = found
    # Halved and rounded up: 33 -> 17 -> 9 -> 5 -> 3 -> 2, 40 -> ... -> 2 and
    # 20 frames -> 10 -> 5 -> 3.
    assert ends["Conv3d_1a_7x7"].shape == (2, 10, 17, 20, 64)
    assert ends["Mixed_3c"].shape == (2, 10, 5, 5, 480)
    assert ends["Mixed_4f"].shape == (2, 5, 3, 3, 832)
    assert ends["Mixed_5c"].shape == (2, 3, 2, 2, 1024)


def test_features_and_logits_are_averages_of_the_last_endpoint(model, found):
    ends, clips = found
    last = np.asarray(ends["Mixed_5c"], np.float64)
    features = [
        sum(
            last[b, t, y, x]
            for t in range(3)
            for y in range(2)
            for x in range(2)
        )
        / 12
        for b in range(2)
    ]
    assert_close(ends["features"], features)
    assert_close(model(tf.constant(clips, tf.float32)), features)
    # Mean of windows of two cells in time, (0, 1) and (1, 2): the middle cell
    # counts twice.
    cells = last.mean(axis=(2, 3))
    pooled = (cells[:, 0] + 2 * cells[:, 1] + cells[:, 2]) / 4
    kernel = np.asarray(model.logits.kernel, np.float64)[0, 0, 0]
    bias = np.asarray(model.logits.bias, np.float64)
    assert_close(ends["logits"], pooled @ kernel + bias)
    assert np.abs(ends["logits"]).max() > 0


def test_each_clip_is_answered_as_alone(model):
    clips = np.random.default_rng(6).uniform(-1, 1, (3, 16, 32, 32, 3))
    clips = tf.constant(clips, tf.float32)
    together = model(clips)
    for row in range(3):
        assert_close(model(clips[row : row + 1])[0], together[row])
