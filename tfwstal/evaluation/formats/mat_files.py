"""Detections in MATLAB files."""

import numpy as np

from tfwstal.evaluation.formats import mat_arrays, texts
from tfwstal.evaluation.formats.problem import Problem


def read(content):
    """Reads a table of detections from a MATLAB file of version 5 to 7.

    The table is a matrix or cell array with five columns: video, start, end,
    class and score; a structure or an array of structures with such fields; or
    a variable for each. A video may be a number: 7 is video_test_0000007.

    Args:
        content: bytes.

    Returns:
        dict video id -> list of {"label", "score", "segment"}, not checked.

    Raises:
        Problem: if the file is damaged, or has no such table.
    """
    columns = {
        name: [_plain(value) for value in np.ravel(column)]
        for name, column in _columns(_variables(content)).items()
    }
    rows = texts.rows_of_columns(columns, texts.NAMES)
    return texts.by_video((_video(video), *rest) for video, *rest in rows)


def _variables(content):
    """The variables of a MATLAB file: dict name -> array."""
    try:
        found = mat_arrays.read(content)
    except mat_arrays.AnotherVersion:
        raise Problem(
            "is not a MATLAB file of version 5 to 7; save it with -v7"
        ) from None
    except mat_arrays.Damaged as error:
        raise Problem(f"is a damaged MATLAB file ({error!s:.80})") from None
    return {name: value for name, value in found.items() if name}


def _columns(variables):
    """Columns of the table: dict name -> array."""
    if len(variables) != 1:
        return variables
    (table,) = variables.values()
    if table.dtype.names and table.size == 1:
        return {name: table[name].item() for name in table.dtype.names}
    if table.dtype.names:
        return {name: table[name] for name in table.dtype.names}
    if table.ndim == 2 and table.shape[1] == len(texts.NAMES):
        return dict(zip(texts.NAMES, table.T, strict=True))
    raise Problem(
        f"its variable has the shape {table.shape}; five columns are needed: "
        "video, start, end, class, score"
    )


def _plain(value):
    """A number or text, out of the arrays that cells hold."""
    while isinstance(value, np.ndarray):
        if value.size != 1:
            raise Problem(f"one of its cells has {value.size} values")
        value = value.item()
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, (str, int, float)):
        raise Problem("one of its cells is neither a number nor text")
    return value


def _video(value):
    if isinstance(value, str):
        return value.strip()
    if not float(value).is_integer() or value < 0:
        raise Problem(f"{value} is not a video number")
    return f"video_test_{int(value):07d}"
