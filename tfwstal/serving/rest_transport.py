"""Requests to a model server over its REST port, with Python's own library.

The forms are those of https://www.tensorflow.org/tfx/serving/api_rest. Numbers
travel as text, several times the size of gRPC's. A float32 arrives unchanged,
because the server writes enough decimal digits.
"""

import base64
import contextlib
import http.client
import json
import queue
import socket
import ssl
import threading
import urllib.parse

import numpy as np

# The server maps gRPC's codes to HTTP statuses; these mean one code each.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MOST_BYTES = 2**31 - 1  # of an answer; that of gRPC's messages


class RestTransport:
    """The REST port of a model server; opens a connection for each request.

    All methods raise ServerError.
    """

    def __init__(self, target):
        self._target = target
        self._certificates = target.certificates()
        self._model = f"/v1/models/{urllib.parse.quote(target.model, safe='')}"
        self._version = self._model
        if target.version:
            self._version += f"/versions/{target.version}"
        elif target.label:
            label = urllib.parse.quote(target.label, safe="")
            self._version += f"/labels/{label}"

    def close(self):
        """Does nothing: no connection stays open."""

    def versions(self):
        """dict from each version of the model to its state, "AVAILABLE"."""
        answer = self._request("GET", self._model, "model_version_status")
        with self._target.reading("versions"):
            return {int(each["version"]): str(each["state"]) for each in answer}

    def signatures(self):
        """dict from name to {"inputs", "outputs"}; see Connection."""
        answer = self._request("GET", f"{self._version}/metadata", "metadata")
        with self._target.reading("metadata"):
            return {
                name: {
                    part: _tensors(signature.get(part, {}))
                    for part in ("inputs", "outputs")
                }
                for name, signature in answer["signature_def"][
                    "signature_def"
                ].items()
            }

    def predict(self, signature, inputs):
        """Runs a signature: dict of arrays -> dict of arrays."""
        body = {
            "signature_name": signature,
            "inputs": {name: to_json(array) for name, array in inputs.items()},
        }
        path = f"{self._version}:predict"
        answer = self._request("POST", path, "outputs", body)
        with self._target.reading("outputs"):
            return {name: from_json(value) for name, value in answer.items()}

    def _request(self, method, path, key, body=None):
        """The value of `key` in the object that the server answers."""
        target = self._target
        content = None if body is None else json.dumps(body).encode()
        try:
            status, text = self._exchange(method, path, content)
        except TimeoutError:
            raise target.error("DEADLINE_EXCEEDED", "") from None
        except http.client.HTTPException as error:
            raise target.error(
                "UNAVAILABLE", f"no HTTP: {error!r}; gRPC has another port"
            ) from None
        except ssl.SSLError as error:
            raise target.error("UNAVAILABLE", error) from None
        except OSError as error:
            raise target.error("UNAVAILABLE", error.strerror or error) from None
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict) and status == 200 and key in answer:
            return answer[key]
        if isinstance(answer, dict) and "error" in answer:
            raise target.error(_CODES.get(status, "UNKNOWN"), answer["error"])
        # A proxy, or another kind of server.
        if status == 413:
            raise target.error(
                "RESOURCE_EXHAUSTED", "HTTP 413: larger than max"
            )
        if status in (401, 403):
            raise target.error(_CODES[status], f"HTTP status {status}")
        raise target.error(
            "UNAVAILABLE",
            f"HTTP status {status}, which is not a model server's answer",
        )

    def _exchange(self, method, path, content):
        """Sends one request; returns the status and the body.

        A socket's timeout starts anew with every piece that arrives, and
        looking up a name has none. So the whole exchange runs in a thread, and
        is abandoned at the deadline.
        """
        target = self._target
        exchange = _Exchange(self._connection())
        arguments = (method, path, content, self._headers(content))
        threading.Thread(
            target=exchange.run, args=arguments, daemon=True
        ).start()
        try:
            outcome = exchange.outcome.get(timeout=target.timeout)
        except queue.Empty:
            raise TimeoutError from None
        finally:
            exchange.abandon()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _connection(self):
        target = self._target
        if not target.tls:
            return http.client.HTTPConnection(
                target.server, timeout=target.timeout
            )
        trusted = self._certificates and self._certificates.decode("ascii")
        return http.client.HTTPSConnection(
            target.server,
            timeout=target.timeout,
            context=ssl.create_default_context(cadata=trusted),
        )

    def _headers(self, content):
        headers = {}
        if content:
            headers["Content-Type"] = "application/json"
        if self._target.token:
            headers["Authorization"] = f"Bearer {self._target.token}"
        return headers


class _Exchange:
    """One request and its answer.

    Attributes:
        outcome: queue that gets one item, (status, body) or an exception.
    """

    def __init__(self, connection):
        self._connection = connection
        self._abandoned = False
        self._socket = None
        self.outcome = queue.SimpleQueue()

    def run(self, *request):
        """Sends the request and waits for the whole answer."""
        try:
            self.outcome.put(self._run(*request))
        except Exception as error:  # raised again by the thread that waits
            self.outcome.put(error)
        finally:
            self._connection.close()

    def _run(self, *request):
        connection = self._connection
        connection.connect()
        self._socket = connection.sock
        if self._abandoned:
            raise TimeoutError
        # A large body in small packets must not wait for acknowledgements.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.request(*request)
        response = connection.getresponse()
        pieces, size = [], 0
        while piece := response.read1(1 << 20):
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                raise http.client.HTTPException("more than 2 GB")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return response.status, b"".join(pieces)

    def abandon(self):
        """Ends the thread, if it is still waiting for the network."""
        self._abandoned = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)


def to_json(array):
    """An array as nested lists; strings as base64, since records are bytes."""
    if array.dtype == object:
        return [
            {"b64": base64.b64encode(value).decode()} for value in array.flat
        ]
    return array.tolist()


def from_json(value):
    """Nested lists as an array of numbers, or of bytes as objects.

    The server writes a string as it is, or as {"b64": ...} if the name of the
    output ends in `_bytes`.

    Raises:
        AttributeError, LookupError, TypeError, ValueError: if it is neither.
    """
    if _holds_text(value):
        return np.array(_map_leaves(value), object)
    return np.array(value)


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
            str(info["dtype"]),
            tuple(
                int(dimension["size"])
                for dimension in info["tensor_shape"].get("dim", ())
            ),
        )
        for name, info in infos.items()
    }
