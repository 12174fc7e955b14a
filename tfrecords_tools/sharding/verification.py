"""Reads records back and compares them with their sources, bit for bit."""

import pathlib

import tensorflow as tf
from tqdm import tqdm

from tfwstal.data import feature_files
from tfwstal.data import folder as records_folder
from tfwstal.data import record as record_format
from tfwstal.errors import InputError


def verify(tasks, classes, storage_dtype, folder):
    """Compares every record with its features and annotations.

    Args:
        tasks: from `shards.plan`.
        classes: action names; class index c is classes[c - 1].
        storage_dtype: "float32" or "float16".
        folder: of the shards and their description.

    Raises:
        InputError: if a shard cannot be read, or a record differs from its
            source; names the shard, the video and the key.
    """
    records_folder.read(folder)
    total = sum(len(task.videos) for task in tasks)
    with tqdm(desc="verify", total=total, unit="video", disable=None) as bar:
        for task in tasks:
            path = pathlib.Path(folder) / task.name
            records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
            try:
                count = 0
                for (video, length), record in zip(
                    task.videos, records, strict=True
                ):
                    expected = _expected(video, length, classes, storage_dtype)
                    _compare(path, video.video_id, record, expected)
                    count += 1
                    bar.update()
            except tf.errors.DataLossError:
                raise InputError(
                    f"{path}: record {count} has changed since it was written; "
                    "check the disk and convert again"
                ) from None
            except ValueError as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(
                    f"{path} does not have {len(task.videos)} videos; check "
                    "the disk and convert again"
                ) from None


def _expected(video, num_snippets, classes, storage_dtype):
    """Expected content of a record: dict from key to a list of values."""
    values, _ = feature_files.load(
        video.feature_files, num_snippets, storage_dtype
    )
    index_of = {name: index for index, name in enumerate(classes, start=1)}
    starts, ends, names = (
        [segment[part] for segment in video.segments] for part in range(3)
    )
    return {
        record_format.MEDIA_ID: [video.video_id.encode()],
        record_format.DURATION: [
            record_format.to_microseconds(video.duration or 0.0)
        ],
        record_format.LABEL_INDEX: [index_of[name] for name in video.labels],
        record_format.LABEL_STRING: [name.encode() for name in video.labels],
        record_format.FEATURES: [values.tobytes()],
        record_format.DTYPE: [values.dtype.name.encode()],
        record_format.SHAPE: list(values.shape),
        record_format.FPS: [float(tf.constant(video.fps, tf.float32))],
        record_format.FRAMES_PER_SNIPPET: [video.frames_per_snippet],
        record_format.SEGMENT_START: [
            record_format.to_microseconds(s) for s in starts
        ],
        record_format.SEGMENT_END: [
            record_format.to_microseconds(s) for s in ends
        ],
        record_format.SEGMENT_INDEX: [index_of[name] for name in names],
        record_format.SEGMENT_STRING: [name.encode() for name in names],
    }


def _compare(path, video_id, record, expected):
    """Raises InputError unless the record has exactly the expected content."""
    found = {
        key: list(getattr(feature, feature.WhichOneof("kind")).value)
        for key, feature in tf.train.Example.FromString(
            record
        ).features.feature.items()
    }
    for key in sorted(expected.keys() | found.keys()):
        if found.get(key) != expected.get(key):
            raise InputError(
                f"{path}: {key} of video {video_id!r} differs from its source; "
                "check that the source did not change, and convert again"
            )
