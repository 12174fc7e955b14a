"""Requests to the served model, and answers of a server to the client."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import random_model, random_record
from tests.fuzz.damage import damaged
from tests.fuzz.limits import fuzzed, reading
from tests.serving.serving_session import ServedModel
from tfwstal.data import record as record_format
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import saved_model
from tfwstal.serving.target import read_token

WIDTH = 5
RECORD = record_format.encode(random_record("v", 7))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "1"
    settings = LocalizationSettings(eta=(0.2, 0.6), max_detections=40)
    saved_model.export(
        random_model(feature_dim=WIDTH),
        ("a", "b", "c"),
        settings,
        0.64,
        path,
        max_snippets=500,
    )
    model = ServedModel(path)
    yield model
    model.close()


def check_served(served, signature, **inputs):
    """Answers, or fails with INVALID_ARGUMENT and a message that fits gRPC."""
    try:
        with reading(error=()):
            answer = served(signature, **inputs)
    except tf.errors.InvalidArgumentError as error:
        assert len(error.message) < 4096
        return
    for name, value in answer.items():
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), name


@fuzzed(5_000, short=10)
@given(st.lists(damaged(RECORD), min_size=1, max_size=2))
def test_records(served, records):
    inputs = np.array([RECORD, *records], object)
    check_served(served, "serving_default", examples=inputs)


SIZE = st.integers(0, 9)
ARRAYS = st.tuples(
    st.lists(SIZE, max_size=4)
    | st.tuples(st.integers(1, 3), st.integers(1, 9), st.just(WIDTH)),
    st.lists(st.integers(-3, 9), max_size=4),
    st.sampled_from([0.5, np.nan, np.inf, 3e38, -1e30]),
    st.sampled_from([np.float32, np.float32, np.float64]),
    st.sampled_from([np.int32, np.int32, np.int64]),
)


@fuzzed(5_000, short=10)
@given(st.sampled_from(["features", "activations"]), ARRAYS)
def test_arrays(served, signature, drawn):
    shape, lengths, value, kind, integers = drawn
    features = np.linspace(-1, 1, int(np.prod(shape)), dtype=kind)
    features[:1] = value
    check_served(
        served,
        signature,
        features=features.reshape(shape),
        num_snippets=np.array(lengths, integers),
    )


@fuzzed(10_000)
@given(damaged(b"token-123\n"))
def test_tokens(tmp_path, content):
    path = pathlib.Path(tmp_path / "token")
    path.write_bytes(content)
    with reading(tmp_path):
        assert read_token(str(path))
