"""Makes the optimizers of Keras and tensorflow-addons; averages of weights.

tensorflow-addons (see `keras_versions`) builds on the older classes of
keras.optimizers.legacy, and some of its optimizers wrap another one.
"""

import contextlib
import inspect
import re
import warnings

import keras
import numpy as np
import tensorflow as tf

from tfwstal.errors import InputError

# The optimizers of tensorflow-addons, and alternatives in Keras 3.
ADDONS = {
    "AdaBelief": "AdamW, Lion",
    "COCOB": "ScheduleFreeAdamW",
    "ConditionalGradient": "SGD with --clip_norm",
    "LAMB": "Lamb",
    "LazyAdam": "Adam",
    "Lookahead": "--ema=0.999 with any",
    "MovingAverage": "--ema=0.999 with any",
    "NovoGrad": "Lion",
    "ProximalAdagrad": "Adagrad",
    "RectifiedAdam": "AdamW, Lion",
    "SGDW": "SGD with --weight_decay",
    "SWA": "--ema=0.999 with any",
    "Yogi": "AdamW, Lion",
}
WRAPPERS = ("Lookahead", "MovingAverage", "SWA")
# It reads the rate as a number, where the others also take a schedule.
_CONSTANT_RATE = "conditionalgradient"


def make_optimizer(
    name,
    learning_rate,
    weight_decay=0.0,
    clip_norm=0.0,
    ema=0.0,
    warmup_steps=0,
):
    """Makes an optimizer of Keras or of tensorflow-addons by name.

    Args:
        name: class name in any case, such as "adam" or "RectifiedAdam".
            WRAPPERS wrap Adam, or the optimizer in brackets, as in
            "Lookahead(RectifiedAdam)".
        learning_rate: step size.
        weight_decay: decoupled weight decay; 0 for none.
        clip_norm: upper limit of the norm of all gradients together; 0 for
            none.
        ema: momentum of the moving average of the weights; 0 for none.
        warmup_steps: steps over which the rate rises; 0 for none.

    Raises:
        InputError: if the name is unknown, or the optimizer does not have an
            option that is given.
    """
    outer, inner = _parts(name)
    decay = {"weight_decay": weight_decay}
    if warmup_steps > 1:
        if _CONSTANT_RATE in (outer, inner):
            raise InputError(
                f"--optimizer={name} takes no rate that rises; give "
                "--rate_warmup_epochs=0"
            )
        # Adam's first steps move every weight by about the learning rate,
        # even if its gradient is small or noisy. A linear rise.
        learning_rate = keras.optimizers.schedules.PolynomialDecay(
            learning_rate / warmup_steps, warmup_steps - 1, learning_rate
        )
    rate = {"learning_rate": learning_rate}
    clip = {"global_clipnorm": clip_norm} if clip_norm else {}
    known = _classes(keras.optimizers)
    if outer in known:
        average = {"use_ema": True, "ema_momentum": ema} if ema else {}
        return _made(name, known[outer], rate | clip | average | decay)

    known = _addons(name, outer)
    if ema:
        raise InputError(
            f"--ema is for optimizers of Keras, and --optimizer={name} is from "
            "tensorflow-addons; use its MovingAverage(...) instead"
        )

    if not inner:
        return _made(name, known[outer], rate | clip | decay)
    # The wrapper clips the gradients, the wrapped optimizer updates.
    wrapped = _made(name, known[inner], rate | decay)
    return known[outer](wrapped, **clip)


def use_averages(model):
    """Sets the weights to their averages, if the optimizer keeps averages.

    Keras does this for its own optimizers when `fit` ends.
    """
    optimizer = model.optimizer
    if not _averages(optimizer):
        return
    # With several devices, each has its own count.
    if not int(tf.convert_to_tensor(optimizer.iterations)):
        return
    if hasattr(optimizer, "assign_average_vars"):
        optimizer.assign_average_vars(model.trainable_variables)
    else:
        optimizer.finalize_variable_values(model.trainable_variables)


@contextlib.contextmanager
def averaged(model):
    """In this block the model has its averaged weights, if there are any."""
    if not _averages(getattr(model, "optimizer", None)):
        yield
        return
    variables = model.trainable_variables
    before = [np.asarray(variable) for variable in variables]
    use_averages(model)
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _averages(optimizer):
    """Whether an optimizer keeps averages of the weights."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return hasattr(optimizer, "assign_average_vars") or bool(
        getattr(optimizer, "use_ema", False)
    )


def _parts(name):
    """Lower-case names of an optimizer and of the wrapped one, or ""."""
    found = re.fullmatch(r"(\w+)(?:\((\w+)\))?", name.strip().lower())
    outer, inner = found.groups("") if found else (name.lower(), "")
    wrappers = [wrapper.lower() for wrapper in WRAPPERS]
    if inner and (outer not in wrappers or inner in wrappers):
        raise InputError(
            f"--optimizer={name}: only {', '.join(WRAPPERS)} wrap another "
            "optimizer, which cannot be one of them, as in "
            "Lookahead(RectifiedAdam)"
        )
    return outer, inner or "adam" * (outer in wrappers)


def _addons(name, outer):
    """dict of the optimizers of tensorflow-addons, and of what they wrap."""
    own = {addon.lower(): addon for addon in ADDONS}
    if outer not in own:
        names = sorted(
            kind.__name__ for kind in _classes(keras.optimizers).values()
        )
        raise InputError(
            f"--optimizer={name} is unknown; choose from {', '.join(names)}, "
            f"or with tensorflow-addons {', '.join(ADDONS)}"
        )
    try:
        with warnings.catch_warnings():  # about its end of life
            warnings.simplefilter("ignore")
            import tensorflow_addons
    # A TensorFlow that is too new for it fails in many ways.
    except Exception:
        raise InputError(
            f"--optimizer={name} needs tensorflow-addons: pip install "
            "'tfwstal[addons]' in an environment with Python 3.10 or 3.11, "
            "which installs TensorFlow 2.15; alternatives in Keras: "
            f"{ADDONS[own[outer]]}"
        ) from None
    return _classes(keras.optimizers.legacy) | {
        lower: getattr(tensorflow_addons.optimizers, addon)
        for lower, addon in {**own, "adamw": "AdamW"}.items()
    }


def _classes(module):
    """dict from lower-case name to each optimizer class of a module."""
    found = {
        name.lower(): kind
        for name, kind in vars(module).items()
        if isinstance(kind, type) and hasattr(kind, "apply_gradients")
    }
    # The base class, and optimizers that are made from other optimizers.
    for name in ("optimizer", "lossscaleoptimizer", "multioptimizer"):
        found.pop(name, None)
    return found


def _made(name, kind, arguments):
    """Makes an optimizer; `weight_decay` 0 overrides the class's default."""
    decay = arguments.pop("weight_decay")
    parameters = inspect.signature(kind).parameters.values()
    for parameter in parameters:  # Muon has two
        if parameter.name.endswith("weight_decay"):
            if decay or parameter.default not in (None, 0.0):
                arguments[parameter.name] = decay
    if decay and "weight_decay" not in arguments:
        raise InputError(
            f"--optimizer={name} does not have --weight_decay; choose another"
        )
    try:
        return kind(**arguments)
    except TypeError:
        raise InputError(
            f"--optimizer={name} needs more arguments than "
            f"{' and '.join(arguments)}; choose another"
        ) from None
