"""Random weights for I3D with which no endpoint vanishes or explodes."""

import numpy as np
import tensorflow as tf


def random_values(shapes, seed=0):
    """dict published name -> random float32 array, for a dict of shapes.

    Kernels preserve the scale through a ReLU. All values are random, so that
    tests notice one that is unused or used twice.
    """
    rng = np.random.default_rng(seed)
    values = {}
    for name, shape in shapes.items():
        kind = name.rsplit("/", 1)[1]
        if kind == "w":
            scale = np.sqrt(2.0 / np.prod(shape[:-1]))
            value = rng.normal(0, scale, shape)
        elif kind == "moving_variance":
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        values[name] = value.astype(np.float32)
    return values


def randomize(model, seed=0):
    """Assigns random values to an I3D's variables; returns it."""
    variables = model.published_variables()
    shapes = {name: variable.shape for name, variable in variables.items()}
    for name, value in random_values(shapes, seed).items():
        variables[name].assign(value)
    return model


def write_checkpoint(prefix, values):
    """Writes a TensorFlow checkpoint with exactly these names and values."""
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(values[name]) for name in names],
    )


class Mean:
    """A quick network: the mean of each channel, 1024 wide."""

    def __init__(self, channels):
        self.channels = channels

    def __call__(self, clips):
        means = tf.reduce_mean(clips, axis=(1, 2, 3))
        return tf.tile(means, [1, 512])[:, :1024]
