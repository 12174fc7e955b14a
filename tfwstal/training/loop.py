"""Trains a model: from a Config and records to weights.

`compiled_model` makes the model, `fit` trains it, and `fit_run` does so in the
folder of a run, from where an earlier process was stopped.
"""

import dataclasses
import functools
import sys

import keras
import tensorflow as tf

from tfwstal import keras_versions
from tfwstal.data import batches as data_batches
from tfwstal.data import feature_cache
from tfwstal.data.class_means import class_means
from tfwstal.method.model import TwoStreamLocalizer
from tfwstal.method.options import ModelOptions
from tfwstal.training import callbacks, checkpoint, optimizers, watch
from tfwstal.training.workers import Workers, prepare


def compiled_model(config, info, videos=None, workers=None):
    """The model that a Config describes, ready for `fit`.

    Sets the seed of everything that is drawn from here on, and for
    --deterministic TensorFlow's ops for the rest of the process. Reads every
    training record once, so that a damaged one is found before the training
    begins.

    Args:
        config: Config.
        info: DatasetInfo of --data_dir.
        videos: ids of the training videos to train on; by default all.
        workers: workers.Workers that were started; by default this
            process alone, on one device.
    """
    workers = workers or Workers()
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    means = class_means(info, config.data_dir, videos)
    steps = data_batches.steps_per_epoch(info, config.batch_size, videos)
    with workers.scope():
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
                round(config.rate_warmup_epochs * steps),
            ),
            jit_compile=use_xla(config),
            steps_per_execution=steps_per_execution(config, info, videos),
        )
        keras_versions.build_optimizer(model)
    prepare(model, workers)
    return model


def build_model(config, info, videos=None):
    """The untrained model that a Config describes, for a DatasetInfo.

    With `videos`, to be trained on those alone.
    """
    keras_versions.check_precision(config.precision)
    steps = data_batches.steps_per_epoch(info, config.batch_size, videos)
    return TwoStreamLocalizer(
        num_classes=len(info.classes),
        feature_dim=info.feature_dim,
        warmup_steps=round(config.warmup_epochs * steps),
        dtype=config.precision,
        **dataclasses.asdict(config.group(ModelOptions)),
    )


def use_xla(config):
    """Whether to compile the step: "auto" does where one GPU trains.

    On CPU cores XLA makes this step slower (see benchmarks/), and it is not
    deterministic.
    """
    if config.strategy != "none":
        return False  # sums over devices cannot be compiled
    if config.xla == "auto" and not config.deterministic:
        return bool(tf.config.list_physical_devices("GPU"))
    return config.xla == "on"


def steps_per_execution(config, info, videos=None):
    """The greatest divisor of an epoch's steps up to --steps_per_execution.

    Keras would run others past an epoch's end, into the next one's batches.
    """
    steps = data_batches.steps_per_epoch(info, config.batch_size, videos)
    most = min(config.steps_per_execution, steps)
    return next(n for n in range(most, 0, -1) if steps % n == 0)


def cache_of(config, info, videos=None):
    """FeatureCache of the training videos, or None if they take too much.

    Those are read anew in every epoch instead.
    """
    size = feature_cache.num_bytes(info, config.cache_dtype)
    if size > 1e9 * config.cache_gb:
        return None
    return feature_cache.load(
        info,
        config.data_dir,
        config.cache_dtype,
        videos,
        # Several devices get their parts of a batch from the host.
        device=None if config.strategy == "none" else "CPU:0",
    )


def fit(
    model,
    config,
    info,
    watchers=(),
    videos=None,
    verbose=0,
    start=(0, 0),
    cache=None,
    workers=None,
):
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
        cache: FeatureCache of the training videos, instead of the records.
        workers: those that `compiled_model` was given.

    Raises:
        Diverged: at the first loss or gradient that is not finite.
    """
    epoch, done = start
    epochs = epoch + 1 if done else config.epochs
    batch_videos = functools.partial(
        data_batches.batch_videos,
        info,
        config.data_dir,
        config.batch_size,
        config.seed,
        videos=videos,
    )
    batches = data_batches.training_batches(
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
        cache=cache,
    )
    if workers and workers.strategy:
        # The parts travel to their devices anyhow.
        batches = workers.batches(cache.filled(batches) if cache else batches)
    elif cache:
        model.look_up_in(cache.features)
    steps = data_batches.steps_per_epoch(info, config.batch_size, videos)
    model.fit(
        batches,
        initial_epoch=epoch,
        epochs=epochs,
        steps_per_epoch=steps - done,
        callbacks=[
            callbacks.StopAtNonFinite(
                batch_videos,
                start,
                steps_per_execution(config, info, videos),
            ),
            *watchers,
        ],
        shuffle=False,  # the batches come in their order
        verbose=verbose,
    )
    optimizers.use_averages(model)


def fit_run(model, config, info, run_dir, workers):
    """Trains what is left to do of a run; of several workers, each its part.

    The chief must have created the folder before.
    """
    flags = {**config.run_flags(), "data_dir": ""}  # may lie elsewhere
    workers.agree(
        "the flags or the records",
        repr((flags, info)),
        "give all workers the same",
    )
    if not config.epochs:
        return
    saver = checkpoint.Checkpoint(
        run_dir,
        info,
        data_batches.steps_per_epoch(info, config.batch_size),
        config.checkpoint_minutes,
        workers,
    )
    watchers = [saver]
    if workers.chief:
        watchers = _writers(model, config, info, run_dir) + watchers
    saver.restore(model)
    workers.agree(
        "the checkpoint in --run_dir",
        str(saver.start),
        "it must be on a file system that all workers share",
    )
    if saver.start != (0, 0) and workers.chief:
        print("goes on from epoch {}, step {}".format(*saver.start))
    cache = cache_of(config, info)
    # A bar that redraws itself is for terminals; logs get lines.
    verbose = 1 if sys.stdout.isatty() else 2
    with saver.saving_at_sigterm(), data_batches.readable(config.data_dir):
        while saver.start[0] < config.epochs:
            fit(
                model,
                config,
                info,
                watchers,
                verbose=verbose if workers.chief else 0,
                start=saver.start,
                cache=cache,
                workers=workers,
            )
    # Again, for a run that was killed when nothing was left to train.
    optimizers.use_averages(model)


def _writers(model, config, info, run_dir):
    """The callbacks that write into the folder of a run."""
    writers = [
        callbacks.HistoryFile(run_dir / "history.csv"),
        keras.callbacks.TensorBoard(str(run_dir / "logs"), write_graph=False),
    ]
    if config.eval_every:
        evaluation = callbacks.LocalizationEvaluation(
            info,
            config.data_dir,
            config.split,
            config.localization_settings(),
            config.tiou_thresholds,
            config.eval_every,
        )
        writers.insert(0, evaluation)
    if config.watch_every:
        writers.append(_watch(model, config, info, run_dir))
    return writers


def _watch(model, config, info, run_dir):
    """What writes pictures and histograms of a model that is yet untrained."""
    return watch.Watch(
        model,
        info.classes,
        watch.training_sample(info, config.data_dir, config.num_snippets),
        watch.pictured_videos(
            info, config.data_dir, config.split, config.watch_videos
        ),
        config.localization_settings(),
        run_dir / "logs" / "watch",
        config.watch_every,
    )
