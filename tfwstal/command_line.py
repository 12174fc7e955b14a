"""Parses a command line into a Config, and reports errors in one line."""

import dataclasses
import difflib
import os
import pathlib
import sys
import typing

from absl import app, flags, logging

from tfwstal import quiet_start
from tfwstal.config import RETIRED, Config, commands_of
from tfwstal.errors import (
    InputError,
    Terminated,
    one_line,
    quoted,
    shortened,
)
from tfwstal.evaluation.options import EvaluationOptions
from tfwstal.method.options import expand_range, to_text
from tfwstal.training import recorded_flags

# The recipes are beside the package in a checkout, and inside it if installed.
_RECIPE_FOLDERS = (
    pathlib.Path(__file__).parent / "configs",
    pathlib.Path(__file__).parent.parent / "configs",
)


_started = {}  # command -> its Config, once `start` has parsed the flags


def start(command, tensorflow=True):
    """Parses the process's flags before the slow imports of a command.

    A command calls this above its other imports, if it is the main module:
    `--help` and wrong flags are then answered at once, by ending the process.

    Args:
        command: name of the command, as in a field's `commands`.
        tensorflow: whether the command uses TensorFlow, which is then
            imported here without its start-up notes.
    """
    sys.excepthook = _excepthook
    _define_flags(command, flags.FLAGS)
    app.define_help_flags()
    try:
        _started[command] = parse(sys.argv, command, flags.FLAGS)
    except (flags.Error, InputError, OSError, UnicodeError) as error:
        _fail(str(error).removeprefix("ERROR:: "))
    if tensorflow:
        quiet_start.import_tensorflow()


