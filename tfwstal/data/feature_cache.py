"""The training features in memory, whole, where they fit.

They lie where the training step runs, in an accelerator's own memory if there
is one, and a batch names its snippets by their rows: the step itself gathers
and casts them, so that nothing but a few kilobytes travels to it.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfwstal.data import batches as data_batches
from tfwstal.data import record
from tfwstal.errors import InputError

_BYTES = {"float32": 4, "float16": 2}


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """All R training records; those left out have no snippets.

    Attributes:
        features: Variable [N, D], the snippets of all videos in a row; the
            last ones may belong to none.
        shard_starts: [S+1] int64, the first record of each shard, and R.
        first: [R] int32, row of each video's first snippet.
        num_snippets: [R] int32.
        video_hash: [R] int64, `batches.video_hash` of each id.
        actions: [R, C] float32, 1 for each action in the video.
    """

    features: tf.Variable
    shard_starts: np.ndarray
    first: np.ndarray
    num_snippets: np.ndarray
    video_hash: np.ndarray
    actions: np.ndarray

    def filled(self, batches):
        """Batches with `features` in place of `rows`, gathered beforehand.

        For training on several devices, where each needs its part alone.
        """

        def fill(inputs, actions):
            return {
                "features": tf.gather(self.features, inputs["rows"]),
                "num_snippets": inputs["num_snippets"],
            }, actions

        return batches.map(
            fill, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        ).prefetch(tf.data.AUTOTUNE)


def num_bytes(info, dtype):
    """What the split `train` takes in memory, a little overestimated.

    Args:
        info: DatasetInfo.
        dtype: "float32" or "float16".
    """
    stored = sum(shard.num_bytes for shard in info.splits["train"])
    return stored * _BYTES[dtype] // _BYTES[info.storage_dtype]


def load(info, data_dir, dtype="float32", videos=None, device=None):
    """Reads the split `train` into memory.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        dtype: "float32" or "float16", that of the features in memory.
        videos: ids of the videos to hold; by default all.
        device: where they lie; by default where TensorFlow computes.

    Returns:
        FeatureCache.

    Raises:
        InputError: if they do not fit there, or a record is damaged.
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
    with data_batches.readable(data_dir):
        for path in info.shard_paths(data_dir, "train"):
            for video in data_batches.videos_of_shards(
                [path], info.feature_dim
            ):
                name = video["video_id"].numpy().decode()
                kept = videos is None or name in videos
                length = int(video["num_snippets"]) if kept else 0
                if kept:
                    features[used : used + length].assign(
                        tf.cast(video["features"], dtype)
                    )
                columns["first"].append(np.int32(used))
                columns["num_snippets"].append(np.int32(length))
                columns["video_hash"].append(
                    data_batches.video_hash(video["video_id"]).numpy()
                )
                columns["actions"].append(
                    record.multi_hot(
                        video["label_indices"], len(info.classes)
                    ).numpy()
                )
                used += length
            starts.append(len(columns["first"]))
    return FeatureCache(
        features,
        np.array(starts),
        **{name: np.stack(values) for name, values in columns.items()},
    )
