"""What `evaluate` evaluates: both files, read, fitted and cut to the flags."""

import collections
import dataclasses

import numpy as np

from tfwstal.data import activitynet
from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision, choices


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


def read_inputs(config):
    """Reads both files, checks that they fit, and makes the choices of flags.

    Args:
        config: a Config.

    Returns:
        Inputs.

    Raises:
        InputError: for files that cannot be read or do not fit each other.
    """
    everything, bad = activitynet.read_ground_truth(
        config.ground_truth, config.bad_segments
    )
    detected = activitynet.read_detections(config.detections)
    if not detected:
        raise InputError(
            f"{config.detections}: 'results' is empty; list each video that "
            "was localized, with [] where nothing was found"
        )
    labels = {s.label for v in everything.values() for s in v.segments}
    labels |= {b.segment.label for b in bad}
    labels.discard(choices.AMBIGUOUS)
    of_subset = _select_subset(everything, config)
    of_subset, unclear = choices.split_ambiguous(of_subset)
    if config.ambiguous:
        more = choices.read_ambiguous(config.ambiguous)
        of_subset = choices.add_ambiguous_videos(
            of_subset, more, everything, config.subset
        )
        unclear += more
    videos = choices.select_videos(of_subset, config)
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
    duplicates = list(_find_duplicates(known))
    if duplicates and config.duplicates == "error":
        raise _duplicate_error(duplicates, config)
    unclear = [row for row in unclear if row[0] in videos]
    instances, detections, unclear = choices.to_columns(
        videos, known, unclear, config
    )
    rule, dropped = choices.rule(config), 0
    if rule == "drop":
        on_ambiguous = average_precision.overlaps(detections, unclear)
        detections = choices.without(detections, on_ambiguous)
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
        "num_duplicate_detections": len(duplicates),
        "first_duplicate_detection": duplicates[0] if duplicates else None,
        "bad_segments_left_out": [str(b) for b in bad if not b.kept],
        "bad_segments_kept": [str(b) for b in bad if b.kept],
    }
    return Inputs(
        instances, detections, unclear if rule == "neutral" else None, facts
    )


def _unit(config):
    if config.unit == "seconds":
        return config.unit
    return f"snippets of {config.frames_per_snippet} / {config.fps:g} s"


def _find_duplicates(results):
    """Yields where a detection repeats one before it, as text."""
    for video_id, entries in results.items():
        seen = {}
        for i, entry in enumerate(entries):
            key = (entry["label"], entry["score"], *entry["segment"])
            first = seen.setdefault(key, i)
            if first != i:
                yield (
                    f"video {video_id!r}: detection {i} repeats detection "
                    f"{first}"
                )


def _duplicate_error(duplicates, config):
    others = len(duplicates) - 1
    count = f" (and {others} more like it)" if others else ""
    return InputError(
        f"{config.detections}: {duplicates[0]}{count}; remove one of the two, "
        "or count both with --duplicates=count"
    )


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
        f"{name} ({counted(n, 'video')})" for name, n in counts.items()
    )
    found = "has no segment" if chosen else "does not exist"
    raise InputError(
        f"{config.ground_truth}: subset {config.subset!r} {found}; choose "
        f"--subset from: {there or 'none, the file is empty'}"
    )


def _split_unknown(detected, videos, labels):
    """Detections of known videos and classes, and others as a list.

    Returns:
        dict video -> entries, and (video, index, label) of each other one.
    """
    known, unknown = {}, []
    for video_id, entries in detected.items():
        if video_id in videos:
            known[video_id] = [e for e in entries if e["label"] in labels]
        unknown += [
            (video_id, index, entry["label"])
            for index, entry in enumerate(entries)
            if video_id not in videos or entry["label"] not in labels
        ]
    return known, unknown


def _unknown_error(unknown, everything, config):
    """An InputError with the first unknown detection and a count."""
    video_id, index, label = unknown[0]
    if video_id not in everything:
        what = f"video {video_id!r} is not in {config.ground_truth}"
    elif everything[video_id].subset.casefold() != config.subset.casefold():
        what = (
            f"video {video_id!r} is in subset {everything[video_id].subset!r} "
            f"of {config.ground_truth}, not in {config.subset!r}"
        )
    else:
        what = (
            f"video {video_id!r}: detection {index}: class {label!r} is not "
            f"in {config.ground_truth}"
        )
    others = len(unknown) - 1
    count = f" (and {others} more detections like it)" if others else ""
    return InputError(
        f"{config.detections}: {what}{count}; correct the file or --subset, or "
        "pass over such detections with --ignore_unknown"
    )


def counted(number, noun, nouns=None):
    """ "1 video", "2 videos"; `nouns` where an s is not enough."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"
