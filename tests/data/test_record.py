import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import random_record
from tfwstal.data import record as record_format

RECORD = dataclasses.replace(
    random_record("v", 4, (1, 3)),
    segments=((0.5, 1.25, "a", 1), (2.0, 2.0, "c", 3)),
    duration=2.56,
    fps=29.97,
    frames_per_snippet=8,
)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("in_graph", [False, True])
def test_parse_gives_back_what_was_encoded(dtype, in_graph):
    record = dataclasses.replace(RECORD, features=RECORD.features.astype(dtype))
    serialized = record_format.encode(record)
    if in_graph:
        dataset = tf.data.Dataset.from_tensors(serialized)
        (video,) = dataset.map(lambda s: record_format.parse_video(s, 5))
    else:
        video = record_format.parse_video(serialized, 5)
    assert video["video_id"].numpy() == b"v"
    assert video["features"].dtype == tf.float32
    np.testing.assert_array_equal(video["features"], record.features)
    assert int(video["num_snippets"]) == 4
    assert video["label_indices"].numpy().tolist() == [1, 3]
    assert float(video["seconds_per_snippet"]) == pytest.approx(8 / 29.97)


def test_encoding_is_always_the_same_bytes():
    assert record_format.encode(RECORD) == record_format.encode(
        dataclasses.replace(RECORD)
    )


@pytest.mark.parametrize("length", [1, 6, 7, 31, 33, 900, 110_000])
def test_encoding_is_that_of_protocol_buffers(length):
    """For lengths whose sizes are written with one to four bytes."""
    record = dataclasses.replace(
        RECORD, features=np.ones((length, 5), np.float32)
    )
    encoded = record_format.encode(record)
    example = tf.train.Example.FromString(encoded)
    assert len(example.features.feature) == 13
    assert example.SerializeToString(deterministic=True) == encoded


def test_ground_truth_comes_back_to_the_microsecond():
    truth = record_format.parse_ground_truth(record_format.encode(RECORD))
    np.testing.assert_array_equal(truth["segments"], [[0.5, 1.25], [2, 2]])
    assert truth["label_indices"].numpy().tolist() == [1, 3]
    assert float(truth["duration"]) == 2.56


def test_training_never_asks_for_segments():
    asked = tf.train.Example.FromString(record_format.encode(RECORD))
    for key in list(asked.features.feature):
        if key.startswith("segment/"):
            del asked.features.feature[key]
    video = record_format.parse_video(asked.SerializeToString(), 5)
    np.testing.assert_array_equal(video["features"], RECORD.features)


def test_another_width_is_refused():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        record_format.parse_video(record_format.encode(RECORD), 6)


def test_multi_hot():
    hot = record_format.multi_hot(tf.constant([1, 3, 3], tf.int64), 4)
    np.testing.assert_array_equal(hot, [1, 0, 1, 0])
    none = record_format.multi_hot(tf.constant([], tf.int64), 4)
    np.testing.assert_array_equal(none, [0, 0, 0, 0])


def test_a_segment_without_its_class_is_refused():
    example = tf.train.Example.FromString(record_format.encode(RECORD))
    del example.features.feature["segment/label/index"].int64_list.value[1:]
    with pytest.raises(tf.errors.InvalidArgumentError, match="without a class"):
        record_format.parse_ground_truth(example.SerializeToString())
