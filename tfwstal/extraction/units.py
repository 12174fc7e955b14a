"""Films as units of work for `tfwstal.engine`."""

import dataclasses
import functools
import os
import pathlib

from tfwstal.engine.units import Job, Unit, file_state
from tfwstal.errors import InputError
from tfwstal.extraction import run
from tfwstal.extraction.feature_folder import IDENTITY, FeatureFolder


def extract(
    sources, output_dir, settings, checkpoints, facts, num_workers, arguments
):
    """Extracts videos by Apache Beam into a FeatureFolder.

    A new folder gets its name when all videos are in it. Until then they are
    kept beside it, in OUTPUT_DIR.incomplete.

    Args:
        sources: sources.Source of each video.
        output_dir: path of the folder, which may have been begun before.
        settings: options.Settings.
        checkpoints: dict "rgb", "flow" -> path, "" for none.
        facts: from `run.describe`.
        num_workers: processes that read videos, in each worker.
        arguments: of Beam.

    Returns:
        the FeatureFolder; a dict from the names of the videos that cannot be
        read to messages; and the engine's Outcome.

    Raises:
        InputError: as FeatureFolder, or as `beam.run`.
    """
    output_dir = pathlib.Path(output_dir).absolute()
    begun = output_dir.exists()
    folder = FeatureFolder(output_dir, facts) if begun else None
    todo = [s for s in sources if not (folder and folder.has(s))]
    store = output_dir.with_name(f"{output_dir.name}.incomplete")
    outcome = _run(
        todo, settings, checkpoints, facts, num_workers, store, arguments
    )
    if not begun:
        folder = FeatureFolder(store / ".output", facts)
    folder.adopt(
        {name: unit.folder for name, unit in outcome.finished.items()},
        outcome.errors,
    )
    if not begun:
        folder.rename(output_dir)
    return folder, outcome.errors, outcome


def _run(sources, settings, checkpoints, facts, num_workers, store, arguments):
    """Does the videos as units of work; returns the Outcome."""
    from tfwstal.engine import beam  # needs Apache Beam

    checkpoints = {s: p and os.path.abspath(p) for s, p in checkpoints.items()}
    identity = {name: facts[name] for name in IDENTITY}
    units = []
    for source in sources:
        absolute = dataclasses.replace(source, path=source.path.absolute())
        depends_on = (absolute, _state(source), settings, identity)
        units.append(Unit(source.name, absolute, depends_on))
    work = functools.partial(
        _extract, settings=settings, facts=facts, num_workers=num_workers
    )
    job = Job(functools.partial(run.load_models, checkpoints), work)
    outcome = beam.run(units, job, store, arguments)
    for source in sources:  # with the paths of the command line
        message = outcome.errors.get(source.name)
        if message:
            outcome.errors[source.name] = message.replace(
                str(source.path.absolute()), str(source.path)
            )
    return outcome


def _extract(loaded, source, folder, settings, facts, num_workers):
    """The work of one unit: a video's facts, and its counts."""
    models, _ = loaded
    own = FeatureFolder(folder, facts)
    failed, _ = run.extract([source], settings, models, own, num_workers)
    if failed:
        raise InputError(failed[source.name])
    found = own.videos[source.name]
    return found, {
        "videos": 1,
        "snippets": found["snippets"],
        "bytes": sum(p.stat().st_size for p in folder.rglob("*.npy")),
    }


def _state(source):
    """Sizes and times of change of a film, or of a folder's pictures."""
    if not source.is_folder:
        return file_state(source.path)
    return [(p.name, file_state(p)) for p in sorted(source.path.iterdir())]
