"""Detections that do not fit: reversed, unknown, repeated, too late.

A detection is {"label", "score", "segment": [start, end]}, times in seconds.
"""

from tfwstal.errors import InputError

# Seconds that a detection may exceed its video's stated duration: the last
# snippet of a video can end after it.
_TOLERANCE = 1.0


def mend_reversed(path, detected, rule):
    """Applies `bad_detections` to detections that end before they start.

    Args:
        path: file, for messages.
        detected: dict video id -> list of detections.
        rule: "error", "skip" or "swap".

    Returns:
        the dict with such detections removed or their times swapped, and
        their number.

    Raises:
        InputError: under "error"; names the first and counts the others.
    """
    mended, bad = {}, []
    for video, entries in detected.items():
        mended[video] = []
        for index, entry in enumerate(entries):
            start, end = entry["segment"]
            if end < start:
                bad.append((video, index, start, end))
                if rule == "skip":
                    continue
                entry = entry | {"segment": [end, start]}
            mended[video].append(entry)
    if bad and rule == "error":
        video, index, start, end = bad[0]
        raise InputError(
            f"{path}: video {video!r}: detection {index}: segment "
            f"[{start:g}, {end:g}] is reversed{_more(bad)}; correct the file, "
            "or give --bad_detections=skip or --bad_detections=swap"
        )
    return mended, len(bad)


def split_unknown(path, detected, truth, options):
    """Applies `unknown_videos` and `unknown_classes`.

    Args:
        path: file, for messages.
        detected: dict video id -> list of detections.
        truth: inputs.Truth.
        options: EvaluationOptions.

    Returns:
        the dict of detections that count, and facts: how many were in unknown
        videos, and how many of the others are of unknown classes.

    Raises:
        InputError: for the first detection that a rule refuses.
    """
    rules = {kind: options.rule_of(kind) for kind in ("videos", "classes")}
    known, refused, found = {}, [], dict.fromkeys(rules, 0)
    for video, entries in detected.items():
        known[video] = []
        for index, entry in enumerate(entries):
            kind = None
            if video not in truth.videos:
                kind = "videos"
            elif entry["label"] not in truth.labels:
                kind = "classes"
            if kind:
                found[kind] += 1
                if rules[kind] == "error":
                    refused.append((video, index, entry["label"]))
                    continue
            if not kind or rules[kind] == "count":
                known[video].append(entry)
    if refused:
        raise _unknown_error(path, refused, truth, options.subset)
    return known, {
        "num_unknown_detections": sum(found.values()),
        **{f"num_detections_of_unknown_{k}": n for k, n in found.items()},
    }


def find_duplicates(detected):
    """Yields a text for each detection that repeats one of its video."""
    for video, entries in detected.items():
        seen = {}
        for i, entry in enumerate(entries):
            key = (entry["label"], entry["score"], *entry["segment"])
            first = seen.setdefault(key, i)
            if first != i:
                yield (
                    f"video {video!r}: detection {i} repeats detection {first}"
                )


def duplicate_error(path, duplicates):
    """The InputError for the texts of `find_duplicates`."""
    return InputError(
        f"{path}: {duplicates[0]}{_more(duplicates)}; remove one of the two, "
        "or count both with --duplicates=count"
    )


def find_late(detected, videos):
    """Detections that end over a second after their video's duration.

    Times given in frames instead of seconds are found by this.

    Returns:
        list of texts, one for each.
    """
    return [
        f"video {video!r}: detection {i} ends at {entry['segment'][1]:g} s, "
        f"the video lasts {videos[video].duration:g} s"
        for video, entries in detected.items()
        if video in videos and videos[video].duration is not None
        for i, entry in enumerate(entries)
        if entry["segment"][1] > videos[video].duration + _TOLERANCE
    ]


def _unknown_error(path, unknown, truth, subset):
    video, index, label = unknown[0]
    everything, short = truth.everything, "ignore_unknown"
    if video not in everything:
        what = f"video {video!r} is not in {truth.path}"
        flag = "unknown_videos"
    elif everything[video].subset.casefold() != subset.casefold():
        what = (
            f"video {video!r} is in subset {everything[video].subset!r} of "
            f"{truth.path}, not in {subset!r}"
        )
        flag = "unknown_videos"
    else:
        what = (
            f"video {video!r}: detection {index}: class {label!r} is not in "
            f"{truth.path}"
        )
        flag = "unknown_classes"
        if label.isdecimal():
            what += " (--classes=FILE names classes that are numbers)"
    others = len(unknown) - 1
    count = f" (and {others} more detections like it)" if others else ""
    return InputError(
        f"{path}: {what}{count}; correct the file or --subset, or give "
        f"--{flag}=ignore, --{flag}=count or --{short}"
    )


def _more(found):
    return f" (and {len(found) - 1} more like it)" if found[1:] else ""
