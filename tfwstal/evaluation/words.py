"""Counts in words."""


def counted(number, noun, nouns=None):
    """ "1 video", "2 videos"; `nouns` if adding an s is not enough."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"
