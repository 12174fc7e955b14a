"""Differences between Keras 3 and Keras 2.15, which tensorflow-addons needs.

tensorflow-addons reached its end of life in 2024 and works with TensorFlow
2.15 or older, which brings Keras 2.15. The rest of the package uses what both
versions of Keras have.
"""

import keras
import tensorflow as tf

KERAS_3 = hasattr(keras, "DTypePolicy")


def scale_loss(optimizer, loss):
    """The loss, scaled if the optimizer scales it for float16 gradients."""
    scale = getattr(optimizer, "scale_loss", None)
    return loss if scale is None else scale(loss)


def gradient_norm(optimizer, gradients):
    """Norm of all gradients together, without the scale of `scale_loss`.

    Returns:
        the norm and its weight in the mean, 1.0. For a step that the
        optimizer skips, because its scaled gradients overflow float16, both
        are 0.0. A step that overflows at a scale of 1 or less is not skipped.
    """
    norm = tf.linalg.global_norm(gradients)
    if not hasattr(optimizer, "initial_scale"):
        return norm / (
            getattr(optimizer, "loss_scale_factor", None) or 1.0
        ), 1.0
    scale = tf.convert_to_tensor(
        getattr(optimizer, "dynamic_scale", optimizer.initial_scale)
    )
    counts = tf.math.is_finite(norm) | (scale <= 1.0)
    return tf.where(counts, norm / scale, 0.0), tf.cast(counts, tf.float32)


def dtype_policy(layer):
    """The dtype policy of a layer, to pass to its inner layers."""
    return getattr(layer, "dtype_policy", None) or layer._dtype_policy


def dropout(rate, policy):
    """A Dropout layer whose random state is a variable.

    By default Keras 2.15 draws from TensorFlow's own generator, whose state
    cannot be read.
    """
    if KERAS_3:
        return keras.layers.Dropout(rate, dtype=policy)
    return keras.layers.Dropout(rate, dtype=policy, force_generator=True)


def build_optimizer(model):
    """Creates the optimizer's variables if they do not exist.

    A training step that creates them would be traced twice.

    Returns:
        the variables.
    """
    optimizer = model.optimizer
    if hasattr(optimizer, "build"):
        # Keras 3's LossScaleOptimizer would create new ones each time.
        if not getattr(optimizer, "built", False):
            optimizer.build(model.trainable_variables)
        return optimizer.variables
    # The optimizers of tensorflow-addons have an older base class. Their
    # `variables()` leaves out the variables of a wrapped optimizer.
    optimizer._create_all_weights(model.trainable_variables)
    return optimizer.weights


def training_variables(model):
    """All variables that a training step reads or changes, in a fixed order.

    Weights, states of random generators, metrics, and the optimizer's.
    """
    variables = [*model.variables, *build_optimizer(model)]
    for layer in model.submodules if hasattr(model, "submodules") else ():
        generator = getattr(layer, "_random_generator", None)
        if generator is not None:
            variables.append(generator._generator.state)
    for metric in model.metrics:
        variables += metric.variables
    return list({id(variable): variable for variable in variables}.values())
