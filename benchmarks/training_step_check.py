"""Checks that the step in PyTorch is the same: network, losses, optimizer.

Run by `training_step.py --check`. Both do one step without dropout from the
same weights and batch. The terms of the loss, the gradient of every weight and
its update by Adam must be equal.
"""

import pathlib
import subprocess
import tempfile

import keras
import numpy as np
import tensorflow as tf

import tfwstal
from tfwstal.method.model import TERMS

RATE = 1e-4
TOLERANCE = 1e-4
# Weights near 1 are rounded to 6e-8 on either side, which is 1.2e-3 of RATE.
MOVEMENT_TOLERANCE = 2e-3
_TIMEOUT = 600  # seconds


def differences(torch_python, batch, snippets, features, classes, **options):
    """Differences between the two steps.

    Args:
        torch_python: interpreter with PyTorch.
        batch: number of videos.
        snippets: number of each video.
        features: D.
        classes: C.
        **options: of our model, to test that another network is noticed.

    Returns:
        dict from name to the largest difference: of a term relative to it, of
        a gradient relative to its largest element, and of a movement relative
        to the rate. Movements are compared where the gradient is at least 1 %
        of its largest element, so that rounding does not decide its sign.

    Raises:
        RuntimeError: if the other interpreter fails.
    """
    model = _model(features, classes, options)
    data = _batch(batch, snippets, features, classes)
    weights = _weights(model)
    with tempfile.TemporaryDirectory() as folder:
        given = pathlib.Path(folder, "given.npz")
        results = pathlib.Path(folder, "results.npz")
        np.savez(given, features=data[0], actions=data[1], **_arrays(weights))
        script = pathlib.Path(__file__).with_name("training_step_torch.py")
        run = subprocess.run(
            [torch_python, str(script), str(given), str(results)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
        if run.returncode:
            raise RuntimeError(f"{script} failed:\n{run.stderr}")
        theirs = dict(np.load(results))
    before = _arrays(weights)
    terms, gradients = _step(model, data)
    found = {
        name: abs(ours - value) / abs(ours)
        for name, ours, value in zip(TERMS, terms, theirs["terms"], strict=True)
    }
    for name, after in _arrays(weights).items():
        gradient = gradients[name]
        largest = np.abs(gradient).max()
        apart = np.abs(gradient - theirs[f"gradient/{name}"]).max()
        found[f"gradient of {name}"] = apart / largest
        clear = np.abs(gradient) >= 0.01 * largest
        ours, other = (
            (each - before[name])[clear]
            for each in (after, theirs[f"after/{name}"])
        )
        found[f"movement of {name}"] = np.abs(ours - other).max() / RATE
    return {name: float(value) for name, value in found.items()}


def too_large(found):
    """Names of the `differences` that rounding does not explain."""
    allowed = {
        name: MOVEMENT_TOLERANCE if name.startswith("movement") else TOLERANCE
        for name in found
    }
    # `not <=` also selects NaN.
    return [name for name in found if not found[name] <= allowed[name]]


def report(found):
    """Prints the differences, and ends with an error if one is too large."""
    for name, value in found.items():
        print(f"{name:<28} {value:.1e}")
    wrong = too_large(found)
    if wrong:
        raise SystemExit(f"not the same step: {', '.join(wrong)}")
    print("the same step")


def _model(features, classes, options):
    keras.utils.set_random_seed(0)
    model = tfwstal.TwoStreamLocalizer(
        classes, features, **{"dropout": 0.0, **options}
    )
    model.compile(optimizer=keras.optimizers.Adam(RATE))
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        # Biases must differ from zero too.
        shift = rng.normal(0.0, 0.02, weight.shape)
        weight.assign(np.asarray(weight) + shift)
    return model


def _batch(batch, snippets, features, classes):
    """Features, and one to three actions per video."""
    rng = np.random.default_rng(1)
    actions = np.zeros((batch, classes), np.float32)
    for row in range(batch):
        count = min(1 + row % 3, classes)
        actions[row, rng.permutation(classes)[:count]] = 1.0
    return rng.random((batch, snippets, features), np.float32), actions


def _weights(model):
    """The model's weights by name, without a separate pooled classifier.

    PyTorch's network has none, so the step differs for such a model.
    """
    return {
        "conv_kernel": model.residual_block.conv.kernel,
        "conv_bias": model.residual_block.conv.bias,
        "attention_kernel": model.attention.scores.kernel,
        "attention_bias": model.attention.scores.bias,
        "class_kernel": model.classifier.kernel,
        "class_bias": model.classifier.bias,
        "centroids": model.centroids,
    }


def _arrays(weights):
    # A copy, since the step overwrites the variable in place.
    return {name: np.array(weight) for name, weight in weights.items()}


def _step(model, data):
    """Mean of each term, gradient of each weight; the weights are updated."""
    features, actions = data
    inputs = {
        "features": tf.constant(features),
        "num_snippets": tf.fill([len(features)], features.shape[1]),
    }
    weights = _weights(model)
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        terms = model.loss_terms(inputs, actions, outputs)
        loss = model.compute_loss(inputs, actions, outputs)
    gradients = tape.gradient(loss, weights)
    model.train_step((inputs, tf.constant(actions)))
    return (
        [float(tf.reduce_mean(terms[name])) for name in TERMS],
        {name: np.array(value) for name, value in gradients.items()},
    )
