"""COMMAND: trains a model on a folder of records.

    python -m tfwstal.train --flagfile=configs/thumos14.flags \
        --data_dir=records --run_dir=runs/a

The run folder receives model.keras, checkpoints/ (of an unfinished run),
logs/ (TensorBoard), history.csv, flags.flags (the flags of the run, usable as
a flagfile again) and classes.txt.

A run that was killed goes on when the same command is given again, and ends
with what it would have ended with. At SIGTERM it finishes its step, saves and
exits with status 143.
"""

import dataclasses
import functools
import pathlib
import sys

import keras
import tensorflow as tf

from tfwstal import (
    callbacks,
    checkpoint,
    command_line,
    dataset,
    dataset_info,
    localization,
    optimizers,
    run_folder,
)
from tfwstal.model import TwoStreamLocalizer


def main(config):
    """Trains as the Config says; see the module."""
    config.require("data_dir", "run_dir")
    info = dataset_info.read(config.data_dir)
    if config.eval_every:
        info.shard_paths(config.data_dir, config.split)
    run_dir = pathlib.Path(config.run_dir)
    # The features' own time scale, for what localize and export do later.
    config = dataclasses.replace(
        config, fps=info.fps, frames_per_snippet=info.frames_per_snippet
    )
    run_folder.goes_on(config)

    model = compiled_model(config, info)
    run_folder.check_space(run_dir, model.count_params())
    print(
        f"{info.num_videos('train')} training videos, {len(info.classes)} "
        f"classes, {model.count_params():,} weights, "
        f"{_device()}, XLA {'on' if use_xla(config) else 'off'}"
    )
    with run_folder.creating(config, info.classes):
        if config.epochs:
            with dataset.readable(config.data_dir):
                _fit_run(model, config, info, run_dir)
        run_folder.save_model(model, run_dir)
    print(f"run: {run_dir}")


def compiled_model(config, info, videos=None):
    """The model that a Config describes, ready for `fit`.

    Sets the seed of everything that is drawn from here on, and for
    --deterministic TensorFlow's ops for the rest of the process. Reads every
    training record once, so that a damaged one is found before the training
    begins.

    Args:
        config: Config.
        info: DatasetInfo of --data_dir.
        videos: ids of the training videos to train on; by default all.
    """
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    means = dataset.class_means(info, config.data_dir, videos)
    model = build_model(config, info, videos)
    if config.centroids == "class_mean":
        model.centroids.assign(means)
    model.compile(
        optimizer=optimizers.make_optimizer(
            config.optimizer,
            config.learning_rate,
            config.weight_decay,
            config.clip_norm,
            config.ema,
            use_xla(config),
        ),
        jit_compile=use_xla(config),
    )
    return model


def build_model(config, info, videos=None):
    """The untrained model that a Config describes, for a DatasetInfo.

    With `videos`, to be trained on those alone.
    """
    steps = dataset.steps_per_epoch(info, config.batch_size, videos)
    return TwoStreamLocalizer(
        num_classes=len(info.classes),
        feature_dim=info.feature_dim,
        kernel_size=config.kernel_size,
        embedding_dropout=config.embedding_dropout,
        residual=config.residual,
        dropout=config.dropout,
        attention=config.attention,
        classifier=config.classifier,
        branches=config.branches,
        activation=config.activation,
        sigma=config.sigma,
        labels=config.labels,
        loss_weights=(
            config.lambda_fg,
            config.lambda_ct,
            config.lambda_bg,
            config.lambda_smt,
            config.lambda_gui,
        ),
        guide_reduction=config.guide_reduction,
        guide_detach=config.guide_detach,
        warmup_steps=round(config.warmup_epochs * steps),
    )


def use_xla(config):
    """Whether to compile the step: "auto" does where a GPU is present.

    On CPU cores XLA makes this step slower (see benchmarks/), and it is not
    deterministic.
    """
    if config.xla == "auto" and not config.deterministic:
        return bool(tf.config.list_physical_devices("GPU"))
    return config.xla == "on"


def fit(model, config, info, watchers=(), videos=None, verbose=0, start=(0, 0)):
    """Trains a model for --epochs, in place.

    If it starts inside an epoch, it trains to the end of that one alone,
    since Keras wants epochs of one length.

    Args:
        model: what `compiled_model` returned.
        config: Config.
        info: DatasetInfo of --data_dir.
        watchers: Keras callbacks.
        videos: ids of the training videos to train on; by default all.
        verbose: as for keras.Model.fit.
        start: the epoch, and the step in it, to begin with.

    Raises:
        Diverged: at the first loss or gradient that is not finite.
    """
    epoch, done = start
    epochs = epoch + 1 if done else config.epochs
    batch_videos = functools.partial(
        dataset.batch_videos,
        info,
        config.data_dir,
        config.batch_size,
        config.seed,
        videos=videos,
    )
    batches = dataset.training_batches(
        info,
        config.data_dir,
        num_snippets=config.num_snippets,
        batch_size=config.batch_size,
        seed=config.seed,
        epochs=epochs,
        repeat=config.upsample_short == "repeat",
        static=use_xla(config),
        videos=videos,
        start=start,
    )
    steps = dataset.steps_per_epoch(info, config.batch_size, videos)
    model.fit(
        batches,
        initial_epoch=epoch,
        epochs=epochs,
        steps_per_epoch=steps - done,
        callbacks=[callbacks.StopAtNonFinite(batch_videos, start), *watchers],
        shuffle=False,  # the batches come in their order
        verbose=verbose,
    )
    optimizers.use_averages(model)


def _fit_run(model, config, info, run_dir):
    """Trains what is left to do of a run."""
    saver = checkpoint.Checkpoint(
        run_dir,
        info,
        dataset.steps_per_epoch(info, config.batch_size),
        config.checkpoint_minutes,
    )
    watchers = [
        callbacks.HistoryFile(run_dir / "history.csv"),
        keras.callbacks.TensorBoard(str(run_dir / "logs"), write_graph=False),
        saver,
    ]
    if config.eval_every:
        evaluation = callbacks.LocalizationEvaluation(
            info,
            config.data_dir,
            config.split,
            localization.localization_settings(config),
            config.tiou_thresholds,
            config.eval_every,
        )
        watchers.insert(0, evaluation)
    saver.restore(model)
    if saver.start != (0, 0):
        print("goes on from epoch {}, step {}".format(*saver.start))
    with saver.saving_at_sigterm():
        while saver.start[0] < config.epochs:
            fit(
                model,
                config,
                info,
                watchers,
                # A bar that redraws itself is for terminals; logs get lines.
                verbose=1 if sys.stdout.isatty() else 2,
                start=saver.start,
            )
    # Again, for a run that was killed when nothing was left to train.
    optimizers.use_averages(model)


def _device():
    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else "on the CPU"


if __name__ == "__main__":
    command_line.run(main, "train")
