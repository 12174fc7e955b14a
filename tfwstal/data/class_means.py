"""Class means of the training features, the first centroids (Section 4.1)."""

import numpy as np

from tfwstal.data import record
from tfwstal.errors import InputError


class ClassMeans:
    """Computes class means in one pass over the training videos.

    Entry c is the mean over all snippets of the training videos with action c.
    Entry 0, the background, is the mean over all snippets, and so is the entry
    of an action that no training video has.

    Args:
        info: DatasetInfo.
        data_dir: its folder, for error messages.
    """

    def __init__(self, info, data_dir):
        self._num_classes, self._data_dir = len(info.classes), data_dir
        self._total = np.zeros((self._num_classes + 1, info.feature_dim))
        self._count = np.zeros(self._num_classes + 1)
        self.names = set()  # of the videos so far

    def add(self, video_id, label_indices, features):
        """Adds one video.

        Args:
            video_id: its name, as bytes.
            label_indices: [L] class indices from 1.
            features: [T, D] float32, as stored.

        Raises:
            InputError: if the video has no label, a label that is not one of
                the classes, or a value that is not finite.
        """
        name = record.name_of(video_id)
        self.names.add(name)
        if not len(label_indices):
            raise self._error(name, "no label", "training needs one")
        for index in label_indices:
            if not 1 <= index <= self._num_classes:
                raise self._error(
                    name,
                    f"the class index {index}",
                    f"metadata.json lists {self._num_classes} classes",
                )
        with np.errstate(invalid="ignore"):  # inf - inf; see the error below
            total = features.sum(axis=0, dtype=np.float64)
        # In float64 the sum of finite float32 values is always finite.
        if not np.isfinite(total).all():
            raise self._error(
                name, "NaN or infinite features", "training needs numbers"
            )
        rows = [0, *label_indices]
        self._total[rows] += total
        self._count[rows] += len(features)

    def result(self):
        """The means so far, [C+1, D] float32."""
        total, count = self._total.copy(), self._count.copy()
        absent = count == 0
        total[absent], count[absent] = total[0], count[0]
        return (total / count[:, np.newaxis]).astype(np.float32)

    def _error(self, name, problem, reason):
        return InputError(
            f"{self._data_dir}: the training video {name!r} has "
            f"{problem}, but {reason}; convert again"
        )
