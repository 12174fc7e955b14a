import ast
import dataclasses
import os
import re

import pytest
from absl import flags

from tests.conftest import ROOT
from tfwstal.command_line import parse
from tfwstal.config import Config, commands_of
from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision
from tfwstal.evaluation.options import EvaluationOptions
from tfwstal.training import run_folder


def config_of(*arguments):
    """The Config of a `train` command line."""
    return parse(["train", *map(str, arguments)], "train")


def test_later_flags_win_and_ranges_include_their_stop(tmp_path):
    recipe = tmp_path / "x.flags"
    recipe.write_text("# a comment\n--eta=0.1:0.9:0.2\n--seed=3\n")
    found = config_of(f"--flagfile={recipe}")
    assert found.eta == (0.1, 0.3, 0.5, 0.7, 0.9)
    assert found.seed == 3
    assert config_of(f"--flagfile={recipe}", "--eta=0.5").eta == (0.5,)


def test_recipes_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = config_of("--flagfile=configs/activitynet13.flags")
    assert found.num_snippets == 75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size=0"], "--batch_size=0: must be at least 1"),
        (["--batch_size=x"], "must be a whole number"),
        (["--eta=0.5,1.5"], "must be at most 1"),
        (["--alpha=nan"], "--alpha=nan: must be at least 0"),
        (["--learning_rate=inf"], "must be at most 1000"),
        (["--nms=fuzzy"], "must be one of hard, soft"),
        (["--family=sparce"], "must be one of plain, context, sparse"),
        (["--eta=0.1:0.9"], "ranges are start:stop:step"),
        (["--eta="], "--eta=: is empty"),
        (["--sigma=8,2"], "--sigma=8,2: 3 values are needed"),
        (["--branches=attention"], "set --lambda_smt=0 --lambda_gui=0"),
        (["--learningrate=1"], "did you mean --learning_rate?"),
        (["--feature_dim_=1"], "unknown flag --feature_dim_; see --help"),
        (
            ["--flagfile=configs/thumos41.flags"],
            "configs/thumos41.flags does not exist; the recipes are "
            "configs/acmnet_style.flags, configs/activitynet13.flags, ",
        ),
        (["stray"], "unexpected argument 'stray'"),
        (
            ["--flagfile=recipes/thumos14.flags"],
            "recipes/thumos14.flags does not exist; the recipes are configs/",
        ),
        (["--seed=5000000000"], "must be at most"),
    ],
)
def test_a_wrong_flag_says_what_and_why(arguments, message):
    with pytest.raises((flags.Error, InputError), match=re.escape(message)):
        config_of(*arguments)


def test_a_flag_that_is_gone_says_what_to_do(tmp_path):
    (tmp_path / "x.flags").write_text("--dataset_name=thumos\n")
    with pytest.raises(
        InputError,
        match="--dataset_name no longer exists: shards have the name of "
        "--output_dir; remove the flag",
    ):
        config_of(f"--flagfile={tmp_path / 'x.flags'}")


def test_an_unknown_flag_in_a_flagfile_is_an_error(tmp_path):
    (tmp_path / "x.flags").write_text("--learning_rat=0.1\n")
    with pytest.raises(flags.Error, match="learning_rat"):
        config_of(f"--flagfile={tmp_path / 'x.flags'}")


def test_a_command_says_it_in_one_line(run_command):
    found = run_command("tfwstal.train", "--batch_size=0")
    assert found.returncode == 1
    assert found.stderr == ("error: flag --batch_size=0: must be at least 1\n")


def test_help_shows_the_flags_of_the_command(run_command):
    found = run_command("tfwstal.train", "--help")
    assert "--learning_rate" in found.stdout
    assert "--num_workers" not in found.stdout  # the converter's


def test_saved_flags_give_the_same_run_again(tmp_path):
    config = Config(
        data_dir="here",
        run_dir="there",
        eta=(0.2, 0.4),
        guide_detach=True,
        lambda_gui=0.5,
        classifier="own",
        overwrite=True,
    )
    run_folder.create(tmp_path / "run", config.run_flags(), ("a",))
    flags = tmp_path / "run" / "flags.flags"
    text = flags.read_text()
    assert "run_dir" not in text and "overwrite" not in text
    again = config_of(
        f"--flagfile={flags}",
        "--run_dir=there",
        "--overwrite",
    )
    # The path was made absolute.
    assert again.data_dir == os.path.abspath("here")
    assert dataclasses.replace(again, data_dir="here") == config


def test_a_run_gives_localize_its_defaults(tmp_path):
    run = tmp_path / "run"
    run_folder.create(run, Config(alpha=0.25, beta=0.5).run_flags(), ("a",))
    found = parse(["localize", f"--run_dir={run}", "--beta=0.75"], "localize")
    assert (found.alpha, found.beta) == (0.25, 0.75)


