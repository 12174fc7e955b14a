"""Milliseconds and videos per second of an exported model, by signature.

    python -m benchmarks.serving [--features=2048 --lengths 100 750 3000]

A model with random weights is exported, loaded with plain TensorFlow and called
with batches of videos of equal length. Its activation sequences are smooth and
cross the thresholds, so that there are detections to localize. The calls are:

- `activations`, only the model, of which only the sum of the scores is read;
- `features`, the model and the localization;
- `serving_default`, the same from records, which are parsed too;
- `features` over gRPC, from a server in another process on this machine. It is
  the tests' Python server: TensorFlow Serving is faster outside the model.

Each round does all of them once; the table has medians over the rounds. The
line below it is the number of functions traced while the lengths changed.
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

import tfwstal
from tfwstal.config import Config
from tfwstal.data import record
from tfwstal.serving import saved_model

_SERVER = """
import sys
sys.path.insert(0, sys.argv[2])
from tests.serving.model_server import ModelServer
with ModelServer(sys.argv[1]) as server:
    print(server.grpc_address, flush=True)
    sys.stdin.read()
"""


def main():
    """Measures each length and batch and prints the table."""
    sizes = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder)
        _export(base / "1", sizes)
        loaded = tf.saved_model.load(str(base / "1"))
        before = _num_functions()
        with _predict(base) as predict:
            _print_table(loaded.signatures, predict, sizes)
        print(f"\nfunctions traced meanwhile: {_num_functions() - before}")


def _print_table(signatures, predict, sizes):
    names = "activations", "features", "serving_default", "features, gRPC"
    print(f"| snippets | batch | found | {' | '.join(names)} | videos/s |")
    print("|---" * (4 + len(names)) + "|")
    for length in sizes.lengths:
        for batch in sizes.batches:
            arrays, records = _inputs(length, batch, sizes.features)
            tensors = {name: tf.constant(a) for name, a in arrays.items()}
            examples = tf.constant(records)
            asked = (
                lambda t=tensors: signatures["activations"](**t),
                lambda t=tensors: signatures["features"](**t),
                lambda e=examples: signatures["serving_default"](examples=e),
                lambda a=arrays: predict(a),
            )
            milliseconds = _medians(asked, sizes.rounds)
            found = signatures["features"](**tensors)["num_detections"]
            cells = " | ".join(f"{value:.1f}" for value in milliseconds)
            print(
                f"| {length} | {batch} | {np.mean(found):.0f} | {cells} | "
                f"{1e3 * batch / milliseconds[1]:.1f} |",
                flush=True,
            )


def _medians(asked, rounds):
    """Median milliseconds of each function; they take turns."""
    milliseconds = [[] for _ in asked]
    for turn in range(rounds + 2):  # the first two are a warm-up
        for function, values in zip(asked, milliseconds, strict=True):
            begin = time.perf_counter()
            function()
            if turn >= 2:
                values.append(1e3 * (time.perf_counter() - begin))
    return [statistics.median(values) for values in milliseconds]


def _export(path, sizes):
    """Writes the SavedModel of a model whose activations rise and fall."""
    keras.utils.set_random_seed(0)
    model = tfwstal.TwoStreamLocalizer(sizes.classes, sizes.features)
    # Every class is somewhere above a threshold and the background.
    kernel, bias = model.classifier.get_weights()
    kernel *= 8 / (kernel.std() * np.sqrt(sizes.features / 3))
    model.classifier.set_weights([kernel, bias])
    saved_model.export(
        model,
        [f"class {index}" for index in range(sizes.classes)],
        Config().localization_settings(),
        0.64,
        path,
    )


def _inputs(length, batch, width):
    """Arrays for `features` and records for `serving_default`."""
    rng = np.random.default_rng(0)
    features = rng.random((batch, length + 9, width), np.float32)
    # Means over ten snippets, with the variance of before.
    total = np.cumsum(features, axis=1, dtype=np.float64)
    total = np.pad(total, [(0, 0), (1, 0), (0, 0)])
    smooth = (total[:, 10:] - total[:, :-10]) / 10
    features = (0.5 + (smooth - 0.5) * np.sqrt(10)).astype(np.float32)
    records = [
        record.encode(
            record.VideoRecord(
                video_id="video",
                features=each,
                labels=(),
                label_indices=(),
                segments=(),
                duration=None,
                fps=25.0,
                frames_per_snippet=16,
            )
        )
        for each in features
    ]
    lengths = np.full(batch, length, np.int32)
    return {"features": features, "num_snippets": lengths}, records


@contextlib.contextmanager
def _predict(base):
    """A function that calls a server in another process over gRPC."""
    from tfwstal.serving import connection

    root = pathlib.Path(__file__).parent.parent
    command = [sys.executable, "-c", _SERVER, str(base), str(root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            address = process.stdout.readline().strip()
            with connection.connect(address, timeout=600.0) as server:
                yield lambda arrays: server.predict("features", arrays)
        finally:
            process.communicate(timeout=60)


def _num_functions():
    """Number of TensorFlow's functions; tracing and compiling add some."""
    return len(context.context().list_function_names())


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[100, 750, 3000]
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
