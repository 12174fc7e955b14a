"""Figure of a Diagnosis: curves, kinds of errors, lengths, best detections."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tfwstal.evaluation import error_analysis
from tfwstal.evaluation.average_precision.diagnosis import BUDGETS, KINDS
from tfwstal.plotting import figures

_COLOURS = matplotlib.colormaps["Dark2"].colors


@figures.style()
def draw(diagnosis):
    """Draws curves, kinds of detections, lengths and best detections.

    Returns:
        Figure of 2 x 2 axes, 12 x 9 inches.
    """
    figure = Figure((12, 9), layout="constrained")
    figure.suptitle(f"tIoU {diagnosis.threshold:g}", weight="bold")
    curves, kinds, lengths, top = figure.subplots(2, 2).flat
    for recall, precision in diagnosis.curves:
        curves.plot(100 * recall, 100 * precision, color="0.8", linewidth=0.8)
    recalls = np.linspace(0, 1, 101)
    mean = 100 * error_analysis.mean_curve(diagnosis, recalls)
    curves.plot(100 * recalls, mean, color="black")
    if not mean.any():
        curves.text(50, 50, "no true positive", ha="center", color="0.4")
    curves.set_title("Precision at recall: classes (grey), mean (interpolated)")
    curves.set_xlabel("Recall %")
    curves.set_ylabel("Precision %")
    _draw_kinds(kinds, diagnosis)
    names = error_analysis.length_names(diagnosis)
    count = np.maximum(diagnosis.instances_by_length, 1)
    bars = lengths.bar(names, 100 * diagnosis.found_by_length / count)
    lengths.bar_label(bars, [f"of {n}" for n in diagnosis.instances_by_length])
    lengths.set_title("Instances found, by length")
    lengths.set_ylabel("Found %")
    values = np.array(list(diagnosis.top_k.values()))
    names = [str(k) for k in diagnosis.top_k]
    # Different marks, since the two may be equal.
    top.plot(names, 100 * values[:, 1], "s--", label="found %", markersize=9)
    top.plot(names, 100 * values[:, 0], "o-", label="mAP %")
    top.set_title("Best detections of each video alone")
    top.set_xlabel("Detections kept")
    top.legend()
    for axes in (curves, lengths, top):
        axes.set_ylim(-4, 105)  # the frame would cover values of 0
    return figure


def _draw_kinds(axes, diagnosis):
    """Stacked bars, a bar a budget."""
    part = diagnosis.by_budget / np.maximum(
        diagnosis.by_budget.sum(axis=1, keepdims=True), 1
    )
    bottom = np.zeros(len(part))
    for kind, values, colour in zip(KINDS, part.T, _COLOURS, strict=False):
        axes.bar(
            [str(b) for b in BUDGETS],
            100 * values,
            bottom=bottom,
            label=kind,
            color=colour,
        )
        bottom += 100 * values
    axes.set_title("Kinds among the best detections of each class")
    axes.set_xlabel("Detections, as a multiple of the class's instances")
    axes.set_ylabel("Part %")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
