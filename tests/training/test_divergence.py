"""Training that diverges stops at once, says where, and keeps a checkpoint."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import (
    random_batch,
    random_model,
    random_record,
    write_records,
)
from tfwstal import train
from tfwstal.config import Config
from tfwstal.data import batches as data_batches
from tfwstal.data import folder
from tfwstal.errors import InputError
from tfwstal.method import losses
from tfwstal.training import checkpoint, optimizers, run_folder
from tfwstal.training.callbacks import StopAtNonFinite

CONFIG = Config(
    num_snippets=20,
    batch_size=3,
    epochs=3,
    checkpoint_minutes=0.0,
    watch_every=0,
    centroids="uniform",  # the means would be huge too
)


@pytest.fixture
def one_is_huge(tmp_path):
    """Records of eight videos; the square of one overflows float32."""
    records = [random_record(f"train_{n}", n) for n in range(5, 13)]
    huge = records[5]
    records[5] = dataclasses.replace(huge, features=huge.features * 1e25)
    write_records(tmp_path / "records", {"train": records})
    return tmp_path / "records"


def batches_of(records, **changes):
    """All batches as the model gets them, epoch by epoch."""
    info = folder.read(records)
    arguments = {
        "num_snippets": 20,
        "batch_size": 3,
        "seed": 0,
        "epochs": 2,
        "repeat": False,
        "static": False,
        **changes,
    }
    return list(
        data_batches.training_batches(
            info, records, **arguments
        ).as_numpy_iterator()
    )


def test_videos_of_a_batch_are_those_that_the_model_sees(one_is_huge):
    info = folder.read(one_is_huge)
    batches = batches_of(one_is_huge)
    assert len(batches) == 6
    for number, (inputs, _) in enumerate(batches):
        videos = data_batches.batch_videos(
            info, one_is_huge, 3, 0, epoch=number // 3, step=number % 3
        )
        # A video's name is its number of snippets; all of them are used.
        lengths = [int(name.removeprefix("train_")) for name in videos]
        assert lengths == inputs["num_snippets"].tolist()


def test_batches_can_start_at_any_step(one_is_huge):
    whole = batches_of(one_is_huge)
    for start in ((0, 1), (0, 2), (1, 0), (1, 2)):
        rest = batches_of(one_is_huge, start=start)
        expected = whole[3 * start[0] + start[1] :]
        assert len(rest) == len(expected)
        for one, other in zip(rest, expected, strict=True):
            np.testing.assert_array_equal(
                one[0]["features"], other[0]["features"]
            )


@pytest.mark.parametrize("xla", ["off", "on"])
def test_the_first_bad_step_is_named_and_the_checkpoint_kept(
    one_is_huge, tmp_path, xla
):
    first = min(
        step
        for step, (inputs, _) in enumerate(batches_of(one_is_huge, epochs=1))
        if np.abs(inputs["features"]).max() > 1e20
    )
    assert first > 0  # there is a good step before it
    info = folder.read(one_is_huge)
    videos = data_batches.batch_videos(info, one_is_huge, 3, 0, 0, first)
    config = dataclasses.replace(
        CONFIG,
        data_dir=str(one_is_huge),
        run_dir=str(tmp_path / "run"),
        xla=xla,
    )
    # The same command stops at the same step again.
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            train.main(config)
        message = str(caught.value)
        assert message.startswith(f"epoch 0, step {first}: the training has")
        assert "smt" in message and ", ".join(videos) in message
        with np.load(tmp_path / "run" / run_folder.CHECKPOINT) as saved:
            assert saved["start"].tolist() == [0, first]
    assert not (tmp_path / "run" / "model.keras").exists()


def test_all_steps_of_an_execution_are_named(one_is_huge, tmp_path):
    config = dataclasses.replace(
        CONFIG,
        data_dir=str(one_is_huge),
        run_dir=str(tmp_path / "run"),
        steps_per_execution=3,
    )
    with pytest.raises(
        InputError, match="epoch 0, one of the steps 0 to 2: the training has"
    ) as caught:
        train.main(config)
    for length in range(5, 13):
        assert f"train_{length}" in str(caught.value)


@pytest.mark.parametrize("xla", [False, True])
def test_a_gradient_alone_is_enough(monkeypatch, xla):
    def no_slope(embedding, centroids, valid):
        # 0, with the gradient 0 * inf.
        return tf.sqrt(0.0 * tf.reduce_sum(embedding - centroids, [1, 2]))

    monkeypatch.setattr(losses, "semantic_loss", no_slope)
    model = random_model()
    model.compile(optimizer="sgd", jit_compile=xla)
    stop = StopAtNonFinite(lambda epoch, step: [f"video_{epoch}_{step}"])
    with pytest.raises(
        InputError, match=r"\(the norm of the gradients is not.*video_0_0;"
    ):
        model.fit(*random_batch([4, 6]), verbose=0, callbacks=[stop])


def test_a_bad_weight_is_never_saved(one_is_huge, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    model = random_model()
    model.compile(optimizer="sgd")
    model.centroids.assign(np.full(model.centroids.shape, np.inf))
    saver = checkpoint.Checkpoint(
        tmp_path, folder.read(one_is_huge), 3, epochs=1, minutes=0.0
    )
    saver.set_model(model)
    with pytest.raises(InputError, match="a weight is not finite"):
        saver.on_train_batch_end(0)
    assert not any((tmp_path / "checkpoints").iterdir())


def test_clipping_scales_all_gradients_together():
    variables = [tf.Variable([0.0]), tf.Variable([0.0, 0.0])]
    gradients = [tf.constant([3.0]), tf.constant([0.0, 4.0])]  # norm 5
    for clip_norm, expected in ((0.0, 1.0), (10.0, 1.0), (0.5, 0.1)):
        optimizer = optimizers.make_optimizer("sgd", 1.0, clip_norm=clip_norm)
        for variable in variables:
            variable.assign(tf.zeros_like(variable))
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for variable, gradient in zip(variables, gradients, strict=True):
            np.testing.assert_allclose(
                variable.numpy(), -expected * gradient.numpy(), rtol=1e-6
            )


def test_the_logged_norm_is_before_clipping():
    inputs, actions = random_batch([4, 6])
    norms, steps = [], []
    for clip_norm in (0.0, 1e-3):
        model = random_model(dropout=0.0)
        before = [np.array(weight) for weight in model.trainable_variables]
        model.compile(
            optimizer=optimizers.make_optimizer("sgd", 1.0, clip_norm=clip_norm)
        )
        history = model.fit(inputs, actions, verbose=0).history
        norms.append(history["gradient_norm"][0])
        moved = [
            np.array(weight) - old
            for weight, old in zip(
                model.trainable_variables, before, strict=True
            )
        ]
        steps.append(np.sqrt(sum(np.sum(each**2) for each in moved)))
    assert norms[0] == pytest.approx(norms[1]) and norms[0] > 0.01
    # With plain gradient descent, a step is as long as its gradient.
    assert steps == pytest.approx([norms[0], 1e-3], rel=1e-3)


def test_deterministic_and_xla_exclude_each_other():
    with pytest.raises(InputError, match="--deterministic and --xla=on"):
        Config(deterministic=True, xla="on")


@pytest.fixture(autouse=True)
def no_names_of_models_before():
    keras.backend.clear_session()
