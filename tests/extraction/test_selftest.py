"""The self-test, with a stand-in for DeepMind's checkout.

The stand-in has the real files, names and shapes, with smaller pictures and
random weights. Its logits are computed by our network, which `test_i3d` tests.
The published weights were not available.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.extraction.random_weights import random_values, write_checkpoint
from tfrecords_tools import extract
from tfwstal import command_line
from tfwstal.errors import InputError
from tfwstal.extraction import i3d, selftest, weights

SCOPE = {"rgb": "RGB/inception_i3d/", "flow": "Flow/inception_i3d/"}
CLASSES = [f"class {number}" for number in range(400)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinetics-i3d")
    (root / "data").mkdir()
    (root / "out").mkdir()
    (root / "data" / "label_map.txt").write_text("\n".join(CLASSES) + "\n")
    for seed, (stream, channels) in enumerate(i3d.STREAM_CHANNELS.items()):
        folder = root / "data" / "checkpoints" / f"{stream}_imagenet"
        folder.mkdir(parents=True)
        variables = i3d.I3D(stream).published_variables()
        shapes = {
            SCOPE[stream] + n: tuple(v.shape) for n, v in variables.items()
        }
        write_checkpoint(folder / "model.ckpt", random_values(shapes, seed))
        rng = np.random.default_rng(seed)
        clip = rng.uniform(-1, 1, (1, 17, 32, 32, channels))
        name = f"v_CricketShot_g04_c01_{stream}.npy"
        np.save(root / "data" / name, clip)
        model, _ = weights.load(folder / "model.ckpt", stream)
        logits = model.endpoints(tf.constant(clip, tf.float32))["logits"][0]
        write_expected(root / "out" / f"imagenet_{stream}.txt", logits.numpy())
    return root


def write_expected(path, logits):
    """Writes logits as evaluate_sample.py prints them."""
    lines = [f"Norm of logits: {np.linalg.norm(logits):f}", ""]
    lines.append("Top classes and probabilities")
    for index in np.argsort(logits)[::-1][:20]:
        lines.append(f"0.5 {logits[index]} {CLASSES[index]}")
    path.write_text("\n".join(lines) + "\n")


def test_a_good_checkout(checkout, capsys):
    argv = ["extract", f"--selftest={checkout}"]
    extract.main(command_line.parse(argv, "extract"))
    rgb, flow = capsys.readouterr().out.splitlines()
    assert rgb.startswith("rgb: 'class ")
    assert "of 20 logits" in flow


@pytest.mark.parametrize("what", ["norm", "logit"])
def test_other_logits_are_refused(checkout, what, monkeypatch):
    norm, logits = selftest._read_expected(checkout / "out/imagenet_rgb.txt")
    if what == "norm":
        norm *= 1.01
    else:
        logits[min(logits, key=logits.get)] += 0.01 * max(logits.values())
    monkeypatch.setattr(selftest, "_read_expected", lambda _: (norm, logits))
    with pytest.raises(InputError, match="rgb: .* at most 0.001 is allowed"):
        selftest.run(checkout)


def test_what_is_missing_is_named(checkout, tmp_path):
    with pytest.raises(InputError, match="c01_rgb.npy cannot be read"):
        selftest.run(tmp_path)
    with pytest.raises(InputError, match="needs a folder"):
        extract.main(command_line.parse(["extract", "--selftest"], "extract"))
    (tmp_path / "odd.txt").write_text("Norm of logits: 3\n")
    with pytest.raises(InputError, match="is not what evaluate_sample.py"):
        selftest._read_expected(tmp_path / "odd.txt")


def test_the_published_logits_are_read(shared_data):
    norm, logits = selftest._read_expected(
        shared_data / "i3d" / "expected_imagenet_rgb.txt"
    )
    assert norm == 87.108871
    assert len(logits) == 20
    assert logits["playing cricket"] == 25.856646


@pytest.mark.parametrize(
    ("argument", "value"),
    [("--selftest", "true"), ("--selftest=folder", "folder"), (None, "")],
)
def test_a_flag_with_or_without_a_value(argument, value):
    argv = ["client", *filter(None, [argument])]
    assert command_line.parse(argv, "client").selftest == value
