"""Changes that must not alter the outputs, or must only permute them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.conftest import (
    assert_close,
    random_batch,
    random_model,
    weight_variables,
)
from tfwstal import inference
from tfwstal.method.model import TERMS
from tfwstal.method.options import LocalizationSettings

LENGTHS = [1, 7, 8, 30]
PER_SNIPPET = {
    "embedding",
    "attention",
    "class_logits",
    "weighted_logits",
    "activation",
}
SETTINGS = LocalizationSettings(eta=(0.125, 0.25, 0.5), max_detections=40)
READINGS = [
    {},
    {"classifier": "own", "activation": "weighted", "labels": "multi_hot"},
]
SECONDS = np.array([0.64, 0.5, 1.0, 0.25], np.float32)


def answers(model, inputs, labels):
    """Outputs, terms, and the gradients of their mean, all as arrays."""
    features = tf.convert_to_tensor(inputs["features"])
    variables = weight_variables(model)
    with tf.GradientTape() as tape:
        tape.watch(features)
        x = {**inputs, "features": features}
        outputs = model(x)
        terms = model.loss_terms(x, labels, outputs)
        loss = tf.add_n([tf.reduce_mean(terms[name]) for name in TERMS])
    gradients = tape.gradient(loss, {"features": features, **variables})
    gradients = {k: tf.convert_to_tensor(v) for k, v in gradients.items()}
    return outputs, terms, gradients


def detections(outputs, order=slice(None)):
    """One sorted list of (class, start, end, score) per video."""
    videos = []
    for row, length in enumerate(np.array(LENGTHS)[order]):
        alone = {
            name: value[row, :length] if name in PER_SNIPPET else value[row]
            for name, value in outputs.items()
        }
        classes, scores, segments = inference.columns(
            inference.localize_alone(alone, SECONDS[order][row], SETTINGS)
        )
        videos.append(
            sorted(
                (int(c), *map(float, segment), float(score))
                for c, segment, score in zip(
                    classes, segments, scores, strict=True
                )
            )
        )
    assert any(videos)
    return videos


def assert_same_detections(one, other):
    for ours, theirs in zip(one, other, strict=True):
        assert [d[:3] for d in ours] == [d[:3] for d in theirs]
        np.testing.assert_allclose(
            [d[3] for d in ours], [d[3] for d in theirs], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("reading", READINGS, ids=str)
@pytest.mark.parametrize("extra", [0, 1, 17])
@pytest.mark.parametrize("filler", [np.nan, np.inf, -1e30])
def test_padding_changes_nothing(filler, extra, reading):
    # The first class's logits are low, so a zero in the padding would be among
    # the best.
    model = random_model(kernel_size=4, **reading)
    model.classifier.bias.assign(model.classifier.bias - [9.0, 0, 0, 0])
    inputs, labels = random_batch(LENGTHS)
    wider = np.full((len(LENGTHS), 30 + extra, 5), filler, np.float32)
    for row, length in enumerate(LENGTHS):
        wider[row, :length] = inputs["features"][row, :length]
    padded = {**inputs, "features": wider}
    outputs, terms, gradients = answers(model, inputs, labels)
    others, other_terms, other_gradients = answers(model, padded, labels)
    for name, value in others.items():
        if name in PER_SNIPPET:
            assert not np.any(value[:, 30:]), name
            value = value[:, :30]
        assert_close(value, outputs[name], name)
    for name, value in terms.items():
        assert_close(other_terms[name], value, name)
    for row, length in enumerate(LENGTHS):
        assert not np.any(other_gradients["features"][row, length:])
    other_gradients["features"] = other_gradients["features"][:, :30]
    for name, value in gradients.items():
        assert np.any(value), name
        assert_close(other_gradients[name], value, name)
    assert_same_detections(detections(others), detections(outputs))


def test_permuting_the_batch_permutes_the_answers():
    model = random_model()
    inputs, labels = random_batch(LENGTHS)
    order = np.array([2, 0, 3, 1])
    shuffled = {name: value[order] for name, value in inputs.items()}
    outputs, terms, gradients = answers(model, inputs, labels)
    others, other_terms, other_gradients = answers(
        model, shuffled, labels[order]
    )
    for name, value in outputs.items():
        assert_close(others[name], np.asarray(value)[order], name)
    for name, value in terms.items():
        assert_close(other_terms[name], np.asarray(value)[order], name)
    for name, value in gradients.items():
        value = np.asarray(value)
        if name == "features":
            value = value[order]
        assert_close(other_gradients[name], value, name)
    before = detections(outputs)
    assert_same_detections(
        detections(others, order), [before[row] for row in order]
    )


@pytest.mark.parametrize("reading", READINGS, ids=str)
@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_permuting_the_classes_permutes_the_answers(attention, reading):
    model = random_model(num_classes=4, attention=attention, **reading)
    renamed = random_model(num_classes=4, attention=attention, **reading)
    order = np.array([0, 3, 1, 4, 2])  # the background stays the first
    variables = weight_variables(model)
    for name, variable in weight_variables(renamed).items():
        if name.startswith(("pooled", "class")):
            # A shared one is under both names and is assigned twice.
            variable.assign(np.asarray(variables[name])[..., order])
    renamed.centroids.assign(np.asarray(renamed.centroids)[order])
    inputs, labels = random_batch(LENGTHS, num_classes=4)
    outputs, terms, gradients = answers(model, inputs, labels)
    others, other_terms, other_gradients = answers(
        renamed, inputs, labels[:, order[1:] - 1]
    )
    for name, value in outputs.items():
        value = np.asarray(value)
        if name not in ("embedding", "attention"):
            value = value[..., order]
        assert_close(others[name], value, name)
    for name, value in terms.items():
        assert_close(other_terms[name], value, name)
    for name, value in gradients.items():
        value = np.asarray(value)
        if name == "centroids":
            value = value[order]
        elif name.startswith(("pooled", "class")):
            value = value[..., order]
        assert_close(other_gradients[name], value, name)
    old = [
        sorted((int(order[c]), *rest) for c, *rest in video)
        for video in detections(others)
    ]
    assert_same_detections(old, detections(outputs))


@pytest.mark.parametrize("how", ["graph", "any shape", "xla"])
def test_compiling_changes_no_answer(how):
    model = random_model()
    inputs, labels = random_batch(LENGTHS, padding=np.nan)
    specs = [
        {
            "features": tf.TensorSpec([None, None, 5]),
            "num_snippets": tf.TensorSpec([None], tf.int32),
        },
        tf.TensorSpec([None, 3]),
    ]
    compiled = tf.function(
        lambda inputs, labels: answers(model, inputs, labels),
        input_signature=specs if how == "any shape" else None,
        jit_compile=how == "xla",
    )
    tensors = tf.nest.map_structure(tf.constant, inputs)
    eager = answers(model, inputs, labels)
    for ours, theirs in zip(
        compiled(tensors, tf.constant(labels)), eager, strict=True
    ):
        for name, value in theirs.items():
            assert_close(ours[name], value, name)


@pytest.fixture(params=READINGS, ids=str)
def reading(request):
    return request.param


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def half(request, reading):
    """A model under a policy, the same in float32, and the policy's step."""
    exact = random_model(**reading)
    keras.mixed_precision.set_global_policy(request.param)
    try:
        model = random_model(**reading)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    step = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}
    return model, exact, step[request.param]


