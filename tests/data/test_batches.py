import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.conftest import (
    class_means,
    random_model,
    random_record,
    write_records,
)
from tfwstal.data import batches as data_batches
from tfwstal.data import feature_cache, reader
from tfwstal.data import folder as records_folder
from tfwstal.errors import InputError


class TestSampling:
    @pytest.mark.parametrize("length", [11, 16, 100, 2612])
    def test_longer_videos_one_from_each_stratum(self, length):
        count = 10
        for seed in range(20):
            drawn = data_batches.sample_snippets(
                tf.constant(length), count, False, [seed, 1]
            ).numpy()
            for i, index in enumerate(drawn):
                first, end = i * length // count, (i + 1) * length // count
                assert first <= index < end
            assert len(set(drawn)) == count

    def test_every_snippet_is_drawn_sometimes(self):
        drawn = {
            int(i)
            for seed in range(200)
            for i in data_batches.sample_snippets(
                tf.constant(23), 7, False, [seed, 5]
            )
        }
        assert drawn == set(range(23))

    @pytest.mark.parametrize("length", [1, 9, 10])
    def test_shorter_videos_are_taken_whole(self, length):
        drawn = data_batches.sample_snippets(
            tf.constant(length), 10, False, [0, 1]
        )
        assert drawn.numpy().tolist() == list(range(length))

    @pytest.mark.parametrize("length", [1, 3, 7, 10])
    def test_repeating_takes_each_about_equally_often(self, length):
        drawn = data_batches.sample_snippets(
            tf.constant(length), 10, True, [0, 1]
        )
        assert drawn.shape == (10,)
        counts = np.bincount(drawn, minlength=length)
        assert counts.max() - counts.min() <= 1
        assert (np.diff(drawn) >= 0).all()


ARGUMENTS = {
    "num_snippets": 20,
    "batch_size": 3,
    "seed": 1,
    "epochs": 2,
    "repeat": False,
    "static": False,
}


def batches(folder, **changes):
    info = records_folder.read(folder)
    return list(
        data_batches.training_batches(
            info, folder, **{**ARGUMENTS, **changes}
        ).as_numpy_iterator()
    )


def rows(some):
    """The videos of batches as bytes, without padding."""
    return [
        features[:n].tobytes()
        for inputs, _ in some
        for features, n in zip(
            inputs["features"], inputs["num_snippets"], strict=True
        )
    ]


def test_an_epoch_sees_every_video_once_with_a_smaller_last_batch(records):
    some = batches(records)
    sizes = [len(actions) for _, actions in some]
    assert sizes == [3, 3, 2] * 2
    lengths = sorted(int(n) for x, _ in some[:3] for n in x["num_snippets"])
    assert lengths == [1, 3, 7, 12, 18, 20, 20, 20]


def test_batches_pad_to_their_longest_or_to_the_static_length(records):
    for inputs, _ in batches(records):
        assert inputs["features"].shape[1] == inputs["num_snippets"].max()
        for row, n in enumerate(inputs["num_snippets"]):
            assert not inputs["features"][row, n:].any()
    for inputs, _ in batches(records, static=True):
        assert inputs["features"].shape[1:] == (20, 5)


def test_labels_belong_to_their_video(records):
    lengths = [1, 3, 12, 25, 40, 7, 18]  # of conftest.records
    labels = {
        snippet.tobytes(): [1 + i % 3]
        for i, n in enumerate(lengths)
        for snippet in random_record(f"train_{n}", n).features
    }
    two = random_record("train_two", 30).features
    labels |= {snippet.tobytes(): [1, 3] for snippet in two}
    seen = 0
    for inputs, actions in batches(records):
        for features, n, hot in zip(
            inputs["features"], inputs["num_snippets"], actions, strict=True
        ):
            for snippet in features[:n]:
                assert labels[snippet.tobytes()] == list(
                    np.flatnonzero(hot) + 1
                )
            seen += 1
    assert seen == 2 * 8  # epochs, videos


def test_order_and_draws_depend_on_seed_and_epoch(records):
    first, again = rows(batches(records)), rows(batches(records))
    assert first == again
    assert first[:8] != first[8:]
    assert first != rows(batches(records, seed=2))
    # The first epoch does not depend on how many follow.
    assert rows(batches(records, epochs=1)) == first[:8]


