r"""COMMAND: detections and ground truth -> mean average precision.

    python -m tfwstal.evaluate --ground_truth=gt.json --subset=test \
        --detections=detections.json --report=report.json
    python -m tfwstal.evaluate ... --protocol=thumos14 \
        --ambiguous=Ambiguous_test.txt --videos=thumos14_210 --analysis \
        --picture=errors.svg
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("evaluate", tensorflow=False)

import pathlib

from tfwstal import files
from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision, error_analysis
from tfwstal.evaluation.average_precision.diagnosis import diagnose
from tfwstal.evaluation.inputs import counted, read_inputs


def main(config):
    """Prints the mAP table and writes the report and the picture.

    Args:
        config: a Config.

    Raises:
        InputError: for files that cannot be read or do not fit each other, and
            for a report or a picture that exists, unless --overwrite.
    """
    config.require("ground_truth", "detections")
    for text in config.averages:
        try:
            average_precision.thresholds_of_range(text)
        except ValueError as error:
            raise InputError(f"--averages: {error}") from None
    if config.picture:
        _check_picture(config)
    files.check_outputs(
        {"report": config.report, "picture": config.picture},
        [
            config.ground_truth,
            config.detections,
            config.ambiguous,
            config.videos,
        ],
        config.overwrite,
    )
    inputs = read_inputs(config)
    result = _evaluate(inputs, config)
    print(format_facts(inputs.facts), end="\n\n")
    print(format_table(result, config.per_class, config.averages))
    report = inputs.facts | report_of(result, config.averages)
    if config.analysis or config.picture:
        diagnosis = _diagnose(inputs, config)
        report["analysis"] = error_analysis.report_of(diagnosis)
    if config.analysis:
        print(f"\n{error_analysis.format_tables(diagnosis)}")
    if config.report:
        files.write_json(config.report, report, indent=1)
        print(f"\nReport: {config.report}")
    if config.picture:
        from tfwstal.plotting import errors, timeline  # matplotlib is slow

        picture = pathlib.Path(config.picture)
        timeline.save(errors.draw(diagnosis), picture)
        print(f"\nPicture: {picture}")


def evaluate_files(config):
    """Reads both files, checks that they fit, and evaluates.

    Args:
        config: a Config; the files and the flags for evaluating count.

    Returns:
        A pair of the MeanAveragePrecision and the facts of `Inputs`.

    Raises:
        InputError: for files that cannot be read or do not fit each other.
    """
    inputs = read_inputs(config)
    return _evaluate(inputs, config), inputs.facts


def format_facts(facts):
    """What was evaluated, in a few lines for the terminal.

    Args:
        facts: as from `evaluate_files`.
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
    remarks = {
        "videos without a detection": "num_videos_without_detections",
        "instances of zero length": "num_instances_of_zero_length",
        "detections of unknown videos or classes, passed over": (
            "num_unknown_detections"
        ),
        "detections of videos that --videos leaves out, passed over": (
            "num_detections_outside_videos"
        ),
        "detections on ambiguous segments, dropped": (
            "num_detections_dropped_as_ambiguous"
        ),
        "detections of classes that the subset lacks, without effect": (
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
    return "\n".join(lines)


def format_table(result, per_class=False, ranges=average_precision.AVERAGES):
    """mAP per tIoU threshold, averages and classes, in percent.

    Args:
        result: a MeanAveragePrecision.
        per_class: whether each class has a line of its own too.
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
    """A MeanAveragePrecision as a dict for JSON; precisions from 0 to 1."""
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


def _evaluate(inputs, config):
    return average_precision.mean_average_precision(
        inputs.instances,
        inputs.detections,
        config.tiou_thresholds,
        config.protocol,
        inputs.ambiguous,
    )


def _diagnose(inputs, config):
    return diagnose(
        inputs.instances,
        inputs.detections,
        config.analysis_tiou,
        config.protocol,
        inputs.ambiguous,
        config.length_edges,
    )


def _check_picture(config):
    if pathlib.Path(config.picture).suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--picture={config.picture} must end in .png or .svg")


def _class_lines(result):
    """AP in percent: a line a class, a column a threshold."""
    width = max(len("AP %, tIoU"), *(len(label) for label in result.labels))
    header = "".join(f" {threshold:>6g}" for threshold in result.thresholds)
    lines = [f"{'AP %, tIoU':<{width}} instances{header}"]
    for label, count, ap in zip(
        result.labels, result.num_instances, result.ap.T, strict=True
    ):
        cells = "".join(f" {100 * value:6.2f}" for value in ap)
        lines.append(f"{label:<{width}} {count:>9}{cells}")
    return lines


if __name__ == "__main__":
    command_line.run(main, "evaluate")
