"""The REST port of model_server.py: HTTP and the JSON forms of tensors.

Regular expressions, statuses and forms are those of tensorflow/serving:
http_rest_api_util.cc, http_server.cc and json_tensor.cc.
"""

import base64
import contextlib
import http.server
import inspect
import json
import re
import urllib.parse

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

_HTTP = {  # http_server.cc, ToHTTPStatusCode
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_PREDICT = re.compile(  # http_rest_api_util.cc
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:predict", re.I
)
_GET = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata)?",
    re.I,
)


class Refused(Exception):
    """A request that is answered with an error: grpc.StatusCode, message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class Handler(http.server.BaseHTTPRequestHandler):
    """http_rest_api_handler.cc."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer(_GET, self._get)

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if size > self.server_core.max_message_bytes:
            # The model server has no limit; this is the answer of proxies.
            self._send(413, "<html>Request Entity Too Large</html>")
            return
        self._answer(_PREDICT, lambda spec, _: self._post(spec, body))

    def _answer(self, pattern, act):
        token = self.server_core.token
        if token and self.headers["Authorization"] != f"Bearer {token}":
            self._send(401, "<html>Unauthorized</html>")  # as a proxy does
            return
        match = pattern.fullmatch(self.path)
        status = 200
        try:
            if not match:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"Malformed request: {self.command} {self.path}",
                )
            name, version, label, *rest = match.groups()
            spec = predict_pb2.PredictRequest().model_spec
            spec.name = urllib.parse.unquote(name)
            if version:
                spec.version.value = int(version)
            if label:
                spec.version_label = urllib.parse.unquote(label)
            text = act(spec, rest)
        except Refused as error:
            status = _HTTP.get(error.code.name, 500)
            text = json.dumps({"error": error.message})
        self._send(status, text)

    def _send(self, status, text):
        content = text.encode()
        # A client that gave up may have closed the connection.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def _get(self, spec, rest):
        if not rest[0]:
            request = get_model_status_pb2.GetModelStatusRequest(
                model_spec=spec
            )
            return _to_json(self.server_core.status(request))
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=spec, metadata_field=["signature_def"]
        )
        answer, signatures = self.server_core.metadata(request)
        return (
            f'{{"model_spec": {_to_json(answer.model_spec)}, "metadata": '
            f'{{"signature_def": {_to_json(signatures)}}}}}'
        )

    def _post(self, spec, body):
        request = predict_pb2.PredictRequest(model_spec=spec)
        rows = fill_from_json(body, request, self.server_core.signature)
        answer = self.server_core.predict(request)
        return outputs_to_json(answer.outputs, rows)


def _to_json(message):
    # Protobuf 4, which TensorFlow 2.15 needs, has an older argument name.
    names = inspect.signature(json_format.MessageToJson).parameters
    (every_field,) = {
        "always_print_fields_with_no_presence",
        "including_default_value_fields",
    } & set(names)
    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, **{every_field: True}
    )


def fill_from_json(body, request, signature_of):
    """json_tensor.cc, FillPredictRequestFromJson; returns whether by rows."""
    try:
        content = json.loads(body)
    except ValueError as error:
        raise _invalid(f"JSON Parse error: {error}") from None
    if not isinstance(content, dict):
        raise _invalid("JSON Value: Is not object")
    request.model_spec.signature_name = content.get("signature_name", "")
    signature = signature_of(request.model_spec)
    if signature is None:
        name = request.model_spec.signature_name
        raise _invalid(
            f'Serving signature name: "{name}" not found in signature def'
        )
    if ("instances" in content) == ("inputs" in content):
        raise _invalid("Missing 'inputs' or 'instances' key")
    rows = "instances" in content
    if rows:
        instances = content["instances"]
        if set(signature.inputs) == {"examples"}:
            inputs = {"examples": instances}
        elif all(
            isinstance(each, dict) and set(each) == set(signature.inputs)
            for each in instances
        ):
            inputs = {
                name: [each[name] for each in instances]
                for name in signature.inputs
            }
        else:
            raise _invalid(
                "Failed to process element of 'instances' list, must only "
                f"have keys: {','.join(signature.inputs)}"
            )
    else:
        inputs = content["inputs"]
        if not isinstance(inputs, dict) or set(inputs) == {"b64"}:
            (name,) = signature.inputs
            inputs = {name: inputs}
    for name, info in signature.inputs.items():
        if name not in inputs:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
        array = _from_json(inputs[name], info.dtype)
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return rows


def _from_json(value, dtype):
    """FillTensorProto: an array of the signature's dtype; refuses others."""
    as_numpy = tf.as_dtype(dtype).as_numpy_dtype

    def leaf(item):
        if dtype == types_pb2.DT_STRING:
            if isinstance(item, dict) and set(item) == {"b64"}:
                return base64.b64decode(item["b64"])
            kinds = (str,)
        else:
            kinds = (int, float) if dtype == types_pb2.DT_FLOAT else (int,)
        if type(item) not in kinds:
            raise _invalid(
                f"JSON Value: {json.dumps(item)} is not of expected type: "
                f"{tf.as_dtype(dtype).name}"
            )
        return item.encode() if isinstance(item, str) else item

    def walk(item):
        return [walk(i) for i in item] if isinstance(item, list) else leaf(item)

    try:
        return np.array(walk(value), as_numpy)
    except ValueError:
        raise _invalid("Encountered list at unexpected size") from None


def outputs_to_json(outputs, rows):
    """json_tensor.cc, MakeJsonFromTensors."""
    texts = {}
    for name, tensor in outputs.items():
        array = tf.make_ndarray(tensor)
        texts[name] = [_text(each, name.endswith("_bytes")) for each in array]
    if rows:
        count = len(next(iter(texts.values())))
        predictions = (
            ", ".join(f'"{name}": {texts[name][i]}' for name in texts)
            for i in range(count)
        )
        return '{"predictions": [{' + "}, {".join(predictions) + "}]}"
    columns = (f'"{name}": [{", ".join(t)}]' for name, t in texts.items())
    return '{"outputs": {' + ", ".join(columns) + "}}"


def _text(value, as_bytes):
    if isinstance(value, np.ndarray):
        return f"[{', '.join(_text(each, as_bytes) for each in value)}]"
    if isinstance(value, bytes):
        if as_bytes:
            return json.dumps({"b64": base64.b64encode(value).decode()})
        return json.dumps(value.decode())
    if isinstance(value, np.integer):
        return str(value)
    # WriteDecimal: six digits, or nine if six would not round-trip.
    text = f"{value:.6g}"
    if np.float32(text) != value:
        text = f"{value:.9g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _invalid(message):
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)
