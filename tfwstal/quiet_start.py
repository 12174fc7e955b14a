"""Imports TensorFlow for a command without its start-up notes.

The notes would bury the one line in which a command reports an error, and
since version 2.19 TensorFlow writes them whatever TF_CPP_MIN_LOG_LEVEL says
(https://github.com/tensorflow/tensorflow/issues/100442). TFWSTAL_VERBOSE=1
shows them. Only our own commands call this; other programs that import the
package keep TensorFlow's output.
"""

import os
import sys
import tempfile


def import_tensorflow():
    """Imports TensorFlow and lists its devices, with stderr held back.

    If the import fails, the suppressed output is shown.
    """
    if os.environ.get("TFWSTAL_VERBOSE"):
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # this writes notes too
        except Exception:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
