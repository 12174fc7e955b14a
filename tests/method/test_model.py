import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tfwstal
from tests import reference
from tests.conftest import (
    LAMBDAS,
    assert_close,
    random_batch,
    random_model,
    reference_weights,
)
from tfwstal.method.model import TERMS

PER_SNIPPET = (
    "embedding",
    "attention",
    "class_logits",
    "weighted_logits",
    "activation",
)
LENGTHS = [1, 7, 8, 30]
LOSS_WEIGHTS = (0.5, 0.2, 0.3, 0.4, 0.6)
# Every argument at a value that is not its default.
OTHERS = {
    "kernel_size": 5,
    "embedding_dropout": 0.1,
    "residual": False,
    "dropout": 0.25,
    "attention": "sigmoid",
    "classifier": "own",
    "branches": "mil",
    "activation": "weighted",
    "sigma": (4, 3, 2),
    "labels": "multi_hot",
    "attention_bias": 2.5,
    "lambda_fg": 0.5,
    "lambda_ct": 0.2,
    "lambda_bg": 0.3,
    "lambda_smt": 0.4,
    "lambda_gui": 0.6,
    "guide_reduction": "sum",
    "guide_detach": True,
    "warmup_steps": 9,
    "background_warmup_steps": 6,
}


@st.composite
def lengths_and_sigma(draw):
    """Divisors of Eq. 3, and lengths, including those at which k changes."""
    sigma = draw(st.tuples(*[st.integers(1, 9)] * 3))
    edges = {n for s in sigma for n in (1, s - 1, s, 2 * s - 1, 2 * s)} - {0}
    some = st.sampled_from(sorted(edges)) | st.integers(1, 24)
    return draw(st.lists(some, min_size=1, max_size=4)), sigma


def chosen_actions(choice, shape, rng):
    """Labels [B, C]: "one", "all" or "none" of the actions, or "some"."""
    one = np.eye(shape[1])[rng.integers(0, shape[1], shape[0])]
    some = np.maximum(one, rng.integers(0, 2, shape))
    return {
        "one": one,
        "all": np.ones(shape),
        "none": np.zeros(shape),
        "some": some,
    }[choice]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 999),
    lengths_and_sigma=lengths_and_sigma(),
    num_classes=st.sampled_from([1, 2, 20]),
    choice=st.sampled_from(["one", "all", "none", "some"]),
    kernel_size=st.integers(1, 4),
    residual=st.booleans(),
    attention=st.sampled_from(["softmax", "sigmoid"]),
    classifier=st.sampled_from(["own", "shared"]),
    branches=st.sampled_from(["both", "attention", "mil"]),
    activation=st.sampled_from(["weighted", "plain"]),
    labels=st.sampled_from(["multi_hot", "normalized"]),
    reduction=st.sampled_from(["mean", "sum"]),
)
def test_outputs_terms_and_total_are_the_oracle(
    seed,
    lengths_and_sigma,
    num_classes,
    choice,
    kernel_size,
    residual,
    attention,
    classifier,
    branches,
    activation,
    labels,
    reduction,
):
    lengths, sigma = lengths_and_sigma
    model = random_model(
        num_classes,
        seed=seed,
        kernel_size=kernel_size,
        residual=residual,
        attention=attention,
        classifier=classifier,
        branches=branches,
        activation=activation,
        sigma=sigma,
        labels=labels,
        loss_weights=LOSS_WEIGHTS,
        guide_reduction=reduction,
    )
    model.compile(optimizer="sgd")
    inputs, _ = random_batch(lengths, seed=seed, padding=np.nan)
    actions = chosen_actions(
        choice, (len(lengths), num_classes), np.random.default_rng(seed)
    )
    outputs = model(inputs)
    terms = model.loss_terms(inputs, actions, outputs)
    assert set(terms) == set(TERMS)
    weights = reference_weights(model)
    totals = []
    for row, length in enumerate(lengths):
        video = reference.forward(
            inputs["features"][row, :length],
            weights,
            attention=attention,
            sigma=sigma,
            branches=branches,
            residual=residual,
            z=activation,
        )
        assert set(video) == set(outputs)
        for name, value in video.items():
            ours = np.asarray(outputs[name][row])
            if name in PER_SNIPPET:
                assert not np.any(ours[length:]), name  # padding is zero
                ours = ours[:length]
            assert_close(ours, value, name)
        expected = reference.loss_terms(
            video,
            np.flatnonzero(actions[row]) + 1,
            weights["centroids"],
            labels=labels,
            reduction=reduction,
        )
        for name, value in expected.items():
            assert float(terms[name][row]) == pytest.approx(
                value, rel=1e-5, abs=1e-6
            ), name
        totals.append(
            reference.total_loss(
                expected, dict(zip(TERMS, LOSS_WEIGHTS, strict=True))
            )
        )
    loss = model.compute_loss(inputs, actions, outputs, training=False)
    assert float(loss) == pytest.approx(np.mean(totals), rel=1e-5)


