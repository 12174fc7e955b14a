"""Training on more than one device: --strategy.

A batch of --batch_size videos is split into one part for each replica, which is
a device with a copy of the model. The loss is the mean over the videos of the
whole batch: a replica's part of it is the sum over its own videos, divided by
the number of all videos. The parts and their gradients add up to those of one
process. A mean of the replicas' means would differ if the last batch of an
epoch has parts of unequal size or leaves a replica without videos.

TensorFlow's MirroredStrategy handles the devices of one process, and its
MultiWorkerMirroredStrategy several processes. `keras_replicas` adapts Keras's
`fit` to them. One of several workers is the chief; only the chief writes files.
"""

import contextlib
import os
import re
import signal
import zlib

import numpy as np
import tensorflow as tf

from tfwstal import keras_versions
from tfwstal.errors import InputError
from tfwstal.method.replicas import summed
from tfwstal.training import cluster
from tfwstal.training.keras_replicas import replica_state

# Errors that TensorFlow raises when a peer worker dies.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class Workers:
    """The processes that train together, or the only one.

    Args:
        kind: as --strategy. With "multiworker", TF_CONFIG says who and where
            the others are.

    Attributes:
        addresses: list of HOST:PORT, empty for a single process.
        index: this process's place in it.
        strategy: tf.distribute.Strategy after `start`; None for
            --strategy=none.

    Raises:
        InputError: if TF_CONFIG is missing or invalid.
    """

    def __init__(self, kind="none"):
        self._kind = kind
        self.strategy = None
        self.addresses, self.index = [], 0
        if self._kind != "none" and not keras_versions.KERAS_3:
            raise InputError(
                f"--strategy={self._kind} needs Keras 3; drop it, or install "
                "tfwstal without tensorflow-addons"
            )
        if self._kind == "multiworker":
            self.addresses, self.index, self._own_chief = cluster.parse(
                os.environ.get("TF_CONFIG")
            )
        self._gather = None

    @property
    def chief(self):
        """Whether this process writes the files."""
        return not self.index

    @property
    def replicas(self):
        """Number of devices that share a batch."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def start(self, batch_size):
        """Creates the strategy; several workers wait here for each other.

        Call it before TensorFlow computes anything, because connections
        between workers cannot be made later.

        Args:
            batch_size: videos a training step.

        Raises:
            InputError: if a worker does not answer in time, its port cannot
                be used, or there are more replicas than videos in a batch.
        """
        if self._kind == "mirrored":
            self.strategy = tf.distribute.MirroredStrategy()
        elif self._kind == "multiworker":
            print(
                f"worker {self.index} of {len(self.addresses)}: connects to "
                f"{', '.join(self.addresses)}",
                flush=True,
            )
            cluster.wait_for_others(self.addresses, self.index)
            try:
                self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
            except (tf.errors.OpError, RuntimeError) as error:
                raise InputError(
                    f"--strategy=multiworker: worker {self.index} cannot "
                    f"connect: {str(error).splitlines()[0][:200]}"
                ) from None
            # TensorFlow has replaced the handler, and would ignore the signal.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        if batch_size < self.replicas:
            raise InputError(
                f"--batch_size={batch_size} is too small for "
                f"{self.replicas} replicas; give each one video or more"
            )

    @contextlib.contextmanager
    def scope(self):
        """In this block a model and optimizer are created on all devices."""
        if self.strategy is None:
            yield
            return
        with self.strategy.scope(), tf.variable_creator_scope(replica_state):
            yield

    @contextlib.contextmanager
    def watched(self):
        """Turns the loss of another worker into an InputError."""
        try:
            yield
        except _LOST as error:
            if not self.addresses:
                raise
            raise InputError(self._loss_in_words(error.message)) from None

    def _loss_in_words(self, message):
        found = re.search(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", message)
        who = "another worker"
        if found:
            # TF_CONFIG's chief is worker 0 here, its worker 0 the next one.
            index = int(found[2])
            if found[1] == "worker" and self._own_chief:
                index += 1
            who = f"worker {index} ({self.addresses[index]})"
        return (
            f"{who} is lost: it ended, was killed or cannot be reached; see "
            "its output, then run the same command on all workers again to "
            "resume from the last checkpoint"
        )

    def gathered(self, values):
        """Gathers numbers of all workers; waits until all have called it.

        Args:
            values: list of n whole numbers, of this worker.

        Returns:
            [workers, n] int64, the same for all.
        """
        if not self.addresses:
            return np.array([values], np.int64)
        if self._gather is None:
            # A sum of tables in which every worker fills its own row; sums
            # over workers are needed for gradients anyway.
            self._gather = tf.function(
                lambda table: self.strategy.run(
                    lambda: summed(tf.identity(table))
                )
            )
        table = np.zeros((len(self.addresses), len(values)), np.int64)
        table[self.index] = values
        found = self.strategy.experimental_local_results(
            self._gather(tf.constant(table))
        )[0]
        devices = self.replicas // len(self.addresses)
        return found.numpy() // devices

    def agree(self, what, text, remedy):
        """Raises InputError unless all workers give the same text.

        It waits until all have called it.

        Args:
            what: name of the text, for the message.
            text: the text of this worker.
            remedy: what to do, for the message.
        """
        sums = self.gathered([zlib.crc32(text.encode())])[:, 0]
        others = np.flatnonzero(sums != sums[0])
        if others.size:
            raise InputError(
                f"{what}: worker {others[0]} "
                f"({self.addresses[others[0]]}) differs from worker 0; "
                f"{remedy}"
            )

    def batches(self, batches):
        """Splits the batches of a training into the replicas' parts.

        Every worker reads all videos and keeps the rows of its own replicas,
        so the order of the videos and the padded length of a batch are those
        of one process.

        Args:
            batches: what `batches.training_batches` returned.

        Returns:
            what `fit` wants: the same, or a tf.distribute.DistributedDataset.
        """
        if self.strategy is None:
            return batches
        replicas = self.replicas

        def of_worker(context):
            local = replicas // context.num_input_pipelines
            first = local * context.input_pipeline_id
            parts = tf.data.Dataset.range(first, first + local)

            def cut(inputs, actions):
                def part(replica):
                    videos = tf.shape(actions, tf.int64)[0]
                    begin = videos * replica // replicas
                    end = videos * (replica + 1) // replicas
                    return tf.nest.map_structure(
                        lambda rows: rows[begin:end], (inputs, actions)
                    )

                return parts.map(part)

            # All replicas get a part of every batch, even an empty one, so
            # that they end together. `repeat` makes the dataset endless, so
            # that the workers need not agree on its end at every step.
            return batches.flat_map(cut).repeat().prefetch(tf.data.AUTOTUNE)

        return self.strategy.distribute_datasets_from_function(of_worker)
