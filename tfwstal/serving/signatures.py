"""The signatures of a SavedModel, as functions of TensorFlow alone.

    serving_default  examples: serialized records [B] -> segments
    features         features [B, T, D], num_snippets [B] -> segments
    activations      the same inputs -> attention, activation, video_scores

Each video is cut to its own snippets and passes through the model by itself,
as in `inference.make_detector`. The computation is the same alone or in a
batch, as a record or as an array.
"""

import dataclasses

import tensorflow as tf

from tfwstal import inference
from tfwstal.data import record as record_format
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import request_checks


@dataclasses.dataclass(frozen=True)
class ServingSettings:
    """Constants of the graph.

    Attributes:
        classes: action names.
        localization: LocalizationSettings.
        seconds_per_snippet: length of a snippet for features that come
            without a record, which states its own.
        max_snippets: longest video that is answered.
    """

    classes: tuple[str, ...]
    localization: LocalizationSettings
    seconds_per_snippet: float
    max_snippets: int = request_checks.MAX_SNIPPETS


def build(model, settings):
    """The module to save and its signatures.

    Args:
        model: a TwoStreamLocalizer.
        settings: ServingSettings.

    Returns:
        tf.Module that holds each weight once, and a dict of concrete functions.
    """
    signatures = {
        "serving_default": _examples_signature(model, settings),
        **_arrays_signatures(model, settings),
    }
    module = tf.Module()
    # The variables that the graph reads. Detection needs neither the centroids
    # nor the metrics.
    module.weights = list(
        {
            id(variable): variable
            for signature in signatures.values()
            for variable in signature.variables
        }.values()
    )
    return module, signatures


def _examples_signature(model, settings):
    def one_video(video):
        row = video["row"]
        record = record_format.parse_video(
            request_checks.checked_record(video["example"], row),
            model.feature_dim,
        )
        outputs = _checked_outputs(model, record["features"], row, settings)
        scale = record["seconds_per_snippet"]
        found = inference.localize_alone(outputs, scale, settings.localization)
        return {**found, "seconds_per_snippet": scale}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, "examples")],
        autograph=False,  # no Python control flow depends on tensors
    )
    def serve_examples(examples):
        examples = request_checks.checked_examples(examples)
        found = tf.map_fn(
            one_video,
            {"example": examples, "row": tf.range(tf.size(examples))},
            fn_output_signature={
                **inference.detections_spec(settings.localization),
                "seconds_per_snippet": tf.TensorSpec([], tf.float32),
            },
        )
        return _with_labels(found, settings)

    return serve_examples.get_concrete_function()


def _arrays_signatures(model, settings):
    arrays = [
        tf.TensorSpec([None, None, model.feature_dim], tf.float32, "features"),
        tf.TensorSpec([None], tf.int32, "num_snippets"),
    ]

    def batch(features, num_snippets):
        features, num_snippets = request_checks.checked_arrays(
            features, num_snippets, model.feature_dim, settings.max_snippets
        )
        return {
            "features": features,
            "num_snippets": num_snippets,
            "row": tf.range(tf.size(num_snippets)),
        }

    def outputs_of(video):
        own = video["features"][: video["num_snippets"]]
        return _checked_outputs(model, own, video["row"], settings)

    @tf.function(input_signature=arrays, autograph=False)
    def serve_features(features, num_snippets):
        scale = tf.constant(settings.seconds_per_snippet, tf.float32)
        found = tf.map_fn(
            lambda video: inference.localize_alone(
                outputs_of(video), scale, settings.localization
            ),
            batch(features, num_snippets),
            fn_output_signature=inference.detections_spec(
                settings.localization
            ),
        )
        found["seconds_per_snippet"] = tf.fill(tf.shape(num_snippets), scale)
        return _with_labels(found, settings)

    @tf.function(input_signature=arrays, autograph=False)
    def serve_activations(features, num_snippets):
        def one_video(video):
            outputs = outputs_of(video)
            padding = tf.shape(video["features"])[0] - video["num_snippets"]
            for name in ("attention", "activation"):
                rest = [[0, 0]] * (len(outputs[name].shape) - 1)
                outputs[name] = tf.pad(outputs[name], [[0, padding], *rest])
            return outputs

        classes = len(settings.classes) + 1
        return tf.map_fn(
            one_video,
            batch(features, num_snippets),
            fn_output_signature={
                "attention": tf.TensorSpec([None, 3], tf.float32),
                "activation": tf.TensorSpec([None, 3, classes], tf.float32),
                "video_scores": tf.TensorSpec([3, classes], tf.float32),
            },
        )

    return {
        "features": serve_features.get_concrete_function(),
        "activations": serve_activations.get_concrete_function(),
    }


def _checked_outputs(model, features, row, settings):
    features = request_checks.checked_video(
        features, settings.max_snippets, row
    )
    outputs = inference.outputs_alone(model, features)
    return request_checks.checked_outputs(outputs, row)


def _with_labels(found, settings):
    # Past num_detections the class index is 0; its name is empty.
    names = tf.constant(["", *settings.classes])
    return {**found, "labels": tf.gather(names, found["class_indices"])}
