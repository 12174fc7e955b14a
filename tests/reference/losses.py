"""Losses: Sections 3.4 to 3.6, Eq. 5 to 8, and the first centroids."""

import math

import numpy as np

from tests.reference.arithmetic import BACKGROUND, CONTEXT, FOREGROUND, float64


def targets(actions, num_classes, kind="multi_hot"):
    """Labels y_fg, y_ct, y_bg of Eq. 5.

    The foreground marks the actions, the background marks entry 0, and the
    context marks both.

    Args:
        actions: set or list of action indices in 1..C.
        num_classes: C, the number of actions.
        kind: "multi_hot" as printed, or "normalized", each row divided by its
            sum. A row of zeros (the foreground of a video without actions)
            stays zero.

    Returns:
        [3, C + 1].
    """
    rows = np.zeros((3, num_classes + 1))
    for action in actions:
        rows[FOREGROUND, action] = 1.0
        rows[CONTEXT, action] = 1.0
    rows[CONTEXT, 0] = 1.0
    rows[BACKGROUND, 0] = 1.0
    if kind == "normalized":
        for row in rows:
            total = sum(row)
            if total > 0:
                row /= total
    elif kind != "multi_hot":
        raise ValueError(f"kind is {kind!r}, not 'multi_hot' or 'normalized'")
    return rows


def classification_loss(y_hat, target):
    """Cross-entropy of one row, Eq. 5: -sum_c y(c) log y_hat(c).

    Args:
        y_hat: [C + 1], probabilities.
        target: [C + 1]; a class whose target is 0 contributes 0.

    Returns:
        float.
    """
    loss = 0.0
    for probability, label in zip(y_hat, target, strict=True):
        if label != 0:
            loss -= float(label) * math.log(float(probability))
    return loss


def semantic_loss(x, p, centroids):
    """Mean distance of each snippet to its class's centroid, Eq. 6.

        L_smt = 1/T sum_t || x_t - Q[argmax_c p(t)] ||_2

    The norm is Euclidean, not squared. Among equal logits the first class wins.

    Args:
        x: [T, D].
        p: [T, C + 1].
        centroids: Q, [C + 1, D].

    Returns:
        float.
    """
    x, p, centroids = float64(x), float64(p), float64(centroids)
    total = 0.0
    for t in range(len(x)):
        best = 0
        for c in range(1, len(p[t])):
            if p[t, c] > p[t, best]:
                best = c
        squared = 0.0
        for d in range(len(x[t])):
            squared += (x[t, d] - centroids[best, d]) ** 2
        total += math.sqrt(squared)
    return total / len(x)


def guide_loss(a_fg, z_fg_background, reduction="mean"):
    """Agreement of the two branches, Eq. 7: |1 - a_t^fg - z_fg[t, 0]|.

    Args:
        a_fg: [T], foreground attention.
        z_fg_background: [T], entry 0 of the foreground activation.
        reduction: "mean" over the snippets as printed, or their "sum".

    Returns:
        float.
    """
    total = 0.0
    for a, z in zip(a_fg, z_fg_background, strict=True):
        total += abs(1.0 - float(a) - float(z))
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / len(a_fg)
    raise ValueError(f"reduction is {reduction!r}, not 'mean' or 'sum'")


def total_loss(terms, weights):
    """Weighted sum of the five terms, Eq. 8.

    Args:
        terms: dict of floats under cls_fg, cls_ct, cls_bg, smt, gui.
        weights: dict of floats under the same keys. The paper's are 1,
            lambda_1, lambda_2, lambda_3, lambda_4 in that order.

    Returns:
        float.
    """
    total = 0.0
    for key in ("cls_fg", "cls_ct", "cls_bg", "smt", "gui"):
        total += float(weights[key]) * float(terms[key])
    return total


def loss_terms(
    video,
    actions,
    centroids,
    *,
    labels="multi_hot",
    reduction="mean",
    guiding_attention=None,
):
    """The five terms of Eq. 8 on one video, unweighted.

    Args:
        video: what `forward` returned.
        actions: set or list of action indices in 1..C.
        centroids: Q, [C + 1, D].
        labels: `kind` of `targets`.
        reduction: `reduction` of `guide_loss`.
        guiding_attention: [T], replaces a^fg in Eq. 7, as if the attention
            were held fixed.

    Returns:
        dict of floats under cls_fg, cls_ct, cls_bg, smt, gui.
    """
    wanted = targets(actions, len(centroids) - 1, labels)
    if guiding_attention is None:
        guiding_attention = video["attention"][:, FOREGROUND]
    y = video["video_scores"]
    return {
        "cls_fg": classification_loss(y[FOREGROUND], wanted[FOREGROUND]),
        "cls_ct": classification_loss(y[CONTEXT], wanted[CONTEXT]),
        "cls_bg": classification_loss(y[BACKGROUND], wanted[BACKGROUND]),
        "smt": semantic_loss(
            video["embedding"], video["class_logits"], centroids
        ),
        "gui": guide_loss(
            guiding_attention, video["activation"][:, FOREGROUND, 0], reduction
        ),
    }


def class_means(features, actions, num_classes):
    """First centroids of Section 4.1, from the training videos' features.

    Entry c is the mean over all snippets of all videos with action c, so a long
    video has more weight than a short one. Entry 0 is the mean over all
    snippets, and so is the entry of a class without videos.

    Args:
        features: list of [T_i, D], one per video.
        actions: list of sets of action indices in 1..C, one per video.
        num_classes: C, the number of actions.

    Returns:
        [C + 1, D].
    """
    width = np.shape(features[0])[1]
    sums = np.zeros((num_classes + 1, width))
    counts = [0] * (num_classes + 1)
    for video, carried in zip(features, actions, strict=True):
        for snippet in float64(video):
            for c in {0, *carried}:
                sums[c] += snippet
                counts[c] += 1
    means = np.zeros((num_classes + 1, width))
    for c in range(num_classes + 1):
        source = c if counts[c] else 0
        means[c] = sums[source] / counts[source]
    return means
