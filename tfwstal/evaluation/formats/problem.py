"""The error of the format readers."""


class Problem(Exception):
    """Says what is wrong with a file's content, without naming the file."""
