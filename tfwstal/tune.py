r"""COMMAND: searches hyper-parameters by cross-validation, Section 4.1.

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

TUNE_DIR receives results.json (every trial; flags of the search), best.flags,
a flagfile that goes after a recipe, and keras_tuner/, KerasTuner's own files.
The same command goes on with a search that was stopped.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("tune")

import contextlib

import keras
import numpy as np
import tqdm

from tfwstal.data import batches
from tfwstal.data import folder as records_folder
from tfwstal.errors import Diverged, InputError
from tfwstal.search import cross_validation, grids, trials
from tfwstal.training import loop, run_folder


def main(config):
    """Searches as the Config says; see the module."""
    config.require("data_dir", "tune_dir")
    _import_keras_tuner()  # before any work, if it is not there
    with batches.readable(config.data_dir):
        scorer = Scorer(config)
        folder = trials.TuneFolder(config)
        values, spaces = grids.search_spaces(config)
        orders = [grids.trial_order(space, config) for space in spaces]
        print(scorer.plan(sum(map(len, orders)), folder), flush=True)
        scorer.prepare(folder)
        for number, order in enumerate(orders, 1):
            values = _search(number, order, values, scorer, folder)
    folder.finish(values)
    print(f"\n{folder.path / trials.BEST}:")
    print((folder.path / trials.BEST).read_text("utf-8"), end="")


class Scorer:
    """Scores trials on the folds of the training videos.

    Raises:
        InputError: for flags or records that nothing can be searched with.
    """

    def __init__(self, config):
        self._config = config
        self._run = _run_that_localizes(config)
        self._info = records_folder.read(config.data_dir)
        if self._run:
            model, classes = self._run
            run_folder.check_match(model, classes, self._info, config.data_dir)
        labels = batches.video_labels(self._info, config.data_dir, "train")
        self._folds = cross_validation.split_videos(
            labels, config.folds, config.seed
        )
        self._truth = cross_validation.segments_of_folds(
            self._info, config.data_dir, self._folds
        )
        self._outputs = None
        self.num_folds = config.folds

    def plan(self, num_trials, folder):
        """What lies ahead, in words, for a search of that many trials."""
        config = self._config
        videos = sum(map(len, self._folds))
        lines = f"{videos} training videos in {config.folds} folds\n"
        unscored = videos - sum(map(len, self._truth))
        if unscored:
            lines += f"{unscored} of them have no segments: not scored\n"
        if config.tune == "losses":
            trainings = num_trials * config.folds
            return lines + (
                f"{num_trials} trials: at most {trainings} trainings of "
                f"{config.epochs} epochs, {folder.num_scores} of them done"
            )
        if self._run:
            return lines + (
                f"{num_trials} trials without training; --run_dir has seen "
                "the labels of these videos"
            )
        return lines + (
            f"{config.folds} trainings of {config.epochs} epochs, then "
            f"{num_trials} trials without training"
        )

    def prepare(self, folder):
        """Before trials without training: all outputs that they localize."""
        if self._config.tune == "losses":
            return
        self._outputs = []
        for fold in tqdm.trange(
            self.num_folds, desc="outputs", unit="fold", disable=None
        ):
            path = folder.path / f"outputs_{fold + 1}.npz"
            if not path.is_file():
                found = self._held_out_outputs(self._config, fold)
                if not np.isfinite(found.video_scores).all():
                    raise InputError(
                        "the training has diverged; lower --learning_rate or "
                        "look at the features"
                    )
                found.save(path)
            self._outputs.append(cross_validation.HeldOutOutputs.load(path))

    def mean_score(self, values, folder, bar):
        """Scores a trial on the folds that are still to do.

        Args:
            values: dict from flag to value.
            folder: TuneFolder, which keeps each score.
            bar: progress bar of folds.

        Returns:
            mean over the folds, from 0 to 1.
        """
        for fold in range(self.num_folds):
            if fold >= len(folder.trial(values)["folds"]):
                folder.add_score(values, self._score(values, fold))
            bar.update()
        return folder.trial(values)["mean"]

    def _score(self, values, fold):
        config = grids.changed(self._config, values)
        return cross_validation.average_map(
            self._outputs[fold]
            if self._outputs
            else self._held_out_outputs(config, fold),
            self._truth[fold],
            config.localization_settings(),
            config.tiou_thresholds,
        )

    def _held_out_outputs(self, config, fold):
        model = self._run[0] if self._run else self._trained(config, fold)
        return cross_validation.held_out_outputs(
            model, self._info, config.data_dir, list(self._truth[fold])
        )

    def _trained(self, config, fold):
        """A model trained on all folds but one, whatever was done before."""
        keras.backend.clear_session()
        videos = set().union(*self._folds) - set(self._folds[fold])
        model = loop.compiled_model(config, self._info, videos)
        # One that diverged finds nothing, and others may still be better.
        with contextlib.suppress(Diverged):
            loop.fit(
                model,
                config,
                self._info,
                videos=videos,
                cache=loop.cache_of(config, self._info, videos),
            )
        return model


def _search(number, order, fixed, scorer, folder):
    """Runs one search with KerasTuner and shows its best trials.

    KerasTuner's GridSearchOracle starts at a corner of the grid, and ends in
    a KeyError when it is reloaded (1.4.8); and a kill can leave any file of
    KerasTuner's cut off. So the order comes from here, and a search that goes
    on is one that KerasTuner runs anew, with the scores that `folder` knows.

    Args:
        number: of the search, from 1.
        order: what `grids.trial_order` returned.
        fixed: values of the flags that are not searched.
        scorer: Scorer.
        folder: TuneFolder.

    Returns:
        dict of all values, fixed ones and the best of those searched.
    """
    keras_tuner = _import_keras_tuner()

    class Oracle(keras_tuner.Oracle):
        def populate_space(self, trial_id):
            values = order[len(self.start_order)]
            return {"status": "RUNNING", "values": values}

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        def run_trial(self, trial, **kwargs):
            values = fixed | trial.hyperparameters.values
            try:
                return {"score": scorer.mean_score(values, folder, bar)}
            except Exception as error:
                # Any other KerasTuner takes for a trial that failed.
                raise keras_tuner.errors.FatalError from error

    space = keras_tuner.HyperParameters()
    for name in order[0]:
        space.Choice(name, list(dict.fromkeys(each[name] for each in order)))
    tuner = Tuner(
        Oracle(
            objective=keras_tuner.Objective("score", "max"),
            max_trials=len(order),
            hyperparameters=space,
        ),
        directory=str(folder.path / "keras_tuner"),
        project_name=f"search_{number}",
        overwrite=True,
    )
    bar = tqdm.tqdm(
        total=len(order) * scorer.num_folds,
        desc=f"search {number}",
        unit="fold",
        disable=None,
    )
    try:
        with bar:
            tuner.search(verbose=0)
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ from None
    best = [
        folder.trial(fixed | each.values)
        for each in tuner.get_best_hyperparameters(5)
    ]
    if not best[0]["mean"]:
        raise InputError(
            f"all {len(order)} trials scored 0: nothing was found; look at "
            "--guide_reduction, --learning_rate, --epochs and --eta"
        )
    print(trials.table(best, order[0]), flush=True)
    return best[0]["values"]


def _run_that_localizes(config):
    """The model and classes of --run_dir, or None: folds train their own."""
    if config.tune == "localization" and config.run_dir:
        return run_folder.load(config.run_dir)
    if not config.epochs:
        raise InputError("--epochs=0 trains nothing; give some")
    if config.tune == "losses" and config.branches == "attention":
        raise InputError(
            "--tune=losses searches lambda_smt and lambda_gui, for which "
            "--branches=attention has no use; search with another --branches"
        )
    return None


def _import_keras_tuner():
    try:
        import keras_tuner
    except ImportError:
        raise InputError(
            "KerasTuner is not installed: pip install 'tfwstal[tune]'"
        ) from None
    return keras_tuner


if __name__ == "__main__":
    command_line.run(main, "tune")
