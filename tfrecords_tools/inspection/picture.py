"""The report as a page of plots."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tfwstal.plotting import figures

_COLOURS = matplotlib.colormaps["Dark2"].colors
# More class names than this cannot be read below an axis.
_NAMED_CLASSES = 40


@figures.style
def draw(report):
    """Draws a report of `measure.summarize`.

    Returns:
        Figure of 14 x 9 inches: lengths of videos and instances, labels a
        video, videos a class, T against the duration, range of the features.
    """
    figure = Figure((14, 9), layout="constrained")
    source = report["source"]
    figure.suptitle(next(iter(source.values())), weight="bold")
    axes = figure.subplots(2, 3)
    _spread(axes[0, 0], "Snippets a video", report["snippets"])
    _spread(axes[0, 1], "Seconds an instance", report["instance_seconds"])
    _labels(axes[0, 2], report["labels_per_video"])
    _classes(axes[1, 0], report["classes"])
    _lengths(axes[1, 1], report)
    _features(axes[1, 2], report)
    for each in axes.flat:
        each.spines[["top", "right"]].set_visible(False)
        each.set_axisbelow(True)
        each.grid(color="0.9")
        if each.get_legend_handles_labels()[1]:
            each.legend(fontsize=8)
    return figure


def _spread(axes, title, spread):
    """A histogram whose bins, each double the last, are equally wide."""
    axes.set_title(title)
    edges = spread["edges"]
    _bars(axes, spread["counts"], len(edges[1:]))
    axes.set_xticks(
        np.arange(len(edges)) - 0.5, [f"{edge:g}" for edge in edges], fontsize=8
    )
    axes.set_ylabel("count")


def _labels(axes, per_split):
    axes.set_title("Videos by number of classes")
    keys = sorted({int(n) for counts in per_split.values() for n in counts})
    counts = {
        split: [found.get(str(n), 0) for n in keys]
        for split, found in per_split.items()
    }
    _bars(axes, counts, len(keys))
    axes.set_xticks(range(len(keys)), map(str, keys))
    axes.set_ylabel("videos")


def _classes(axes, classes):
    axes.set_title(f"Videos a class ({len(classes)} classes)")
    splits = list(next(iter(classes.values()), {}))
    counts = {
        split: [row[split]["videos"] for row in classes.values()]
        for split in splits
    }
    _bars(axes, counts, len(classes))
    axes.set_ylabel("videos")
    if len(classes) <= _NAMED_CLASSES:
        axes.set_xticks(
            range(len(classes)), list(classes), rotation=90, fontsize=7
        )


def _lengths(axes, report):
    """T against what the duration says; those that disagree are crosses."""
    axes.set_title("Snippets against duration / seconds a snippet")
    off = {
        name for item in report["findings"]["length"] for name in item["videos"]
    }
    known = [row for row in report["videos"] if row["expected_snippets"]]
    for split, colour in _coloured(report["splits"]):
        for disagrees, marker in ((False, "."), (True, "x")):
            points = [
                (row["expected_snippets"], row["snippets"])
                for row in known
                if row["split"] == split and (row["video"] in off) == disagrees
            ]
            if points:
                suffix = ", disagree" if disagrees else ""
                axes.scatter(
                    *zip(*points, strict=True),
                    color=[colour],
                    marker=marker,
                    label=f"{split}{suffix}",
                )
    if known:
        equal = (known[0]["expected_snippets"],) * 2
        axes.set(xscale="log", yscale="log")
        axes.axline(equal, [2 * x for x in equal], color="0.6", linewidth=0.8)
    else:
        axes.text(0.5, 0.5, "no duration is annotated", ha="center")
    axes.set(xlabel="expected", ylabel="snippets")


def _features(axes, report):
    """Each video's mean and share of zeros: outliers stand apart."""
    axes.set_title("Features of each video")
    for split, colour in _coloured(report["splits"]):
        points = [
            (row["mean"], 100 * row["zeros"] / row["values"])
            for row in report["videos"]
            if row["split"] == split and row["mean"] is not None
        ]
        if points:
            axes.scatter(
                *zip(*points, strict=True),
                color=[colour],
                marker=".",
                label=split,
            )
    axes.set(xlabel="mean", ylabel="zeros (%)")
    axes.locator_params(nbins=5)


def _bars(axes, counts, num_bins):
    """Bars of the splits, stacked; `counts`: dict split -> [num_bins]."""
    below = np.zeros(num_bins)
    for split, colour in _coloured(counts):
        axes.bar(
            range(num_bins),
            counts[split],
            width=0.9,
            bottom=below,
            color=colour,
            label=split,
        )
        below += counts[split]
    axes.yaxis.get_major_locator().set_params(integer=True)


def _coloured(splits):
    """Pairs of a split and its colour."""
    return [(s, _COLOURS[i % len(_COLOURS)]) for i, s in enumerate(splits)]
