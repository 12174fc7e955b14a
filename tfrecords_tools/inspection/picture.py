"""The report as a page of plots."""

import matplotlib
import numpy as np
from matplotlib import lines, patches, ticker
from matplotlib.figure import Figure

from tfwstal.evaluation.words import counted
from tfwstal.plotting import figures

# More class names than this cannot be read below an axis.
_NAMED_CLASSES = 40


@figures.style()
def draw(report):
    """Draws a report of `measure.summarize`.

    Returns:
        Figure of 14 x 9 inches: lengths of videos and of instances, labels per
        video, videos per class, number of snippets against the duration, mean
        and zeros of the features. A panel without data says so.
    """
    figure = Figure((14, 9), layout="constrained")
    colours = _colours(report["splits"])
    panels = figure.subplots(2, 3)
    for panel, draw_panel in zip(panels.flat, _PANELS, strict=True):
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_axisbelow(True)
        panel.grid(color="0.9")
        draw_panel(panel, report, colours)
        if not panel.has_data():
            panel.set(xticks=[], yticks=[], xlabel="", ylabel="")
            panel.text(
                *(0.5, 0.5, "no data"),
                transform=panel.transAxes,
                ha="center",
                color="0.4",
            )
    title = next(iter(report["source"].values()))
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    figure.legend(
        handles=[patches.Patch(color=c, label=s) for s, c in colours.items()],
        loc="outside upper right",
        ncols=max(1, min(len(colours), 8)),
    )
    return figure


def _colours(splits):
    """dict split -> colour, all different."""
    dark = matplotlib.colormaps["Dark2"].colors
    if len(splits) > len(dark):
        dark = matplotlib.colormaps["turbo"](np.linspace(0, 1, len(splits)))
    return dict(zip(splits, dark, strict=False))


def _snippets(axes, report, colours):
    axes.set_title("Snippets per video")
    _spread(axes, report["snippets"], colours)


def _instances(axes, report, colours):
    axes.set_title("Seconds per instance")
    _spread(axes, report["instance_seconds"], colours)


def _spread(axes, spread, colours):
    """A histogram whose bins, each double the last, are equally wide."""
    edges = spread["edges"]
    _bars(axes, spread["counts"], len(edges[1:]), colours)
    axes.set_xticks(
        np.arange(len(edges)) - 0.5, [f"{edge:g}" for edge in edges], fontsize=7
    )
    axes.set_ylabel("count")


def _labels(axes, report, colours):
    axes.set_title("Videos by number of classes")
    per_split = report["labels_per_video"]
    keys = sorted({int(n) for counts in per_split.values() for n in counts})
    counts = {
        split: [found.get(str(n), 0) for n in keys]
        for split, found in per_split.items()
    }
    _bars(axes, counts, len(keys), colours)
    axes.set_xticks(range(len(keys)), map(str, keys))
    axes.set_ylabel("videos")


def _classes(axes, report, colours):
    classes = report["classes"]
    axes.set_title(
        f"Videos per class ({counted(len(classes), 'class', 'classes')})"
    )
    counts = {
        split: [row[split]["videos"] for row in classes.values()]
        for split in colours
    }
    _bars(axes, counts, len(classes), colours)
    axes.set_ylabel("videos")
    if len(classes) <= _NAMED_CLASSES:
        axes.set_xticks(
            range(len(classes)), list(classes), rotation=90, fontsize=7
        )


def _lengths(axes, report, colours):
    """T against what the duration gives; crosses where they disagree."""
    axes.set_title("Snippets against duration / seconds per snippet")
    off = {
        name for item in report["findings"]["length"] for name in item["videos"]
    }
    known = [row for row in report["videos"] if row["expected_snippets"]]
    for split, colour in colours.items():
        for disagrees, marker in ((False, "."), (True, "x")):
            _scatter(
                axes,
                [
                    (row["expected_snippets"], row["snippets"])
                    for row in known
                    if row["split"] == split
                    and (row["video"] in off) == disagrees
                ],
                color=[colour],
                marker=marker,
                label=split + ", disagree" * disagrees,
            )
    axes.set(xlabel="expected", ylabel="snippets")
    if not known:
        return
    equal = (known[0]["expected_snippets"],) * 2
    axes.set(xscale="log", yscale="log")
    axes.axline(equal, [2 * x for x in equal], color="0.6", linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        subs = (1, 2, 5) if high < 200 * low else (1,)
        axis.set_major_locator(ticker.LogLocator(subs=subs))
        # The default labels are formulas, which `figures.style` turns off.
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(ticker.NullFormatter())
    if off:
        cross = lines.Line2D([], [], color="0.3", marker="x", linestyle="")
        axes.legend([cross], ["disagree"], fontsize=8)


def _features(axes, report, colours):
    """Each video's mean and share of zeros: outliers stand apart."""
    axes.set_title("Features of each video")
    for split, colour in colours.items():
        _scatter(
            axes,
            [
                (row["mean"], 100 * row["zeros"] / row["values"])
                for row in report["videos"]
                if row["split"] == split and row["mean"] is not None
            ],
            color=[colour],
            marker=".",
            label=split,
        )
    axes.set(xlabel="mean", ylabel="zeros (%)")
    axes.locator_params(nbins=5)


def _scatter(axes, points, **style):
    if points:
        axes.scatter(*zip(*points, strict=True), **style)


def _bars(axes, counts, num_bins, colours):
    """Bars of the splits, stacked; `counts`: dict split -> [num_bins]."""
    if not num_bins:
        return
    below = np.zeros(num_bins)
    for split, colour in colours.items():
        axes.bar(
            range(num_bins),
            counts[split],
            width=0.9,
            bottom=below,
            color=colour,
        )
        below += counts[split]
    axes.set_ylim(0, 1.05 * max(below.max(), 1))
    axes.yaxis.get_major_locator().set_params(integer=True)


_PANELS = (_snippets, _instances, _labels, _classes, _lengths, _features)
