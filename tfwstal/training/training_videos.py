"""Reads the training videos once, for all that a training needs of them."""

import dataclasses

import numpy as np

from tfwstal.data import batches, feature_cache
from tfwstal.data.class_means import ClassMeans
from tfwstal.training.watch import Sample


@dataclasses.dataclass(frozen=True)
class TrainingVideos:
    """What one pass over the training videos gives.

    Attributes:
        means: [C+1, D] float32, see `class_means.class_means`.
        cache: FeatureCache, or None if the features are not held in memory.
        sample: list of [T, D], see `watch.Sample`.
    """

    means: np.ndarray
    cache: feature_cache.FeatureCache | None
    sample: list


def read(training):
    """Reads each training video once, so that damage is found before training.

    Args:
        training: loop.Training.

    Returns:
        TrainingVideos. The features are in memory if they take at most
        options.cache_gb, and if there is an epoch to train.

    Raises:
        InputError: if a record is damaged or cannot be trained on, or the
            features do not fit into the memory of the device.
    """
    info, options = training.info, training.options
    sample = Sample(len(info.classes), options.num_snippets)
    size = feature_cache.num_bytes(info, options.cache_dtype)
    if options.epochs and size <= 1e9 * options.cache_gb:
        cache = feature_cache.load(
            info,
            training.data_dir,
            options.cache_dtype,
            training.videos,
            # Several devices get their parts of a batch from the host.
            device="CPU:0" if training.workers.strategy else None,
            visit=sample.add,
        )
        return TrainingVideos(cache.class_means, cache, sample.features)
    means = ClassMeans(info, training.data_dir)
    with batches.readable(training.data_dir):
        for video in batches.whole_videos(
            info, training.data_dir, "train", training.videos
        ):
            means.add(
                *(
                    video[name].numpy()
                    for name in ("video_id", "label_indices", "features")
                )
            )
            sample.add(video)
    return TrainingVideos(means.result(), None, sample.features)
