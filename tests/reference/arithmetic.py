"""Arithmetic that the other oracles share."""

import math

import numpy as np

FOREGROUND, CONTEXT, BACKGROUND = 0, 1, 2


def float64(values):
    return np.asarray(values, dtype=np.float64)


def sigmoid(value):
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    return math.exp(value) / (1.0 + math.exp(value))


def dense(vector, kernel, bias):
    """One fully-connected layer: vector [I], kernel [I, O], bias [O] -> [O]."""
    vector, kernel, bias = float64(vector), float64(kernel), float64(bias)
    outputs = np.zeros(len(bias))
    for o in range(len(bias)):
        total = bias[o]
        for i in range(len(vector)):
            total += vector[i] * kernel[i, o]
        outputs[o] = total
    return outputs


def softmax(values):
    """exp(v_c) / sum_c' exp(v_c'), shifted by the maximum: [N] -> [N]."""
    values = float64(values)
    largest = max(values)
    exponentials = [math.exp(value - largest) for value in values]
    total = sum(exponentials)
    return float64([exponential / total for exponential in exponentials])
