"""Checked reading of JSON files: one error that names the first problem."""

import json
import math
import pathlib

from tfwstal.data.names import name_problem
from tfwstal.errors import InputError, quoted

# Seconds and scores beyond this (30 years) are mistakes, and would overflow
# the microseconds of a record.
_MOST = 1e9


class Malformed(Exception):
    """A problem with one entry of a file, as the end of a sentence."""


def read_section(path, key):
    """Reads the object under `key` of the JSON object in a file.

    Raises:
        InputError: if the file cannot be read, is not JSON, has a key twice in
            one object, or no object under `key`.
    """
    try:
        content = json.loads(
            pathlib.Path(path).read_bytes(),
            object_pairs_hook=_without_duplicates,
        )
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except Malformed as error:
        raise InputError(f"{path}: {error}; remove one of the two") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is not JSON ({error}); an ActivityNet JSON file is needed"
        ) from None
    section = content.get(key) if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise InputError(
            f"{path}: has no object {key!r}; an ActivityNet JSON file with "
            f'{{"{key}": {{video: ...}}}} is needed'
        )
    return section


def _without_duplicates(pairs):
    """A JSON object; Python's own reader silently keeps the last duplicate."""
    if (key := duplicate_key(pairs)) is not None:
        raise Malformed(f"the key {quoted(key)} is twice in one object")
    return dict(pairs)


def duplicate_key(pairs):
    """The first key of (key, value) pairs that occurs again, or None."""
    seen = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    return None


def check_name(video_id):
    """Raises Malformed unless a text can name a video."""
    if problem := name_problem(video_id):
        raise Malformed(f"its name {problem}")


def get(entry, key, kind):
    """entry[key], if it is a non-empty str or a list, as `kind` asks."""
    noun = "text" if kind is str else "list"
    if not isinstance(entry, dict) or key not in entry:
        raise Malformed(f"has no {key!r}")
    value = entry[key]
    if not isinstance(value, kind) or value == "":
        raise Malformed(f"{key!r} is {quoted(value)}, not a {noun}")
    if kind is str and name_problem(value):
        raise Malformed(f"{key!r}, {quoted(value)}, {name_problem(value)}")
    return value


def segment(entry):
    """(start, end) of an entry in seconds, finite."""
    value = get(entry, "segment", list)
    if len(value) != 2:
        raise Malformed(f"'segment' is {quoted(value)}, not [start, end]")
    return tuple(number(time, "segment") for time in value)


def number(value, name):
    """A finite float; "18.6" in quotes is accepted, as some files have it."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise Malformed(f"{name!r} holds {quoted(value)}, not a finite number")
    if abs(result) > _MOST:
        raise Malformed(f"{name!r} holds {quoted(value)}, out of range")
    return result


def first_of(path, problems, remedy):
    """An InputError with the first problem and the number of the others."""
    others = len(problems) - 1
    count = f" (and {others} more like it in the file)" if others else ""
    return InputError(f"{path}: {problems[0]}{count}; {remedy}")
