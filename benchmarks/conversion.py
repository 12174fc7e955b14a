"""Memory and speed of convert, against a plain copy of the same files.

    python -m benchmarks.conversion

For each number of videos, a temporary folder of random features is copied file
by file and converted. It has one .npy per video with as many snippets as
ActivityNet's videos; with --layout=wtalc, one object array. Linux reports the
peak of resident memory of a process of the command.

Both read the files from memory ("cached") and from the disk ("cold": dropped
from the system's cache), and end when the output is on the disk (sync). Each
round does all four; the table has medians.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import statistics
import tempfile
import time

import numpy as np

from benchmarks import peak_memory
from tfrecords_tools import convert
from tfwstal.config import Config


def main():
    """Measures each number of videos and prints the table."""
    sizes = _arguments()
    print(
        "| videos | MB | files | peak RSS MiB | convert MB/s | copy MB/s | "
        "convert to copy, median (least to most) |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in sizes.videos:
        with tempfile.TemporaryDirectory(dir=sizes.folder) as folder:
            root = pathlib.Path(folder)
            total = write_features(root / "raw", count, sizes) / 1e6
            peak = _peak(root, sizes)
            rounds = {"cached": [], "cold": []}
            for turn in range(sizes.rounds + 1):
                for state, rows in rounds.items():
                    row = _measure(root, sizes, state)
                    if turn:  # the first is a warm-up
                        rows.append(row)
        for state, rows in rounds.items():
            copying, converting = map(
                statistics.median, zip(*rows, strict=True)
            )
            ratios = sorted(copy / convert for copy, convert in rows)
            print(
                f"| {count} | {total:.0f} | {state} | {peak / 2**20:.0f} | "
                f"{total / converting:.0f} | {total / copying:.0f} | "
                f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to "
                f"{ratios[-1]:.2f}) |",
                flush=True,
            )


def write_features(folder, count, sizes):
    """Writes the features and their annotations; returns their bytes."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    arrays = (
        rng.random((rng.integers(75, 400), sizes.features), np.float32)
        for _ in range(count)
    )
    names = [f"video_{index:06d}" for index in range(count)]
    if sizes.layout == "wtalc":
        joint = np.empty(count, object)
        joint[:] = list(arrays)
        path = folder / "set-I3D-JOINTFeatures.npy"
        np.save(path, joint, allow_pickle=True)
        labels = np.empty(count, object)
        labels[:] = [["action"]] * count
        (folder / "set-Annotations").mkdir()
        for name, column in {
            "videoname": np.array(names),
            "subset": np.array(["validation"] * count),
            "classlist": np.array(["action"]),
            "labels_all": labels,
        }.items():
            np.save(folder / "set-Annotations" / f"{name}.npy", column)
        return path.stat().st_size
    for name, array in zip(names, arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    rows = "".join(f"{name},action\n" for name in names)
    (folder / "labels.csv").write_text("video_id,labels\n" + rows)
    return sum(path.stat().st_size for path in folder.glob("*.npy"))


def _peak(root, sizes):
    """Peak of resident memory of the command, in bytes."""
    _, peak = peak_memory.run(
        "tfrecords_tools.convert",
        [
            f"--features_dir={root / 'raw'}",
            f"--output_dir={root / 'records'}",
            f"--num_workers={sizes.workers}",
        ],
    )
    shutil.rmtree(root / "records")
    return peak


def _measure(root, sizes, state):
    """Seconds to copy and to convert, both with a sync at the end."""
    config = Config(
        features_dir=str(root / "raw"),
        output_dir=str(root / "written"),
        num_workers=sizes.workers,
    )
    seconds = []
    for step in (
        lambda: shutil.copytree(root / "raw", root / "written"),
        lambda: convert.main(config),
    ):
        _prepare(root / "raw", state)
        begin = time.perf_counter()
        with contextlib.redirect_stdout(None):
            step()
        os.sync()
        seconds.append(time.perf_counter() - begin)
        shutil.rmtree(root / "written")
    return seconds


def _prepare(folder, state):
    """Loads all files into the system's cache, or drops them from it."""
    os.sync()
    for path in folder.rglob("*.npy"):
        with open(path, "rb") as file:
            if state == "cached":
                while file.read(2**20):
                    pass
            else:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--videos", type=int, nargs="+", default=[2_000, 10_000]
    )
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument(
        "--layout", choices=("folders", "wtalc"), default="folders"
    )
    parser.add_argument("--folder", help="where to write; default: TMPDIR")
    return parser.parse_args()


if __name__ == "__main__":
    main()
