r"""Searches hyper-parameters by cross-validation, Section 4.1.

    python -m tfwstal.tune --flagfile=configs/thumos14.flags --tune=losses \
        --max_trials=20 --data_dir=records --tune_dir=tuned/losses
    python -m tfwstal.tune --flagfile=configs/thumos14.flags \
        --tune=localization --data_dir=records --tune_dir=tuned/localization

The videos of the split `train` are split into --folds parts. A trial is scored
on each part by a model that was trained on the others: by its average mAP over
--tiou_thresholds. That needs the segments of the training videos, which weakly
supervised training does not have; the paper does not say what its own search
was scored on. No record of another split is read.

- losses: lambda_ct and lambda_bg start at 0.01 while lambda_smt and lambda_gui
  are searched, then those are fixed and the first two are searched. A trial is
  one training a fold.
- localization: alpha, beta and eta. One training a fold, or none with
  --run_dir, whose model localizes then; it has seen the labels of all these
  videos, so its video scores are surer than they will be on new ones.

TUNE_DIR receives results.json (every trial; flags of the search) and
best.flags, a flagfile to give after a recipe. To resume a search that was
stopped, run the same command again.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("tune")

import pathlib

from tfwstal.data import folder as records_folder
from tfwstal.data import reader
from tfwstal.method.options import ModelOptions
from tfwstal.search import grids, trials
from tfwstal.search.scorer import Scorer
from tfwstal.training import loop, run_folder
from tfwstal.training.options import TrainingOptions

# Flags that may change when a search resumes. The records and the run are
# compared by their content.
_NOT_COMPARED = ("data_dir", "run_dir", "tune_dir", "max_trials")


def main(config):
    """Searches with the flags of a Config; see the module."""
    config.require("data_dir", "tune_dir")
    with reader.readable(config.data_dir):
        scorer = make_scorer(config)
        folder = trials.TuneFolder(config.tune_dir, *_identity(config))
        values, spaces = grids.search_spaces(config.tune, config.eta)
        orders = [
            grids.trial_order(space, config.seed, config.max_trials)
            for space in spaces
        ]
        plan = scorer.plan(sum(map(len, orders)), folder.num_scores)
        print(plan, flush=True)
        scorer.prepare(folder.path)
        for number, order in enumerate(orders, 1):
            values = trials.search(number, order, values, scorer, folder)
    folder.finish(values)
    best = folder.path / trials.BEST
    print(f"\n{best}:\n{best.read_text('utf-8')}", end="")


def make_scorer(config):
    """The Scorer for the flags."""
    info = records_folder.read(config.data_dir)
    model = None
    if config.tune == "localization" and config.run_dir:
        model, classes = run_folder.load(config.run_dir)
        run_folder.check_match(model, classes, info, config.data_dir)
    return Scorer(
        loop.Training(
            info,
            config.data_dir,
            config.group(TrainingOptions),
            config.group(ModelOptions),
        ),
        config.localization_settings(),
        config.tiou_thresholds,
        config.folds,
        trains_each=config.tune == "losses",
        model=model,
    )


def _identity(config):
    """What makes a search: its flags, and the files it depends on."""
    flags = config.texts("tune")
    for name in _NOT_COMPARED:
        del flags[name]
    run = None
    if config.tune == "localization" and config.run_dir:
        run = pathlib.Path(config.run_dir) / run_folder.MODEL
    records = pathlib.Path(config.data_dir) / "metadata.json"
    return flags, {"run": run, "records": records}


if __name__ == "__main__":
    command_line.run(main, "tune")
