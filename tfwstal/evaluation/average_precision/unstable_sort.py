"""Reproduces the order in which NumPy's quicksort leaves equal values.

ActivityNet's kit sorts by `argsort()[::-1]`. Its order of equal values is an
accident of the algorithm, but published numbers depend on it. `np.argsort`
itself does not always give that order: since NumPy 1.25, its vector
instructions order equal values differently on different processors.
"""

# NumPy sorts up to this many by insertion, which is stable.
STABLE_LENGTH = 16


def argsort(values):
    """Returns `np.argsort(values)` as it is without vector instructions.

    This is a quicksort whose pivot is the median of three (numpy/_core/src/
    npysort/quicksort.hpp), without NumPy's switch to heapsort after many bad
    pivots.

    Args:
        values: list of N floats.

    Returns:
        list of N positions, the smallest value first.
    """
    order = list(range(len(values)))
    stack = [(0, len(order) - 1)]
    while stack:
        left, right = stack.pop()
        while right - left >= STABLE_LENGTH:
            split = _partition(values, order, left, right)
            stack.append((left, split - 1))
            left = split + 1
        order[left : right + 1] = sorted(
            order[left : right + 1], key=values.__getitem__
        )
    return order


def _partition(values, order, left, right):
    """Moves what is below the pivot before it: the pivot's position."""
    middle = left + (right - left >> 1)
    for low, high in ((left, middle), (middle, right), (left, middle)):
        if values[order[high]] < values[order[low]]:
            order[low], order[high] = order[high], order[low]
    pivot = values[order[middle]]
    i, j = left, right - 1
    order[middle], order[j] = order[j], order[middle]
    while True:
        i += 1
        while values[order[i]] < pivot:
            i += 1
        j -= 1
        while pivot < values[order[j]]:
            j -= 1
        if i >= j:
            break
        order[i], order[j] = order[j], order[i]
    order[i], order[right - 1] = order[right - 1], order[i]
    return i
