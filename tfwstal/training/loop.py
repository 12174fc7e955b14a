"""Trains a model: the library behind the commands `train` and `tune`.

A training has four steps:

    training = Training(info, data_dir, options, model_options)
    videos = training_videos.read(training)  # one pass over the records
    model = compiled_model(training, videos.means)
    fit(training, model, videos.cache)

`run` does this in a folder that keeps checkpoints and logs.
"""

import collections.abc
import dataclasses
import functools
import pathlib

import keras
import tensorflow as tf

from tfwstal import keras_versions
from tfwstal.data import batches as data_batches
from tfwstal.data.folder import DatasetInfo
from tfwstal.errors import InputError
from tfwstal.method.model import TwoStreamLocalizer
from tfwstal.method.options import ModelOptions
from tfwstal.training import callbacks, optimizers
from tfwstal.training.keras_replicas import prepare
from tfwstal.training.options import TrainingOptions
from tfwstal.training.workers import Workers


@dataclasses.dataclass(frozen=True)
class Training:
    """What is trained, on which videos and devices.

    Attributes:
        info: DatasetInfo of the records.
        data_dir: their folder.
        options: TrainingOptions.
        model_options: ModelOptions.
        videos: ids of the training videos to use; None for all.
        workers: Workers after `start`; by default this process alone.
    """

    info: DatasetInfo
    data_dir: pathlib.Path | str
    options: TrainingOptions
    model_options: ModelOptions
    videos: collections.abc.Collection | None = None
    workers: Workers = dataclasses.field(default_factory=Workers)

    @property
    def steps_per_epoch(self):
        """Training steps in one pass over the videos."""
        return data_batches.steps_per_epoch(
            self.info, self.options.batch_size, self.videos
        )

    @property
    def steps_per_execution(self):
        """Training steps that run without returning to Python."""
        return steps_per_execution(
            self.steps_per_epoch, self.options.steps_per_execution
        )

    @property
    def uses_xla(self):
        """Whether XLA compiles the training step."""
        return use_xla(self.options, self.workers.strategy is not None)


def use_xla(options, distributed=False):
    """Whether XLA compiles the training step; "auto" needs a GPU.

    On CPU cores XLA makes the step slower (benchmarks/README.md), and it is
    not deterministic.

    Args:
        options: TrainingOptions.
        distributed: whether several devices share a batch. Sums over devices
            cannot be compiled.
    """
    if distributed:
        return False
    if options.xla == "auto" and not options.deterministic:
        return bool(tf.config.list_physical_devices("GPU"))
    return options.xla == "on"


def steps_per_execution(steps, most):
    """The largest divisor of the `steps` of an epoch that is at most `most`.

    With other numbers Keras would run past the end of the epoch, into the
    batches of the next one.
    """
    return next(n for n in range(min(most, steps), 0, -1) if steps % n == 0)


def compiled_model(training, means):
    """The untrained model, ready for `fit`.

    Sets the random seed of the process, and for options.deterministic makes
    TensorFlow deterministic for the rest of the process.

    Args:
        training: Training.
        means: [C+1, D], the first centroids with centroids="class_mean".

    Returns:
        a compiled TwoStreamLocalizer.
    """
    options = training.options
    keras.utils.set_random_seed(options.seed)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    steps = training.steps_per_epoch
    with training.workers.scope():
        model = build_model(
            training.info,
            training.model_options,
            options.precision,
            round(options.warmup_epochs * steps),
            round(options.background_warmup_epochs * steps),
        )
        if options.centroids == "class_mean":
            model.centroids.assign(means)
        model.compile(
            optimizer=optimizers.make_optimizer(
                options.optimizer,
                options.learning_rate,
                options.weight_decay,
                options.clip_norm,
                options.ema,
                round(options.rate_warmup_epochs * steps),
            ),
            jit_compile=training.uses_xla,
            steps_per_execution=training.steps_per_execution,
        )
        keras_versions.build_optimizer(model)
    prepare(model, training.workers)
    return model


def build_model(
    info,
    options,
    precision="float32",
    warmup_steps=0,
    background_warmup_steps=0,
):
    """The untrained, uncompiled model for a set of records.

    Args:
        info: DatasetInfo.
        options: ModelOptions.
        precision: Keras's name of the dtype policy.
        warmup_steps: training steps over which the weight of L_smt rises.
        background_warmup_steps: the same for those of L_ct and L_bg.

    Raises:
        InputError: if this version of Keras cannot train with the policy.
    """
    # Keras 2.15 scales losses by other methods than Keras 3.
    if precision == "mixed_float16" and not keras_versions.KERAS_3:
        raise InputError(
            "--precision=mixed_float16 needs Keras 3; use mixed_bfloat16 or "
            "float32"
        )
    return TwoStreamLocalizer(
        num_classes=len(info.classes),
        feature_dim=info.feature_dim,
        warmup_steps=warmup_steps,
        background_warmup_steps=background_warmup_steps,
        dtype=precision,
        **dataclasses.asdict(options),
    )


def fit(training, model, cache=None, watchers=(), start=(0, 0), verbose=0):
    """Trains a model in place, to the end of the last epoch.

    If training starts inside an epoch, this call ends with that epoch,
    because Keras wants epochs of one length.

    Args:
        training: Training.
        model: what `compiled_model` returned.
        cache: FeatureCache of the training videos; None reads the records.
        watchers: Keras callbacks.
        start: the epoch to start with, and the step in it.
        verbose: as for keras.Model.fit.

    Raises:
        Diverged: at the first loss or gradient that is not finite.
    """
    epoch, done = start
    epochs = epoch + 1 if done else training.options.epochs
    stop = callbacks.StopAtNonFinite(
        _videos_of_batch(training), start, training.steps_per_execution
    )
    model.fit(
        _batches(training, model, cache, epochs, start),
        initial_epoch=epoch,
        epochs=epochs,
        steps_per_epoch=training.steps_per_epoch - done,
        callbacks=[stop, *watchers],
        shuffle=False,  # the dataset has the order of each epoch
        verbose=verbose,
    )
    optimizers.use_averages(model)


def _batches(training, model, cache, epochs, start):
    """The batches of all epochs from `start`, as `fit` takes them."""
    options, workers = training.options, training.workers
    batches = data_batches.training_batches(
        training.info,
        training.data_dir,
        num_snippets=options.num_snippets,
        batch_size=options.batch_size,
        seed=options.seed,
        epochs=epochs,
        repeat=options.upsample_short == "repeat",
        static=training.uses_xla,
        videos=training.videos,
        start=start,
        cache=cache,
    )
    if workers.strategy:
        # Each device gets its part of the features from the host.
        return workers.batches(cache.filled(batches) if cache else batches)
    if cache:
        cache.fill_in_step(model)
    return batches


def _videos_of_batch(training):
    """Function of an epoch and a step: the ids of the videos of the batch."""
    return functools.partial(
        data_batches.batch_videos,
        training.info,
        training.data_dir,
        training.options.batch_size,
        training.options.seed,
        videos=training.videos,
    )
