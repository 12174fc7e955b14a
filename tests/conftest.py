"""Fixtures that several test modules share. Data is generated, not stored."""

import importlib.util
import pathlib
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
import tensorflow as tf

import tfwstal
from tfwstal.data.folder import DatasetInfo, Shard, shard_name
from tfwstal.data.record import VideoRecord, encode
from tfwstal.method.options import ModelOptions
from tfwstal.training import loop, training_videos
from tfwstal.training.options import TrainingOptions

# The same examples in every run; `make test-fuzz` takes the other profile.
hypothesis.settings.register_profile("short", derandomize=True)
hypothesis.settings.register_profile("long", derandomize=False)
hypothesis.settings.load_profile("short")

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
HAS_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
tensorflow_addons = pytest.mark.skipif(
    not HAS_ADDONS, reason="tensorflow-addons is not installed"
)


def pytest_collection_modifyitems(items):
    """Runs the longest file first, so that no core idles at the end."""
    items.sort(key=lambda item: item.path.name != "test_resume.py")


@pytest.fixture
def shared_data():
    """The folder of real annotations, features and detections."""
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not at {SHARED}")
    return SHARED


@pytest.fixture
def run_command(tmp_path):
    """Runs `python -m MODULE ARGS` as a user would, in an empty folder."""

    def run(module, *arguments):
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
            },
            timeout=300,
        )

    return run


LAMBDAS = ("lambda_fg", "lambda_ct", "lambda_bg", "lambda_smt", "lambda_gui")


def random_model(
    num_classes=3, feature_dim=5, seed=0, loss_weights=(), **arguments
):
    """A model whose weights, biases included, are random and of size one.

    `loss_weights` are the five of Eq. 8; other arguments are the model's.
    """
    arguments |= dict(zip(LAMBDAS, loss_weights, strict=bool(loss_weights)))
    model = tfwstal.TwoStreamLocalizer(num_classes, feature_dim, **arguments)
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" not in weight.name:
            scale = 1.0 if len(weight.shape) < 2 else 2.0 / weight.shape[-2]
            weight.assign(rng.normal(0, scale, weight.shape))
    return model


def random_batch(lengths, feature_dim=5, num_classes=3, seed=0, padding=0.0):
    """One batch of random features and labels of the given lengths.

    Returns:
        ({"features" [B, T, D], "num_snippets" [B]}, actions [B, C]); the
        padding has the value `padding`.
    """
    rng = np.random.default_rng(seed)
    features = np.full(
        (len(lengths), max(lengths), feature_dim), padding, np.float32
    )
    for row, length in enumerate(lengths):
        features[row, :length] = rng.normal(size=(length, feature_dim))
    actions = rng.integers(0, 2, (len(lengths), num_classes))
    actions[:, 0] |= actions.sum(axis=1) == 0
    inputs = {
        "features": features,
        "num_snippets": np.asarray(lengths, np.int32),
    }
    return inputs, actions.astype(np.float32)


def weight_variables(model):
    """The model's variables by the names of the oracles.

    A shared classifier is under both names.
    """
    layers = {
        "conv": model.residual_block.conv,
        "attention": model.attention.scores,
        "pooled": model.pooled_classifier,
        "class": model.classifier,
    }
    variables = {
        f"{name}_{part}": getattr(layer, part)
        for name, layer in layers.items()
        for part in ("kernel", "bias")
    }
    return {**variables, "centroids": model.centroids}


def reference_weights(model):
    """The model's weights in float64, as `reference.forward` takes them."""
    weights = {
        name: np.asarray(variable, np.float64)
        for name, variable in weight_variables(model).items()
    }
    width = model.feature_dim
    weights["conv_kernel"] = weights["conv_kernel"].reshape(-1, width, width)
    return weights


def assert_close(ours, expected, message="", tolerance=1e-5):
    """Equal up to `tolerance` of each value and of the array's largest."""
    ours, expected = np.asarray(ours), np.asarray(expected)
    largest = np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(
        ours,
        expected,
        rtol=tolerance,
        atol=tolerance * largest,
        err_msg=message,
    )


def write_records(folder, videos, classes=("a", "b", "c"), feature_dim=5):
    """Writes a records folder by hand, one shard a split.

    Args:
        folder: created.
        videos: {split: list of record.VideoRecord}.

    Returns:
        DatasetInfo.
    """
    folder.mkdir()
    splits = {}
    for split, records in videos.items():
        name = shard_name("set", split, 0, 1)
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for record in records:
                writer.write(encode(record))
        size = (folder / name).stat().st_size
        splits[split] = (Shard(name, len(records), size),)
    info = DatasetInfo(
        "set", tuple(classes), feature_dim, "float32", 25.0, 16, splits, {}
    )
    info.write(folder)
    return info


def class_means(info, data_dir, videos=None):
    """The class means [C+1, D] that training without a cache computes."""
    training = loop.Training(
        info, data_dir, TrainingOptions(cache_gb=0.0), ModelOptions(), videos
    )
    return training_videos.read(training).means


def random_record(name, length, labels=(1,), seed=0, feature_dim=5):
    """A VideoRecord whose one segment spans its first half."""
    rng = np.random.default_rng([seed, length])
    names = tuple("abc"[index - 1] for index in labels)
    return VideoRecord(
        video_id=name,
        features=rng.normal(size=(length, feature_dim)).astype(np.float32),
        labels=names,
        label_indices=tuple(labels),
        segments=((0.0, 0.32 * length, names[0], labels[0]),),
        duration=None,
        fps=25.0,
        frames_per_snippet=16,
    )


@pytest.fixture
def records(tmp_path):
    """A small set: training videos of 1 to 40 snippets, and a test split."""
    lengths = [1, 3, 12, 25, 40, 7, 18]
    write_records(
        tmp_path / "records",
        {
            "train": [
                random_record(f"train_{n}", n, (1 + i % 3,))
                for i, n in enumerate(lengths)
            ]
            + [random_record("train_two", 30, (1, 3))],
            "test": [
                random_record(f"test_{n}", n, (1 + i % 3,))
                for i, n in enumerate([5, 1, 33, 14])
            ],
        },
    )
    return tmp_path / "records"