def test_class_means_are_the_oracle(records):
    info = records_folder.read(records)
    videos = [random_record(f"t{n}", n) for n in (1, 3, 12, 25, 40, 7, 18)]
    features = [video.features for video in videos]
    labels = [{1 + i % 3} for i in range(7)]
    features.append(random_record("train_two", 30).features)
    labels.append({1, 3})
    np.testing.assert_allclose(
        class_means(info, records),
        reference.class_means(features, labels, 3),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_subset_of_videos_is_like_a_set_of_its_own(records, tmp_path):
    kept = [("train_12", 12, (3,)), ("train_40", 40, (2,))]
    own = write_records(
        tmp_path / "own", {"train": [random_record(*each) for each in kept]}
    )
    info = records_folder.read(records)
    names = {name for name, _, _ in kept}
    np.testing.assert_array_equal(
        class_means(info, records, names),
        class_means(own, tmp_path / "own"),
    )
    whole = reader.whole_videos(info, records, "train", names)
    assert {v["video_id"].numpy().decode() for v in whole} == names
    assert data_batches.steps_per_epoch(info, 2, names) == 1
    found = list(batches(records, epochs=3, batch_size=2, videos=names))
    assert len(found) == 3
    for inputs, actions in found:
        assert sorted(inputs["num_snippets"]) == [12, 20]
        assert actions.sum(axis=0).tolist() == [0, 1, 1]


def test_labels_of_a_split(records):
    info = records_folder.read(records)
    found = reader.video_labels(info, records, "train")
    assert len(found) == 8
    assert found["train_two"].tolist() == [1, 3]


def test_a_class_without_a_video_gets_the_mean_of_all(tmp_path):
    info = write_records(
        tmp_path / "set", {"train": [random_record("v", 4, (1,))]}
    )
    means = class_means(info, tmp_path / "set")
    np.testing.assert_array_equal(means[2], means[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": (), "label_indices": ()}, "'bad' has no label"),
        ({"label_indices": (0,)}, "'bad' has the class index 0"),
        ({"label_indices": (-1,)}, "'bad' has the class index -1"),
        ({"label_indices": (4,)}, "'bad' has the class index 4"),
        ({"features": np.nan}, "'bad' has NaN or infinite"),
        ({"features": np.inf}, "'bad' has NaN or infinite"),
        ({"features": [np.inf, -np.inf]}, "'bad' has NaN or infinite"),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_training_videos_that_cannot_be_trained_on(
    tmp_path, change, message, cached
):
    bad = random_record("bad", 4)
    if "features" in change:
        features = bad.features.copy()
        features[1:3, 2] = change["features"]
        change = {"features": features}
    bad = dataclasses.replace(bad, **change)
    info = write_records(
        tmp_path / "set", {"train": [random_record("good", 3), bad]}
    )
    read = feature_cache.load if cached else class_means
    with pytest.raises(InputError, match=message):
        read(info, tmp_path / "set")
    assert read(info, tmp_path / "set", videos={"good"}) is not None


@pytest.mark.parametrize(
    "content", [b"\xff" * 50, b"", b"\n\x05\n\x03\n\x01\xff"]
)
def test_a_record_that_does_not_parse(tmp_path, content):
    """Its checksums are correct."""
    good = random_record("good", 3)
    path = tmp_path / "set"
    info = write_records(path, {"train": [good], "test": [good]})
    rewrite(info, path, [content])
    for read in (
        lambda: class_means(info, path),
        lambda: feature_cache.load(info, path),
        lambda: reader.video_labels(info, path, "train"),
        lambda: reader.ground_truth(info, path, "train"),
    ):
        with pytest.raises(InputError, match="damaged record") as caught:
            read()
        assert str(caught.value).isprintable()
        assert "transformation" not in str(caught.value)


def test_a_video_id_that_is_not_utf_8(tmp_path):
    path = tmp_path / "set"
    bad = dataclasses.replace(random_record("v", 3), video_id=b"\xff\xfe")
    info = write_records(path, {"train": [bad]})
    for read in (
        lambda: feature_cache.load(info, path, videos={"v"}),
        lambda: reader.video_labels(info, path, "train"),
        lambda: reader.ground_truth(info, path, "train"),
        lambda: data_batches.batch_videos(info, path, 1, 0, 0, 0),
    ):
        with pytest.raises(InputError, match="damaged record"):
            read()


READERS = (
    class_means,
    feature_cache.load,
    lambda info, folder: reader.video_labels(info, folder, "train"),
    lambda info, folder: reader.ground_truth(info, folder, "train"),
)


@pytest.mark.parametrize("read", READERS)
def test_two_records_of_a_video_in_one_shard(tmp_path, read):
    twice = random_record("twice", 3)
    videos = [twice, random_record("once", 4), twice]
    info = write_records(tmp_path / "set", {"train": videos})
    with pytest.raises(
        InputError,
        match=r"^\S+/set-train.tfrecord-00000-of-00001 has two records of "
        "video 'twice'; convert again from one folder$",
    ):
        read(info, tmp_path / "set")


@pytest.mark.parametrize("read", READERS)
def test_two_records_of_a_video_in_two_shards(many_shards, read):
    info = records_folder.read(many_shards)
    first, second, _ = info.shard_paths(many_shards, "train")
    (record, *_) = tf.data.TFRecordDataset(first).as_numpy_iterator()
    with tf.io.TFRecordWriter(second) as writer:
        writer.write(record)
    with pytest.raises(
        InputError,
        match=r"^\S+-00000-of-00003 and \S+-00001-of-00003 both have a record "
        "of video 'train_1'; convert again from one folder$",
    ):
        read(info, many_shards)


def rewrite(info, folder, contents):
    """Replaces the training records."""
    (path,) = info.shard_paths(folder, "train")
    with tf.io.TFRecordWriter(path) as writer:
        for content in contents:
            writer.write(content)


def test_ground_truth_of_a_split(records):
    truth = reader.ground_truth(records_folder.read(records), records, "test")
    assert list(truth) == ["test_5", "test_1", "test_33", "test_14"]
    segments, labels = truth["test_33"]
    np.testing.assert_allclose(segments, [[0, 0.32 * 33]])
    assert labels.tolist() == [3]


class TestDamage:
    def shard(self, records, split="train"):
        return records / f"set-{split}.tfrecord-00000-of-00001"

    def test_missing_shard(self, records):
        self.shard(records).unlink()
        with pytest.raises(InputError, match="set-train.*is missing"):
            records_folder.read(records)

    def test_truncated_shard(self, records):
        content = self.shard(records).read_bytes()
        self.shard(records).write_bytes(content[:-7])
        with pytest.raises(InputError, match="set-train.*truncated"):
            records_folder.read(records)

    def test_changed_shard(self, records):
        content = bytearray(self.shard(records).read_bytes())
        content[200] ^= 255
        self.shard(records).write_bytes(content)
        info = records_folder.read(records)
        with pytest.raises(InputError, match="damaged record"):
            class_means(info, records)

    def test_no_records_folder(self, tmp_path):
        with pytest.raises(InputError, match="not a records folder"):
            records_folder.read(tmp_path)

    def test_damaged_description(self, records):
        (records / "metadata.json").write_text("{")
        with pytest.raises(InputError, match="damaged description"):
            records_folder.read(records)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("metadata.json", "[]"),
            ("metadata.json", "{}"),
            ("dataset_info.json", '{"name": "x"}'),
            ("dataset_info.json", b"\xff\xfe"),
        ],
    )
    def test_description_of_something_else(self, records, name, content):
        if isinstance(content, str):
            content = content.encode()
        (records / name).write_bytes(content)
        with pytest.raises(InputError, match="damaged description"):
            records_folder.read(records)

    @pytest.mark.parametrize("stated", ["9", "7", "99", "0", "-1", "1.5", 8.0])
    def test_stated_numbers_of_videos(self, records, stated):
        """The shards are whole, but dataset_info.json states another count."""
        path = records / "dataset_info.json"
        content = json.loads(path.read_text())
        content["splits"][0]["shardLengths"] = [stated]
        path.write_text(json.dumps(content))
        message = "has 8 videos, but .* states|not a number above 0"
        with pytest.raises(InputError, match=message):
            records_folder.read(records)

    @pytest.mark.parametrize("name", ["x" * 3000, "../x", "a\nb", "", 7])
    @pytest.mark.parametrize("of", ["set", "split"])
    def test_names_of_no_shard(self, records, of, name):
        path = records / "dataset_info.json"
        content = json.loads(path.read_text())
        named = content if of == "set" else content["splits"][0]
        named["name"] = name
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match="cannot be a set's") as caught:
            records_folder.read(records)
        assert len(str(caught.value)) < 300 + len(str(records))

    @pytest.mark.parametrize("left", [7, 1, 0])
    def test_a_shard_with_fewer_records_and_its_size(self, records, left):
        path = self.shard(records)
        kept = list(tf.data.TFRecordDataset(str(path)).take(left))
        with tf.io.TFRecordWriter(str(path)) as writer:
            for each in kept:
                writer.write(each.numpy())
        self.change(
            records, shard_bytes=lambda b: b | {path.name: path.stat().st_size}
        )
        with pytest.raises(InputError, match=f"train.* has {left} videos, but"):
            records_folder.read(records)

    def test_a_record_of_another_length(self, records):
        content = bytearray(self.shard(records).read_bytes())
        content[0] += 1
        self.shard(records).write_bytes(content)
        with pytest.raises(InputError, match="set-train.*damaged"):
            records_folder.read(records)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("feature_dim", 5.0),
            ("feature_dim", 0),
            ("feature_dim", True),
            ("feature_dim", 10**30),  # no int64
            ("feature_dim", 2**31 - 1),  # more bytes than the shards have
            ("frames_per_snippet", 10**400),
            ("frames_per_snippet", "16"),
            ("fps", float("nan")),
            ("fps", -25.0),
            ("storage_dtype", "float64"),
            ("classes", ["a", "b", "b"]),
            ("classes", ["a", "\ufeffb"]),
            ("classes", ["a", ""]),
            ("classes", "abc"),
            ("provenance", []),
        ],
    )
    def test_values_that_convert_never_writes(self, records, key, value):
        self.change(records, **{key: lambda _: value})
        with pytest.raises(InputError, match="damaged description"):
            records_folder.read(records)

    def test_deep_json(self, records):
        (records / "metadata.json").write_text("[" * 100_000)
        with pytest.raises(InputError, match="damaged description .Recursion"):
            records_folder.read(records)

    def change(self, records, **changes):
        """Applies functions to values of metadata.json."""
        path = records / "metadata.json"
        content = json.loads(path.read_text())
        content |= {key: of(content[key]) for key, of in changes.items()}
        path.write_text(json.dumps(content))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"feature_dim": 6}, "does not fit metadata.json"),
            ({"classes": ("a", "b")}, "class index 3.*lists 2 classes"),
        ],
    )
    def test_records_that_disagree_with_it(self, records, change, message):
        info = dataclasses.replace(records_folder.read(records), **change)
        with pytest.raises(InputError, match=message):
            class_means(info, records)

    def test_unknown_and_empty_split(self, records, tmp_path):
        info = records_folder.read(records)
        with pytest.raises(InputError, match=r"'val'.*train \(8 videos\)"):
            info.shard_paths(records, "val")
        empty = tmp_path / "empty"
        info = write_records(empty, {"train": [random_record("v", 4)]})
        info.splits["test"] = ()
        with pytest.raises(InputError, match="'test' has no videos"):
            info.shard_paths(empty, "test")


