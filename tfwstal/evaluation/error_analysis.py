"""Tables and JSON of a Diagnosis."""

import numpy as np

from tfwstal.evaluation.average_precision.diagnosis import BUDGETS, KINDS

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
