"""Detections in pickles, read without executing what they ask for.

ActionFormer (libs/utils/train_utils.py) writes a dict of columns: "video-id",
"t-start", "t-end", "label", "score". A pandas table has such columns too, and
a dict of videos is read as its JSON form. A list of tables holds one class
each, as AutoLoc writes them.
"""

import itertools
import math
import pickle
import struct

import numpy as np

from tfwstal.data import pickled_dtypes
from tfwstal.errors import quoted
from tfwstal.evaluation.formats import pickle_calls, texts
from tfwstal.evaluation.formats.pickle_calls import Call
from tfwstal.evaluation.formats.problem import Problem


def read(content):
    """Reads detections from a pickle.

    Args:
        content: bytes.

    Returns:
        dict video id -> list of {"label", "score", "segment"}, not checked.

    Raises:
        Problem: for anything else.
    """
    found = _load(content)
    if isinstance(found, dict) and isinstance(found.get("results"), dict):
        found = found["results"]
    if isinstance(found, dict) and not texts.columns_of(found):
        if all(isinstance(entries, list) for entries in found.values()):
            return found
    return texts.by_video(_rows(found, texts.NAMES))


def read_rows(content, names):
    """Reads the rows of a pickled table, or of a list of one per class.

    Args:
        content: bytes.
        names: columns to read, of `texts.NAMES`.

    Returns:
        iterable of tuples in the order of `names`, not checked. In a list of
        tables without labels, the place of a table is the label.

    Raises:
        Problem: for anything else.
    """
    return _rows(_load(content), names)


def _load(content):
    """The lists, dicts, text and numbers of a pickle."""
    try:
        return _plain(pickle_calls.load(content))
    except Problem:
        raise
    except (
        *(pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError),
        *(IndexError, AttributeError, OverflowError, MemoryError),
        *(RecursionError, ImportError, struct.error),
    ) as error:
        raise Problem(
            f"its pickle is damaged or of another kind ({error!s:.80})"
        ) from None


def _rows(found, names):
    """Rows of a table, or of a list of tables, one per class."""
    if not isinstance(found, list):
        return texts.rows_of_columns(found, names)
    return itertools.chain.from_iterable(
        texts.rows_of_columns(table, names, label)
        for label, table in enumerate(found)
    )


def _plain(value):
    """Turns calls into lists, dicts, text and numbers."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if not isinstance(value, Call):
        if isinstance(value, int) and value.bit_length() > 64:
            raise Problem(f"its pickle holds {quoted(value)}")
        return value
    if value.name == "DataFrame":
        return _table(value)
    if value.name == "scalar":
        kind, raw = value.arguments
        return np.frombuffer(_raw(raw), _dtype(kind)).tolist()[0]
    if value.name in ("_reconstruct", "_frombuffer"):
        return _plain(_array(value).tolist())
    raise Problem(f"its pickle holds a {value.name} where values are needed")


def _raw(value):
    """Bytes of an array, however the pickle has them."""
    if isinstance(value, Call) and value.name == "encode":
        value = value.arguments[0].encode("latin-1")
    if isinstance(value, str):
        value = value.encode("latin-1")
    if not isinstance(value, (bytes, bytearray)):
        raise Problem("its pickle holds an array without its values")
    return value


def _dtype(call):
    try:
        code = pickled_dtypes.code_of(call.arguments[0])
        return pickled_dtypes.dtype_of(code, call.state)
    except ValueError as error:
        raise Problem(f"its pickle holds {error}") from None


def _array(call):
    """The NumPy array of a recorded call."""
    if call.name == "_frombuffer":
        raw, kind, shape, order = call.arguments
        fortran, dtype = order == "F", _dtype(kind)
        values = _raw(raw)
    else:
        _, shape, kind, fortran, values = call.state
        dtype = _dtype(kind)
    if dtype.hasobject:
        if math.prod(shape) != len(values):
            raise Problem("its pickle holds a damaged array")
        flat = np.empty(len(values), object)
        flat[:] = [
            _plain(v) if isinstance(v, (Call, bytes)) else v for v in values
        ]
    else:
        flat = np.frombuffer(_raw(values), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _table(frame):
    """The columns of a pandas table: dict name -> list."""
    state = {_plain(key): value for key, value in frame.state.items()}
    manager = state.get("_mgr", state.get("_data"))
    if manager.state is None:  # pandas 1.3 and later: (blocks, axes)
        blocks, axes = manager.arguments[:2]
        blocks = [block.arguments[:2] for block in blocks]
    else:
        newest = manager.state[3][next(iter(manager.state[3]))]
        newest = {_plain(key): value for key, value in newest.items()}
        axes, blocks = newest["axes"], []
        for block in newest["blocks"]:
            block = {_plain(key): value for key, value in block.items()}
            blocks.append((block["values"], block["mgr_locs"]))
    index = {_plain(k): v for k, v in axes[0].arguments[1].items()}
    names = _plain(index["data"])
    columns = {}
    for values, places in blocks:
        if places.name == "slice":
            places = range(len(names))[slice(*places.arguments)]
        else:
            places = _array(places).tolist()
        for place, column in zip(places, _array(values), strict=True):
            columns[names[place]] = _plain(column.tolist())
    return {name: columns[name] for name in names}
