"""A folder of model versions, `1`, `2`, ..., as a model server polls it.

Several processes may export into one folder at the same time. Each writes to a
folder of its own, `incomplete-...`, and renames it to a version number when it
is complete. A number belongs to the process that created the file `.taken-N`,
which the file system allows only once. The file of the highest number stays,
so the number of a version that was moved away is not used again.
"""

import contextlib
import os
import pathlib
import re
import shutil
import time
import uuid

_INCOMPLETE = "incomplete-"
_TAKEN = ".taken-"
# The server reads a version as an int64; longer names are not versions.
_NUMBERED = re.compile(rf"(?:{re.escape(_TAKEN)})?([0-9]{{1,18}})")
# A killed export leaves its folder. Running ones take minutes.
_ABANDONED_AFTER = 24 * 3600  # seconds


@contextlib.contextmanager
def writing(base):
    """Creates a folder for a version that is being written.

    At the end of the block it is removed unless `publish` renamed it, and so
    are the folders above it that were created for it and are empty.

    Args:
        base: folder of the versions; created if needed.

    Yields:
        path of the new, empty folder inside `base`.
    """
    base = pathlib.Path(base)
    missing = [each for each in (base, *base.parents) if not each.exists()]
    try:
        base.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(base)
        path = base / f"{_INCOMPLETE}{uuid.uuid4().hex}"
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def publish(path, finish):
    """Renames a complete folder to the next version number.

    Args:
        path: the folder that `writing` created.
        finish: function of the version number, called before the renaming;
            writes what depends on the number.

    Returns:
        the version number.

    Raises:
        OSError: if the folder cannot be renamed, for example because another
            program created a folder of that name; nothing is published then.
    """
    base = path.parent
    number = _take_number(base)
    try:
        finish(number)
        # Replaces nothing but an empty folder.
        os.rename(path, base / str(number))
    except BaseException:
        if path.exists():
            _taken(base, number).unlink(missing_ok=True)
        raise
    for other in _numbers(base.glob(f"{_TAKEN}*")):
        if other < number:
            _taken(base, other).unlink(missing_ok=True)
    return number


def _take_number(base):
    """The next version number, which no other process gets."""
    while True:
        number = _highest(base) + 1
        try:
            _taken(base, number).touch(exist_ok=False)
        except FileExistsError:
            continue
        # Another process may have taken a higher one since.
        if _highest(base) == number:
            return number
        _taken(base, number).unlink(missing_ok=True)


def _taken(base, number):
    return base / f"{_TAKEN}{number}"


def _highest(base):
    return max(_numbers(base.iterdir()), default=0)


def _numbers(paths):
    matches = (_NUMBERED.fullmatch(path.name) for path in paths)
    return [int(match[1]) for match in matches if match]


def _remove_abandoned(base):
    now = time.time()
    for path in base.glob(f"{_INCOMPLETE}*"):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > _ABANDONED_AFTER:
                # Renamed first: should its owner be alive after all, it must
                # not publish a folder that is being emptied.
                doomed = path.rename(base / f"abandoned-{uuid.uuid4().hex}")
                shutil.rmtree(doomed, ignore_errors=True)
