"""How many examples a property test has, and what each must keep to."""

import contextlib
import pathlib
import signal
import warnings

from hypothesis import HealthCheck, Phase, settings

from tfwstal.errors import InputError, one_line

SECONDS = 20  # of one example, on a machine with other work
MEGABYTES = 256  # of new memory, for inputs of a few kB
MESSAGE = 900  # characters, without the paths


def fuzzed(long, short=30):
    """Decorator of a property test: its number of examples.

    Args:
        long: under `make test-fuzz`, where the seed decides on them.
        short: else; the same in every run.
    """
    is_long = not settings.default.derandomize
    return settings(
        max_examples=long if is_long else short,
        deadline=None,
        database=None,
        print_blob=True,
        # Without the search for an explanation, which takes minutes.
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )


@contextlib.contextmanager
def reading(*folders, error=InputError):
    """A block that reads an input: it ends well, or in a line for the user.

    Fails if the block raises anything else, takes longer than SECONDS, or
    needs more than MEGABYTES, or if the message of its error has a line break
    or another character that does not print, or quotes pages of the input.

    Args:
        *folders: paths that messages name, which do not count as quotes.
        error: the class of the errors that are lines for the user.

    Yields:
        an empty list, which has the error after the block if there was one.
    """
    refusals = []
    try:
        with _within(SECONDS), _needing(MEGABYTES), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield refusals
    except error as refusal:
        # Of other errors than ours, as commands print them.
        is_ours = isinstance(refusal, InputError)
        message = str(refusal) if is_ours else one_line(refusal)
        for folder in folders:
            message = message.replace(str(folder), "")
        assert message and message.isprintable(), repr(message)[:MESSAGE]
        assert not is_ours or len(message) <= MESSAGE, message
        refusals.append(refusal)


class _TooSlow(BaseException):  # no `except Exception` catches it
    pass


@contextlib.contextmanager
def _within(seconds):
    def stop(number, frame):
        raise _TooSlow(f"over {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _needing(megabytes):
    """Compares the most memory of a block with that at its begin; on Linux."""
    process = pathlib.Path("/proc/self")
    if not (process / "clear_refs").exists():
        yield
        return
    (process / "clear_refs").write_text("5")  # the peak is what is held now
    before = _peak_kilobytes(process)
    yield
    needed = (_peak_kilobytes(process) - before) / 1024
    assert needed <= megabytes, f"{needed:.0f} MB of memory"


def _peak_kilobytes(process):
    for line in (process / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
