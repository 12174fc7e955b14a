"""A stand-in for TensorFlow Serving's model server, on loopback.

No package registry has the server's own binary, so tests use this one. It loads
the SavedModel into a session, without our code or Keras, runs signatures from
real PredictRequest messages, and answers with the codes and messages of
tensorflow/serving; each part here names the source file. It has no batching,
warm-up or automatic reloading. Its REST port is in model_server_rest.py.
"""

import concurrent.futures
import contextlib
import http.server
import pathlib
import ssl
import sys
import threading
import time

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.model_server_rest import Handler, Refused

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class _QuietServer(http.server.ThreadingHTTPServer):
    """Does not print errors of clients that refuse its certificate."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ssl.SSLError):
            super().handle_error(request, client_address)


class SavedModel:
    """One version: a session over the SavedModel's graph."""

    def __init__(self, path):
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(
                self._session, ["serve"], str(path)
            )
        self._callables = {}
        self.signatures = {
            name: signature
            for name, signature in meta_graph.signature_def.items()
            if not name.startswith("__")
        }

    def run(self, signature, inputs, outputs):
        """Runs a SignatureDef; arrays by name -> arrays in outputs' order.

        Inputs are checked by the session's C++ code, as in the model server;
        Python's Session.run has other checks.
        """
        feed = [signature.inputs[name].name for name in inputs]
        fetch = [signature.outputs[name].name for name in outputs]
        key = (*feed, *fetch)
        if key not in self._callables:  # slower to make than to call
            self._callables[key] = self._session._make_callable_from_options(
                config_pb2.CallableOptions(feed=feed, fetch=fetch)
            )
        try:
            return self._callables[key](*inputs.values())
        except tf.errors.OpError as error:
            raise Refused(_CODES[error.error_code], error.message) from None


