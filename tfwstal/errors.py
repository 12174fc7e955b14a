"""The one exception that a command turns into a line for its user."""

import reprlib

_MOST_QUOTED = 80  # characters of an input in a message

# What code that expects other content raises at a file's JSON.
UNEXPECTED_JSON = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
)


def one_line(message):
    """A message as one line of characters that print.

    Messages name files and quote values, which may have line breaks, or text
    that a terminal takes for an instruction.
    """
    text = " ".join(str(message).split())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class InputError(ValueError):
    """Something the user can put right: a file, a value, a flag.

    The message is one line that names the file, the value and the remedy.
    `command_line.run` prints it and exits with status 1; every other exception
    is a defect of ours and keeps its traceback.
    """

    def __init__(self, message):
        super().__init__(one_line(message))


class Diverged(InputError):
    """A loss or a gradient is not finite."""


def quoted(value):
    """A value of an input as messages show it, in 80 characters at most."""
    # Python refuses to write whole numbers of thousands of digits.
    if isinstance(value, int) and value.bit_length() > 10_000:
        return f"a number of {value.bit_length()} bits"
    # reprlib goes into a few items of lists alone: a file of a few bytes may
    # have lists that hold one another millions of times.
    plain = isinstance(value, (str, bytes, int, float))
    text = repr(value) if plain else reprlib.repr(value)
    return shortened(text)


def shortened(text):
    """The first 80 characters of a text, with dots where it goes on."""
    if len(text) <= _MOST_QUOTED:
        return text
    return text[: _MOST_QUOTED - 3] + "..."


class Terminated(Exception):
    """The process was asked to end (SIGTERM), and has saved its work."""
