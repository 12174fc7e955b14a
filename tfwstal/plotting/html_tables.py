"""Tables of the page: what `evaluate` prints, the classes, the videos."""

import dataclasses
import html

import numpy as np

from tfwstal.evaluation import average_precision, scoring, tables
from tfwstal.evaluation.average_precision.by_video import score_videos


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results of `evaluate` for the tables of the page.

    Attributes:
        facts: lines about what was evaluated.
        result: MeanAveragePrecision.
        averages: dict name -> mean of mAPs.
        by_video: dict video id -> (recall, mAP), as `score_videos`.
    """

    facts: str
    result: average_precision.MeanAveragePrecision
    averages: dict
    by_video: dict

    @classmethod
    def of(cls, inputs, options):
        """Evaluates Inputs by EvaluationOptions."""
        result = scoring.score(inputs, options)
        return cls(
            tables.format_facts(inputs.facts),
            result,
            average_precision.averages(
                result.mean_ap, result.thresholds, options.averages
            ),
            score_videos(
                inputs.instances,
                inputs.detections,
                options.tiou_thresholds,
                options.protocol,
                inputs.ambiguous,
            ),
        )


def summary(evaluation):
    """The tables of `evaluate`."""
    result = evaluation.result
    rows = [
        (f"{t:g}", v)
        for t, v in zip(result.thresholds, result.mean_ap, strict=True)
    ]
    tables = [_table(("tIoU", "mAP %"), rows)]
    if evaluation.averages:
        rows = evaluation.averages.items()
        tables.append(_table(("average", "mAP %"), rows))
    best = result.ap.mean(axis=0)
    longest = max(best.max(), 1e-9)  # the best class fills its cell
    cells = "".join(
        f"<tr><td>{html.escape(result.labels[i])}<td>{100 * best[i]:.2f}"
        f'<td class="bar" data-value="{best[i]:.6f}">'
        f'<i style="width:{100 * best[i] / longest:.1f}%"></i>'
        f"<td>{result.num_instances[i]}</tr>"
        for i in np.argsort(-best, kind="stable")
    )
    heads = ("class", "AP %, mean", "", "instances")
    return (
        f"<pre>{html.escape(evaluation.facts)}</pre>"
        f'<div class="tables">{"".join(tables)}</div>'
        f"<h2>Classes</h2>{scrolled(heads, cells)}"
    )


def _table(heads, rows):
    cells = "".join(
        f"<tr><td>{html.escape(name)}<td>{100 * value:.2f}</tr>"
        for name, value in rows
    )
    return _framed(heads, cells)


def scrolled(heads, cells, name=""):
    return f'<div class="scroll">{_framed(heads, cells, name)}</div>'


def _framed(heads, cells, name=""):
    head = "".join(f"<th>{text}" for text in heads)
    return (
        f"<table{name and f' id={name}'}><thead><tr>{head}</tr></thead><tbody>"
        f"{cells}</tbody></table>"
    )


def score_cells(scores, video):
    """Recall and mAP of a video in the index; - sorts before numbers."""
    if not scores:
        return ""
    found = scores.get(video)
    return "".join(
        f"<td>{100 * value:.2f}" if found else "<td>-"
        for value in found or (0, 0)
    )
