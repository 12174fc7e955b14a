"""Names of videos and classes."""


def name_problem(name):
    """Tells why a text cannot name a video or a class.

    Names become lines of files and keys of JSON. Control characters, line
    breaks of any kind, lone surrogates and whitespace at the ends would not
    be read back as they were written.

    Returns:
        the end of a sentence, "is empty", or "" for a usable name.
    """
    if not name.strip():
        return "is empty"
    if name != name.strip():
        return "begins or ends with a blank"
    if not name.isprintable():
        return "holds a line break or another character that does not print"
    return ""
