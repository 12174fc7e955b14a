r"""COMMAND: draws one video on a time axis, as the paper's Figure 3.

    python -m tfwstal.visualize --ground_truth=gt.json \
        --detections=detections.json --run_dir=runs/a --data_dir=records \
        --video=video_test_0000004 --picture=video.svg

Each source adds rows: the ground truth, the detections, and the attentions and
activation that the model of a run has for the video's record.
"""

import collections
import contextlib
import dataclasses
import difflib
import itertools
import os
import pathlib

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfwstal import (
    annotations,
    command_line,
    dataset,
    dataset_info,
    localization,
    run_folder,
)
from tfwstal.annotations import Segment
from tfwstal.errors import InputError

# Detections drawn: those that score this part of the video's best or more, then
# so many a class. The many weak ones would hide them.
SCORE_PART = 0.3
TOP_K = 10
# Classes whose activation is drawn, best video scores first.
TOP_CLASSES = 4
_CLASSES = matplotlib.colormaps["Dark2"].colors
_ATTENTIONS = {
    "foreground": (0.0, 0.0, 0.0),
    "context": (0.9, 0.5, 0.1),
    "background": (0.7, 0.7, 0.7),
}


@dataclasses.dataclass(frozen=True)
class Bars:
    """A row of segments in seconds, each with an intensity from 0 to 1."""

    title: str
    segments: tuple[Segment, ...]
    intensities: tuple[float, ...]

    @property
    def names(self):
        """The classes, each once."""
        return tuple(dict.fromkeys(each.label for each in self.segments))


@dataclasses.dataclass(frozen=True)
class Curves:
    """A row of K named sequences, values [T, K] from 0 to 1."""

    title: str
    values: np.ndarray
    names: tuple[str, ...]
    seconds_per_snippet: float


def main(config):
    """Draws the video as the Config says; see the module."""
    config.require("video", "picture")
    path = pathlib.Path(config.picture)
    if path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--picture={path} must end in .png or .svg")
    annotations.refuse_existing("picture", path, config.overwrite)
    save(draw(config.video, read_rows(config)), path)
    print(f"{config.video}: {path}")


def read_rows(config):
    """The rows of --video from all sources that are named: Bars and Curves.

    Raises:
        InputError: if a source lacks the video (only a detections file may
            lack one that others have), or there is nothing to draw.
    """
    rows = []
    if config.ground_truth:
        rows.append(read_truth(config))
    if config.detections:
        found = annotations.read_detections(config.detections)
        if not (config.ground_truth or config.run_dir):
            _require_video(config.video, found, config.detections)
        rows.append(strongest(found.get(config.video, ())))
    if config.run_dir:
        rows += read_curves(config)
    if not any(isinstance(row, Curves) or row.segments for row in rows):
        raise InputError(
            f"nothing to draw of --video={config.video}; give --run_dir and "
            "--data_dir, or --ground_truth or --detections with segments of it"
        )
    return rows


def read_truth(config):
    """Bars of the segments that --ground_truth has in --subset."""
    videos, bad = annotations.read_ground_truth(
        config.ground_truth, config.bad_segments
    )
    for each in bad:
        if each.video_id == config.video:
            print(f"{each}: {'kept' if each.kept else 'left out'}")
    subset = config.subset.casefold()
    names = [n for n, v in videos.items() if v.subset.casefold() == subset]
    where = f"subset {config.subset!r} of {config.ground_truth}"
    _require_video(config.video, names, where)
    segments = videos[config.video].segments
    return Bars("Ground truth", segments, (1.0,) * len(segments))


def strongest(detections):
    """Bars of a video's best detections, as intense as their scores are high.

    Args:
        detections: list of {"label", "score", "segment": [start, end]}.

    Returns:
        Bars of at most TOP_K a class, best first, that score SCORE_PART of
        the best or more.
    """
    ordered = sorted(detections, key=lambda entry: -entry["score"])
    if not ordered:
        return Bars("Detections: none", (), ())
    best = ordered[0]["score"]
    # Of a negative best score, a part lies above it.
    least = min(SCORE_PART * best, best)
    chosen, count = [], collections.Counter()
    for entry in ordered:
        count[entry["label"]] += 1
        if entry["score"] >= least and count[entry["label"]] <= TOP_K:
            chosen.append(entry)
    return Bars(
        f"Detections: {len(chosen)} of {len(ordered)}, at most {TOP_K} a "
        f"class, scores from {least:.2f} (pale) to {best:.2f} (full colour)",
        tuple(Segment(each["label"], *each["segment"]) for each in chosen),
        tuple(each["score"] / best if best > 0 else 1.0 for each in chosen),
    )


