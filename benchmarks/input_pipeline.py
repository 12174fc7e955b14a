"""Speed of the batches for training, and the time that training waits.

    python -m benchmarks.input_pipeline

Writes a temporary set of records and feeds training from it in three ways:
shards read anew, features in memory as float32, and as float16. The table has,
for each, seconds per batch of the input alone (for features in memory, with the
gathering of rows) and of training, and the shares of that time spent waiting
for the next batch and gathering. For comparison, the step is also measured
alone, on prepared batches, and so is one copy of a full batch in memory, the
limit of any input. XLA is off. All take turns; the table has medians over the
rounds.
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
from tfwstal.data import batches, feature_cache, record
from tfwstal.data.folder import DatasetInfo, Shard, shard_name

_SHARDS = 4
# Ways to feed training: dtype of the features in memory, if any.
_WAYS = {
    "read anew": None,
    "in memory, float32": "float32",
    "in memory, float16": "float16",
}


def main():
    """Writes the set, measures and prints the table."""
    sizes = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        info, lengths = write_records(pathlib.Path(folder), sizes)
        rounds = _measure(info, folder, sizes)
    drawn = lengths.clip(max=sizes.snippets).sum() / len(lengths)
    batch = drawn * sizes.batch * sizes.features * 4 / 1e9  # GB of float32

    def median(name, part):
        return statistics.median(each[name][part] for each in rounds)

    copy, step = (
        statistics.median(each[name] for each in rounds)
        for name in ("copy", "step")
    )
    full = sizes.batch * sizes.snippets * sizes.features * 4 / 1e9
    print(
        f"{sizes.videos} videos of {lengths.min()} to {lengths.max()} "
        f"snippets, median {np.median(lengths):.0f}; "
        f"{4 * lengths.sum() * sizes.features / 2**20:.0f} MiB; a batch has "
        f"{1000 * batch:.0f} MB of features without padding\n"
        f"one copy of {1000 * full:.0f} MB in memory: {full / copy:.1f} GB/s\n"
        f"step alone: {step:.3f} s a batch\n\n"
        "| features | input alone: s a batch | videos/s | GB/s | with the "
        "step: s a batch | waiting % | gathering % |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name in _WAYS:
        alone, both = median(name, "alone"), median(name, "both")
        waited = statistics.median(
            each[name]["waited"] / each[name]["both"] for each in rounds
        )
        gathered = statistics.median(
            each[name]["gathered"] / each[name]["both"] for each in rounds
        )
        print(
            f"| {name} | {alone:.4f} | {sizes.batch / alone:.0f} "
            f"| {batch / alone:.2f} | {both:.3f} | {100 * waited:.2f} "
            f"| {100 * gathered:.2f} |"
        )


def write_records(folder, sizes):
    """Writes shards of random videos.

    Lengths are log-normal, with the spread of THUMOS-14's validation videos.

    Returns:
        DatasetInfo, and the lengths.
    """
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(np.log(220), 0.9, sizes.videos)
    lengths = lengths.astype(int).clip(14, 2200)
    classes = tuple(f"action_{i + 1}" for i in range(sizes.classes))
    shards = []
    for number, members in enumerate(np.array_split(lengths, _SHARDS)):
        name = shard_name("set", "train", number, _SHARDS)
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for index, length in enumerate(members):
                label = int(rng.integers(sizes.classes)) + 1
                video = record.VideoRecord(
                    video_id=f"video_{number}_{index}",
                    features=rng.random((length, sizes.features), np.float32),
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
    """Seconds per batch, a dict for each round."""
    model = tfwstal.TwoStreamLocalizer(sizes.classes, sizes.features)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    train_step = tf.function(model.train_step, reduce_retracing=True)
    count = batches.steps_per_epoch(info, sizes.batch)

    def step(batch):
        float(train_step(batch)["loss"])

    def run(cache, use):
        """Total and waiting seconds per batch, in the second epoch."""
        stream = iter(
            batches.training_batches(
                info,
                folder,
                num_snippets=sizes.snippets,
                batch_size=sizes.batch,
                seed=0,
                epochs=2,
                repeat=False,
                static=False,
                cache=cache,
            )
        )
        for _ in range(count):
            next(stream)
        begin, waited = time.perf_counter(), 0.0
        for _ in range(count):
            asked = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - asked
            use(batch)
        return (time.perf_counter() - begin) / count, waited / count

    caches = {
        name: dtype and feature_cache.load(info, folder, dtype)
        for name, dtype in _WAYS.items()
    }
    held = []
    run(None, held.append)
    for batch in (held[0], held[1], held[-1]):  # the last is smaller
        step(batch)
    whole = np.ones((sizes.batch, sizes.snippets, sizes.features), np.float32)
    target = np.ones_like(whole)
    rounds = []
    for _ in range(sizes.rounds):
        found = {}
        begin = time.perf_counter()
        np.copyto(target, whole)
        found["copy"] = time.perf_counter() - begin
        begin = time.perf_counter()
        for batch in held:
            step(batch)
        found["step"] = (time.perf_counter() - begin) / count
        for name, cache in caches.items():
            gathered = []

            def fill(batch, cache=cache, gathered=gathered):
                if cache is None:
                    return batch
                inputs, actions = batch
                begin = time.perf_counter()
                features = _gather(cache.features, inputs["rows"])
                gathered.append(time.perf_counter() - begin)
                lengths = inputs["num_snippets"]
                return {"features": features, "num_snippets": lengths}, actions

            alone, _ = run(cache, fill)
            gathered.clear()
            both, waited = run(cache, lambda batch: step(fill(batch)))
            found[name] = {
                "alone": alone,
                "both": both,
                "waited": waited,
                "gathered": sum(gathered) / count,
            }
        rounds.append(found)
    return rounds


@tf.function(reduce_retracing=True)
def _gather(features, rows):
    return tf.cast(tf.gather(features, rows), tf.float32)


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
