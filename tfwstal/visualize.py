r"""COMMAND: draws one video on a time axis, as the paper's Figure 3.

    python -m tfwstal.visualize --ground_truth=gt.json \
        --detections=detections.json --run_dir=runs/a --data_dir=records \
        --video=video_test_0000004 --picture=video.svg

Each source adds rows: the ground truth, the detections, and the attentions and
activation that the model of a run has for the video's record.
"""

import contextlib
import dataclasses
import difflib
import os
import pathlib

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfwstal import (
    annotations,
    config,
    dataset,
    dataset_info,
    localization,
    run_folder,
)
from tfwstal.annotations import Segment
from tfwstal.errors import InputError

# Detections drawn: scores of at least this part of the video's best one, then
# so many a class. The many weak ones would hide them.
SCORE_PART = 0.3
TOP_K = 10
# Classes whose activation is drawn, best video scores first.
TOP_CLASSES = 4
_CLASS_COLOURS = matplotlib.colormaps["Dark2"].colors
_ATTENTIONS = {"foreground": "black", "context": "#e08214", "background": "0.7"}


@dataclasses.dataclass(frozen=True)
class Bars:
    """A row of segments.

    Attributes:
        title: stands above the row.
        segments: Segments, in seconds.
        opacity: of each, from 0 to 1.
    """

    title: str
    segments: tuple[Segment, ...]
    opacity: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Curves:
    """A row of K sequences over the snippets.

    Attributes:
        title: stands above the row.
        values: [T, K], from 0 to 1.
        names: K of them, of classes or keys of `colours`.
        remarks: K texts that follow the names in the legend.
        seconds_per_snippet: snippet t covers [t, t + 1) times this.
        colours: by name; classes have theirs in all rows.
    """

    title: str
    values: np.ndarray
    names: tuple[str, ...]
    remarks: tuple[str, ...]
    seconds_per_snippet: float
    colours: dict[str, str] | None = None


def main(config):
    """Draws the video as the Config says; see the module."""
    config.require("video", "picture")
    path = pathlib.Path(config.picture)
    if path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--picture={path} must end in .png or .svg")
    if path.exists() and not config.overwrite:
        raise InputError(
            f"--picture={path} exists; choose another name or give --overwrite"
        )
    save(draw(config.video, read_rows(config)), path)
    print(f"{config.video}: {path}")


def read_rows(config):
    """The rows of --video, Bars and Curves, from the sources that are named.

    Raises:
        InputError: for a source without the video (but a detections file may
            lack one that others have), or if there is nothing to draw.
    """
    if bool(config.run_dir) != bool(config.data_dir):
        raise InputError("--run_dir and --data_dir are needed together")
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
    if not rows:
        raise InputError(
            "nothing to draw; give --ground_truth, --detections, or --run_dir "
            "with --data_dir"
        )
    if not any(isinstance(row, Curves) or row.segments for row in rows):
        raise InputError(
            f"nothing to draw: --video={config.video} has no segment in "
            f"{config.ground_truth or config.detections}; choose another"
        )
    return rows


def read_truth(config):
    """Bars of the segments that --ground_truth has in --subset."""
    videos, _ = annotations.read_ground_truth(
        config.ground_truth, config.bad_segments
    )
    subset = config.subset.casefold()
    names = [n for n, v in videos.items() if v.subset.casefold() == subset]
    where = f"subset {config.subset!r} of {config.ground_truth}"
    _require_video(config.video, names, where)
    segments = videos[config.video].segments
    return Bars("Ground truth", segments, (1.0,) * len(segments))


def strongest(detections):
    """Bars of the best detections, opaque as their scores are high.

    Args:
        detections: a video's, as from `annotations.read_detections`.

    Returns:
        Bars of those that score SCORE_PART of the best or more, and of them
        the first TOP_K of each class; best first.
    """
    chosen, count = [], {}
    ordered = sorted(detections, key=lambda entry: -entry["score"])
    best = ordered[0]["score"] if ordered else 0.0
    # Of a negative best score, a part lies above it.
    least = min(SCORE_PART * best, best)
    for entry in ordered:
        rank = count[entry["label"]] = count.get(entry["label"], 0) + 1
        if rank <= TOP_K and entry["score"] >= least:
            chosen.append(entry)
    title = f"Detections: {len(chosen)} of {len(ordered)}"
    if ordered:
        title += (
            f", at most {TOP_K} a class, score {least:.2f} (pale) to "
            f"{best:.2f} (solid)"
        )
    return Bars(
        title,
        tuple(Segment(each["label"], *each["segment"]) for each in chosen),
        tuple(each["score"] / best if best > 0 else 1.0 for each in chosen),
    )


