"""Names of videos and classes."""

import difflib

from tfwstal.errors import InputError

# Messages show names whole, and features are files called after their videos;
# file systems allow 255 bytes.
_LONGEST = 200


def name_problem(name):
    """Checks the name of a video or a class.

    Names become lines of files and keys of JSON. Control characters, line
    breaks, lone surrogates and whitespace at the ends would change when they
    are read back.

    Returns:
        the end of a sentence such as "is empty", or "" for a usable name.
    """
    if not name.strip():
        return "is empty"
    if name != name.strip():
        return "begins or ends with a blank"
    if not name.isprintable():
        return "contains a line break or another non-printable character"
    if len(name) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    return ""


def unknown_video(flag, video, known, where):
    """The InputError for a flag that names a video which does not exist.

    Args:
        flag: name of the flag.
        video: its value.
        known: ids of the videos that exist.
        where: what they are in, such as "split 'test' of records".
    """
    near = difflib.get_close_matches(video, known, n=1, cutoff=0.0)
    return InputError(
        f"--{flag}={video} is not among the {len(known)} videos of {where}"
        + "".join(f"; the nearest name is {name!r}" for name in near)
    )
