"""Scores trials of a search on the folds of the training videos."""

import contextlib
import dataclasses

import keras
import numpy as np
import tqdm

from tfwstal.data import reader
from tfwstal.errors import Diverged, InputError
from tfwstal.search import cross_validation, grids
from tfwstal.training import loop, training_videos


class Scorer:
    """Scores trials by average mAP on the videos that are held out.

    Args:
        training: loop.Training on all training videos.
        settings: LocalizationSettings.
        tiou_thresholds: tIoU thresholds, over which the score averages.
        num_folds: parts of the training videos.
        trains_each: whether each trial is a training; otherwise all trials
            localize the same outputs.
        model: a TwoStreamLocalizer that localizes all folds, instead of one
            that is trained for each fold.

    Raises:
        InputError: if there is nothing to search with these options, or the
            records cannot be split or scored.
    """

    def __init__(
        self,
        training,
        settings,
        tiou_thresholds,
        num_folds,
        trains_each,
        model=None,
    ):
        if model is None and not training.options.epochs:
            raise InputError("--epochs=0 trains nothing; give one or more")
        if trains_each and training.model_options.branches == "attention":
            raise InputError(
                "--tune=losses searches lambda_smt and lambda_gui, which "
                "--branches=attention does not use; search with other "
                "--branches"
            )
        self._training, self._settings = training, settings
        self._thresholds = tiou_thresholds
        self._trains_each, self._model = trains_each, model
        labels = reader.video_labels(training.info, training.data_dir, "train")
        self._folds = cross_validation.split_videos(
            labels, num_folds, training.options.seed
        )
        self._truth = cross_validation.segments_of_folds(
            training.info, training.data_dir, self._folds
        )
        self._outputs = None
        self.num_folds = num_folds

    def plan(self, num_trials, num_scores):
        """Describes the work ahead.

        Args:
            num_trials: trials of the whole search.
            num_scores: scores known from an earlier start.
        """
        epochs = self._training.options.epochs
        videos = sum(map(len, self._folds))
        lines = f"{videos} training videos in {self.num_folds} folds\n"
        unscored = videos - sum(map(len, self._truth))
        if unscored:
            lines += f"{unscored} of them have no segments: not scored\n"
        if self._trains_each:
            trainings = num_trials * self.num_folds
            return lines + (
                f"{num_trials} trials: at most {trainings} trainings of "
                f"{epochs} epochs, {num_scores} of them done"
            )
        if self._model:
            return lines + (
                f"{num_trials} trials without training; --run_dir has seen "
                "the labels of these videos"
            )
        return lines + (
            f"{self.num_folds} trainings of {epochs} epochs, then "
            f"{num_trials} trials without training"
        )

    def prepare(self, folder):
        """Makes the outputs that all trials localize, if trials do not train.

        Args:
            folder: pathlib.Path, where the outputs are kept for a restart.
        """
        if self._trains_each:
            return
        self._outputs = []
        for fold in tqdm.trange(
            self.num_folds, desc="outputs", unit="fold", disable=None
        ):
            path = folder / f"outputs_{fold + 1}.npz"
            if not path.is_file():
                outputs = self._held_out_outputs({}, fold)
                if not np.isfinite(outputs.video_scores).all():
                    raise InputError(
                        "the training has diverged; lower --learning_rate or "
                        "check the features"
                    )
                outputs.save(path)
            self._outputs.append(cross_validation.HeldOutOutputs.load(path))

    def score(self, values, fold):
        """Average mAP of a trial on one fold, from 0 to 1.

        Args:
            values: dict from the name of an option to its value; eta is a
                text of `grids.eta_choices`.
            fold: index of the fold.
        """
        if "eta" in values:
            values = values | {"eta": grids.parse_eta(values["eta"])}
        outputs = (
            self._outputs[fold]
            if self._outputs
            else self._held_out_outputs(values, fold)
        )
        return cross_validation.average_map(
            outputs,
            self._truth[fold],
            _with_values(self._settings, values),
            self._thresholds,
        )

    def _held_out_outputs(self, values, fold):
        training = self._training
        return cross_validation.held_out_outputs(
            self._model or self._trained(values, fold),
            training.info,
            training.data_dir,
            list(self._truth[fold]),
        )

    def _trained(self, values, fold):
        """A model trained on the other folds, as in a fresh process."""
        keras.backend.clear_session()
        videos = set().union(*self._folds) - set(self._folds[fold])
        options = _with_values(self._training.model_options, values)
        training = dataclasses.replace(
            self._training, model_options=options, videos=videos
        )
        read = training_videos.read(training)
        model = loop.compiled_model(training, read.means)
        # A model that diverged detects nothing; other trials may be better.
        with contextlib.suppress(Diverged):
            loop.fit(training, model, read.cache)
        return model


def _with_values(options, values):
    """Copies options with the values for their own fields."""
    own = {field.name for field in dataclasses.fields(options)}
    return dataclasses.replace(
        options, **{name: values[name] for name in values.keys() & own}
    )