@pytest.mark.parametrize(
    ("warmup", "rising"),
    [
        ("warmup_steps", ("smt",)),
        ("background_warmup_steps", ("cls_ct", "cls_bg")),
    ],
)
def test_a_warm_up_raises_the_weights_of_its_terms(warmup, rising):
    weights = dict(zip(TERMS, (1.0, 0.5, 0.25, 2.0, 0.125), strict=True))
    model = random_model(loss_weights=tuple(weights.values()), **{warmup: 4})
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    inputs, actions = random_batch(LENGTHS)
    terms = {
        name: weights[name] * float(tf.reduce_mean(term))
        for name, term in model.loss_terms(
            inputs, actions, model(inputs)
        ).items()
    }
    risen = sum(terms[name] for name in rising)
    kept = sum(terms.values()) - risen
    seen = []
    for _ in range(6):
        loss = model.compute_loss(inputs, actions, model(inputs))
        seen.append(float(loss))
        model.optimizer.iterations.assign_add(1)
    expected = [kept + risen * share for share in (0, 0.25, 0.5, 0.75, 1, 1)]
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    model.optimizer.iterations.assign(0)
    evaluated = model.compute_loss(
        inputs, actions, model(inputs), training=False
    )
    assert float(evaluated) == pytest.approx(kept + risen, rel=1e-5)


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
def test_train_step_equals_that_of_keras():
    ours, history = fitted(tfwstal.TwoStreamLocalizer, xla=False)
    stock, stock_history = fitted(StockStep, xla=False)
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(
        history["loss"], stock_history["loss"], rtol=1e-6
    )
    # Keras 2.15 counts metrics among the weights.
    pairs = zip(ours.trainable_weights, stock.trainable_weights, strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_training_under_xla_learns():
    _, history = fitted(tfwstal.TwoStreamLocalizer, xla=True)
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"loss", *TERMS, "gradient_norm"}


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


def test_dropout_acts_on_the_mil_branch_alone_and_in_training_alone():
    model = random_model(dropout=0.5, embedding_dropout=0.0)
    inputs, _ = random_batch([20, 30])
    still, moved = model(inputs), model(inputs, training=True)
    for name in ("embedding", "attention", "attention_logits"):
        np.testing.assert_array_equal(moved[name], still[name])
    for name in ("class_logits", "mil_logits"):
        assert np.abs(moved[name] - still[name]).max() > 1e-3
    again = model(inputs, training=True)["class_logits"]
    assert np.abs(moved["class_logits"] - again).max() > 1e-3


@pytest.mark.parametrize("residual", [True, False])
def test_embedding_dropout_acts_in_training_alone(residual):
    model = random_model(dropout=0.0, embedding_dropout=0.5, residual=residual)
    inputs, _ = random_batch([20, 30])
    still, moved = model(inputs), model(inputs, training=True)
    assert np.abs(moved["embedding"] - still["embedding"]).max() > 1e-3
    # Half of what the convolution adds is zero, the other half is doubled.
    base = inputs["features"] if residual else 0.0
    added = still["embedding"] - base
    kept = (moved["embedding"] - base)[added > 1e-3] / added[added > 1e-3]
    assert_close(np.unique(np.round(kept, 3)), [0.0, 2.0])
    assert 0.3 < np.mean(kept > 1.0) < 0.7


def test_evaluation_has_no_dropout_and_all_weights():
    model = random_model(
        dropout=0.5,
        embedding_dropout=0.5,
        warmup_steps=10,
        background_warmup_steps=10,
    )
    model.compile(optimizer="adam")
    inputs, actions = random_batch([20, 30])
    found = model.evaluate(inputs, actions, verbose=0, return_dict=True)
    terms = model.loss_terms(inputs, actions, model(inputs))
    terms = {name: float(np.mean(value)) for name, value in terms.items()}
    weights = model.loss_weights
    total = sum(weights[name] * terms[name] for name in TERMS)
    assert found["loss"] == pytest.approx(total, rel=1e-5)
    for name in TERMS:
        assert found[name] == pytest.approx(terms[name], rel=1e-5)


def test_others_are_other_values_of_every_argument():
    defaults = tfwstal.TwoStreamLocalizer(3, 5).get_config()
    for name in ("name", "dtype", "trainable", "num_classes", "feature_dim"):
        defaults.pop(name, None)  # Keras 2.15 omits some
    assert set(defaults) == set(OTHERS)
    for name, value in OTHERS.items():
        assert defaults[name] != value, name


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
    before, after = model(inputs), loaded(inputs)
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])
    terms = loaded.loss_terms(inputs, actions, after)
    for name, value in model.loss_terms(inputs, actions, before).items():
        np.testing.assert_array_equal(value, terms[name])
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


