"""Command lines, recipes, and the flags that a run recorded."""

import dataclasses

import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.damage import SPECIAL, damaged, lines
from tests.fuzz.limits import fuzzed, reading
from tfwstal.command_line import parse
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.training import run_creation, run_folder

REFUSED = (InputError, flags.Error, OSError, UnicodeError)
NAMES = [field.name for field in dataclasses.fields(Config)]
WHOLE = "".join(
    f"--{name}={text}\n" for name, text in Config().run_flags().items()
).encode()
VALUE = (
    st.sampled_from([text[:300] for text in SPECIAL])
    | st.sampled_from(["0:1:1e-300", "1:0:0.1", "0:1e308:1e-9", "nan:1:1"])
    | st.sampled_from(["0.1:0.9:0.2", "1,2,3", "true", "hard", "1e9", "3"])
    | st.text(max_size=5)
)


@fuzzed(10_000)
@given(
    st.sampled_from(["train", "convert", "evaluate", "localize", "extract"]),
    st.lists(
        st.tuples(
            st.sampled_from(["--{}={}", "--no{}={}", "-{}={}", "{}{}", "--{}"]),
            st.sampled_from([*NAMES, "flagfile", "undefok", "helpfull", ""]),
            VALUE,
        ).map(lambda parts: parts[0].format(*parts[1:])),
        max_size=4,
    ),
)
def test_command_lines(tmp_path, command, arguments):
    with reading(tmp_path, error=REFUSED):
        assert isinstance(parse(["x", *arguments], command), Config)


@fuzzed(5_000)
@given(damaged(WHOLE) | lines("--", "--eta=0.1", "--flagfile", "--seed", "1"))
def test_flags_of_a_run(tmp_path, content):
    run = tmp_path / "run"
    run.mkdir(exist_ok=True)
    (run / run_folder.FLAGS).write_bytes(content)
    with reading(tmp_path, error=REFUSED):
        parse(["x", f"--run_dir={run}"], "localize")
    with reading(tmp_path):
        run_creation.can_resume(run, tmp_path / "data", Config().run_flags())
    with reading(tmp_path):
        fps, frames = run_folder.time_scale(run)
        assert 0 < fps < 1e9 and 0 < frames < 1e9


@pytest.mark.parametrize("text", ["0:1:1e-300", "0:1:1e-9", "1:0:1", "0:inf:1"])
@pytest.mark.parametrize(
    "name",
    [
        field.name
        for field in dataclasses.fields(Config)
        if field.type in (tuple[float, ...], tuple[int, ...])
    ],
)
def test_unusable_ranges(name, text):
    with pytest.raises(flags.Error, match=f"--{name}={text}: the range "):
        parse(["x", f"--{name}={text}"], "localize")
