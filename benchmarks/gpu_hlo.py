"""Runs the HLO of `benchmarks.gpu --dump` with jaxlib, without TensorFlow.

Tested with jax and jaxlib 0.10.2 (`pip install 'jax==0.10.2'`, for a GPU
`'jax[cuda13]==0.10.2'`). Compiling serialized HLO is not a public interface of
jaxlib and changes between versions.
"""

import pathlib
import re

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax._src.lib import xla_client
from jaxlib import _jax

jax.config.update("jax_enable_x64", True)  # the step counter is int64


def steps(arguments):
    """Like `gpu_tensorflow.steps`; also prints the difference to TensorFlow."""
    found, products = {}, {}
    for precision in arguments.precisions:
        path = pathlib.Path(arguments.hlo) / f"{precision}.hlo"
        program = Program(path.read_bytes())
        if path.with_suffix(".npz").exists():
            print(f"{precision}: {_difference(program, path)}")
        found["HLO by jaxlib", precision] = program.repeated(
            arguments.snippets, arguments.steps
        )
        products["matrices, jax", precision] = _product(
            arguments.matrix, precision, arguments.steps
        )
    device = jax.local_devices()[0]
    versions = {"jaxlib": jaxlib.__version__, "device": device.device_kind}
    return found, products, versions


class Program:
    """A compiled training step.

    Args:
        hlo: bytes of an HloModuleProto.
    """

    def __init__(self, hlo):
        computation = xla_client.XlaComputation(hlo)
        self.shapes = [
            (shape.dimensions(), shape.numpy_dtype())
            for shape in computation.program_shape().parameter_shapes()
        ]
        # Input whose next value an output is: "{7}: (3, {}, may-alias)"
        self.next_of = {
            int(output): int(number)
            for output, number in re.findall(
                r"\{(\d+)\}: \((\d+), \{\}, \w+-alias\)",
                computation.as_hlo_text().partition("\n")[0],
            )
        }
        self._device = jax.local_devices()[0]
        self._run = self._device.client.compile_and_load(
            _jax.mlir.xla_computation_to_mlir_module(computation),
            _jax.DeviceList((self._device,)),
            _jax.CompileOptions(),
        )

    def put(self, values):
        """Copies arrays to the device."""
        return [jax.device_put(value, self._device) for value in values]

    def step(self, inputs):
        """Outputs of one step, which reuse the memory of its inputs."""
        outputs = self._run.execute_sharded(inputs)
        return [
            shards[0]
            for shards in outputs.disassemble_into_single_device_arrays()
        ]

    def repeated(self, snippets, count):
        """A function that does `count` successive steps."""
        inputs = self.put(self._random(snippets))

        def repeated():
            for _ in range(count):
                outputs = self.step(inputs)
                for output, number in self.next_of.items():
                    inputs[number] = outputs[output]
            jax.block_until_ready(outputs)

        return repeated

    def _random(self, snippets):
        rng = np.random.default_rng(0)
        for dimensions, dtype in self.shapes:
            if dtype.kind != "f" and dimensions:  # lengths, dropout states
                yield np.full(dimensions, snippets, dtype)
            elif not dimensions:  # counters, means, the learning rate
                yield np.asarray(1e-4 if dtype.kind == "f" else 1, dtype)
            else:  # features, labels, weights, moments
                scale = 1.0 if len(dimensions) == 3 else 0.01
                yield (scale * rng.random(dimensions)).astype(dtype)


def _difference(program, path):
    """Difference of a step to TensorFlow's, with TensorFlow's inputs."""
    with np.load(path.with_suffix(".npz")) as saved:
        saved = dict(saved)
    inputs = [saved[f"in_{i}"] for i in range(len(program.shapes))]
    outputs = program.step(program.put(inputs))
    worst, count = 0.0, 0
    for i, output in enumerate(outputs):
        number = program.next_of.get(i)
        name = f"result_{i}" if number is None else f"after_{number}"
        value, expected = np.asarray(output), saved[name]
        if value.shape != expected.shape or value.dtype != expected.dtype:
            raise SystemExit(f"{path}: output {i} is no {name}")
        if value.dtype.kind != "f":
            assert (value == expected).all(), name
            continue
        largest = max(float(np.abs(expected).max()), 1e-30)
        worst = max(worst, float(np.abs(value - expected).max()) / largest)
        count += 1
    moved = sum(
        not np.array_equal(saved[f"after_{number}"], saved[f"in_{number}"])
        for number in program.next_of.values()
    )
    return (
        f"{count} results and variables, of which the step moved {moved}, "
        f"differ from TensorFlow's by {worst:.1e} of an array's largest value "
        "at most"
    )


def _product(size, precision, count):
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    exact = "highest" if precision == "float32" else "default"
    one, other = (
        jax.random.uniform(jax.random.key(i), (size, size)).astype(dtype)
        for i in range(2)
    )
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=exact))

    def repeated():
        for _ in range(count):
            result = product(one, other)
        result.block_until_ready()

    return repeated