def read_curves(config):
    """What the model of --run_dir says of the record of --video.

    Returns:
        Curves of the attentions; unless the run has no MIL branch, Curves of
        z_fg, of TOP_CLASSES at most of the classes that localization keeps.
    """
    config.require("data_dir")
    info = dataset_info.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    video = _find_record(config, info)
    inputs = {k: video[k][tf.newaxis] for k in ("features", "num_snippets")}
    outputs = model(inputs, training=False)
    seconds = float(video["seconds_per_snippet"])
    attention = outputs["attention"][0].numpy()
    rows = [Curves("Attention", attention, tuple(_ATTENTIONS), seconds)]
    if model.branches != "attention":
        scores = outputs["video_scores"][0, 0].numpy()
        kept = localization.kept_classes(scores, config.alpha).numpy()
        kept = kept[np.argsort(-scores[kept], kind="stable")][:TOP_CLASSES]
        activation = outputs["activation"][0, :, 0].numpy()[:, kept]
        names = tuple(classes[index - 1] for index in kept)
        title = "Foreground activation, best video scores: " + ", ".join(
            f"{scores[index]:.2f}" for index in kept
        )
        rows.append(Curves(title, activation, names, seconds))
    return rows


@matplotlib.rc_context({"text.parse_math": False})  # names may hold a $
def draw(title, rows):
    """Draws Bars and Curves from top to bottom, on one axis in seconds.

    Returns:
        Figure, 10 inches wide, with one axes a row. A segment is one patch; a
        sequence is a step curve, constant over each snippet.
    """
    heights = [  # in inches: a lane a class, or curves
        0.3 + (0.27 * (len(row.names) or 1) if isinstance(row, Bars) else 1.0)
        for row in rows
    ]
    figure = Figure((10, 0.8 + sum(heights)), layout="constrained")
    figure.suptitle(title, weight="bold")
    columns = figure.subplots(
        len(rows), squeeze=False, sharex=True, height_ratios=heights
    )
    names = itertools.chain(*(row.names for row in rows))
    classes = dict.fromkeys(name for name in names if name not in _ATTENTIONS)
    colours = dict(zip(classes, itertools.cycle(_CLASSES), strict=False))
    for axes, row in zip(columns[:, 0], rows, strict=True):
        draw_row = _draw_bars if isinstance(row, Bars) else _draw_curves
        draw_row(axes, row, colours | _ATTENTIONS)
        axes.set_title(row.title, loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.margins(x=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("Time (seconds)")
    return figure


def save(figure, path):
    """Writes a Figure to a .png or .svg Path, whole or not at all.

    An existing file is replaced. Equal figures give equal bytes.
    """
    kind = path.suffix.lower()[1:]
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # An SVG has random ids and the date otherwise.
        with matplotlib.rc_context({"svg.hashsalt": "tfwstal"}):
            metadata = {"Date": None} if kind == "svg" else None
            figure.savefig(aside, format=kind, dpi=150, metadata=metadata)
        os.replace(aside, path)
    except OSError as error:
        raise InputError(
            f"--picture={path} cannot be written: {error.strerror}"
        ) from None
    finally:  # nothing is left of it after the renaming
        with contextlib.suppress(OSError):
            aside.unlink()


def _find_record(config, info):
    """The record of --video, as `schema.parse_video` gives it."""
    names = []
    with dataset.readable(config.data_dir):
        for video in dataset.whole_videos(info, config.data_dir, config.split):
            names.append(video["video_id"].numpy().decode())
            if names[-1] == config.video:
                return video
    where = f"split {config.split!r} of {config.data_dir}"
    return _require_video(config.video, names, where)


def _require_video(video, names, where):
    if video not in names:
        near = difflib.get_close_matches(video, names, n=1, cutoff=0.0)
        raise InputError(
            f"--video={video} is not among the {len(names)} videos of {where}"
            + "".join(f"; the nearest name is {name!r}" for name in near)
        )


def _draw_bars(axes, row, colours):
    """One lane a class. Short bars lie on long ones, so that all are seen."""
    lanes = [name for name in colours if name in row.names]
    pairs = zip(row.segments, row.intensities, strict=True)
    for each, intensity in sorted(pairs, key=lambda p: p[0].start - p[0].end):
        paleness = 1 - np.clip(intensity, 0, 1)
        axes.barh(
            lanes.index(each.label),
            each.end - each.start,
            height=0.7,
            left=each.start,
            facecolor=[c + paleness * (1 - c) for c in colours[each.label]],
            edgecolor="0.2",
            linewidth=0.6,
        )
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)


def _draw_curves(axes, row, colours):
    """Steps from 0 to 1, with a legend to their right."""
    edges = np.arange(len(row.values) + 1) * row.seconds_per_snippet
    lines = [
        axes.stairs(values, edges, baseline=None, color=colours[name])
        for values, name in zip(row.values.T, row.names, strict=True)
    ]
    axes.legend(lines, row.names, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_ylim(-0.03, 1.03)


if __name__ == "__main__":
    command_line.run(main, "visualize")
