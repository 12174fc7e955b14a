"""What training writes for TensorBoard, read from its event files."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from tests.conftest import random_model, random_record, write_records
from tfwstal import train
from tfwstal.config import Config
from tfwstal.data import folder as records_folder
from tfwstal.data import reader
from tfwstal.data import record as record_format
from tfwstal.errors import InputError
from tfwstal.plotting import centroid_usage, timeline
from tfwstal.training import run_folder, training_videos, watch

_CLASSES = ("background", "a", "b", "c")


def _events(folder):
    """All events of a folder."""
    everything = dict.fromkeys(event_accumulator.DEFAULT_SIZE_GUIDANCE, 0)
    events = event_accumulator.EventAccumulator(str(folder), everything)
    return events.Reload()


def _values(events, tag):
    """dict step -> array, text or histogram [buckets, 3] of a tag."""
    return {
        each.step: tf.make_ndarray(each.tensor_proto)
        for each in events.Tensors(tag)
    }


@pytest.fixture
def watched(records, tmp_path):
    """A function of a model and Watch's arguments -> events of two epochs.

    A centroid moves by (3, 4) in the first epoch and back in the second.
    """

    def look(model, videos=None, **arguments):
        info = records_folder.read(records)
        pictured = []
        if videos is not None:
            pictured = training_videos.pictured_videos(
                info, records, "test", videos
            )
        watcher = watch.Watch(
            model,
            info.classes,
            sample_of(info, records, 20),
            pictured,
            Config(alpha=0.0).localization_settings(),
            tmp_path / "watch",
            **arguments,
        )
        watcher.set_model(model)
        there = np.array(model.centroids)
        shift = np.zeros_like(there)
        shift[2, :2] = 3, 4
        for epoch, place in enumerate((there + shift, there)):
            watcher.on_epoch_begin(epoch)
            model.centroids.assign(place)
            watcher.on_epoch_end(epoch)
        watcher.on_train_end()
        return _events(tmp_path / "watch")

    return look


def sample_of(info, records, num_snippets):
    """The features of the Sample of all training videos."""
    sample = training_videos.Sample(len(info.classes), num_snippets)
    for video in reader.whole_videos(info, records, "train"):
        sample.add(video)
    return sample.features


def _seen(model, records):
    """Attention [N, 3] and chosen class [N] of the sample, video by video.

    Of the training videos in `records`, the first three carry a, b and c.
    """
    shard = next(records.glob("*train*"))
    attention, chosen = [], []
    for record in list(tf.data.TFRecordDataset(str(shard)))[:3]:
        features = record_format.parse_video(record, 5)["features"].numpy()
        assert len(features) <= 20  # the sample includes all snippets
        outputs = model(
            {
                "features": features[None],
                "num_snippets": np.array([len(features)]),
            },
            training=False,
        )
        attention.append(outputs["attention"][0])
        chosen.append(np.argmax(outputs["class_logits"][0], axis=-1))
    return np.concatenate(attention), np.concatenate(chosen)


# === Numbers ===


def test_attentions_are_those_of_the_sample(watched, records):
    model = random_model()
    events = watched(model)
    attention, _ = _seen(model, records)
    assert len(attention) == 1 + 3 + 12
    for i, name in enumerate(("foreground", "context", "background")):
        buckets = _values(events, f"attention/{name}")[1]
        assert buckets[:, 2].sum() == len(attention)
        assert buckets[0, 0] == pytest.approx(attention[:, i].min())
        assert buckets[-1, 1] == pytest.approx(attention[:, i].max())
        mean = (buckets[:, :2].mean(axis=1) * buckets[:, 2]).sum() / 16
        width = buckets[0, 1] - buckets[0, 0]
        assert mean == pytest.approx(attention[:, i].mean(), abs=width / 2)


def _rows(table):
    """The rows of a Markdown table: lists of cells."""
    lines = str(table).splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_usage_and_movement_of_each_class(watched, records):
    model = random_model()
    events = watched(model)
    _, chosen = _seen(model, records)
    count = np.bincount(chosen, minlength=4)
    assert 1 < np.count_nonzero(count)  # a test of more than one class
    tables = {
        step: _rows(value.item().decode())
        for step, value in _values(events, "centroids/by_class").items()
    }
    for step, way in ((0, 5), (1, 0)):
        rows = {row[0]: row for row in tables[step]}
        assert set(rows) == set(_CLASSES)
        for i, name in enumerate(_CLASSES):
            assert int(rows[name][1]) == count[i]
            moved = (5.0, way) if name == "b" else (0.0, 0.0)
            found = [float(cell) for cell in rows[name][3:]]
            assert found == pytest.approx(moved, abs=1e-5)
    assert [int(row[1]) for row in tables[0]] == sorted(count, reverse=True)
    for tag, expected in {
        "centroids/used": np.count_nonzero(count),
        "centroids/largest_share": count.max() / 16,
        "centroids_moved/mean_this_epoch": 5 / 4,
        "centroids_moved/max_this_epoch": 5,
        "centroids_moved/max_since_start": 0,
    }.items():
        assert _values(events, tag)[1] == pytest.approx(expected, abs=1e-5)
    assert _values(events, "centroids_moved/mean_since_start")[0] == (
        pytest.approx(5 / 4, abs=1e-5)
    )


def test_a_collapsed_dictionary_is_seen(watched):
    model = random_model()
    model.classifier.bias.assign([0.0, 0.0, 1e3, 0.0])
    events = watched(model)
    assert _values(events, "centroids/used")[0] == 1
    assert _values(events, "centroids/largest_share")[0] == 1
    first = _rows(_values(events, "centroids/by_class")[0].item().decode())[0]
    assert first[:3] == ["b", "16", "100.0%"]


def test_a_picture_shows_which_classes_are_chosen():
    names = [f"$class {i}" for i in range(50)]
    count = np.arange(50)[::-1]
    figure = centroid_usage.draw(names, count, np.full(50, 2.0))
    share, moved = figure.axes
    assert len(share.patches) == len(moved.patches) == centroid_usage.BARS
    assert share.patches[0].get_width() == pytest.approx(49 / count.sum())
    assert share.get_yticklabels()[0].get_text() == "$class 0"
    assert moved.patches[3].get_width() == 2.0
    assert "49 of 50" in figure.get_suptitle()


def test_names_do_not_break_the_table():
    table = centroid_usage.table(
        ["background", "a | b\\"], np.array([0, 2]), np.zeros(2), np.zeros(2)
    )
    assert table.splitlines()[2].startswith("| a \\| b\\\\ | 2 | 100.0% |")


def test_every_few_epochs(watched):
    events = watched(random_model(), every=2)
    assert list(_values(events, "centroids/used")) == [1]


def test_watching_takes_at_most_a_tenth_of_the_time(tmp_path, monkeypatch):
    seconds, looks = [0.0], []

    def write(watcher):
        seconds[0] += 2.0
        looks.append(seconds[0])

    monkeypatch.setattr(watch.Watch, "_write_numbers", write)
    monkeypatch.setattr(watch.time, "monotonic", lambda: seconds[0])
    settings = Config().localization_settings()
    watcher = watch.Watch(
        random_model(), "abc", [], [], settings, tmp_path / "watch", every=-1
    )
    watcher.set_model(random_model())
    watcher.set_params({"epochs": 100})
    for epoch in range(100):
        watcher.on_epoch_begin(epoch)
        seconds[0] += 1.0
        watcher.on_epoch_end(epoch)
    # After k looks of 2 s, the next follows the first 1 s epoch that begins at
    # 20 k s or later. The last epoch always has a look.
    assert looks == [20.0 * k + 3 for k in range(6)] + [114.0]


@pytest.mark.parametrize("bias", [1e30, float("inf"), float("nan")])
def test_a_model_that_diverges_is_skipped(watched, bias):
    model = random_model()
    model.centroids.assign(np.full((4, 5), 1e30))
    model.classifier.bias.assign([0.0, bias, 1.0, -bias])
    events = watched(model, ["test_5"], every=2)
    tags = events.Tags()["tensors"]
    assert ("centroids/used" in tags) == np.isfinite(bias)
    assert ("video/test_5" in tags) == np.isfinite(bias)


def test_no_place_for_the_events(watched, tmp_path):
    (tmp_path / "watch").write_text("a file")
    with pytest.raises(InputError, match="watch cannot be written"):
        watched(random_model())


# === Pictures ===


def _picture(events, tag, step=0):
    width, height, png = _values(events, tag)[step]
    picture = tf.io.decode_png(png).numpy()
    assert picture.shape[:2] == (int(height), int(width))
    return picture


def test_the_first_videos_are_drawn(watched):
    events = watched(random_model(), (), every=2)
    drawn = [tag for tag in events.Tags()["tensors"] if "video/" in tag]
    assert drawn == ["video/test_5", "video/test_1"]
    for tag in (*drawn, "centroids/usage"):
        picture = _picture(events, tag, step=1)
        assert len(np.unique(picture.reshape(-1, 4), axis=0)) > 10


def test_the_picture_has_all_that_the_records_and_the_model_say(
    watched, monkeypatch
):
    drawn, draw = {}, timeline.draw

    def noting(title, rows):
        drawn[title] = rows
        return draw(title, rows)

    monkeypatch.setattr(timeline, "draw", noting)
    watched(random_model(), ["test_33"], every=2)
    truth, found, attention, activation = drawn.pop("test_33")
    assert not drawn
    (segment,) = truth.segments
    assert (segment.label, segment.start) == ("c", 0.0)
    assert segment.end == pytest.approx(0.32 * 33)
    assert found.segments
    assert attention.values.shape == activation.values.shape == (33, 3)


def test_any_name_is_a_tag(tmp_path):
    name = 'a/b "c" <d> $e é'
    records = [random_record(name, 4)]
    folder, model = tmp_path / "odd", random_model()
    info = write_records(folder, {"train": records, "test": records})
    watcher = watch.Watch(
        model,
        info.classes,
        sample_of(info, folder, 20),
        training_videos.pictured_videos(info, folder, "test"),
        Config().localization_settings(),
        tmp_path / "watch",
    )
    watcher.set_model(model)
    watcher.on_epoch_begin(0)
    watcher.on_epoch_end(0)
    assert _picture(_events(tmp_path / "watch"), f"video/{name}").any()


def test_a_video_that_is_not_there(records):
    with pytest.raises(InputError, match="watch_videos=test_4 is not"):
        training_videos.pictured_videos(
            records_folder.read(records), records, "test", ("test_5", "test_4")
        )


def test_without_the_split_nothing_is_drawn(records):
    assert (
        training_videos.pictured_videos(
            records_folder.read(records), records, "x"
        )
        == []
    )


def test_the_sample_covers_the_classes_and_is_bounded(
    records, tmp_path, monkeypatch
):
    info = records_folder.read(records)
    sample = sample_of(info, records, 10)
    assert [len(features) for features in sample] == [1, 3, 10]
    monkeypatch.setattr(training_videos, "SAMPLE", 2)
    assert len(sample_of(info, records, 10)) == 2


# === A training ===


@pytest.fixture
def trained(records, tmp_path):
    """A function (name, **flags) -> the run folder of a short training."""

    def run(name, **flags):
        arguments = {
            "data_dir": str(records),
            "run_dir": str(tmp_path / name),
            "epochs": 2,
            "batch_size": 4,
            "num_snippets": 20,
            "embedding_dropout": 0.3,
            "learning_rate": 0.003,
            "eval_every": 1,
        }
        train.main(Config(**arguments | flags))
        return tmp_path / name

    return run


def test_watching_changes_no_bit_of_a_training(trained):
    plain = trained("plain", watch_every=0)
    watched = trained("watched", watch_videos=("test_5",), watch_every=1)
    models = [run_folder.load(run)[0] for run in (plain, watched)]
    for one, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(one, other)
    texts = [(run / "history.csv").read_text() for run in (plain, watched)]
    assert texts[0] == texts[1]
    assert not (plain / "logs" / "watch").exists()
    events = _events(watched / "logs" / "watch")
    assert sorted(_values(events, "centroids/used")) == [0, 1]
    assert _values(events, "centroids_moved/mean_this_epoch")[1] > 0
    _check_what_keras_logs(watched)


def _check_what_keras_logs(run):
    events = _events(run / "logs" / "train")
    with open(run / "history.csv") as file:
        rows = list(csv.DictReader(file))
    maps = [name for name in rows[0] if name.startswith("mAP@")]
    assert maps
    for name in ("loss", "smt", "gui", "cls_fg", "gradient_norm", *maps):
        logged = _values(events, f"epoch_{name}")
        for step, row in enumerate(rows):
            assert logged[step] == pytest.approx(float(row[name]))
    rates = _values(events, "epoch_learning_rate")
    assert list(rates.values()) == pytest.approx([0.003, 0.003])
