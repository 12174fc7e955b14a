"""Peak memory of training, for sets of records of different sizes.

    python -m benchmarks.training_memory

For each number of videos, writes a temporary set of random records, with videos
as long as ActivityNet's, and trains one epoch of configs/activitynet13.flags on
it with the command. Linux reports the peak of resident memory of that process.
The features are read anew (--cache_gb=0), as for a set that is larger than the
cache.
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf

from benchmarks import peak_memory
from tfwstal.data import record
from tfwstal.data.folder import DatasetInfo, Shard, shard_name

# Bytes of a shard, as in the converter.
_SHARD = 64 * 2**20


def main():
    """Measures each number of videos and prints the table."""
    sizes = _arguments()
    print("| videos | GB of records | peak RSS MiB | s an epoch, in all |")
    print("|---|---|---|---|")
    for count in sizes.videos:
        with tempfile.TemporaryDirectory(dir=sizes.folder) as folder:
            root = pathlib.Path(folder)
            total = write_records(root / "records", count, sizes)
            begin = time.perf_counter()
            _, peak = peak_memory.run(
                "tfwstal.train",
                [
                    "--flagfile=configs/activitynet13.flags",
                    f"--data_dir={root / 'records'}",
                    f"--run_dir={root / 'run'}",
                    *("--epochs=1", f"--cache_gb={sizes.cache_gb}"),
                ],
            )
            seconds = time.perf_counter() - begin
        print(
            f"| {count} | {total / 1e9:.2f} | {peak / 2**20:.0f} "
            f"| {seconds:.0f} |",
            flush=True,
        )


def write_records(folder, count, sizes):
    """Writes the records and their description; returns their bytes."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    classes = tuple(f"action_{i + 1:03d}" for i in range(200))
    lengths = rng.integers(75, 300, count)
    # Each video is a part of one array of noise, since drawing each would take
    # longer than the rest.
    noise = rng.random((20_000, sizes.features), np.float32)
    noise = noise.astype(sizes.storage_dtype)
    total = int(lengths.sum()) * noise[0].nbytes
    parts = np.array_split(np.arange(count), -(-total // _SHARD))
    shards = []
    for number, members in enumerate(parts):
        name = shard_name("set", "train", number, len(parts))
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for index in members:
                begin = rng.integers(len(noise) - lengths[index])
                label = int(rng.integers(len(classes))) + 1
                video = record.VideoRecord(
                    video_id=f"video_{index:06d}",
                    features=noise[begin : begin + lengths[index]],
                    labels=(classes[label - 1],),
                    label_indices=(label,),
                    segments=(),
                    duration=None,
                    fps=25.0,
                    frames_per_snippet=16,
                )
                writer.write(record.encode(video))
        size = (folder / name).stat().st_size
        shards.append(Shard(name, len(members), size))
    info = DatasetInfo(
        *("set", classes, sizes.features, sizes.storage_dtype, 25.0, 16),
        {"train": tuple(shards)},
        {},
    )
    info.write(folder)
    return sum(shard.num_bytes for shard in shards)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--videos", type=int, nargs="+", default=[1_000, 10_000]
    )
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument(
        "--storage_dtype", choices=("float32", "float16"), default="float16"
    )
    parser.add_argument("--cache_gb", type=float, default=0.0)
    parser.add_argument("--folder", help="where to write; default: TMPDIR")
    return parser.parse_args()


if __name__ == "__main__":
    main()