def read_curves(config):
    """Runs the model of --run_dir on the record of --video.

    Returns:
        Curves of the attentions, and of z_fg of the classes that localization
        keeps, at most TOP_CLASSES, unless the run has no MIL branch.
    """
    info = dataset_info.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    video = _find_record(config, info)
    inputs = {k: video[k][tf.newaxis] for k in ("features", "num_snippets")}
    outputs = model(inputs, training=False)
    seconds = float(video["seconds_per_snippet"])
    attention = Curves(
        "Attention",
        outputs["attention"][0].numpy(),
        tuple(_ATTENTIONS),
        ("",) * 3,
        seconds,
        _ATTENTIONS,
    )
    if model.branches == "attention":
        return [attention]
    scores = outputs["video_scores"][0, 0].numpy()
    kept = localization.kept_classes(scores, config.alpha).numpy()
    kept = kept[np.argsort(-scores[kept], kind="stable")][:TOP_CLASSES]
    activation = Curves(
        "Foreground activation (video score)",
        outputs["activation"][0, :, 0].numpy()[:, kept],
        tuple(classes[index - 1] for index in kept),
        tuple(f" ({scores[index]:.2f})" for index in kept),
        seconds,
    )
    return [attention, activation]


def draw(title, rows):
    """Draws rows above each other, on one time axis.

    Args:
        title: name of the video.
        rows: Bars and Curves, from top to bottom.

    Returns:
        Figure, 10 inches wide, with one axes a row. A segment is one patch; a
        sequence is a step curve, constant over each snippet.
    """
    heights = [
        0.3 + 0.27 * max(len({s.label for s in row.segments}), 1)
        if isinstance(row, Bars)
        else 1.3
        for row in rows
    ]
    figure = Figure((10, 0.8 + sum(heights)), layout="constrained")
    figure.suptitle(title, weight="bold", parse_math=False)
    columns = figure.subplots(
        len(rows), squeeze=False, sharex=True, height_ratios=heights
    )
    colours, end = _class_colours(rows), 0.0
    for axes, row in zip(columns[:, 0], rows, strict=True):
        axes.set_title(row.title, loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        draw_row = _draw_bars if isinstance(row, Bars) else _draw_curves
        end = max(end, draw_row(axes, row, colours))
    axes.set_xlim(0, end or 1)
    axes.set_xlabel("Time (seconds)")
    return figure


def save(figure, path):
    """Writes a Figure, always the same bytes; whole, or not at all.

    Args:
        figure: Figure.
        path: pathlib.Path to .png or .svg; replaced if it exists.
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


def _class_colours(rows):
    """One colour a class, in the order in which the rows name them."""
    names = [s.label for row in rows for s in getattr(row, "segments", ())]
    names += [n for row in rows for n in getattr(row, "names", ())]
    return {
        name: _CLASS_COLOURS[i % len(_CLASS_COLOURS)]
        for i, name in enumerate(dict.fromkeys(names))
    }


def _draw_bars(axes, row, colours):
    """One lane a class; returns the last second."""
    labels = {segment.label for segment in row.segments}
    lanes = [name for name in colours if name in labels]
    # Weaker ones go below, and the outline shows what lies under others.
    for each, opacity in sorted(
        zip(row.segments, row.opacity, strict=True), key=lambda pair: pair[1]
    ):
        axes.barh(
            lanes.index(each.label),
            each.end - each.start,
            height=0.7,
            left=each.start,
            facecolor=(colours[each.label], max(opacity, 0.0)),
            edgecolor=colours[each.label],
        )
    axes.set_yticks(range(len(lanes)), lanes, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(lanes), 1) - 0.5, -0.5)
    return max((segment.end for segment in row.segments), default=0.0)


def _draw_curves(axes, row, colours):
    """Steps, with a legend to their right; returns the last second."""
    edges = np.arange(len(row.values) + 1) * row.seconds_per_snippet
    for values, name, remark in zip(
        row.values.T, row.names, row.remarks, strict=True
    ):
        axes.stairs(
            values,
            edges,
            baseline=None,
            color=(row.colours or colours)[name],
            label=name + remark,
        )
    axes.set_ylim(-0.03, 1.03)
    legend = axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return edges[-1]


if __name__ == "__main__":
    config.run(main, "visualize")
