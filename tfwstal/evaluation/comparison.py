"""Tables that compare results, as text, Markdown, LaTeX and CSV."""

import csv
import dataclasses
import io
import os
import pathlib

from tfwstal import files
from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision

SUFFIXES = (".md", ".tex", ".csv")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first column holds names.

    Attributes:
        heads: one text per column.
        rows: tuples of cells: text, an int, or a float, which is a part from
            0 to 1 and is shown in percent.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple, ...]


def short_names(paths):
    """The shortest ends of paths that tell them apart, without suffixes."""
    names = [pathlib.PurePath(path).with_suffix("") for path in paths]
    parts = [name.parts for name in names]
    for count in range(1, max(map(len, parts)) + 1):
        short = [os.sep.join(each[-count:]) for each in parts]
        if len(set(short)) == len(short):
            return short
    return [str(path) for path in paths]


def result_table(names, results, ranges):
    """mAP: one row per result, one column per threshold and average.

    Args:
        names: of the results.
        results: MeanAveragePrecisions with the same thresholds.
        ranges: averages, as for `average_precision.averages`.
    """
    thresholds = results[0].thresholds
    rows, averages = [], {}
    for name, result in zip(names, results, strict=True):
        averages = average_precision.averages(
            result.mean_ap, thresholds, ranges
        )
        values = [*result.mean_ap.tolist(), *averages.values()]
        rows.append((name, *values))
    heads = ("mAP %, tIoU", *(f"{t:g}" for t in thresholds), *averages)
    return Table(heads, tuple(rows))


def class_table(names, results):
    """AP, mean over the thresholds: one row per class, one column per result.

    Args:
        names: of the results.
        results: MeanAveragePrecisions of the same ground truth.
    """
    first = results[0]
    means = [result.ap.mean(axis=0).tolist() for result in results]
    rows = zip(first.labels, first.num_instances.tolist(), *means, strict=True)
    return Table(("AP %, mean over tIoU", "instances", *names), tuple(rows))


def as_text(table):
    """The table in aligned columns, without a newline at its end."""
    lines = [table.heads, *([_shown(c) for c in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(
                zip(line, widths, strict=True)
            )
        ).rstrip()
        for line in lines
    )


def write(path, tables):
    """Writes tables to a .md, .tex or .csv file, with a blank line between.

    Raises:
        InputError: if the file cannot be written.
    """
    render = {".md": _markdown, ".tex": _latex, ".csv": _csv}
    suffix = pathlib.PurePath(path).suffix.lower()
    files.write(path, "\n".join(render[suffix](table) for table in tables))


def check_suffix(path):
    """Raises InputError unless `write` knows the suffix of `path`."""
    if pathlib.PurePath(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"--table={path} must end in {', '.join(SUFFIXES)}")


def _shown(cell):
    return f"{100 * cell:.2f}" if isinstance(cell, float) else str(cell)


def _markdown(table):
    def line(cells):
        return "| " + " | ".join(c.replace("|", r"\|") for c in cells) + " |"

    rule = "|" + "|".join(["---", *["---:"] * (len(table.heads) - 1)]) + "|"
    rows = [line([_shown(c) for c in row]) for row in table.rows]
    return "\n".join([line(table.heads), rule, *rows]) + "\n"


def _latex(table):
    """A tabular for the package booktabs."""

    def line(cells):
        return " & ".join(map(_escaped, cells)) + r" \\"

    rows = [line([_shown(c) for c in row]) for row in table.rows]
    return "\n".join(
        [
            r"\begin{tabular}{l" + "r" * (len(table.heads) - 1) + "}",
            r"\toprule",
            line(table.heads),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


_LATEX = {c: "\\" + c for c in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_LATEX |= {"^": r"\textasciicircum{}"}


def _escaped(text):
    return "".join(_LATEX.get(character, character) for character in text)


def _csv(table):
    """Percentages with all digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.heads)
    for row in table.rows:
        writer.writerow(100 * c if isinstance(c, float) else c for c in row)
    return text.getvalue()
