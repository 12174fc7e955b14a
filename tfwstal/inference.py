"""A trained model and its localization: from features to detections.

`localize`, evaluation during training, the search and the exported model all
use these functions. Each video is cut to its own snippets and goes through the
model alone, so its answer does not depend on the batch it came in.
"""

import tensorflow as tf

from tfwstal.data import record
from tfwstal.method import localization


def make_detector(model, settings):
    """Model and localization as one graph, traced once for any T.

    Args:
        model: a TwoStreamLocalizer.
        settings: LocalizationSettings.

    Returns:
        tf.function of `features` [B, T, D], `num_snippets` [B] int32 and
        `seconds_per_snippet` [B] float32. It returns what `localize_alone`
        returns, with a leading axis of B videos.
    """

    def one_video(video):
        outputs = outputs_alone(
            model, video["features"][: video["num_snippets"]]
        )
        return localize_alone(outputs, video["seconds_per_snippet"], settings)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, model.feature_dim], tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
        ],
        # The code has no Python control flow, and AutoGraph's search for it
        # takes longer than tracing.
        autograph=False,
    )
    def detector(features, num_snippets, seconds_per_snippet):
        return tf.map_fn(
            one_video,
            {
                "features": features,
                "num_snippets": num_snippets,
                "seconds_per_snippet": seconds_per_snippet,
            },
            fn_output_signature=detections_spec(settings),
        )

    return detector


def make_forward(model):
    """The model's outputs for one video as a graph, traced once for any T.

    Args:
        model: a TwoStreamLocalizer.

    Returns:
        tf.function of features [T, D]; it returns what `outputs_alone` does.
    """

    @tf.function(
        input_signature=[tf.TensorSpec([None, model.feature_dim], tf.float32)],
        autograph=False,
    )
    def forward(features):
        return outputs_alone(model, features)

    return forward


def outputs_alone(model, features):
    """The model's outputs for one video, computed without other videos.

    In a batch, the length of the longest video decides the order in which
    sums over snippets are taken, and so their last digits. A score next to a
    threshold can then fall on either side.

    Args:
        model: a TwoStreamLocalizer.
        features: [T, D], the video's own snippets without padding.

    Returns:
        the outputs of the model, without the axis of videos.
    """
    inputs = {
        "features": features[tf.newaxis],
        "num_snippets": tf.shape(features)[:1],
    }
    return {
        name: value[0] for name, value in model(inputs, training=False).items()
    }


def localize_alone(outputs, seconds_per_snippet, settings):
    """Localizes the actions of one video, in arrays of fixed size.

    Args:
        outputs: what `outputs_alone` returned.
        seconds_per_snippet: scalar float32.
        settings: LocalizationSettings.

    Returns:
        dict of `segments` [N, 2] in seconds, `class_indices` [N] int32 from
        1, `scores` [N], best first, and the scalar `num_detections`. N is
        settings.max_detections; rows past `num_detections` are zero.
    """
    segments, classes, scores = localization.localize_video(
        outputs["activation"][:, 0],
        outputs["attention"][:, 0],
        outputs["video_scores"][0],
        settings,
    )
    count = tf.shape(scores)[0]
    missing = settings.max_detections - count
    segments = segments * seconds_per_snippet
    return {
        "segments": tf.pad(segments, [[0, missing], [0, 0]]),
        "class_indices": tf.pad(classes, [[0, missing]]),
        "scores": tf.pad(scores, [[0, missing]]),
        "num_detections": count,
    }


def detections_spec(settings):
    """Shapes and dtypes of the dict that `localize_alone` returns."""
    most = settings.max_detections
    return {
        "segments": tf.TensorSpec([most, 2], tf.float32),
        "class_indices": tf.TensorSpec([most], tf.int32),
        "scores": tf.TensorSpec([most], tf.float32),
        "num_detections": tf.TensorSpec([], tf.int32),
    }


def detect_videos(detector, videos):
    """Localizes videos one by one.

    Args:
        detector: what `make_detector` returned.
        videos: iterable of dicts of `video_id`, `features` [T, D],
            `num_snippets` and `seconds_per_snippet`, as
            `reader.whole_videos` gives them.

    Yields:
        (video id, what `localize_alone` returned for the video).
    """
    for video in videos:
        detections = detector(
            video["features"][tf.newaxis],
            tf.reshape(video["num_snippets"], [1]),
            tf.reshape(video["seconds_per_snippet"], [1]),
        )
        alone = {name: value[0] for name, value in detections.items()}
        yield record.name_of(video["video_id"].numpy()), alone


def localize_dataset(detector, videos, classes):
    """Localizes videos one by one and names their actions.

    Args:
        detector, videos: as for `detect_videos`.
        classes: action names.

    Yields:
        (video id, list of {"label", "score", "segment": [start, end]} in
        seconds, best first).
    """
    for video_id, detections in detect_videos(detector, videos):
        yield video_id, entries(detections, classes)


def entries(detections, classes):
    """The detections of one video as entries of a detections file.

    Args:
        detections: what `localize_alone` returned.
        classes: action names.

    Returns:
        list of {"label", "score", "segment": [start, end]} in seconds, best
        first.
    """
    indices, scores, segments = columns(detections)
    return [
        {
            "label": classes[index - 1],
            "score": float(score),
            "segment": [float(second) for second in segment],
        }
        for index, score, segment in zip(indices, scores, segments, strict=True)
    ]


def columns(detections):
    """Class indices [n], scores [n] and segments [n, 2] without the padding.

    Args:
        detections: what `localize_alone` returned.
    """
    count = int(detections["num_detections"])
    return tuple(
        detections[name][:count].numpy()
        for name in ("class_indices", "scores", "segments")
    )