def _excepthook(kind, error, traceback):
    """Answers Ctrl-C during the imports in a line, not with a traceback."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def run(main, command):
    """Calls `main(Config)`; then the process ends.

    Args:
        main: function of a Config.
        command: name of the command, whose flags are parsed unless `start`
            has done so.
    """
    if command not in _started:
        start(command, tensorflow=False)

    def main_or_fail(config):
        # TensorFlow reports every file it saves.
        logging.set_verbosity(logging.WARNING)
        try:
            main(config)
        except InputError as error:
            _fail(error)
        except OSError as error:
            # A full disk, a folder without permission.
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror or error}")
        except KeyboardInterrupt as error:
            advice = f": {error}" if error.args else ""
            print(f"interrupted{advice}", file=sys.stderr)
            sys.exit(130)
        except Terminated as end:
            print(f"terminated: {end}", file=sys.stderr)
            sys.exit(143)  # 128 + SIGTERM, as in a shell

    app.run(main_or_fail, flags_parser=lambda argv: _started[command])


def parse(argv, command, flag_values=None):
    """The Config of a command line.

    Args:
        argv: the command line, program name first.
        command: name of the command.
        flag_values: absl's FlagValues that hold the flags; by default new
            ones, apart from the process's.

    Raises:
        absl.flags.Error: for an unknown flag or a value out of its range.
        InputError: for flags that contradict each other or no longer exist,
            for a flagfile that is not UTF-8 text, and for all faults of the
            flags that a run recorded.
    """
    if flag_values is None:
        flag_values = flags.FlagValues()
        _define_flags(command, flag_values)
    argv, engine_arguments = _split(argv)
    argv = _with_recipes(argv)
    _parse_all(flag_values, argv, command)
    run_dir = flag_values["run_dir"].value
    recorded = pathlib.Path(run_dir) / "flags.flags"
    if (
        command in ("tune", "localize", "export", "visualize")
        and run_dir
        and recorded.is_file()
    ):
        # The run's own flags are the defaults.
        flag_values.unparse_flags()
        _parse_with_recorded(flag_values, argv, command, recorded)
    values = {
        field.name: flag_values[field.name].value
        for field in dataclasses.fields(Config)
    }
    values["engine_arguments"] += engine_arguments
    config = Config(**values)
    _check_recipes(argv, config)
    return config


def _parse_with_recorded(flag_values, argv, command, recorded):
    """Parses a correct command line again, behind the flags of a run."""
    defaults = _recorded_flags(recorded)
    if command == "visualize":  # it evaluates as `evaluate` does
        defaults += [
            f"--{field.name}={to_text(field.default)}"
            for field in dataclasses.fields(EvaluationOptions)
        ]
    try:
        _parse_all(flag_values, [argv[0], *defaults, *argv[1:]], command)
    except (flags.Error, InputError) as error:
        raise InputError(f"{recorded}: {error}") from None


def _recorded_flags(path):
    """The flags that a run recorded, as a list of --name=text.

    They are not given to absl as a flagfile: it would take the line after a
    flag without a value for its value, and read any file that a line names.
    """
    try:
        recorded = recorded_flags.read(path)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(
            f"{path} cannot be read ({reason}); restore the file"
        ) from None
    if not recorded:
        raise InputError(f"{path} is empty; restore the file")
    known = {field.name for field in dataclasses.fields(Config)} | set(RETIRED)
    for name in recorded:
        if name not in known:
            raise InputError(
                f"{path}: {quoted(name)} is not a flag; restore the file"
            )
    return [f"--{name}={text}" for name, text in recorded.items()]


def _check_recipes(argv, config):
    """Refuses a recipe as any other file: --overwrite would replace it."""
    recipes = {
        os.path.realpath(argument.partition("=")[2])
        for argument in argv
        if argument.startswith(("--flagfile=", "-flagfile="))
    }
    for field in dataclasses.fields(Config) if recipes else ():
        value = getattr(config, field.name)
        is_path = isinstance(value, str) and value
        if is_path and os.path.realpath(value) in recipes:
            raise InputError(
                f"--{field.name}={value} is also the --flagfile; choose "
                "another name"
            )


def _split(argv):
    """Our own part of a command line, and what follows a lone --."""
    if "--" not in argv:
        return argv, ()
    end = argv.index("--")
    return argv[:end], tuple(argv[end + 1 :])


def _parse_all(flag_values, argv, command):
    try:
        rest = flag_values(argv)
    except flags.UnrecognizedFlagError as error:
        if error.flagname in RETIRED:
            raise InputError(
                f"--{error.flagname} no longer exists: "
                f"{RETIRED[error.flagname]}; remove the flag"
            ) from None
        # absl proposes the flags of other commands too.
        own = [
            field.name
            for field in dataclasses.fields(Config)
            if command in commands_of(field)
        ]
        near = difflib.get_close_matches(error.flagname, own, n=2)
        proposals = " or ".join(f"--{name}" for name in near)
        raise flags.Error(
            f"unknown flag --{shortened(error.flagname)}; "
            + (f"did you mean {proposals}?" if near else "see --help")
        ) from None
    except UnicodeDecodeError:
        recipes = ", ".join(each for each in argv if "flagfile" in each)
        raise InputError(
            f"{recipes} is not UTF-8 text; save it as UTF-8"
        ) from None
    # Of absl: ValueError for --nooverwrite=1, RecursionError for the name of
    # an unknown flag that has thousands of characters.
    except (flags.Error, ValueError, RecursionError) as error:
        text = str(error)
        if len(text) > 300:
            text = f"{text[:200]} ... {text[-97:]}"
        raise flags.Error(text) from None
    if len(rest) > 1:
        raise InputError(
            f"unexpected argument {quoted(rest[1])}; flags are --name=value"
        )


def warn(message):
    """Prints one line, `warning: ...`, to standard error.

    Args:
        message: a sentence, or None, of which nothing is printed.
    """
    if message:
        print("warning:", one_line(message), file=sys.stderr)


def _fail(error):
    """Prints one line and ends the process with status 1."""
    print("error:", one_line(error), file=sys.stderr)
    sys.exit(1)


def _with_recipes(argv):
    """Lets --flagfile=configs/x.flags be found from any folder."""
    found = []
    for argument in argv:
        if argument.startswith(("--flagfile=", "-flagfile=")):
            path = pathlib.Path(argument.partition("=")[2])
            if not path.exists():
                argument = f"--flagfile={_shipped(path)}"
        found.append(argument)
    return found


def _shipped(path):
    """The recipe configs/NAME that comes with the package.

    Raises:
        InputError: if no recipe has that name; the message lists all recipes.
    """
    if path.parts[:1] == ("configs",):
        for folder in _RECIPE_FOLDERS:
            shipped = folder.joinpath(*path.parts[1:])
            if shipped.is_file():
                return shipped
    raise InputError(
        f"--flagfile={path} does not exist; the recipes are "
        f"{', '.join(_recipes())}"
    )


def _recipes():
    """The names of the shipped recipes, as for --flagfile."""
    return sorted(
        {
            f"configs/{path.name}"
            for folder in _RECIPE_FOLDERS
            for path in folder.glob("*.flags")
        }
    )


def _define_flags(command, flag_values):
    """Registers every field of Config as an absl flag."""
    types = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        meta = field.metadata
        if types[field.name] is bool:  # --name and --noname
            flags.DEFINE_boolean(
                field.name, field.default, meta["help"], flag_values
            )
        else:
            parser = _Parser(
                types[field.name], meta["low"], meta["high"], meta["choices"]
            )
            flags.DEFINE(
                parser,
                field.name,
                field.default,
                meta["help"],
                flag_values,
                _Serializer(),
            )
            if meta.get("optional_value"):
                # absl allows only boolean flags to have no value.
                flag_values[field.name].boolean = True
        if command in commands_of(field):
            # absl shows the key flags of the main module, whose name to it
            # is the path that was run.
            flag_values.register_key_flag_for_module(
                sys.argv[0], flag_values[field.name]
            )


class _Serializer(flags.ArgumentSerializer):
    def serialize(self, value):
        return to_text(value)


class _Parser(flags.ArgumentParser):
    """Parses one flag's text into its Python type, within its bounds."""

    def __init__(self, kind, low, high, choices):
        self.syntactic_help = "" if not choices else f"<{'|'.join(choices)}>"
        self._kind, self._choices = kind, choices
        self._low, self._high = low, high

    def parse(self, argument):
        """Returns the value, raises ValueError with a clear sentence."""
        if not isinstance(argument, str):  # a default
            return argument
        if typing.get_origin(self._kind) is tuple:
            item = typing.get_args(self._kind)[0]
            return tuple(
                self._check(item, value)
                for part in filter(None, argument.split(","))
                for value in self._expand(item, part.strip())
            )
        return self._check(self._kind, argument)

    def flag_type(self):
        kind = self._kind
        return getattr(kind, "__name__", "list") + (
            "" if kind in (str, int, float, bool) else " of values"
        )

    def _expand(self, item, part):
        """`0.1:0.9:0.2` is start:stop:step, with the stop."""
        if item is str or ":" not in part:
            return [part]
        return map(str, expand_range(part))

    def _check(self, kind, text):
        if "\0" in text:
            raise ValueError("must not contain a NUL character")
        try:
            value = kind(text)
        except ValueError:
            noun = "whole number" if kind is int else "number"
            raise ValueError(f"must be a {noun}") from None
        if self._choices and value not in self._choices:
            raise ValueError(f"must be one of {', '.join(self._choices)}")
        # `not >=` also refuses nan.
        if self._low is not None and not value >= self._low:
            raise ValueError(f"must be at least {self._low:g}")
        if self._high is not None and not value <= self._high:
            raise ValueError(f"must be at most {self._high:g}")
        if kind is float and value == float("inf"):
            raise ValueError("must be finite")
        return value
