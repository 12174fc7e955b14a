"""The steps of `benchmarks.gpu` in TensorFlow, and their HLO."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

import tfwstal

_POLICIES = {
    "float32": "float32",
    "tf32": "float32",
    "bfloat16": "mixed_bfloat16",
}


def steps(arguments):
    """Functions that do `arguments.steps` steps and wait for them.

    Returns:
        dict of steps by (way, precision); the same for products of matrices;
        dict of versions.
    """
    for device in tf.config.list_physical_devices("GPU"):
        # PyTorch needs memory in the same run.
        tf.config.experimental.set_memory_growth(device, True)
    found, products = {}, {}
    for precision in arguments.precisions:
        for xla in (False, True):
            way = f"TensorFlow, XLA {'on' if xla else 'off'}"
            found[way, precision] = _repeated(
                _training_step(arguments, precision, xla),
                arguments.steps,
                precision,
            )
        products["matrices, TensorFlow", precision] = _repeated(
            _product(arguments.matrix, precision), arguments.steps, precision
        )
    return found, products, {"TensorFlow": tf.__version__, **_devices()}


def dump(arguments):
    """Writes FOLDER/PRECISION.hlo, a serialized HloModuleProto each.

    With `arguments.check`, also writes PRECISION.npz, the inputs and outputs of
    one step on the CPU, in the order of the HLO.
    """
    folder = pathlib.Path(arguments.dump)
    folder.mkdir(parents=True, exist_ok=True)
    for precision in arguments.precisions:
        _round_products(precision)
        step, data = _training_step(arguments, precision, xla=True)
        hlo = step.experimental_get_compiler_ir(*data)(stage="hlo_serialized")
        (folder / f"{precision}.hlo").write_bytes(hlo)
        print(f"{folder / precision}.hlo: {len(hlo)} bytes")
        if arguments.check:
            np.savez(folder / f"{precision}.npz", **_one_step(step, data))


def _one_step(step, data):
    """Inputs and outputs of a step by number, such as in_3, out_0.

    HLO takes the arguments, then the variables in the order of their capture.
    It returns the results in the order of their names, then the variables that
    it writes, in the order of the inputs.
    """
    concrete = step.get_concrete_function(*data)
    variables = {id(each.handle): each for each in concrete.variables}
    captured = [variables[id(each)] for each in concrete.captured_inputs]
    before = [np.asarray(each) for each in (*data, *captured)]
    results = step(*data)
    outputs = [np.asarray(value) for value in tf.nest.flatten(results)]
    after = [np.asarray(each) for each in captured]
    return (
        {f"in_{i}": value for i, value in enumerate(before)}
        | {f"result_{i}": value for i, value in enumerate(outputs)}
        | {f"after_{len(data) + i}": value for i, value in enumerate(after)}
    )


def _training_step(arguments, precision, xla):
    """tf.function of one step, and its arguments."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        keras.utils.set_random_seed(0)
        model = tfwstal.TwoStreamLocalizer(
            arguments.classes, arguments.features
        )
        model.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=xla)
        model.optimizer.build(model.trainable_variables)
    finally:
        keras.config.set_dtype_policy(policy)
    rng = np.random.default_rng(0)
    shape = (arguments.batch, arguments.snippets, arguments.features)
    actions = np.zeros((arguments.batch, arguments.classes), np.float32)
    actions[:, 0] = 1.0
    data = (
        tf.constant(rng.random(shape, np.float32)),
        tf.fill([arguments.batch], arguments.snippets),
        tf.constant(actions),
    )

    @tf.function(jit_compile=xla)
    def step(features, num_snippets, actions):
        inputs = {"features": features, "num_snippets": num_snippets}
        return model.train_step((inputs, actions))

    return step, data


def _product(size, precision):
    """tf.function of a product of matrices, and its arguments."""
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    one, other = (
        tf.cast(tf.random.stateless_uniform([size, size], [0, i]), dtype)
        for i in range(2)
    )
    return tf.function(tf.linalg.matmul), (one, other)


def _repeated(step_and_data, count, precision):
    """A function that does a step `count` times and waits for the device."""
    step, data = step_and_data

    def repeated():
        _round_products(precision)
        for _ in range(count):
            step(*data)
        tf.test.experimental.sync_devices()

    return repeated


def _round_products(precision):
    """Sets whether TensorFlow may round products of float32."""
    tf.config.experimental.enable_tensor_float_32_execution(
        precision != "float32"
    )


def _devices():
    names = [
        tf.config.experimental.get_device_details(each).get("device_name")
        for each in tf.config.list_physical_devices("GPU")
    ]
    return {"device": " and ".join(map(str, names)) or "CPU"}
