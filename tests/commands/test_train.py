import csv
import dataclasses
import fcntl
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import (
    class_means,
    random_batch,
    random_record,
    write_records,
)
from tfwstal import localize, train
from tfwstal.command_line import parse
from tfwstal.config import Config
from tfwstal.data import folder as records_folder
from tfwstal.errors import InputError
from tfwstal.method.options import ModelOptions
from tfwstal.training import loop, run_folder
from tfwstal.training.callbacks import HistoryFile
from tfwstal.training.options import TrainingOptions, values_for_width

FAST = Config(
    num_snippets=20,
    batch_size=4,
    epochs=3,
    learning_rate=0.01,
    eta=(0.3, 0.4, 0.5),
    watch_every=0,
)


def run(records, run_dir, **changes):
    train.main(
        dataclasses.replace(
            FAST, data_dir=str(records), run_dir=str(run_dir), **changes
        )
    )
    return run_dir


def weights(run_dir):
    return run_folder.load(run_dir)[0].get_weights()


def test_a_run_leaves_what_the_readme_says(records, tmp_path):
    folder = run(records, tmp_path / "run", eval_every=2)
    found = {path.name for path in folder.iterdir()}
    assert found == {
        "model.keras",
        "checkpoints",
        "logs",
        "history.csv",
        "flags.flags",
        "classes.txt",
    }
    assert not any((folder / "checkpoints").iterdir())  # the run is finished
    assert list(folder.glob("logs/train/events*"))
    assert (folder / "classes.txt").read_text() == "a\nb\nc\n"
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for term in ("loss", "cls_fg", "cls_ct", "cls_bg", "smt", "gui"):
        assert float(rows[-1][term]) >= 0
    assert float(rows[-1]["gradient_norm"]) > 0
    # Evaluated after the second epoch only.
    values = [float(row["mAP@0.1:0.7"]) for row in rows]
    assert [np.isnan(value) for value in values] == [True, False, True]


def test_two_runs_with_one_seed_are_equal(records, tmp_path):
    one, other = (run(records, tmp_path / name) for name in "ab")
    for first, second in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(first, second)
    third = weights(run(records, tmp_path / "c", seed=5))
    assert any(
        not np.array_equal(first, second)
        for first, second in zip(weights(one), third, strict=True)
    )


def test_how_the_steps_are_fed_changes_nothing(records, tmp_path):
    expected = run(records, tmp_path / "plain", epochs=2)
    for name, changes in {
        "read anew": {"cache_gb": 0.0},
        "an epoch in one": {"steps_per_execution": 5},
    }.items():
        found = run(records, tmp_path / name, epochs=2, **changes)
        for one, other in zip(weights(found), weights(expected), strict=True):
            np.testing.assert_array_equal(one, other)
        assert history(found) == history(expected)
    half = run(records, tmp_path / "half", epochs=2, cache_dtype="float16")
    for row, wanted in zip(history(half), history(expected), strict=True):
        assert row["loss"] != wanted["loss"]
        assert float(row["loss"]) == pytest.approx(
            float(wanted["loss"]), rel=2.0**-9
        )


def history(run_dir):
    with open(run_dir / "history.csv") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("asked", "taken"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (99, 8)]
)
def test_steps_per_execution_divide_the_epoch(records, asked, taken):
    training = loop.Training(
        records_folder.read(records),
        records,
        TrainingOptions(batch_size=1, steps_per_execution=asked),
        ModelOptions(),
    )
    assert training.steps_per_epoch == 8
    assert training.steps_per_execution == taken


def test_centroids_start_as_class_means_or_uniform(records, tmp_path):
    info = records_folder.read(records)
    means = class_means(info, records)
    for kind in ("class_mean", "uniform"):
        folder = run(records, tmp_path / kind, epochs=0, centroids=kind)
        centroids = np.asarray(run_folder.load(folder)[0].centroids)
        if kind == "class_mean":
            np.testing.assert_array_equal(centroids, means)
        else:
            assert (centroids >= 0).all() and (centroids <= 1).all()
            assert centroids.std() > 0.1  # 0.29 for a uniform distribution


