"""Output files: checked before the work, written completely or not at all."""

import contextlib
import errno
import json
import os
import pathlib
import stat

from tfwstal.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_outputs(outputs, inputs, overwrite):
    """Checks that output files can be written, before any long work.

    Args:
        outputs: dict from the name of a flag to its path; "" for none.
        inputs: paths of the files that the command reads; "" for none.
        overwrite: whether existing regular files may be replaced.

    Raises:
        InputError: if a path exists and is not a regular file, exists without
            `overwrite`, is also an input or another output, or is in a folder
            that cannot be written.
    """
    read = {_identity(path) for path in inputs if path}
    written = {}
    for flag, path in outputs.items():
        if not path:
            continue
        identity = _identity(path)
        if identity in read:
            raise InputError(
                f"--{flag}={path} is also an input of this command; choose "
                "another name"
            )
        if identity in written:
            raise InputError(
                f"--{flag}={path} is also --{written[identity]}; choose "
                "another name"
            )
        written[identity] = flag
        _check_output(flag, path, overwrite)


def check_replaced_folder(flag, folder, inputs):
    """Checks that a folder which is replaced as a whole contains no input.

    Args:
        flag: name of the flag of the folder.
        folder: its path.
        inputs: dict from the name of a flag to its path; "" for none.

    Raises:
        InputError: if an input is the folder or inside it.
    """
    resolved = pathlib.Path(folder).resolve()
    for name, path in inputs.items():
        if not path:
            continue
        place = pathlib.Path(path).resolve()
        if resolved in (place, *place.parents):
            raise InputError(
                f"--{name}={path} is inside --{flag}={folder}, which would be "
                f"replaced; choose another --{flag}"
            )


def _identity(path):
    """Device and inode of an existing file, else its path without links."""
    try:
        # As in `replacing`: "new/../x" is x, although "new" does not exist.
        path = os.path.realpath(path)
        found = os.stat(path)
        return found.st_dev, found.st_ino
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return str(path)


def _check_output(flag, path, overwrite):
    if "\0" in str(path):
        raise InputError(
            f"--{flag}={str(path)!r} contains a NUL character; choose another "
            "name"
        )
    target = os.path.realpath(path)
    # Also the path itself: the target of /dev/stdout may have no name.
    found = [each for each in (path, target) if os.path.exists(each)]
    if found:
        if not stat.S_ISREG(os.stat(found[0]).st_mode):
            raise InputError(
                f"--{flag}={path} is not a regular file and is not replaced, "
                "even with --overwrite; choose another name"
            )
        if not overwrite:
            raise InputError(
                f"--{flag}={path} exists; choose another name or give "
                "--overwrite"
            )
    folder = pathlib.Path(target).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(
            f"--{flag}={path} cannot be written: {folder} is not a writable "
            "folder; choose another path"
        )


@contextlib.contextmanager
def replacing(path, temporary_name=""):
    """Yields the name of a new file that replaces `path` at the end.

        with files.replacing("result.json") as temporary:
            temporary.write_text("...")

    The new file is in the same folder, which is created if needed. After an
    error in the block, `path` is unchanged and the new file is deleted. A
    symbolic link stays a link; its target is replaced.

    Args:
        path: the file to write. An existing one is replaced if it is a regular
            file.
        temporary_name: name of the new file; by default different for each
            process. With a fixed name a run overwrites the rest of a killed
            one; only one process at a time may then write to the folder.

    Yields:
        pathlib.Path of the new file.

    Raises:
        OSError: if the file cannot be written.
    """
    path = pathlib.Path(os.path.realpath(path))
    name = temporary_name or f".{path.name}.{os.getpid()}.tmp"
    temporary = path.with_name(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        # A device or a pipe would be gone for all other programs.
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        os.replace(temporary, path)
    finally:  # after the renaming there is nothing to delete
        with contextlib.suppress(OSError):
            temporary.unlink()


def write(path, content):
    """Writes a file completely or not at all; see `replacing`.

    Args:
        path: the file; an existing regular file is replaced.
        content: str, written as UTF-8, or bytes.

    Raises:
        InputError: if the file cannot be written.
    """
    if isinstance(content, str):
        content = content.encode()
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise unwritable(path, error) from None


def write_json(path, content, indent=None):
    """Writes JSON completely or not at all.

    Args:
        path: the file; an existing regular file is replaced.
        content: a value that `json` can write, without NaN.
        indent: spaces for each level; None writes one line, which is several
            times faster and half the size.

    Raises:
        InputError: if the file cannot be written.
    """
    write(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def unwritable(path, error):
    """Returns the InputError for an OSError in writing `path`."""
    full = error.errno in _FULL
    remedy = "free some space" if full else "choose another path"
    return InputError(
        f"{path} cannot be written ({error.strerror or error}); {remedy}"
    )


def numbered_lines(path):
    """Reads the lines of a text file that are not blank.

    Returns:
        list of (number from 1, line without whitespace at its ends).

    Raises:
        InputError: if the file cannot be read, or is not UTF-8 text.
    """
    try:
        # utf-8-sig: spreadsheets begin their files with a byte order mark.
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except UnicodeError:
        raise InputError(
            f"{path}: is not UTF-8 text; check the path, or save it as UTF-8"
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    return [(n, line) for n, line in enumerate(lines, 1) if line]
