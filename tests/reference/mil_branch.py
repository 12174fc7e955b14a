"""MIL branch and fusion: Sections 3.3 and 3.4, Eq. 2 to 4."""

import numpy as np

from tests.reference.arithmetic import dense, float64, softmax
from tests.reference.attention_branch import (
    _attention_of,
    attention_logits,
    pooled_features,
    residual_block,
    scores,
)


def class_logits(x, kernel, bias):
    """Class activation sequence p of Section 3.3, without dropout.

    Args:
        x: [T, D].
        kernel: [D, C + 1].
        bias: [C + 1].

    Returns:
        [T, C + 1].
    """
    return float64([dense(snippet, kernel, bias) for snippet in x])


def weighted_logits(a, p):
    """Attention times class activation, Eq. 2.

    Args:
        a: [T, 3].
        p: [T, C + 1].

    Returns:
        [T, 3, C + 1].
    """
    a, p = float64(a), float64(p)
    num_snippets, num_entries = p.shape
    weighted = np.zeros((num_snippets, 3, num_entries))
    for t in range(num_snippets):
        for row in range(3):
            for c in range(num_entries):
                weighted[t, row, c] = a[t, row] * p[t, c]
    return weighted


def top_k_mean(values, k):
    """Mean of the k largest of T values, the omega of Eq. 3."""
    largest_first = sorted((float(value) for value in values), reverse=True)
    return sum(largest_first[:k]) / k


def mil_logits(weighted, sigma=(8, 2, 2)):
    """Omega of Eq. 3: top-k mean of each class.

    Args:
        weighted: [T, 3, C + 1], the raw products of Eq. 2.
        sigma: three divisors (foreground, context, background); for each row
            k = max(floor(T / sigma), 1).

    Returns:
        [3, C + 1].
    """
    weighted = float64(weighted)
    num_snippets, _, num_entries = weighted.shape
    omega = np.zeros((3, num_entries))
    for row in range(3):
        k = max(num_snippets // sigma[row], 1)
        for c in range(num_entries):
            omega[row, c] = top_k_mean(weighted[:, row, c], k)
    return omega


def activation(weighted):
    """Softmax over the classes of Eq. 2: the z that Eq. 7 and Eq. 9 use.

    Args:
        weighted: [T, 3, C + 1].

    Returns:
        [T, 3, C + 1], the last axis sums to 1.
    """
    weighted = float64(weighted)
    z = np.zeros(weighted.shape)
    for t in range(len(weighted)):
        for row in range(3):
            z[t, row] = softmax(weighted[t, row])
    return z


def fused(att, mil):
    """Late fusion, Eq. 4: (y^att + y^mil) / 2.

    Args:
        att: [3, C + 1].
        mil: [3, C + 1].

    Returns:
        [3, C + 1].
    """
    return (float64(att) + float64(mil)) / 2.0


def forward(
    features,
    weights,
    *,
    attention="softmax",
    sigma=(8, 2, 2),
    branches="both",
    residual=True,
    z="weighted",
):
    """The whole network on one video, Sections 3.1 to 3.4, at inference.

    Args:
        features: [T, D].
        weights: dict with conv_kernel [K, D, D], conv_bias [D],
            attention_kernel [D, 3], attention_bias [3],
            pooled_kernel and class_kernel [D, C + 1],
            pooled_bias and class_bias [C + 1].
        attention: "softmax" or "sigmoid".
        sigma: three divisors of Eq. 3.
        branches: source of video_scores: "both" (Eq. 4), or the scores of only
            the "attention" or the "mil" branch.
        residual: of `residual_block`.
        z: activation is the softmax of a x p ("weighted") or of p alone
            ("plain"), the same for all three of the axis.

    Returns:
        dict with embedding [T, D], attention [T, 3], class_logits [T, C + 1],
        weighted_logits and activation [T, 3, C + 1], and [3, C + 1] each:
        attention_logits, mil_logits, attention_scores, mil_scores and
        video_scores.
    """
    x = residual_block(
        features, weights["conv_kernel"], weights["conv_bias"], residual
    )
    a = _attention_of(
        x, weights["attention_kernel"], weights["attention_bias"], attention
    )
    p = class_logits(x, weights["class_kernel"], weights["class_bias"])
    weighted = weighted_logits(a, p)
    att_logits = attention_logits(
        pooled_features(x, a), weights["pooled_kernel"], weights["pooled_bias"]
    )
    omega = mil_logits(weighted, sigma)
    att, mil = scores(att_logits), scores(omega)
    video_scores = {"both": fused(att, mil), "attention": att, "mil": mil}
    return {
        "embedding": x,
        "attention": a,
        "class_logits": p,
        "weighted_logits": weighted,
        "activation": activation(
            weighted if z == "weighted" else np.stack([p] * 3, axis=1)
        ),
        "attention_logits": att_logits,
        "mil_logits": omega,
        "attention_scores": att,
        "mil_scores": mil,
        "video_scores": video_scores[branches],
    }
