"""Names of classes that files number."""

from tfwstal import files
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError, quoted
from tfwstal.evaluation.formats.problem import Problem


def read_classes(path):
    """Reads a class list: one NAME per line from 0 on, or NUMBER NAME.

    Returns:
        dict from int to name.

    Raises:
        InputError: if the file cannot be read, or repeats a number.
    """
    lines = [line for _, line in files.numbered_lines(path)]
    pairs = [line.split(maxsplit=1) for line in lines]
    numbered = [(number_of(pair[0]), pair[-1]) for pair in pairs]
    if any(
        len(pair) < 2 or number is None
        for pair, (number, _) in zip(pairs, numbered, strict=True)
    ):
        numbered = list(enumerate(lines))
    classes = dict(numbered)
    if len(classes) != len(numbered) or not classes:
        raise InputError(
            f"{path}: is empty or repeats a number; write one NAME per line, "
            "or NUMBER NAME"
        )
    for name in classes.values():
        if problem := name_problem(name):
            raise InputError(
                f"{path}: class {quoted(name)} {problem}; correct the line"
            )
    return classes


def number_of(label):
    """The whole number that a label is, as a number or as digits, or None."""
    try:
        if isinstance(label, str):
            return int(label) if label.isdecimal() else None
        if isinstance(label, (int, float)) and label == int(label):
            return int(label)
    except (ValueError, OverflowError):  # NaN, infinity, thousands of digits
        pass
    return None


def name_of(label, classes):
    """The name of a class that a file gives by number; names stay.

    Args:
        label: number or text.
        classes: dict from number to class name, or None.

    Raises:
        Problem: for a number that has no name.
    """
    number = number_of(label)
    if number is None or (classes is None and isinstance(label, str)):
        return label
    if classes is None:
        raise Problem(
            f"its classes are numbers, such as {quoted(label)}; name them with "
            "--classes, a file of one NAME or NUMBER NAME per line"
        )
    if number not in classes:
        raise Problem(f"class {quoted(label)} is not in --classes")
    return classes[number]
