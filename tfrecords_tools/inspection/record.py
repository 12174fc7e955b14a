"""One video in detail: the keys of its record, its features, its segments."""

import pathlib

import numpy as np
import tensorflow as tf

from tfrecords_tools.inspection import measure
from tfwstal.data import feature_files
from tfwstal.data.names import unknown_video
from tfwstal.errors import InputError

# Values shown of each key.
_SHOWN = 6
_KINDS = {
    "bytes_list": "string",
    "int64_list": "int64",
    "float_list": "float32",
}


def describe(collection, name):
    """Describes a video as text.

    Args:
        collection: videos.Collection.
        name: id of the video.

    Raises:
        InputError: if there is no such video, or its features cannot be used.
    """
    names = collection.names()
    if name not in names:
        where = next(iter(collection.about.values()))
        raise unknown_video("record", name, names, where)
    video = next(collection.read(only=name))
    if video.problem:
        raise InputError(video.problem)
    row = measure.measure(video)
    is_record = isinstance(video.source, bytes)
    keys = _keys(video.source) if is_record else _files(video.source)
    return "\n".join(
        [
            f"{name}, split {video.split}",
            *keys,
            *_features(row, video.features.dtype),
            *_segments(row),
        ]
    )


def _keys(serialized):
    """A line for each key of a record: key, type, shape, first values."""
    example = tf.train.Example.FromString(serialized)
    lines = []
    for key, feature in sorted(example.features.feature.items()):
        kind = feature.WhichOneof("kind")
        values = getattr(feature, kind).value if kind else ()
        texts = [_text(value) for value in values[:_SHOWN]]
        more = ["..."] if len(values) > _SHOWN else []
        lines.append(
            f"  {key:28} {_KINDS.get(kind, 'empty'):8}"
            f"{f'[{len(values)}]':7} {' '.join(texts + more)}".rstrip()
        )
    return lines


def _text(value):
    """One value of a key; of binary data only the size."""
    if not isinstance(value, bytes):
        return f"{value:g}" if isinstance(value, float) else str(value)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    # Some features decode as text, such as zeros, but are not printable.
    return repr(text) if text.isprintable() else f"<{len(value)} bytes>"


def _files(paths):
    """A line for each feature file: path, shape and, of a .npy, dtype."""
    lines = []
    for path in paths:
        measured = feature_files.inspect([path])
        lines.append(
            f"  {path} [{measured.num_snippets}, {measured.widths[0]}]"
        )
        if isinstance(path, pathlib.Path):
            lines[-1] += f" {np.load(path, mmap_mode='r').dtype}"
    return lines


def _features(row, dtype):
    """Lines about the features and the time scale."""
    covered = row["snippets"] * row["seconds_per_snippet"]
    lines = [
        f"features [{row['snippets']}, {row['width']}], read as {dtype}: "
        f"{covered:.2f} s at {row['seconds_per_snippet']:g} s per snippet",
        f"  zeros {row['zeros'] / row['values']:.1%}, NaN {row['nan']}, "
        f"infinite {row['infinite']}" + (", constant" * row["constant"]),
    ]
    if row["min"] is not None:
        lines.append(
            f"  from {row['min']:.4g} to {row['max']:.4g}, mean "
            f"{row['mean']:.4g}, standard deviation {row['std']:.4g}"
        )
    lines.append(f"  sha256 {row['sha256']}")
    if row["expected_snippets"]:
        lines.append(
            f"duration {row['duration']:g} s: {row['expected_snippets']:.2f} "
            "snippets expected"
        )
    else:
        lines.append("duration: not annotated")
    lines.append(f"labels: {', '.join(row['labels']) or 'none'}")
    return lines


def _segments(row):
    """A line for each segment, in seconds and in snippets."""
    lines = [f"segments: {len(row['segments'])}"]
    for start, end, label in row["segments"]:
        first, last = (t / row["seconds_per_snippet"] for t in (start, end))
        problem = measure.segment_problem(row, start, end)
        lines.append(
            f"  {start:9.2f} to {end:9.2f} s   snippets {first:8.1f} to "
            f"{last:8.1f}   {label}" + (f"  ({problem})" if problem else "")
        )
    return lines
