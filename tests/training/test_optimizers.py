"""Optimizers by name, with and without tensorflow-addons."""

import csv
import dataclasses
import importlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import (
    HAS_ADDONS,
    random_batch,
    random_model,
    tensorflow_addons,
)
from tfwstal import localize, train
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.keras_versions import KERAS_3
from tfwstal.training import callbacks, optimizers, run_folder

KERAS = [
    kind.__name__ for kind in optimizers._classes(keras.optimizers).values()
]
WRAPPED = [
    "Lookahead(RectifiedAdam)",
    "SWA(SGD)",
    "Lookahead(SGD)",
    "movingaverage(adamw)",
]
FAST = Config(
    num_snippets=20,
    batch_size=4,
    epochs=20,
    learning_rate=0.05,
    dropout=0.0,
    warmup_epochs=0.0,
    eta=(0.3, 0.5),
    tiou_thresholds=(0.1,),
    watch_every=0,
)


def run(records, run_dir, **changes):
    train.main(
        dataclasses.replace(
            FAST, data_dir=str(records), run_dir=str(run_dir), **changes
        )
    )
    return run_dir


def losses(run_dir):
    with open(run_dir / "history.csv") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def weights(run_dir):
    model = run_folder.load(run_dir)[0]
    return [np.array(weight) for weight in model.trainable_variables]


def moved(optimizer, steps=1):
    """Whether some steps change all weights of a model."""
    model = random_model()
    model.compile(optimizer=optimizer)
    before = [np.array(weight) for weight in model.trainable_variables]
    data = random_batch([6, 9])
    for _ in range(steps):  # not compiled, which would take long for each
        model.train_step(data)
    after = [np.array(weight) for weight in model.trainable_variables]
    assert all(np.isfinite(weight).all() for weight in after)
    return not any(
        np.array_equal(one, other)
        for one, other in zip(before, after, strict=True)
    )


@pytest.mark.parametrize("name", KERAS)
def test_every_one_of_keras_trains(name):
    assert moved(
        optimizers.make_optimizer(
            name.upper(), 0.01, weight_decay=0.1, clip_norm=1.0, ema=0.9
        )
    )
    assert moved(optimizers.make_optimizer(name, 0.01, warmup_steps=5))


