"""The share of a training step that is spent waiting for input.

    python -m benchmarks.input_pipeline

Writes a temporary set of records and measures seconds a batch: of reading
alone, of the step alone on batches held in memory, and of training with both.
What training takes longer than the step is the cost of input, be it waiting
or cores that reading keeps busy. XLA is off. Each round measures all three;
the table has medians over the rounds.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

import tfwstal
from tfwstal import dataset, dataset_info, schema

_SHARDS = 4


def main():
    """Writes the set, measures and prints the table."""
    sizes = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        info, lengths = write_records(pathlib.Path(folder), sizes)
        rows = _measure(info, folder, sizes)
    alone, step, both, waiting = map(statistics.median, zip(*rows, strict=True))
    share = statistics.median(1 - row[1] / row[2] for row in rows)
    direct = statistics.median(row[3] / row[2] for row in rows)
    print(
        f"{sizes.videos} videos of {lengths.min()} to {lengths.max()} "
        f"snippets, median {np.median(lengths):.0f}; "
        f"{4 * lengths.sum() * sizes.features / 2**20:.0f} MiB\n"
        "seconds a batch, median of the rounds\n"
        f"  reading alone                 {alone:7.3f}\n"
        f"  step alone                    {step:7.3f}\n"
        f"  both                          {both:7.3f}\n"
        f"  both, waiting for a batch     {waiting:7.3f}\n"
        f"(both - step) / both            {100 * share:6.1f} %\n"
        f"waiting for a batch / both      {100 * direct:6.1f} %"
    )


def write_records(folder, sizes):
    """Writes shards of random videos.

    Lengths are log-normal, spread as those of THUMOS-14's validation videos.

    Returns:
        DatasetInfo, and the lengths.
    """
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(np.log(220), 0.9, sizes.videos)
    lengths = lengths.astype(int).clip(14, 2200)
    classes = tuple(f"action_{i + 1}" for i in range(sizes.classes))
    shards = []
    for number, members in enumerate(np.array_split(lengths, _SHARDS)):
        name = dataset_info.shard_name("set", "train", number, _SHARDS)
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for index, length in enumerate(members):
                label = int(rng.integers(sizes.classes)) + 1
                video = schema.VideoRecord(
                    video_id=f"video_{number}_{index}",
                    features=rng.random((length, sizes.features), np.float32),
                    labels=(classes[label - 1],),
                    label_indices=(label,),
                    segments=(),
                    duration=None,
                    fps=25.0,
                    frames_per_snippet=16,
                )
                writer.write(schema.encode(video))
        size = (folder / name).stat().st_size
        shards.append(dataset_info.Shard(name, len(members), size))
    info = dataset_info.DatasetInfo(
        "set",
        classes,
        sizes.features,
        "float32",
        25.0,
        16,
        {"train": tuple(shards)},
        {},
    )
    info.write(folder)
    return info, lengths


def _measure(info, folder, sizes):
    """(reading, step, both, waiting) in seconds a batch, for each round."""
    model = tfwstal.TwoStreamLocalizer(sizes.classes, sizes.features)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=False)
    train_step = tf.function(model.train_step, reduce_retracing=True)

    def step(batch):
        float(train_step(batch)["loss"])

    def run(use):
        """Seconds in all and waiting of an epoch that follows another."""
        batches = dataset.training_batches(
            info,
            folder,
            num_snippets=sizes.snippets,
            batch_size=sizes.batch,
            seed=0,
            epochs=2,
            repeat=False,
            static=False,
        )
        stream = iter(batches)
        for _ in range(count):
            next(stream)
        begin, waited = time.perf_counter(), 0.0
        for _ in range(count):
            asked = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - asked
            use(batch)
        return (time.perf_counter() - begin) / count, waited / count

    count = dataset.steps_per_epoch(info, sizes.batch)
    held = []
    run(held.append)
    for batch in (held[0], held[1], held[-1]):  # the last is smaller
        step(batch)
    rows = []
    for _ in range(sizes.rounds):
        reading, _ = run(lambda batch: None)
        begin = time.perf_counter()
        for batch in held:
            step(batch)
        alone = (time.perf_counter() - begin) / count
        rows.append((reading, alone, *run(step)))
    return rows


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--snippets", type=int, default=750)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