def test_description_round_trip(records):
    info = records_folder.read(records)
    assert info.num_videos("train") == 8
    assert info.classes == ("a", "b", "c")
    written = json.loads((records / "dataset_info.json").read_text())
    assert written["splits"][0]["shardLengths"] == ["8"]


class TestCache:
    def held(self, folder, **changes):
        return feature_cache.load(
            records_folder.read(folder), folder, **changes
        )

    def filled(self, folder, cache, **changes):
        """Batches from a cache, filled with the features of their rows."""
        some = batches(folder, cache=cache, **changes)
        features = cache.features.numpy()
        return [
            ({**inputs, "features": features[inputs["rows"]]}, actions)
            for inputs, actions in some
        ]

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"static": True, "repeat": True},
            {"start": (1, 1), "epochs": 3},
            {"videos": {"train_12", "train_40", "train_1"}, "epochs": 3},
        ],
    )
    def test_batches_are_those_of_the_records(self, many_shards, changes):
        videos = changes.get("videos")
        cache = self.held(many_shards, videos=videos)
        expected = batches(many_shards, **changes)
        found = self.filled(many_shards, cache, **changes)
        assert len(found) == len(expected) > 0
        assert rows(found) == rows(expected)
        for (inputs, actions), (wanted, wanted_actions) in zip(
            found, expected, strict=True
        ):
            np.testing.assert_array_equal(actions, wanted_actions)
            assert inputs["rows"].shape == wanted["features"].shape[:2]
            assert inputs["rows"].dtype == np.int32

    def test_filled_batches_hold_the_features(self, many_shards):
        info = records_folder.read(many_shards)
        cache = self.held(many_shards)
        found = cache.filled(
            data_batches.training_batches(
                info, many_shards, **ARGUMENTS, cache=cache
            )
        ).as_numpy_iterator()
        assert rows(found) == rows(batches(many_shards))

    def test_a_training_step_looks_up_the_features(self, many_shards):
        """Also in another cache; the same cache is not traced again."""
        cache = self.held(many_shards)
        other = dataclasses.replace(cache, features=2.0 * cache.features)
        model = random_model(dropout=0.0, embedding_dropout=0.0)
        model.compile(optimizer=keras.optimizers.SGD(0.0))
        rows = np.arange(6, dtype=np.int32).reshape(1, 6)
        num_snippets = np.array([6], np.int32)
        actions = np.array([[1.0, 0.0, 1.0]], np.float32)
        steps = []
        for each in (cache, cache, other):
            each.fill_in_step(model)
            logs = model.fit(
                {"rows": rows, "num_snippets": num_snippets},
                actions,
                verbose=0,
            ).history
            x = {
                "features": each.features[:6][None],
                "num_snippets": num_snippets,
            }
            expected = model.evaluate(x, actions, verbose=0, return_dict=True)
            assert logs["loss"][0] == pytest.approx(expected["loss"], rel=1e-5)
            steps.append(model.train_function)
        assert steps[0] is steps[1] is not steps[2]

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @pytest.mark.parametrize("videos", [None, {"train_12", "train_40"}])
    def test_class_means_to_the_bit(self, many_shards, dtype, videos):
        cache = self.held(many_shards, dtype=dtype, videos=videos)
        info = records_folder.read(many_shards)
        np.testing.assert_array_equal(
            cache.class_means, class_means(info, many_shards, videos)
        )

    def test_half_the_size_is_rounded(self, many_shards):
        whole = self.held(many_shards)
        half = self.held(many_shards, dtype="float16")
        assert half.features.dtype == tf.float16
        np.testing.assert_array_equal(
            half.features, tf.cast(whole.features, tf.float16)
        )
        info = records_folder.read(many_shards)
        sizes = [
            feature_cache.num_bytes(info, t) for t in ("float32", "float16")
        ]
        assert sizes[1] == sizes[0] // 2
        used = int(whole.num_snippets.sum()) * 5 * 4
        assert used <= 4 * 5 * whole.features.shape[0] <= sizes[0]

    def test_a_damaged_record_is_named(self, many_shards):
        path = next(many_shards.glob("set-train*"))
        content = bytearray(path.read_bytes())
        content[200] ^= 255
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged record"):
            self.held(many_shards)


@pytest.fixture
def many_shards(tmp_path):
    """Eight training videos in three shards."""
    lengths = [1, 3, 12, 25, 40, 7, 18, 30]
    info = write_records(
        tmp_path / "shards",
        {
            "train": [
                random_record(f"train_{n}", n, (1 + i % 3,))
                for i, n in enumerate(lengths)
            ]
        },
    )
    (path,) = (tmp_path / "shards").glob("set-train*")
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    path.unlink()
    shards = []
    for number, some in enumerate((records[:3], records[3:4], records[4:])):
        name = records_folder.shard_name("set", "train", number, 3)
        with tf.io.TFRecordWriter(str(path.parent / name)) as writer:
            for record in some:
                writer.write(record)
        size = (path.parent / name).stat().st_size
        shards.append(records_folder.Shard(name, len(some), size))
    info.splits["train"] = tuple(shards)
    info.write(path.parent)
    return path.parent
