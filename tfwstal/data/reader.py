"""Reads shards of records: whole videos, their labels, their segments."""

import contextlib
import re

import tensorflow as tf

from tfwstal.data import record as record_format
from tfwstal.errors import InputError

_NODES = re.compile(
    r"\{\{.*?\}\}\s*|Error in user-defined function passed to \S+ "
    r"transformation with iterator: \S+: "
)


def whole_videos(info, data_dir, split, videos=None):
    """Reads the videos of a split, at full length, one by one.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        split: the split.
        videos: ids of the videos to read; by default all.

    Returns:
        tf.data.Dataset of the dicts of `record.parse_video`.
    """
    return videos_of_shards(
        info.shard_paths(data_dir, split), info.feature_dim, videos
    )


def videos_of_shards(paths, feature_dim, videos=None):
    """Reads the videos of some shards; see `whole_videos`."""
    return (
        tf.data.TFRecordDataset(paths)
        .filter(plain(is_among(videos)))
        .map(
            plain(
                lambda record: record_format.parse_video(record, feature_dim)
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def video_labels(info, data_dir, split):
    """The actions of each video of a split: dict id -> class indices [L]."""
    paths = info.shard_paths(data_dir, split)
    with readable(data_dir):
        found = dict(_labels_of_shards(paths))
    check_unique(found, info, data_dir, split)
    return found


def _labels_of_shards(paths):
    """Yields the id and the class indices of each video."""
    records = tf.data.TFRecordDataset(paths).map(record_format.parse_labels)
    for video in records.as_numpy_iterator():
        yield record_format.name_of(video["video_id"]), video["label_indices"]


def check_unique(names, info, data_dir, split):
    """Refuses a split with several records of one video.

    Args:
        names: of the videos of the split, each once.
        info: DatasetInfo.
        data_dir: its folder.
        split: the split.

    Raises:
        InputError: names the video and the shards.
    """
    if len(names) == info.num_videos(split):
        return
    shard_of = {}
    for path in info.shard_paths(data_dir, split):
        for name, _ in _labels_of_shards([path]):
            if name in shard_of:
                other = shard_of[name]
                both = f"{path} has two records"
                if other != path:
                    both = f"{other} and {path} both have a record"
                raise InputError(
                    f"{both} of video {name!r}; convert again from one folder"
                )
            shard_of[name] = path


def ground_truth(info, data_dir, split, videos=None):
    """Reads the annotated segments of a split, for evaluation.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        split: the split.
        videos: ids of the videos to read; by default all.

    Returns:
        dict from video id to (segments [N, 2] seconds, class indices [N]).
    """
    records = tf.data.TFRecordDataset(info.shard_paths(data_dir, split))
    records = records.filter(plain(is_among(videos)))
    if videos is not None:
        records = records.take(len(videos))  # the rest need not be read
    with readable(data_dir):
        found = {
            record_format.name_of(video["video_id"]): (
                video["segments"],
                video["label_indices"],
            )
            for video in records.map(
                record_format.parse_ground_truth
            ).as_numpy_iterator()
        }
    if videos is None:
        check_unique(found, info, data_dir, split)
    return found


@contextlib.contextmanager
def readable(data_dir):
    """Turns TensorFlow's errors about damaged records into an InputError."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        # TensorFlow names its nodes before and after the reason.
        reason = _NODES.sub("", error.message).split("\n")[0]
        raise _damaged(data_dir, reason.split(";")[0]) from None
    except UnicodeDecodeError:  # of an id, or of TensorFlow's message
        raise _damaged(data_dir, "bytes that are not UTF-8") from None
    except record_format.BadName as error:
        raise _damaged(data_dir, str(error)) from None


def _damaged(data_dir, reason):
    return InputError(
        f"{data_dir}: damaged record, or one that does not fit metadata.json "
        f"({reason[:100]}); copy the shards or convert again"
    )


def is_among(videos):
    """Function of a record: whether its id is in `videos`, or `videos` None."""
    if videos is None:
        return lambda record: tf.constant(True)
    ids = tf.constant(sorted(videos))
    return lambda record: tf.reduce_any(
        tf.equal(record_format.parse_labels(record)["video_id"], ids)
    )


def plain(function):
    """Keeps AutoGraph from converting a function for tf.data.

    The functions here have no Python control flow, and the conversion takes
    longer than the rest of the start.
    """
    return tf.autograph.experimental.do_not_convert(function)
