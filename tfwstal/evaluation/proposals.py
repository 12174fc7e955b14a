"""Scores, table and reports of results as class-agnostic proposals."""

from tfwstal.errors import InputError
from tfwstal.evaluation import comparison, tables
from tfwstal.evaluation.average_precision.average_recall import average_recall
from tfwstal.evaluation.summary import Summary

# The budgets that papers quote: mean numbers of proposals per video.
BUDGETS = (1, 5, 10, 50, 100)


def check_options(options, refused):
    """Checks that only options are set which proposals have a use for.

    Args:
        options: EvaluationOptions.
        refused: dict from the name of a flag to whether it is set.

    Raises:
        InputError: names the first flag that has no meaning here.
    """
    refused = refused | {
        "protocol=thumos14": options.protocol == "thumos14",
        "ambiguous_rule=neutral": options.rule_for_ambiguous == "neutral",
    }
    for name, is_set in refused.items():
        if is_set:
            raise InputError(
                f"--{name} has no meaning with --proposals, which gives AR@AN "
                "and AUC alone; remove one of the two"
            )


def summarize(inputs):
    """Scores results as proposals and compares them.

    Args:
        inputs: list of inputs.Inputs with one class.

    Returns:
        summary.Summary.

    Raises:
        InputError: if a file has no proposal in the videos that count.
    """
    lines, reports, rows = [], [], []
    names = comparison.short_names(
        [each.facts["detections"] for each in inputs]
    )
    for name, each in zip(names, inputs, strict=True):
        if len(inputs) > 1:
            lines.append(f"{each.facts['detections']}:")
        try:
            found = average_recall(each.instances, each.detections)
        except ValueError as error:
            raise InputError(
                f"{each.facts['detections']}: {error}; see whether the file "
                "is of this --subset"
            ) from None
        at = {budget: found.at(budget) for budget in BUDGETS}
        rows.append((name, *at.values(), found.auc))
        lines.append(tables.format_facts(each.facts))
        reports.append(each.facts | _report_of(found))
    heads = ("%", *(f"AR@{budget}" for budget in BUDGETS), "AUC")
    table = comparison.Table(heads, tuple(rows))
    text = "\n".join(lines) + "\n\n" + comparison.as_text(table)
    return Summary(text, reports, [table])


def _report_of(found):
    """Converts an AverageRecall to a dict for JSON, values in [0, 1]."""
    return {
        "tiou_thresholds": list(found.thresholds),
        "AUC": found.auc,
        "proposals_per_video": found.proposals_per_video.tolist(),
        "average_recall": found.average.tolist(),
        "recall": found.recall.tolist(),
    }
