"""Seconds to evaluate synthetic detections.

    python -m benchmarks.evaluation [DETECTIONS [VIDEOS]]

Two sizes are timed: that of STPN's published detections on THUMOS14, and
DETECTIONS (one million) over VIDEOS (5000) and 200 classes, as in ActivityNet.
Before that, if pandas is installed, the first size is also evaluated like in
ActivityNet's kit, with data frames and a loop over rows. Only the computation
is timed, without reading files.
"""

import sys
import time

import numpy as np

try:
    import pandas
except ImportError:
    pandas = None

from tfwstal.evaluation.average_precision import (
    Detections,
    Instances,
    interpolated_average_precision,
    mean_average_precision,
    segment_tiou,
)

_THRESHOLDS = (0.1, 0.2, 0.3, 0.4) + tuple(
    round(0.5 + 0.05 * i, 2) for i in range(10)
)


def main():
    """Prints a line for each size, and the ratio per detection."""
    arguments = [int(argument) for argument in sys.argv[1:3]]
    detections, videos = arguments + [1_000_000, 5000][len(arguments) :]
    sizes = [
        # (name, videos, classes, instances, detections)
        ("STPN on THUMOS14", 210, 20, 3311, 9151),
        ("large", videos, 200, max(videos * 3 // 2, 1), detections),
    ]
    _compare(*sizes[0][1:])
    microseconds = []
    print(f"{len(_THRESHOLDS)} tIoU thresholds")
    for name, *size in sizes:
        seconds, mean_ap = _measure(*size)
        microseconds.append(1e6 * seconds / size[-1])
        print(
            f"{name:<17} {size[0]:>6} videos {size[-1]:>8} detections: "
            f"{seconds:7.2f} s, {microseconds[-1]:5.1f} us a detection, "
            f"mAP at 0.5 {100 * mean_ap[4]:.1f} %"
        )
    ratio = microseconds[1] / microseconds[0]
    print(f"time per detection, large to small: {ratio:.2f}")


def _compare(*size):
    """Prints the time of a loop over data frames and ours."""
    if pandas is None:
        print("pandas is not installed: no comparison")
        return
    truth, found = _draw(*size)
    begin = time.perf_counter()
    expected = _by_data_frames(truth, found)
    theirs = time.perf_counter() - begin
    ours, mean_ap = _measure(*size)
    np.testing.assert_allclose(mean_ap, expected, rtol=1e-9)
    print(
        f"data frames and a loop over rows: {theirs:.2f} s, ours {ours:.3f} s: "
        f"{theirs / ours:.0f} times as fast, the same mAP"
    )


def _by_data_frames(truth, found):
    """mAP [H] as the kit computes it, class by class and row by row.

    It looks up the instances of a row's video in a group of the data frame,
    and loops over them for every threshold.
    """
    columns = ("video", "label", "start", "end")
    truth = pandas.DataFrame(
        zip(truth.videos, truth.labels, *truth.segments.T, strict=True),
        columns=columns,
    )
    found = pandas.DataFrame(
        zip(
            found.videos,
            found.labels,
            *found.segments.T,
            found.scores,
            strict=True,
        ),
        columns=(*columns, "score"),
    )
    ap = []
    for label, instances in truth.groupby("label"):
        instances = instances.reset_index(drop=True)
        by_video = instances.groupby("video")
        rows = found[found["label"] == label].reset_index(drop=True)
        order = rows["score"].values.argsort()[::-1]
        rows = rows.loc[order].reset_index(drop=True)
        hits = np.zeros((len(_THRESHOLDS), len(rows)), dtype=bool)
        taken = np.zeros((len(_THRESHOLDS), len(instances)), dtype=bool)
        for i, row in rows.iterrows():
            try:
                there = by_video.get_group(row["video"]).reset_index()
            except KeyError:  # false at every threshold
                continue
            tiou = segment_tiou(
                [(row["start"], row["end"])], there[["start", "end"]].values
            )[0]
            for h, threshold in enumerate(_THRESHOLDS):
                for j in tiou.argsort()[::-1]:
                    if tiou[j] < threshold:
                        break
                    if not taken[h, there.loc[j]["index"]]:
                        taken[h, there.loc[j]["index"]] = hits[h, i] = True
                        break
        ap.append(interpolated_average_precision(hits, len(instances)))
    return np.mean(ap, axis=0)


def _measure(videos, classes, instances, detections):
    """Best of three runs in seconds, and mAP [H]."""
    truth, found = _draw(videos, classes, instances, detections)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        result = mean_average_precision(truth, found, _THRESHOLDS)
        seconds.append(time.perf_counter() - begin)
    return min(seconds), result.mean_ap


def _draw(videos, classes, instances, detections):
    """Instances, and detections that are shifted copies of them or noise."""
    rng = np.random.default_rng(0)
    video = rng.integers(videos, size=instances)
    label = rng.integers(classes, size=instances)
    start = rng.uniform(0, 200, instances)
    segments = np.stack([start, start + rng.exponential(5, instances)], axis=1)
    source = rng.integers(instances, size=detections)
    length = segments[source, 1] - segments[source, 0]
    shift = rng.normal(0, 0.3, (detections, 2)) * length[:, None]
    # Half are near an instance, half are anywhere in its video.
    shift[detections // 2 :] += rng.uniform(-100, 100, detections)[
        detections // 2 :, None
    ]
    found = np.sort(segments[source] + shift, axis=1)
    return (
        Instances(_names("v", video), _names("c", label), segments),
        Detections(
            _names("v", video[source]),
            _names("c", label[source]),
            found,
            rng.random(detections) - 0.01 * np.abs(shift).sum(axis=1),
        ),
    )


def _names(prefix, numbers):
    return [f"{prefix}{number}" for number in numbers.tolist()]


if __name__ == "__main__":
    main()
