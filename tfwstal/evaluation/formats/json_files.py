"""JSON detections: {"results": {video: [...]}}, or {video: [...]} alone."""

import json

from tfwstal.data.json_fields import duplicate_key
from tfwstal.errors import quoted
from tfwstal.evaluation.formats.problem import Problem


def read(content):
    """Parses a JSON file.

    Args:
        content: bytes.

    Returns:
        dict video id -> list of {"label", "score", "segment"}, not checked.

    Raises:
        Problem: if the content has another form.
    """
    try:
        found = json.loads(content, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise Problem(f"is not JSON ({error})") from None
    if isinstance(found, dict) and "results" in found:
        found = found["results"]
    if not isinstance(found, dict):
        raise Problem("has no object 'results', and is not {video: [...]}")
    if any(not isinstance(entries, list) for entries in found.values()):
        name = next(k for k, v in found.items() if not isinstance(v, list))
        raise Problem(
            f"has no object 'results', and {quoted(name)} is not a video's list"
        )
    return found


def _without_duplicates(pairs):
    """A JSON object; Python's own reader silently keeps the last of equals."""
    if (key := duplicate_key(pairs)) is not None:
        raise Problem(f"{quoted(key)} occurs twice in one object; remove one")
    return dict(pairs)