class ModelServer:
    """Serves the versions in a folder.

    Args:
        base_path: folder of versions, as `tfwstal.export` writes it.
        name: of the model.
        versions: the versions to serve; by default the highest, as without a
            version policy.
        labels: dict from label to version.
        max_message_bytes: limit of a request, over gRPC and REST; the model
            server's own limit is 2 GB.
        tls: PEM files of a key and its certificate, for TLS on both ports,
            like a proxy in front of the model server.
        token: requests without this bearer token are refused, likewise.

    Attributes:
        grpc_address, rest_address: "127.0.0.1:port".
        delay: seconds by which predictions are delayed.
        requests: PredictRequests received over either port.
    """

    def __init__(
        self,
        base_path,
        name="tfwstal",
        versions=None,
        labels=None,
        max_message_bytes=2**31 - 1,
        tls=None,
        token=None,
    ):
        self._base_path, self._name = pathlib.Path(base_path), name
        self.serve(versions, labels)
        self.max_message_bytes, self.token = max_message_bytes, token
        self.delay, self.requests = 0.0, []
        self._grpc = grpc.server(
            concurrent.futures.ThreadPoolExecutor(4),
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
            ],
        )
        add = (
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server
        )
        add(_PredictionService(self), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            _ModelService(self), self._grpc
        )
        if tls:
            key, certificate = (pathlib.Path(file).read_bytes() for file in tls)
            port = self._grpc.add_secure_port(
                "127.0.0.1:0",
                grpc.ssl_server_credentials([(key, certificate)]),
            )
        else:
            port = self._grpc.add_insecure_port("127.0.0.1:0")
        self.grpc_address = f"127.0.0.1:{port}"
        self._http = _QuietServer(
            ("127.0.0.1", 0),
            type("Handler", (Handler,), {"server_core": self}),
        )
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls[1], tls[0])
            # Each connection does its own handshake, outside of `accept`.
            self._http.socket = context.wrap_socket(
                self._http.socket,
                server_side=True,
                do_handshake_on_connect=False,
            )
        self.rest_address = f"127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)

    def __enter__(self):
        self._grpc.start()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._grpc.stop(None).wait(30)
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def serve(self, versions=None, labels=None):
        """Loads versions and drops the others, like a changed config."""
        folders = self._base_path.iterdir()
        there = sorted(int(p.name) for p in folders if p.name.isdecimal())
        self._labels = labels or {}
        self._models = {
            version: SavedModel(self._base_path / str(version))
            for version in versions or there[-1:]
        }

    def address(self, transport):
        """The address of "grpc" or "rest"."""
        return {"grpc": self.grpc_address, "rest": self.rest_address}[transport]

    def version(self, spec):
        """The version that a ModelSpec means."""
        if spec.version_label:
            if spec.version_label not in self._labels:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "Unrecognized servable version label: "
                    f"{spec.version_label}",
                )
            wanted = self._labels[spec.version_label]
        elif spec.HasField("version"):
            wanted = spec.version.value
        else:
            wanted = max(self._models)
        if spec.name != self._name or wanted not in self._models:
            request = f"Latest({spec.name})"
            if spec.HasField("version"):
                request = f"Specific({spec.name}, {wanted})"
            raise Refused(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: {request}",
            )
        return wanted

    def status(self, request):
        """get_model_status_impl.cc."""
        spec = request.model_spec
        wanted = sorted(self._models) if spec.name == self._name else []
        if spec.HasField("version"):
            wanted = [v for v in wanted if v == spec.version.value]
            if not wanted:
                raise Refused(
                    grpc.StatusCode.NOT_FOUND,
                    f"Could not find version {spec.version.value} of model "
                    f"{spec.name}",
                )
        if not wanted:
            raise Refused(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find any versions of model {spec.name}",
            )
        answer = get_model_status_pb2.GetModelStatusResponse()
        for version in wanted:
            each = answer.model_version_status.add()
            each.version, each.state = version, each.AVAILABLE
            each.status.error_code = 0
        return answer

    def metadata(self, request):
        """GetModelMetadata's answer and its SignatureDefMap."""
        version = self.version(request.model_spec)
        found = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in self._models[version].signatures.items():
            found.signature_def[name].CopyFrom(signature)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = self._name
        answer.model_spec.version.value = version
        answer.metadata["signature_def"].Pack(found)
        return answer, found

    def signature(self, spec):
        """The SignatureDef that a ModelSpec names, or None."""
        model = self._models[self.version(spec)]
        return model.signatures.get(spec.signature_name or "serving_default")

    def predict(self, request):
        """predict_util.cc, RunPredict."""
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        self.requests.append(request)
        version = self.version(request.model_spec)
        name = request.model_spec.signature_name or "serving_default"
        signature = self.signature(request.model_spec)
        if signature is None:
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found.',
            )
        sent, wanted = set(request.inputs), set(signature.inputs)
        if sent != wanted:
            raise Refused(
                invalid,
                f"input size does not match signature: {len(sent)}"
                f"!={len(wanted)} len({{{','.join(sorted(sent))}}}) != "
                f"len({{{','.join(sorted(wanted))}}}). Sent extra: "
                f"{{{','.join(sorted(sent - wanted))}}}. Missing but required: "
                f"{{{','.join(sorted(wanted - sent))}}}.",
            )
        for alias in request.output_filter:
            if alias not in signature.outputs:
                raise Refused(
                    invalid,
                    f"output tensor alias not found in signature: {alias}",
                )
        inputs = {}
        for alias, tensor in request.inputs.items():
            try:
                inputs[alias] = tf.make_ndarray(tensor)
            except (TypeError, ValueError):
                raise Refused(
                    invalid, f"tensor parsing error: {alias}"
                ) from None
        time.sleep(self.delay)
        outputs = list(request.output_filter or signature.outputs)
        values = self._models[version].run(signature, inputs, outputs)
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = self._name
        answer.model_spec.signature_name = name
        answer.model_spec.version.value = version
        for alias, value in zip(outputs, values, strict=True):
            answer.outputs[alias].CopyFrom(tf.make_tensor_proto(value))
        return answer


@contextlib.contextmanager
def _answering(context, token):
    try:
        sent = dict(context.invocation_metadata()).get("authorization")
        if token and sent != f"Bearer {token}":
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        yield
    except Refused as error:
        context.abort(error.code, error.message)


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server):
        self._server = server

    def Predict(self, request, context):
        with _answering(context, self._server.token):
            return self._server.predict(request)

    def GetModelMetadata(self, request, context):
        with _answering(context, self._server.token):
            return self._server.metadata(request)[0]


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, server):
        self._server = server

    def GetModelStatus(self, request, context):
        with _answering(context, self._server.token):
            return self._server.status(request)
