"""Speed of Eq. 3 with `top_k` and a mask, compared with sorting.

    python -m benchmarks.topk

Medians of forward and backward, in turns. Both give the same numbers.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from tfwstal.method import layers


def main():
    """Prints a line for each of the paper's divisors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--snippets", type=int, default=750)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=200)
    sizes = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (sizes.batch, sizes.snippets, sizes.classes + 1)
    values = tf.constant(rng.normal(size=shape), tf.float32)
    lengths = tf.constant(
        rng.integers(sizes.snippets // 4, sizes.snippets + 1, sizes.batch),
        tf.int32,
    )
    print(f"{list(shape)}, median ms forward and backward")
    print(f"{'sigma':>5} {'top_k':>7} {'sorting':>8} {'ratio':>6}")
    for divisor in (8, 2):
        top_k, sorting = _measure(values, lengths, divisor, sizes.repeats)
        print(f"{divisor:5} {top_k:7.2f} {sorting:8.2f} {sorting / top_k:6.2f}")


def sorted_mean(values, num_snippets, divisor):
    """Eq. 3 by sorting, for comparison with `masked_top_k_mean`."""
    length = values.shape[1]
    valid = tf.sequence_mask(num_snippets, length)[..., tf.newaxis]
    values = tf.where(valid, values, values.dtype.min)
    best = tf.sort(values, axis=1, direction="DESCENDING")
    k = tf.maximum(num_snippets // divisor, 1)
    chosen = tf.sequence_mask(k, length)[..., tf.newaxis]
    total = tf.reduce_sum(tf.where(chosen, best, 0.0), axis=1)
    return total / tf.cast(k, values.dtype)[:, tf.newaxis]


def _measure(values, lengths, divisor, repeats):
    """Milliseconds of both, after checking that they agree."""
    steps = []
    for mean in (layers.masked_top_k_mean, sorted_mean):

        @tf.function
        def step(values, mean=mean):
            with tf.GradientTape() as tape:
                tape.watch(values)
                omega = mean(values, lengths, divisor)
            return omega, tape.gradient(omega, values)

        steps.append(step)
    for one, other in zip(*(step(values) for step in steps), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    milliseconds = ([], [])
    for _ in range(repeats):
        for step, column in zip(steps, milliseconds, strict=True):
            begin = time.perf_counter()
            step(values)[1].numpy()
            column.append(1e3 * (time.perf_counter() - begin))
    return [statistics.median(column) for column in milliseconds]


if __name__ == "__main__":
    main()
