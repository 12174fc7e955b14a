"""A SavedModel's signatures as the model server runs them.

The server passes a request's tensors to a C++ session, which checks only their
dtypes. Python's Session.run would refuse a wrong shape before the graph does.
"""

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2


class ServedModel:
    """A SavedModel in a session.

    Attributes:
        signatures: dict from name to SignatureDef.
    """

    def __init__(self, path):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            # Its deprecation notice is a log line, not a warning.
            meta = tf.compat.v1.saved_model.load(
                self._session, ["serve"], str(path)
            )
        self.signatures = dict(meta.signature_def)
        self._calls = {}

    def __call__(self, signature, **inputs):
        """Runs a signature: dict from output name to array."""
        definition = self.signatures[signature]
        outputs = sorted(definition.outputs)
        key = (signature, *inputs)
        if key not in self._calls:
            options = config_pb2.CallableOptions(
                feed=[definition.inputs[name].name for name in inputs],
                fetch=[definition.outputs[name].name for name in outputs],
            )
            self._calls[key] = self._session._make_callable_from_options(
                options
            )
        values = self._calls[key](*inputs.values())
        return dict(zip(outputs, values, strict=True))

    def close(self):
        self._calls.clear()
        self._session.close()
