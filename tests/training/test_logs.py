import resource
import types

import pytest
import tensorflow as tf

from tfwstal.errors import InputError
from tfwstal.training import logs


def test_a_full_disk_of_the_logs_is_told(tmp_path, monkeypatch):
    free = iter([2**30, 0, 2**30])
    usage = types.SimpleNamespace
    monkeypatch.setattr(
        logs.shutil, "disk_usage", lambda _: usage(free=next(free))
    )
    space = logs.LogSpace(tmp_path)
    space.on_epoch_end(0)
    assert space.warnings() == []
    space.on_epoch_end(1)
    (warning,) = space.warnings()
    assert f"the disk of {tmp_path} was full after epoch 2" in warning
    space.on_epoch_end(2)  # the disk is not checked again
    assert space.warnings() == [warning]


@pytest.mark.parametrize("cut", [0, 1, 20, 200])
def test_cut_logs_are_told(tmp_path, cut):
    def write(number):
        folder = tmp_path / "logs" / str(number)
        with tf.summary.create_file_writer(str(folder)).as_default(step=0):
            for _ in range(9):
                tf.summary.scalar("loss", 1.0)
        (path,) = folder.iterdir()
        content = path.read_bytes()
        path.write_bytes(content[: len(content) - cut])
        return path

    write(1)  # of a training that was killed
    space = logs.LogSpace(tmp_path)
    path = write(2)
    warnings = space.warnings()
    assert len(warnings) == (cut > 0)
    assert all(f"{path} is cut" in warning for warning in warnings)


def test_a_file_that_cannot_grow_is_told(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path / "train"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(
            InputError,
            match=f"^{tmp_path}: TensorBoard's logs cannot be written .File "
            "too large.; free some space and run the same command again$",
        ):
            with logs.writing(tmp_path), writer.as_default(step=0):
                for _ in range(100):
                    tf.summary.scalar("loss", 1.0)
                writer.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_other_errors_are_not_taken_for_those_of_the_logs(tmp_path):
    error = tf.errors.ResourceExhaustedError(None, None, "OOM")
    with pytest.raises(tf.errors.ResourceExhaustedError):
        with logs.writing(tmp_path):
            raise error
