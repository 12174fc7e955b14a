"""COMMAND: trains a model on a folder of records.

    python -m tfwstal.train --flagfile=configs/thumos14.flags \
        --data_dir=records --run_dir=runs/a

The run folder receives model.keras, checkpoints/ (of an unfinished run),
logs/ (TensorBoard), history.csv, flags.flags (the flags of the run, usable as
a flagfile again) and classes.txt. Lines that begin with `warning:` say at the
end if the training has collapsed; docs/training.md explains them.

A run that was killed goes on when the same command is given again, and ends
with what it would have ended with. At SIGTERM it finishes its step, saves and
exits with status 143. With --strategy several devices or processes train
together; of the processes one, the chief, writes the folder.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("train")

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tfwstal import inference
from tfwstal.data import folder
from tfwstal.training import collapse, loop, run_folder, watch
from tfwstal.training.workers import Workers


def main(config):
    """Trains as the Config says; see the module."""
    config.require("data_dir", "run_dir")
    info = folder.read(config.data_dir)
    if config.eval_every:
        info.shard_paths(config.data_dir, config.split)
    run_dir = pathlib.Path(config.run_dir)
    # The features' own time scale, for what localize and export do later.
    config = dataclasses.replace(
        config, fps=info.fps, frames_per_snippet=info.frames_per_snippet
    )
    workers = Workers(config.strategy)
    # Of all workers, since the others would wait for a chief that refuses.
    run_folder.goes_on(config)
    workers.start(config.batch_size)
    with workers.watched():
        model = loop.compiled_model(config, info, workers=workers)
        if workers.chief:
            _train_as_chief(model, config, info, run_dir, workers)
        else:
            loop.fit_run(model, config, info, run_dir, workers)
        workers.gathered([0])  # the others' end would look like a failure
    if workers.chief:
        print(f"run: {run_dir}")


def _train_as_chief(model, config, info, run_dir, workers):
    """Trains in the folder of the run, and leaves the model there."""
    run_folder.check_space(run_dir, model.count_params())
    print(
        f"{info.num_videos('train')} training videos, {len(info.classes)} "
        f"classes, {model.count_params():,} weights, "
        f"{_device(workers)}, XLA {'on' if loop.use_xla(config) else 'off'}"
    )
    with run_folder.creating(config, info.classes):
        run_folder.save_extraction(info.provenance.get("extraction"), run_dir)
        loop.fit_run(model, config, info, run_dir, workers)
        run_folder.save_model(model, run_dir)
    if config.epochs:
        _warn_of_collapse(model, config, info)


def _warn_of_collapse(model, config, info):
    """Prints what has died in a trained model, a line each.

    Without dropout and random draws, after the model is written.
    """
    outputs = [
        inference.outputs_alone(model, features)
        for features in watch.training_sample(
            info, config.data_dir, config.num_snippets
        )
    ]
    attention, class_logits = (
        np.concatenate([each[name] for each in outputs])
        for name in ("attention", "class_logits")
    )
    for sign in collapse.signs(
        attention[:, 0], class_logits, info.classes, config.learning_rate
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
