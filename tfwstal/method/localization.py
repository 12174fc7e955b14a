"""Section 3.7: from activation sequences to scored segments.

The last step of the paper, after `layers`, `model` and `losses`: thresholds
cut proposals from the activation sequence of each likely class, Eq. 9 scores
them, and non-maximum suppression removes duplicates. `localize_video` lists
the steps; the functions below it are one step each.

Positions are real numbers in snippets: snippet t covers [t, t + 1).
"""

import tensorflow as tf


def localize_video(activation, attention, video_scores, settings):
    """Localizes the actions of one video, Section 3.7.

    Args:
        activation: z_fg, [T, C+1].
        attention: a_fg, [T].
        video_scores: y hat_fg, [C+1].
        settings: LocalizationSettings.

    Returns:
        segments [M, 2] in snippets, class indices [M] int32 from 1, scores
        [M]; best first, M at most settings.max_detections.
    """
    classes = select_classes(video_scores, settings.alpha)
    by_class = tf.transpose(tf.gather(activation, classes, axis=1))  # [K, T]
    by_attention = tf.repeat(attention[tf.newaxis], tf.size(classes), axis=0)
    by_class, by_attention = (
        interpolate(sequence, settings.samples_per_snippet)
        for sequence in (by_class, by_attention)
    )
    thresholded = {
        "activation": (by_class, settings.eta),
        "attention": (by_attention, settings.eta_attention or settings.eta),
    }
    if settings.threshold_on != "both":
        name = settings.threshold_on
        thresholded = {name: thresholded[name]}
    row, first, last = proposals(thresholded.values())
    scored = by_class if settings.score_on == "activation" else by_attention
    start, end = tf.cast(first, tf.float32), tf.cast(last + 1, tf.float32)
    contrast = outer_inner_contrast(scored, row, start, end, settings.inflation)
    kept = tf.gather(classes, row)
    scores = contrast + settings.beta * tf.gather(video_scores, kept)
    chosen, scores = suppress(row, start, end, scores, settings)
    segments = tf.stack([start, end], axis=-1) / settings.samples_per_snippet
    return tf.gather(segments, chosen), tf.gather(kept, chosen), scores


def select_classes(video_scores, alpha):
    """Actions with a video score of at least alpha, or else the best one.

    Args:
        video_scores: [C+1], class 0 the background.
        alpha: threshold.

    Returns:
        [K] int32 class indices, ascending, K at least 1.
    """
    actions = video_scores[1:]
    passing = tf.where(actions >= alpha)[:, 0]
    best = tf.argmax(actions)[tf.newaxis]
    chosen = tf.cond(tf.size(passing) > 0, lambda: passing, lambda: best)
    return tf.cast(chosen, tf.int32) + 1


def interpolate(sequences, density):
    """Linear interpolation to `density` samples a snippet.

    A value belongs to its snippet's centre, and is constant before the first
    and after the last centre, so nothing is shifted.

    Args:
        sequences: [K, T].
        density: samples a snippet; 1 changes nothing.

    Returns:
        [K, T * density].
    """
    if density == 1:
        return sequences
    length = tf.shape(sequences)[1]
    samples = tf.cast(tf.range(length * density), tf.float32)
    position = (samples + 0.5) / density - 0.5
    position = tf.clip_by_value(position, 0.0, tf.cast(length - 1, tf.float32))
    left = tf.cast(tf.floor(position), tf.int32)
    right = tf.minimum(left + 1, length - 1)
    share = position - tf.floor(position)
    return (1.0 - share) * tf.gather(sequences, left, axis=1) + (
        share * tf.gather(sequences, right, axis=1)
    )