def test_half_precision_is_near(half):
    model, exact, step = half
    inputs, _ = random_batch(LENGTHS, padding=np.nan)
    outputs = model(inputs)
    for name, value in exact(inputs).items():
        error = np.abs(tf.cast(outputs[name], tf.float32) - value).max()
        # At most 3.1 steps of the largest value were measured.
        assert error <= 6 * step * np.abs(value).max(), name


def test_half_precision_keeps_softmaxes_and_means_in_float32(half):
    model, _, _ = half
    inputs, _ = random_batch(LENGTHS)
    outputs = model(inputs)
    assert outputs.pop("embedding").dtype == model.compute_dtype
    for name, value in outputs.items():
        assert value.dtype == tf.float32, name
    for row, length in enumerate(LENGTHS):
        video = {
            name: np.asarray(value[row, :length])
            if name in PER_SNIPPET
            else np.asarray(value[row])
            for name, value in outputs.items()
        }
        a, p = video["attention"], video["class_logits"]
        z = reference.weighted_logits(a, p)
        assert_close(a.sum(axis=-1), np.ones(length))
        assert_close(video["weighted_logits"], z)
        z_of_7 = z
        if model.options.activation == "plain":
            z_of_7 = np.stack([p] * 3, axis=1)
        assert_close(video["activation"], reference.activation(z_of_7))
        assert_close(video["mil_logits"], reference.mil_logits(z))
        att = video["attention_scores"]
        assert_close(att.sum(axis=-1), np.ones(3))
        assert_close(
            video["video_scores"], reference.fused(att, video["mil_scores"])
        )


def test_half_precision_computes_distances_and_losses_in_float32(half):
    model, exact, step = half
    inputs, labels = random_batch(LENGTHS)
    outputs = model(inputs)
    terms = model.loss_terms(inputs, labels, outputs)
    near = exact.loss_terms(inputs, labels, exact(inputs))
    for row, length in enumerate(LENGTHS):
        video = {
            name: np.asarray(tf.cast(value[row], tf.float64))
            for name, value in outputs.items()
        }
        for name in PER_SNIPPET:
            video[name] = video[name][:length]
        # Computations on the half-precision embedding are in float32 again.
        expected = reference.loss_terms(
            video,
            np.flatnonzero(labels[row]) + 1,
            np.asarray(model.centroids, np.float64),
            labels=model.options.labels,
        )
        for name, value in expected.items():
            assert terms[name].dtype == tf.float32
            assert float(terms[name][row]) == pytest.approx(value, rel=1e-5)
            # At most 3.2 steps were measured.
            assert float(near[name][row]) == pytest.approx(value, rel=6 * step)
