"""Requests to a model server over its REST port, with Python's own library.

The forms are those of https://www.tensorflow.org/tfx/serving/api_rest. Numbers
travel as text, several times the size of gRPC's; a float32 comes back as it
was, since its decimal digits are written in full.
"""

import base64
import http.client
import json
import socket
import time
import urllib.parse

import numpy as np

# The server has HTTP statuses for gRPC's codes; these mean one code each.
_CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """The REST port of a model server; a connection a request.

    All methods raise ServerError.
    """

    def __init__(self, target):
        self._target = target
        self._model = f"/v1/models/{urllib.parse.quote(target.model, safe='')}"
        self._version = self._model
        if target.version:
            self._version += f"/versions/{target.version}"
        elif target.label:
            label = urllib.parse.quote(target.label, safe="")
            self._version += f"/labels/{label}"

    def close(self):
        """Nothing stays open."""

    def versions(self):
        """dict from each version of the model to its state, "AVAILABLE"."""
        found = self._request("GET", self._model, "model_version_status")
        return {int(each["version"]): each["state"] for each in found}

    def signatures(self):
        """dict from name to {"inputs", "outputs"}; see ServingClient."""
        found = self._request("GET", f"{self._version}/metadata", "metadata")
        found = found["signature_def"]["signature_def"]
        return {
            name: {
                part: _tensors(signature.get(part, {}))
                for part in ("inputs", "outputs")
            }
            for name, signature in found.items()
        }

    def predict(self, signature, inputs):
        """Runs a signature: dict of arrays -> dict of arrays."""
        body = {
            "signature_name": signature,
            "inputs": {name: to_json(array) for name, array in inputs.items()},
        }
        path = f"{self._version}:predict"
        found = self._request("POST", path, "outputs", body)
        return {name: from_json(value) for name, value in found.items()}

    def _request(self, method, path, key, body=None):
        """What stands under `key` in the object that the server answers."""
        target = self._target
        content = None if body is None else json.dumps(body).encode()
        try:
            status, text = _exchange(target, method, path, content)
        except TimeoutError:
            raise target.error("DEADLINE_EXCEEDED", "") from None
        except http.client.HTTPException as error:
            raise target.error(
                "UNAVAILABLE", f"no HTTP: {error!r}; gRPC has another port"
            ) from None
        except OSError as error:
            raise target.error("UNAVAILABLE", error.strerror or error) from None
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and status == 200 and key in answer:
            return answer[key]
        if isinstance(answer, dict) and "error" in answer:
            raise target.error(_CODES.get(status, "UNKNOWN"), answer["error"])
        # A proxy, or something else altogether.
        if status == 413:
            raise target.error(
                "RESOURCE_EXHAUSTED", "HTTP 413: larger than max"
            )
        raise target.error(
            "UNAVAILABLE", f"HTTP status {status}, no model server's answer"
        )


def _exchange(target, method, path, content):
    """Sends one request; returns the status and the body.

    The deadline is that of the whole exchange: a socket's own starts anew with
    every piece that is read.
    """
    end = time.monotonic() + target.timeout
    connection = http.client.HTTPConnection(
        target.server, timeout=target.timeout
    )

    def until_end():
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    try:
        connection.connect()
        # A large body in small packets must not wait for acknowledgements.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.sock
        stream.settimeout(until_end())
        headers = {"Content-Type": "application/json"} if content else {}
        connection.request(method, path, content, headers)
        stream.settimeout(until_end())
        response = connection.getresponse()
        pieces = []
        while piece := response.read1(1 << 20):
            pieces.append(piece)
            if not response.isclosed():
                stream.settimeout(until_end())
        return response.status, b"".join(pieces)
    finally:
        connection.close()


def to_json(array):
    """An array as nested lists; strings as base64, since records are bytes."""
    if array.dtype == object:
        return [
            {"b64": base64.b64encode(value).decode()} for value in array.flat
        ]
    return array.tolist()


def from_json(value):
    """Nested lists as an array of float32, int32 or bytes.

    Those are all that the signatures answer with. The server writes a string
    as it is, or as {"b64": ...} if the name of the output ends in `_bytes`.
    """
    if _holds_text(value):
        return np.array(_map_leaves(value), object)
    array = np.array(value)
    return array.astype(np.int32 if array.dtype.kind == "i" else np.float32)


def _holds_text(value):
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, (str, dict))


def _map_leaves(value):
    if isinstance(value, list):
        return [_map_leaves(each) for each in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value.encode()


def _tensors(infos):
    return {
        name: (
            info["dtype"],
            tuple(
                int(dimension["size"])
                for dimension in info["tensor_shape"].get("dim", ())
            ),
        )
        for name, info in infos.items()
    }
