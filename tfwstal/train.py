r"""Trains a model on a folder of records.

    python -m tfwstal.train --flagfile=configs/thumos14.flags \
        --data_dir=records --run_dir=runs/a

The run folder receives model.keras, checkpoints/ (of an unfinished run),
logs/ (TensorBoard), history.csv, flags.flags (the flags of the run, usable as
a flagfile again) and classes.txt. If the training has collapsed, lines that
begin with `warning:` say so at the end; docs/training.md explains them. One at
the start proposes --learning_rate and --lambda_smt if the features have another
width than those of the paper.

To resume a run that was stopped, run the same command again; the result is the
same as without the stop. At SIGTERM the command finishes its step, saves and
exits with status 143. With --strategy several devices or processes train
together; one of the processes, the chief, writes the folder.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("train")

import dataclasses

from tfwstal.data import folder
from tfwstal.method.options import ModelOptions
from tfwstal.training import loop, run, run_creation
from tfwstal.training.options import (
    RunOptions,
    TrainingOptions,
    values_for_width,
)
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
    flags, workers = config.run_flags(), Workers(config.strategy)
    # On all workers: the others would wait for a chief that refuses.
    run_creation.can_resume(
        config.run_dir, config.data_dir, flags, config.overwrite
    )
    workers.start(config.batch_size)
    if workers.chief:
        command_line.warn(
            values_for_width(
                info.feature_dim, config.learning_rate, config.lambda_smt
            )
        )
    training = loop.Training(
        info,
        config.data_dir,
        config.group(TrainingOptions),
        config.group(ModelOptions),
        workers=workers,
    )
    with workers.watched():
        warnings = run.train(
            run.Run(
                training,
                config.run_dir,
                flags,
                config.group(RunOptions),
                config.localization_settings(),
                config.tiou_thresholds,
                config.split,
                config.overwrite,
            )
        )
        workers.gathered([0])  # else the others take the end for a failure
    for warning in warnings:
        command_line.warn(warning)
    if workers.chief:
        print(f"run: {config.run_dir}")


if __name__ == "__main__":
    command_line.run(main, "train")
