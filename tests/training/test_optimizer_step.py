"""Steps of the optimizer against NumPy, in float64.

Many snippets choose the same centroid, so the gradient of the dictionary is a
sum over snippets. The oracle's gradients are central differences of the float64
reference, independent of automatic differentiation.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.conftest import (
    LAMBDAS,
    random_batch,
    random_model,
    reference_weights,
    tensorflow_addons,
    weight_variables,
)
from tfwstal.method import layers, losses
from tfwstal.method.model import TERMS
from tfwstal.training import optimizers

LENGTHS = [17, 8, 1]
LOSS_WEIGHTS = (1.0, 0.1, 0.1, 0.5, 0.2)
RATE = 0.01
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
READINGS = {
    "default": {},
    "as printed": {
        "classifier": "own",
        "activation": "weighted",
        "labels": "multi_hot",
    },
}


def reading_model(reading):
    """A random model under one of READINGS, without dropout."""
    return random_model(
        loss_weights=LOSS_WEIGHTS, dropout=0.0, **READINGS[reading]
    )


def free_weights(weights, options):
    """The independent weights: a shared one is included once."""
    return {
        name: value
        for name, value in weights.items()
        if options.classifier == "own" or not name.startswith("pooled")
    }


def oracle_loss(weights, inputs, labels, options):
    """L_all of Eq. 8 of a batch in float64 loops, from `free_weights`."""
    for part in ("kernel", "bias"):
        if options.classifier == "shared":
            weights = {**weights, f"pooled_{part}": weights[f"class_{part}"]}
    total = 0.0
    for row, length in enumerate(LENGTHS):
        video = reference.forward(
            inputs["features"][row, :length], weights, z=options.activation
        )
        terms = reference.loss_terms(
            video,
            np.flatnonzero(labels[row]) + 1,
            weights["centroids"],
            labels=options.labels,
        )
        total += reference.total_loss(
            terms, dict(zip(TERMS, LOSS_WEIGHTS, strict=True))
        )
    return total / len(LENGTHS)


def oracle_gradients(weights, inputs, labels, options, step=1e-6):
    """Central differences of `oracle_loss` for every element of the weights."""
    gradients = {}
    for name, value in weights.items():
        gradient = np.zeros(value.shape)
        for place in np.ndindex(value.shape):
            ends = []
            for sign in (step, -step):
                moved = value.copy()
                moved[place] += sign
                ends.append(
                    oracle_loss(
                        {**weights, name: moved}, inputs, labels, options
                    )
                )
            gradient[place] = (ends[0] - ends[1]) / (2 * step)
        gradients[name] = gradient
    return gradients


@pytest.fixture(scope="module", params=READINGS)
def batch(request):
    """A reading, weights, (inputs, labels), and the oracle's gradients."""
    model = reading_model(request.param)
    data = random_batch(LENGTHS)
    weights = free_weights(reference_weights(model), model.options)
    chosen = np.argmax(model(data[0])["class_logits"][0, :17], axis=-1)
    assert np.bincount(chosen).max() > 4  # snippets share a centroid
    gradients = oracle_gradients(weights, *data, model.options)
    assert len(gradients) == len(model.trainable_variables)
    return request.param, weights, data, gradients


def stepped(reading, optimizer, data):
    """Weights and logs of a model after one training step."""
    model = reading_model(reading)
    model.compile(optimizer=optimizer)
    model.reset_metrics()  # Keras 2.15 counts them among the weights
    logs = model.train_step(data)
    found = {
        name: np.asarray(variable, np.float64)
        for name, variable in weight_variables(model).items()
    }
    return found, logs


def test_one_adam_step_of_every_weight_is_the_oracles(batch):
    reading, weights, data, gradients = batch
    found, _ = stepped(reading, keras.optimizers.Adam(RATE), data)
    for name, gradient in gradients.items():
        # Kingma and Ba, Algorithm 1, from m = v = 0 at t = 1.
        mean = (1 - BETA_1) * gradient / (1 - BETA_1)
        square = (1 - BETA_2) * gradient**2 / (1 - BETA_2)
        expected = weights[name] - RATE * mean / (np.sqrt(square) + EPSILON)
        moved = np.abs(gradient) > 1e-3  # elsewhere float32 noise decides
        assert moved.any(), name
        np.testing.assert_allclose(
            found[name].reshape(expected.shape)[moved],
            expected[moved],
            rtol=0,
            atol=0.005 * RATE,
            err_msg=name,
        )


