"""Intervals of mAP, paired differences and tie bands, as tables and JSON."""

import numpy as np

from tfwstal.evaluation import average_precision
from tfwstal.evaluation.comparison import Table

# Part of the bootstrap draws that an interval holds.
LEVEL = 0.95
# A tie band that changes mAP by less shows in no printed digit.
_VISIBLE = 1e-4


def bootstrap(found, options, num_draws, seed):
    """mAP at each threshold and each average, of each draw.

    Draws are paired across results of the same videos.

    Args:
        found: list of inputs.Inputs.
        options: EvaluationOptions.
        num_draws: B.
        seed: of the draws.

    Returns:
        list of dict column -> [B], one for each of `found`.
    """
    # The same videos for all: one file may add unknown ones.
    videos = sorted(set().union(*(each.videos for each in found)))
    drawn = []
    for each in found:
        values = average_precision.bootstrap(
            each.instances,
            each.detections,
            options.tiou_thresholds,
            options.protocol,
            each.ambiguous,
            videos=videos,
            num_draws=num_draws,
            seed=seed,
        )
        drawn.append(_columns(values.T, options))
    return drawn


def ties(found, result, options):
    """The worst and the best mAP that the order of equal scores allows.

    Args:
        found: inputs.Inputs.
        result: its MeanAveragePrecision.
        options: EvaluationOptions.

    Returns:
        dict column -> (worst, best).
    """
    scores = found.detections.scores
    worst = best = result.mean_ap
    if len(set(scores)) < len(scores):
        worst, best = average_precision.tie_band(
            found.instances,
            found.detections,
            options.tiou_thresholds,
            options.protocol,
            found.ambiguous,
        )
    worst, best = _columns(worst, options), _columns(best, options)
    return {name: (float(worst[name]), float(best[name])) for name in worst}


def tie_remark(band):
    """A further line if the band shows in a table's digits, else ""."""
    width = max(best - worst for worst, best in band.values())
    if width < _VISIBLE:
        return ""
    return (
        f"\n  order of equal scores: moves mAP by up to {100 * width:.2f} "
        "points (--ties shows the band)"
    )


def interval_table(names, results, drawn, options):
    """mAP and its interval: one row per column of a result.

    Args:
        names: of the results.
        results: MeanAveragePrecisions.
        drawn: from `bootstrap`.
        options: EvaluationOptions.
    """
    rows = []
    for column in drawn[0]:
        cells = []
        for result, draws in zip(results, drawn, strict=True):
            value = _columns(result.mean_ap, options)[column]
            cells.append(f"{100 * value:.2f} {_shown(draws[column])}")
        rows.append((column, *cells))
    return Table((f"mAP %, {LEVEL:.0%} interval", *names), tuple(rows))


def difference_table(names, results, drawn, options):
    """Paired differences to the first result, in points of mAP."""
    rows = []
    first = _columns(results[0].mean_ap, options)
    for column in drawn[0]:
        cells = []
        for result, draws in zip(results[1:], drawn[1:], strict=True):
            value = _columns(result.mean_ap, options)[column] - first[column]
            change = draws[column] - drawn[0][column]
            cells.append(f"{100 * value:+.2f} {_shown(change, '+')}")
        rows.append((column, *cells))
    heads = (f"minus {names[0]}, points, {LEVEL:.0%} interval", *names[1:])
    return Table(heads, tuple(rows))


def tie_table(names, bands):
    """The worst and the best mAP: one row per column of a result."""
    rows = []
    for column in bands[0]:
        pairs = [band[column] for band in bands]
        cells = [f"{100 * low:.2f} to {100 * high:.2f}" for low, high in pairs]
        rows.append((column, *cells))
    return Table(("mAP %, equal scores worst to best", *names), tuple(rows))


def report_of(draws):
    """Intervals for JSON: dict column -> [low, high], from 0 to 1."""
    return {column: list(_interval(values)) for column, values in draws.items()}


def _columns(values, options):
    """[H, ...] by threshold, and the averages: dict name -> [...]."""
    thresholds = options.tiou_thresholds
    named = {f"{t:g}": v for t, v in zip(thresholds, values, strict=True)}
    places = {round(float(t), 6): h for h, t in enumerate(thresholds)}
    for text in options.averages:
        wanted = average_precision.thresholds_of_range(text)
        if all(t in places for t in wanted):
            chosen = [values[places[t]] for t in wanted]
            named[text.removesuffix(":0.05")] = np.mean(chosen, axis=0)
    return named


def _interval(values):
    outside = (1 - LEVEL) / 2
    low, high = np.quantile(values, [outside, 1 - outside])
    return float(low), float(high)


def _shown(values, sign=""):
    low, high = _interval(values)
    return f"({100 * low:{sign}.2f} to {100 * high:{sign}.2f})"
