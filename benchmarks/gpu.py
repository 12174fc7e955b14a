"""Training step on a GPU, compared with PyTorch and the GPU's own rate.

    python -m benchmarks.gpu --torch_python=PYTHON --json=gpu.json

measures, in turns, one `train_step` of the published network in TensorFlow,
XLA off and on; the step of the same network in PyTorch, eager and compiled; and
the product of two large matrices, which gives the rate that the GPU reaches.
All are in float32, tf32 (float32 with products rounded to 10 bits) and bfloat16
(policy mixed_bfloat16). A step includes the forward pass, Eq. 8, gradients and
Adam.

If TensorFlow cannot be installed on the machine with the GPU, its compiled step
can run there:

    python -m benchmarks.gpu --dump=steps

writes the HLO of each precision, and on the other machine, with only jax,

    python -m benchmarks.gpu --hlo=steps --torch_python=PYTHON

compiles and runs it with random inputs. With `--check`, a dump also has the
inputs and outputs of one step on the CPU, which the other machine compares with
its own. The table states the way of each figure.

GFLOP/s counts only the convolution of the residual block, as in
`benchmarks.training_step`.
"""

import argparse
import json
import pathlib
import platform
import statistics

from benchmarks.turns import take_turns

PRECISIONS = ("float32", "tf32", "bfloat16")


def main(argv=None):
    """Measures, prints the table and writes the JSON; or dumps."""
    arguments = _arguments(argv)
    # Imported only where needed: the other machine may lack them.
    if arguments.dump:
        from benchmarks import gpu_tensorflow

        gpu_tensorflow.dump(arguments)
        return None
    if arguments.hlo:
        from benchmarks import gpu_hlo as ours
    else:
        from benchmarks import gpu_tensorflow as ours
    steps, products, versions = ours.steps(arguments)
    if arguments.torch_python:
        from benchmarks import gpu_torch_process

        more, torch = gpu_torch_process.steps(arguments)
        steps, versions = steps | more, versions | torch
    seconds = take_turns({**steps, **products}, arguments.repeats)
    result = {
        "sizes": {
            name: getattr(arguments, name)
            for name in ("batch", "snippets", "features", "classes", "matrix")
        },
        "machine": platform.processor() or platform.machine(),
        "versions": versions,
        "rows": rows(arguments, seconds, products),
    }
    print(table(result))
    if arguments.json:
        text = json.dumps(result, indent=1)
        pathlib.Path(arguments.json).write_text(text + "\n", encoding="utf-8")
    return result


def rows(arguments, seconds, products):
    """The rows of the table, one dict each.

    Args:
        arguments: of the command.
        seconds: dict from (way, precision) to a list of seconds, one per turn.
        products: those of its keys that are products of matrices.
    """
    b, t, d = arguments.batch, arguments.snippets, arguments.features
    step = 2 * (2 * b * t * 3 * d * d) / 1e9  # forward, and weights' gradient
    product = 2 * arguments.matrix**3 / 1e9
    best, found = {}, []
    for (way, precision), values in seconds.items():
        gigaflop = product if (way, precision) in products else step
        # A turn has several steps.
        median = statistics.median(values) / arguments.steps
        rate = gigaflop / median
        if (way, precision) in products:
            best[precision] = max(rate, best.get(precision, 0.0))
        found.append(
            {
                "way": way,
                "precision": precision,
                "median_ms": 1e3 * median,
                "least_ms": 1e3 * min(values) / arguments.steps,
                "gflop_per_s": rate,
            }
        )
    for row in found:
        if row["precision"] in best:
            share = row["gflop_per_s"] / best[row["precision"]]
            row["to_matrix_rate"] = share
    return found


def table(result):
    """The result as Markdown."""
    lines = [
        ", ".join(f"{name} {n}" for name, n in result["sizes"].items()),
        ", ".join(f"{name} {n}" for name, n in result["versions"].items()),
        "",
        "| way | precision | median ms | least ms | GFLOP/s | to matrix rate |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        share = row.get("to_matrix_rate")
        lines.append(
            f"| {row['way']} | {row['precision']} | {row['median_ms']:.2f} | "
            f"{row['least_ms']:.2f} | {row['gflop_per_s']:.3g} | "
            f"{'' if share is None else format(share, '.2f')} |"
        )
    return "\n".join(lines)


def _arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--snippets", type=int, default=750)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument(
        "--matrix", type=int, default=8192, help="rows of the large matrices"
    )
    parser.add_argument("--repeats", type=int, default=10, help="turns")
    parser.add_argument("--steps", type=int, default=10, help="a turn")
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS
    )
    parser.add_argument(
        "--torch_python", help="interpreter that can import torch"
    )
    parser.add_argument("--json", help="file to write")
    parser.add_argument("--dump", help="folder for the HLO, then done")
    parser.add_argument(
        "--check", action="store_true", help="dump the numbers of a step too"
    )
    parser.add_argument("--hlo", help="folder of a dump, run by jaxlib")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
