"""Embedding and attention branch: Sections 3.1 and 3.2, Eq. 1."""

import numpy as np

from tests.reference.arithmetic import dense, float64, sigmoid, softmax


def residual_block(features, kernel, bias, residual=True):
    """Embedding x of Section 3.1: the features plus a ReLU convolution.

        x_t = f_t + ReLU(bias + sum_tap f_{t + tap - before} @ kernel[tap])

    with before = (K - 1) // 2. Snippets outside the video count as zero, as in
    a convolution with "same" padding.

    Args:
        features: [T, D].
        kernel: [K, D, D], axes tap, input channel, output channel.
        bias: [D].
        residual: whether f_t is added.

    Returns:
        [T, D].
    """
    features, kernel = float64(features), float64(kernel)
    num_snippets, width = features.shape
    num_taps = len(kernel)
    before = (num_taps - 1) // 2
    x = np.zeros((num_snippets, width))
    for t in range(num_snippets):
        convolved = float64(bias).copy()
        for tap in range(num_taps):
            source = t + tap - before
            if 0 <= source < num_snippets:
                convolved += dense(
                    features[source], kernel[tap], np.zeros(width)
                )
        for d in range(width):
            x[t, d] = max(convolved[d], 0.0)
            if residual:
                x[t, d] += features[t, d]
    return x


def attention(x, kernel, bias, kind="softmax"):
    """Attentions a^fg, a^ct, a^bg of Section 3.2, one triple per snippet.

    Args:
        x: [T, D].
        kernel: [D, 3].
        bias: [3].
        kind: "softmax" over the three, or "sigmoid" of each alone.

    Returns:
        [T, 3], each in [0, 1].
    """
    a = np.zeros((len(x), 3))
    for t in range(len(x)):
        logits = dense(x[t], kernel, bias)
        if kind == "softmax":
            a[t] = softmax(logits)
        elif kind == "sigmoid":
            a[t] = [sigmoid(logit) for logit in logits]
        else:
            raise ValueError(f"kind is {kind!r}, not 'softmax' or 'sigmoid'")
    return a


_attention_of = attention  # forward() has an argument named attention


def pooled_features(x, a):
    """Attention-weighted means over time, Eq. 1.

        x_fg = sum_t a_t^fg x_t / sum_t a_t^fg, likewise x_ct and x_bg

    Args:
        x: [T, D].
        a: [T, 3].

    Returns:
        [3, D].
    """
    x, a = float64(x), float64(a)
    num_snippets, width = x.shape
    pooled = np.zeros((3, width))
    for row in range(3):
        total_attention = 0.0
        for t in range(num_snippets):
            total_attention += a[t, row]
        for d in range(width):
            weighted_sum = 0.0
            for t in range(num_snippets):
                weighted_sum += a[t, row] * x[t, d]
            pooled[row, d] = weighted_sum / total_attention
    return pooled


def attention_logits(pooled, kernel, bias):
    """Class logits of Section 3.2: one layer for all three features.

    Args:
        pooled: [3, D].
        kernel: [D, C + 1].
        bias: [C + 1].

    Returns:
        [3, C + 1].
    """
    return float64([dense(row, kernel, bias) for row in pooled])


def scores(logits):
    """Softmax of each row, [3, C + 1]: y^att and y^mil."""
    return float64([softmax(row) for row in logits])
