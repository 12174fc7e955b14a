"""The signatures of a SavedModel, as functions of TensorFlow alone.

    serving_default  examples: serialized records [B] -> segments
    features         features [B, T, D], num_snippets [B] -> segments
    activations      the same -> attention, activation, video_scores
    parameters       names [P] -> values [P], how segments are found

Every video is cut to its own snippets and goes through the model by itself, as
in `inference.make_detector`: alone or in a batch, as a record or as an
array, it is the same computation.
"""

import dataclasses

import tensorflow as tf

from tfwstal import inference
from tfwstal.data import record as record_format
from tfwstal.method.options import LocalizationSettings, to_text
from tfwstal.serving import request_checks


@dataclasses.dataclass(frozen=True)
class ServingSettings:
    """What is fixed in the graph.

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

    def parameters(self):
        """Each parameter's value by name, localization's under its flag's."""
        return {
            **dataclasses.asdict(self.localization),
            "seconds_per_snippet": self.seconds_per_snippet,
            "max_snippets": self.max_snippets,
            "max_videos": request_checks.MAX_VIDEOS,
            "classes": self.classes,
        }


def build(model, settings):
    """The module to save and its signatures.

    Args:
        model: a TwoStreamLocalizer.
        settings: ServingSettings.

    Returns:
        tf.Module that holds the weights once, and dict of concrete functions.
    """
    signatures = {
        "serving_default": _examples_signature(model, settings),
        **_arrays_signatures(model, settings),
        "parameters": _parameters_signature(settings),
    }
    module = tf.Module()
    # Those of the graph and no others: detection needs neither the centroids
    # nor the metrics.
    module.weights = list(
        {
            id(variable): variable
            for signature in signatures.values()
            for variable in signature.variables
        }.values()
    )
    module.parameters = _parameters_in_sight(settings)
    return module, signatures


def _examples_signature(model, settings):
    def one_video(video):
        row = video["row"]
        record = record_format.parse_video(
            request_checks.checked_record(video["example"], row),
            model.feature_dim,
        )
        outputs = _checked_outputs(model, record["features"], row, settings)
        return inference.localize_alone(
            outputs, record["seconds_per_snippet"], settings.localization
        )

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, "examples")],
        autograph=False,  # there is no Python control flow to look for
    )
    def serve_examples(examples):
        examples = request_checks.checked_examples(examples)
        found = tf.map_fn(
            one_video,
            {"example": examples, "row": tf.range(tf.size(examples))},
            fn_output_signature=inference.detections_spec(
                settings.localization
            ),
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
        found = tf.map_fn(
            lambda video: inference.localize_alone(
                outputs_of(video),
                tf.constant(settings.seconds_per_snippet, tf.float32),
                settings.localization,
            ),
            batch(features, num_snippets),
            fn_output_signature=inference.detections_spec(
                settings.localization
            ),
        )
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
    # Past num_detections the class index is 0, whose name is empty.
    names = tf.constant(["", *settings.classes])
    return {**found, "labels": tf.gather(names, found["class_indices"])}


def _parameters_signature(settings):
    """Answers a client that asks a server how it was exported."""
    texts = {
        name: "\n".join(value) if name == "classes" else to_text(value)
        for name, value in settings.parameters().items()
    }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "names")])
    def serve_parameters(names):
        matches = tf.expand_dims(names, -1) == tf.constant(list(texts))
        known = tf.reduce_any(matches, axis=-1)
        matches = request_checks.require(
            matches,
            tf.reduce_all(known),
            f"parameters are {', '.join(texts)}; unknown:",
            tf.boolean_mask(names, ~known),
        )
        return {
            "values": tf.gather(
                tf.constant(list(texts.values())), tf.argmax(matches, axis=-1)
            )
        }

    return serve_parameters.get_concrete_function()


def _parameters_in_sight(settings):
    """A function whose only purpose is to be listed.

    `saved_model_cli show --all` prints the Python arguments that a saved
    function was traced with: the one place there where values can stand.
    """

    @tf.function
    def parameters(values):
        return tf.size(list(values))

    parameters.get_concrete_function(settings.parameters())
    return parameters
