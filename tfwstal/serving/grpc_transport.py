"""Requests to a model server over gRPC, with tensorflow-serving-api's stubs.

Imported only for --transport=grpc: the stubs are an extra.
"""

import math

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

# By default gRPC receives at most 4 MB, less than the activations of a long
# video. The model server itself receives up to 2 GB.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_MOST_BYTES = 2**31 - 1  # of a protocol buffer, whatever the options say


class GrpcTransport:
    """A connection to the gRPC port of a model server.

    All methods raise ServerError.
    """

    def __init__(self, target):
        self._target = target
        if target.tls:
            self._channel = grpc.secure_channel(
                target.server,
                grpc.ssl_channel_credentials(target.certificates()),
                _OPTIONS,
            )
        else:
            self._channel = grpc.insecure_channel(target.server, _OPTIONS)
        self._metadata = ()
        if target.token:
            self._metadata = (("authorization", f"Bearer {target.token}"),)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def close(self):
        """Closes the connection."""
        self._channel.close()

    def versions(self):
        """dict from each version of the model to its state, "AVAILABLE"."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._target.model
        answer = self._call(self._models.GetModelStatus, request)
        states = get_model_status_pb2.ModelVersionStatus.State
        with self._target.reading("versions"):
            return {
                each.version: states.Name(each.state)
                for each in answer.model_version_status
            }

    def signatures(self):
        """dict from name to {"inputs", "outputs"}; see Connection."""
        answer = self._call(
            self._predictions.GetModelMetadata,
            get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=self._model_spec(), metadata_field=["signature_def"]
            ),
        )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self._target.reading("metadata"):
            try:
                answer.metadata["signature_def"].Unpack(signatures)
            except DecodeError as error:
                raise ValueError(error) from None
            return {
                name: {
                    "inputs": _tensors(signature.inputs),
                    "outputs": _tensors(signature.outputs),
                }
                for name, signature in signatures.signature_def.items()
            }

    def predict(self, signature, inputs):
        """Runs a signature: dict of arrays -> dict of arrays."""
        spec = self._model_spec()
        spec.signature_name = signature
        size = sum(map(_num_bytes, inputs.values()))
        if size > _MOST_BYTES:
            raise self._target.error(
                "RESOURCE_EXHAUSTED", f"{size} bytes are larger than max 2 GB"
            )
        request = predict_pb2.PredictRequest(
            model_spec=spec,
            inputs={
                name: tf.make_tensor_proto(array)
                for name, array in inputs.items()
            },
        )
        answer = self._call(self._predictions.Predict, request)
        with self._target.reading("outputs"):
            return {
                name: _to_array(name, tensor)
                for name, tensor in answer.outputs.items()
            }

    def _model_spec(self):
        target = self._target
        spec = model_pb2.ModelSpec(name=target.model)
        if target.version:
            spec.version.value = target.version
        elif target.label:
            spec.version_label = target.label
        return spec

    def _call(self, method, request):
        try:
            return method(
                request, timeout=self._target.timeout, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise self._target.error(
                error.code().name, error.details()
            ) from None


def _to_array(name, tensor):
    # A tensor may state any shape for a single value, which then fills it.
    size = math.prod(each.size for each in tensor.tensor_shape.dim)
    if size > _MOST_BYTES / 4:
        raise ValueError(f"output {name!r} states {size} values")
    return tf.make_ndarray(tensor)


def _num_bytes(array):
    if array.dtype == object:  # strings
        return sum(map(len, array.flat))
    return array.nbytes


def _tensors(infos):
    return {
        name: (
            types_pb2.DataType.Name(info.dtype),
            tuple(dimension.size for dimension in info.tensor_shape.dim),
        )
        for name, info in infos.items()
    }
