"""Bad requests are refused with a message and do not affect the process."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import random_batch, random_model, random_record
from tests.serving.serving_session import ServedModel
from tfwstal.data import record as record_format
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import request_checks, saved_model

WIDTH = 5
LIMIT = 500
# Ten thousand pass too; this number takes seconds.
MALFORMED = 1500
REPEATED = 600


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    path = tmp_path_factory.mktemp("requests") / "1"
    saved_model.export(
        random_model(feature_dim=WIDTH),
        ("a", "b", "c"),
        LocalizationSettings(eta=(0.2, 0.4, 0.6), max_detections=40),
        0.64,
        path,
        max_snippets=LIMIT,
    )
    served = ServedModel(path)
    yield served
    served.close()


def arrays(shape=(2, 7, WIDTH), num_snippets=(7, 3)):
    rng = np.random.default_rng(0)
    return {
        "features": rng.normal(size=shape).astype(np.float32),
        "num_snippets": np.asarray(num_snippets, np.int32),
    }


def with_value(value, snippet):
    inputs = arrays()
    inputs["features"][1, snippet, 2] = value
    return inputs


BAD_ARRAYS = {
    "width": (arrays((2, 7, 6)), r"features.*\[2,7,6\].*\[\?,\?,5\]"),
    "rank 2": (arrays((7, WIDTH), (7,)), r"features.*\[7,5\].*\[\?,\?,5\]"),
    "rank 4": (arrays((2, 7, WIDTH, 1)), r"features.*\[2,7,5,1\].*\[\?,\?,5\]"),
    "rank 0": (arrays(()), r"features.*\[\].*\[\?,\?,5\]"),
    "no video": (
        arrays((0, 7, WIDTH), ()),
        r"from 1 to 1024 videos, not.*\[0\]",
    ),
    "too many videos": (
        arrays((1025, 1, WIDTH), [1] * 1025),
        r"from 1 to 1024 videos, not.*\[1025\]",
    ),
    "no snippet": (arrays((2, 0, WIDTH), (0, 0)), "from 1 to 500 snippets"),
    "too many": (
        arrays((1, LIMIT + 1, WIDTH), (3,)),
        r"from 1 to 500 snippets, not.*\[501\]",
    ),
    "100 000": (
        arrays((1, 100_000, WIDTH), (100_000,)),
        r"from 1 to 500 snippets, not.*\[100000\]",
    ),
    "longer than T": (arrays(num_snippets=(7, 8)), r"between 1 .*\[7 8\]"),
    "zero": (arrays(num_snippets=(7, 0)), r"between 1 .*\[7 0\]"),
    "negative": (arrays(num_snippets=(-1, 7)), r"between 1 .*\[-1 7\]"),
    "lengths' rank": (
        arrays(num_snippets=((7, 3),)),
        r"num_snippets.*\[1,2\].*\[\?\]",
    ),
    "one length": (arrays(num_snippets=7), r"num_snippets.*\[\].*\[\?\]"),
    "missing length": (
        arrays(num_snippets=(7,)),
        "one for each of the videos.*2.*7",
    ),
    "NaN": (with_value(np.nan, 2), r"features of video.*\[1\].* are NaN"),
    "infinite": (
        with_value(-np.inf, 2),
        r"features of video.*\[1\].* infinite",
    ),
    "overflow": (with_value(3e38, 2), r"features of video.*\[1\].* so large"),
    "features' dtype": (
        {**arrays(), "features": np.ones((2, 7, WIDTH))},
        "double",
    ),
    "lengths' dtype": (
        {**arrays(), "num_snippets": np.array([7, 3])},
        "int64",
    ),
}


@pytest.mark.parametrize("signature", ["features", "activations"])
@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays(served, signature, case):
    inputs, message = BAD_ARRAYS[case]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served(signature, **inputs)


def test_padding_may_hold_anything(served):
    plain = served("features", **arrays())
    assert (plain["num_detections"] > 0).all()
    nan = served("features", **with_value(np.nan, 3))
    for name, value in plain.items():
        np.testing.assert_array_equal(nan[name], value)


RECORD = random_record("v", 7)


def record(**changes):
    return record_format.encode(dataclasses.replace(RECORD, **changes))


def changed(key, **lists):
    """A record in which one feature holds other values, or none."""
    example = tf.train.Example.FromString(record())
    del example.features.feature[key]
    for kind, values in lists.items():
        getattr(example.features.feature[key], kind).value.extend(values)
    return example.SerializeToString()


def features_with(value):
    features = RECORD.features.copy()
    features[3, 1] = value
    return features


BAD_RECORDS = {
    "no record": (b"garbage", r"example id: examples\[1\]"),
    "megabytes": (np.random.default_rng(0).bytes(2**22), r"examples\[1\]"),
    "truncated": (record()[:-9], r"examples\[1\]"),
    "empty": (b"", "I3D/feature/bytes.* is required"),
    "no shape": (changed(record_format.SHAPE), "dimensions"),
    "rank": (
        changed(record_format.SHAPE, int64_list=[7, WIDTH, 1]),
        "I3D/feature/dimensions",
    ),
    "width": (
        record(features=np.ones((7, 6), np.float32)),
        r"I3D/feature/dimensions must be \[snippets, 5\], not\D*7\D*6",
    ),
    "zero snippets": (
        record(features=np.ones((0, WIDTH), np.float32)),
        r"must be \[snippets, 5\]",
    ),
    "negative": (
        changed(record_format.SHAPE, int64_list=[-7, WIDTH]),
        r"must be \[snippets, 5\]",
    ),
    "immense": (
        changed(record_format.SHAPE, int64_list=[2**62, WIDTH]),
        "as many bytes as",
    ),
    "fewer bytes": (
        changed(record_format.FEATURES, bytes_list=[bytes(7 * WIDTH * 4 - 1)]),
        "as many bytes as",
    ),
    "more bytes": (
        changed(record_format.FEATURES, bytes_list=[bytes(8 * WIDTH * 4)]),
        "as many bytes as",
    ),
    "dtype": (
        record(features=RECORD.features.astype(np.float64)),
        "must be float16 or float32",
    ),
    "kind": (changed(record_format.FPS, int64_list=[25]), "I3D/frame/rate"),
    "no rate": (record(fps=0.0), "I3D/frame/rate"),
    "reversed": (record(fps=-25.0), "I3D/frame/rate"),
    "rate NaN": (record(fps=np.nan), "I3D/frame/rate"),
    "no frames": (record(frames_per_snippet=0), "frames_per_snippet"),
    "NaN": (record(features=features_with(np.nan)), r"video.*\[1\].* are NaN"),
    "infinite": (
        record(features=features_with(np.inf)),
        r"video.*\[1\].* infin",
    ),
    "overflow": (
        record(features=features_with(3e38)),
        r"video.*\[1\].* so large",
    ),
    "too long": (
        record(features=np.ones((LIMIT + 1, WIDTH), np.float32)),
        r"video.*\[1\].* more than 500 snippets.*501",
    ),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_bad_records(served, case):
    bad, message = BAD_RECORDS[case]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as found:
        served("serving_default", examples=np.array([record(), bad], object))
    # gRPC can carry a message of this size.
    assert len(found.value.message) < 4096


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (np.array([], object), r"from 1 to 1024 videos, not.*\[0\]"),
        (np.array([record()] * 1025, object), "from 1 to 1024 videos, not"),
        (np.array(record(), object), r"examples.* \[\] .*\[\?\]"),
        (np.array([[record()]], object), r"examples.*\[1,1\].*\[\?\]"),
        (np.ones(2, np.float32), "float"),
    ],
    ids=["no video", "too many", "rank 0", "rank 2", "dtype"],
)
def test_bad_examples(served, examples, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served("serving_default", examples=examples)


def random_arrays(rng):
    """Arrays that are almost never valid."""
    shape = rng.integers(0, 9, rng.integers(0, 6))
    if rng.random() < 0.5:
        shape = (*rng.integers(0, 5, 2), WIDTH)
    features = rng.normal(size=shape)
    features[rng.random(shape) < 0.1] = rng.choice([np.nan, np.inf, 1e38])
    lengths = rng.integers(-3, 9, rng.integers(0, 5, rng.integers(0, 3)))
    return {
        "features": features.astype(rng.choice([np.float32, np.float64])),
        "num_snippets": lengths.astype(rng.choice([np.int32, np.int64])),
    }


def random_bytes(rng, good):
    """A record that is cut or changed at random places, or random bytes."""
    place = rng.integers(len(good))
    kind = rng.integers(4)
    if kind == 0:
        return good[:place]
    if kind == 1:
        return rng.bytes(rng.integers(200))
    if kind == 2:
        return good[:place] + rng.bytes(5) + good[place + rng.integers(9) :]
    changed = bytearray(good)
    for position in rng.integers(0, len(good), rng.integers(1, 4)):
        changed[position] = rng.integers(256)
    return bytes(changed)


def test_random_malformed_requests_between_good_ones(served):
    rng = np.random.default_rng(0)
    good = arrays()
    examples = np.array([record()], object)
    expected = served("features", **good)
    expected_of_record = served("serving_default", examples=examples)
    for answer in (expected, expected_of_record):
        assert (answer["num_detections"] > 0).all()
    refused = 0
    for number in range(MALFORMED):
        try:
            if number % 3:
                bad = [record(), random_bytes(rng, record())]
                served("serving_default", examples=np.array(bad, object))
            else:
                signature = rng.choice(["features", "activations"])
                served(signature, **random_arrays(rng))
        except tf.errors.InvalidArgumentError as error:
            refused += 1
            assert len(error.message) < 4096
        if number % 25 == 0:
            for found, wanted in (
                (served("features", **good), expected),
                (
                    served("serving_default", examples=examples),
                    expected_of_record,
                ),
            ):
                for name, value in wanted.items():
                    np.testing.assert_array_equal(found[name], value)
    # A record with a changed byte in a feature or label is still valid.
    assert refused > 0.6 * MALFORMED


def resident():
    """Resident memory of the process in bytes."""
    status = pathlib.Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("reads the memory from /proc, which is missing")
    return int(status.read_text().split()[1]) * 4096


def test_memory_stays_flat(served):
    inputs, _ = random_batch([1, 60, 7, 33])
    examples = np.array(
        [record_format.encode(random_record("v", 400))] * 2, object
    )

    def serve(times):
        for _ in range(times):
            served("features", **inputs)
            served("activations", **inputs)
            served("serving_default", examples=examples)

    serve(REPEATED // 3)
    before = resident()
    serve(REPEATED)
    # The records alone, 16 kB each time, would add up to 9.6 MB.
    assert resident() - before < 8e6


def test_the_default_limit_is_the_flags():
    from tfwstal.config import Config

    assert Config().max_snippets == request_checks.MAX_SNIPPETS
