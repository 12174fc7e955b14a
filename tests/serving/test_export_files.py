"""What `tfwstal.export` writes beside and inside a SavedModel."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfwstal
from tests.conftest import random_model
from tests.serving.serving_session import ServedModel
from tfwstal import export, inference
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import half_precision, warmup
from tfwstal.training import run_folder

CLASSES = ("a", "b", "c")
FLAGS = {"eta": (0.2, 0.4), "beta": 0.3, "max_detections": 40}


@pytest.fixture
def run(tmp_path):
    """The folder of a run."""
    run_folder.create(tmp_path / "run", Config(), CLASSES)
    run_folder.save_model(random_model(), tmp_path / "run")
    return tmp_path / "run"


def exported(run, **flags):
    """The folder of the version that the command writes."""
    base = run.parent / "models" / "tfwstal"
    export.main(
        Config(run_dir=str(run), export_dir=str(base), **{**FLAGS, **flags})
    )
    return max(base.iterdir(), key=lambda path: int(path.name))


def weight_bytes(path):
    return sum(file.stat().st_size for file in path.glob("variables/*"))


def test_weights_are_stored_once(tmp_path):
    model = random_model(feature_dim=256)
    export.export(model, CLASSES, LocalizationSettings(), 0.64, tmp_path / "1")
    # Without the dictionary, which detection does not use; and a few lines a
    # weight for names and places.
    needed = 4 * sum(
        int(np.prod(weight.shape))
        for layer in model.layers
        if layer is not model.dictionary
        for weight in layer.weights
    )
    assert needed < weight_bytes(tmp_path / "1") < needed + 4096
    graph = (tmp_path / "1" / "saved_model.pb").stat().st_size
    assert graph < 1_000_000  # 2 % of the weights at I3D's width


def test_the_info_says_what_was_exported(run):
    path = exported(run, fps=30.0, frames_per_snippet=8)
    info = json.loads((path / "export_info.json").read_text())
    assert info["version"] == 1
    assert info["versions"] == {
        "tfwstal": tfwstal.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    assert info["flags"]["eta"] == "0.2,0.4"
    assert info["flags"]["run_dir"] == str(run)
    assert (info["feature_dim"], info["fps"]) == (5, 30.0)
    assert info["frames_per_snippet"] == 8
    assert info["classes"] == list(CLASSES)
    assert info["precision"] == "float32"
    assert info["run_sha256"]["model.keras"] == sha256(run / "model.keras")
    files = {
        str(file.relative_to(path)): sha256(file)
        for file in path.rglob("*")
        if file.is_file() and file.name != "export_info.json"
    }
    assert "variables/variables.data-00000-of-00001" in files
    assert info["sha256"] == files


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_warm_up_requests_are_answered(run):
    pytest.importorskip("tensorflow_serving.apis")
    from tensorflow_serving.apis import prediction_log_pb2

    path = exported(run)
    served = ServedModel(path)
    seen = {}
    for record in tf.data.TFRecordDataset(str(path / warmup.FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "tfwstal"
        signature = request.model_spec.signature_name
        definition = served.signatures[signature]
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        assert set(inputs) == set(definition.inputs)
        answer = served(signature, **inputs)
        videos = len(next(iter(inputs.values())))
        assert {len(value) for value in answer.values()} == {videos}
        length = inputs.get("num_snippets", [])
        seen.setdefault(signature, []).append(tuple(map(int, length)))
    served.close()
    assert set(seen) == {"serving_default", "features", "activations"}
    assert seen["features"] == seen["activations"] == list(warmup.REQUESTS)
    assert len({max(lengths) for lengths in warmup.REQUESTS}) >= 3


def test_without_tensorflow_serving_api(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    path = exported(run)
    assert (path / "saved_model.pb").is_file()
    assert not (path / warmup.FILE).exists()
    assert "pip install 'tfwstal[serving]'" in capsys.readouterr().out


def test_parameters_are_shown_and_answered(run):
    path = exported(run, nms="soft", max_snippets=700)
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    if not tool.exists():
        pytest.skip(f"TensorFlow's {tool} is not there")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    shown = subprocess.run(
        [tool, "show", "--dir", path, "--all"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    ).stdout
    for text in (
        "'eta': (0.2, 0.4)",
        "'beta': 0.3",
        "'alpha': 0.1",
        "'nms': 'soft'",
        "'max_detections': 40",
        "'max_snippets': 700",
        "'classes': ('a', 'b', 'c')",
        "inputs['examples'] tensor_info",
        "inputs['num_snippets'] tensor_info",
    ):
        assert text in shown, text
    ran = subprocess.run(
        [tool, "run", "--dir", path, "--tag_set", "serve"]
        + ["--signature_def", "parameters"]
        + ["--input_exprs", "names=['eta', 'classes', 'nms']"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    ).stdout
    assert r"[b'0.2,0.4' b'a\nb\nc' b'soft']" in ran


def test_float16_is_half_as_large_and_computes_in_float32(run, capsys):
    path = exported(run, precision="float16")
    assert "float16 on 8 videos, random features" in capsys.readouterr().out
    # The same as a float32 model of the rounded weights, to the bit.
    model, _ = run_folder.load(run)
    for weight in model.weights:
        value = np.asarray(tf.convert_to_tensor(weight))
        weight.assign(value.astype(np.float16).astype(np.float32))
    settings = LocalizationSettings(**FLAGS)
    rng = np.random.default_rng(0)
    inputs = {
        "features": rng.normal(size=(2, 40, 5)).astype(np.float32),
        "num_snippets": np.array([40, 13], np.int32),
    }
    expected = inference.make_detector(model, settings)(
        **inputs, seconds_per_snippet=np.full(2, 0.64, np.float32)
    )
    served = ServedModel(path)
    found = served("features", **inputs)
    served.close()
    assert found["num_detections"].sum() > 4
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    halves = weight_bytes(path)
    model = random_model(feature_dim=256)
    for name, each in (("1", model), ("2", half_precision.halved(model))):
        export.export(each, CLASSES, settings, 0.64, run / name)
    assert halves < weight_bytes(run / "1")
    assert weight_bytes(run / "2") < 0.51 * weight_bytes(run / "1") + 2048


def test_float16_is_tried_on_a_split(run, records, capsys):
    path = exported(run, precision="float16", data_dir=str(records))
    info = json.loads((path / "export_info.json").read_text())
    change = info["float16_change"]
    assert change["inputs"] == f"test of {records}"
    assert change["videos"] == 4
    assert 0 < change["same"] <= change["detections"]
    assert 0 < change["largest_score_change"] < 0.01
    assert f"float16 on 4 videos, test of {records}" in capsys.readouterr().out


def test_a_weight_too_large_for_float16(run):
    model = random_model()
    model.classifier.bias.assign([0.0, 1.0, 7e4, 0.0])
    run_folder.save_model(model, run)
    with pytest.raises(InputError, match="bias.* is too large"):
        exported(run, precision="float16")
    assert not (run.parent / "models").exists()
