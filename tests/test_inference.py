import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import random_batch, random_model
from tfwstal import inference
from tfwstal.method.options import LocalizationSettings

LENGTHS = [1, 60, 7, 33]
SECONDS = np.array([0.64, 0.5, 1.0, 0.64], np.float32)
SETTINGS = LocalizationSettings(eta=(0.125, 0.25, 0.5), max_detections=50)


@pytest.fixture(scope="module")
def model():
    return random_model(num_classes=3, feature_dim=5)


@pytest.fixture(scope="module")
def detector(model):
    return inference.make_detector(model, SETTINGS)


def test_each_video_of_a_batch_is_answered_as_alone(model, detector):
    inputs, _ = random_batch(LENGTHS, padding=np.nan)
    wider = np.pad(
        inputs["features"], [(0, 0), (0, 9), (0, 0)], constant_values=np.nan
    )
    together = detector(wider, inputs["num_snippets"], SECONDS)
    assert together["segments"].shape == (4, 50, 2)
    for row, length in enumerate(LENGTHS):
        own = inputs["features"][row, :length]
        eager = inference.localize_alone(
            inference.outputs_alone(model, tf.constant(own)),
            SECONDS[row],
            SETTINGS,
        )
        count = int(together["num_detections"][row])
        assert count == int(eager["num_detections"]) > 0
        for name in ("segments", "class_indices", "scores"):
            found = together[name][row].numpy()
            np.testing.assert_allclose(
                found, eager[name], rtol=1e-5, atol=1e-6, err_msg=name
            )
            assert not found[count:].any()
        ends = together["segments"][row, :count, 1].numpy()
        assert (ends <= length * SECONDS[row] * (1 + 1e-6)).all()


def test_the_graph_of_one_video_is_the_model(model):
    forward = inference.make_forward(model)
    inputs, _ = random_batch(LENGTHS)
    together = model(inputs)
    for row, length in enumerate(LENGTHS):
        outputs = forward(inputs["features"][row, :length])
        assert set(outputs) == set(together)
        for name, value in outputs.items():
            own = together[name][row][: value.shape[0]]
            np.testing.assert_allclose(
                value, own, rtol=1e-4, atol=1e-5, err_msg=name
            )
    assert forward.experimental_get_tracing_count() == 1


def test_one_graph_serves_all_lengths(detector):
    for length in (1, 5, 40):
        detector(
            np.zeros((1, length, 5), np.float32),
            np.array([length], np.int32),
            np.array([0.64], np.float32),
        )
    assert detector.experimental_get_tracing_count() == 1


def test_entries_name_the_detections_best_first(detector):
    inputs, _ = random_batch([60])
    found = detector(
        inputs["features"], inputs["num_snippets"], np.float32([0.5])
    )
    alone = {name: value[0] for name, value in found.items()}
    entries = inference.entries(alone, ("a", "b", "c"))
    assert len(entries) == int(found["num_detections"][0]) > 1
    for i, each in enumerate(entries):
        assert each["label"] == "?abc"[int(found["class_indices"][0, i])]
        assert each["score"] == float(found["scores"][0, i])
        assert each["segment"] == found["segments"][0, i].numpy().tolist()
    scores = [each["score"] for each in entries]
    assert scores == sorted(scores, reverse=True)
