"""Keeps TensorFlow's start-up notes out of a command's output.

They would bury the one line in which a command says what is wrong, and since
2.19 TensorFlow writes them whatever TF_CPP_MIN_LOG_LEVEL says
(https://github.com/tensorflow/tensorflow/issues/100442). So where a command
starts, they are held back while TensorFlow is imported. As a library the
package changes nothing. TFWSTAL_VERBOSE=1 shows them.
"""

import os
import sys
import tempfile


def _import_tensorflow():
    """Imports it and looks for devices, both of which write notes."""
    import tensorflow as tf

    tf.config.list_physical_devices()


def _starts_a_command():
    # `python -m` has not yet replaced "-m" when it imports the package. The
    # converter's worker processes belong to a command too.
    return sys.argv[:1] == ["-m"] or "--multiprocessing-fork" in sys.orig_argv


def _quietly(act):
    """Calls `act` with file descriptor 2 on a file; shown if it fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            act()
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


if _starts_a_command() and not os.environ.get("TFWSTAL_VERBOSE"):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _quietly(_import_tensorflow)
