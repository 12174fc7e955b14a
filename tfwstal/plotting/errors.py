"""Figure of a Diagnosis, after those of DETAD.

Kinds differ by hatching and lightness too, and bars have their value above, so
that a print in black and white can be read.
"""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tfwstal.evaluation import error_analysis
from tfwstal.evaluation.average_precision.error_kinds import ERRORS, KINDS
from tfwstal.plotting import figures

_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "", "++")
# From light to dark, so that lightness alone tells them apart.
_COLOURS = matplotlib.colormaps["viridis"](np.linspace(0.98, 0.2, len(KINDS)))
_BARS = {"edgecolor": "black", "linewidth": 0.6}
_PAPER = {
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.linestyle": ":",
}


@figures.style()
@matplotlib.rc_context(_PAPER)
def draw(diagnosis):
    """Draws the analyses of a Diagnosis, scores in percent.

    Returns:
        Figure of 3 x 2 axes, 12 x 12 inches.
    """
    figure = Figure((12, 12), layout="constrained")
    axes = figure.subplots(3, 2, width_ratios=(3, 2))
    figure.suptitle(error_analysis.tiou_text(diagnosis.thresholds))
    _draw_profile(axes[0, 0], diagnosis)
    _draw_gains(axes[0, 1], diagnosis)
    _draw_ranges(axes[1, 0], diagnosis, "mean_ap", diagnosis.normalized_map)
    axes[1, 0].set_title("Sensitivity")
    axes[1, 0].set_ylabel("Normalized mAP (%)")
    _draw_legend_of_ranges(axes[1, 1], diagnosis)
    _draw_ranges(axes[2, 0], diagnosis, "missed", diagnosis.missed)
    axes[2, 0].set_title("False negatives")
    axes[2, 0].set_ylabel("Instances missed (%)")
    _draw_curves(axes[2, 1], diagnosis)
    return figure


def _draw_profile(axes, diagnosis):
    """Stacked shares of the kinds, a bar per group of detections."""
    names = [f"{g}G" for g in range(1, len(diagnosis.profile) + 1)]
    bottom = np.zeros(len(names))
    for kind, shares in enumerate(100 * diagnosis.profile.T):
        if not shares.any():
            continue
        axes.bar(
            names,
            shares,
            bottom=bottom,
            label=KINDS[kind],
            color=_COLOURS[kind],
            hatch=_HATCHES[kind],
            **_BARS,
        )
        bottom += shares
    axes.set_title("False positive profile")
    axes.set_xlabel("Best detections; G: instances of the class")
    axes.set_ylabel("Share of detections (%)")
    axes.set_ylim(0, 100)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=4,
        fontsize=8,
        frameon=False,
    )


def _draw_gains(axes, diagnosis):
    """A bar per kind of error: what its removal would gain."""
    gains = [100 * diagnosis.gains[KINDS[kind]] for kind in ERRORS]
    for place, kind in enumerate(ERRORS):
        bars = axes.bar(
            place,
            gains[place],
            color=_COLOURS[kind],
            hatch=_HATCHES[kind],
            **_BARS,
        )
        axes.bar_label(bars, fmt="%.1f", padding=2)
    names = [KINDS[kind].replace(" ", "\n") for kind in ERRORS]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_title("Removing an error")
    axes.set_ylabel("Gain of normalized mAP (points)")
    # At least one point high, also if there is nothing to gain.
    axes.set_ylim(1.12 * min(0, *gains), 1.12 * max(1, *gains))


def _draw_ranges(axes, diagnosis, attribute, overall):
    """Bars by the ranges of each characteristic, and the overall value."""
    place, places, ticks = 0, [], []
    for number, (name, found) in enumerate(diagnosis.sensitivity.items()):
        values = 100 * getattr(found, attribute)
        here = place + np.arange(len(values))
        bars = axes.bar(
            here,
            np.nan_to_num(values),
            color=str(0.85 - 0.25 * number),
            **_BARS,
        )
        axes.bar_label(
            bars,
            ["–" if np.isnan(v) else f"{v:.1f}" for v in values],
            padding=2,
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
        axes.text(here.mean(), 108, name.capitalize(), ha="center")
        places += here.tolist()
        ticks += found.names
        place = here[-1] + 2
        if number < len(diagnosis.sensitivity) - 1:
            axes.axvline(place - 1, color="0.5", linestyle=":")
    axes.axhline(
        100 * overall, color="black", linestyle="--", linewidth=1, zorder=0.9
    )
    axes.text(
        1.01,
        100 * overall,
        f"all: {100 * overall:.1f}",
        transform=axes.get_yaxis_transform(),
        va="center",
    )
    axes.set_xticks(places, ticks)
    axes.set_ylim(0, 118)
    axes.set_yticks(range(0, 101, 20))


def _draw_legend_of_ranges(axes, diagnosis):
    """What XS to XL mean, and how many instances each has, as text."""
    axes.axis("off")
    lines = []
    for name, found in diagnosis.sensitivity.items():
        lines.append(error_analysis.CHARACTERISTICS[name].capitalize())
        texts = error_analysis.range_names(found.edges)
        for short, text, size in zip(
            found.names, texts, found.num_instances, strict=True
        ):
            lines.append(f"   {short:<3} {text}: {size} instances")
        lines.append("")
    axes.text(0, 1, "\n".join(lines), va="top", fontsize=9)


def _draw_curves(axes, diagnosis):
    """Precision at recall: each class, and the mean over the classes."""
    for recall, precision in diagnosis.curves:
        axes.plot(100 * recall, 100 * precision, color="0.8", linewidth=0.8)
    recalls = np.linspace(0, 1, 101)
    mean = 100 * error_analysis.mean_curve(diagnosis, recalls)
    axes.plot(100 * recalls, mean, color="black", label="mean of the classes")
    axes.plot([], [], color="0.8", label="a class")
    if not mean.any():
        axes.text(50, 50, "no true positive", ha="center", color="0.4")
    tiou = error_analysis.tiou_text(diagnosis.thresholds[:1])
    axes.set_title(f"Precision at recall, {tiou}")
    axes.set_xlabel("Recall (%)")
    axes.set_ylabel("Precision (%)")
    axes.set_ylim(-4, 105)  # the frame would cover values of 0
    axes.legend(fontsize=8, frameon=False)