def test_every_flag_is_explained_and_used_by_a_command():
    for field in dataclasses.fields(Config):
        assert field.metadata["help"].endswith("."), field.name
        assert commands_of(field), field.name


def test_help_has_every_flag_that_a_command_names_or_reads():
    commands = {
        field.name: commands_of(field) for field in dataclasses.fields(Config)
    }
    paths = [
        path
        for folder in ("tfwstal", "tfrecords_tools")
        for path in (ROOT / folder).glob("*.py")
        if any(path.stem in users for users in commands.values())
    ]
    assert len(paths) == 11
    for path in paths:
        text = path.read_text(encoding="utf-8")
        docs = ast.get_docstring(ast.parse(text))
        names = re.findall(r"--(\w+)", docs)
        names += re.findall(r"config\.(\w+)", text)
        for name in commands.keys() & set(names):
            assert path.stem in commands[name], (path.name, name)


@pytest.mark.parametrize(
    ("recipe", "name", "value"),
    [
        ("thumos14", "batch_size", 16),
        ("thumos14", "num_snippets", 750),
        ("thumos14", "lambda_smt", 0.05),
        (
            "thumos14_as_printed",
            "eta",
            tuple(round(0.1 + 0.025 * i, 3) for i in range(33)),
        ),
        ("thumos14_as_printed", "labels", "multi_hot"),
        ("activitynet13", "batch_size", 32),
        (
            "activitynet13",
            "eta",
            (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025),
        ),
    ],
)
def test_recipes_say_what_the_paper_says(recipe, name, value):
    found = config_of(f"--flagfile=configs/{recipe}.flags")
    assert getattr(found, name) == value


def test_all_ablation_files_parse():
    recipe = config_of("--flagfile=configs/thumos14.flags")
    rows = {
        path.stem: config_of(
            "--flagfile=configs/thumos14.flags",
            f"--flagfile=configs/ablations/{path.name}",
        )
        for path in (ROOT / "configs" / "ablations").glob("*.flags")
    }
    tables = {name: row for name, row in rows.items() if "table" in name}
    assert len(tables) == 8  # five rows of Table 3, three of Table 5
    # The baseline of Table 5 is row 3 of Table 3.
    assert len({dataclasses.astuple(row) for row in tables.values()}) == 7
    assert rows["table3_row5_smt"] == recipe  # the method itself
    others = {name: row for name, row in rows.items() if "table" not in name}
    assert {name.partition("_")[0] for name in others} == {"precision"}
    # Each changes something, and no two are equal.
    others["recipe"] = recipe
    found = {dataclasses.astuple(row) for row in others.values()}
    assert len(found) == len(others)


def test_require():
    with pytest.raises(InputError, match="--run_dir is needed"):
        Config(data_dir="here").require("data_dir", "run_dir")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "'hello' is not a flag; restore the file"),
        (b"--foo=1\n", "'foo' is not a flag; restore the file"),
        # Neither is read, nor quoted.
        (b"--flagfile=/etc/passwd\n", "'flagfile' is not a flag"),
        (b"--seed=x\n", "flag --seed=x: must be a whole number"),
        # The next line is not its value.
        (b"--data_dir\n--seed=1\n--fps\n", "flag --fps=: must be a number"),
        (b"--seed=1\xff\n", "cannot be read .it is not UTF-8 text"),
        (b"--seed=" + b"9" * 9000, "flag --seed=9+ ... 9+: .* a whole number"),
    ],
)
def test_a_damaged_line_in_a_runs_flags_names_the_file(
    tmp_path, content, message
):
    (tmp_path / "flags.flags").write_bytes(content)
    with pytest.raises(InputError, match=rf"flags\.flags:? {message}"):
        parse(["localize", f"--run_dir={tmp_path}"], "localize")


def test_a_recipe_that_is_not_utf8_is_named(tmp_path):
    recipe = tmp_path / "mine.flags"
    recipe.write_bytes("--data_dir=Übung\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"mine\.flags is not UTF-8 text; sa"):
        config_of(f"--flagfile={recipe}")


def test_visualize_evaluates_as_evaluate_does_whatever_the_run_says(tmp_path):
    config = Config(tiou_thresholds=(0.3,), alpha=0.25)
    run_folder.create(tmp_path / "run", config.run_flags(), ("a",))
    run = f"--run_dir={tmp_path / 'run'}"
    found = parse(["visualize", run], "visualize")
    assert found.alpha == 0.25
    expected = parse(["evaluate"], "evaluate")
    assert found.group(EvaluationOptions) == expected.group(EvaluationOptions)
    found = parse(["visualize", run, "--tiou_thresholds=0.5"], "visualize")
    assert found.tiou_thresholds == (0.5,)
    # tune scores trials as the run evaluates.
    assert parse(["tune", run], "tune").tiou_thresholds == (0.3,)


def test_averages_default_to_those_of_the_metric():
    assert Config().averages == average_precision.AVERAGES
