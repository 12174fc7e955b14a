"""Scores, tables and reports of one or several results."""

import dataclasses

from tfwstal.evaluation import comparison, scoring, tables, uncertainty


@dataclasses.dataclass(frozen=True)
class Summary:
    """What an evaluation prints and writes.

    Attributes:
        text: for the terminal.
        reports: a dict for JSON for each result.
        tables: comparison.Tables.
    """

    text: str
    reports: list
    tables: list

    def for_json(self):
        """The report of one result, or {"results": [...]} of several."""
        if len(self.reports) == 1:
            return self.reports[0]
        return {"results": self.reports}


def summarize(
    inputs, options, *, per_class=False, ties=False, num_draws=0, seed=0
):
    """Scores results and compares them.

    Args:
        inputs: list of inputs.Inputs of the same ground truth.
        options: EvaluationOptions.
        per_class: whether to show each class.
        ties: whether to show the tie band.
        num_draws: of the bootstrap; 0 for none.
        seed: of the bootstrap.

    Returns:
        Summary.
    """
    results = [scoring.score(each, options) for each in inputs]
    bands = [
        uncertainty.ties(each, result, options)
        for each, result in zip(inputs, results, strict=True)
    ]
    lines, reports = [], []
    for each, result, band in zip(inputs, results, bands, strict=True):
        if len(inputs) > 1:
            lines.append(f"{each.facts['detections']}:")
        lines.append(
            tables.format_facts(each.facts) + uncertainty.tie_remark(band)
        )
        report = tables.report_of(result, options.averages)
        reports.append(each.facts | report | {"tie_band": band})
    names = comparison.short_names([r["detections"] for r in reports])
    shown = [comparison.result_table(names, results, options.averages)]
    if per_class:
        shown.append(comparison.class_table(names, results))
    if len(results) == 1:
        text = [tables.format_table(*results, per_class, options.averages)]
    else:
        text = [comparison.as_text(table) for table in shown]
    more = [uncertainty.tie_table(names, bands)] if ties else []
    if num_draws:
        drawn = uncertainty.bootstrap(inputs, options, num_draws, seed)
        for report, draws in zip(reports, drawn, strict=True):
            report["bootstrap"] = uncertainty.report_of(draws)
        found = (names, results, drawn, options)
        more.append(uncertainty.interval_table(*found))
        if len(results) > 1:
            more.append(uncertainty.difference_table(*found))
    text += [comparison.as_text(table) for table in more]
    lines = "\n".join(lines)
    return Summary("\n\n".join([lines, *text]), reports, shown + more)
