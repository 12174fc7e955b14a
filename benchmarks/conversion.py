"""Memory and speed of convert, against a plain copy of the same files.

    python -m benchmarks.conversion

For each number of videos a temporary folder of random features, a .npy a
video with as many snippets as ActivityNet's videos have, is copied file by
file and converted by the command in a process of its own. Its peak of resident
memory is what Linux says of that process; with --layout=wtalc the
features are one object array instead. Both read files that were just written,
from memory mostly; each round does both, the table has medians.
"""

import argparse
import pathlib
import shutil
import statistics
import tempfile
import time

import numpy as np

from benchmarks import peak_memory


def main():
    """Measures each number of videos and prints the table."""
    sizes = _arguments()
    print("| videos | MB | peak RSS MiB | convert MB/s | copy MB/s |")
    print("|---|---|---|---|---|")
    for count in sizes.videos:
        with tempfile.TemporaryDirectory(dir=sizes.folder) as folder:
            root = pathlib.Path(folder)
            total = write_features(root / "raw", count, sizes)
            rows = [_measure(root, sizes) for _ in range(sizes.rounds)]
        peak, copying, converting = map(
            statistics.median, zip(*rows, strict=True)
        )
        print(
            f"| {count} | {total / 1e6:.0f} | {peak / 2**20:.0f} | "
            f"{total / 1e6 / converting:.0f} | {total / 1e6 / copying:.0f} |",
            flush=True,
        )


def write_features(folder, count, sizes):
    """Writes the features and their annotations; returns bytes."""
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


def _measure(root, sizes):
    """Peak of resident memory in bytes; seconds of copying and converting."""
    begin = time.perf_counter()
    shutil.copytree(root / "raw", root / "copy")
    copying = time.perf_counter() - begin
    shutil.rmtree(root / "copy")
    lines, peak = peak_memory.run(
        "tfrecords_tools.convert",
        [
            f"--features_dir={root / 'raw'}",
            f"--output_dir={root / 'records'}",
            f"--num_workers={sizes.workers}",
        ],
    )
    shutil.rmtree(root / "records")
    # The command's own time, without the import of TensorFlow: "... in 3.2 s:"
    seconds = float(lines[-1].partition(" in ")[2].split()[0])
    return peak, copying, seconds


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--videos", type=int, nargs="+", default=[2_000, 10_000]
    )
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--layout", choices=("folders", "wtalc"), default="folders"
    )
    parser.add_argument("--folder", help="where to write; default: TMPDIR")
    return parser.parse_args()


if __name__ == "__main__":
    main()
