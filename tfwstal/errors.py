"""The one exception that a command turns into a line for its user."""


class InputError(ValueError):
    """Something the user can put right: a file, a value, a flag.

    The message is one line that names the file, the value and the remedy.
    `command_line.run` prints it and exits with status 1; every other exception
    is a defect of ours and keeps its traceback.
    """


class Diverged(InputError):
    """A loss or a gradient is not finite."""


class Terminated(Exception):
    """The process was asked to end (SIGTERM), and has saved its work."""
