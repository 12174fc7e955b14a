"""Training batches: a tf.data pipeline over shards of records or a cache.

Every epoch draws --num_snippets snippets of each video anew. The order and the
draws of an epoch depend only on (seed, epoch), so a run can resume at any step.
"""

import math

import tensorflow as tf

from tfwstal.data import reader
from tfwstal.data import record as record_format

# Shards whose videos are in memory together while they are shuffled: 1 GiB of
# the converter's 64 MiB shards, more than all of THUMOS-14's training videos.
_SHUFFLED_SHARDS = 16


def steps_per_epoch(info, batch_size, videos=None):
    """Training steps in one pass over the split `train`.

    Args:
        info: DatasetInfo.
        batch_size: videos a step.
        videos: ids of the videos to train on; by default all.
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
        batch_size: videos a batch; the last one of an epoch may be smaller.
        seed: seed of the order and the draws.
        epochs: passes over the split `train`, including those before `start`.
        repeat: whether to repeat the snippets of shorter videos up to T, as
            other implementations do, instead of padding them.
        static: whether to pad every batch to T, as XLA requires, instead of to
            the longest video in it.
        videos: ids of the videos to train on; by default all.
        start: the epoch, and the step in it, of the first batch.
        cache: FeatureCache of these videos, which is used instead of the
            shards.

    Returns:
        tf.data.Dataset of ({"features" [B, T, D], "num_snippets" [B]},
        actions [B, C]). With a cache, "rows" [B, T] int32 takes the place of
        "features"; FeatureCache looks them up.
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
            reader.plain(lambda record: sample(epoch, record)),
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

    stream = tf.data.Dataset.range(first, epochs).flat_map(
        reader.plain(one_epoch)
    )
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
    with reader.readable(data_dir):
        return [
            video["video_id"].decode()
            for video in batch.map(
                record_format.parse_labels
            ).as_numpy_iterator()
        ]


def video_hash(video_id):
    """Hash of a video id, int64: each video has draws of its own."""
    return tf.strings.to_hash_bucket_fast(video_id, 2**31)


# === The order of an epoch ===
# A source of records has three parts: the number of shards, a function from
# shard numbers to a tf.data.Dataset of their records, and a function that
# returns whether to use a record. A record is either its bytes or its number
# in a cache; both sources give the same order.


def _stored_records(info, data_dir, videos):
    """Source of the records in the shards, as their bytes."""
    paths = info.shard_paths(data_dir, "train")
    return (
        len(paths),
        lambda shards: tf.data.TFRecordDataset(tf.gather(paths, shards)),
        reader.is_among(videos),
    )


def _cached_records(cache):
    """Source of the records in a FeatureCache, as their numbers."""
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
        .flat_map(
            reader.plain(lambda some: _shuffled(read(some), [seed, epoch]))
        )
        .filter(reader.plain(is_wanted))
    )


def _shuffled(records, seed):
    """Shuffles a dataset of records, depending only on the seed.

    The order of `Dataset.shuffle` also depends on earlier draws.
    """

    def in_order(batch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.shape(batch)[0]), seed
        )
        # One by one: gathering the batch would copy it.
        return tf.data.Dataset.from_tensor_slices(order).map(
            reader.plain(lambda number: batch[number])
        )

    return records.batch(1 << 30).flat_map(reader.plain(in_order))


def sample_snippets(length, num_snippets, repeat, seed):
    """Draws the snippets of a video for one epoch.

    A longer video is divided into `num_snippets` strata, equal up to one
    snippet, and one snippet is drawn from each, so that none is drawn twice.
    A shorter video is used whole, or with `repeat` each snippet about equally
    often.

    Args:
        length: scalar int32, number of snippets in the video.
        num_snippets: T.
        repeat: whether to repeat the snippets of a shorter video.
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
    # A draw close to 1 may round up to the size of the stratum.
    inside = tf.minimum(
        tf.cast(draw * tf.cast(stratum, tf.float32), tf.int32), stratum - 1
    )
    sampled = first + inside
    if repeat:
        return sampled
    return tf.cond(
        length > num_snippets, lambda: sampled, lambda: tf.range(length)
    )
