"""The mAP that is logged during training."""

import math

import numpy as np
import pytest

from tests.conftest import random_model
from tfwstal import inference
from tfwstal.config import Config
from tfwstal.data import folder, reader
from tfwstal.evaluation import average_precision
from tfwstal.training.callbacks import LocalizationEvaluation


def _logged(records, epochs=1, **arguments):
    """The logs of each epoch of a random model that is not trained."""
    info = folder.read(records)
    callback = LocalizationEvaluation(
        info,
        records,
        "test",
        Config(alpha=0.0).localization_settings(),
        (0.1, 0.5),
        **arguments,
    )
    callback.set_model(random_model())
    logs = [{"loss": 1.0} for _ in range(epochs)]
    for epoch, each in enumerate(logs):
        callback.on_epoch_end(epoch, each)
    return logs


def _expected(records, protocol):
    """[H, C] AP of the localized segments, by functions of the library."""
    info = folder.read(records)
    detector = inference.make_detector(
        random_model(), Config(alpha=0.0).localization_settings()
    )
    truth = [
        (video, info.classes[label - 1], segment)
        for video, (segments, labels) in reader.ground_truth(
            info, records, "test"
        ).items()
        for segment, label in zip(segments, labels, strict=True)
    ]
    found = [
        (video, each["label"], each["segment"], each["score"])
        for video, entries in inference.localize_dataset(
            detector, reader.whole_videos(info, records, "test"), info.classes
        )
        for each in entries
    ]
    return average_precision.mean_average_precision(
        average_precision.Instances(*zip(*truth, strict=True)),
        average_precision.Detections(*zip(*found, strict=True)),
        (0.1, 0.5),
        protocol,
    )


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
def test_it_logs_the_map_and_each_class(records, protocol):
    (logs,) = _logged(records, protocol=protocol, per_class=True)
    expected = _expected(records, protocol)
    assert expected.ap.max() > 0
    by_class = dict(zip(expected.labels, expected.ap.mean(axis=0), strict=True))
    # 0.1 and 0.5 complete no average of papers, so their mean is logged.
    assert logs == pytest.approx(
        {"loss": 1.0, "mAP@mean": np.mean(expected.mean_ap)}
        | {f"AP/{label}": ap for label, ap in by_class.items()}
    )


def test_epochs_without_evaluation_have_nan_columns(records):
    logs = _logged(records, epochs=4, every=2)
    assert all(list(each) == ["loss", "mAP@mean"] for each in logs)
    missing = [math.isnan(each["mAP@mean"]) for each in logs]
    assert missing == [True, False, True, False]
