"""A Diagnosis as tables, as JSON and as a picture, for `evaluate`."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tfwstal.evaluation.average_precision.diagnosis import BUDGETS, KINDS

_COLOURS = matplotlib.colormaps["Dark2"].colors
# KINDS as heads of columns, in two lines.
_HEADS = (
    ("true", "positive"),
    ("double", "detection"),
    ("wrong", "label"),
    ("poor", "overlap"),
    ("both", "of these"),
    ("back-", "ground"),
    ("ambi-", "guous"),
)


def format_tables(diagnosis):
    """The tables of --analysis as text, without a newline at its end."""
    tiou = f"tIoU {diagnosis.threshold:g}"
    recalls = np.arange(0.1, 1.01, 0.1)
    curve = mean_curve(diagnosis, recalls)
    lines = [f"Precision % at recall %, mean over the classes, {tiou}"]
    lines.append("".join(f"{100 * r:7.0f}" for r in recalls))
    lines.append("".join(f"{100 * p:7.2f}" for p in curve))
    lines += ["", f"Detections by kind, {tiou}; G: instances of a class"]
    names = [f"best {b} G" for b in BUDGETS]
    lines += _kind_lines(names, diagnosis.by_budget)
    lines += ["", f"By length, {tiou}; detections by their own length"]
    names = length_names(diagnosis)
    lines.append(f"{'':<10} {'instances':>9} {'found %':>9}")
    for name, count, found in zip(
        names,
        diagnosis.instances_by_length,
        diagnosis.found_by_length,
        strict=True,
    ):
        part = f"{100 * found / count:9.2f}" if count else f"{'-':>9}"
        lines.append(f"{name:<10} {count:>9} {part}")
    lines += ["", *_kind_lines(names, diagnosis.detections_by_length)]
    lines += ["", f"Best detections of each video alone, {tiou}"]
    lines.append(f"{'kept':<10} {'mAP %':>9} {'found %':>9}")
    for k, (mean_ap, recall) in diagnosis.top_k.items():
        lines.append(f"{k:<10} {100 * mean_ap:9.2f} {100 * recall:9.2f}")
    return "\n".join(lines)


def report_of(diagnosis):
    """A Diagnosis as a dict for JSON; parts from 0 to 1."""
    return {
        "tiou": diagnosis.threshold,
        "precision_recall": {
            str(label): {
                "recall": recall.tolist(),
                "precision": precision.tolist(),
            }
            for label, (recall, precision) in zip(
                diagnosis.labels, diagnosis.curves, strict=True
            )
        },
        "kinds_among_best": {
            f"{budget}G": _by_kind(row)
            for budget, row in zip(BUDGETS, diagnosis.by_budget, strict=True)
        },
        "by_length": [
            {
                "length": name,
                "instances": int(count),
                "found": int(found),
                "detections": _by_kind(row),
            }
            for name, count, found, row in zip(
                length_names(diagnosis),
                diagnosis.instances_by_length,
                diagnosis.found_by_length,
                diagnosis.detections_by_length,
                strict=True,
            )
        ],
        "top_k": {
            str(k): {"mAP": mean_ap, "found": recall}
            for k, (mean_ap, recall) in diagnosis.top_k.items()
        },
    }


def mean_curve(diagnosis, recalls):
    """Mean over the classes of the best precision at a recall or a higher one.

    Args:
        recalls: [R] from 0 to 1.

    Returns:
        [R] float64; a class that never gets so far counts as 0.
    """
    total = np.zeros(len(recalls))
    for recall, precision in diagnosis.curves:
        best = np.maximum.accumulate(precision[::-1])[::-1]
        # The first true positive that gets so far; rounding makes 3 * 0.1 and
        # 3 / 10 one recall.
        first = np.searchsorted(recall, np.asarray(recalls) - 1e-9)
        total += np.append(best, 0.0)[first]
    return total / len(diagnosis.curves)


def length_names(diagnosis):
    """Names of the ranges of lengths: up to 3, 3 to 6, ..., over 18."""
    edges = [f"{edge:g}" for edge in diagnosis.length_edges]
    if not edges:
        return ["all"]
    between = [
        f"{low} to {high}"
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return [f"up to {edges[0]}", *between, f"over {edges[-1]}"]


@matplotlib.rc_context({"text.parse_math": False})  # names may hold a $
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
    mean = 100 * mean_curve(diagnosis, recalls)
    curves.plot(100 * recalls, mean, color="black")
    curves.set_title("Precision at recall: classes (grey), mean (interpolated)")
    curves.set_xlabel("Recall %")
    curves.set_ylabel("Precision %")
    _draw_kinds(kinds, diagnosis)
    names = length_names(diagnosis)
    count = np.maximum(diagnosis.instances_by_length, 1)
    bars = lengths.bar(names, 100 * diagnosis.found_by_length / count)
    lengths.bar_label(bars, [f"of {n}" for n in diagnosis.instances_by_length])
    lengths.set_title("Instances found, by length")
    lengths.set_ylabel("Found %")
    values = np.array(list(diagnosis.top_k.values()))
    names = [str(k) for k in diagnosis.top_k]
    top.plot(names, 100 * values[:, 0], marker="o", label="mAP %")
    top.plot(names, 100 * values[:, 1], marker="o", label="found %")
    top.set_title("Best detections of each video alone")
    top.set_xlabel("Detections kept")
    top.legend()
    for axes in (curves, lengths, top):
        axes.set_ylim(0, 105)
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


def _by_kind(row):
    return dict(zip(KINDS, row.tolist(), strict=True))


def _kind_lines(names, rows):
    """A line a row of counts [rows, kinds], under a head in two lines."""
    lines = [
        f"{'':<10}" + "".join(f" {head[i]:>9}" for head in _HEADS)
        for i in (0, 1)
    ]
    for name, row in zip(names, rows, strict=True):
        cells = "".join(f" {count:>9}" for count in row)
        lines.append(f"{name:<10}{cells}")
    return lines
