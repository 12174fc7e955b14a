"""The study's rows parse, and its tables show the result files."""

import statistics

import pytest

from benchmarks.study import rows, sets, tables
from tfwstal import command_line
from tfwstal.method.options import ModelOptions


@pytest.mark.parametrize(
    "stage", [each for each in rows.STAGES if each != "peer"]
)
def test_all_rows_parse_and_differ(stage):
    a_set = {"wide": "context-1-wide", "activitynet": "activitynet-1"}
    base = sets.base_flags(a_set.get(stage, "context-1"))
    found = {
        name: command_line.parse(["study", *base, *extra.split()], "train")
        for name, extra in rows.STAGES[stage].items()
    }
    assert len({repr(each) for each in found.values()}) == len(found)


def test_the_recipe_is_the_one_that_was_chosen():
    def readings(*flags):
        config = command_line.parse(["study", *flags], "train")
        return (
            config.group(ModelOptions),
            config.localization_settings(),
            config.warmup_epochs,
            config.background_warmup_epochs,
            config.rate_warmup_epochs,
        )

    chosen = readings(*rows.NARROW, *rows.RECIPE.split())
    recipe = "--flagfile=configs/thumos14.flags"
    assert readings(recipe, "--lambda_smt=0.14") == chosen
    chosen = readings(*rows.ACTIVITYNET, *rows.ACTIVITYNET_RECIPE.split())
    recipe = "--flagfile=configs/activitynet13.flags"
    assert readings(recipe, "--lambda_smt=0.14", "--subset=test") == chosen


def report(a_set, row, average, first, second):
    return {
        "set": a_set,
        "row": row,
        "tiou_thresholds": [0.1, 0.2],
        "mAP": [first, second],
        "average": average,
    }


REPORTS = [
    report("one", "a", 30.0, 0.4, 0.2),
    report("one", "a", 34.0, 0.5, 0.18),
    report("two", "a", 20.0, 0.3, 0.1),
    report("one", "a+fine", 40.0, 0.5, 0.3),
    report("one", "b", 10.0, 0.1, 0.1),
]


def test_a_table_has_a_column_for_each_set_and_the_worst_of_complete_rows():
    lines = tables.format_table(REPORTS).splitlines()
    assert lines[0] == "| row | one | two | worst |"
    spread = statistics.stdev([30.0, 34.0])
    assert lines[2:] == [
        f"| a | 32.00 ± {spread:.2f} (2) | 20.00 | 20.00 |",
        "| a+fine | 40.00 |  |  |",
        "| b | 10.00 |  |  |",
    ]


def test_a_table_of_some_rows_by_threshold():
    lines = tables.format_table(REPORTS, ["one"], ["a"], True).splitlines()
    spread = statistics.stdev([30.0, 34.0])
    assert lines[2:] == [
        f"| one | a | 2 | 45.0 | 19.0 | 32.00 ± {spread:.2f} |",
        "| one | a+fine | 1 | 50.0 | 30.0 | 40.00 |",
    ]
