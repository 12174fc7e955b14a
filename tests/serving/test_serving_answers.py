"""A video gets the same answer in any form and in any batch."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import random_model, random_record, weight_variables
from tests.serving.serving_session import ServedModel
from tfwstal import inference
from tfwstal.data import record
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import saved_model

CLASSES = ("a", "b", "c")
WIDTH = 16
MOST = 200
# alpha and thresholds that leave some videos without detections, and soft-NMS,
# which gives long ones hundreds.
SETTINGS = LocalizationSettings(
    alpha=0.05,
    eta=tuple(0.35 + 0.02 * i for i in range(30)),
    nms="soft",
    max_detections=MOST,
)
FPS, FRAMES = 29.97, 16  # 29.97 is not exact in float32
COLUMNS = ("segments", "class_indices", "scores", "labels")


@pytest.fixture(scope="module")
def model():
    """The same model in all Keras versions, whose lists of weights differ."""
    model = random_model(num_classes=3, feature_dim=WIDTH)
    rng = np.random.default_rng(0)
    for _, weight in sorted(weight_variables(model).items()):
        scale = 1.0 if len(weight.shape) < 2 else 2.0 / weight.shape[-2]
        weight.assign(rng.normal(0, scale, weight.shape))
    return model


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("answers") / "1"
    saved_model.export(
        model, CLASSES, SETTINGS, record.time_scale(FPS, FRAMES), path
    )
    served = ServedModel(path)
    yield served
    served.close()


@pytest.fixture(scope="module")
def videos():
    """Records of 1 to 3000 snippets, many of them short."""
    rng = np.random.default_rng(0)
    lengths = [1, 1, 1, 2, 3, 3000, *rng.integers(1, 40, 20)]
    lengths += [*rng.integers(40, 3000, 8)]
    return [
        dataclasses.replace(
            random_record(f"v{row}", int(length), seed=row, feature_dim=WIDTH),
            fps=FPS,
            frames_per_snippet=FRAMES,
        )
        for row, length in enumerate(lengths)
    ]


@pytest.fixture(scope="module")
def localized(model, videos):
    """Detections by the command for each video: label, score, start, end."""
    detector = inference.make_detector(model, SETTINGS)
    found = inference.localize_dataset(
        detector,
        [
            record.parse_video(tf.constant(record.encode(video)), WIDTH)
            for video in videos
        ],
        CLASSES,
    )
    return [
        [(each["label"], each["score"], *each["segment"]) for each in video]
        for _, video in found
    ]


def rows(found):
    """The same from a signature's answer, for each video of the batch."""
    return [
        [
            (label.decode(), float(score), float(start), float(end))
            for label, score, (start, end) in zip(
                found["labels"][row][:count],
                found["scores"][row][:count],
                found["segments"][row][:count],
                strict=True,
            )
        ]
        for row, count in enumerate(found["num_detections"])
    ]


def padded(videos, padding=np.nan, more=0):
    longest = max(len(video.features) for video in videos) + more
    features = np.full((len(videos), longest, WIDTH), padding, np.float32)
    for row, video in enumerate(videos):
        features[row, : len(video.features)] = video.features
    lengths = np.array([len(video.features) for video in videos], np.int32)
    return {"features": features, "num_snippets": lengths}


def encoded(videos):
    return np.array([record.encode(video) for video in videos], object)


def test_there_are_videos_with_none_and_with_hundreds(localized):
    counts = [len(video) for video in localized]
    assert counts.count(0) > 1
    assert max(counts) == MOST  # more were found than fit
    assert len(set(counts)) > 9


def test_alone_as_an_array(served, videos, localized):
    for video, expected in zip(videos, localized, strict=True):
        assert rows(served("features", **padded([video]))) == [expected]


def test_alone_as_a_record(served, videos, localized):
    for video, expected in zip(videos, localized, strict=True):
        found = served("serving_default", examples=encoded([video]))
        assert rows(found) == [expected]


@pytest.mark.parametrize("seed", range(3))
def test_in_batches_with_longer_ones(served, videos, localized, seed):
    order = np.random.default_rng(seed).permutation(len(videos))
    for part in np.array_split(order, 4):
        batch = [videos[i] for i in part]
        expected = [localized[i] for i in part]
        arrays = padded(batch, more=int(part[0]))
        assert rows(served("features", **arrays)) == expected
        found = served("serving_default", examples=encoded(batch))
        assert rows(found) == expected


def test_rows_after_the_detections_are_empty(served, videos):
    found = served("features", **padded(videos[:12]))
    for row, count in enumerate(found["num_detections"]):
        for name in COLUMNS:
            assert not found[name][row][count:].any(), name


def test_activations_in_a_batch_are_those_alone(served, videos):
    batch = videos[:12]
    together = served("activations", **padded(batch, more=5))
    for row, video in enumerate(batch):
        alone = served("activations", **padded([video]))
        length = len(video.features)
        for name in ("attention", "activation"):
            own, rest = np.split(together[name][row], [length])
            np.testing.assert_array_equal(own, alone[name][0])
            assert not rest.any()
        np.testing.assert_array_equal(
            together["video_scores"][row], alone["video_scores"][0]
        )


def test_activations_lead_to_the_same_segments(served, videos, localized):
    for video, expected in zip(videos[:12], localized, strict=False):
        outputs = served("activations", **padded([video]))
        found = inference.localize_alone(
            {name: tf.constant(value[0]) for name, value in outputs.items()},
            tf.constant(record.time_scale(FPS, FRAMES)),
            SETTINGS,
        )
        arrays = {name: value.numpy()[None] for name, value in found.items()}
        labels = [
            [b"", *(name.encode() for name in CLASSES)][index]
            for index in arrays["class_indices"][0]
        ]
        assert rows({**arrays, "labels": [labels]}) == [expected]


def test_wide_features_in_a_batch_are_answered_as_alone(tmp_path):
    """At I3D's width, the order of sums depends most on the batch."""
    settings = LocalizationSettings(eta=(0.05, 0.1, 0.2, 0.4, 0.6))
    wide = random_model(num_classes=20, feature_dim=2048)
    # Makes logits of size one instead of 0.01.
    for layer in (wide.classifier, wide.attention.scores):
        layer.kernel.assign(30.0 * layer.kernel)
    classes = [f"class {i}" for i in range(20)]
    saved_model.export(wide, classes, settings, 0.64, tmp_path / "1")
    served = ServedModel(tmp_path / "1")
    rng = np.random.default_rng(1)
    lengths = np.array([1, 7, 150, 33], np.int32)
    features = rng.normal(size=(4, 150, 2048)).astype(np.float32)
    together = rows(served("features", features=features, num_snippets=lengths))
    assert sum(map(len, together)) > 20
    for row, length in enumerate(lengths):
        alone = served(
            "features",
            features=features[row : row + 1, :length],
            num_snippets=lengths[row : row + 1],
        )
        assert rows(alone) == [together[row]]
    served.close()
