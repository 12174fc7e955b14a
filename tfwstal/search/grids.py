"""The values that the grid search of Section 4.1 tries, and their order."""

import itertools
import random

from tfwstal.method.options import expand_range, to_text

# Section 4.1: "from 0.001 to 0.01 in the step of 0.001, and from 0.01 to 0.1
# in the step of 0.01"; for beta likewise. The two scales overlap.
_LAMBDAS = (*(i / 1000 for i in range(1, 10)), *(i / 100 for i in range(1, 11)))
_ALPHAS = tuple(i / 20 for i in range(1, 11))
_BETAS = tuple(sorted({*_ALPHAS, *(i / 10 for i in range(1, 11))}))


def search_spaces(kind, eta):
    """The searches to make, one after the other.

    Args:
        kind: "losses" or "localization", as --tune.
        eta: thresholds of the recipe.

    Returns:
        dict of the values to begin with, and a list of spaces, each a dict
        from the name of an option to the values it takes. Values of eta are
        texts; see `eta_choices`.
    """
    if kind == "losses":
        return {"lambda_ct": 0.01, "lambda_bg": 0.01}, [
            {"lambda_smt": _LAMBDAS, "lambda_gui": _LAMBDAS},
            {"lambda_ct": _LAMBDAS, "lambda_bg": _LAMBDAS},
        ]
    return {}, [{"alpha": _ALPHAS, "beta": _BETAS, "eta": eta_choices(eta)}]


def eta_choices(eta):
    """Lists of thresholds close to a recipe's; the paper names no others.

    They are the recipe's own, its lower half, its upper half, one that starts
    at half its start, and one with twice its step. For a single threshold:
    itself, half of it, and the middle between it and 1.

    Args:
        eta: the recipe's thresholds.

    Returns:
        tuple of texts in the syntax of --eta, the recipe's own first;
        `parse_eta` reads them.
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
    return (own if parse_eta(own) == eta else to_text(eta), *others)


def parse_eta(text):
    """The thresholds of a text of `eta_choices`, as the flag --eta reads it."""
    if ":" not in text:
        return tuple(map(float, text.split(",")))
    return expand_range(text)


def trial_order(space, seed, max_trials=0):
    """The trials of a space: its grid in random order, or the first of it.

    Args:
        space: dict from name to values, see `search_spaces`.
        seed: of the order.
        max_trials: most trials; 0 for the whole grid. A larger number begins
            with the same trials.

    Returns:
        list of dicts of values.
    """
    grid = [
        dict(zip(space, values, strict=True))
        for values in itertools.product(*space.values())
    ]
    # With the names, so that two searches over equal values differ in order.
    random.Random(f"{seed}/{','.join(space)}").shuffle(grid)
    return grid[: max_trials or None]
