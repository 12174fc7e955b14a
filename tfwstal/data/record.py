"""The record format: one video as a tf.train.Example.

Keys follow MediaSequence where it defines one
(https://github.com/google-ai-edge/mediapipe/tree/master/mediapipe/util/sequence);
times are in microseconds. The features are stored once, RGB then flow, as raw
bytes with their dtype and shape, which parses several times faster than lists
of floats. The parser for training does not read `segment/...`, the ground
truth, so training cannot use it by mistake.

Snippet t covers frames [t * S, (t + 1) * S) at the frame rate of the features,
where S is the number of frames per snippet. Snippets i to j cover the time
[i * S / fps, (j + 1) * S / fps) in seconds.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfwstal.data.names import name_problem
from tfwstal.errors import quoted

MEDIA_ID = "clip/media_id"
DURATION = "clip/end/timestamp"
LABEL_INDEX = "clip/label/index"
LABEL_STRING = "clip/label/string"
FEATURES = "I3D/feature/bytes"
DTYPE = "I3D/feature/bytes/format"
SHAPE = "I3D/feature/dimensions"
FPS = "I3D/frame/rate"
FRAMES_PER_SNIPPET = "I3D/frames_per_snippet"
SEGMENT_START = "segment/start/timestamp"
SEGMENT_END = "segment/end/timestamp"
SEGMENT_INDEX = "segment/label/index"
SEGMENT_STRING = "segment/label/string"

_STRING = tf.io.FixedLenFeature((), tf.string)
_VIDEO_SPEC = {
    MEDIA_ID: _STRING,
    LABEL_INDEX: tf.io.VarLenFeature(tf.int64),
    FEATURES: _STRING,
    DTYPE: _STRING,
    SHAPE: tf.io.FixedLenFeature((2,), tf.int64),
    FPS: tf.io.FixedLenFeature((), tf.float32),
    FRAMES_PER_SNIPPET: tf.io.FixedLenFeature((), tf.int64),
}
_LABELS_SPEC = {MEDIA_ID: _STRING, LABEL_INDEX: _VIDEO_SPEC[LABEL_INDEX]}
_GROUND_TRUTH_SPEC = {
    MEDIA_ID: _STRING,
    SEGMENT_START: tf.io.VarLenFeature(tf.int64),
    SEGMENT_END: tf.io.VarLenFeature(tf.int64),
    SEGMENT_INDEX: tf.io.VarLenFeature(tf.int64),
    DURATION: tf.io.FixedLenFeature((), tf.int64, 0),
}


@dataclasses.dataclass(frozen=True)
class VideoRecord:
    """One video to write.

    Attributes:
        video_id: name in the annotations.
        features: [T, D] float array, RGB then flow.
        labels: names of the actions in the video.
        label_indices: their class indices, from 1; 0 is the background.
        segments: ground truth as (start, end, label, label index), in seconds.
        duration: annotated duration in seconds, or None.
        fps: frame rate at which the features were extracted.
        frames_per_snippet: frames from the start of one snippet to the start
            of the next.
    """

    video_id: str
    features: np.ndarray
    labels: tuple[str, ...]
    label_indices: tuple[int, ...]
    segments: tuple[tuple[float, float, str, int], ...]
    duration: float | None
    fps: float
    frames_per_snippet: int


def encode(record):
    """Serializes a VideoRecord as a tf.train.Example.

    Features keep the dtype of their array, float32 or float16.

    Returns:
        bytes, the same for the same record.
    """
    features = np.ascontiguousarray(record.features)
    feature = {
        MEDIA_ID: _bytes([record.video_id]),
        # 0 means that the annotations do not state the duration.
        DURATION: _ints([to_microseconds(record.duration or 0.0)]),
        LABEL_INDEX: _ints(record.label_indices),
        LABEL_STRING: _bytes(record.labels),
        DTYPE: _bytes([features.dtype.name]),
        SHAPE: _ints(features.shape),
        FPS: tf.train.Feature(
            float_list=tf.train.FloatList(value=[record.fps])
        ),
        FRAMES_PER_SNIPPET: _ints([record.frames_per_snippet]),
        SEGMENT_START: _ints(to_microseconds(s[0]) for s in record.segments),
        SEGMENT_END: _ints(to_microseconds(s[1]) for s in record.segments),
        SEGMENT_STRING: _bytes(s[2] for s in record.segments),
        SEGMENT_INDEX: _ints(s[3] for s in record.segments),
    }
    # Protocol buffers would copy the features three times, so this writes
    # their entry. In the order of keys it comes second.
    first, others = (
        tf.train.Features(feature=part).SerializeToString(deterministic=True)
        for part in ({DTYPE: feature.pop(DTYPE)}, feature)
    )
    values = features.reshape(-1).view(np.uint8).data
    value = _head(1, len(values))
    values_list = _head(1, len(value) + len(values)) + value
    entry = _head(1, len(FEATURES)) + FEATURES.encode()
    entry += _head(2, len(values_list) + len(values)) + values_list
    entry = first + _head(1, len(entry) + len(values)) + entry
    size = len(entry) + len(values) + len(others)
    return b"".join((_head(1, size), entry, values, others))


def _head(number, size):
    """Tag and size of a bytes field in the wire format.

    https://protobuf.dev/programming-guides/encoding
    """
    head = bytearray([number << 3 | 2])
    while size > 0x7F:  # seven bits in each byte, lowest first
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head)


def parse_video(serialized, feature_dim):
    """Parses a record for training and inference, without the ground truth.

    Args:
        serialized: scalar string tensor.
        feature_dim: D, the width that the record must have.

    Returns:
        dict of `video_id` (string), `features` [T, D] float32, `num_snippets`
        int32, `label_indices` [L] int64, `seconds_per_snippet` float32.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if the parts of the
            record disagree.
    """
    parsed = tf.io.parse_single_example(serialized, _VIDEO_SPEC)
    seconds = seconds_per_snippet(
        parsed[FPS], tf.cast(parsed[FRAMES_PER_SNIPPET], tf.float32)
    )
    with tf.control_dependencies(_fitting(parsed, seconds, feature_dim)):
        content = tf.identity(parsed[FEATURES])
    flat = tf.cond(
        parsed[DTYPE] == "float16",
        lambda: tf.cast(tf.io.decode_raw(content, tf.float16), tf.float32),
        lambda: tf.io.decode_raw(content, tf.float32),
    )
    features = tf.reshape(flat, [-1, feature_dim])
    return {
        "video_id": parsed[MEDIA_ID],
        "features": features,
        "num_snippets": tf.shape(features)[0],
        "label_indices": tf.sparse.to_dense(parsed[LABEL_INDEX]),
        "seconds_per_snippet": seconds,
    }


class BadName(Exception):
    """A video id that cannot be one, as the end of a sentence."""


def name_of(video_id):
    """The name of a video, from the bytes of a record's `video_id`.

    Raises:
        UnicodeDecodeError, BadName: if convert would not have written it.
    """
    name = video_id.decode()
    problem = name_problem(name)
    if problem:
        raise BadName(f"the video id {quoted(name)} {problem}")
    return name


def _fitting(parsed, seconds, feature_dim):
    """Assertions that the parts of a record agree: InvalidArgumentError."""
    content, shape = parsed[FEATURES], parsed[SHAPE]
    size = tf.where(parsed[DTYPE] == "float16", 2, 4) * feature_dim
    num_bytes = tf.strings.length(content)
    num_snippets = tf.cast(num_bytes // size, tf.int64)
    return [
        tf.debugging.Assert(condition, message)
        for condition, message in (
            (
                (parsed[DTYPE] == "float16") | (parsed[DTYPE] == "float32"),
                [f"{DTYPE} must be float16 or float32"],
            ),
            (
                (shape[0] >= 1) & (shape[1] == feature_dim),
                [
                    f"{SHAPE} must be [snippets, {feature_dim}], not",
                    tf.strings.as_string(shape),
                ],
            ),
            (
                (shape[0] == num_snippets) & (num_bytes % size == 0),
                [
                    f"{FEATURES} must hold as many bytes as {SHAPE} and "
                    f"{DTYPE} say, not",
                    num_bytes,
                ],
            ),
            (
                (seconds >= 1e-9) & (seconds <= 1e9),
                [f"{FPS} and {FRAMES_PER_SNIPPET} must be positive, in range"],
            ),
        )
    ]


def parse_labels(serialized):
    """Parses the id and the actions of a record, without its features.

    Returns:
        dict of `video_id` (string), `label_indices` [L] int64.
    """
    parsed = tf.io.parse_single_example(serialized, _LABELS_SPEC)
    return {
        "video_id": parsed[MEDIA_ID],
        "label_indices": tf.sparse.to_dense(parsed[LABEL_INDEX]),
    }


def parse_ground_truth(serialized):
    """Parses the ground truth of a record, for evaluation only.

    Returns:
        dict of `video_id`; `segments` [N, 2] float64, in seconds;
        `label_indices` [N] int64; `duration` float64, in seconds, 0 if it is
        not annotated.

    Raises:
        tf.errors.InvalidArgumentError: if a segment lacks its class.
    """
    parsed = tf.io.parse_single_example(serialized, _GROUND_TRUTH_SPEC)
    start, end, index = (
        tf.sparse.to_dense(parsed[key])
        for key in (SEGMENT_START, SEGMENT_END, SEGMENT_INDEX)
    )
    with tf.control_dependencies(
        [
            tf.debugging.assert_equal(
                tf.shape(start), tf.shape(index), "segments without a class"
            )
        ]
    ):
        segments = tf.stack([start, end], axis=-1)
    return {
        "video_id": parsed[MEDIA_ID],
        "segments": tf.cast(segments, tf.float64) / 1e6,
        "label_indices": index,
        "duration": tf.cast(parsed[DURATION], tf.float64) / 1e6,
    }


def multi_hot(label_indices, num_classes):
    """Converts class indices [L], from 1, to [C] float32: 1 if present."""
    hot = tf.one_hot(label_indices - 1, num_classes, dtype=tf.float32)
    return tf.reduce_max(
        tf.concat([hot, tf.zeros([1, num_classes])], axis=0), axis=0
    )


def seconds_per_snippet(fps, frames_per_snippet):
    """Length of one snippet in seconds."""
    return frames_per_snippet / fps


def time_scale(fps, frames_per_snippet):
    """Length of one snippet in seconds, equal bit for bit to a record's.

    Records store the frame rate as float32, which rounds 29.97.
    """
    return seconds_per_snippet(np.float32(fps), np.float32(frames_per_snippet))


def to_microseconds(seconds):
    """Converts seconds to whole microseconds, the unit of records."""
    return round(seconds * 1e6)


def tfds_features(feature_dim, storage_dtype):
    """The content of features.json, in the format of TensorFlow Datasets.

    `tfds.builder_from_directory` needs it to open the folder:
    https://www.tensorflow.org/datasets/external_tfrecord
    """
    package = "tensorflow_datasets.core.features"

    def tensor(dtype, shape=(), encoding="none"):
        dims = {"dimensions": [str(-1 if d is None else d) for d in shape]}
        content = {"shape": dims, "dtype": dtype, "encoding": encoding}
        return {
            "pythonClassName": f"{package}.tensor_feature.Tensor",
            "tensor": content,
        }

    return {
        "pythonClassName": f"{package}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                MEDIA_ID: tensor("string"),
                DURATION: tensor("int64"),
                LABEL_INDEX: tensor("int64", (None,)),
                LABEL_STRING: tensor("string", (None,)),
                FEATURES: tensor(storage_dtype, (None, feature_dim), "bytes"),
                DTYPE: tensor("string"),
                SHAPE: tensor("int64", (2,)),
                FPS: tensor("float32"),
                FRAMES_PER_SNIPPET: tensor("int64"),
                SEGMENT_START: tensor("int64", (None,)),
                SEGMENT_END: tensor("int64", (None,)),
                SEGMENT_INDEX: tensor("int64", (None,)),
                SEGMENT_STRING: tensor("string", (None,)),
            }
        },
    }


def _ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _bytes(values):
    return tf.train.Feature(
        bytes_list=tf.train.BytesList(
            value=[v.encode() if isinstance(v, str) else v for v in values]
        )
    )
