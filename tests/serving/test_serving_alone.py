"""The SavedModel runs without this package, and without Python."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT, random_batch, random_model, random_record
from tests.serving.serving_session import ServedModel
from tfwstal.data import record as record_format
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import saved_model

CLASSES = ("a", "b", "c")
SETTINGS = LocalizationSettings(eta=(0.2, 0.4, 0.6), max_detections=40)
TENSORFLOW = pathlib.Path(tf.__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The SavedModel's folder, a request for each signature, the answers."""
    path = tmp_path_factory.mktemp("alone") / "1"
    saved_model.export(random_model(), CLASSES, SETTINGS, 0.64, path)
    arrays, _ = random_batch([1, 60, 7, 33])
    record = record_format.encode(random_record("v", 60))
    requests = {
        "serving_default": {"examples": np.array([record], object)},
        "features": arrays,
        "activations": arrays,
    }
    served = ServedModel(path)
    answers = {name: served(name, **requests[name]) for name in requests}
    for name in ("serving_default", "features"):
        assert (answers[name]["num_detections"] > 0).all()
    yield path, requests, answers, served
    served.close()


# Hides tfwstal, and Keras, which TensorFlow imports if it is installed.
SCRIPT = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] not in ("tfwstal", "keras", "tf_keras"):
            return super().find_spec(name, path, target)

sys.meta_path[:] = [
    Hiding if finder is PathFinder else finder for finder in sys.meta_path]
import numpy as np
import tensorflow as tf

model, requests, answers = sys.argv[1:]
loaded = tf.saved_model.load(model)
found = {}
for key, value in np.load(requests, allow_pickle=True).items():
    signature, name = key.split("/")
    found.setdefault(signature, {})[name] = tf.constant(
        value.tolist() if value.dtype == object else value)
np.savez(answers, **{
    f"{signature}/{name}": value.numpy()
    for signature, inputs in found.items()
    for name, value in loaded.signatures[signature](**inputs).items()
})
assert not {"tfwstal", "keras", "tf_keras"} & set(sys.modules)
"""


def test_plain_tensorflow_runs_each_signature(exported, tmp_path):
    path, requests, answers, _ = exported
    np.savez(
        tmp_path / "requests.npz",
        **{
            f"{signature}/{name}": value
            for signature, inputs in requests.items()
            for name, value in inputs.items()
        },
    )
    found = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, path]
        + [tmp_path / "requests.npz", tmp_path / "answers.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    theirs = np.load(tmp_path / "answers.npz", allow_pickle=True)
    expected = {
        f"{signature}/{name}": value
        for signature, outputs in answers.items()
        for name, value in outputs.items()
    }
    assert set(theirs) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(theirs[key], value)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The C program, compiled against the installed TensorFlow."""
    if not COMPILER:
        pytest.skip("no C compiler (cc, gcc, clang) is on the PATH")
    libraries = [TENSORFLOW / f"libtensorflow_{part}.so.2" for part in LIBRARY]
    for needed in (*libraries, TENSORFLOW / "include/tensorflow/c/c_api.h"):
        if not needed.exists():
            pytest.skip(f"the installed TensorFlow has no {needed.name}")
    program = tmp_path_factory.mktemp("client") / "serving_client"
    subprocess.run(
        [COMPILER, "-std=gnu11", "-O1", "-Wall", "-Werror"]
        + ["-Wno-error=deprecated-declarations"]
        + [
            f"-I{TENSORFLOW / 'include'}",
            ROOT / "tests/serving/serving_client.c",
        ]
        + ["-o", program, *libraries, f"-Wl,-rpath,{TENSORFLOW}"],
        check=True,
        timeout=120,
    )
    return program


LIBRARY = ("cc", "framework")


def written(definition, inputs, folder, number):
    """The lines of a request; its values are written to files."""
    lines = [f"run {len(inputs)} {len(definition.outputs)}"]
    for name, value in inputs.items():
        file = folder / f"{number}_{name}"
        if value.dtype == object:
            kind = "string"
            file.write_bytes(value[0])
        else:
            kind = {"float32": "float", "int32": "int32"}[value.dtype.name]
            file.write_bytes(value.tobytes())
        operation, index = definition.inputs[name].name.split(":")
        lines.append(
            f"in {operation} {index} {kind} {value.ndim} "
            f"{' '.join(map(str, value.shape))} {file}"
        )
    for name in sorted(definition.outputs):
        operation, index = definition.outputs[name].name.split(":")
        lines.append(f"out {operation} {index}")
    return lines


def read(lines):
    """Takes a tensor from the first lines of an answer."""
    _, kind, _, *shape = lines.pop(0).split()
    shape = [int(size) for size in shape]
    texts = [lines.pop(0) for _ in range(int(np.prod(shape)))]
    parse = {"float": float.fromhex, "int32": int, "string": str.encode}[kind]
    dtype = {"float": np.float32, "int32": np.int32, "string": object}[kind]
    return np.array([parse(text) for text in texts], dtype).reshape(shape)


def test_a_c_program_runs_each_signature(exported, client, tmp_path):
    path, requests, answers, served = exported
    # The sequence includes requests that are refused.
    wrong = {**requests["features"]}
    wrong["features"] = wrong["features"][:, :, :4].copy()
    sequence = [("features", wrong), *requests.items(), ("features", wrong)]
    lines = []
    for number, (signature, inputs) in enumerate(sequence):
        definition = served.signatures[signature]
        lines += written(definition, inputs, tmp_path, number)
    (tmp_path / "request").write_text("\n".join(lines) + "\n")
    found = subprocess.run(
        [client, path, tmp_path / "request", tmp_path / "answer"],
        capture_output=True,
        text=True,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    lines = (tmp_path / "answer").read_text().splitlines()
    for signature, inputs in sequence:
        status, code, *message = lines.pop(0).split(maxsplit=2)
        assert status == "status"
        if inputs is wrong:
            assert int(code) == tf.errors.INVALID_ARGUMENT
            assert "[4,60,4] is not compatible" in message[0]
            continue
        assert int(code) == 0, message
        for name in sorted(answers[signature]):
            np.testing.assert_array_equal(
                read(lines), answers[signature][name], err_msg=name
            )
    assert not lines
