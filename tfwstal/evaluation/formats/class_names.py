"""Names of classes that files number."""

from tfwstal import files
from tfwstal.errors import InputError
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
    if all(len(pair) == 2 and pair[0].isdecimal() for pair in pairs):
        numbered = [(int(number), name) for number, name in pairs]
    else:
        numbered = list(enumerate(lines))
    classes = dict(numbered)
    if len(classes) != len(numbered) or not classes:
        raise InputError(
            f"{path}: is empty or repeats a number; write one NAME per line, "
            "or NUMBER NAME"
        )
    return classes


def name_of(label, classes):
    """The name of a class that a file gives by number; names stay.

    Args:
        label: number or text.
        classes: dict from number to class name, or None.

    Raises:
        Problem: for a number that has no name.
    """
    number = None
    if isinstance(label, (int, float)) and label == int(label):
        number = int(label)
    elif isinstance(label, str) and label.isdecimal():
        number = int(label)
    if number is None or (classes is None and isinstance(label, str)):
        return label
    if classes is None:
        raise Problem(
            f"its classes are numbers, such as {label}; name them with "
            "--classes, a file of one NAME or NUMBER NAME per line"
        )
    if number not in classes:
        raise Problem(f"class {label} is not in --classes")
    return classes[number]
