"""Half precision: only matrix products use it; losses are scaled."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import random_batch, random_model
from tfwstal import inference, keras_versions, train
from tfwstal.config import Config
from tfwstal.errors import Diverged
from tfwstal.keras_versions import KERAS_3
from tfwstal.method.model import TwoStreamLocalizer
from tfwstal.training import optimizers, run_folder
from tfwstal.training.callbacks import StopAtNonFinite

HALF = ("mixed_bfloat16", "mixed_float16")[: 1 + KERAS_3]
scaled = pytest.mark.skipif(
    not KERAS_3, reason="Keras 2.15 scales losses differently"
)
# Largest relative error of one rounding.
STEP = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}


def history_of(records, run_dir, precision):
    config = Config(
        data_dir=str(records),
        run_dir=str(run_dir),
        precision=precision,
        num_snippets=20,
        batch_size=4,
        epochs=3,
        learning_rate=0.01,
        dropout=0.0,
        xla="off",
        watch_every=0,
    )
    train.main(config)
    with open(run_dir / "history.csv") as file:
        return config, list(csv.DictReader(file))


def test_a_run_is_near_that_in_float32(records, tmp_path):
    _, exact = history_of(records, tmp_path / "exact", "float32")
    for precision in HALF:
        run_dir = tmp_path / precision
        config, rows = history_of(records, run_dir, precision)
        assert len(rows) == len(exact) == 3
        # Three steps with the tolerance of test_invariance for one.
        for row, expected in zip(rows, exact, strict=True):
            for name, value in expected.items():
                assert float(row[name]) == pytest.approx(
                    float(value), rel=18 * STEP[precision], abs=STEP[precision]
                ), name
        assert rows != exact  # something was rounded
        check_that_readers_compute_in_float32(run_dir, config)


def check_that_readers_compute_in_float32(run_dir, config):
    model, _ = run_folder.load(run_dir)
    for layer in (model, model.residual_block.conv, model.classifier):
        assert layer.compute_dtype == "float32"
    inputs, _ = random_batch([5, 9])
    same = TwoStreamLocalizer(3, 5)
    same.set_weights(model.get_weights())
    for name, value in same(inputs).items():
        np.testing.assert_array_equal(value, model(inputs)[name])
    detect = inference.make_detector(model, config.localization_settings())
    found = detect(inputs["features"], inputs["num_snippets"], [0.64, 0.64])
    assert int(found["num_detections"].numpy().min()) > 0


@pytest.mark.parametrize("precision", HALF)
def test_weights_are_float32_and_products_are_not(precision, tmp_path):
    model = random_model(dtype=precision, classifier="own")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs, _ = random_batch([5, 9])
    copies = (loaded, model.with_classes("abc", "bcd"))
    # Keras 2.15 forgets a model's policy.
    for each in (model, *copies[: 2 * KERAS_3]):
        for weight in each.trainable_variables:
            assert tf.as_dtype(weight.dtype) == tf.float32
        half = precision.removeprefix("mixed_")
        for layer in (
            each.residual_block,
            each.residual_block.conv,
            each.attention.scores,
            each.classifier,
            each.pooled_classifier,
        ):
            assert layer.compute_dtype == half
        assert each(inputs)["embedding"].dtype == half
    if KERAS_3:
        np.testing.assert_array_equal(
            model(inputs)["video_scores"], loaded(inputs)["video_scores"]
        )


def compiled(precision, **arguments):
    model = random_model(dtype=precision, dropout=0.0, **arguments)
    model.compile(optimizer=optimizers.make_optimizer("sgd", 0.01))
    keras_versions.build_optimizer(model)
    return model


@scaled
def test_the_logged_norm_is_of_gradients_without_scale():
    inputs, actions = random_batch([4, 6])
    norms = [
        compiled(precision)
        .fit(inputs, actions, verbose=0)
        .history["gradient_norm"][0]
        for precision in ("float32", "mixed_float16")
    ]
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(norms[0], rel=0.01)


@scaled
def test_a_step_that_overflows_float16_is_skipped():
    inputs, actions = random_batch([4, 6])
    model = compiled("mixed_float16")
    scale = model.optimizer.dynamic_scale
    scale.assign(2.0**40)
    before = [np.array(weight) for weight in model.trainable_variables]
    stop = StopAtNonFinite(lambda epoch, step: ["video"])
    arguments = {"epochs": 1, "verbose": 0, "callbacks": [stop]}
    history = model.fit(inputs, actions, **arguments).history
    assert float(np.array(scale)) == 2.0**39
    for weight, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert np.isfinite(history["loss"][0])
    assert history["gradient_norm"][0] == 0.0  # no step was counted
    # The scale falls until the steps count again.
    history = model.fit(inputs, actions, **arguments | {"epochs": 40}).history
    assert history["gradient_norm"][-1] > 0.01
    assert history["loss"][-1] < history["loss"][0]


@scaled
def test_gradients_that_overflow_without_a_scale_stop_the_training():
    inputs, actions = random_batch([4, 6])
    model = compiled("mixed_float16", loss_weights=(1e6, 0, 0, 0, 0))
    model.optimizer.dynamic_scale.assign(1.0)
    stop = StopAtNonFinite(lambda epoch, step: ["video"])
    with pytest.raises(Diverged, match="norm of the gradients"):
        model.fit(inputs, actions, verbose=0, callbacks=[stop])
