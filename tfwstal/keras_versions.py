"""What differs between Keras 3 and Keras 2.15, the lane of tensorflow-addons.

tensorflow-addons reached its end of life in 2024 and imports with TensorFlow
2.15 at the latest, whose Keras is 2.15. The rest of the package uses what both
have.
"""

import contextlib

import keras


def scale_loss(optimizer, loss):
    """The loss, scaled where the optimizer guards float16 gradients."""
    scale = getattr(optimizer, "scale_loss", None)
    return loss if scale is None else scale(loss)


def dropout(rate):
    """A Dropout layer whose draws follow from variables.

    Keras 2.15 draws from TensorFlow's own generator by default, whose state
    cannot be read.
    """
    if hasattr(keras, "random"):
        return keras.layers.Dropout(rate)
    return keras.layers.Dropout(rate, force_generator=True)


def training_variables(model):
    """All variables that a training step reads or changes, in a fixed order.

    Weights, states of random generators, metrics, and the optimizer's, which
    are created if they are not there yet.
    """
    optimizer = model.optimizer
    variables = list(model.variables)
    if hasattr(optimizer, "build"):
        optimizer.build(model.trainable_variables)
        variables += optimizer.variables
    else:  # tensorflow-addons' optimizers are of an older kind
        optimizer._create_all_weights(model.trainable_variables)
        # Not `variables()`, which leaves out those of what a wrapper wraps.
        variables += optimizer.weights
    for layer in model.submodules if hasattr(model, "submodules") else ():
        generator = getattr(layer, "_random_generator", None)
        if generator is not None:
            variables.append(generator._generator.state)
    for metric in model.metrics:
        variables += metric.variables
    return list({id(variable): variable for variable in variables}.values())


@contextlib.contextmanager
def stored_as_float16():
    """Layers made inside keep weights as float16 and compute in float32.

    Keras's own policies know the reverse alone, mixed_float16.
    """
    if hasattr(keras, "DTypePolicy"):  # Keras 3
        base, module = keras.DTypePolicy, keras.config
        get, put = module.dtype_policy, module.set_dtype_policy
    else:
        base, module = keras.mixed_precision.Policy, keras.mixed_precision
        get, put = module.global_policy, module.set_global_policy

    class StoredAsFloat16(base):
        def _parse_name(self, name):
            return "float32", "float16"  # of computation and of variables

    before = get()
    put(StoredAsFloat16("float32"))
    try:
        yield
    finally:
        put(before)
