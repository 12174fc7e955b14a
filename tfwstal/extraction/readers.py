"""Several processes that read videos while this one runs the network."""

import collections
import contextlib
import multiprocessing
import os
import queue
import subprocess
import sys
import threading


class Readers:
    """Reads videos in `num_workers` processes, each one video at a time.

    Processes, not threads: a decoder that crashes on a damaged film takes its
    process with it, and nothing else.

    Use as a context manager; at its end the processes are ended.

    Args:
        sources: sources.Source of each video, in the order of their start.
        settings: options.Settings.
        num_workers: processes; 0 for one a core, at most one a video.
        snippets_ahead: that may wait for the network, besides the one that
            each process holds.
    """

    def __init__(self, sources, settings, num_workers=0, snippets_ahead=8):
        cores = os.cpu_count() or 1
        workers = max(1, min(num_workers or cores, len(sources)))
        self._settings = settings
        self._threads_each = max(1, cores // workers)
        self._waiting = collections.deque(sources)
        self._messages = queue.Queue(max(1, snippets_ahead))
        self._ended = threading.Event()
        self._processes = {}
        self._threads = [
            threading.Thread(target=self._attend, args=(i,), daemon=True)
            for i in range(workers)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for process in list(self._processes.values()):
            process.kill()
        # Threads that wait for a place in the queue find one.
        while any(thread.is_alive() for thread in self._threads):
            with contextlib.suppress(queue.Empty):
                self._messages.get(timeout=0.05)
        for process in self._processes.values():
            process.wait()

    def messages(self):
        """Yields (Source, kind, ...) as `reader_process` sends them.

        None comes where no message is ready, so that the caller can use what
        it has rather than wait.
        """
        left = len(self._threads)
        while left:
            try:
                message = self._messages.get_nowait()
            except queue.Empty:
                yield None
                message = self._messages.get()
            if message is None:
                left -= 1
            else:
                yield message

    def _attend(self, number):
        """Gives one process after the other video and passes on its answers."""
        connection = None
        while not self._ended.is_set():
            try:
                source = self._waiting.popleft()
            except IndexError:
                break
            if connection is None:
                connection = self._start(number)
            if not self._pass_on(connection, source, number):
                connection = None
        if connection is not None:
            connection.close()
            self._processes[number].wait()
        self._messages.put(None)

    def _pass_on(self, connection, source, number):
        """Passes on what is said of one video; False if the process died."""
        try:
            connection.send((source, self._settings))
            while True:
                message = connection.recv()
                self._messages.put((source, *message))
                if message[0] != "snippet":
                    return True
        except (EOFError, BrokenPipeError, ConnectionResetError):
            status = self._processes[number].wait()
            connection.close()
            self._messages.put(
                (source, "failed", f"reading it crashed (status {status})")
            )
            return False

    def _start(self, number):
        """Starts a process; returns our end of its connection."""
        ours, theirs = multiprocessing.Pipe()
        with theirs:
            self._processes[number] = subprocess.Popen(
                [sys.executable, "-m", "tfwstal.extraction.reader_process"]
                + [str(theirs.fileno()), str(self._threads_each)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # The package is found where this process found it.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        return ours
