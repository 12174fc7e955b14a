"""The files that `tfwstal.export` writes in and beside a SavedModel."""

import hashlib
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfwstal
from tests.conftest import random_model
from tests.serving.serving_session import ServedModel
from tfwstal import export
from tfwstal.config import Config
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import saved_model
from tfwstal.training import run_folder

CLASSES = ("a", "b", "c")
FLAGS = {"eta": (0.2, 0.4), "beta": 0.3, "max_detections": 40}


@pytest.fixture
def run(tmp_path):
    """The folder of a run."""
    run_folder.create(tmp_path / "run", Config().run_flags(), CLASSES)
    run_folder.save_model(random_model(), tmp_path / "run")
    return tmp_path / "run"


def exported(run, **flags):
    """The folder of the version that the command writes."""
    base = run.parent / "models" / "tfwstal"
    export.main(
        Config(run_dir=str(run), export_dir=str(base), **{**FLAGS, **flags})
    )
    return base / "1"


def weight_bytes(path):
    return sum(file.stat().st_size for file in path.glob("variables/*"))


def test_weights_are_stored_once(tmp_path):
    model = random_model(feature_dim=256)
    path = tmp_path / "1"
    saved_model.export(model, CLASSES, LocalizationSettings(), 0.64, path)
    # All but the dictionary, which detection does not use, plus some bytes per
    # weight for names and positions.
    needed = 4 * sum(
        int(np.prod(weight.shape))
        for layer in model.layers
        if layer is not model.dictionary
        for weight in layer.weights
    )
    assert needed < weight_bytes(path) < needed + 4096
    graph = (path / "saved_model.pb").stat().st_size
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
    assert info["seconds_per_snippet"] == pytest.approx(8 / 30)
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
    for record in tf.data.TFRecordDataset(str(path / saved_model.WARMUP)):
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
    lengths = list(saved_model.WARMUP_LENGTHS)
    assert seen["features"] == seen["activations"] == lengths
    assert len(set(map(max, lengths))) >= 3


def test_without_tensorflow_serving_api(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    path = exported(run)
    assert (path / "saved_model.pb").is_file()
    assert not (path / saved_model.WARMUP).exists()
    assert "pip install '.[serving]'" in capsys.readouterr().out
