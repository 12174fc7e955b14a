"""Timing in turns: what is compared shares the machine's good and bad times."""

import time


def take_turns(steps, repeats):
    """Seconds of each of the functions, one list each, after a warm-up.

    Args:
        steps: dict from name to a function that returns when its work is done.
        repeats: turns, besides the one that warms up.
    """
    seconds = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return seconds
