"""What differs between Keras 3 and Keras 2.15, the lane of tensorflow-addons.

tensorflow-addons reached its end of life in 2024 and imports with TensorFlow
2.15 at the latest, whose Keras is 2.15. The rest of the package uses what both
have.
"""

import keras
import tensorflow as tf

from tfwstal.errors import InputError

KERAS_3 = hasattr(keras, "DTypePolicy")


def scale_loss(optimizer, loss):
    """The loss, scaled where the optimizer guards float16 gradients."""
    scale = getattr(optimizer, "scale_loss", None)
    return loss if scale is None else scale(loss)


def gradient_norm(optimizer, gradients):
    """Norm of all gradients together, without the scale of `scale_loss`.

    Returns:
        the norm and 1.0, or of a step that the optimizer passes over because
        its scaled gradients overflow float16, zero and 0.0. A step that
        overflows without any scale is none of these.
    """
    norm = tf.linalg.global_norm(gradients)
    if not hasattr(optimizer, "initial_scale"):
        return norm, 1.0
    scale = tf.convert_to_tensor(
        getattr(optimizer, "dynamic_scale", optimizer.initial_scale)
    )
    counts = tf.math.is_finite(norm) | (scale <= 1.0)
    return tf.where(counts, norm / scale, 0.0), tf.cast(counts, tf.float32)


def check_precision(policy):
    """Raises InputError for a policy that this Keras cannot train with.

    Keras 2.15 scales losses by other methods than Keras 3.
    """
    if policy == "mixed_float16" and not KERAS_3:
        raise InputError(
            "--precision=mixed_float16 needs Keras 3; mixed_bfloat16 does not"
        )


def dtype_policy(layer):
    """The policy of a layer, to be given to those inside of it."""
    return getattr(layer, "dtype_policy", None) or layer._dtype_policy


def dropout(rate, policy):
    """A Dropout layer whose draws follow from variables.

    Keras 2.15 draws from TensorFlow's own generator by default, whose state
    cannot be read.
    """
    if KERAS_3:
        return keras.layers.Dropout(rate, dtype=policy)
    return keras.layers.Dropout(rate, dtype=policy, force_generator=True)


def build_optimizer(model):
    """Creates the optimizer's variables, if they are not there yet.

    A step that creates them is traced twice.

    Returns:
        the variables.
    """
    optimizer = model.optimizer
    if hasattr(optimizer, "build"):
        # Keras 3's LossScaleOptimizer would make new ones each time.
        if not getattr(optimizer, "built", False):
            optimizer.build(model.trainable_variables)
        return optimizer.variables
    # tensorflow-addons' optimizers are of an older kind. Their `variables()`
    # leaves out those of what a wrapper wraps.
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
