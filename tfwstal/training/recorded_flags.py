"""The flags that a run recorded, read without the command line's parser."""


def read(path):
    """The flags in a flagfile: dict from name to text, "" for none.

    Raises:
        OSError: if the file cannot be read.
        UnicodeError: if it is not UTF-8 text.
    """
    recorded = {}
    with open(path, encoding="utf-8") as file:
        for line in map(str.strip, file):
            # The syntax of absl's flagfiles.
            if line and not line.startswith(("#", "//")):
                name, _, text = line.lstrip("-").partition("=")
                recorded[name] = text
    return recorded
