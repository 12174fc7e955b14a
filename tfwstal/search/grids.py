"""What the grid search of Section 4.1 tries, and in which order."""

import dataclasses
import itertools
import random

from tfwstal import command_line
from tfwstal.method.options import to_text

# Section 4.1: "from 0.001 to 0.01 in the step of 0.001, and from 0.01 to 0.1
# in the step of 0.01"; for beta likewise. The two scales overlap.
_LAMBDAS = (*(i / 1000 for i in range(1, 10)), *(i / 100 for i in range(1, 11)))
_ALPHAS = tuple(i / 20 for i in range(1, 11))
_BETAS = tuple(sorted({*_ALPHAS, *(i / 10 for i in range(1, 11))}))


def search_spaces(config):
    """What is searched, one space after the other.

    Returns:
        dict of the values to begin with, and a list of spaces, each a dict
        from the name of a flag to the values it takes.
    """
    if config.tune == "losses":
        return {"lambda_ct": 0.01, "lambda_bg": 0.01}, [
            {"lambda_smt": _LAMBDAS, "lambda_gui": _LAMBDAS},
            {"lambda_ct": _LAMBDAS, "lambda_bg": _LAMBDAS},
        ]
    return {}, [
        {"alpha": _ALPHAS, "beta": _BETAS, "eta": eta_choices(config.eta)}
    ]


def eta_choices(eta):
    """Lists of thresholds around a recipe's; the paper names no others.

    The recipe's own, its lower half, its upper half, one from half its start
    on, and one of twice its step. Of a single threshold: itself, its half and
    its middle way to 1.

    Args:
        eta: the recipe's thresholds.

    Returns:
        tuple of texts as --eta takes them, the recipe's own first.
    """
    low, high = min(eta), max(eta)
    if low == high:
        return tuple(f"{each:g}" for each in (low, low / 2, (low + 1) / 2))
    step = (high - low) / (len(eta) - 1)
    middle = low + step * (len(eta) // 2)
    own, *others = (
        f"{start:g}:{stop:g}:{width:g}"
        for start, stop, width in (
            (low, high, step),
            (low, middle, step),
            (middle, high, step),
            (low / 2, high, step),
            (low, high, 2 * step),
        )
    )
    return (own if _parse_eta(own) == eta else to_text(eta), *others)


def changed(config, values):
    """The Config with a trial's values, where eta is a text."""
    if "eta" in values:
        values = values | {"eta": _parse_eta(values["eta"])}
    return dataclasses.replace(config, **values)


def _parse_eta(text):
    return command_line.parse(["tune", f"--eta={text}"], "tune").eta


def trial_order(space, config):
    """The trials of a space: its grid in an order drawn, or the first of it.

    Returns:
        list of at most --max_trials dicts of values; with a higher number it
        begins with the same ones.
    """
    grid = [
        dict(zip(space, values, strict=True))
        for values in itertools.product(*space.values())
    ]
    # Not the same order for two searches with the same values.
    random.Random(f"{config.seed}/{','.join(space)}").shuffle(grid)
    return grid[: config.max_trials or None]
