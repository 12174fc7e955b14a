"""Work functions for tests, which worker processes can import."""

import dataclasses
import pathlib
import time

from tests.extraction.random_weights import Mean
from tfrecords_tools.sharding import units
from tfwstal.engine.units import Job, Store
from tfwstal.errors import InputError

WRITE = units._write


def nothing():
    return None


_counted = []


def count():
    """The number of calls in this process."""
    _counted.append(0)
    return len(_counted)


def note(prepared, content, folder):
    """Logs the call in a file beside the store, and writes an output file."""
    with open(folder.parent.parent / "calls", "a") as calls:
        calls.write(f"{content} {prepared}\n")
    (folder / "inside").mkdir()
    (folder / "inside" / "file").write_text(content)
    return {"of": content}, {"units": 1, "letters": len(content)}


def refuse(prepared, content, folder):
    note(prepared, content, folder)
    raise InputError(f"{content} is bad input")


def fail(prepared, content, folder):
    note(prepared, content, folder)
    raise RuntimeError(f"no luck with {content}")


def fail_once(prepared, content, folder):
    first = not (folder.parent.parent / "calls").exists()
    return (fail if first else note)(prepared, content, folder)


def do_twice(prepared, content, folder):
    """Simulates another worker that finishes the same unit first."""
    store = Store(folder.parent)
    (unit,) = folder.parent.glob("*.unit")
    store.perform(unit.stem, Job(nothing, note))
    return note(prepared, content, folder)


def write_slowly(prepared, task, folder, **arguments):
    """Writes a shard of `convert` slowly enough to be interrupted."""
    time.sleep(0.5)
    return WRITE(prepared, task, folder, **arguments)


@dataclasses.dataclass(frozen=True)
class FailingShard:
    """Fails on the shard that a file names, as long as the file exists."""

    listed: str

    def write(self, prepared, task, folder, **arguments):
        listed = pathlib.Path(self.listed)
        if listed.exists() and task.name == listed.read_text():
            raise RuntimeError("the disk of this worker is broken")
        return WRITE(prepared, task, folder, **arguments)


def load_means(checkpoints):
    """Replaces `run.load_models`: quick networks."""
    used = {"rgb": {"file": "rgb.ckpt", "sha256": "0"}}
    return {"rgb": Mean(3)}, used
