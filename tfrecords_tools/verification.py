"""Records read back and compared with their sources, bit for bit."""

import pathlib

import tensorflow as tf
from tqdm import tqdm

from tfwstal import dataset_info, features, schema
from tfwstal.errors import InputError


def verify(tasks, folder, classes, storage_dtype):
    """Compares every record with the features and annotations it is made of.

    Args:
        tasks: from `shards.plan`.
        folder: of the shards and their description.
        classes: action names; class index c is classes[c - 1].
        storage_dtype: "float32" or "float16".

    Raises:
        InputError: if a shard cannot be read, or a record is not its source;
            names the shard, the video and the key.
    """
    dataset_info.read(folder)
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
                    f"{path}: record {count} reads otherwise than it was "
                    "written; check the disk and convert again"
                ) from None
            except ValueError as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(
                    f"{path} does not hold {len(task.videos)} videos; check "
                    "the disk and convert again"
                ) from None


def _expected(video, num_snippets, classes, storage_dtype):
    """dict key of the record -> list of its values, from the sources."""
    values, _ = features.load(video.feature_files, num_snippets, storage_dtype)
    index_of = {name: index for index, name in enumerate(classes, start=1)}
    starts, ends, names = (
        [segment[part] for segment in video.segments] for part in range(3)
    )
    return {
        schema.MEDIA_ID: [video.video_id.encode()],
        schema.DURATION: [schema.to_microseconds(video.duration or 0.0)],
        schema.LABEL_INDEX: [index_of[name] for name in video.labels],
        schema.LABEL_STRING: [name.encode() for name in video.labels],
        schema.FEATURES: [values.tobytes()],
        schema.DTYPE: [values.dtype.name.encode()],
        schema.SHAPE: list(values.shape),
        schema.FPS: [float(tf.constant(video.fps, tf.float32))],
        schema.FRAMES_PER_SNIPPET: [video.frames_per_snippet],
        schema.SEGMENT_START: [schema.to_microseconds(s) for s in starts],
        schema.SEGMENT_END: [schema.to_microseconds(s) for s in ends],
        schema.SEGMENT_INDEX: [index_of[name] for name in names],
        schema.SEGMENT_STRING: [name.encode() for name in names],
    }


def _compare(path, video_id, record, expected):
    """Raises InputError unless the record holds exactly what is expected."""
    found = {
        key: list(getattr(feature, feature.WhichOneof("kind")).value)
        for key, feature in tf.train.Example.FromString(
            record
        ).features.feature.items()
    }
    for key in sorted(expected.keys() | found.keys()):
        if found.get(key) != expected.get(key):
            raise InputError(
                f"{path}: {key} of video {video_id!r} is not what its source "
                "holds; check that nobody changed the source meanwhile, and "
                "convert again"
            )
