"""Hypothesis strategies for valid and damaged inputs.

Each example is drawn from one number. If hypothesis drew every edit of a file,
it could shrink more, but would take ten times as long.
"""

import copy
import math
import random

from hypothesis import strategies as st

# Text that breaks parsers: huge numbers, byte order marks, line ends of other
# systems, control characters, deep nesting.
SPECIAL = (
    *("nan", "inf", "-inf", "1e400", "-1", "-0.0", "0x10", "1_0", "9" * 5000),
    *("\ufeff", "\r\n", "\r", "\n", "\0", "\x1b[31m", "\x85", "\u2028"),
    *("[" * 3000, "{" * 3000, '{"a":' * 3000, '"', "'", ",", ";", "=", ":"),
    *("\\ud800", "\\u0000", "٣", "²", "ı", "字", "#", "//", "--", "..", "/"),
    *(" ", "", "\ud800", "a" * 300),
)
NUMBERS = (
    *(0, 1, -1, 2, 7, 255, 2**31, -(2**31), 2**53 + 1, 2**63, 2**64, 10**400),
    *(0.5, -0.0, 1e-320, 1e9, 1e300, math.nan, math.inf, -math.inf, 2.0),
)


def _drawn(make):
    """Turns a function of a random.Random into a function to a strategy."""

    def strategy(*arguments, **more):
        return st.integers(0, 2**48).map(
            lambda seed: make(random.Random(seed), *arguments, **more)
        )

    strategy.__doc__ = make.__doc__
    return strategy


@_drawn
def damaged(rng, *contents):
    """The bytes of one of some files after a few edits, or random bytes."""
    if rng.random() < 0.03:
        return rng.randbytes(rng.randrange(60))
    content = bytearray(rng.choice(contents))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5))):
        place = rng.randint(0, len(content))
        _EDITS[rng.randrange(len(_EDITS))](rng, content, place)
    return bytes(content)


def _flip(rng, content, place):
    content[place : place + 1] = bytes(
        byte ^ 1 << rng.randrange(8) for byte in content[place : place + 1]
    )


def _change(rng, content, place):
    values = rng.randrange(256), rng.randrange(256), 0, 255, 127, 128
    content[place : place + 1] = bytes([rng.choice(values)])


def _insert(rng, content, place):
    content[place:place] = rng.randbytes(rng.randint(1, 8))


def _insert_special(rng, content, place):
    text = rng.choice(SPECIAL).encode("utf-8", "surrogatepass")
    content[place:place] = rng.choice((text, b"\xff"))


def _remove(rng, content, place):
    del content[place : place + rng.randint(1, 16)]


def _copy(rng, content, place):
    start = rng.randint(0, len(content))
    content[place:place] = content[start : start + 24]


def _cut(rng, content, place):
    if rng.random() < 0.3:  # more often would leave little of most
        del content[place:]


_EDITS = (_flip, _flip, _change, _insert, _insert_special, _remove, _copy, _cut)


def _value(rng, words, depth=3):
    """Any value that JSON can hold; some are NaN or lone surrogates."""
    kind = rng.randrange(8 if depth else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind in (1, 2):
        return rng.choice(NUMBERS)
    if kind == 3:
        return str(rng.choice(NUMBERS[:-2]))
    if kind in (4, 5):
        return _text(rng, words)
    items = [_value(rng, words, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return items
    return {_text(rng, words): item for item in items}


def _text(rng, words):
    if words and rng.random() < 0.6:
        return rng.choice(words)
    if rng.random() < 0.5:
        return rng.choice(SPECIAL)
    return "".join(chr(rng.choice(_LETTERS)) for _ in range(rng.randrange(5)))


_LETTERS = (*range(32, 127), *range(0, 32), 160, 233, 0x2028, 0x5B57, 0x1F600)


@_drawn
def any_json(rng, *words):
    """Any value that JSON can hold; `words` are likely keys and texts."""
    return _value(rng, words)


@_drawn
def changed_json(rng, *contents, words=()):
    """One of some JSON values with parts replaced, removed or repeated."""
    if rng.random() < 0.05:
        return _value(rng, words)
    content = [copy.deepcopy(rng.choice(contents))]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        parent, key, node = content, 0, content[0]
        while isinstance(node, (dict, list)) and node:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            parent, key = node, rng.choice(keys)
            node = node[key]
            if rng.random() < 0.25:
                break
        kind = rng.randrange(5)
        if kind < 3 or parent is content:
            parent[key] = _value(rng, words)
        elif kind == 3:
            del parent[key]
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(node))
        else:
            parent[_text(rng, words)] = copy.deepcopy(node)
    return content[0]


@_drawn
def lines(rng, *words):
    """A few lines of likely or random words as UTF-8, with lone surrogates."""
    found = []
    for _ in range(rng.randrange(6)):
        separator = rng.choice((" ", " ", ",", ", ", ";", "\t", "  ", "="))
        count = rng.randrange(7)
        found.append(separator.join(_text(rng, words) for _ in range(count)))
    return "\n".join(found).encode("utf-8", "surrogatepass")
