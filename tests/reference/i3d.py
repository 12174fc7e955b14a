"""Slow float64 loops for the layers of I3D, with TensorFlow's SAME padding.

n values with stride s give ceil(n / s). The values that the last window lacks
are padded, half before and half behind, and the odd one behind:
https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
"""

import math

import numpy as np


def _windows(size, kernel, stride):
    """For each output, the unclipped range of the inputs under the kernel."""
    count = math.ceil(size / stride)
    missing = max((count - 1) * stride + kernel - size, 0)
    return [
        range(i * stride - missing // 2, i * stride - missing // 2 + kernel)
        for i in range(count)
    ]


def _cells(shape, kernels, strides):
    """(output index, list of (index in the kernel, index in the input))."""
    axes = [
        list(enumerate(_windows(*each)))
        for each in zip(shape, kernels, strides, strict=True)
    ]
    for t, times in axes[0]:
        for y, rows in axes[1]:
            for x, columns in axes[2]:
                inside = [
                    ((i, j, k), (time, row, column))
                    for i, time in enumerate(times)
                    for j, row in enumerate(rows)
                    for k, column in enumerate(columns)
                    if 0 <= time < shape[0]
                    and 0 <= row < shape[1]
                    and 0 <= column < shape[2]
                ]
                yield (t, y, x), inside


def unit(inputs, kernel, beta, mean, variance, stride):
    """Convolution, batch normalization without gamma, ReLU.

    Args:
        inputs: [B, T, H, W, C].
        kernel: [k, k, k, C, filters].
        beta: [filters].
        mean: [filters], of the batch normalization.
        variance: [filters], likewise.
        stride: for time, height and width.

    Returns:
        [B, T', H', W', filters].
    """
    shape = inputs.shape[1:4]
    sizes = [math.ceil(size / stride) for size in shape]
    output = np.zeros((len(inputs), *sizes, kernel.shape[-1]))
    for place, inside in _cells(shape, kernel.shape[:3], [stride] * 3):
        for b in range(len(inputs)):
            total = np.zeros(kernel.shape[-1])
            for at_kernel, at_input in inside:
                total += inputs[(b, *at_input)] @ kernel[at_kernel]
            normalized = (total - mean) / np.sqrt(variance + 0.001) + beta
            output[(b, *place)] = np.maximum(normalized, 0)
    return output


def max_pool(inputs, kernel, stride):
    """Max pooling; kernel and stride are (time, space)."""
    kernels = (kernel[0], kernel[1], kernel[1])
    strides = (stride[0], stride[1], stride[1])
    shape = inputs.shape[1:4]
    sizes = [math.ceil(n / s) for n, s in zip(shape, strides, strict=True)]
    output = np.zeros((len(inputs), *sizes, inputs.shape[-1]))
    for place, inside in _cells(shape, kernels, strides):
        for b in range(len(inputs)):
            values = [inputs[(b, *at_input)] for _, at_input in inside]
            output[(b, *place)] = np.max(values, axis=0)
    return output
