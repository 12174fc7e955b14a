"""Seconds of one training step, compared with the same step in PyTorch.

    python -m benchmarks.training_step [--torch_python=PYTHON]

XLA off, XLA on and PyTorch take turns, so that other work on the machine slows
all of them; the table has medians. Videos have full length, without padding.

GFLOP/s counts only the convolution of the residual block: 2 B T k D D
floating-point operations forward and as many for the gradient of its weights.
Features are frozen, so the gradient of the input is not computed.

    python -m benchmarks.training_step --torch_python=PYTHON --check

measures nothing, and prints the difference of one step in PyTorch to ours, with
the same weights and batch and without dropout.
"""

import argparse
import pathlib
import statistics
import subprocess

import keras
import numpy as np
import tensorflow as tf

import tfwstal
from benchmarks import training_step_check
from benchmarks.turns import take_turns

_KERNEL_SIZE = 3


def main():
    """Measures and prints the table."""
    arguments = _arguments()
    if arguments.check:
        sizes = ("batch", "snippets", "features", "classes")
        return training_step_check.report(
            training_step_check.differences(
                arguments.torch_python,
                **{size: getattr(arguments, size) for size in sizes},
            )
        )
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    steps = {"XLA off": tensorflow_step(arguments, xla=False)}
    if not arguments.no_xla:
        steps["XLA on"] = tensorflow_step(arguments, xla=True)
    if arguments.torch_python:
        steps["PyTorch"] = torch_step(arguments)
    seconds = take_turns(steps, arguments.repeats)

    b, t, d = arguments.batch, arguments.snippets, arguments.features
    gigaflop = 2 * (2 * b * t * _KERNEL_SIZE * d * d) / 1e9
    print(
        f"[{b}, {t}, {d}], {arguments.classes} classes, "
        f"{arguments.threads} threads, {gigaflop:.0f} GFLOP a step"
    )
    print(f"{'':<8} {'median s':>9} {'least s':>8} {'GFLOP/s':>8}")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"{name:<8} {median:9.2f} {min(values):8.2f} "
            f"{gigaflop / median:8.0f}"
        )
    if "PyTorch" in seconds:
        pairs = zip(seconds["XLA off"], seconds["PyTorch"], strict=True)
        ratio = statistics.median(ours / torch for ours, torch in pairs)
        print(f"XLA off to PyTorch, median over the turns: {ratio:.2f}")


def tensorflow_step(arguments, xla):
    """A function that does one `train_step` of the published model."""
    model = tfwstal.TwoStreamLocalizer(
        arguments.classes, arguments.features, kernel_size=_KERNEL_SIZE
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=xla)
    shape = (arguments.batch, arguments.snippets, arguments.features)
    rng = np.random.default_rng(0)
    actions = np.zeros((arguments.batch, arguments.classes), np.float32)
    actions[:, 0] = 1.0
    data = (
        {
            "features": tf.constant(rng.random(shape, np.float32)),
            "num_snippets": tf.fill([arguments.batch], arguments.snippets),
        },
        tf.constant(actions),
    )
    train_step = tf.function(model.train_step, jit_compile=xla)
    model.optimizer.build(model.trainable_variables)
    # Reading the loss waits for the step.
    return lambda: float(train_step(data)["loss"])


def torch_step(arguments):
    """A function that has another interpreter do one step in PyTorch."""
    script = pathlib.Path(__file__).with_name("training_step_torch.py")
    sizes = ("batch", "snippets", "features", "classes", "threads")
    process = subprocess.Popen(
        [arguments.torch_python, str(script)]
        + [str(getattr(arguments, size)) for size in sizes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def step():
        process.stdin.write("step\n")
        process.stdin.flush()
        if not process.stdout.readline():
            raise SystemExit(f"{script}: ended with {process.wait(60)}")

    return step


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--snippets", type=int, default=750)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no_xla", action="store_true")
    parser.add_argument(
        "--torch_python", help="interpreter that can import torch"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare the steps, then done"
    )
    arguments = parser.parse_args()
    if arguments.check and not arguments.torch_python:
        parser.error("--check needs --torch_python")
    return arguments


if __name__ == "__main__":
    main()
