"""Detections of a split of records, in this process or by Apache Beam."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable

import numpy as np
import tqdm

import tfwstal
from tfwstal import inference
from tfwstal.data import folder, reader, record
from tfwstal.engine.units import Job, Unit, file_state
from tfwstal.errors import InputError
from tfwstal.training import run_folder


def localize(run_dir, data_dir, split, settings):
    """Localizes a split in this process, with a progress bar.

    Args:
        run_dir: folder of the run.
        data_dir: folder of the records.
        split: their split.
        settings: LocalizationSettings.

    Returns:
        dict from video id to the entries of a detections file, in the order
        of the records.

    Raises:
        InputError: if the run or the records cannot be used, or do not match;
            also for features that are not finite.
    """
    info = folder.read(data_dir)
    loaded = _load(run_dir, settings)
    run_folder.check_match(loaded.model, loaded.classes, info, data_dir)
    paths = info.shard_paths(data_dir, split)
    bar = tqdm.tqdm(
        total=info.num_videos(split),
        desc=f"localize {split}",
        unit="video",
        disable=None,
    )
    with bar:
        results, _ = _localize(loaded, paths, data_dir, bar.update)
    reader.check_unique(results, info, data_dir, split)
    return results


def localize_by_beam(run_dir, data_dir, split, settings, store, arguments):
    """Localizes a split by Apache Beam, one shard at a time in each worker.

    Args:
        run_dir, data_dir, split, settings: as for `localize`.
        store: path of the folder that keeps finished units.
        arguments: of Beam.

    Returns:
        what `localize` returns, and the engine's Outcome.

    Raises:
        InputError: as `localize`, or as `beam.run`.
    """
    from tfwstal.engine import beam  # needs Apache Beam

    info = folder.read(data_dir)
    model, classes = run_folder.load(run_dir)
    run_folder.check_match(model, classes, info, data_dir)
    run_dir = os.path.abspath(run_dir)
    state = [
        file_state(path)
        for path in run_folder.files_of(run_dir)
        if path.exists()
    ]
    of_all = (tfwstal.__version__, run_dir, state, settings)
    units = []
    for path in info.shard_paths(data_dir, split):
        absolute = os.path.abspath(path)
        depends_on = (of_all, absolute, file_state(path))
        content = (absolute, str(data_dir))
        units.append(Unit(pathlib.Path(path).name, content, depends_on))
    job = Job(functools.partial(_load, run_dir, settings), _localize_unit)
    outcome = beam.run(units, job, pathlib.Path(store).absolute(), arguments)
    for message in outcome.errors.values():
        raise InputError(message)
    results = {}
    for unit in outcome.finished.values():
        results |= unit.result
    reader.check_unique(results, info, data_dir, split)
    return results, outcome


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """A run, ready to localize."""

    model: object
    classes: tuple[str, ...]
    detector: Callable


def _load(run_dir, settings):
    model, classes = run_folder.load(run_dir)
    return _Loaded(model, classes, inference.make_detector(model, settings))


def _localize_unit(loaded, content, _):
    """The work of one unit: the results of a shard, and its counts."""
    path, data_dir = content
    results, num_snippets = _localize(loaded, [path], data_dir)
    return results, {
        "videos": len(results),
        "snippets": num_snippets,
        "bytes": os.path.getsize(path),
        "detections": sum(map(len, results.values())),
    }


def _localize(loaded, paths, data_dir, on_video=lambda: None):
    """Localizes the videos of shards: results as `localize`, and snippets."""
    num_snippets = 0

    def videos():
        nonlocal num_snippets
        for video in reader.videos_of_shards(paths, loaded.model.feature_dim):
            num_snippets += int(video["num_snippets"])
            if not np.isfinite(video["features"]).all():
                name = record.name_of(video["video_id"].numpy())
                raise InputError(
                    f"{data_dir}: the video {name!r} has NaN or infinite "
                    "features; convert again"
                )
            yield video

    results = {}
    with reader.readable(data_dir):
        for name, entries in inference.localize_dataset(
            loaded.detector, videos(), loaded.classes
        ):
            results[name] = entries
            on_video()
    return results, num_snippets
