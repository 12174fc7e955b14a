"""Statistics of one video and of a set, as plain numbers for JSON."""

import collections
import hashlib
import math
import statistics

import numpy as np

# T may differ from duration / seconds per snippet by one snippet, which
# extractors drop or pad at the end, and by this fraction, since annotated
# durations are rounded. 24 frames per second in place of 25 differ by 4 %.
TOLERANCE = 0.02
# Segments may end one snippet after the features, for the same reason, and this
# many seconds more, since records hold float32 and microseconds.
_SLACK = 1e-3


def measure(video):
    """Measures one video.

    Args:
        video: videos.Video with features.

    Returns:
        dict for JSON. Times are in seconds; `expected_snippets` is duration /
        seconds per snippet, None without a duration; statistics are over the
        finite values, None if there are none.
    """
    values = video.features
    length, width = values.shape
    seconds = video.seconds_per_snippet
    finite = np.isfinite(values)
    used = values if finite.all() else values[finite]
    # A single snippet is constant if all its values are equal.
    first = values[:1] if length > 1 else values[:, :1]
    content = np.ascontiguousarray(values)
    duration = video.duration
    return {
        "video": video.video_id,
        "split": video.split,
        "labels": list(video.labels),
        "segments": [list(segment) for segment in video.segments],
        "duration": duration,
        "snippets": length,
        "seconds_per_snippet": seconds,
        "expected_snippets": (
            duration / seconds if duration and duration > 0 else None
        ),
        "width": width,
        "values": values.size,
        "nan": int(np.isnan(values).sum()),
        "infinite": int(np.isinf(values).sum()),
        "zeros": int(values.size - np.count_nonzero(values)),
        "min": float(used.min()) if used.size else None,
        "max": float(used.max()) if used.size else None,
        "mean": float(used.mean(dtype=np.float64)) if used.size else None,
        "std": float(used.std(dtype=np.float64)) if used.size else None,
        "constant": bool((values == first).all()),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def summarize(collection, rows, unusable):
    """The report on a set.

    Args:
        collection: videos.Collection.
        rows: from `measure`, of every video with features.
        unusable: (video, problem) of every other video.

    Returns:
        dict for JSON.
    """
    splits = sorted({row["split"] for row in rows})
    # Training comes first.
    splits.sort(key=lambda split: split != "train")
    per_split = {s: [r for r in rows if r["split"] == s] for s in splits}
    ratios = [
        row["snippets"] / row["expected_snippets"]
        for row in rows
        if row["expected_snippets"]
    ]
    lasting = {
        split: [end - start for r in part for start, end, _ in r["segments"]]
        for split, part in per_split.items()
    }
    steps = [row["seconds_per_snippet"] for row in rows]
    return {
        "source": collection.about,
        "seconds_per_snippet": [min(steps), max(steps)] if rows else None,
        "splits": {
            split: {
                "videos": len(part),
                "instances": sum(len(row["segments"]) for row in part),
                "snippets": sum(row["snippets"] for row in part),
                "hours": sum(
                    row["snippets"] * row["seconds_per_snippet"] for row in part
                )
                / 3600,
            }
            for split, part in per_split.items()
        },
        "classes": _classes(collection.classes, per_split),
        "labels_per_video": {
            split: _counts(len(row["labels"]) for row in part)
            for split, part in per_split.items()
        },
        "snippets": _spread(
            {s: [r["snippets"] for r in part] for s, part in per_split.items()},
            1,
        ),
        "instance_seconds": _spread(lasting, 0.5),
        "features": _features(rows),
        "durations": {
            "known": len(ratios),
            "median_ratio": statistics.median(ratios) if ratios else None,
        },
        "findings": find_faults(collection, rows, unusable),
        "videos": rows,
    }


def _classes(classes, per_split):
    """dict class -> split -> number of videos and of instances."""
    counted = {
        split: (
            collections.Counter(n for row in part for n in row["labels"]),
            collections.Counter(n for r in part for *_, n in r["segments"]),
        )
        for split, part in per_split.items()
    }
    return {
        name: {
            split: {"videos": videos[name], "instances": instances[name]}
            for split, (videos, instances) in counted.items()
        }
        for name in classes
    }


def find_faults(collection, rows, unusable):
    """Finds what is, or may be, wrong.

    Returns:
        dict kind of finding -> list of {"videos": ids, "detail": text}; every
        kind has a key.
    """
    found = {
        "unusable": _items(unusable),
        **_left_out(collection.left_out),
        "length": _items(_wrong_lengths(rows)),
        "late": _items(_segments(rows, _late)),
        "early": _items(_segments(rows, _early)),
        "dropped": _items(collection.dropped_segments),
        "not_finite": _items(
            (
                row["video"],
                f"{row['nan']} NaN and {row['infinite']} infinite of "
                f"{row['values']} values",
            )
            for row in rows
            if row["nan"] or row["infinite"]
        ),
        "constant": _items(
            (row["video"], f"{row['snippets']} snippets, all the same")
            for row in rows
            if row["constant"]
        ),
        "duplicate": _duplicates(rows),
        "width": [],
    }
    if rows:
        usual = statistics.mode(row["width"] for row in rows)
        found["width"] = _items(
            (row["video"], f"{row['width']} features wide, others {usual}")
            for row in rows
            if row["width"] != usual
        )
    return found


def _left_out(pairs):
    """Groups the videos left out by the reasons that `layouts` gives."""
    found = {"without_features": [], "without_annotation": [], "left_out": []}
    for name, reason in pairs:
        if reason.endswith(" is missing"):
            kind = "without_features"
        elif reason.startswith("features without an entry"):
            kind = "without_annotation"
        else:
            kind = "left_out"
        found[kind].append((name, reason))
    return {kind: _items(items) for kind, items in found.items()}


def _wrong_lengths(rows):
    for row in rows:
        length, expected = row["snippets"], row["expected_snippets"]
        if expected and abs(length - expected) > 1 + TOLERANCE * expected:
            yield (
                row["video"],
                f"{length} snippets, {expected:.1f} expected of "
                f"{row['duration']:g} s ({length / expected:.2f} times)",
            )


def segment_problem(row, start, end):
    """What is wrong with a segment of a measured video, or ""."""
    return _early(row, start, end) or _late(row, start, end)


def _late(row, start, end):
    last = (row["snippets"] + 1) * row["seconds_per_snippet"]
    if end > last + _SLACK:
        covered = row["snippets"] * row["seconds_per_snippet"]
        return f"ends after the features, which last {covered:g} s"
    return ""


def _early(row, start, end):
    if end < start:
        return "is reversed"
    return "starts before its video" if start < 0 else ""


def _segments(rows, problem):
    for row in rows:
        for start, end, label in row["segments"]:
            if reason := problem(row, start, end):
                detail = f"segment [{start:g}, {end:g}] of {label!r} {reason}"
                yield row["video"], detail


def _duplicates(rows):
    """Groups of videos whose features are equal, bit for bit."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["sha256"], row["snippets"]].append(row)
    found = []
    for group in groups.values():
        if len(group) > 1:
            splits = " and ".join(sorted({row["split"] for row in group}))
            names = [row["video"] for row in group]
            detail = f"the same {group[0]['snippets']} snippets, in {splits}"
            found.append({"videos": names, "detail": detail})
    return found


def _items(pairs):
    return [{"videos": [name], "detail": detail} for name, detail in pairs]


def _features(rows):
    """Statistics of all features, from those of the videos."""
    rows_used = [row for row in rows if row["mean"] is not None]
    total = sum(row["values"] for row in rows)
    found = {
        "widths": _counts(row["width"] for row in rows),
        "nan": sum(row["nan"] for row in rows),
        "infinite": sum(row["infinite"] for row in rows),
        "share_of_zeros": sum(row["zeros"] for row in rows) / max(total, 1),
        **dict.fromkeys(("min", "max", "mean", "std")),
    }
    if rows_used:
        weights = [r["values"] - r["nan"] - r["infinite"] for r in rows_used]
        means = np.array([row["mean"] for row in rows_used])
        stds = np.array([row["std"] for row in rows_used])
        mean = np.average(means, weights=weights)
        # Variance within the videos and of their means.
        variance = np.average(stds**2 + (means - mean) ** 2, weights=weights)
        found |= {
            "min": min(row["min"] for row in rows_used),
            "max": max(row["max"] for row in rows_used),
            "mean": float(mean),
            "std": math.sqrt(variance),
        }
    return found


def _counts(values):
    """dict value as text -> its count, in ascending order of the values."""
    return {str(k): n for k, n in sorted(collections.Counter(values).items())}


def _spread(values, first):
    """Extremes, median and a histogram of numbers.

    Args:
        values: dict split -> list of numbers from 0.
        first: upper edge of the first bin; each later edge is double.

    Returns:
        dict of min, median, max (None without values), `edges` [N+1] and
        `counts`, dict split -> [N]; a bin includes its lower edge.
    """
    every = [value for part in values.values() for value in part]
    if not every:
        return {
            **dict.fromkeys(("min", "median", "max")),
            "edges": [],
            "counts": {split: [] for split in values},
        }
    edges = [0, first]
    while edges[-1] <= max(every):
        edges.append(edges[-1] * 2)
    while edges[1] <= min(every):
        del edges[0]
    return {
        "min": min(every),
        "median": statistics.median(every),
        "max": max(every),
        "edges": edges,
        "counts": {
            split: np.histogram(part, edges)[0].tolist()
            for split, part in values.items()
        },
    }
