r"""COMMAND: detections and ground truth -> mean average precision.

    python -m tfwstal.evaluate --ground_truth=gt.json --subset=test \
        --detections=detections.json --report=report.json
"""

import collections

from tfwstal import annotations, average_precision, command_line
from tfwstal.errors import InputError


def main(config):
    """Prints the mAP table and writes the report.

    Args:
        config: a Config.

    Raises:
        InputError: for files that cannot be read or do not fit each other, and
            for a report that exists, unless --overwrite.
    """
    config.require("ground_truth", "detections")
    annotations.refuse_existing("report", config.report, config.overwrite)
    result, facts = evaluate_files(config)
    print(format_facts(facts), end="\n\n")
    print(format_table(result, config.per_class))
    if config.report:
        report = facts | report_of(result)
        annotations.write_json_atomically(config.report, report, indent=1)
        print(f"\nReport: {config.report}")


def evaluate_files(config):
    """Reads both files, checks that they fit, and evaluates.

    Args:
        config: a Config; the files and the flags for evaluating count.

    Returns:
        A pair of the MeanAveragePrecision and a dict of facts, ready for JSON:
        the choices in force, and what was counted and passed over.

    Raises:
        InputError: for files that cannot be read or do not fit each other.
    """
    everything, bad = annotations.read_ground_truth(
        config.ground_truth, config.bad_segments
    )
    detected = annotations.read_detections(config.detections)
    videos = _select_subset(everything, config)
    labels = {s.label for v in everything.values() for s in v.segments}
    labels |= {b.segment.label for b in bad}
    known, unknown = _split_unknown(detected, videos, labels)
    if unknown and not config.ignore_unknown:
        raise _unknown_error(unknown, everything, config)

    instances = annotations.to_instances(videos.values())
    detections = annotations.to_detections(known)
    result = average_precision.mean_average_precision(
        instances, detections, config.tiou_thresholds
    )
    bad = [b for b in bad if b.video_id in videos]
    scored = set(result.labels)
    facts = {
        "protocol": config.protocol,
        "ground_truth": config.ground_truth,
        "subset": config.subset,
        "detections": config.detections,
        "bad_segments": config.bad_segments,
        "ignore_unknown": config.ignore_unknown,
        "num_videos": len(videos),
        "num_videos_without_detections": sum(not known.get(v) for v in videos),
        "num_classes": len(result.labels),
        "num_instances": len(instances.labels),
        "num_detections": len(detections.labels),
        "num_unknown_detections": len(unknown),
        # Of classes that the file has, but not in this subset.
        "num_unscored_detections": sum(
            label not in scored for label in detections.labels
        ),
        "bad_segments_left_out": [str(b) for b in bad if not b.kept],
        "bad_segments_kept": [str(b) for b in bad if b.kept],
    }
    return result, facts


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
        f"protocol {facts['protocol']}"
    ]
    remarks = {
        "videos without a detection": facts["num_videos_without_detections"],
        "detections of unknown videos or classes, passed over": facts[
            "num_unknown_detections"
        ],
        "detections of classes that the subset lacks, without effect": facts[
            "num_unscored_detections"
        ],
        "bad segments of the ground truth, left out": len(
            facts["bad_segments_left_out"]
        ),
        "bad segments of the ground truth, kept": len(
            facts["bad_segments_kept"]
        ),
    }
    lines += [f"  {remark}: {n}" for remark, n in remarks.items() if n]
    return "\n".join(lines)


def format_table(result, per_class=False):
    """mAP per tIoU threshold, averages and classes, in percent.

    Args:
        result: a MeanAveragePrecision.
        per_class: whether each class has a column of its own lines too.

    Returns:
        The table as text, without a newline at its end.
    """
    lines = [f"{'tIoU':<10} {'mAP %':>6}"]
    for threshold, value in zip(result.thresholds, result.mean_ap, strict=True):
        lines.append(f"{threshold:<10g} {100 * value:6.2f}")
    means = average_precision.averages(result.mean_ap, result.thresholds)
    if means:
        lines += ["", f"{'average':<10} {'mAP %':>6}"]
        lines += [f"{name:<10} {100 * v:6.2f}" for name, v in means.items()]
    if per_class:
        lines += ["", *_class_lines(result)]
    return "\n".join(lines)


def report_of(result):
    """A MeanAveragePrecision as a dict for JSON; precisions from 0 to 1."""
    return {
        "tiou_thresholds": list(result.thresholds),
        "mAP": result.mean_ap.tolist(),
        "average_mAP": average_precision.averages(
            result.mean_ap, result.thresholds
        ),
        "per_class": {
            label: {"num_instances": int(count), "AP": ap.tolist()}
            for label, count, ap in zip(
                result.labels, result.num_instances, result.ap.T, strict=True
            )
        },
    }


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
