"""Reads the training videos once; a sample of them, and videos to draw."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfwstal.data import batches, feature_cache, reader
from tfwstal.data.annotations import Segment
from tfwstal.data.class_means import ClassMeans
from tfwstal.data.names import unknown_video

# Most training videos in the sample.
SAMPLE = 32
# Videos that are drawn unless the user names some.
PICTURES = 2


@dataclasses.dataclass(frozen=True)
class TrainingVideos:
    """The results of one pass over the training videos.

    Attributes:
        means: [C+1, D] float32, see `ClassMeans`.
        cache: FeatureCache, or None if the features are not held in memory.
        sample: list of [T, D], see `Sample`.
    """

    means: np.ndarray
    cache: feature_cache.FeatureCache | None
    sample: list


def read(training):
    """Reads each training video once, which finds damage before training.

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
            # With several devices, the host sends each its part of a batch.
            device="CPU:0" if training.workers.strategy else None,
            visit=sample.add,
        )
        return TrainingVideos(cache.class_means, cache, sample.features)
    means = ClassMeans(info, training.data_dir)
    with reader.readable(training.data_dir):
        for video in reader.whole_videos(
            info, training.data_dir, "train", training.videos
        ):
            means.add(
                *(
                    video[name].numpy()
                    for name in ("video_id", "label_indices", "features")
                )
            )
            sample.add(video)
    if training.videos is None:
        reader.check_unique(means.names, info, training.data_dir, "train")
    return TrainingVideos(means.result(), None, sample.features)


class Sample:
    """Training videos that show as many classes as possible.

    In the order of the records, a video is used if it has an action that no
    earlier video has, up to SAMPLE videos.

    Args:
        num_classes: C, the number of actions.
        num_snippets: snippets drawn from a longer video, as in training.

    Attributes:
        features: list of [T, D], tensors, one for each video.
    """

    def __init__(self, num_classes, num_snippets):
        self._missing = set(range(1, num_classes + 1))
        self._num_snippets = num_snippets
        self.features = []

    def add(self, video):
        """Adds a video, from `record.parse_video`, if it has new actions."""
        labels = set(video["label_indices"].numpy().tolist())
        if len(self.features) == SAMPLE or not labels & self._missing:
            return
        self._missing -= labels
        indices = batches.sample_snippets(
            video["num_snippets"], self._num_snippets, False, seed=[0, 0]
        )
        self.features.append(tf.gather(video["features"], indices))


def pictured_videos(info, data_dir, split, videos=()):
    """The videos to draw, each with its ground truth.

    Args:
        info: DatasetInfo.
        data_dir: its folder.
        split: where the videos are.
        videos: ids; by default the first PICTURES of the split, or none if
            the records have no such split.

    Returns:
        list of dicts of `record.parse_video`, with `truth`, tuple of Segment.

    Raises:
        InputError: if the split has no video with one of the ids.
    """
    if not videos and split not in info.splits:
        return []
    with reader.readable(data_dir):
        whole = reader.whole_videos(info, data_dir, split, videos or None)
        chosen = list(whole.take(len(set(videos)) or PICTURES))
    ids = [video["video_id"].numpy().decode() for video in chosen]
    for video in set(videos).difference(ids):
        raise unknown_video(
            "watch_videos",
            video,
            reader.video_labels(info, data_dir, split),
            f"split {split!r} of {data_dir}",
        )
    truths = reader.ground_truth(info, data_dir, split, ids)
    for name, video in zip(ids, chosen, strict=True):
        video["truth"] = tuple(
            Segment(info.classes[label - 1], *segment)
            for segment, label in zip(*truths[name], strict=True)
        )
    return chosen
