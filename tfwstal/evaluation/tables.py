"""Formats an evaluation as text for the terminal and as a dict for JSON."""

from tfwstal.evaluation import average_precision
from tfwstal.evaluation.words import counted

# Rules of EvaluationOptions, as ends of remarks.
_BAD = {"error": "refused", "skip": "skipped", "swap": "swapped"}
_UNKNOWN = {
    "error": "refused",
    "ignore": "ignored",
    "count": "counted",
}


def format_facts(facts):
    """Summary of what was evaluated, a few lines for the terminal.

    Args:
        facts: those of `inputs.Inputs`.
    """
    lines = [
        f"Subset {facts['subset']!r}: {counted(facts['num_videos'], 'video')}, "
        f"{counted(facts['num_instances'], 'instance')} of "
        f"{counted(facts['num_classes'], 'class', 'classes')}; "
        f"{counted(facts['num_detections'], 'detection')}",
        f"  protocol {facts['protocol']}; videos: {facts['videos']}; "
        f"unit: {facts['unit']}; ambiguous: {facts['num_ambiguous_segments']} "
        f"({facts['ambiguous_rule']})",
    ]
    bad = _BAD[facts["bad_detections"]]
    videos, classes = (
        _UNKNOWN[facts[f"unknown_{kind}"]] for kind in ("videos", "classes")
    )
    remarks = {
        "videos without a detection": "num_videos_without_detections",
        "instances of zero length": "num_instances_of_zero_length",
        f"detections that end before they start, {bad}": ("num_bad_detections"),
        f"detections in unknown videos, {videos}": (
            "num_detections_of_unknown_videos"
        ),
        f"detections of unknown classes, {classes}": (
            "num_detections_of_unknown_classes"
        ),
        "detections in videos that --videos leaves out, ignored": (
            "num_detections_outside_videos"
        ),
        "detections on ambiguous segments, removed": (
            "num_detections_dropped_as_ambiguous"
        ),
        "detections of classes that the subset lacks, no effect on mAP": (
            "num_unscored_detections"
        ),
    }
    remarks = {remark: facts[name] for remark, name in remarks.items()}
    remarks |= {
        "bad segments of the ground truth, left out": len(
            facts["bad_segments_left_out"]
        ),
        "bad segments of the ground truth, kept": len(
            facts["bad_segments_kept"]
        ),
    }
    lines += [f"  {remark}: {n}" for remark, n in remarks.items() if n]
    if facts["num_duplicate_detections"]:
        lines.append(
            "  detections that repeat another exactly, counted: "
            f"{facts['num_duplicate_detections']} (first: "
            f"{facts['first_duplicate_detection']})"
        )
    if facts["num_late_detections"]:
        lines.append(
            "  detections that end after their video's stated duration: "
            f"{facts['num_late_detections']} (first: "
            f"{facts['first_late_detection']}); times must be seconds"
        )
    return "\n".join(lines)


def format_table(result, per_class=False, ranges=average_precision.AVERAGES):
    """Formats mAP per tIoU threshold, averages and classes, in percent.

    Args:
        result: a MeanAveragePrecision.
        per_class: whether to add one line per class.
        ranges: averages to print, as for `average_precision.averages`.

    Returns:
        The table as text, without a newline at its end.
    """
    lines = [f"{'tIoU':<10} {'mAP %':>6}"]
    for threshold, value in zip(result.thresholds, result.mean_ap, strict=True):
        lines.append(f"{threshold:<10g} {100 * value:6.2f}")
    means = average_precision.averages(
        result.mean_ap, result.thresholds, ranges
    )
    if means:
        lines += ["", f"{'average':<10} {'mAP %':>6}"]
        lines += [f"{name:<10} {100 * v:6.2f}" for name, v in means.items()]
    if per_class:
        lines += ["", *_class_lines(result)]
    return "\n".join(lines)


def report_of(result, ranges=average_precision.AVERAGES):
    """Converts a MeanAveragePrecision to a dict for JSON, values in [0, 1]."""
    return {
        "tiou_thresholds": list(result.thresholds),
        "mAP": result.mean_ap.tolist(),
        "average_mAP": average_precision.averages(
            result.mean_ap, result.thresholds, ranges
        ),
        "per_class": {
            label: {"num_instances": int(count), "AP": ap.tolist()}
            for label, count, ap in zip(
                result.labels, result.num_instances, result.ap.T, strict=True
            )
        },
    }


def _class_lines(result):
    """AP in percent: one line per class, one column per threshold."""
    width = max(len("AP %, tIoU"), *(len(label) for label in result.labels))
    header = "".join(f" {threshold:>6g}" for threshold in result.thresholds)
    lines = [f"{'AP %, tIoU':<{width}} instances{header}"]
    for label, count, ap in zip(
        result.labels, result.num_instances, result.ap.T, strict=True
    ):
        cells = "".join(f" {100 * value:6.2f}" for value in ap)
        lines.append(f"{label:<{width}} {count:>9}{cells}")
    return lines
