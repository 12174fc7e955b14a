"""Rows of one video on a time axis, as the paper's Figure 3.

What the sequences and segments of a video are drawn from: for `visualize`, for
its report of a split, and for the pictures of a training.
"""

import collections
import dataclasses
import itertools

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tfwstal import files
from tfwstal.data.annotations import Segment

# Detections drawn: those that score this part of the video's best or more, then
# so many a class. The many weak ones would hide them.
SCORE_PART = 0.3
TOP_K = 10
# Classes whose activation is drawn, best video scores first.
TOP_CLASSES = 4
# Of classes: two maps without what is like an attention's orange or grey.
COLOURS = tuple(
    matplotlib.colormaps[name].colors[i]
    for name, i in (
        *(("Dark2", 0), ("Dark2", 2), ("Dark2", 3), ("Dark2", 4)),
        *(("Dark2", 6), ("Set1", 0), ("Set1", 1)),
    )
)
ATTENTIONS = {
    "foreground": (0.0, 0.0, 0.0),
    "context": (0.9, 0.5, 0.1),
    "background": (0.7, 0.7, 0.7),
}


@dataclasses.dataclass(frozen=True)
class Bars:
    """A row of segments in seconds, each with an intensity from 0 to 1.

    Those of detections have scores, too.
    """

    title: str
    segments: tuple[Segment, ...]
    intensities: tuple[float, ...]
    scores: tuple[float, ...] = ()

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

    @property
    def is_attention(self):
        """Whether the names are those of the attentions, not of classes."""
        return self.names == tuple(ATTENTIONS)


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
        tuple(each["score"] for each in chosen),
    )


def curves(outputs, branches, classes, alpha, seconds):
    """What a model says of a video, for its rows.

    Args:
        outputs: of one video, without the axis of videos: `attention` [T, 3],
            `activation` [T, 3, C+1], `video_scores` [3, C+1].
        branches: those of the model.
        classes: names of the C actions.
        alpha: video score below which localization drops a class.
        seconds: that a snippet lasts.

    Returns:
        Curves of the attentions; unless the model has no MIL branch, Curves
        of z_fg, of TOP_CLASSES at most of the classes that localization keeps.
    """
    attention = np.asarray(outputs["attention"])
    rows = [Curves("Attention", attention, tuple(ATTENTIONS), seconds)]
    if branches != "attention":
        from tfwstal.method import localization  # imports TensorFlow

        scores = np.asarray(outputs["video_scores"])[0]
        kept = localization.select_classes(scores, alpha).numpy()
        kept = kept[np.argsort(-scores[kept], kind="stable")][:TOP_CLASSES]
        activation = np.asarray(outputs["activation"])[:, 0][:, kept]
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
    classes = dict.fromkeys(name for name in names if name not in ATTENTIONS)
    colours = dict(zip(classes, itertools.cycle(COLOURS), strict=False))
    for axes, row in zip(columns[:, 0], rows, strict=True):
        draw_row = _draw_bars if isinstance(row, Bars) else _draw_curves
        draw_row(axes, row, colours | ATTENTIONS)
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
    # An SVG has random ids and the date otherwise.
    fixed = matplotlib.rc_context({"svg.hashsalt": "tfwstal"})
    metadata = {"Date": None} if kind == "svg" else None
    try:
        with files.replacing(path) as aside, fixed:
            figure.savefig(aside, format=kind, dpi=150, metadata=metadata)
    except OSError as error:
        raise files.unwritable(path, error) from None


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
