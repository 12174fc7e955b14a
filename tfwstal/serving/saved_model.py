"""The contents of one exported version.

saved_model.pb, variables/    the graph with its signatures, the weights
export_info.json              what was exported and how, sha256 of all files
assets.extra/                 requests that a server warms up with
"""

import hashlib
import json
import pathlib
import re

import keras
import numpy as np
import tensorflow as tf

import tfwstal
from tfwstal.data import record
from tfwstal.errors import InputError
from tfwstal.serving import request_checks, signatures, versions

INFO = "export_info.json"

# The server looks for PredictionLogs here and runs them before the version
# takes traffic: https://www.tensorflow.org/tfx/serving/saved_model_warmup
WARMUP = "assets.extra/tf_serving_warmup_requests"

# Snippets of the videos of each warm-up request: single videos, short and
# long, and two in one batch. Few and small: they are stored with the model.
WARMUP_LENGTHS = ((1,), (30,), (300,), (30, 100))


def write_version(
    base,
    model,
    classes,
    settings,
    fps,
    frames_per_snippet,
    max_snippets,
    info,
):
    """Exports a model as the next version in a folder.

    Args:
        base: folder of versions; its name is the model's name on the server.
        model: a TwoStreamLocalizer.
        classes: its action names.
        settings: LocalizationSettings, fixed in the graph.
        fps: frame rate of features that come without a record, which states
            its own.
        frames_per_snippet: likewise.
        max_snippets: longest video that is answered.
        info: dict, added to export_info.json.

    Returns:
        the version number and the number of warm-up requests, 0 without
        tensorflow-serving-api.

    Raises:
        InputError: if the folder cannot be written. Nothing of the version is
            left then.
    """
    scale = record.time_scale(fps, frames_per_snippet)
    try:
        with versions.writing(base) as path:
            export(model, classes, settings, scale, path, max_snippets)
            num_requests = _write_warmup(
                path,
                pathlib.Path(base).name,
                model.feature_dim,
                fps,
                frames_per_snippet,
            )
            info = {
                "versions": {
                    "tfwstal": tfwstal.__version__,
                    "tensorflow": tf.__version__,
                    "keras": keras.__version__,
                },
                "feature_dim": model.feature_dim,
                "fps": fps,
                "frames_per_snippet": frames_per_snippet,
                "seconds_per_snippet": float(scale),
                "max_snippets": max_snippets,
                "classes": list(classes),
                **info,
                "sha256": _checksums(path),
            }
            number = versions.publish(
                path, lambda number: _write_info(path, number, info)
            )
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f"--export_dir={base} cannot be written: {_reason(error)}"
        ) from None
    return number, num_requests


def export(
    model,
    classes,
    settings,
    seconds_per_snippet,
    path,
    max_snippets=request_checks.MAX_SNIPPETS,
):
    """Writes only the SavedModel.

    Args:
        model: a TwoStreamLocalizer.
        classes: its action names.
        settings: LocalizationSettings, fixed in the graph.
        seconds_per_snippet: length of a snippet for features that come
            without a record, which states its own.
        path: folder to write.
        max_snippets: longest video that is answered.
    """
    module, functions = signatures.build(
        model,
        signatures.ServingSettings(
            tuple(classes), settings, seconds_per_snippet, max_snippets
        ),
    )
    tf.saved_model.save(module, str(path), functions)


def sha256(path):
    """Checksum of a file, as a hexadecimal text."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def _checksums(path):
    return {
        file.relative_to(path).as_posix(): sha256(file)
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def _write_info(path, version, info):
    text = json.dumps(
        {"version": version, **info}, indent=2, ensure_ascii=False
    )
    (path / INFO).write_text(text + "\n", encoding="utf-8")


def _write_warmup(path, name, feature_dim, fps, frames_per_snippet):
    """Writes the warm-up requests, if tensorflow-serving-api is installed.

    Args:
        path: folder of the SavedModel.
        name: the model's name on the server.
        feature_dim: D.
        fps: frame rate that the requests' records state.
        frames_per_snippet: likewise.

    Returns:
        number of requests written.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        return 0
    target = path / WARMUP
    target.parent.mkdir()
    count = 0
    with tf.io.TFRecordWriter(str(target)) as writer:
        for signature, inputs in _warmup_requests(
            feature_dim, fps, frames_per_snippet
        ):
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


def _warmup_requests(feature_dim, fps, frames_per_snippet):
    """Yields the signature and the inputs, by name, of each request."""
    rng = np.random.default_rng(0)
    for lengths in WARMUP_LENGTHS:
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


def _reason(error):
    """Only the cause, without TensorFlow's node and temporary files."""
    if isinstance(error, OSError):
        return error.strerror or error
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", error.message)
    return " ".join(text.rpartition("; ")[2].split())[:200]
