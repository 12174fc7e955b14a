"""Number of examples of a property test, and limits for each example."""

import contextlib
import pathlib
import signal
import warnings

from hypothesis import HealthCheck, Phase, settings

from tfwstal.errors import InputError, one_line

SECONDS = 20  # for one example, on a busy machine
MEGABYTES = 256  # of new memory, for inputs of a few kB
MESSAGE = 900  # characters, without the paths


def fuzzed(long, short=30):
    """Decorator that sets the number of examples of a property test.

    Args:
        long: in `make test-fuzz`, where they depend on the seed.
        short: otherwise; the same examples in every run.
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
    """Context in which a block may read an input or refuse it in one line.

    Fails if the block raises another error, takes longer than SECONDS or needs
    more than MEGABYTES, or if the message has unprintable characters, such as
    line breaks, or quotes too much of the input.

    Args:
        *folders: paths in messages that do not count towards their length.
        error: the class of the allowed errors.

    Yields:
        An empty list, to which an error is appended after the block.
    """
    refusals = []
    try:
        with _within(SECONDS), _needing(MEGABYTES), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield refusals
    except error as refusal:
        # Other errors as commands print them.
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
    """Fails if the peak memory of a block rises by more; on Linux only."""
    process = pathlib.Path("/proc/self")
    if not (process / "clear_refs").exists():
        yield
        return
    (process / "clear_refs").write_text("5")  # resets the peak
    before = _peak_kilobytes(process)
    yield
    needed = (_peak_kilobytes(process) - before) / 1024
    assert needed <= megabytes, f"{needed:.0f} MB of memory"


def _peak_kilobytes(process):
    for line in (process / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
