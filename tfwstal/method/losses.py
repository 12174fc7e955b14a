"""The terms of the loss, Eq. 4 to 7: one pure function for each equation.

Each returns one unweighted value for each video, [B]; the model weighs and
sums them (Eq. 8). `valid` [B, T] bool is False at padding.
"""

import math

import tensorflow as tf


def video_targets(actions, kind="multi_hot"):
    """y_fg, y_ct and y_bg of Eq. 5.

    Foreground: the actions. Context: the actions and the background.
    Background: the background alone.

    Args:
        actions: [B, C], 1 for each action in the video.
        kind: "multi_hot" as printed, or "normalized", each divided by its
            sum, as in other implementations.

    Returns:
        [B, 3, C+1] float32.
    """
    actions = tf.cast(actions, tf.float32)
    zero = tf.zeros_like(actions[:, :1])
    one = tf.ones_like(zero)
    targets = tf.stack(
        [
            tf.concat([zero, actions], axis=-1),
            tf.concat([one, actions], axis=-1),
            tf.concat([one, tf.zeros_like(actions)], axis=-1),
        ],
        axis=1,
    )
    if kind == "normalized":
        # A video without an action has no foreground target to divide.
        total = tf.reduce_sum(targets, axis=-1, keepdims=True)
        targets = tf.math.divide_no_nan(targets, total)
    return targets


def fused_log_scores(attention_logits, mil_logits, branches="both"):
    """log y hat, the logarithm of Eq. 4's fused video scores.

    Computed from the logits of both branches: a probability below 1e-38 is
    zero in float32 and its logarithm has no gradient, but its logit has one.

    Args:
        attention_logits: [..., C+1], the attention branch's, before softmax.
        mil_logits: omega of Eq. 3, [..., C+1].
        branches: "both", or the one that is used alone.

    Returns:
        [..., C+1].
    """
    log_attention = tf.nn.log_softmax(attention_logits)
    log_mil = tf.nn.log_softmax(mil_logits)
    # The unused branch gets a gradient of zero, because optimizers warn about
    # variables without one.
    if branches == "attention":
        return log_attention + 0.0 * log_mil
    if branches == "mil":
        return log_mil + 0.0 * log_attention
    pair = tf.stack([log_attention, log_mil])
    return tf.reduce_logsumexp(pair, axis=0) - math.log(2.0)


def classification_loss(log_scores, targets):
    """Cross-entropy L_cls, Eq. 5.

    Args:
        log_scores: log y hat, [B, C+1].
        targets: y, [B, C+1].

    Returns:
        [B].
    """
    return -tf.reduce_sum(targets * log_scores, axis=-1)


def semantic_loss(embedding, centroids, valid):
    """Mean distance of snippets to their class's centroid, L_smt, Eq. 6.

    The norm is Euclidean, not squared. At distance zero, where it has no
    gradient, the gradient is set to zero.

    Args:
        embedding: x, [B, T, D].
        centroids: Q[argmax p(t)], [B, T, D].
        valid: [B, T].

    Returns:
        [B].
    """
    offset = tf.cast(embedding, tf.float32) - centroids
    squared = tf.reduce_sum(tf.square(offset), axis=-1)
    # Both branches of `where` have a gradient; the inner one keeps it finite.
    positive = squared > 0.0
    distance = tf.where(
        positive, tf.sqrt(tf.where(positive, squared, 1.0)), 0.0
    )
    return _masked_mean(distance, valid)


def guide_loss(
    foreground_attention,
    background_activation,
    valid,
    reduction="mean",
    detach=False,
):
    """Consistency of attention and activation, L_gui, Eq. 7.

    Args:
        foreground_attention: a^fg, [B, T].
        background_activation: z_fg[t, 0], [B, T], after the softmax over
            classes.
        valid: [B, T].
        reduction: "mean" over snippets as printed, or "sum" as in other
            implementations.
        detach: stop the gradient to the attention term; the attention inside
            z_fg still receives one.

    Returns:
        [B].
    """
    if detach:
        foreground_attention = tf.stop_gradient(foreground_attention)
    gap = tf.abs(1.0 - foreground_attention - background_activation)
    if reduction == "sum":
        return tf.reduce_sum(tf.where(valid, gap, 0.0), axis=-1)
    return _masked_mean(gap, valid)


def _masked_mean(values, valid):
    """Mean over each video's own snippets, [B, T] -> [B]."""
    count = tf.reduce_sum(tf.cast(valid, values.dtype), axis=-1)
    return tf.reduce_sum(tf.where(valid, values, 0.0), axis=-1) / count
