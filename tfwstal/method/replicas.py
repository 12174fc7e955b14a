"""Sums over the replicas of a training step.

With one device they are plain sums and means over the batch.
"""

import tensorflow as tf


def summed(values):
    """Sums tensors over all replicas; call it in a training step.

    Args:
        values: a tensor, or list of tensors, of this replica.

    Returns:
        the sums, equal in all replicas. With one replica, `values`.
    """
    if not _several():
        return values
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def _several():
    """Whether the code runs in a step of more than one replica."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def num_videos(actions):
    """Number of videos of a batch, over all replicas; actions: [B, C]."""
    count = tf.shape(actions)[0]
    # Not all devices can sum integers; float32 holds these numbers exactly.
    return summed(tf.cast(count, tf.float32)) if _several() else count


def replica_mean(values, num_videos):
    """This replica's part of a mean over the videos of a batch.

    Args:
        values: [B], one for each video of this replica; B may be 0.
        num_videos: what `num_videos` returned.

    Returns:
        scalar; its sum over the replicas is the mean.
    """
    if _several():
        return tf.reduce_sum(values) / num_videos
    return tf.reduce_mean(values)
