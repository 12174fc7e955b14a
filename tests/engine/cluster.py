"""A Dask scheduler and workers as processes of this machine."""

import contextlib
import os
import signal
import subprocess
import sys
import time

from tests.conftest import ROOT

# Time limit of each process, in case the tests are killed.
_SECONDS = "900"


class Cluster:
    """A scheduler and its workers; their files are in `folder`."""

    def __init__(self, folder):
        self._file = folder / "scheduler.json"
        self._folder = folder
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1")
        self.workers = []

    def arguments(self, npartitions):
        """Beam's flags for this cluster."""
        return (
            "--runner=DaskRunner",
            f"--dask_scheduler_file={self._file}",
            f"--dask_npartitions={npartitions}",
        )

    def add_worker(self):
        """Starts a worker; returns its process."""
        number = len(self.workers)
        self.workers.append(
            self._start(
                "worker",
                *("--nthreads", "1", "--no-nanny"),
                f"--local-directory={self._folder / str(number)}",
            )
        )

    def living(self):
        return [w for w in self.workers if w.poll() is None]

    def stop(self):
        for process in (*self.workers, self._scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)

    def _start(self, kind, *arguments):
        """Starts one of Dask's programs, with Python's own time limit."""
        module = f"distributed.cli.dask_{kind}"
        with open(self._folder / f"{kind}.log", "ab") as log:
            return subprocess.Popen(
                ["timeout", "-s", "KILL", _SECONDS, sys.executable]
                + ["-m", module, f"--scheduler-file={self._file}"]
                + ["--no-dashboard", "--port=0"][: 2 if kind[0] == "s" else 1]
                + list(arguments),
                cwd=self._folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def wait_for(condition, seconds=120):
    """Waits until `condition()` holds, and fails if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.02)
