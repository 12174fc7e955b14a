"""Weights kept as float16, computed with as float32, and what that changes."""

import numpy as np
import tensorflow as tf

from tfwstal import inference, keras_versions
from tfwstal.errors import InputError


def halved(model):
    """A copy of a model whose weights are stored as float16.

    They are cast to float32 in the graph, where all computation stays.

    Args:
        model: a TwoStreamLocalizer.

    Returns:
        TwoStreamLocalizer, for inference.

    Raises:
        InputError: if a weight is too large for float16.
    """
    arguments = model.get_config()
    # Without the name and the policy of the model itself.
    arguments.pop("dtype", None)
    with keras_versions.stored_as_float16():
        copy = type(model).from_config(arguments)
    for ours, theirs in zip(copy.weights, model.weights, strict=True):
        value = np.asarray(tf.convert_to_tensor(theirs))
        if value.dtype.kind == "f" and np.abs(value).max(initial=0) > 65504:
            raise InputError(
                f"--precision=float16: the weight {theirs.name} is too large "
                "for it; export with --precision=float32"
            )
        ours.assign(tf.cast(value, ours.dtype))
    return copy


def changes(model, halved_model, videos, classes, settings):
    """How the detections of some videos change with the weights.

    Args:
        model: a TwoStreamLocalizer.
        halved_model: its copy of `halved`.
        videos: iterable, again and again, as for
            `inference.localize_dataset`.
        classes: action names.
        settings: LocalizationSettings.

    Returns:
        dict of `videos`, `detections` and `detections_float16`, `same`, those
        that have the same class and segment in both, and
        `largest_score_change` among these.
    """
    before, after = (
        {
            (name, each["label"], *each["segment"]): each["score"]
            for name, found in inference.localize_dataset(
                inference.make_detector(each_model, settings),
                videos,
                classes,
            )
            for each in found
        }
        for each_model in (model, halved_model)
    )
    same = before.keys() & after.keys()
    return {
        "videos": sum(1 for _ in videos),
        "detections": len(before),
        "detections_float16": len(after),
        "same": len(same),
        "largest_score_change": max(
            (abs(before[key] - after[key]) for key in same), default=0.0
        ),
    }
