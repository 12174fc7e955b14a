"""Milliseconds from a video's activation sequences to its segments.

    python -m benchmarks.localization

White noise crosses every threshold at every other snippet: the worst case.
Smooth sequences are noise averaged over about ten snippets.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from tfwstal.method.localization import localize_video
from tfwstal.method.options import LocalizationSettings


def main():
    """Prints a line for each kind of sequence and number of classes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--snippets", type=int, default=750)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--thresholds", type=int, default=33)
    parser.add_argument("--repeats", type=int, default=50)
    sizes = parser.parse_args()
    eta = tuple(np.linspace(0.1, 0.9, sizes.thresholds).round(4).tolist())
    settings = LocalizationSettings(alpha=0.1, eta=eta)

    @tf.function
    def localize(activation, attention, scores):
        return localize_video(activation, attention, scores, settings)

    cases = {
        (kind, kept): _video(kind, kept, sizes)
        for kind in ("smooth", "white noise")
        for kept in (2, sizes.classes)
    }
    milliseconds = {case: [] for case in cases}
    found = {}
    for turn in range(sizes.repeats + 3):  # the first three are a warm-up
        for case, video in cases.items():
            begin = time.perf_counter()
            segments = localize(*video)[0].numpy()
            if turn >= 3:
                milliseconds[case].append(1e3 * (time.perf_counter() - begin))
            found[case] = len(segments)
    print(
        f"{sizes.snippets} snippets, {sizes.classes} classes, "
        f"{sizes.thresholds} thresholds"
    )
    print(f"{'activation':<12} {'kept':>4} {'segments':>9} {'median ms':>10}")
    for (kind, kept), values in milliseconds.items():
        print(
            f"{kind:<12} {kept:4} {found[kind, kept]:9} "
            f"{statistics.median(values):10.1f}"
        )


def _video(kind, kept, sizes):
    """Activation [T, C+1], attention [T], video scores [C+1] as tensors."""
    rng = np.random.default_rng(0)
    sequences = rng.random((sizes.snippets, sizes.classes + 2))
    if kind == "smooth":
        window = np.hanning(22) / np.hanning(22).sum()
        sequences = np.stack(
            [np.convolve(s, window, mode="same") for s in sequences.T], axis=1
        )
        sequences -= sequences.min(axis=0)
        sequences /= sequences.max(axis=0)
    scores = np.zeros(sizes.classes + 1)
    scores[1 : kept + 1] = 0.5
    return [
        tf.constant(part, tf.float32)
        for part in (sequences[:, :-1], sequences[:, -1], scores)
    ]


if __name__ == "__main__":
    main()
