"""Converts ACM-Net's outputs to this package's, and localizes them."""

import numpy as np
import tensorflow as tf

from tfwstal import inference
from tfwstal.data import activitynet


def background_first(scores):
    """Moves the background from the last index, as in ACM-Net, to index 0.

    Args:
        scores: [..., C+1].

    Returns:
        [..., C+1], the actions in the same order, from 1.
    """
    return np.roll(scores, 1, axis=-1)


def read(path):
    """Yields each video's outputs from outputs.npz.

    Yields:
        Video id; outputs like the model's, without the axis of videos:
        "activation" [T, 1, C+1] of the foreground, "attention" [T, 3],
        "video_scores" [1, C+1]; and the number of the video's snippets per
        sampled snippet, above 1 if a long video was sampled.
    """
    arrays = np.load(path)
    ends = np.cumsum(arrays["sampled"])
    activation = background_first(arrays["activation"])
    scores = background_first(arrays["video_scores"])
    attention = arrays["attention"]
    for v, (name, end) in enumerate(zip(arrays["videos"], ends, strict=True)):
        rows = slice(end - arrays["sampled"][v], end)
        outputs = {
            "activation": activation[rows, np.newaxis],
            "attention": attention[rows],
            "video_scores": scores[v : v + 1],
        }
        stride = arrays["num_snippets"][v] / arrays["sampled"][v]
        yield str(name), outputs, stride


def localize(path, settings, seconds_per_snippet, detections):
    """Localizes outputs.npz with `tfwstal.method.localization`.

    Args:
        path: outputs.npz.
        settings: LocalizationSettings.
        seconds_per_snippet: seconds from one snippet to the next.
        detections: detections file to write.
    """
    classes = [str(name) for name in np.load(path)["classes"]]
    width = len(classes) + 1

    @tf.function(
        input_signature=[
            {
                "activation": tf.TensorSpec([None, 1, width], tf.float32),
                "attention": tf.TensorSpec([None, 3], tf.float32),
                "video_scores": tf.TensorSpec([1, width], tf.float32),
            },
            tf.TensorSpec([], tf.float32),
        ],
        autograph=False,
    )
    def detector(outputs, seconds):
        return inference.localize_alone(outputs, seconds, settings)

    activitynet.write_detections(
        detections,
        {
            name: inference.entries(
                detector(outputs, np.float32(seconds_per_snippet * stride)),
                classes,
            )
            for name, outputs, stride in read(path)
        },
    )
