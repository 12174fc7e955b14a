import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import random_batch, random_model, random_record
from tfwstal import export, inference
from tfwstal.config import Config
from tfwstal.data import record as record_format
from tfwstal.errors import InputError
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import saved_model
from tfwstal.training import run_folder

CLASSES = ("a", "b", "c")
SETTINGS = LocalizationSettings(eta=(0.2, 0.4, 0.6), max_detections=40)
LENGTHS = [1, 60, 7, 33]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and the folder of its SavedModel."""
    model = random_model(num_classes=3, feature_dim=5)
    path = tmp_path_factory.mktemp("export") / "1"
    saved_model.export(model, CLASSES, SETTINGS, 0.64, path)
    return model, path


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported[1])).signatures


def test_signatures_have_the_documented_names_and_free_lengths(signatures):
    assert set(signatures) == {"serving_default", "features", "activations"}
    inputs = {
        name: {
            key: (spec.shape.as_list(), spec.dtype)
            for key, spec in signatures[name]
            .structured_input_signature[1]
            .items()
        }
        for name in ("serving_default", "features", "activations")
    }
    arrays = {
        "features": ([None, None, 5], tf.float32),
        "num_snippets": ([None], tf.int32),
    }
    assert inputs == {
        "serving_default": {"examples": ([None], tf.string)},
        "features": arrays,
        "activations": arrays,
    }
    segments = {
        "segments",
        "labels",
        "class_indices",
        "scores",
        "num_detections",
        "seconds_per_snippet",
    }
    assert set(signatures["serving_default"].structured_outputs) == segments
    assert set(signatures["features"].structured_outputs) == segments
    assert set(signatures["activations"].structured_outputs) == {
        "attention",
        "activation",
        "video_scores",
    }


def test_features_are_answered_as_in_the_library(exported, signatures):
    inputs, _ = random_batch(LENGTHS)
    detector = inference.make_detector(exported[0], SETTINGS)
    expected = detector(
        inputs["features"],
        inputs["num_snippets"],
        np.full(len(LENGTHS), 0.64, np.float32),
    )
    served = signatures["features"](
        features=tf.constant(inputs["features"]),
        num_snippets=tf.constant(inputs["num_snippets"]),
    )
    assert int(tf.reduce_sum(served["num_detections"])) > 0
    for name, value in expected.items():
        np.testing.assert_array_equal(served[name], value)
    for row in range(len(LENGTHS)):
        count = int(served["num_detections"][row])
        labels = [label.decode() for label in served["labels"][row].numpy()]
        indices = served["class_indices"][row].numpy()
        assert labels[:count] == [CLASSES[i - 1] for i in indices[:count]]
        assert set(labels[count:]) <= {""}


def test_records_in_one_batch_are_answered_as_alone(signatures):
    records = [
        record_format.encode(random_record(f"v{length}", length))
        for length in LENGTHS
    ]
    together = signatures["serving_default"](examples=tf.constant(records))
    assert (together["num_detections"].numpy() > 0).all()
    for row, record in enumerate(records):
        alone = signatures["serving_default"](examples=tf.constant([record]))
        for name, value in alone.items():
            if value.dtype == tf.float32:
                np.testing.assert_allclose(
                    together[name][row], value[0], rtol=1e-5, atol=1e-6
                )
            else:
                np.testing.assert_array_equal(together[name][row], value[0])


def test_records_bring_their_own_frame_rate(signatures):
    plain = random_record("v", 30)
    served = signatures["features"](
        features=tf.constant(plain.features[np.newaxis]),
        num_snippets=tf.constant([30]),
    )
    assert int(served["num_detections"][0]) > 0
    double = dataclasses.replace(plain, fps=50.0)
    parsed = signatures["serving_default"](
        examples=tf.constant([record_format.encode(double)])
    )
    np.testing.assert_allclose(
        parsed["segments"], served["segments"] / 2, rtol=1e-6
    )
    # The answer states its time scale.
    assert served["seconds_per_snippet"].numpy() == [np.float32(0.64)]
    assert parsed["seconds_per_snippet"].numpy() == [np.float32(0.32)]


def test_activations_are_the_models(exported, signatures):
    inputs, _ = random_batch(LENGTHS)
    served = signatures["activations"](
        features=tf.constant(inputs["features"]),
        num_snippets=tf.constant(inputs["num_snippets"]),
    )
    expected = exported[0](inputs)
    for name, value in served.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)


def test_plain_tensorflow_loads_it(exported):
    script = (
        "import sys, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "out = loaded.signatures['features'](\n"
        "    features=tf.ones([2, 9, 5]), num_snippets=tf.constant([9, 4]))\n"
        "assert out['segments'].shape == (2, 40, 2), out\n"
        "assert not any(m.startswith('tfwstal') for m in sys.modules)\n"
        "print('served')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(exported[1])],
        capture_output=True,
        text=True,
        cwd=exported[1],
        env={"PATH": "/usr/bin"},
        timeout=120,
    )
    assert found.stdout == "served\n", found.stderr


def test_versions_count_up_and_nothing_half_written_stays(tmp_path, capsys):
    run = tmp_path / "run"
    run_folder.create(run, Config().run_flags(), CLASSES)
    run_folder.save_model(random_model(), run)
    base = tmp_path / "models" / "tfwstal"
    config = Config(run_dir=str(run), export_dir=str(base))
    export.main(config)
    (base / "7").mkdir()
    export.main(config)
    assert sorted(path.name for path in base.glob("[!.]*")) == ["1", "7", "8"]
    assert (base / "8" / "saved_model.pb").is_file()
    assert "version 8" in capsys.readouterr().out


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        export.main(Config(run_dir=str(tmp_path / "x"), export_dir="models"))


def test_an_unwritable_place(tmp_path):
    run = tmp_path / "run"
    run_folder.create(run, Config().run_flags(), CLASSES)
    run_folder.save_model(random_model(), run)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        export.main(
            Config(run_dir=str(run), export_dir=str(tmp_path / "file" / "m"))
        )
