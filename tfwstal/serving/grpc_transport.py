"""Requests to a model server over gRPC, with tensorflow-serving-api's stubs.

Imported only when gRPC is asked for: the stubs are an extra.
"""

import grpc
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

# gRPC refuses to receive more than 4 MB unless told otherwise, and the
# activations of a long video are more. What is sent has no limit by default,
# and the model server itself receives up to 2 GB.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_MOST_BYTES = 2**31 - 1  # a protocol buffer's, whatever the options say


class GrpcTransport:
    """A connection to the gRPC port of a model server.

    All methods raise ServerError.
    """

    def __init__(self, target):
        self._target = target
        self._channel = grpc.insecure_channel(target.server, _OPTIONS)
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
        return {
            each.version: states.Name(each.state)
            for each in answer.model_version_status
        }

    def signatures(self):
        """dict from name to {"inputs", "outputs"}; see ServingClient."""
        answer = self._call(
            self._predictions.GetModelMetadata,
            get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=self._model_spec(), metadata_field=["signature_def"]
            ),
        )
        found = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        return {
            name: {
                "inputs": _tensors(signature.inputs),
                "outputs": _tensors(signature.outputs),
            }
            for name, signature in found.signature_def.items()
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
        return {
            name: tf.make_ndarray(tensor)
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
            return method(request, timeout=self._target.timeout)
        except grpc.RpcError as error:
            raise self._target.error(
                error.code().name, error.details()
            ) from None


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