def test_gradient_norm_and_clipping_are_the_oracles(batch):
    reading, weights, data, gradients = batch
    norm = np.sqrt(sum(np.sum(each**2) for each in gradients.values()))
    most = float(norm / 3)
    # A step of SGD shows the clipped gradient.
    optimizer = optimizers.make_optimizer("sgd", RATE, clip_norm=most)
    found, logs = stepped(reading, optimizer, data)
    assert float(logs["gradient_norm"]) == pytest.approx(norm, rel=1e-4)
    for name, gradient in gradients.items():
        moved = found[name].reshape(gradient.shape) - weights[name]
        np.testing.assert_allclose(
            moved, -RATE * gradient / 3, atol=2e-7, err_msg=name
        )


@pytest.mark.parametrize("xla", [False, True])
def test_no_gradient_of_the_training_step_is_sparse(xla):
    model = random_model(loss_weights=LOSS_WEIGHTS)
    model.compile(optimizer="sgd")
    inputs, labels = random_batch(LENGTHS)

    @tf.function(jit_compile=xla)
    def gradients():
        with tf.GradientTape() as tape:
            loss = model.compute_loss(inputs, labels, model(inputs))
        found = tape.gradient(loss, model.trainable_variables)
        assert not any(isinstance(each, tf.IndexedSlices) for each in found)
        return found

    assert len(gradients()) == len(model.trainable_variables)


def dictionary_steps(optimizer, steps, snippets):
    """Q after some steps on L_smt alone, and before: float64 [C+1, D].

    All snippets have the same embedding and class 1.
    """
    dictionary = layers.CentroidDictionary(2)
    dictionary.build((None, None, 3))
    dictionary.centroids.assign(np.zeros((3, 3)))
    x = tf.fill([1, snippets, 3], 10.0)
    p = tf.one_hot(tf.ones([1, snippets], tf.int32), 3)
    valid = tf.fill([1, snippets], True)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = losses.semantic_loss(x, dictionary(p), valid)
        variables = dictionary.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, variables), variables, strict=True)
        )
    return np.asarray(dictionary.centroids, np.float64)


@pytest.mark.parametrize("snippets", [1, 1000])
def test_a_centroid_moves_by_adams_rate_whatever_its_snippets(snippets):
    moved = dictionary_steps(keras.optimizers.Adam(RATE), 20, snippets)
    # The gradient is nearly constant, so every step has the length of the rate.
    np.testing.assert_allclose(moved[1], 20 * RATE, rtol=0.01)
    np.testing.assert_array_equal(moved[[0, 2]], 0)


def rectified_adam(gradient, steps):
    """Movement of one number under RAdam (Liu et al. 2020, Algorithm 2)."""
    value = mean = square = 0.0
    longest = 2 / (1 - BETA_2) - 1
    for t in range(1, steps + 1):
        slope = gradient(value)
        mean = BETA_1 * mean + (1 - BETA_1) * slope
        square = BETA_2 * square + (1 - BETA_2) * slope**2
        length = longest - 2 * t * BETA_2**t / (1 - BETA_2**t)
        corrected = mean / (1 - BETA_1**t)
        if length < 5:
            value -= RATE * corrected
            continue
        rectified = np.sqrt(
            (length - 4)
            * (length - 2)
            * longest
            / ((longest - 4) * (longest - 2) * length)
        )
        root = np.sqrt(square / (1 - BETA_2**t))
        value -= RATE * rectified * corrected / (root + EPSILON)
    return value


@tensorflow_addons
@pytest.mark.parametrize("snippets", [1, 1000])
def test_rectified_adam_moves_a_centroid_as_the_oracle(snippets):
    optimizer = optimizers.make_optimizer("RectifiedAdam", RATE)
    moved = dictionary_steps(optimizer, 20, snippets)
    # The three elements of the centroid are equal, and so are those of the
    # distance's gradient: (q - x) / (sqrt(3) |q - x|).
    expected = rectified_adam(lambda value: -1 / np.sqrt(3), 20)
    np.testing.assert_allclose(moved[1], expected, rtol=1e-3)


def test_every_weight_of_the_loss_has_a_flag_of_its_own():
    values = dict(zip(LAMBDAS, LOSS_WEIGHTS, strict=True))
    model = random_model(**values)
    assert model.loss_weights == dict(zip(TERMS, LOSS_WEIGHTS, strict=True))
