"""Timing in turns, so that other load affects all compared functions."""

import time


def take_turns(steps, repeats):
    """Seconds of each function, one list each, after a warm-up.

    Args:
        steps: dict from name to a function that returns when its work is done.
        repeats: number of turns after the warm-up.
    """
    seconds = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return seconds
