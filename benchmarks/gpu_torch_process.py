"""PyTorch's steps of `benchmarks.gpu`, run by another interpreter."""

import pathlib
import subprocess


def steps(arguments):
    """Functions that do a turn in PyTorch.

    Returns:
        dict of functions by (way, precision), and dict of versions.
    """
    found, version = {}, ""
    for precision in arguments.precisions:
        for mode in ("eager", "compiled"):
            step, version = _step(arguments, precision, mode)
            found[f"PyTorch, {mode}", precision] = step
    return found, {"PyTorch": version}


def _step(arguments, precision, mode):
    script = pathlib.Path(__file__).with_name("gpu_torch.py")
    sizes = ("batch", "snippets", "features", "classes", "steps")
    process = subprocess.Popen(
        [arguments.torch_python, str(script)]
        + [str(getattr(arguments, size)) for size in sizes]
        + [precision, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def answer():
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{script}: ended with {process.wait(60)}")
        return line.strip()

    def step():
        process.stdin.write("turn\n")
        process.stdin.flush()
        answer()

    return step, answer()
