"""Keeps all training features in the memory of the device that trains.

A batch then names its snippets by row. `fill_in_step` or `filled` replaces the
rows by features, so that the model never sees the difference.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfwstal.data import batches as data_batches
from tfwstal.data import reader, record
from tfwstal.data.class_means import ClassMeans
from tfwstal.errors import InputError

_BYTES = {"float32": 4, "float16": 2}


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """The R training records; videos that are left out have 0 snippets.

    Attributes:
        features: Variable [N, D], the snippets of all videos, one video after
            the other; the last rows may be unused.
        shard_starts: [S+1] int64, the first record of each shard, and R.
        first: [R] int32, row of the first snippet of each video.
        num_snippets: [R] int32.
        video_hash: [R] int64, `batches.video_hash` of each id.
        actions: [R, C] float32, 1 for each action in the video.
        class_means: [C+1, D] float32, see `ClassMeans`; those of the features
            as stored, before they are cast.
    """

    features: tf.Variable
    shard_starts: np.ndarray
    first: np.ndarray
    num_snippets: np.ndarray
    video_hash: np.ndarray
    actions: np.ndarray
    class_means: np.ndarray

    def fill_in_step(self, model):
        """Makes a model's training step look up the features of a batch.

        The step gathers them on the device that trains, so only a few
        kilobytes a step are copied to it.

        Args:
            model: a keras.Model with a `train_step`.
        """
        if getattr(model.train_step, "cache", None) is self:
            return  # the step need not be traced again
        train_step = type(model).train_step

        def step_with_features(data):
            return train_step(model, self._fill(*data))

        step_with_features.cache = self
        model.train_step = step_with_features
        model.train_function = None  # a traced step keeps its own features

    def filled(self, batches):
        """Looks up the features of batches in the input pipeline.

        For training on several devices, each of which needs only its part of
        a batch.

        Args:
            batches: tf.data.Dataset of `batches.training_batches`.

        Returns:
            tf.data.Dataset with `features` in place of `rows`.
        """
        return batches.map(
            self._fill, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        ).prefetch(tf.data.AUTOTUNE)

    def _fill(self, inputs, actions):
        return {
            "features": tf.gather(self.features, inputs["rows"]),
            "num_snippets": inputs["num_snippets"],
        }, actions


def num_bytes(info, dtype):
    """Memory in bytes for the features of the split `train`, rounded up.

    Args:
        info: DatasetInfo.
        dtype: "float32" or "float16".
    """
    stored = sum(shard.num_bytes for shard in info.splits["train"])
    return stored * _BYTES[dtype] // _BYTES[info.storage_dtype]


def load(info, data_dir, dtype="float32", videos=None, device=None, visit=None):
    """Reads the split `train` into memory.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        dtype: "float32" or "float16", the dtype in memory.
        videos: ids of the videos to load; by default all.
        device: device to load them to; by default TensorFlow's first device.
        visit: function to call with each video, a dict of
            `record.parse_video`.

    Returns:
        FeatureCache.

    Raises:
        InputError: if the features do not fit into memory, a record is
            damaged, or as `ClassMeans.add`.
    """
    rows = num_bytes(info, dtype) // (_BYTES[dtype] * info.feature_dim)
    try:
        with tf.device(device):
            features = tf.Variable(tf.zeros([rows, info.feature_dim], dtype))
    except tf.errors.ResourceExhaustedError:
        raise InputError(
            f"{data_dir}: the training features do not fit into the memory "
            "of the device; give --cache_gb=0 or --cache_dtype=float16"
        ) from None
    columns = {"first": [], "num_snippets": [], "video_hash": [], "actions": []}
    starts, used = [0], 0
    means = ClassMeans(info, data_dir)
    with reader.readable(data_dir):
        for path in info.shard_paths(data_dir, "train"):
            for video in reader.videos_of_shards([path], info.feature_dim):
                name, labels = (
                    video[key].numpy() for key in ("video_id", "label_indices")
                )
                kept = videos is None or name.decode() in videos
                length = int(video["num_snippets"]) if kept else 0
                if kept:
                    means.add(name, labels, video["features"].numpy())
                    # An assigned slice would copy the whole variable.
                    features.scatter_update(
                        tf.IndexedSlices(
                            tf.cast(video["features"], dtype),
                            tf.range(used, used + length),
                        )
                    )
                    if visit:
                        visit(video)
                columns["first"].append(np.int32(used))
                columns["num_snippets"].append(np.int32(length))
                columns["video_hash"].append(
                    data_batches.video_hash(video["video_id"]).numpy()
                )
                columns["actions"].append(
                    record.multi_hot(labels, len(info.classes)).numpy()
                )
                used += length
            starts.append(len(columns["first"]))
    if videos is None:
        reader.check_unique(means.names, info, data_dir, "train")
    return FeatureCache(
        features,
        np.array(starts),
        **{name: np.stack(values) for name, values in columns.items()},
        class_means=means.result(),
    )
