"""Units of work, and the folder that keeps the finished ones.

A unit is a piece of a command's work that one worker does whole: a shard, a
film. Workers need nothing of each other but a file system that all see:

    OUTPUT.incomplete/
      NAME.KEY.unit    what is to be done
      NAME.KEY/        a finished unit: its files and result.json
      NAME.KEY.error   why it could not be done
      .NAME.XXXXXXXX/  a unit under way

A unit is done in a folder of its own, which gets its name when it is whole. So
a lost worker costs its unit's time and nothing else, and a unit that is done
twice is the same. KEY is a digest of all that the unit depends on: finished
units of a run that was broken off count for the next one, if it is the same.
"""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import pickle
import shutil
import socket
import tempfile
import threading
import traceback
from collections.abc import Callable

from tfwstal import files
from tfwstal.errors import InputError

TRIES = 3


@dataclasses.dataclass(frozen=True)
class Unit:
    """One unit of work.

    Attributes:
        name: part of a file's name, and what messages call it.
        content: what the work gets; picklable, with absolute paths.
        depends_on: all that the result depends on, with an exact repr.
    """

    name: str
    content: object
    depends_on: tuple

    @property
    def id(self):
        """NAME.KEY"""
        digest = hashlib.sha256(repr(self.depends_on).encode())
        return f"{self.name}.{digest.hexdigest()[:12]}"


@dataclasses.dataclass(frozen=True)
class Job:
    """What is done with each unit, as functions that can be pickled.

    Attributes:
        prepare: function without arguments; called once in each worker
            process, for what all units share, such as a loaded model.
        work: function of what `prepare` returned, a unit's content and an
            empty folder for its files. Returns a result, which JSON can hold,
            and a dict of counts. An InputError is the unit's answer; after
            any other exception it is tried again.
    """

    prepare: Callable
    work: Callable


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished unit: its folder, and what `Job.work` returned."""

    folder: pathlib.Path
    result: object
    counts: dict[str, int]
    worker: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of the units.

    Attributes:
        finished: dict from a unit's name to Finished, in the units' order.
        errors: dict from a unit's name to the message of its InputError,
            likewise.
        done_before: units that an earlier run had finished.
        store: the Store; to be removed once all results are elsewhere.
    """

    finished: dict[str, Finished]
    errors: dict[str, str]
    done_before: int
    store: "Store"

    def summary(self, more_counts=()):
        """One line for the user: units, workers and counters.

        Args:
            more_counts: dict of counts that no unit knows.
        """
        counts = collections.Counter()
        for unit in self.finished.values():
            counts.update(unit.counts)
        counts.update(more_counts)
        counted = [f"{k.replace('_', ' ')}: {n}" for k, n in counts.items()]
        workers = {unit.worker for unit in self.finished.values()}
        return (
            f"units: {len(self.finished)} ({self.done_before} of them from an "
            f"earlier run), worker processes: {len(workers)}, "
            f"{', '.join(counted)}"
        )


