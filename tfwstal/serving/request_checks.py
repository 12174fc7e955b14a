"""Checks of requests inside the served graph.

Each failure is an INVALID_ARGUMENT with the reason, for clients in any
language. The model server checks names and dtypes only, so tensors of any shape
and any strings reach the graph.
"""

import tensorflow as tf

# Videos in one request. An answer has room for max_detections of each video and
# may be far larger than the request.
MAX_VIDEOS = 1024

# Snippets of a video, by default: 3.5 hours at 0.64 s each.
MAX_SNIPPETS = 20_000


def require(value, condition, *message):
    """Returns `value` after a check of `condition`.

    Args:
        value: tensor; operations on the returned tensor run after the check.
        condition: scalar bool.
        *message: strings, and int32 tensors whose first values are shown.

    Returns:
        `value`; raises InvalidArgumentError at run time if the condition fails.
    """
    # Only strings and int32: other dtypes would put each check into a
    # conditional function of its own.
    check = tf.debugging.Assert(condition, message, summarize=8)
    with tf.control_dependencies([check]):
        return tf.identity(value)


def checked_examples(examples):
    """Checks serialized records [B]: B from 1 to MAX_VIDEOS."""
    return _some_videos(tf.ensure_shape(examples, [None]), "examples")


def checked_record(serialized, row):
    """Checks that a serialized record can be parsed.

    TensorFlow's parser of one Example quotes the bytes that it cannot parse, up
    to megabytes, which neither Python nor gRPC accepts as a message. Its parser
    of SequenceExamples names the record instead, and reads an Example as a
    SequenceExample without sequences. Here it looks for a key that no record
    has, so it reads no values: damaged byte lists of free length may crash it.

    Args:
        serialized: scalar string.
        row: scalar int32, the record's place in the request.
    """
    context, _, _ = tf.io.parse_sequence_example(
        [serialized],
        context_features={"none": tf.io.FixedLenFeature([], tf.int64, 0)},
        example_names=[tf.strings.format("examples[{}]", row)],
    )
    # An assertion on the parsed value: a control dependency on the parser alone
    # would be optimized away.
    return require(
        serialized, tf.equal(context["none"][0], 0), "examples", row, "is odd"
    )


def checked_arrays(features, num_snippets, feature_dim, max_snippets):
    """Checks that a batch of features and its lengths fit each other.

    Args:
        features: [B, T, D] float32.
        num_snippets: [B] int32.
        feature_dim: D.
        max_snippets: the largest T allowed, padding included.

    Returns:
        both.
    """
    # `ensure_shape` names the input and both shapes. Assertions on shapes that
    # the signature states would be optimized away.
    features = tf.ensure_shape(features, [None, None, feature_dim])
    num_snippets = tf.ensure_shape(num_snippets, [None])
    features = _some_videos(features, "features")
    length = tf.shape(features)[1]
    features = require(
        features,
        (length >= 1) & (length <= max_snippets),
        f"features must have from 1 to {max_snippets} snippets, not",
        length,
    )
    num_videos = tf.shape(features)[0]
    num_snippets = require(
        num_snippets,
        tf.equal(tf.size(num_snippets), num_videos),
        "num_snippets must be one for each of the videos of features,",
        num_videos,
        "; they are",
        num_snippets,
    )
    num_snippets = require(
        num_snippets,
        tf.reduce_all((num_snippets >= 1) & (num_snippets <= length)),
        "num_snippets must lie between 1 and the snippets of features, which "
        "are",
        length,
        "; they are",
        num_snippets,
    )
    return features, num_snippets


def checked_video(features, max_snippets, row):
    """Checks the snippets of one video: how many, and that all are finite.

    Padding is not checked and may have any value.

    Args:
        features: [T, D].
        max_snippets: the largest T allowed.
        row: scalar int32, the video's place in the request.
    """
    length = tf.shape(features)[0]
    features = require(
        features,
        length <= max_snippets,
        "video",
        row,
        f"of the request has more than {max_snippets} snippets:",
        length,
    )
    return require(
        features,
        tf.reduce_all(tf.math.is_finite(features)),
        "features of video",
        row,
        "of the request are NaN or infinite",
    )


def checked_outputs(outputs, row):
    """Checks that the model's outputs for one video are finite.

    Args:
        outputs: dict of the model's outputs.
        row: scalar int32, the video's place in the request.

    Returns:
        the outputs that the signatures need.
    """
    return {
        name: require(
            outputs[name],
            tf.reduce_all(tf.math.is_finite(outputs[name])),
            "features of video",
            row,
            "of the request are so large that the model overflows",
        )
        for name in ("attention", "activation", "video_scores")
    }


def _some_videos(tensor, name):
    count = tf.shape(tensor)[0]
    return require(
        tensor,
        (count >= 1) & (count <= MAX_VIDEOS),
        f"{name} must hold from 1 to {MAX_VIDEOS} videos, not",
        count,
    )
