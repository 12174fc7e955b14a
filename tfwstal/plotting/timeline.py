"""Figures of one video on a time axis, as the paper's Figure 3.

For `visualize --picture` and for the pictures of a training. The page of
`visualize --html` draws the same rows by a script.
"""

import itertools

import numpy as np
from matplotlib.figure import Figure

from tfwstal.plotting import figures
from tfwstal.plotting.rows import ATTENTIONS, COLOURS, Bars, Curves, FilmStrip


@figures.style()
def draw(title, rows):
    """Draws rows from top to bottom, on one axis in seconds.

    Args:
        title: of the figure.
        rows: list of Bars, Curves and FilmStrips.

    Returns:
        Figure, 10 inches wide, with one axes per row. A segment is one patch;
        a sequence is a step curve, constant over each snippet.
    """
    heights = [_height(row) for row in rows]
    figure = Figure((10, 0.8 + sum(heights)), layout="constrained")
    figure.suptitle(title, weight="bold")
    columns = figure.subplots(
        len(rows), squeeze=False, sharex=True, height_ratios=heights
    )
    colours = _class_colours(rows)
    for axes, row in zip(columns[:, 0], rows, strict=True):
        axes.set_title(row.title, loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        _DRAW[type(row)](axes, row, colours)
    axes.set_xlim(0, max(row.end for row in rows) or 1.0)
    axes.set_xlabel("Time (seconds)")
    return figure


def _height(row):
    """Of a row in inches: a lane per class, or one of fixed height."""
    if isinstance(row, Bars):
        return 0.3 + 0.27 * (len(row.names) or 1)
    return 1.1 if isinstance(row, FilmStrip) else 1.3


def _class_colours(rows):
    """dict class -> colour, the same in all rows."""
    names = itertools.chain.from_iterable(
        row.names
        for row in rows
        if not (isinstance(row, Curves) and row.is_attention)
    )
    return dict(
        zip(dict.fromkeys(names), itertools.cycle(COLOURS), strict=False)
    )


def _draw_bars(axes, row, colours):
    """One lane per class. Short bars cover long ones, so that all are seen."""
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
    colours = ATTENTIONS if row.is_attention else colours
    edges = np.arange(len(row.values) + 1) * row.seconds_per_snippet
    lines = [
        axes.stairs(values, edges, baseline=None, color=colours[name])
        for values, name in zip(row.values.T, row.names, strict=True)
    ]
    axes.legend(lines, row.names, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_ylim(-0.03, 1.03)


def _draw_strip(axes, row, colours):
    axes.imshow(row.picture, extent=(0, row.end, 0, 1), aspect="auto")
    axes.set_yticks([])
    axes.grid(visible=False)


_DRAW = {Bars: _draw_bars, Curves: _draw_curves, FilmStrip: _draw_strip}