@pytest.mark.parametrize("name", ["AdamW", "Lion"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_weights_decay_by_what_the_flag_says(name, decay):
    weight = getattr(keras, "Variable", tf.Variable)([2.0])
    optimizer = optimizers.make_optimizer(name, 0.5, weight_decay=decay)
    optimizer.apply_gradients([(tf.zeros(1), weight)])
    # Decoupled: w - lr decay w; AdamW's own default would be 0.004.
    assert float(np.array(weight)[0]) == pytest.approx(2 - 0.5 * decay * 2)


def test_ema_is_evaluated_and_is_the_final_model(
    records, tmp_path, monkeypatch
):
    """The expected average of the weights after each step is computed here."""
    begun, raw, evaluated = [], [], []

    def watch(kind, name, notes):
        function = getattr(kind, name)

        def noted(self, *arguments, **named):
            notes.append([np.array(w) for w in self.model.trainable_variables])
            return function(self, *arguments, **named)

        monkeypatch.setattr(kind, name, noted)

    watch(callbacks.StopAtNonFinite, "on_epoch_begin", begun)
    watch(callbacks.StopAtNonFinite, "on_train_batch_end", raw)
    watch(callbacks.LocalizationEvaluation, "_evaluate", evaluated)
    folder = run(records, tmp_path / "run", epochs=2, ema=0.7, eval_every=1)

    # Keras 3 starts with the weights after the first step, 2.15 before it.
    averages = [raw[0] if KERAS_3 else begun[0]]
    for values in raw:
        averages.append(
            [
                0.7 * average + 0.3 * value
                for average, value in zip(averages[-1], values, strict=True)
            ]
        )
    assert (len(raw), len(begun), len(evaluated)) == (4, 2, 2)
    for found, expected, tolerance in (
        (evaluated[0], averages[2], 1e-5),
        (evaluated[1], averages[4], 1e-5),
        (weights(folder), averages[4], 1e-5),
        (begun[1], raw[1], 0),  # evaluation does not affect training
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(
                one, other, rtol=tolerance, atol=tolerance
            )


def test_an_unknown_name_gets_the_list():
    with pytest.raises(InputError, match="unknown; choose from .*Adam, .*Lion"):
        optimizers.make_optimizer("adma", 0.1)
    with pytest.raises(InputError, match="RectifiedAdam, SGDW, SWA, Yogi"):
        optimizers.make_optimizer("tf.keras.Adam", 0.1)


@pytest.mark.parametrize("name", ["Adam(SGD)", "Lookahead(SWA)", "SWA(swa)"])
def test_a_wrapper_without_an_optimizer_is_refused(name):
    with pytest.raises(InputError, match="wrap another optimizer"):
        optimizers.make_optimizer(name, 0.1)


def test_weight_decay_is_refused_if_not_supported(monkeypatch):
    class Plain:
        def __init__(self, learning_rate):
            pass

        apply_gradients = None

    monkeypatch.setattr(keras.optimizers, "Plain", Plain, raising=False)
    optimizers.make_optimizer("plain", 0.1)
    with pytest.raises(InputError, match="plain does not have --weight_decay"):
        optimizers.make_optimizer("plain", 0.1, weight_decay=0.1)
    with pytest.raises(InputError, match="learning_rate and global_clipnorm"):
        optimizers.make_optimizer("plain", 0.1, clip_norm=0.1)


@pytest.mark.skipif(HAS_ADDONS, reason="tensorflow-addons is installed")
@pytest.mark.parametrize("name", [*optimizers.ADDONS, *WRAPPED])
def test_without_tensorflow_addons_the_error_says_how_to_get_it(name):
    if name.lower() in map(str.lower, KERAS):  # Keras 3 also has Lamb
        return
    with pytest.raises(InputError) as found:
        optimizers.make_optimizer(name, 0.1)
    message = str(found.value)
    assert "\n" not in message
    assert "pip install 'tfwstal[addons]'" in message
    assert "Python 3.10 or 3.11" in message
    outer = name.partition("(")[0]
    remedy = {key.lower(): value for key, value in optimizers.ADDONS.items()}
    assert message.endswith(remedy[outer.lower()])


@pytest.mark.skipif(not KERAS_3, reason="Keras 2.15 has fewer optimizers")
def test_what_serves_the_same_end_is_there():
    for remedy in optimizers.ADDONS.values():
        for name in remedy.partition(" with ")[0].split(", "):
            assert name in KERAS or name.startswith("--ema")


@tensorflow_addons
class TestAddons:
    @pytest.mark.filterwarnings("ignore:\\s+TensorFlow Addons:UserWarning")
    def test_the_list_is_theirs(self):
        tfa = importlib.import_module("tensorflow_addons")
        known = set(optimizers._classes(tfa.optimizers))
        # Base classes are left out, and so is AdamW, which Keras has itself.
        known -= {"averagedoptimizerwrapper", "adamw", "keraslegacyoptimizer"}
        known -= {"decoupledweightdecayextension"}
        assert {name.lower() for name in optimizers.ADDONS} == known

    @pytest.mark.parametrize("name", [*optimizers.ADDONS, *WRAPPED])
    def test_each_trains_or_says_why_not(self, name):
        if name == "COCOB":
            message = "needs more arguments than learning_rate"
            with pytest.raises(InputError, match=message):
                optimizers.make_optimizer(name, 0.01)
            return
        made = optimizers.make_optimizer(name, 0.01, clip_norm=1.0)
        assert moved(made, steps=7)

    @pytest.mark.parametrize("name", [*optimizers.ADDONS, *WRAPPED])
    def test_each_takes_a_rising_rate_or_says_why_not(self, name):
        if name in ("COCOB", "ConditionalGradient"):
            with pytest.raises(InputError, match="argument|rate_warmup_epochs"):
                optimizers.make_optimizer(name, 0.01, warmup_steps=5)
            return
        made = optimizers.make_optimizer(name, 0.01, warmup_steps=5)
        assert moved(made, steps=7)

    @pytest.mark.parametrize(
        ("name", "xla"), [("RectifiedAdam", "off"), ("Lookahead", "on")]
    )
    def test_it_learns_and_the_model_loads_and_localizes(
        self, name, xla, records, tmp_path
    ):
        start = run(records, tmp_path / "start", epochs=0)
        folder = run(records, tmp_path / "run", optimizer=name, xla=xla)
        history = losses(folder)
        assert history[-1] < 0.9 * history[0]
        assert any(
            not np.array_equal(one, other)
            for one, other in zip(weights(start), weights(folder), strict=True)
        )
        loaded = keras.models.load_model(folder / "model.keras")
        loaded.train_step(random_batch([5, 9]))  # with the saved optimizer
        localize.main(
            dataclasses.replace(
                FAST,
                run_dir=str(folder),
                data_dir=str(records),
                detections=str(tmp_path / "found.json"),
            )
        )
        assert (tmp_path / "found.json").exists()

    def test_lookahead_pulls_adam_back_every_sixth_step(self):
        """Slow weights move half the way (Zhang et al. 2019, Algorithm 1)."""
        kind = keras.optimizers.legacy.Adam
        fast = tf.Variable([1.0, -2.0])
        variable = tf.Variable([1.0, -2.0])
        slow = np.array([1.0, -2.0])
        adam = kind(0.1)
        lookahead = optimizers.make_optimizer("Lookahead", 0.1)
        for step in range(1, 14):
            adam.apply_gradients([(2 * fast, fast)])
            lookahead.apply_gradients([(2 * variable, variable)])
            if step % 6 == 0:
                slow = slow + 0.5 * (fast.numpy() - slow)
                fast.assign(slow)
            np.testing.assert_allclose(variable, fast, rtol=1e-6)

    def test_a_moving_average_is_the_final_model(self, records, tmp_path):
        same = {"epochs": 3, "learning_rate": 0.1}
        sgd = weights(run(records, tmp_path / "sgd", optimizer="sgd", **same))
        averaged = weights(
            run(
                records,
                tmp_path / "average",
                optimizer="MovingAverage(SGD)",
                eval_every=1,
                **same,
            )
        )
        start = weights(run(records, tmp_path / "start", epochs=0))
        # With a decay of 0.99, six steps leave the weights near the start.
        far, near = (
            sum(np.abs(x - y).sum() for x, y in zip(after, start, strict=True))
            for after in (sgd, averaged)
        )
        assert 0 < near < 0.1 * far

    def test_ema_is_only_for_optimizers_of_keras(self):
        with pytest.raises(InputError, match="MovingAverage"):
            optimizers.make_optimizer("RectifiedAdam", 0.1, ema=0.9)

    def test_weight_decay_and_clipping_reach_it(self):
        made = optimizers.make_optimizer(
            "Lookahead(RectifiedAdam)", 0.1, weight_decay=0.2, clip_norm=0.3
        )
        assert made.global_clipnorm == pytest.approx(0.3)
        inner = made._optimizer.get_config()
        assert inner["weight_decay"] == pytest.approx(0.2)
        assert inner["learning_rate"] == pytest.approx(0.1)
        with pytest.raises(InputError, match="Yogi does not have --weight"):
            optimizers.make_optimizer("Yogi", 0.1, weight_decay=0.2)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_rate_rises_in_its_first_steps(steps):
    weight = getattr(keras, "Variable", tf.Variable)([0.0])
    optimizer = optimizers.make_optimizer("sgd", 0.5, warmup_steps=steps)
    seen = []
    for _ in range(6):
        optimizer.apply_gradients([(-tf.ones(1), weight)])
        seen.append(float(np.array(weight)[0]))
    rates = [0.5 * min((step + 1) / steps, 1) for step in range(6)]
    np.testing.assert_allclose(seen, np.cumsum(rates), rtol=1e-6)


def test_a_run_whose_rate_rises_loads_and_trains_on(records, tmp_path):
    folder = run(records, tmp_path / "run", epochs=2, rate_warmup_epochs=1.5)
    # Loaded as users do: only the model's class is imported.
    load = (
        "import sys, keras; from tfwstal import TwoStreamLocalizer; "
        "model = keras.models.load_model(sys.argv[1]); "
        "print(model.optimizer.get_config()['learning_rate']['class_name'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", load, str(folder / "model.keras")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["PolynomialDecay"]
    model = keras.models.load_model(folder / "model.keras")
    model.fit(*random_batch([6, 9]), verbose=0)
