"""Tables of the study, from its result files."""

import json
import statistics

from benchmarks import ablation


def read(results):
    """The result files of a folder, as a list of dicts."""
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(results.glob("*/*.json"))
    ]


def format_table(reports, sets=None, rows=None, by_threshold=False):
    """A Markdown table of average mAPs, with a line for each row.

    Args:
        reports: dicts as `read` returns.
        sets: names of sets, in the order of the columns; default: all.
        rows: names of rows, in order, each with its ways to localize, ROW+WAY;
            default: all.
        by_threshold: print a line for each row and set with the mAP at each
            threshold, instead of a column for each set.
    """
    if sets is None:
        sets = list(dict.fromkeys(each["set"] for each in reports))
    names = sorted({each["row"] for each in reports if each["set"] in sets})
    if rows is not None:
        names = [n for row in rows for n in names if n.split("+")[0] == row]
    found = {}
    for report in reports:
        found.setdefault((report["row"], report["set"]), []).append(report)
    if by_threshold:
        return _by_threshold(found, sets, names)
    lines = [["row", *sets, "worst"], ["---"] * (len(sets) + 2)]
    for name in names:
        averages = [
            [each["average"] for each in found.get((name, a_set), ())]
            for a_set in sets
        ]
        # The worst set is unknown if a row lacks one.
        worst = (
            f"{min(map(statistics.mean, averages)):.2f}"
            if all(averages)
            else ""
        )
        lines.append([name, *map(_cell, averages), worst])
    return _markdown(lines)


def _by_threshold(found, sets, names):
    lines = []
    for a_set in sets:
        for name in names:
            reports = found.get((name, a_set))
            if not reports:
                continue
            if not lines:
                thresholds = [f"{t:g}" for t in reports[0]["tiou_thresholds"]]
                header = ["set", "row", "seeds", *thresholds, "average"]
                lines = [header, ["---"] * len(header)]
            columns = zip(*(each["mAP"] for each in reports), strict=True)
            means = [f"{100 * statistics.mean(each):.1f}" for each in columns]
            average = [each["average"] for each in reports]
            lines.append(
                [a_set, name, str(len(reports)), *means]
                + [ablation.mean_and_deviation(average)]
            )
    return _markdown(lines)


def _cell(averages):
    """Mean, and the deviation and number of seeds if there are several."""
    if not averages:
        return ""
    text = ablation.mean_and_deviation(averages)
    return f"{text} ({len(averages)})" if len(averages) > 1 else text


def _markdown(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
