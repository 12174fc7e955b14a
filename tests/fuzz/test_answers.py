"""Answers of a model server: changed JSON and messages, or random text."""

import json

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tests.fuzz.damage import any_json, changed_json, damaged
from tests.fuzz.limits import fuzzed, reading
from tests.serving.test_answers import (
    METADATA,
    SEGMENTS,
    STATUS,
    VIDEOS,
    over_grpc,
    over_rest,
    to_message,
)
from tfwstal.data.names import name_problem
from tfwstal.serving.grpc_transport import GrpcTransport
from tfwstal.serving.rest_transport import RestTransport
from tfwstal.serving.target import Target

WORDS = ("b64", "dtype", "dim", "size", "inputs", "features", "a")


def assert_valid(found):
    """Checks that detections of VIDEOS can be written and printed."""
    assert len(found) == len(VIDEOS)
    for video in found:
        scores = [each["score"] for each in video]
        assert np.isfinite(scores).all()
        assert scores == sorted(scores, reverse=True)
        for each in video:
            start, end = each["segment"]
            assert 0 <= start <= end < np.inf
            assert not name_problem(each["label"])


@pytest.mark.parametrize(
    ("part", "whole"),
    [("outputs", SEGMENTS), ("status", STATUS), ("metadata", METADATA)],
)
@fuzzed(10_000)
@given(st.data())
def test_json(part, whole, data):
    content = data.draw(changed_json(whole, words=WORDS))
    asked = over_rest(**{part: content})
    with reading():
        assert all(isinstance(each, int) for each in asked.versions())
    with reading():
        asked.signatures()
    with reading():
        assert_valid(asked.localize(VIDEOS))


@fuzzed(10_000)
@given(damaged(to_message(SEGMENTS).SerializeToString()))
def test_messages(content):
    try:
        answer = predict_pb2.PredictResponse.FromString(content)
    except DecodeError:  # here gRPC itself answers INTERNAL
        return
    with reading():
        assert_valid(over_grpc(answer).localize(VIDEOS))


def packed_signatures():
    signatures = get_model_metadata_pb2.SignatureDefMap()
    info = signatures.signature_def["features"].inputs["features"]
    info.dtype = 1
    for size in (-1, -1, 4):
        info.tensor_shape.dim.add().size = size
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.metadata["signature_def"].Pack(signatures)
    return answer


@fuzzed(10_000)
@given(
    damaged(packed_signatures().metadata["signature_def"].value),
    st.integers(0, 99),
)
def test_messages_about_models(content, state):
    answer = packed_signatures()
    answer.metadata["signature_def"].value = content
    status = get_model_status_pb2.GetModelStatusResponse()
    each = status.model_version_status.add()
    each.version, each.state = 3, state
    transport = GrpcTransport(Target("localhost:8500"))
    for method, message in (("signatures", answer), ("versions", status)):
        transport._call = lambda *_, message=message: message
        with reading():
            assert isinstance(getattr(transport, method)(), dict)


@fuzzed(10_000)
@given(
    any_json(*WORDS).map(lambda content: json.dumps(content).encode())
    | damaged(json.dumps({"model_version_status": STATUS}).encode())
)
def test_text_over_rest(text):
    transport = RestTransport(Target("localhost:8501"))
    transport._exchange = lambda *_: (200, text)
    for ask in (transport.versions, transport.signatures):
        with reading():
            ask()
