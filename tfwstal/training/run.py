"""One run: a training and the folder that keeps its model, logs and flags."""

import dataclasses
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from tfwstal import inference
from tfwstal.data import reader
from tfwstal.method.options import LocalizationSettings
from tfwstal.training import (
    callbacks,
    checkpoint,
    collapse,
    logs,
    loop,
    optimizers,
    run_creation,
    run_folder,
    training_videos,
    watch,
)
from tfwstal.training.options import RunOptions


@dataclasses.dataclass(frozen=True)
class Run:
    """What to train, where to write it, and what to watch meanwhile.

    Attributes:
        training: loop.Training. Its workers have started.
        run_dir: folder of the run.
        flags: dict from the name of each flag of the run to its text; all
            workers must agree in them.
        options: RunOptions.
        settings: LocalizationSettings, for evaluations and pictures.
        tiou_thresholds: thresholds of the evaluations' mAP.
        split: split to evaluate and to draw videos of.
        overwrite: whether another run may be replaced.
    """

    training: loop.Training
    run_dir: pathlib.Path | str
    flags: dict[str, str]
    options: RunOptions
    settings: LocalizationSettings
    tiou_thresholds: tuple[float, ...]
    split: str
    overwrite: bool = False


def train(run):
    """Trains a model. Each worker does its part; the chief writes the folder.

    An unfinished run with the same flags is resumed.

    Args:
        run: Run.

    Returns:
        list of sentences, one for each sign that the training has collapsed
        and for a full disk.

    Raises:
        InputError: if the folder cannot be used, a record is damaged, the
            training diverges, or the workers disagree.
    """
    training, info = run.training, run.training.info
    evaluation = _evaluation(run)
    videos = training_videos.read(training)
    model = loop.compiled_model(training, videos.means)
    if not training.workers.chief:
        _fit(run, model, videos.cache)
        return []
    run_creation.check_space(run.run_dir, model.count_params())
    print(
        f"{info.num_videos('train')} training videos, {len(info.classes)} "
        f"classes, {model.count_params():,} weights, "
        f"{_device(training.workers)}, XLA "
        f"{'on' if training.uses_xla else 'off'}"
    )
    with run_creation.creating(
        run.run_dir, training.data_dir, run.flags, info.classes, run.overwrite
    ):
        run_folder.save_extraction(
            info.provenance.get("extraction"), run.run_dir
        )
        writers = _writers(run, model, videos.sample, evaluation)
        space = logs.LogSpace(run.run_dir)
        with logs.writing(pathlib.Path(run.run_dir) / "logs"):
            _fit(run, model, videos.cache, [*writers, space])
        run_folder.save_model(model, run.run_dir)
    if not training.options.epochs:
        return []
    return [
        *_signs_of_collapse(run, model, videos.sample),
        *space.warnings(),
    ]


def _fit(run, model, cache, writers=()):
    """Trains the rest of a run, in its folder.

    Args:
        run: Run.
        model: what `loop.compiled_model` returned.
        cache: as for `loop.fit`.
        writers: Keras callbacks of the chief, such as those that write logs.
    """
    training, epochs = run.training, run.training.options.epochs
    workers = training.workers
    workers.agree(
        "the flags or the records",
        # Each worker may have the records in a folder of its own.
        repr(({**run.flags, "data_dir": ""}, training.info)),
        "give all workers the same",
    )
    if not epochs:
        return
    saver = checkpoint.Checkpoint(
        run.run_dir,
        training.info,
        training.steps_per_epoch,
        epochs,
        run.options.checkpoint_minutes,
        workers,
    )
    saver.restore(model)
    workers.agree(
        "the checkpoint in --run_dir",
        str(saver.start),
        "it must be on a file system that all workers share",
    )
    if saver.start != (0, 0) and workers.chief:
        print("resumes at epoch {}, step {}".format(*saver.start))
    # A redrawn progress bar is for terminals; logs get a line an epoch.
    verbose = 1 if sys.stdout.isatty() else 2
    with saver.saving_at_sigterm(), reader.readable(training.data_dir):
        while saver.start[0] < epochs:
            loop.fit(
                training,
                model,
                cache,
                [*writers, saver],
                start=saver.start,
                verbose=verbose if workers.chief else 0,
            )
    # Again, for a run that was killed after its last step.
    optimizers.use_averages(model)


def _evaluation(run):
    """The callbacks that evaluate the split, a list of one or none."""
    if not run.options.eval_every:
        return []
    return [
        callbacks.LocalizationEvaluation(
            run.training.info,
            run.training.data_dir,
            run.split,
            run.settings,
            run.tiou_thresholds,
            run.options.eval_every,
        )
    ]


def _writers(run, model, sample, evaluation):
    """The callbacks that write history and logs, after the evaluation."""
    info, data_dir = run.training.info, run.training.data_dir
    if not run.training.options.epochs:
        return []
    run_dir = pathlib.Path(run.run_dir)
    writers = [
        *evaluation,
        callbacks.HistoryFile(run_dir / "history.csv"),
        keras.callbacks.TensorBoard(str(run_dir / "logs"), write_graph=False),
    ]
    if run.options.watch_every:
        writers.append(
            watch.Watch(
                model,
                info.classes,
                sample,
                training_videos.pictured_videos(
                    info, data_dir, run.split, run.options.watch_videos
                ),
                run.settings,
                run_dir / "logs" / "watch",
                run.options.watch_every,
            )
        )
    return writers


def _signs_of_collapse(run, model, sample):
    """The signs that a trained model has collapsed on the sample."""
    outputs = [inference.outputs_alone(model, each) for each in sample]
    attention, class_logits = (
        np.concatenate([each[name] for each in outputs])
        for name in ("attention", "class_logits")
    )
    return collapse.signs(
        attention[:, 0],
        class_logits,
        run.training.info.classes,
        run.training.options.learning_rate,
        run.training.model_options.lambda_smt,
    )


def _device(workers):
    gpus = len(tf.config.list_physical_devices("GPU"))
    device = f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else "on the CPU"
    if workers.strategy is None:
        return device
    return f"{device}, {workers.replicas} replicas"
