"""Requests that a model server runs before a new version takes traffic.

The server finds them in the version's `assets.extra`; each is a PredictionLog.
https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

import numpy as np
import tensorflow as tf

from tfwstal.data import record

FILE = "assets.extra/tf_serving_warmup_requests"

# Snippets of the videos of each request: a single one, short and long ones,
# and two together. Few and not too long, since they lie beside the weights.
REQUESTS = ((1,), (30,), (300,), (30, 100))


def write(path, name, feature_dim, fps, frames_per_snippet):
    """Writes the requests, if tensorflow-serving-api is installed.

    Args:
        path: folder of the SavedModel.
        name: the model's name on the server.
        feature_dim: D.
        fps: frame rate the requests' records state.
        frames_per_snippet: likewise.

    Returns:
        number of requests written; 0 without tensorflow-serving-api.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        return 0
    target = path / FILE
    target.parent.mkdir()
    count = 0
    with tf.io.TFRecordWriter(str(target)) as writer:
        for signature, inputs in requests(feature_dim, fps, frames_per_snippet):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
            count += 1
    return count


def requests(feature_dim, fps, frames_per_snippet):
    """Yields the signature and the inputs, by name, of each request."""
    rng = np.random.default_rng(0)
    for lengths in REQUESTS:
        features = np.zeros(
            (len(lengths), max(lengths), feature_dim), np.float32
        )
        for row, length in enumerate(lengths):
            features[row, :length] = rng.normal(size=(length, feature_dim))
        arrays = {
            "features": features,
            "num_snippets": np.array(lengths, np.int32),
        }
        records = [
            record.encode(
                record.VideoRecord(
                    video_id=f"warmup_{length}",
                    features=video[:length],
                    labels=(),
                    label_indices=(),
                    segments=(),
                    duration=None,
                    fps=fps,
                    frames_per_snippet=frames_per_snippet,
                )
            )
            for video, length in zip(features, lengths, strict=True)
        ]
        yield "serving_default", {"examples": np.array(records, object)}
        yield "features", arrays
        yield "activations", arrays