@pytest.mark.parametrize("classifier", ["shared", "own"])
def test_with_classes_keeps_what_both_lists_have(classifier):
    own, wanted = ("run", "jump", "dive"), ("swim", "dive", "run", "throw")
    model = random_model(
        classifier=classifier,
        kernel_size=1,
        warmup_steps=7,
        background_warmup_steps=5,
    )
    tuned = model.with_classes(own, wanted)
    inputs, _ = random_batch([4, 7])
    before, after = model(inputs), tuned(inputs)
    # Old columns 0, 1, 3 (background, run, dive) are new ones 0, 3, 2.
    for name in ("embedding", "attention"):
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_array_equal(
        before["class_logits"].numpy()[..., [0, 1, 3]],
        after["class_logits"].numpy()[..., [0, 3, 2]],
    )
    pooled = np.ones((1, 5), np.float32)
    np.testing.assert_array_equal(
        model.pooled_classifier(pooled).numpy()[:, [0, 1, 3]],
        tuned.pooled_classifier(pooled).numpy()[:, [0, 3, 2]],
    )
    np.testing.assert_array_equal(
        model.centroids.numpy()[[0, 1, 3]], tuned.centroids.numpy()[[0, 3, 2]]
    )
    assert tuned.centroids.shape == (5, 5)
    # New centroids are uniform in [0, 1], as in a new model.
    new = tuned.centroids.numpy()[[1, 4]]
    assert ((0 <= new) & (new <= 1)).all()
    assert tuned.get_config() == {
        **model.get_config(),
        "num_classes": 4,
        # Warm-ups depend on the size of the training set.
        "warmup_steps": 0,
        "background_warmup_steps": 0,
    }


@pytest.mark.parametrize(
    ("own", "wanted", "message"),
    [
        (("a", "b"), ("a",), "own has 2 names, the model 3 actions"),
        (("a", "b", "a"), ("a",), "a name is twice"),
        (("a", "b", "c"), ("a", "a"), "a name is twice"),
    ],
)
def test_with_classes_refuses_wrong_lists(own, wanted, message):
    with pytest.raises(ValueError, match=message):
        random_model().with_classes(own, wanted)


def test_a_frozen_model_is_loaded_frozen(tmp_path):
    model = random_model()
    model.trainable = False
    model.save(tmp_path / "frozen.keras")
    loaded = keras.models.load_model(tmp_path / "frozen.keras")
    assert not loaded.classifier.trainable_variables


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "foo"}, "activation=foo: must be one of weighted"),
        ({"attention": "linear"}, "attention=linear: must be one of"),
        ({"classifier": ""}, "classifier=: must be one of own, shared"),
        ({"branches": "none"}, "branches=none: must be one of"),
        ({"labels": "soft"}, "labels=soft: must be one of"),
        ({"guide_reduction": "max"}, "guide_reduction=max: must be one of"),
        ({"sigma": (8,)}, "sigma=8: 3 values are needed"),
        ({"sigma": (8, 2, 0)}, "sigma=8,2,0: must be at least 1"),
        ({"dropout": float("nan")}, "dropout=nan: must be at least 0"),
        ({"lambda_smt": -1.0}, "lambda_smt=-1.0: must be at least 0"),
        ({"num_classes": 0}, "num_classes=0: must be at least 1"),
        ({"feature_dim": 0}, "feature_dim=0: must be at least 1"),
        ({"warmup_steps": -1}, "warmup_steps=-1: must be at least 0"),
        (
            {"background_warmup_steps": -1},
            "background_warmup_steps=-1: must be at least 0",
        ),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfwstal.TwoStreamLocalizer(
            **{"num_classes": 3, "feature_dim": 5, **arguments}
        )


def test_an_unknown_option_is_refused():
    with pytest.raises((TypeError, ValueError), match="lambda_smd"):
        tfwstal.TwoStreamLocalizer(3, 5, lambda_smd=0.1)


@pytest.mark.parametrize(
    "given",
    [
        {"loss": "mse"},
        {"metrics": ["accuracy"]},
        {"weighted_metrics": ["accuracy"]},
        {"loss_weights": [1.0]},
    ],
    ids=str,
)
def test_compile_refuses_what_would_be_ignored(given):
    (name,) = given
    with pytest.raises(ValueError, match=rf"compile\({name}=.*leave it out"):
        random_model().compile(optimizer="sgd", **given)


def test_a_file_with_loss_weights_in_one_tuple_still_loads():
    model = random_model(loss_weights=LOSS_WEIGHTS)
    config = model.get_config()
    for name in LAMBDAS:
        del config[name]
    config["loss_weights"] = list(LOSS_WEIGHTS)
    again = tfwstal.TwoStreamLocalizer.from_config(config)
    assert again.get_config() == model.get_config()


def test_the_foreground_starts_with_its_bias():
    model = tfwstal.TwoStreamLocalizer(3, 5, attention_bias=2.5)
    bias = model.attention.scores.bias
    np.testing.assert_array_equal(bias, [2.5, 0, 0])


@pytest.mark.parametrize("traced", [False, True])
def test_more_snippets_than_features_are_refused(traced):
    model = random_model(2)
    call = tf.function(model) if traced else model
    inputs, _ = random_batch([8, 5], seed=0)
    call(inputs)
    inputs["num_snippets"] = np.array([9, 5], np.int32)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="num_snippets exceeds T"
    ):
        call(inputs)
