"""The report as text, 80 columns wide except for long names."""

import textwrap

# Lengths to which lists are cut; the JSON report has all items.
SHOWN_CLASSES = 20
SHOWN_FINDINGS = 5
_BAR = 30

_TITLES = {
    "unusable": "videos whose features cannot be used",
    "without_features": "annotated videos without features",
    "without_annotation": "features without annotation",
    "left_out": "videos left out for another reason",
    "length": "videos whose length does not match their duration",
    "late": "segments that end over a snippet after the features",
    "early": "segments that are reversed or start before their video",
    "dropped": "segments left out",
    "not_finite": "videos with NaN or infinite values",
    "constant": "videos with constant features",
    "duplicate": "groups of videos with equal features",
    "width": "videos with features of another width",
}


def render(report):
    """A report of `measure.summarize` as text, without a newline at its end."""
    return "\n".join(
        [
            *(
                f"{key.replace('_', ' ')}: {value}"
                for key, value in report["source"].items()
            ),
            "",
            *_splits(report),
            *_histogram("snippets per video", report["snippets"]),
            *_histogram("seconds per instance", report["instance_seconds"]),
            *_classes(report["classes"]),
            *_features(report["features"]),
            *_durations(report["durations"], len(report["videos"])),
            *_findings(report["findings"], report["durations"]["known"]),
        ]
    )


def _splits(report):
    """A table of the splits, and the number of labels of their videos."""
    if not report["splits"]:
        return ["no usable video"]
    lines = [
        f"{'':14}{'videos':>9}{'instances':>11}{'snippets':>11}{'hours':>9}"
    ]
    for split, row in report["splits"].items():
        lines.append(
            f"  {split:12}{row['videos']:9}{row['instances']:11}"
            f"{row['snippets']:11}{row['hours']:9.2f}"
        )
    shortest, longest = report["seconds_per_snippet"]
    to = f" to {longest:g}" if longest > shortest else ""
    lines.append(f"  a snippet lasts {shortest:g}{to} s")
    lines += ["", "videos by number of classes"]
    for split, counts in report["labels_per_video"].items():
        texts = [f"{count} with {n}" for n, count in counts.items()]
        shown = ", ".join(texts[:SHOWN_FINDINGS])
        more = len(texts) - SHOWN_FINDINGS
        shown += f" and {more} other numbers" if more > 0 else ""
        lines.append(f"  {split:12} {shown}")
    return lines


def _histogram(title, spread):
    """A histogram over all splits, with the counts of each."""
    if not spread["edges"]:
        return ["", f"{title}: none"]
    lines = [
        "",
        f"{title}: {spread['min']:g} / {spread['median']:g} / "
        f"{spread['max']:g} (min / median / max)",
        f"  {'from':>8} {'below':>8}"
        + "".join(f" {split:>10.10}" for split in spread["counts"]),
    ]
    rows = list(zip(*spread["counts"].values(), strict=True))
    largest = max(map(sum, rows))
    edges = spread["edges"]
    for start, end, row in zip(edges[:-1], edges[1:], rows, strict=True):
        bar = "#" * -(-_BAR * sum(row) // largest)  # rounded up
        counts = "".join(f" {count:10}" for count in row)
        lines.append(f"  {start:8g} {end:8g}{counts}  {bar}".rstrip())
    return lines


def _classes(classes):
    """A table of the classes, and the classes that a split lacks."""
    splits = list(next(iter(classes.values()), {}))
    lines = [
        "",
        f"classes: {len(classes)} (videos / instances)",
        f"  {'':28}" + "".join(f"{split:>16.14}" for split in splits),
    ]
    for name, row in list(classes.items())[:SHOWN_CLASSES]:
        cells = (f"{v['videos']} / {v['instances']}" for v in row.values())
        lines.append(f"  {name:28}" + "".join(f"{cell:>16}" for cell in cells))
    lines += _rest(len(classes) - SHOWN_CLASSES, "classes")
    for split in splits:
        absent = [n for n, row in classes.items() if not row[split]["videos"]]
        if absent:
            names = ", ".join(absent[:SHOWN_FINDINGS])
            more = len(absent) - SHOWN_FINDINGS
            names += f" and {more} more" if more > 0 else ""
            lines.append(f"  without a {split} video: {len(absent)} ({names})")
    return lines


def _features(found):
    if found["min"] is None:
        return ["", "features: no finite values"]
    widths = ", ".join(found["widths"])
    return [
        "",
        f"features: {widths} wide, from {found['min']:.4g} to "
        f"{found['max']:.4g}, mean {found['mean']:.4g}, standard deviation "
        f"{found['std']:.4g},",
        f"  zeros {found['share_of_zeros']:.1%}, NaN {found['nan']}, "
        f"infinite {found['infinite']}",
    ]


def _durations(found, count):
    if not found["known"]:
        return ["durations: none annotated, so lengths are not checked"]
    return [
        f"durations: annotated for {found['known']} of {count} videos; median "
        f"of snippets / expected: {found['median_ratio']:.3f}",
        "  (if that is not near 1, check --fps and --frames_per_snippet)",
    ]


def _findings(findings, has_durations):
    """The findings by kind, then the kinds without findings."""
    lines = ["", "findings:"]
    for kind, items in findings.items():
        if not items:
            continue
        lines.append(f"  {_TITLES[kind]}: {len(items)}")
        for item in items[:SHOWN_FINDINGS]:
            names = ", ".join(item["videos"][:SHOWN_FINDINGS])
            more = len(item["videos"]) - SHOWN_FINDINGS
            names += f" and {more} more" if more > 0 else ""
            lines.append(f"    {names}: {item['detail']}")
        lines += ["  " + s for s in _rest(len(items) - SHOWN_FINDINGS, "")]
    clean = [
        _TITLES[kind]
        for kind, items in findings.items()
        if not items and (has_durations or kind != "length")
    ]
    if clean:
        lines += textwrap.wrap(
            f"none: {'; '.join(clean)}",
            80,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    return lines


def _rest(count, noun):
    if count <= 0:
        return []
    return [f"  and {count} more{' ' + noun if noun else ''}, in --report"]