def test_padded_and_static_batches_train_alike(records, tmp_path):
    # Dropout depends on the shape, and Adam amplifies rounding.
    same = {"dropout": 0.0, "optimizer": "sgd"}
    plain = weights(run(records, tmp_path / "off", xla="off", **same))
    xla = weights(run(records, tmp_path / "on", xla="on", **same))
    for one, other in zip(plain, xla, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_repeating_short_videos_trains_on_other_batches(records, tmp_path):
    losses = [
        history(run(records, tmp_path / way, epochs=1, upsample_short=way))
        for way in ("none", "repeat")
    ]
    assert losses[0][0]["loss"] != losses[1][0]["loss"]


def test_xla_follows_the_device():
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert loop.use_xla(TrainingOptions(xla="auto")) == has_gpu
    assert loop.use_xla(TrainingOptions(xla="on"))
    assert not loop.use_xla(TrainingOptions(xla="off"))
    both = TrainingOptions(xla="auto", deterministic=True)
    assert not loop.use_xla(both)


def test_the_model_file_loads_in_plain_keras(records, tmp_path):
    folder = run(records, tmp_path / "run", epochs=1)
    model = keras.models.load_model(folder / "model.keras")
    inputs, actions = random_batch([5, 9])
    model.fit(inputs, actions, epochs=1, verbose=0)  # it is compiled too
    assert model.predict(inputs, verbose=0)["video_scores"].shape == (2, 3, 4)


class TestBadInput:
    def test_an_existing_run_is_refused_and_kept(self, records, tmp_path):
        folder = run(records, tmp_path / "run", epochs=0)
        before = (folder / "model.keras").read_bytes()
        with pytest.raises(InputError, match="not empty.*--overwrite"):
            run(records, folder, epochs=0)
        assert (folder / "model.keras").read_bytes() == before
        run(records, folder, epochs=0, overwrite=True, seed=3)
        assert (folder / "model.keras").read_bytes() != before

    def test_a_folder_of_something_else_is_never_replaced(
        self, records, tmp_path
    ):
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter1.tex").write_text("x")
        with pytest.raises(InputError, match="is not a run folder"):
            run(records, tmp_path / "thesis", overwrite=True)
        assert (tmp_path / "thesis" / "chapter1.tex").exists()

    def test_unknown_optimizer(self, records, tmp_path):
        with pytest.raises(InputError, match="--optimizer=adma is unknown"):
            run(records, tmp_path / "run", optimizer="adma")
        assert not (tmp_path / "run").exists()

    def test_damaged_records_leave_no_run(self, records, tmp_path):
        shard = records / "set-train.tfrecord-00000-of-00001"
        content = bytearray(shard.read_bytes())
        content[-40] ^= 255
        shard.write_bytes(content)
        with pytest.raises(InputError, match="damaged record"):
            run(records, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_evaluating_a_split_that_is_not_there(self, records, tmp_path):
        with pytest.raises(InputError, match="'val' has no videos"):
            run(records, tmp_path / "run", eval_every=1, split="val")
        assert not (tmp_path / "run").exists()

    def test_evaluating_a_split_without_segments(
        self, records, tmp_path, monkeypatch
    ):
        videos = [
            dataclasses.replace(random_record(f"v{i}", 9), segments=())
            for i in range(3)
        ]
        write_records(tmp_path / "labels", {"train": videos, "test": videos})
        monkeypatch.setattr(loop, "compiled_model", None)  # not reached
        with pytest.raises(
            InputError, match="'test' of .*labels have no segments to evaluate"
        ):
            run(tmp_path / "labels", tmp_path / "run", eval_every=1)
        assert not (tmp_path / "run").exists()

    def test_a_run_without_a_model(self, records, tmp_path):
        folder = run(records, tmp_path / "run", epochs=0)
        (folder / "model.keras").unlink()
        with pytest.raises(InputError, match="has no model.keras"):
            run_folder.load(folder)
        with pytest.raises(InputError, match="does not exist"):
            run_folder.load(tmp_path / "nowhere")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"feature_dim": 6}, "6 wide, the model was trained on 5"),
            ({"classes": ("a", "b")}, "its 2 classes are not the 3"),
            (
                {"classes": ("b", "a", "c")},
                "in the same order",
            ),
        ],
    )
    def test_records_of_another_model(self, records, tmp_path, change, message):
        folder = run(records, tmp_path / "run", epochs=0)
        other = dataclasses.replace(records_folder.read(records), **change)
        other.write(records)
        with pytest.raises(InputError, match=message):
            localize.main(
                Config(
                    run_dir=str(folder),
                    data_dir=str(records),
                    detections=str(tmp_path / "out.json"),
                )
            )
        assert not (tmp_path / "out.json").exists()


