"""COMMAND: trains a model on a folder of records.

    python -m tfwstal.train --flagfile=configs/thumos14.flags \
        --data_dir=records --run_dir=runs/a

The run folder receives model.keras, checkpoints/ (of an unfinished run),
logs/ (TensorBoard), history.csv, flags.flags (the flags of the run, usable as
a flagfile again) and classes.txt. If the training has collapsed, lines that
begin with `warning:` say so at the end; docs/training.md explains them.

To resume a run that was stopped, run the same command again; the result is the
same as without the stop. At SIGTERM the command finishes its step, saves and
exits with status 143. With --strategy several devices or processes train
together; one of the processes, the chief, writes the folder.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("train")

import dataclasses
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfwstal import inference
from tfwstal.data import folder
from tfwstal.method.options import ModelOptions
from tfwstal.training import (
    callbacks,
    collapse,
    loop,
    run_folder,
    training_videos,
    watch,
)
from tfwstal.training.options import TrainingOptions
from tfwstal.training.workers import Workers


def main(config):
    """Trains with the flags of a Config; see the module."""
    config.require("data_dir", "run_dir")
    info = folder.read(config.data_dir)
    if config.eval_every:
        info.shard_paths(config.data_dir, config.split)
    # Later commands need the time scale of the features.
    config = dataclasses.replace(
        config, fps=info.fps, frames_per_snippet=info.frames_per_snippet
    )
    workers = Workers(config.strategy)
    # On all workers: the others would wait for a chief that refuses.
    run_folder.can_resume(
        config.run_dir, config.data_dir, config.run_flags(), config.overwrite
    )
    workers.start(config.batch_size)
    with workers.watched():
        _train(config, info, workers)
        workers.gathered([0])  # else the others take the end for a failure
    if workers.chief:
        print(f"run: {config.run_dir}")


def _train(config, info, workers):
    """Trains a model; the chief writes the folder of the run."""
    training = loop.Training(
        info,
        config.data_dir,
        config.group(TrainingOptions),
        config.group(ModelOptions),
        workers=workers,
    )
    evaluation = _evaluation(config, info)
    videos = training_videos.read(training)
    model = loop.compiled_model(training, videos.means)
    flags = config.run_flags()
    rest = (config.run_dir, flags, config.checkpoint_minutes)
    if not workers.chief:
        loop.fit_run(training, model, videos.cache, *rest)
        return
    run_folder.check_space(config.run_dir, model.count_params())
    print(
        f"{info.num_videos('train')} training videos, {len(info.classes)} "
        f"classes, {model.count_params():,} weights, "
        f"{_device(workers)}, XLA {'on' if training.uses_xla else 'off'}"
    )
    with run_folder.creating(
        config.run_dir, config.data_dir, flags, info.classes, config.overwrite
    ):
        run_folder.save_extraction(
            info.provenance.get("extraction"), config.run_dir
        )
        writers = _writers(config, info, model, videos.sample, evaluation)
        loop.fit_run(training, model, videos.cache, *rest, writers)
        run_folder.save_model(model, config.run_dir)
    if config.epochs:
        _warn_of_collapse(
            model, videos.sample, info.classes, config.learning_rate
        )


def _evaluation(config, info):
    """The callbacks that evaluate --split, a list of one or none."""
    if not config.eval_every:
        return []
    return [
        callbacks.LocalizationEvaluation(
            info,
            config.data_dir,
            config.split,
            config.localization_settings(),
            config.tiou_thresholds,
            config.eval_every,
        )
    ]


def _writers(config, info, model, sample, evaluation):
    """The callbacks that write history and logs, after the evaluation."""
    if not config.epochs:
        return []
    run_dir = pathlib.Path(config.run_dir)
    writers = [
        *evaluation,
        callbacks.HistoryFile(run_dir / "history.csv"),
        keras.callbacks.TensorBoard(str(run_dir / "logs"), write_graph=False),
    ]
    if config.watch_every:
        pictured = watch.pictured_videos(
            info, config.data_dir, config.split, config.watch_videos
        )
        writers.append(
            watch.Watch(
                model,
                info.classes,
                sample,
                pictured,
                config.localization_settings(),
                run_dir / "logs" / "watch",
                config.watch_every,
            )
        )
    return writers


def _warn_of_collapse(model, sample, classes, learning_rate):
    """Prints a warning for each sign that the trained model has collapsed."""
    outputs = [inference.outputs_alone(model, each) for each in sample]
    attention, class_logits = (
        np.concatenate([each[name] for each in outputs])
        for name in ("attention", "class_logits")
    )
    for sign in collapse.signs(
        attention[:, 0], class_logits, classes, learning_rate
    ):
        command_line.warn(sign)


def _device(workers):
    gpus = len(tf.config.list_physical_devices("GPU"))
    device = f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else "on the CPU"
    if workers.strategy is None:
        return device
    return f"{device}, {workers.replicas} replicas"


if __name__ == "__main__":
    command_line.run(main, "train")