def file_state(path):
    """Size and time of change of a file, for `Unit.depends_on`."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


class Store:
    """The folder of units; see the module.

    Args:
        path: the folder.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def begin(self, units):
        """Removes what is not finished; returns the Units that are left to do.

        Raises:
            InputError: if the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for path in self.path.iterdir():
                if path.name.startswith("."):
                    shutil.rmtree(path)
                elif path.suffix in (".unit", ".error"):
                    path.unlink()
            todo = [unit for unit in units if not self.is_done(unit.id)]
            for unit in todo:
                shutil.rmtree(self.path / unit.id, ignore_errors=True)
                content = pickle.dumps((unit.name, unit.content))
                self._file(unit.id, "unit").write_bytes(content)
        except OSError as error:
            raise files.unwritable(self.path, error) from None
        return todo

    def is_done(self, unit_id):
        """Whether a unit is finished, and none of its files was taken away."""
        folder = self.path / unit_id
        try:
            names = json.loads((folder / "result.json").read_text())["files"]
        except FileNotFoundError:
            return False
        return all((folder / name).is_file() for name in names)

    def perform(self, unit_id, job):
        """Does one unit in this process, unless it is finished.

        Returns:
            its counts; none if it was finished before, or has failed.
        """
        if self.is_done(unit_id):
            return {}
        name, content = pickle.loads(self._file(unit_id, "unit").read_bytes())
        for left in reversed(range(TRIES)):
            try:
                return self._try(name, unit_id, content, job)
            except InputError as error:
                self._note(unit_id, {"input": str(error)})
                break
            except Exception as error:  # it may be the worker's, or pass
                traceback.print_exc()
                if not left:
                    text = f"{TRIES} tries, {type(error).__name__}: {error}"
                    self._note(unit_id, {"failure": text})
        return {}

    def _try(self, name, unit_id, content, job):
        # mkdtemp: two workers may come to have the same unit.
        aside = pathlib.Path(
            tempfile.mkdtemp(prefix=f".{name[:100]}.", dir=self.path)
        )
        try:
            result, counts = job.work(_prepared(job), content, aside)
            written = [p for p in aside.rglob("*") if p.is_file()]
            description = {
                "result": result,
                "counts": counts,
                "worker": f"{socket.gethostname()}:{os.getpid()}",
                "files": [p.relative_to(aside).as_posix() for p in written],
            }
            (aside / "result.json").write_text(json.dumps(description))
            aside.chmod(0o755)  # mkdtemp's are for this user alone
            try:
                aside.rename(self.path / unit_id)
            except OSError:
                if not self.is_done(unit_id):  # by another worker, meanwhile
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return counts

    def outcome(self, units, done_before):
        """The Outcome, once the runner has ended.

        Raises:
            InputError: if a unit is neither finished nor answered by an
                InputError; names it.
        """
        finished, errors, failed = {}, {}, {}
        for unit in units:
            note = self._file(unit.id, "error")
            if self.is_done(unit.id):
                finished[unit.name] = self._finished(unit.id)
            elif note.exists():
                content = json.loads(note.read_text())
                if "input" in content:
                    errors[unit.name] = content["input"]
                else:
                    failed[unit.name] = content["failure"]
            else:
                failed[unit.name] = "not done by the runner"
        if failed:
            named = [f"{n} ({why})" for n, why in list(failed.items())[:3]]
            more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
            raise InputError(
                f"{len(failed)} of {len(units)} units failed: "
                f"{', '.join(named)}{more}. {self.advice(units)}"
            )
        return Outcome(finished, errors, done_before, self)

    def advice(self, units):
        """What to do after a run that did not finish all units, as a text."""
        done = sum(self.is_done(unit.id) for unit in units)
        return (
            f"{done} of {len(units)} units are finished and kept in "
            f"{self.path}; the same command again does the others"
        )

    def under_way(self):
        """Names of the units that were begun and not ended, sorted."""
        return sorted(
            {p.name[1:].rpartition(".")[0] for p in self.path.glob(".*.*")}
        )

    def remove(self):
        """Removes the folder, once all is in its place."""
        shutil.rmtree(self.path)

    def _finished(self, unit_id):
        folder = self.path / unit_id
        content = json.loads((folder / "result.json").read_text())
        return Finished(
            folder, content["result"], content["counts"], content["worker"]
        )

    def _note(self, unit_id, content):
        files.write_json(self._file(unit_id, "error"), content)

    def _file(self, unit_id, suffix):
        return self.path / f"{unit_id}.{suffix}"


_lock = threading.Lock()
_last_prepared = [None, None]


def _prepared(job):
    """What `job.prepare` returned, called once in this process."""
    key = pickle.dumps(job.prepare)
    with _lock:
        if _last_prepared[0] != key:
            _last_prepared[:] = key, job.prepare()
        return _last_prepared[1]
