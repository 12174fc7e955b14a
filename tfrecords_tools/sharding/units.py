"""Shards as units of work for `tfwstal.engine`."""

import dataclasses
import functools
import os
import pathlib

from tfrecords_tools.sharding import shards
from tfwstal.data.folder import VERSION, Shard
from tfwstal.engine.units import Job, Unit, file_state
from tfwstal.errors import InputError


def run(tasks, classes, storage_dtype, output_dir, arguments):
    """Writes the shards by Apache Beam, each in the folder of its unit.

    Args:
        tasks: from `shards.plan`.
        classes: action names; class index c is classes[c - 1].
        storage_dtype: "float32" or "float16".
        output_dir: absolute path of what the shards are for. The units are
            kept beside it, in OUTPUT_DIR.incomplete.
        arguments: of Beam.

    Returns:
        units.Outcome, for `gather`.

    Raises:
        InputError: the first that a video causes, in the order of `tasks`; or
            as `beam.run`.
    """
    from tfwstal.engine import beam  # needs Apache Beam

    units = [_unit(task, classes, storage_dtype) for task in tasks]
    work = functools.partial(
        _write, classes=classes, storage_dtype=storage_dtype
    )
    store = output_dir.with_name(f"{output_dir.name}.incomplete")
    outcome = beam.run(units, Job(tuple, work), store, arguments)
    for task, unit in zip(tasks, units, strict=True):
        if unit.name in outcome.errors:
            message = outcome.errors[unit.name]
            raise InputError(_as_given(message, task, unit.content))
    return outcome


def _unit(task, classes, storage_dtype):
    """The Unit of a Task."""
    videos = tuple((_absolute(v), length) for v, length in task.videos)
    paths = {_path(f) for v, _ in videos for f in v.feature_files}
    state = [(str(path), file_state(path)) for path in sorted(paths)]
    return Unit(
        task.name,
        dataclasses.replace(task, videos=videos),
        (VERSION, videos, classes, storage_dtype, state),
    )


def _as_given(message, given, absolute):
    """The message of a worker, with the paths of the command line."""
    for (video, _), (found, _) in zip(
        given.videos, absolute.videos, strict=True
    ):
        pairs = zip(found.feature_files, video.feature_files, strict=True)
        for long, short in pairs:
            message = message.replace(str(long), str(short))
    return message


def gather(outcome, tasks, folder):
    """Moves the shards of finished units to one folder.

    Returns:
        as `shards.write_all`.
    """
    written = []
    for task in tasks:
        unit = outcome.finished[task.name]
        os.rename(unit.folder / task.name, pathlib.Path(folder) / task.name)
        shard = Shard(task.name, len(task.videos), unit.counts["bytes"])
        digests = {name: tuple(each) for name, each in unit.result.items()}
        written.append((shard, digests))
    return written


def _write(_, task, folder, classes, storage_dtype):
    """The work of one unit: the sha256 of its files, and its counts."""
    shard, digests = shards.write_shard(task, classes, storage_dtype, folder)
    return digests, {
        "videos": shard.num_videos,
        "snippets": sum(length for _, length in task.videos),
        "bytes": shard.num_bytes,
    }


def _path(place):
    """The file of a feature file, or of an array inside a larger one."""
    return place if isinstance(place, pathlib.Path) else place.path


def _absolute(video):
    """The SourceVideo, with files that are found from any folder."""
    return dataclasses.replace(
        video,
        feature_files=tuple(
            place.absolute()
            if isinstance(place, pathlib.Path)
            else dataclasses.replace(place, path=place.path.absolute())
            for place in video.feature_files
        ),
    )
