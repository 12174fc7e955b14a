"""Shards of records -> tf.data batches.

Training draws --num_snippets snippets of each video anew in every epoch; tests
see videos whole. The order and the draws of an epoch are a function of (seed,
epoch) alone, so that a run can be continued at any step.
"""

import contextlib
import math
import re

import tensorflow as tf

from tfwstal.data import record as record_format
from tfwstal.errors import InputError

# Shards whose videos are held in memory together, to be put in random order:
# 1 GiB of the converter's 64 MiB shards, which is all of THUMOS-14.
_SHUFFLED_SHARDS = 16


def steps_per_epoch(info, batch_size, videos=None):
    """Training steps that one pass over the split `train` takes.

    With `videos`, ids of some of its videos, over those alone.
    """
    count = info.num_videos("train") if videos is None else len(videos)
    return math.ceil(count / batch_size)


def training_batches(
    info,
    data_dir,
    *,
    num_snippets,
    batch_size,
    seed,
    epochs,
    repeat,
    static,
    videos=None,
    start=(0, 0),
    cache=None,
):
    """Batches of sampled snippets, for all epochs in one stream.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        num_snippets: T, snippets drawn from a longer video.
        batch_size: videos a batch; an epoch's last one may be smaller.
        seed: fixes order and draws.
        epochs: passes over the split `train`, those before `start` included.
        repeat: repeat the snippets of shorter videos to T, as the peers do,
            instead of padding them.
        static: pad every batch to T, as XLA needs, and not to its longest.
        videos: ids of the videos to train on; by default all.
        start: the epoch, and the step in it, of the first batch.
        cache: FeatureCache of these videos. The shards are not read then.

    Returns:
        tf.data.Dataset of ({"features" [B, T, D], "num_snippets" [B]},
        actions [B, C]); with a cache, of its "rows" [B, T] int32 instead of
        "features".
    """
    num_classes = len(info.classes)
    first, done = start

    def sampled(epoch, length, video):
        return sample_snippets(
            length,
            num_snippets,
            repeat,
            seed=[seed * 1_000_003 + epoch, video],
        )

    def from_record(epoch, record):
        video = record_format.parse_video(record, info.feature_dim)
        indices = sampled(
            epoch, video["num_snippets"], video_hash(video["video_id"])
        )
        inputs = {
            "features": tf.gather(video["features"], indices),
            "num_snippets": tf.size(indices),
        }
        return inputs, record_format.multi_hot(
            video["label_indices"], num_classes
        )

    def from_cache(epoch, record):
        indices = sampled(
            epoch,
            tf.gather(cache.num_snippets, record),
            tf.gather(cache.video_hash, record),
        )
        inputs = {
            "rows": tf.gather(cache.first, record) + indices,
            "num_snippets": tf.size(indices),
        }
        return inputs, tf.gather(cache.actions, record)

    if cache is None:
        records = _stored_records(info, data_dir, videos)
    else:
        records = _cached_records(cache)

    def one_epoch(epoch):
        order = _in_order_of_epoch(*records, seed, epoch)
        if done:
            begins = tf.cast(tf.equal(epoch, first), tf.int64)
            order = order.skip(begins * done * batch_size)
        sample = from_record if cache is None else from_cache
        batches = order.map(
            _plain(lambda record: sample(epoch, record)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        length = num_snippets if static else None
        snippets = (
            {"features": [length, info.feature_dim]}
            if cache is None
            else {"rows": [length]}
        )
        shapes = ({**snippets, "num_snippets": []}, [num_classes])
        return batches.padded_batch(batch_size, padded_shapes=shapes)

    stream = tf.data.Dataset.range(first, epochs).flat_map(_plain(one_epoch))
    return stream.prefetch(tf.data.AUTOTUNE)


def batch_videos(info, data_dir, batch_size, seed, epoch, step, videos=None):
    """Ids of the videos of one batch of `training_batches`, in its order.

    Args:
        epoch: from 0.
        step: in the epoch, from 0.

    The other arguments are those of `training_batches`.
    """
    records = _in_order_of_epoch(
        *_stored_records(info, data_dir, videos), seed, tf.constant(epoch)
    )
    batch = records.skip(step * batch_size).take(batch_size)
    with readable(data_dir):
        return [
            video["video_id"].decode()
            for video in batch.map(
                record_format.parse_labels
            ).as_numpy_iterator()
        ]


def video_hash(video_id):
    """What tells a video's draws from another's: an int64 for a string."""
    return tf.strings.to_hash_bucket_fast(video_id, 2**31)


# === The order of an epoch ===
# Where records lie is told by three things: how many shards there are, a
# function from numbers of shards to a tf.data.Dataset of their records, and
# one that tells whether a record is wanted. A record is its bytes, or its
# number in a cache; its place in the order is the same.


def _stored_records(info, data_dir, videos):
    """Records as their bytes."""
    paths = info.shard_paths(data_dir, "train")
    return (
        len(paths),
        lambda shards: tf.data.TFRecordDataset(tf.gather(paths, shards)),
        _is_among(videos),
    )


def _cached_records(cache):
    """Records as their numbers in a FeatureCache."""
    starts = cache.shard_starts

    def read(shards):
        numbers = tf.ragged.range(
            tf.gather(starts, shards), tf.gather(starts, shards + 1)
        )
        return tf.data.Dataset.from_tensor_slices(numbers.flat_values)

    return (
        len(starts) - 1,
        read,
        lambda record: tf.gather(cache.num_snippets, record) > 0,
    )


def _in_order_of_epoch(num_shards, read, is_wanted, seed, epoch):
    """The training records in the order of an epoch, a scalar tensor."""
    order = tf.random.experimental.stateless_shuffle(
        tf.range(num_shards), seed=[seed, epoch]
    )
    return (
        tf.data.Dataset.from_tensor_slices(order)
        .batch(_SHUFFLED_SHARDS)
        .flat_map(_plain(lambda some: _shuffled(read(some), [seed, epoch])))
        .filter(_plain(is_wanted))
    )


def _shuffled(records, seed):
    """Some records in random order.

    `Dataset.shuffle` would do, but its order depends on what it drew before
    and not on `seed` alone.
    """

    def in_order(batch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.shape(batch)[0]), seed
        )
        # One by one, since shuffled at once they would be there twice.
        return tf.data.Dataset.from_tensor_slices(order).map(
            _plain(lambda number: batch[number])
        )

    return records.batch(1 << 30).flat_map(_plain(in_order))


def _plain(function):
    """A function for tf.data in which no Python control flow is looked for.

    There is none, and the search takes longer than all else at the start.
    """
    return tf.autograph.experimental.do_not_convert(function)


def sample_snippets(length, num_snippets, repeat, seed):
    """Indices of the snippets that training sees of a video.

    A longer video is cut into `num_snippets` strata as equal as whole
    snippets allow, and one snippet is drawn from each, so that none comes
    twice. A shorter one is taken whole, or with `repeat` each snippet about
    equally often.

    Args:
        length: scalar int32, the video's snippets.
        num_snippets: T.
        repeat: see above.
        seed: two integers for a stateless draw.

    Returns:
        [T] int32, ascending; [length] for a shorter video without repeat.
    """
    edges = tf.range(num_snippets + 1, dtype=tf.int64) * tf.cast(
        length, tf.int64
    )
    edges = tf.cast(edges // num_snippets, tf.int32)
    first, stratum = edges[:-1], tf.maximum(edges[1:] - edges[:-1], 1)
    draw = tf.random.stateless_uniform([num_snippets], seed)
    # A draw next to 1 may round up to the stratum's size.
    inside = tf.minimum(
        tf.cast(draw * tf.cast(stratum, tf.float32), tf.int32), stratum - 1
    )
    sampled = first + inside
    if repeat:
        return sampled
    return tf.cond(
        length > num_snippets, lambda: sampled, lambda: tf.range(length)
    )


def _is_among(videos):
    """Function of a record: whether its id is in `videos`; all are in None."""
    if videos is None:
        return lambda record: tf.constant(True)
    ids = tf.constant(sorted(videos))
    return lambda record: tf.reduce_any(
        tf.equal(record_format.parse_labels(record)["video_id"], ids)
    )


def whole_videos(info, data_dir, split, videos=None):
    """The videos of a split at full length, one by one.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        split: the split.
        videos: ids of the videos wanted; by default all.

    Returns:
        tf.data.Dataset of the dicts of `record.parse_video`.
    """
    return videos_of_shards(
        info.shard_paths(data_dir, split), info.feature_dim, videos
    )


def videos_of_shards(paths, feature_dim, videos=None):
    """The videos of some shards; see `whole_videos`."""
    return (
        tf.data.TFRecordDataset(paths)
        .filter(_plain(_is_among(videos)))
        .map(
            _plain(
                lambda record: record_format.parse_video(record, feature_dim)
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def video_labels(info, data_dir, split):
    """The actions of each video of a split: dict id -> class indices [L]."""
    records = tf.data.TFRecordDataset(info.shard_paths(data_dir, split))
    with readable(data_dir):
        return {
            video["video_id"].decode(): video["label_indices"]
            for video in records.map(
                record_format.parse_labels
            ).as_numpy_iterator()
        }


def ground_truth(info, data_dir, split, videos=None):
    """The annotated segments of a split, for evaluation.

    With `videos`, ids of some of its videos, of those alone.

    Returns:
        dict from video id to (segments [N, 2] seconds, class indices [N]).
    """
    records = tf.data.TFRecordDataset(info.shard_paths(data_dir, split))
    records = records.filter(_plain(_is_among(videos)))
    if videos is not None:
        records = records.take(len(videos))  # the rest need not be read
    with readable(data_dir):
        return {
            video["video_id"].decode(): (
                video["segments"],
                video["label_indices"],
            )
            for video in records.map(
                record_format.parse_ground_truth
            ).as_numpy_iterator()
        }


@contextlib.contextmanager
def readable(data_dir):
    """Turns TensorFlow's errors about damaged records into an InputError."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        # The names of TensorFlow's nodes follow the reason.
        reason = re.sub(r"\{\{.*?\}\}\s*", "", error.message).split("\n")[0]
        raise _damaged(data_dir, reason.split(";")[0]) from None
    except UnicodeDecodeError:  # of an id, or of TensorFlow's message
        raise _damaged(data_dir, "bytes that are not UTF-8") from None


def _damaged(data_dir, reason):
    # Text that a terminal could take for an instruction is escaped.
    reason = "".join(c if c.isprintable() else repr(c)[1:-1] for c in reason)
    return InputError(
        f"{data_dir}: damaged record, or one that does not fit metadata.json "
        f"({reason[:80]}); copy the shards or convert again"
    )
