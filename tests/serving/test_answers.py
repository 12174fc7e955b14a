"""Malformed answers of a server raise one kind of error, and no other."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    predict_pb2,
)

from tfwstal.serving.connection import Connection
from tfwstal.serving.target import ServerError, Target

# Two videos of 10 and 5 snippets of 0.5 s, room for three segments.
LENGTHS = (10, 5)
VIDEOS = [np.ones((length, 4), np.float32) for length in LENGTHS]
SEGMENTS = {
    "segments": [
        [[0.0, 2.0], [1.0, 5.0], [0.0, 0.0]],
        [[0.5, 2.5], [0.0, 0.0], [0.0, 0.0]],
    ],
    "labels": [["a", "b", ""], ["a", "", ""]],
    "class_indices": [[1, 2, 0], [1, 0, 0]],
    "scores": [[0.9, 0.5, 0.0], [0.7, 0.0, 0.0]],
    "num_detections": [2, 1],
    "seconds_per_snippet": [0.5, 0.5],
}
FOUND = [
    [
        {"label": "a", "score": np.float32(0.9), "segment": [0.0, 2.0]},
        {"label": "b", "score": 0.5, "segment": [1.0, 5.0]},
    ],
    [{"label": "a", "score": np.float32(0.7), "segment": [0.5, 2.5]}],
]
ACTIVATIONS = {
    "attention": np.ones((2, 10, 3)).tolist(),
    "activation": np.ones((2, 10, 3, 5)).tolist(),
    "video_scores": np.ones((2, 3, 5)).tolist(),
}
STATUS = [{"version": "3", "state": "AVAILABLE", "status": {}}]
METADATA = {
    "signature_def": {
        "signature_def": {
            "features": {
                "inputs": {
                    "features": {
                        "dtype": "DT_FLOAT",
                        "tensor_shape": {
                            "dim": [
                                {"size": "-1", "name": ""},
                                {"size": "-1", "name": ""},
                                {"size": "4", "name": ""},
                            ]
                        },
                    }
                },
                "outputs": {},
            }
        }
    }
}


def over_rest(outputs=SEGMENTS, status=STATUS, metadata=METADATA):
    """A Connection to a REST server that answers with these values."""
    asked = Connection(Target("localhost:8501"), "rest")

    def exchange(method, path, content):
        answer = {"model_version_status": status}
        if path.endswith("/metadata"):
            answer = {"metadata": metadata}
        if path.endswith(":predict"):
            answer = {"outputs": outputs}
        return 200, json.dumps(answer).encode()

    asked._transport._exchange = exchange
    return asked


def to_message(outputs):
    answer = predict_pb2.PredictResponse()
    kinds = {"class_indices": np.int32, "num_detections": np.int32}
    for name, value in outputs.items():
        dtype = object if name == "labels" else kinds.get(name, np.float32)
        tensor = tf.make_tensor_proto(np.array(value, dtype))
        answer.outputs[name].CopyFrom(tensor)
    return answer


def over_grpc(predicted):
    """A Connection to a gRPC server that answers with a PredictResponse."""
    asked = Connection(Target("localhost:8500"), "grpc")
    asked._signatures = over_rest().signatures()
    asked._transport._call = lambda *_: predicted
    return asked


def with_value(name, value):
    return {**SEGMENTS, name: value}


def test_a_good_answer():
    assert over_rest().versions() == {3: "AVAILABLE"}
    assert over_rest().feature_dim() == 4
    assert over_rest().localize(VIDEOS) == FOUND
    assert over_grpc(to_message(SEGMENTS)).localize(VIDEOS) == FOUND
    # Versions of older exports do not state the time scale in answers.
    older = dict(SEGMENTS)
    del older["seconds_per_snippet"]
    assert over_rest(older).localize(VIDEOS) == FOUND
    assert over_rest({**SEGMENTS, "more": 1.0}).localize(VIDEOS) == FOUND


BAD = {
    "no scores": (
        {k: v for k, v in SEGMENTS.items() if k != "scores"},
        "output 'scores' is missing",
    ),
    "fewer videos": (
        {name: value[:1] for name, value in SEGMENTS.items()},
        r"'segments' has shape \[1, 3, 2\], not \[2, N, 2\]",
    ),
    "more videos": (
        {name: value * 2 for name, value in SEGMENTS.items()},
        r"'segments' has shape \[4, 3, 2\]",
    ),
    "rank": (with_value("scores", [0.9, 0.7]), r"'scores' has shape \[2\]"),
    "places": (
        with_value("scores", [[0.9, 0.5], [0.7, 0.0]]),
        r"'scores' has shape \[2, 2\], not \[2, 3\]",
    ),
    "NaN": (
        with_value("scores", [[0.9, float("nan"), 0.0], [0.7, 0.0, 0.0]]),
        "'scores' holds NaN",
    ),
    "not float32": (
        with_value("scores", [[1e300, 0.5, 0.0], [0.7, 0.0, 0.0]]),
        "'scores' holds NaN or infinite",
    ),
    "count": (with_value("num_detections", [4, 1]), r"counts \[4, 1\] for 3"),
    "negative count": (with_value("num_detections", [2, -1]), "counts"),
    "float count": (
        with_value("num_detections", [2.0, 1.0]),
        "'num_detections' holds float64, not integers",
    ),
    "int64 count": (with_value("num_detections", [2**40, 1]), "int32"),
    "reversed": (
        with_value("segments", [[[2.0, 0.0]] * 3] * 2),
        "reversed",
    ),
    "before": (with_value("segments", [[[-1.0, 2.0]] * 3] * 2), "before"),
    "after": (
        # The second video lasts 2.5 s.
        with_value("segments", [[[0.0, 2.6]] * 3] * 2),
        "ends after its video",
    ),
    "order": (
        with_value("scores", [[0.5, 0.9, 0.0], [0.7, 0.0, 0.0]]),
        "descending",
    ),
    "empty label": (
        with_value("labels", [["a", "", ""], ["a", "", ""]]),
        "label '' is empty",
    ),
    "escape sequence": (
        with_value("labels", [["a", "\x1b[2J", ""], ["a", "", ""]]),
        r"label '\\x1b\[2J' contains",
    ),
    "bad text": (
        with_value("labels", [["a", {"b64": "//8="}, ""], ["a", "", ""]]),
        "utf-8",
    ),
    "numbers as labels": (
        with_value("labels", [[1, 2, 3], [4, 5, 6]]),
        "'labels' holds something else than strings",
    ),
    "text as numbers": (
        with_value("scores", [["a"] * 3] * 2),
        "'scores' holds object, not floats",
    ),
    "ragged": (with_value("scores", [[0.9], [0.7, 0.5]]), "outputs: "),
    "nothing": (with_value("scores", None), "'scores' holds object"),
    "truth values": (
        with_value("num_detections", [True, True]),
        "holds bool, not integers",
    ),
    "a list": ([SEGMENTS], "outputs: not the expected structure"),
    "text": ("segments", "outputs: not the expected structure"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_answers(case):
    outputs, message = BAD[case]
    with pytest.raises(ServerError, match=message) as raised:
        over_rest(outputs).localize(VIDEOS)
    assert raised.value.code == "INTERNAL"
    assert "malformed answer" in str(raised.value)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({**ACTIVATIONS, "attention": [[[1.0] * 3] * 9] * 2}, "not .2, 9, 3"),
        (
            {
                "attention": [[[1.0] * 3] * 9] * 2,
                "activation": [[[[1.0] * 5] * 3] * 9] * 2,
                "video_scores": ACTIVATIONS["video_scores"],
            },
            "9 snippets instead of 10",
        ),
        ({**ACTIVATIONS, "video_scores": [[[1.0] * 4] * 3] * 2}, "3, 5"),
    ],
)
def test_bad_activations(outputs, message):
    inputs = {
        "features": np.ones((2, 10, 4), np.float32),
        "num_snippets": np.array(LENGTHS, np.int32),
    }
    assert over_rest(ACTIVATIONS).predict("activations", inputs)
    with pytest.raises(ServerError, match=message):
        over_rest(outputs).predict("activations", inputs)


def test_a_tensor_that_states_a_huge_shape():
    answer = to_message(SEGMENTS)
    del answer.outputs["scores"].float_val[:]
    answer.outputs["scores"].tensor_content = b""
    answer.outputs["scores"].float_val.append(1.0)
    for dimension in answer.outputs["scores"].tensor_shape.dim:
        dimension.size = 2**40
    with pytest.raises(ServerError, match="states .* values"):
        over_grpc(answer).localize(VIDEOS)


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"{" * 100_000, b"9" * 100_000, b"\xff", b"null"]
)
def test_text_that_is_not_json(text):
    asked = over_rest()
    asked._transport._exchange = lambda *_: (200, text)
    with pytest.raises(ServerError, match="not a model server's answer"):
        asked.versions()
