"""TensorBoard's files of a run: what happens if they cannot be written.

TensorFlow raises errors for some of the events that it could not write, and
loses others silently.
"""

import contextlib
import pathlib
import shutil

import keras
import tensorflow as tf

from tfwstal.data.folder import count_records
from tfwstal.errors import InputError

_LEAST_BYTES = 2**16  # free on the disk, to write the events of an epoch


@contextlib.contextmanager
def writing(folder):
    """Turns TensorFlow's errors about TensorBoard's files into an InputError.

    Args:
        folder: folder of the logs.
    """
    try:
        yield
    except tf.errors.OpError as error:
        # "{{node ...}} FILE; File too large", and more lines.
        _, found, rest = error.message.partition(str(folder))
        if not found:
            raise
        reason = rest.partition("; ")[2].split("\n")[0] or type(error).__name__
        raise InputError(
            f"{folder}: TensorBoard's logs cannot be written ({reason[:80]}); "
            "free some space and run the same command again"
        ) from None


class LogSpace(keras.callbacks.Callback):
    """Notes in which epoch the disk of the logs was full, and finds cut files.

    Args:
        folder: folder of the logs.

    Attributes:
        full_after: the first epoch after which the disk was full, from 1; None
            if there was none.
    """

    def __init__(self, folder):
        super().__init__()
        self._folder = pathlib.Path(folder)
        self._older = self._event_files()
        self.full_after = None

    def _event_files(self):
        return set(self._folder.rglob("events.out.tfevents*"))

    def on_epoch_end(self, epoch, logs=None):
        """Looks at the free space."""
        if self.full_after is None:
            if shutil.disk_usage(self._folder).free < _LEAST_BYTES:
                self.full_after = epoch + 1

    def warnings(self):
        """A sentence for the user, as a list of one, or an empty list.

        Call it at the end of the training, when the files are closed.
        """
        if self.full_after is None:
            new = sorted(self._event_files() - self._older)
            return [
                f"{path} is cut, so that TensorBoard shows only a part; was "
                "the disk full? history.csv has the losses of all epochs"
                for path in new
                if not count_records(path)[1]
            ][:1]
        return [
            f"the disk of {self._folder} was full after epoch "
            f"{self.full_after}, so TensorBoard's logs may be incomplete; "
            "history.csv has the losses of all epochs"
        ]
