"""Records folders: description, shards and single records."""

import gc
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import random_record, write_records
from tests.fuzz.damage import NUMBERS, changed_json, damaged
from tests.fuzz.limits import fuzzed, reading
from tfwstal.data import feature_cache, folder, reader
from tfwstal.data import record as record_format
from tfwstal.data.names import name_problem

RECORDS = [random_record(f"v{n}", n, (1 + n % 3,)) for n in (1, 3)]
KEYS = [
    value
    for name, value in vars(record_format).items()
    if name.isupper() and isinstance(value, str)
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("records") / "whole"
    write_records(root, {"train": RECORDS, "test": RECORDS[:1]})
    return root


def check_read(root):
    """Reads everything that training and localization read."""
    gc.collect()
    with reading(root):
        info = folder.read(root)
        assert info.classes and not any(map(name_problem, info.classes))
        for split in info.splits:
            count = 0
            with reader.readable(root):
                for video in reader.whole_videos(
                    info, root, split
                ).as_numpy_iterator():
                    count += 1
                    assert video["features"].shape[1] == info.feature_dim
            assert count == info.num_videos(split)
            labels = reader.video_labels(info, root, split)
            truth = reader.ground_truth(info, root, split)
            assert len(labels) == len(truth) == count
            for name, (segments, indices) in truth.items():
                assert not name_problem(name)
                assert len(segments) == len(indices)
        if "train" in info.splits:
            cache = feature_cache.load(info, root)
            assert np.isfinite(cache.class_means).all()


@pytest.fixture(autouse=True, scope="module")
def quick_collections():
    """Keeps the garbage collector's passes short.

    Each example makes some of TensorFlow's graphs. After a thousand of them one
    pass over all objects takes longer than an example may.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def copied(whole, tmp_path):
    """A fresh copy of the records for each example."""
    root = tmp_path / "records"
    shutil.copytree(whole, root)
    return root


@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
@fuzzed(2_000, short=5)
@given(st.data())
def test_descriptions(copied, whole, name, data):
    text = (whole / name).read_text()
    words = ("train", "test", "1", "splits", "shardLengths", "fps")
    changed = changed_json(json.loads(text), words=words).map(
        lambda content: json.dumps(content).encode()
    )
    content = data.draw(changed | damaged(text.encode()))
    (copied / name).write_bytes(content)
    check_read(copied)


@fuzzed(1_000, short=5)
@given(st.data())
def test_shards(copied, whole, data):
    name = folder.shard_name("set", "train", 0, 1)
    content = data.draw(damaged((whole / name).read_bytes()))
    (copied / name).write_bytes(content)
    metadata = json.loads((whole / "metadata.json").read_text())
    metadata["shard_bytes"][name] = len(content)
    (copied / "metadata.json").write_text(json.dumps(metadata))
    check_read(copied)


VALUES = st.sampled_from(
    [float(n) for n in NUMBERS if abs(n) < 1e300] + [3e38, 25.0]
)


@st.composite
def examples(draw):
    """A serialized record with features replaced, removed or made longer."""
    example = tf.train.Example.FromString(record_format.encode(RECORDS[1]))
    for _ in range(draw(st.integers(1, 3))):
        feature = example.features.feature[draw(st.sampled_from(KEYS))]
        kind = draw(st.sampled_from(["bytes", "float", "int64", "remove"]))
        feature.Clear()
        if kind == "bytes":
            items = st.binary(max_size=9) | st.sampled_from(
                [b"", b"float16", b"float32", b"\xff", bytes(60), b"v1"]
            )
            feature.bytes_list.value.extend(draw(st.lists(items, max_size=3)))
        elif kind == "float":
            feature.float_list.value.extend(draw(st.lists(VALUES, max_size=3)))
        elif kind == "int64":
            items = st.integers(-3, 6) | st.sampled_from(
                [2**31, 2**62, -(2**62), 10**12]
            )
            feature.int64_list.value.extend(draw(st.lists(items, max_size=3)))
    return example.SerializeToString()


@fuzzed(1_000, short=10)
@given(
    examples()
    | damaged(record_format.encode(RECORDS[0]))
    | st.just(record_format.encode(RECORDS[0]))
)
def test_records(copied, whole, content):
    """The checksum is correct, and a valid record follows."""
    name = folder.shard_name("set", "train", 0, 1)
    with tf.io.TFRecordWriter(str(copied / name)) as writer:
        writer.write(content)
        writer.write(record_format.encode(RECORDS[0]))
    metadata = json.loads((whole / "metadata.json").read_text())
    metadata["shard_bytes"][name] = (copied / name).stat().st_size
    (copied / "metadata.json").write_text(json.dumps(metadata))
    check_read(copied)
