"""The order in which NumPy's quicksort leaves equal values, reproduced.

ActivityNet's kit sorts by `argsort()[::-1]`, whose order of equal values is an
accident of the algorithm, yet decides published numbers. `np.argsort` itself
cannot be asked for it: since 1.25 its vector instructions order equal values
differently from one processor to the next.
"""

# NumPy sorts so few by insertion, which keeps the order of equal values.
STABLE_LENGTH = 16


def argsort(values):
    """What `np.argsort(values)` gives without vector instructions.

    It is a quicksort with the median of three as pivot (numpy/_core/src/
    npysort/quicksort.hpp), without the switch to heapsort that NumPy makes
    where the pivots are bad again and again.

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
