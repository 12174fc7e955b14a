r"""COMMAND: detections and ground truth -> mean average precision.

    python -m tfwstal.evaluate --ground_truth=gt.json --subset=test \
        --detections=detections.json --report=report.json
    python -m tfwstal.evaluate ... --protocol=thumos14 \
        --ambiguous=Ambiguous_test.txt --videos=thumos14_210 --analysis \
        --picture=errors.svg
"""

import collections
import dataclasses
import pathlib

import numpy as np

from tfwstal import (
    annotations,
    average_precision,
    command_line,
    error_analysis,
    evaluation_choices,
)
from tfwstal.average_precision.diagnosis import diagnose
from tfwstal.errors import InputError


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What there is to evaluate, in the unit of --unit.

    Attributes:
        instances: Instances.
        detections: Detections.
        ambiguous: Instances that excuse false positives, or None.
        facts: dict ready for JSON: the choices in force, and what was counted
            and passed over.
    """

    instances: average_precision.Instances
    detections: average_precision.Detections
    ambiguous: average_precision.Instances | None
    facts: dict


def main(config):
    """Prints the mAP table and writes the report and the picture.

    Args:
        config: a Config.

    Raises:
        InputError: for files that cannot be read or do not fit each other, and
            for a report or a picture that exists, unless --overwrite.
    """
    config.require("ground_truth", "detections")
    annotations.refuse_existing("report", config.report, config.overwrite)
    if config.picture:
        _check_picture(config)
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
        annotations.write_json_atomically(config.report, report, indent=1)
        print(f"\nReport: {config.report}")
    if config.picture:
        from tfwstal import visualize  # slow, and seldom wanted

        picture = pathlib.Path(config.picture)
        visualize.save(error_analysis.draw(diagnosis), picture)
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


def read_inputs(config):
    """Reads both files, checks that they fit, and makes the choices of flags.

    Args:
        config: a Config.

    Returns:
        Inputs.

    Raises:
        InputError: for files that cannot be read or do not fit each other.
    """
    everything, bad = annotations.read_ground_truth(
        config.ground_truth, config.bad_segments
    )
    detected = annotations.read_detections(config.detections)
    labels = {s.label for v in everything.values() for s in v.segments}
    labels |= {b.segment.label for b in bad}
    labels.discard(evaluation_choices.AMBIGUOUS)
    of_subset = _select_subset(everything, config)
    of_subset, unclear = evaluation_choices.split_ambiguous(of_subset)
    if config.ambiguous:
        more = evaluation_choices.read_ambiguous(config.ambiguous)
        of_subset = evaluation_choices.add_ambiguous_videos(
            of_subset, more, everything, config.subset
        )
        unclear += more
    videos = evaluation_choices.select_videos(of_subset, config)
    if not any(video.segments for video in videos.values()):
        raise InputError(
            f"--videos={config.videos} leaves no segment of subset "
            f"{config.subset!r} of {config.ground_truth}; correct the list"
        )
    outside = sum(
        len(detected.pop(name))
        for name in list(detected)
        if name in of_subset and name not in videos
    )
    known, unknown = _split_unknown(detected, videos, labels)
    if unknown and not config.ignore_unknown:
        raise _unknown_error(unknown, everything, config)
    unclear = [row for row in unclear if row[0] in videos]
    instances, detections, unclear = evaluation_choices.to_columns(
        videos, known, unclear, config
    )
    rule, dropped = evaluation_choices.rule(config), 0
    if rule == "drop":
        on_ambiguous = average_precision.overlaps(detections, unclear)
        detections = evaluation_choices.without(detections, on_ambiguous)
        dropped = int(on_ambiguous.sum())
    scored = set(instances.labels)
    bad = [b for b in bad if b.video_id in videos]
    segments = np.asarray(instances.segments)
    facts = {
        "protocol": config.protocol,
        "ground_truth": config.ground_truth,
        "subset": config.subset,
        "videos": config.videos,
        "ambiguous": config.ambiguous,
        "ambiguous_rule": rule,
        "unit": _unit(config),
        "detections": config.detections,
        "bad_segments": config.bad_segments,
        "ignore_unknown": config.ignore_unknown,
        "num_videos": len(videos),
        "num_videos_without_detections": sum(not known.get(v) for v in videos),
        "num_classes": len(scored),
        "num_instances": len(instances.labels),
        "num_instances_of_zero_length": int(
            (segments[:, 0] == segments[:, 1]).sum()
        ),
        "num_ambiguous_segments": len(unclear.labels),
        "num_detections": len(detections.labels),
        "num_unknown_detections": len(unknown),
        "num_detections_outside_videos": outside,
        "num_detections_dropped_as_ambiguous": dropped,
        # Of classes that the file has, but not in this subset.
        "num_unscored_detections": sum(
            label not in scored for label in detections.labels
        ),
        "num_duplicate_detections": _count_duplicates(detections),
        "bad_segments_left_out": [str(b) for b in bad if not b.kept],
        "bad_segments_kept": [str(b) for b in bad if b.kept],
    }
    return Inputs(
        instances, detections, unclear if rule == "neutral" else None, facts
    )


def format_facts(facts):
    """What was evaluated, in a few lines for the terminal.

    Args:
        facts: as from `evaluate_files`.
    """
    lines = [
        f"Subset {facts['subset']!r}: {_count(facts['num_videos'], 'video')}, "
        f"{_count(facts['num_instances'], 'instance')} of "
        f"{_count(facts['num_classes'], 'class', 'classes')}; "
        f"{_count(facts['num_detections'], 'detection')}; "
        f"protocol {facts['protocol']}",
        f"  videos: {facts['videos']}; unit: {facts['unit']}; ambiguous "
        f"segments: {facts['num_ambiguous_segments']}, rule "
        f"{facts['ambiguous_rule']}",
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
        "detections that repeat another exactly, counted": (
            "num_duplicate_detections"
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
    annotations.refuse_existing("picture", config.picture, config.overwrite)


def _unit(config):
    if config.unit == "seconds":
        return config.unit
    return f"snippets of {config.frames_per_snippet} / {config.fps:g} s"


def _count_duplicates(detections):
    """Detections less those that differ in anything."""
    columns = (detections.videos, detections.labels, detections.scores)
    segments = map(tuple, np.asarray(detections.segments).tolist())
    rows = list(zip(*columns, segments, strict=True))
    return len(rows) - len(set(rows))


def _count(number, noun, nouns=None):
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


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


def _select_subset(videos, config):
    """The videos of --subset; the case of its name does not matter."""
    subset = config.subset.casefold()
    chosen = {
        name: video
        for name, video in videos.items()
        if video.subset.casefold() == subset
    }
    if any(video.segments for video in chosen.values()):
        return chosen
    counts = collections.Counter(v.subset for v in videos.values())
    there = ", ".join(
        f"{name} ({_count(n, 'video')})" for name, n in counts.items()
    )
    found = "has no segment" if chosen else "does not exist"
    raise InputError(
        f"{config.ground_truth}: subset {config.subset!r} {found}; choose "
        f"--subset from: {there or 'none, the file is empty'}"
    )


def _split_unknown(detected, videos, labels):
    """Detections of known videos and classes, and (video, label) of others."""
    known, unknown = {}, []
    for video_id, entries in detected.items():
        if video_id in videos:
            known[video_id] = [e for e in entries if e["label"] in labels]
        unknown += [
            (video_id, entry["label"])
            for entry in entries
            if video_id not in videos or entry["label"] not in labels
        ]
    return known, unknown


def _unknown_error(unknown, everything, config):
    """An InputError with the first unknown detection and a count."""
    video_id, label = unknown[0]
    if video_id not in everything:
        what = f"video {video_id!r} is not in {config.ground_truth}"
    elif everything[video_id].subset.casefold() != config.subset.casefold():
        what = (
            f"video {video_id!r} is in subset {everything[video_id].subset!r} "
            f"of {config.ground_truth}, not in {config.subset!r}"
        )
    else:
        what = (
            f"class {label!r}, detected in video {video_id!r}, is not in "
            f"{config.ground_truth}"
        )
    others = len(unknown) - 1
    count = f" (and {others} more detections like it)" if others else ""
    return InputError(
        f"{config.detections}: {what}{count}; correct the file or --subset, or "
        "pass over such detections with --ignore_unknown"
    )


if __name__ == "__main__":
    command_line.run(main, "evaluate")
