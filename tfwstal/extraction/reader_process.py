"""A process that reads videos: decoding and optical flow, no TensorFlow.

`readers` starts it as `python -m tfwstal.extraction.reader_process FD THREADS`
with a socket at file descriptor FD. It receives (Source, Settings) and sends

    ("snippet", RGB or None, flow or None)   for each snippet, then
    ("done", dict of facts)                  or
    ("failed", message)

until the socket is closed. Sending waits until the other side reads, so that a
process is never more than one snippet ahead.
"""

import multiprocessing.connection
import signal
import sys
import traceback

from tfwstal.errors import InputError
from tfwstal.extraction.sources import Reading


def main(connection, threads):
    """Reads videos until the other side closes the connection.

    Args:
        connection: multiprocessing.connection.Connection.
        threads: of decoder and flow.
    """
    # Ctrl-C goes to all processes of a terminal; the command ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            source, settings = connection.recv()
            for message in _messages(source, settings, threads):
                connection.send(message)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the command has ended, or was killed


def _messages(source, settings, threads):
    """Yields the messages about one video."""
    reading = Reading(source, settings, threads)
    snippets = 0
    try:
        for rgb, flow in reading.snippets():
            snippets += 1
            yield "snippet", rgb, flow
    except InputError as error:
        yield "failed", str(error)
    except Exception as error:  # a defect must not stop the other videos
        traceback.print_exc()
        yield "failed", f"{type(error).__name__}: {error}"
    else:
        facts = {
            "frames": reading.count.frames,
            "snippets": snippets,
            "left_out_frames": reading.count.left_out,
        }
        if reading.notes:
            facts["notes"] = reading.notes
        yield "done", facts


if __name__ == "__main__":
    main(
        multiprocessing.connection.Connection(int(sys.argv[1])),
        int(sys.argv[2]),
    )
