"""Checkpoints that were changed are refused."""

import io
import struct
import zipfile

import numpy as np
import pytest

from tests.conftest import random_model
from tfwstal.data import folder
from tfwstal.errors import InputError
from tfwstal.training.checkpoint import Checkpoint


def compiled():
    model = random_model()
    model.compile(optimizer="sgd")
    return model


@pytest.fixture(scope="module")
def model():
    return compiled()


@pytest.fixture
def saver(records, tmp_path, model):
    """A Checkpoint of 3 epochs of 4 steps, saved at epoch 1, step 2."""
    (tmp_path / "checkpoints").mkdir()

    def make():
        return Checkpoint(tmp_path, folder.read(records), 4, 3, minutes=0.0)

    first = make()
    first.set_model(model)
    first.start = (1, 0)
    (tmp_path / "history.csv").write_text("epoch,loss\n0,1.5\n")
    first.on_train_batch_end(1)
    return make()


@pytest.fixture
def path(saver, tmp_path):
    return tmp_path / "checkpoints" / "last.npz"


def rewritten(path, **changes):
    """Rewrites the checkpoint with other arrays; None removes one."""
    with np.load(path) as arrays:
        content = dict(arrays) | changes
    np.savez(path, **{k: v for k, v in content.items() if v is not None})


def test_an_untouched_checkpoint_is_restored(saver, path, tmp_path):
    (tmp_path / "history.csv").unlink()
    rewritten(path)
    saver.restore(compiled())
    assert saver.start == (1, 2)
    assert (tmp_path / "history.csv").read_text() == "epoch,loss\n0,1.5\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"start": np.array([-1, 0])},
            "epoch -1, step 0 is outside",
        ),
        ({"start": np.array([0, -1])}, "epoch 0, step -1 is outside"),
        ({"start": np.array([0, 4])}, "epoch 0, step 4 is outside"),
        ({"start": np.array([4, 0])}, "epoch 4, step 0 is outside"),
        ({"start": np.array([3, 1])}, "epoch 3, step 1 is outside"),
        ({"start": np.array([1])}, "its start is not an epoch and a step"),
        ({"start": np.array([1.5, 0])}, "its start is not"),
        ({"start": np.array([[1, 0]])}, "its start is not"),
        ({"start": np.array(["1", "0"])}, "its start is not"),
        ({"start": None}, "KeyError"),
        ({"records": None}, "KeyError"),
        ({"variable_0": None}, "KeyError"),
        ({"variable_0": np.full(3, np.nan)}, "a number is not finite"),
        ({"variable_1": np.full(3, np.inf)}, "a number is not finite"),
        ({"num_variables": np.array(10**12)}, "KeyError"),
        ({"num_variables": np.array(1.5)}, "TypeError"),
        ({"num_variables": np.array(1)}, "it has an array 'variable_1"),
        ({"history": np.zeros(3)}, "its history is not bytes"),
        ({"more": np.zeros(3)}, "it has an array 'more'"),
        ({"start": np.array([None, 1])}, "ValueError"),  # pickled
    ],
)
def test_other_arrays(saver, path, changes, message, tmp_path, model):
    before = [np.array(each) for each in model.weights]
    history = (tmp_path / "history.csv").read_bytes()
    rewritten(path, **changes)
    with pytest.raises(InputError, match=rf"last.npz is damaged \({message}"):
        saver.restore(model)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert saver.start == (0, 0)
    assert (tmp_path / "history.csv").read_bytes() == history


@pytest.mark.parametrize(
    "value", [np.zeros((2, 2), np.float32), np.float64(0), np.int32(0)]
)
def test_arrays_of_another_model(saver, path, value, model):
    rewritten(path, variable_0=value)
    with pytest.raises(InputError, match="by another version of Keras"):
        saver.restore(model)


def _without_its_end(content):
    return content[: len(content) // 2]


def _another_method(content):
    """Every member states an unknown compression method."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = changed.find(signature)
        while place >= 0:
            struct.pack_into("<H", changed, place + offset, 77)
            place = changed.find(signature, place + 4)
    return bytes(changed)


def _encrypted(content):
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = changed.find(signature)
        while place >= 0:
            changed[place + offset] |= 1
            place = changed.find(signature, place + 4)
    return bytes(changed)


def _foreign(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("letter.txt", "dear all")
    return file.getvalue()


def _one_array(content):
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        _without_its_end,
        _another_method,
        _encrypted,
        _foreign,
        _one_array,
        lambda content: b"",
        lambda content: b"PK",
        lambda content: b"\x80\x04N.",  # a pickle
    ],
)
def test_other_files(saver, path, change, model):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(
        InputError, match=r"last.npz is damaged \(\w+.*\); delete it"
    ):
        saver.restore(model)
