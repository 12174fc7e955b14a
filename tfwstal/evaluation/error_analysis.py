"""Tables and JSON of a Diagnosis."""

import numpy as np

from tfwstal.evaluation.average_precision.error_kinds import ERRORS, KINDS
from tfwstal.evaluation.comparison import Table, as_text

# The characteristics of instances, with units.
CHARACTERISTICS = {
    "coverage": "coverage (share of the video)",
    "length": "length (s)",
    "instances": "instances in the video",
}
_HEADS = ("true", "double", "label", "local.", "confus.", "backgr.", "ambig.")


def format_tables(diagnosis):
    """The tables of --analysis as text, without a newline at its end."""
    tiou = tiou_text(diagnosis.thresholds)
    parts = [
        _curve_lines(diagnosis),
        f"Kinds of detections in %, {tiou}; G: instances of a class. Last: "
        "gain of mAP_N\nif the errors of a kind were removed\n"
        + as_text(_profile_table(diagnosis)),
        f"mAP_N and missed instances in %, {tiou}; mAP_N: normalized by the "
        "classes'\nfrequency\n" + as_text(_sensitivity_table(diagnosis)),
        f"Best detections of each video alone in %, {tiou}\n"
        + as_text(
            Table(
                ("kept", "mAP", "found"),
                tuple((str(k), *both) for k, both in diagnosis.top_k.items()),
            )
        ),
    ]
    if "coverage" not in diagnosis.sensitivity:
        parts[2] += (
            "\nno coverage: the ground truth lacks the duration of a video"
        )
    return "\n\n".join(parts)


def tiou_text(thresholds):
    """ "tIoU 0.5", or "tIoU 0.5 to 0.95" for a mean over thresholds."""
    if len(thresholds) == 1:
        return f"tIoU {thresholds[0]:g}"
    return f"tIoU {thresholds[0]:g} to {thresholds[-1]:g}"


def report_of(diagnosis):
    """Converts a Diagnosis to a dict for JSON; shares from 0 to 1."""
    return {
        "tiou": list(diagnosis.thresholds),
        "precision_recall": {
            str(label): {
                "recall": recall.tolist(),
                "precision": precision.tolist(),
            }
            for label, (recall, precision) in zip(
                diagnosis.labels, diagnosis.curves, strict=True
            )
        },
        "profile": [
            {
                "group": f"{group}G",
                "detections": int(size),
                "kinds": dict(zip(KINDS, shares.tolist(), strict=True)),
            }
            for group, (size, shares) in enumerate(
                zip(diagnosis.group_sizes, diagnosis.profile, strict=True), 1
            )
        ],
        "normalized_mAP": diagnosis.normalized_map,
        "normalized_mAP_gain_without": diagnosis.gains,
        "missed": diagnosis.missed,
        "sensitivity": {
            name: [
                {
                    "range": range_name,
                    "instances": size,
                    "normalized_mAP": mean_ap if size else None,
                    "missed": missed if size else None,
                }
                for range_name, size, mean_ap, missed in _rows_of(found)
            ]
            for name, found in diagnosis.sensitivity.items()
        },
        "top_k": {
            str(k): {"mAP": mean_ap, "found": recall}
            for k, (mean_ap, recall) in diagnosis.top_k.items()
        },
    }


def mean_curve(diagnosis, recalls):
    """Mean over the classes of the best precision at a recall or higher.

    Args:
        recalls: [R] from 0 to 1.

    Returns:
        [R] float64; a class that does not reach a recall counts as 0 there.
    """
    total = np.zeros(len(recalls))
    for recall, precision in diagnosis.curves:
        best = np.maximum.accumulate(precision[::-1])[::-1]
        # The first true positive that reaches a recall; rounding makes 3 * 0.1
        # and 3 / 10 one.
        first = np.searchsorted(recall, np.asarray(recalls) - 1e-9)
        total += np.append(best, 0.0)[first]
    return total / len(diagnosis.curves)


def range_names(edges):
    """Names of the ranges: "up to 3", "3 to 6", ..., "over 18"."""
    texts = [f"{edge:g}" for edge in edges]
    return [
        f"up to {texts[0]}",
        *(
            f"{low} to {high}"
            for low, high in zip(texts[:-1], texts[1:], strict=True)
        ),
        f"over {texts[-1]}",
    ]


def _curve_lines(diagnosis):
    recalls = np.arange(0.1, 1.01, 0.1)
    curve = mean_curve(diagnosis, recalls)
    return "\n".join(
        [
            "Precision % at recall %, mean over the classes, "
            + tiou_text(diagnosis.thresholds[:1]),
            "".join(f"{100 * recall:7.0f}" for recall in recalls),
            "".join(f"{100 * precision:7.2f}" for precision in curve),
        ]
    )


def _profile_table(diagnosis):
    rows = [
        (f"{group}G", int(size), *shares.tolist())
        for group, (size, shares) in enumerate(
            zip(diagnosis.group_sizes, diagnosis.profile, strict=True), 1
        )
    ]
    gains = [
        diagnosis.gains[name] if kind in ERRORS else "-"
        for kind, name in enumerate(KINDS)
    ]
    return Table(("best", "number", *_HEADS), (*rows, ("gain", "-", *gains)))


def _sensitivity_table(diagnosis):
    total = sum(next(iter(diagnosis.sensitivity.values())).num_instances)
    rows = [("all", "", int(total), diagnosis.normalized_map, diagnosis.missed)]
    for name, found in diagnosis.sensitivity.items():
        rows += [
            (CHARACTERISTICS[name], range_name, size, mean_ap, missed)
            if size
            else (CHARACTERISTICS[name], range_name, 0, "-", "-")
            for range_name, size, mean_ap, missed in _rows_of(found)
        ]
    heads = ("by", "range", "instances", "mAP_N", "missed")
    return Table(heads, tuple(rows))


def _rows_of(found):
    """Tuples (name of the range, instances, mAP_N, missed)."""
    return zip(
        [
            f"{short}: {text}"
            for short, text in zip(
                found.names, range_names(found.edges), strict=True
            )
        ],
        found.num_instances.tolist(),
        found.mean_ap.tolist(),
        found.missed.tolist(),
        strict=True,
    )