class TestFailures:
    @pytest.mark.parametrize(
        ("minutes", "message"),
        [
            (0.0, "same command again to resume from the last checkpoint"),
            (60.0, "nothing was saved yet; the same command starts"),
        ],
    )
    def test_an_interrupt_says_what_the_same_command_does(
        self, records, tmp_path, monkeypatch, minutes, message
    ):
        def interrupt(self, epoch, logs=None):
            raise KeyboardInterrupt

        monkeypatch.setattr(HistoryFile, "on_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt, match=message):
            run(records, tmp_path / "run", checkpoint_minutes=minutes)
        assert (tmp_path / "run").exists() == (not minutes)

    def test_divergence_is_an_error_and_leaves_no_model(
        self, records, tmp_path
    ):
        with pytest.raises(InputError, match="the training has diverged"):
            run(
                records,
                tmp_path / "run",
                optimizer="adamw",
                learning_rate=1e3,
                # Each step multiplies every weight by 1 - 1e6.
                weight_decay=1e3,
                epochs=10,
            )
        assert not (tmp_path / "run" / "model.keras").exists()

    def test_a_failure_brings_the_older_run_back(
        self, records, tmp_path, monkeypatch
    ):
        folder = run(records, tmp_path / "run", epochs=0)
        before = (folder / "model.keras").read_bytes()

        def full(*arguments):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(run_folder, "save_model", full)
        with pytest.raises(OSError, match="No space left"):
            run(records, folder, epochs=1, overwrite=True)
        assert (folder / "model.keras").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["records", "run"]
        # Without a checkpoint, nothing is left of the run.
        with pytest.raises(OSError, match="No space left"):
            run(records, tmp_path / "none", epochs=0)
        assert not (tmp_path / "none").exists()

    def test_a_failure_keeps_the_checkpoint_and_the_older_run(
        self, records, tmp_path, monkeypatch
    ):
        folder = run(records, tmp_path / "run", epochs=0)
        before = (folder / "model.keras").read_bytes()
        same = {"epochs": 1, "checkpoint_minutes": 0.0}

        def full(*arguments):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(run_folder, "save_model", full)
            with pytest.raises(OSError, match="No space left"):
                run(records, folder, overwrite=True, **same)
        assert (folder / run_folder.CHECKPOINT).is_file()
        with pytest.raises(InputError, match="command that trains it again"):
            run_folder.load(folder)
        aside = tmp_path / ".run.replaced"
        assert (aside / "model.keras").read_bytes() == before
        # Other flags are refused, also a flag that was not set before; the
        # replaced run does not matter.
        with pytest.raises(
            InputError, match="--seed=3 was --seed=0; .* give --overwrite"
        ):
            run(records, folder, seed=3, **same)
        with open(folder / "flags.flags") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # as the process that trains does
            with pytest.raises(InputError, match="another process trains"):
                run(records, folder, overwrite=True, **same)
        # A new run that fails early brings the finished one back.
        with monkeypatch.context() as patch:
            patch.setattr(run_folder, "save_model", full)
            with pytest.raises(OSError, match="No space left"):
                run(records, folder, overwrite=True, epochs=0)
        assert (folder / "model.keras").read_bytes() == before
        assert not aside.exists()

    def test_it_does_not_resume_with_other_records(
        self, records, tmp_path, monkeypatch
    ):
        same = {"epochs": 1, "checkpoint_minutes": 0.0}

        def full(*arguments):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(run_folder, "save_model", full)
            with pytest.raises(OSError, match="No space left"):
                run(records, tmp_path / "run", **same)
        path = tmp_path / "run" / run_folder.CHECKPOINT
        whole = path.read_bytes()
        path.write_bytes(whole[:-100])
        # --overwrite does not replace a run that resumes, so that the same
        # command goes on after a kill; the message must not propose it.
        for overwrite in (False, True):
            with pytest.raises(InputError, match="is damaged .*; delete it"):
                run(records, tmp_path / "run", overwrite=overwrite, **same)
        path.write_bytes(whole)
        info = records_folder.read(records)
        dataclasses.replace(info, provenance={"again": 1}).write(records)
        with pytest.raises(InputError, match="are not those .* delete the fil"):
            run(records, tmp_path / "run", **same)
        path.unlink()
        run(records, tmp_path / "run", **same)

    def test_a_full_disk_of_the_logs(self, records, tmp_path, monkeypatch):
        folder = tmp_path / "run"

        def full(callback, epoch, logs=None):
            raise tf.errors.ResourceExhaustedError(
                None, None, f"{folder}/logs/events; No space left on device\n"
            )

        monkeypatch.setattr(keras.callbacks.TensorBoard, "on_epoch_end", full)
        with pytest.raises(InputError, match="logs cannot .* .No space left"):
            run(records, folder)
        assert not folder.exists()  # no checkpoint was due

    def test_a_full_disk_is_reported_before_training(
        self, records, tmp_path, monkeypatch
    ):
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path: usage._replace(free=1_000_000)
        )
        with pytest.raises(
            InputError, match="needs 1.1 MB, but 1.0 MB are free"
        ):
            run(records, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_records_inside_the_run_folder_are_safe(self, records):
        for folder in (records, records.parent):
            with pytest.raises(InputError, match="is inside --run_dir"):
                run(records, folder, overwrite=True)
        assert (records / "dataset_info.json").exists()

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", None])
    def test_a_damaged_model(self, records, tmp_path, content):
        folder = run(records, tmp_path / "run", epochs=0)
        path = folder / "model.keras"
        whole = path.read_bytes()
        path.write_bytes(whole[:-500] if content is None else content)
        with pytest.raises(InputError, match="is damaged"):
            run_folder.load(folder)

    def test_class_names_that_do_not_fit_the_model(self, records, tmp_path):
        folder = run(records, tmp_path / "run", epochs=0)
        (folder / "classes.txt").write_text("a\nb\n")
        with pytest.raises(InputError, match="has 2 names"):
            run_folder.load(folder)


def test_the_run_records_the_time_scale_of_its_features(records, tmp_path):
    info = dataclasses.replace(
        records_folder.read(records), fps=30.0, frames_per_snippet=8
    )
    info.write(records)
    folder = run(records, tmp_path / "run", epochs=0)
    config = parse(["export", f"--run_dir={folder}"], "export")
    assert (config.fps, config.frames_per_snippet) == (30.0, 8)


def test_values_for_another_width_are_proposed(records, tmp_path, capsys):
    run(records, tmp_path / "run", epochs=0, learning_rate=1e-4)
    width = records_folder.read(records).feature_dim
    rate, smt = 1e-4 * 2048 / width, 0.05 * (2048 / width) ** 0.5
    assert (
        f"warning: the features are {width} wide, and the paper's values are "
        f"for 2048; try --learning_rate={rate:.2g} --lambda_smt={smt:.2g}"
    ) in capsys.readouterr().err
    run(records, tmp_path / "own", epochs=0, lambda_smt=0.3)
    assert "wide" not in capsys.readouterr().err
    assert values_for_width(2048, 1e-4, 0.05) is None
    assert "try --lambda_smt=0.1" in values_for_width(512, 0.01, 0.05)
    assert "--lambda_smt" not in values_for_width(512, 1e-4, 0.0)