def proposals(thresholded):
    """The distinct runs of samples at or above a threshold.

    Args:
        thresholded: pairs of sequences [K, T] and their thresholds, eta; row
            k of each belongs to the same class.

    Returns:
        row k, first and last sample of each run: [M] int32 each.
    """
    above = tf.concat(
        [
            sequences[:, tf.newaxis]
            >= tf.constant(eta, sequences.dtype)[:, tf.newaxis]
            for sequences, eta in thresholded
        ],
        axis=1,
    )  # [K, E, T]
    length = tf.shape(above, tf.int64)[-1]
    above = tf.pad(above, [[0, 0], [0, 0], [1, 1]])
    # Both lists are in the order of row, threshold and time, so the i-th
    # start belongs to the i-th end.
    starts = tf.where(above[..., 1:] & ~above[..., :-1])
    ends = tf.where(above[..., :-1] & ~above[..., 1:])
    row, first, last = starts[:, 0], starts[:, -1], ends[:, -1] - 1
    # Neighbouring thresholds often cut the same run; once is enough.
    key, _ = tf.unique((row * length + first) * length + last)
    row = key // (length * length)
    first = key // length % length
    last = key % length
    return tuple(tf.cast(part, tf.int32) for part in (row, first, last))


def outer_inner_contrast(sequences, row, start, end, inflation):
    """phi_in - phi_out, the Outer-Inner-Contrastive score of Eq. 9.

    Each outer mean is over the part that is inside the video. A side that is
    completely outside does not count.

    Args:
        sequences: [K, T], each sample held over its own interval [t, t + 1).
        row: [M] int32, the sequence that a proposal belongs to.
        start: [M] float32, in samples.
        end: [M] float32, in samples.
        inflation: length of an outer area as a part of the proposal's.

    Returns:
        [M] float32.
    """
    length = tf.cast(tf.shape(sequences)[1], tf.float32)
    # In float64, since integrals are differences of long running sums.
    running = tf.pad(
        tf.cumsum(tf.cast(sequences, tf.float64), axis=1), [[0, 0], [1, 0]]
    )

    def integral_to(position):
        whole = tf.cast(tf.floor(position), tf.int32)
        share = tf.cast(position - tf.floor(position), tf.float64)
        below = tf.gather_nd(running, tf.stack([row, whole], axis=-1))
        upper = tf.minimum(whole + 1, tf.shape(sequences)[1])
        above = tf.gather_nd(running, tf.stack([row, upper], axis=-1))
        return below + share * (above - below)

    def mean(left, right):
        exists = right > left
        width = tf.cast(tf.where(exists, right - left, 1.0), tf.float64)
        total = integral_to(right) - integral_to(left)
        value = tf.cast(total / width, tf.float32)
        return tf.where(exists, value, 0.0), tf.cast(exists, tf.float32)

    margin = inflation * (end - start)
    inner, _ = mean(start, end)
    before, has_before = mean(tf.maximum(start - margin, 0.0), start)
    after, has_after = mean(end, tf.minimum(end + margin, length))
    outer = tf.math.divide_no_nan(before + after, has_before + has_after)
    return inner - outer


def suppress(row, start, end, scores, settings):
    """Non-maximum suppression within each class.

    Segments become boxes one unit high, each class at a height of its own:
    then the boxes' IoU is the segments' tIoU, and classes never overlap.

    Args:
        row: [M] int32, one number for each class.
        start: [M] float32.
        end: [M] float32.
        scores: [M] float32.
        settings: LocalizationSettings.

    Returns:
        indices [N] int32 of the kept segments and their scores [N], best
        first. Soft-NMS lowers scores. It takes negative ones as zero, since
        it would raise them.
    """
    height = 2.0 * tf.cast(row, tf.float32)
    boxes = tf.stack([height, start, height + 1.0, end], axis=-1)
    soft = settings.nms == "soft"
    if soft:
        scores = tf.maximum(scores, 0.0)
    return tf.image.non_max_suppression_with_scores(
        boxes,
        scores,
        settings.max_detections,
        iou_threshold=1.0 if soft else settings.nms_tiou,
        # TensorFlow multiplies by exp(-IoU^2 / (2 sigma)).
        soft_nms_sigma=settings.nms_sigma / 2.0 if soft else 0.0,
    )
