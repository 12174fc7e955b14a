import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from conftest import random_batch, random_model, reference_weights

import tfwstal
from tfwstal.model import TERMS

PER_SNIPPET = (
    "embedding",
    "attention",
    "class_logits",
    "weighted_logits",
    "activation",
)
LENGTHS = [1, 7, 8, 30]
# Every argument at a value that is not its default.
OTHERS = {
    "kernel_size": 5,
    "embedding_dropout": 0.1,
    "residual": False,
    "dropout": 0.25,
    "attention": "sigmoid",
    "classifier": "shared",
    "branches": "mil",
    "sigma": (4, 3, 2),
    "labels": "normalized",
    "loss_weights": (0.5, 0.2, 0.3, 0.4, 0.6),
    "guide_reduction": "sum",
    "guide_detach": True,
    "warmup_steps": 9,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("branches", ["both", "attention", "mil"])
@pytest.mark.parametrize("attention", ["softmax", "sigmoid"])
def test_forward_is_the_oracle_whatever_the_padding(seed, branches, attention):
    model = random_model(seed=seed, branches=branches, attention=attention)
    inputs, _ = random_batch(LENGTHS, seed=seed, padding=np.nan)
    outputs = model(inputs)
    weights = reference_weights(model)
    for row, length in enumerate(LENGTHS):
        expected = reference.forward(
            inputs["features"][row, :length].astype(np.float64),
            weights,
            attention=attention,
            branches=branches,
        )
        assert set(expected) == set(outputs)
        for name, value in expected.items():
            ours = outputs[name][row]
            if name in PER_SNIPPET:
                assert not np.any(ours[length:]), name  # padding is zero
                ours = ours[:length]
            np.testing.assert_allclose(
                ours, value, rtol=1e-5, atol=1e-5, err_msg=name
            )


@pytest.mark.parametrize("labels", ["multi_hot", "normalized"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_terms_and_total_are_the_oracle(labels, reduction):
    model = random_model(
        labels=labels,
        guide_reduction=reduction,
        loss_weights=OTHERS["loss_weights"],
    )
    model.compile(optimizer="sgd")
    inputs, actions = random_batch(LENGTHS)
    outputs = model(inputs)
    terms = model.loss_terms(inputs, actions, outputs)
    weights = reference_weights(model)
    totals = []
    for row, length in enumerate(LENGTHS):
        video = reference.forward(
            inputs["features"][row, :length].astype(np.float64), weights
        )
        present = set(np.flatnonzero(actions[row]) + 1)
        targets = reference.targets(present, 3, labels)
        expected = {
            name: reference.classification_loss(
                video["video_scores"][i], targets[i]
            )
            for i, name in enumerate(("cls_fg", "cls_ct", "cls_bg"))
        }
        expected["smt"] = reference.semantic_loss(
            video["embedding"],
            video["class_logits"],
            np.asarray(model.centroids, np.float64),
        )
        expected["gui"] = reference.guide_loss(
            video["attention"][:, 0], video["activation"][:, 0, 0], reduction
        )
        for name in TERMS:
            assert float(terms[name][row]) == pytest.approx(
                expected[name], rel=1e-5, abs=1e-6
            ), name
        totals.append(
            reference.total_loss(
                expected, dict(zip(TERMS, model.loss_weights, strict=True))
            )
        )
    loss = model.compute_loss(inputs, actions, outputs, training=False)
    assert float(loss) == pytest.approx(np.mean(totals), rel=1e-5)


def test_permuting_the_batch_permutes_the_answers():
    model = random_model()
    inputs, _ = random_batch(LENGTHS)
    order = np.array([2, 0, 3, 1])
    outputs = model(inputs)
    permuted = model({name: value[order] for name, value in inputs.items()})
    for name, value in outputs.items():
        np.testing.assert_allclose(
            np.asarray(value)[order], permuted[name], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("classifier", ["own", "shared"])
def test_every_weight_gets_a_gradient_and_padding_none(classifier):
    model = random_model(
        classifier=classifier, loss_weights=(1.0, 0.1, 0.1, 0.05, 0.002)
    )
    model.compile(optimizer="sgd")
    inputs, actions = random_batch(LENGTHS)
    features = tf.Variable(inputs["features"])
    with tf.GradientTape() as tape:
        x = {**inputs, "features": tf.convert_to_tensor(features)}
        loss = model.compute_loss(x, actions, model(x))
    gradients = tape.gradient(loss, [features, *model.trainable_variables])
    for weight, gradient in zip(
        model.trainable_variables, gradients[1:], strict=True
    ):
        gradient = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(gradient).all(), weight.name
        assert np.abs(gradient).max() > 0, weight.name
    for row, length in enumerate(LENGTHS):
        assert not np.any(gradients[0][row, length:])
        assert np.any(gradients[0][row, :length])


@pytest.mark.parametrize("term", TERMS)
def test_gradient_of_each_term_by_finite_differences(term):
    model = random_model(seed=1)
    inputs, actions = random_batch([9, 4], seed=1)
    index = TERMS.index(term)

    def value(features):
        x = {**inputs, "features": features}
        return tf.reduce_sum(model.loss_terms(x, actions, model(x))[term])

    features = tf.constant(inputs["features"])
    direction = np.random.default_rng(index).normal(size=features.shape)
    direction = direction.astype(np.float32) / np.linalg.norm(direction)
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = value(features)
    slope = float(tf.reduce_sum(tape.gradient(loss, features) * direction))
    # The step balances float32 rounding against curvature.
    step = 3e-3
    ahead, behind = (
        value(features + step * direction),
        value(features - step * direction),
    )
    measured = float(ahead - behind) / (2 * step)
    assert slope == pytest.approx(measured, rel=2e-2, abs=2e-3)


def test_idle_branch_gets_a_gradient_of_zero():
    model = random_model(
        branches="attention", loss_weights=(1.0, 0.1, 0.1, 0.0, 0.0)
    )
    model.compile(optimizer="sgd")
    inputs, actions = random_batch(LENGTHS)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, actions, model(inputs))
    idle, busy = tape.gradient(
        loss, [model.classifier.kernel, model.pooled_classifier.kernel]
    )
    assert not np.any(idle)
    assert np.any(busy)


def test_warm_up_raises_the_semantic_weight_with_the_steps():
    model = random_model(warmup_steps=4, loss_weights=(0, 0, 0, 2.0, 0))
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    inputs, actions = random_batch(LENGTHS)
    smt = float(
        tf.reduce_mean(model.loss_terms(inputs, actions, model(inputs))["smt"])
    )
    seen = []
    for _ in range(6):
        loss = model.compute_loss(inputs, actions, model(inputs))
        seen.append(float(loss))
        model.optimizer.iterations.assign_add(1)
    expected = [2.0 * smt * share for share in (0, 0.25, 0.5, 0.75, 1, 1)]
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)
    evaluated = model.compute_loss(
        inputs, actions, model(inputs), training=False
    )
    assert float(evaluated) == pytest.approx(2.0 * smt, rel=1e-5)


class StockStep(tfwstal.TwoStreamLocalizer):
    """The same model with Keras's own training step."""

    train_step = keras.Model.train_step


def fitted(kind, xla):
    keras.utils.set_random_seed(7)
    model = kind(3, 5)
    model.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=xla)
    inputs, actions = random_batch([8] * 6)
    history = model.fit(
        inputs, actions, batch_size=4, epochs=3, verbose=0, shuffle=False
    ).history
    return model, history


@pytest.mark.filterwarnings("ignore:.*_get_.*:DeprecationWarning")
def test_train_step_is_keras_own_step():
    ours, history = fitted(tfwstal.TwoStreamLocalizer, xla=False)
    stock, stock_history = fitted(StockStep, xla=False)
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(
        history["loss"], stock_history["loss"], rtol=1e-6
    )
    for one, other in zip(ours.weights, stock.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_xla_changes_no_answer_and_no_gradient():
    model = random_model()
    model.compile(optimizer="sgd")
    inputs, actions = random_batch(LENGTHS)

    def step():
        with tf.GradientTape() as tape:
            outputs = model(inputs)
            terms = model.loss_terms(inputs, actions, outputs)
            loss = tf.add_n([tf.reduce_mean(v) for v in terms.values()])
        return outputs, tape.gradient(loss, model.trainable_variables)

    eager = step()
    graph = tf.function(step)()
    compiled = tf.function(step, jit_compile=True)()
    for other in (graph, compiled):
        for one, two in zip(
            tf.nest.flatten(eager),
            tf.nest.flatten(other),
            strict=True,
        ):
            one, two = tf.convert_to_tensor(one), tf.convert_to_tensor(two)
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_training_under_xla_learns():
    _, history = fitted(tfwstal.TwoStreamLocalizer, xla=True)
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"loss", *TERMS}


def test_logged_loss_is_the_mean_over_the_epoch():
    model = random_model(dropout=0.0)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    inputs, actions = random_batch([4, 6, 8])
    history = model.fit(inputs, actions, batch_size=2, verbose=0).history
    expected = model.evaluate(inputs, actions, verbose=0, return_dict=True)
    alone = tf.reduce_mean(
        model.loss_terms(inputs, actions, model(inputs))["cls_fg"]
    )
    for name in ("loss", *TERMS):
        assert history[name][0] == pytest.approx(expected[name], rel=1e-5)
    assert history["cls_fg"][0] == pytest.approx(float(alone), rel=1e-5)


@pytest.mark.parametrize("arguments", [{}, OTHERS], ids=["default", "other"])
def test_saving_and_loading_keeps_everything(arguments, tmp_path):
    model = random_model(**arguments)
    model.compile(optimizer="adam")
    inputs, actions = random_batch(LENGTHS)
    model.fit(inputs, actions, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    config = loaded.get_config()
    for name, value in arguments.items():
        assert config[name] == value, name
    assert int(loaded.optimizer.iterations) == 1
    for name, value in model(inputs).items():
        np.testing.assert_array_equal(value, loaded(inputs)[name])
    np.testing.assert_array_equal(model.centroids, loaded.centroids)


def test_sample_weights_are_refused():
    model = random_model()
    model.compile(optimizer="sgd")
    inputs, actions = random_batch([4])
    with pytest.raises(ValueError, match="no sample weights"):
        model.fit(inputs, actions, sample_weight=np.ones(1), verbose=0)


def test_dictionary_is_one_trainable_weight():
    model = random_model(num_classes=4, feature_dim=6)
    found = [w for w in model.trainable_variables if "centroids" in w.name]
    assert len(found) == 1
    assert tuple(model.centroids.shape) == (5, 6)
