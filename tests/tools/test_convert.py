"""convert: raw folders -> records, read back; and bad input."""

import dataclasses
import hashlib
import json
import os
import pathlib

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tests.tools import raw_folders
from tests.tools.raw_folders import REAL_DATA, VIDEOS, WIDTH, save, write_acmnet
from tfrecords_tools import convert, layouts
from tfrecords_tools.labels.source_video import SourceVideo
from tfrecords_tools.sharding import shards, verification
from tfwstal.config import Config
from tfwstal.data import folder as records_folder
from tfwstal.data import record as record_format
from tfwstal.errors import InputError


def run(tmp_path, output="records", **flags):
    """Converts tmp_path/raw to tmp_path/OUTPUT; returns that folder."""
    defaults = {"features_dir": str(tmp_path / "raw"), "num_workers": 1}
    flags = defaults | {"output_dir": str(tmp_path / output)} | flags
    convert.main(Config(**flags))
    return pathlib.Path(flags["output_dir"])


def read(folder, split):
    """(parsed video, parsed ground truth) of each record, in order."""
    info = records_folder.read(folder)
    records = tf.data.TFRecordDataset(info.shard_paths(folder, split))
    return [
        (
            record_format.parse_video(record, info.feature_dim),
            record_format.parse_ground_truth(record),
        )
        for record in records
    ]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def metadata(folder):
    return json.loads((folder / "metadata.json").read_text())


NEWER = [
    raw_folders.write_activitynet,
    raw_folders.write_actionformer,
    raw_folders.write_wtalc,
    raw_folders.write_npz,
    raw_folders.write_npz_streams,
    raw_folders.write_npz_of_one_video,
    raw_folders.write_hdf5,
    raw_folders.write_hdf5_groups,
    raw_folders.write_hdf5_files,
    raw_folders.write_hdf5_splits,
]


@pytest.mark.parametrize(
    "write",
    [
        raw_folders.write_acmnet,
        raw_folders.write_basnet,
        raw_folders.write_folders,
        raw_folders.write_joined,
        raw_folders.write_flat,
        *NEWER,
    ],
)
def test_round_trip(tmp_path, write):
    features = write(tmp_path / "raw")
    folder = run(tmp_path, verify=True)
    has_segments = not (tmp_path / "raw" / "labels.csv").exists()
    info = records_folder.read(folder)
    assert info.classes == ("Jump", "Run")
    assert (info.name, info.feature_dim) == ("records", WIDTH)
    names = {"train": ["a_one", "b_many"], "test": ["c_none", "long"]}
    for split, expected in names.items():
        records = read(folder, split)
        found = [video["video_id"].numpy().decode() for video, _ in records]
        assert found == expected
        for name, (video, truth) in zip(expected, records, strict=True):
            np.testing.assert_array_equal(video["features"], features[name])
            segments = VIDEOS[name][2]
            indices = [1 + (label == "Run") for _, _, label in segments]
            np.testing.assert_array_equal(
                video["label_indices"], sorted(set(indices))
            )
            assert video["seconds_per_snippet"] == np.float32(0.64)
            if not has_segments:
                segments, indices = [], []
            np.testing.assert_array_equal(
                truth["segments"],
                np.array([s[:2] for s in segments]).reshape(-1, 2),
            )
            np.testing.assert_array_equal(truth["label_indices"], indices)


def test_float16(tmp_path):
    features = write_acmnet(tmp_path / "raw")
    folder = run(tmp_path, storage_dtype="float16")
    half = features["long"].astype(np.float16).astype(np.float32)
    video, _ = read(folder, "test")[1]
    np.testing.assert_array_equal(video["features"], half)
    wide = run(tmp_path, "wide")
    sizes = [records_folder.read(f).splits["test"][0] for f in (folder, wide)]
    assert sizes[0].num_bytes < 0.6 * sizes[1].num_bytes


def test_same_bytes_whatever_the_workers(tmp_path):
    write_acmnet(tmp_path / "raw")
    one = run(tmp_path, "one/same", num_shards=2)
    again = run(tmp_path, "again/same", num_shards=2)
    two = run(tmp_path, "two/same", num_shards=2, num_workers=2)
    assert len(content(one)) == 4 + 4
    assert content(one) == content(again)
    assert content(one) == content(two)


def test_error_of_a_worker_is_the_same(tmp_path):
    features = write_acmnet(tmp_path / "raw")
    spoiled = features["long"].copy()
    spoiled[7, 2] = np.nan
    save(tmp_path / "raw/test/long.npy", spoiled)
    with pytest.raises(InputError) as alone:
        run(tmp_path, num_shards=2)
    with pytest.raises(InputError) as pooled:
        run(tmp_path, num_shards=2, num_workers=2)
    assert str(alone.value) == str(pooled.value)
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def test_plan_splits_evenly_and_leaves_no_shard_empty():
    def split_into(count, num_videos, num_shards, num_bytes=1):
        video = SourceVideo("v", (), split="train")
        tasks = shards.plan(
            "n", [(video, count)] * num_videos, num_bytes, num_shards
        )
        return [len(task.videos) for task in tasks]

    assert split_into(1, 5, 2) == [2, 3]
    assert split_into(1, 2, 10) == [1, 1]
    assert split_into(1, 5, 0) == [5]
    # 3 videos of 32 MiB: two shards of at most 64 MiB.
    assert split_into(2**15, 3, 0, num_bytes=2**10) == [1, 2]


def test_num_workers():
    assert shards.num_workers(0, 1000) == 2 * os.cpu_count()
    assert shards.num_workers(3, 8) == 3
    assert shards.num_workers(3, 2) == 2


def test_provenance(tmp_path, capsys):
    write_acmnet(tmp_path / "raw")
    folder = run(tmp_path)
    found = metadata(folder)["provenance"]
    raw = tmp_path / "raw"
    digest = hashlib.sha256((raw / "gt.json").read_bytes()).hexdigest()
    assert found["annotations"] == {"file": "gt.json", "sha256": digest}
    assert found["sha256"] == {
        file.relative_to(raw).as_posix(): hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in sorted(raw.glob("*/*.npy"))
    }
    assert str(tmp_path) not in json.dumps(found)
    printed = capsys.readouterr().out
    assert "train: 2 videos" in printed
    assert (
        "snippets: 1 / 3.5 / 3000 (min / median / max) of 6 features" in printed
    )


def test_left_out_videos_are_told_and_kept(tmp_path, capsys):
    write_acmnet(tmp_path / "raw")
    (tmp_path / "raw/test/long.npy").unlink()
    found = metadata(run(tmp_path, missing_features="skip"))["provenance"]
    reason = "test/long.npy is missing"
    assert found["left_out"] == [{"video": "long", "reason": reason}]
    printed = capsys.readouterr().out
    assert "videos left out: 1" in printed and f"long: {reason}" in printed


def test_streams_that_differ_by_one_are_cut(tmp_path, capsys):
    features = raw_folders.write_folders(tmp_path / "raw")
    flow = tmp_path / "raw/flow/b_many.npy"
    save(flow, np.load(flow)[:-1])
    folder = run(tmp_path)
    video, _ = read(folder, "train")[1]
    np.testing.assert_array_equal(video["features"], features["b_many"][:4])
    assert "streams cut by one snippet: 1" in capsys.readouterr().out


def edit_record(folder, key, change):
    """Applies `change` to the feature `key` of a shard's first record."""
    path = folder / "records-train.tfrecord-00000-of-00001"
    size = path.stat().st_size
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    example = tf.train.Example.FromString(records[0])
    change(example.features.feature[key])
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in [example.SerializeToString(), *records[1:]]:
            writer.write(record)
    assert path.stat().st_size == size  # otherwise the size would reveal it


def flip(values):
    """Flips the last bit of the first byte or number."""
    first = values[0]
    whole = isinstance(first, int)
    values[0] = first ^ 1 if whole else bytes([first[0] ^ 1]) + first[1:]


CHANGES = {
    record_format.FEATURES: lambda f: flip(f.bytes_list.value),
    record_format.MEDIA_ID: lambda f: flip(f.bytes_list.value),
    record_format.LABEL_INDEX: lambda f: flip(f.int64_list.value),
    record_format.LABEL_STRING: lambda f: flip(f.bytes_list.value),
    record_format.SEGMENT_START: lambda f: flip(f.int64_list.value),
    record_format.SEGMENT_END: lambda f: flip(f.int64_list.value),
    record_format.SEGMENT_STRING: lambda f: flip(f.bytes_list.value),
    record_format.FRAMES_PER_SNIPPET: lambda f: flip(f.int64_list.value),
    record_format.FPS: lambda f: f.float_list.value.__setitem__(0, 25.000002),
}


@pytest.mark.parametrize("key", CHANGES)
def test_verify_finds_one_changed_bit(tmp_path, monkeypatch, key):
    write_acmnet(tmp_path / "raw")
    write_all = shards.write_all

    def write_and_spoil(*arguments):
        written = write_all(*arguments)
        edit_record(arguments[3], key, CHANGES[key])
        return written

    monkeypatch.setattr(shards, "write_all", write_and_spoil)
    message = f"records-train.*: {key} of video 'a_one' differs"
    with pytest.raises(InputError, match=message):
        run(tmp_path, verify=True)
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]
    run(tmp_path)  # not noticed without --verify


def test_verify_finds_damage_and_lost_records(tmp_path):
    write_acmnet(tmp_path / "raw")
    folder = run(tmp_path)
    source = convert.layouts.discover(
        Config(features_dir=str(tmp_path / "raw"))
    )
    measured = convert.measure(source.videos)
    items = [(v, measured[v.video_id].num_snippets) for v in source.videos]
    tasks = shards.plan("records", items, 4 * WIDTH, 0)
    arguments = (source.classes, "float32", folder)
    verification.verify(tasks, *arguments)
    less = dataclasses.replace(tasks[0], videos=tasks[0].videos[:1])
    with pytest.raises(InputError, match="test.*does not have 1 videos"):
        verification.verify([less], *arguments)
    path = folder / tasks[1].name
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="train.*: record 1 has changed"):
        verification.verify(tasks, *arguments)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2"])
def test_other_floats(tmp_path, dtype, capsys):
    features = write_acmnet(tmp_path / "raw")["b_many"].astype(dtype)
    save(tmp_path / "raw/train/b_many.npy", np.asfortranarray(features))
    video, _ = read(run(tmp_path), "train")[1]
    np.testing.assert_array_equal(
        video["features"], features.astype(np.float32)
    )
    told = "videos rounded from float64: 1" in capsys.readouterr().out
    assert told == (dtype == "<f8")


# a_one has one snippet, b_many five: features end at 0.64 s and 3.2 s.
# Segments may end one snippet later.
SEGMENTS = {
    "late": [("a_one", (0.0, 1.29, "Jump"), "ends after")],
    "early": [("b_many", (-0.5, 1.0, "Jump"), "starts before")],
    "both": [
        ("b_many", (-0.5, 1.0, "Jump"), "starts before"),
        ("b_many", (3.0, 99.0, "Jump"), "ends after"),
    ],
}


@pytest.mark.parametrize("added", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("choice", ["skip", "keep"])
def test_bad_segments(tmp_path, added, choice, capsys):
    videos = {name: (s, t, list(n)) for name, (s, t, n) in VIDEOS.items()}
    for name, segment, _ in added:
        videos[name][2].append(segment)
    write_acmnet(tmp_path / "raw", videos)
    with pytest.raises(InputError, match=f"{added[0][0]}.*--bad_segments=skip"):
        run(tmp_path)
    folder = run(tmp_path, bad_segments=choice)
    stored = {
        bytes(truth["video_id"].numpy()).decode(): truth["segments"].numpy()
        for _, truth in read(folder, "train")
    }
    name = added[0][0]
    before = len(VIDEOS[name][2])
    more = len(added) if choice == "keep" else 0
    assert len(stored[name]) == before + more
    found = metadata(folder)["provenance"]["bad_segments"]
    assert [(f["video"], f["kept"]) for f in found] == [
        (name, choice == "keep") for name, _, _ in added
    ]
    printed = capsys.readouterr().out
    word = "bad segments kept" if choice == "keep" else "segments left out"
    assert f"{word}: {len(added)}" in printed and added[0][2] in printed


def test_segment_may_end_in_the_last_partial_snippet(tmp_path):
    videos = VIDEOS | {"a_one": ("train", 1, [(0.0, 1.28, "Jump")])}
    write_acmnet(tmp_path / "raw", videos)
    assert metadata(run(tmp_path))["provenance"]["bad_segments"] == []


def spoil(values):
    """A function that replaces train/a_one.npy by `values`."""
    return lambda raw: save(raw / "train/a_one.npy", values)


def truncate(raw):
    path = raw / "test/long.npy"
    os.truncate(path, path.stat().st_size - 1)


def with_nan(raw):
    values = np.load(raw / "test/long.npy")
    values[2999, 5] = np.inf
    values[17, 3] = np.nan
    save(raw / "test/long.npy", values)


def pickled(raw):
    values = np.array([[{}]], dtype=object)
    np.save(raw / "train/a_one.npy", values, allow_pickle=True)


BAD_ACMNET = {
    "missing": (
        lambda raw: (raw / "train/a_one.npy").unlink(),
        "a_one.npy is missing, the features of video 'a_one'",
    ),
    "other width": (
        # The others have equal widths.
        lambda raw: save(raw / "test/long.npy", np.zeros((2, 4), "f4")),
        r"long.npy is 4 features wide, but .*a_one.npy is 6",
    ),
    "1-D": (spoil(np.zeros(6, "f4")), r"a_one.npy has shape \(6,\)"),
    "3-D": (
        spoil(np.zeros((1, 2, 6), "f4")),
        r"a_one.npy has shape \(1, 2, 6\)",
    ),
    "no snippet": (spoil(np.zeros((0, 6), "f4")), r"a_one.npy.*\(0, 6\)"),
    "integers": (spoil(np.zeros((1, 6), "i4")), "a_one.npy has dtype int32"),
    "complex": (spoil(np.zeros((1, 6), "c8")), "a_one.npy has dtype complex64"),
    "objects": (pickled, "a_one.npy contains pickled"),
    "NaN": (
        with_nan,
        "long.npy: of 18000 values 2 .first: snippet 17, column 3. are NaN",
    ),
    "truncated": (truncate, "long.npy is truncated: 72127 bytes of 72128"),
    "no .npy": (
        lambda raw: (raw / "train/a_one.npy").write_text("version https://"),
        "a_one.npy is not a .npy array",
    ),
    "empty file": (
        lambda raw: (raw / "train/a_one.npy").write_bytes(b""),
        "a_one.npy is not a .npy array",
    ),
    "too large for float32": (
        spoil(np.full((1, 6), 1e39)),
        "a_one.npy: of 6 values 6 .* are too large for float32",
    ),
}


@pytest.mark.parametrize("damage, message", BAD_ACMNET.values(), ids=BAD_ACMNET)
def test_bad_features(tmp_path, damage, message):
    write_acmnet(tmp_path / "raw")
    damage(tmp_path / "raw")
    with pytest.raises(InputError, match=message) as error:
        run(tmp_path, "new/deep/records")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def in_npz(values):
    def spoil(raw):
        arrays = dict(np.load(raw / "i3d.npz"))
        np.savez(raw / "i3d.npz", **arrays | {"a_one": values})

    return spoil


def in_hdf5(values):
    def spoil(raw):
        with h5py.File(raw / "i3d.h5", "a") as file:
            del file["a_one"]
            file["a_one"] = values

    return spoil


def in_wtalc(values):
    def spoil(raw):
        path = raw / "Thumos14reduced-I3D-JOINTFeatures.npy"
        arrays = np.load(path, allow_pickle=True)
        arrays[1] = values
        np.save(path, arrays, allow_pickle=True)

    return spoil


INSIDE = {
    "npz": (raw_folders.write_npz, in_npz, r"i3d.npz\[a_one\]"),
    "hdf5": (raw_folders.write_hdf5, in_hdf5, r"i3d.h5\[a_one\]"),
    "wtalc": (raw_folders.write_wtalc, in_wtalc, r"JOINTFeatures.npy\[1\]"),
}
BAD_ARRAYS = {
    "width": (np.zeros((1, 4), "f4"), " .*features wide"),
    "1-D": (np.zeros(6, "f4"), r" has shape \(6,\)"),
    "no snippet": (np.zeros((0, 6), "f4"), r" is empty \(shape \(0, 6\)"),
    "integers": (np.zeros((1, 6), "i4"), " has dtype int32"),
    "NaN": (np.full((1, 6), np.nan, "f4"), ": of 6 values 6 .*are NaN"),
}


@pytest.mark.parametrize("values, message", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
def test_bad_features_inside_a_file(tmp_path, inside, values, message):
    write, spoiled, place = inside
    write(tmp_path / "raw")
    spoiled(values)(tmp_path / "raw")
    if "wide" in message:  # the message may name either video
        place = ""
    with pytest.raises(InputError, match=place + message) as error:
        run(tmp_path)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_joint_file_that_runs_code_is_refused(tmp_path, run_command):
    raw_folders.write_wtalc(tmp_path / "raw")
    in_wtalc(Touch())(tmp_path / "raw")
    done = run_command(
        "tfrecords_tools.convert", "--features_dir=raw", "--output_dir=records"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "JOINTFeatures.npy contains 'posix.system'" in done.stderr
    # Libraries may make folders in the home.
    found = {path.name for path in tmp_path.iterdir()}
    assert "raw" in found and not found & {"it_ran", "records"}


class Touch:
    def __reduce__(self):
        return os.system, ("touch it_ran",)


def test_sha256_of_arrays_inside_files(tmp_path):
    features = raw_folders.write_wtalc(tmp_path / "raw")
    found = metadata(run(tmp_path))["provenance"]
    name = "Thumos14reduced-I3D-JOINTFeatures.npy"
    assert found["sha256"] == {
        f"{name}[{index}]": hashlib.sha256(values.tobytes()).hexdigest()
        for index, values in enumerate(features.values())
    }
    folder = tmp_path / "raw" / "Thumos14reduced-Annotations"
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert found["annotations"] == {"file": folder.name, "sha256": digest}


def test_notes_are_told_and_kept(tmp_path, capsys):
    raw_folders.write_wtalc(tmp_path / "raw")
    path = tmp_path / "raw/Thumos14reduced-Annotations/labels_all.npy"
    stated = np.load(path, allow_pickle=True)
    stated[1] = [b"Run"]
    np.save(path, stated, allow_pickle=True)
    found = metadata(run(tmp_path))["provenance"]
    note = "labels Run stated, Jump taken from its segments"
    assert found["notes"] == [{"video": "a_one", "note": note}]
    printed = capsys.readouterr().out
    assert "videos with notes: 1" in printed and f"a_one: {note}" in printed


def test_actionformer_seconds(tmp_path):
    """Step 4: 2/15 s a snippet at 30 frames per second, 0.16 s at 25."""
    videos = {
        "fast": ("train", 75, [(9.0, 10.0, "Run")]),
        "slow": ("test", 75, [(11.0, 12.0, "Run")]),
    }
    raw = tmp_path / "raw"
    raw_folders.write_actionformer(raw, videos)
    path = raw / "annotations/thumos14.json"
    truth = json.loads(path.read_text())
    truth["database"]["fast"].update(fps=30.0, duration=10.0)
    truth["database"]["slow"].update(fps=25.0, duration=12.0)
    path.write_text(json.dumps(truth))
    folder = run(tmp_path, frames_per_snippet=4)
    found = {
        video["video_id"].numpy().decode(): float(video["seconds_per_snippet"])
        for split in ("train", "test")
        for video, _ in read(folder, split)
    }
    # 75 snippets, as long as the videos.
    assert found == pytest.approx({"fast": 10 / 75, "slow": 12 / 75})
    with pytest.raises(InputError, match="4.00 times.* step of 4 frames"):
        run(tmp_path, "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["raw", "records"]


def test_too_large_for_float16(tmp_path):
    write_acmnet(tmp_path / "raw")
    spoil(np.full((1, 6), 1e5, "f4"))(tmp_path / "raw")
    message = "a_one.npy.* 6 .*too large for float16.*--storage_dtype=float32"
    with pytest.raises(InputError, match=message):
        run(tmp_path, storage_dtype="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_streams_that_differ_by_two(tmp_path):
    raw_folders.write_folders(tmp_path / "raw")
    flow = tmp_path / "raw/flow/b_many.npy"
    save(flow, np.load(flow)[:-2])
    message = "rgb/b_many.*5 snippets but .*flow/b_many.*3 snippets"
    with pytest.raises(InputError, match=message):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_overwrite(tmp_path):
    write_acmnet(tmp_path / "raw")
    folder = run(tmp_path)
    before = content(folder)
    with pytest.raises(InputError, match="records exists.*--overwrite"):
        run(tmp_path)
    # A conversion that fails leaves the old records as they are.
    spoil(np.full((1, 6), np.nan, "f4"))(tmp_path / "raw")
    with pytest.raises(InputError, match="NaN"):
        run(tmp_path, overwrite=True)
    assert content(folder) == before
    write_acmnet(tmp_path / "raw")
    run(tmp_path, overwrite=True, num_shards=2)
    assert len(content(folder)) == len(before) + 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["raw", "records"]


def test_other_folders_are_not_overwritten(tmp_path):
    write_acmnet(tmp_path / "raw")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="mine is not a folder of records"):
        run(tmp_path, "mine", overwrite=True)
    assert content(mine) == {"thesis.txt": b"precious"}


def test_traces_of_a_killed_run_are_removed(tmp_path):
    write_acmnet(tmp_path / "raw")
    folder = run(tmp_path)
    before = content(folder)
    # Killed while writing, and killed between the two renames.
    (tmp_path / ".records.incomplete").mkdir()
    (tmp_path / ".records.incomplete" / "part").write_text("half")
    folder.rename(tmp_path / ".records.replaced")
    with pytest.raises(RuntimeError), shards.staging(folder):
        assert content(folder) == before
        raise RuntimeError
    assert sorted(p.name for p in tmp_path.iterdir()) == ["raw", "records"]


def test_shards_have_the_name_of_the_folder(tmp_path):
    write_acmnet(tmp_path / "raw")
    folder = run(tmp_path, "my-records.v1")
    assert (folder / "my_records_v1-test.tfrecord-00000-of-00001").is_file()


def test_duration_that_does_not_fit_is_told(tmp_path, capsys):
    write_acmnet(tmp_path / "raw")
    path = tmp_path / "raw/gt.json"
    truth = json.loads(path.read_text())
    truth["database"]["b_many"]["duration"] = 6.4  # twice the features' 3.2 s
    truth["database"]["a_one"]["duration"] = 0.64
    path.write_text(json.dumps(truth))
    run(tmp_path)
    assert "duration: 1 videos (median ratio 0.75" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("write", [write_acmnet, *NEWER])
def test_opens_with_tfds(tmp_path, write):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = write(tmp_path / "raw")
    folder = run(tmp_path, "my-records.v1", num_shards=2)
    builder = tfds.builder_from_directory(str(folder))
    assert builder.info.splits["train"].num_examples == 2
    found = {
        example[record_format.MEDIA_ID].numpy().decode(): example
        for split in ("train", "test")
        for example in builder.as_dataset(split=split)
    }
    assert sorted(found) == sorted(VIDEOS)
    for name, example in found.items():
        np.testing.assert_array_equal(
            example[record_format.FEATURES], features[name]
        )


def test_command_prints_one_line(tmp_path, run_command):
    write_acmnet(tmp_path / "raw")
    spoil(np.full((1, 6), np.nan, "f4"))(tmp_path / "raw")
    done = run_command(
        "tfrecords_tools.convert",
        f"--features_dir={tmp_path / 'raw'}",
        f"--output_dir={tmp_path / 'records'}",
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert "a_one.npy" in done.stderr
    assert done.stdout == ""
    assert not [p for p in tmp_path.iterdir() if "records" in p.name]


def test_real_features(tmp_path):
    raw = REAL_DATA / "features" / "real_i3d"
    if not raw.exists():
        pytest.skip(f"{raw} is not there")
    folder = run(tmp_path, features_dir=str(raw))
    records = read(folder, "train")
    assert len(records) == 4
    for video, _ in records:
        name = video["video_id"].numpy().decode()
        joined = [np.load(raw / s / f"{name}.npy") for s in ("rgb", "flow")]
        np.testing.assert_array_equal(
            video["features"], np.concatenate(joined, axis=1)
        )
    assert len(metadata(folder)["provenance"]["left_out"]) == 13


# === Axes ===


def measured(root, *shapes):
    """convert.measure of videos with features of the given shapes."""
    for index, shape in enumerate(shapes):
        save(root / f"v{index}.npy", np.zeros(shape, np.float32))
    rows = [f"v{index},Run" for index in range(len(shapes))]
    (root / "labels.csv").write_text("\n".join(["video_id,labels", *rows]))
    videos = layouts.discover(Config(features_dir=str(root))).videos
    return convert.measure(videos)


def test_all_features_are_transposed(tmp_path):
    with pytest.raises(InputError, match="1024 snippets.*save them as array.T"):
        measured(tmp_path, (1024, 5), (1024, 7), (1024, 7))


def test_one_video_is_transposed_and_blamed(tmp_path):
    with pytest.raises(
        InputError, match=r"v0.npy is 5 features wide, but .*\[1024, 5\] seems"
    ):
        measured(tmp_path, (1024, 5), (9, 1024), (7, 1024))


def test_perhaps_transposed(tmp_path, capsys):
    assert len(measured(tmp_path, (2048, 9), (2048, 9))) == 2
    assert "warning: all videos have 2048 snippets" in capsys.readouterr().err
    measured(tmp_path, (2048, 2048), (2048, 2048))
    measured(tmp_path, (9, 1024), (7, 1024))
    assert "warning" not in capsys.readouterr().err


def test_one_time_scale_of_all_videos_is_that_of_the_set(tmp_path):
    raw = tmp_path / "raw"
    raw_folders.write_folders(raw)
    text = (raw / "labels.csv").read_text().replace(",25,16,", ",30,8,")
    (raw / "labels.csv").write_text(text)
    convert.main(
        Config(
            features_dir=str(raw),
            output_dir=str(tmp_path / "records"),
            bad_segments="skip",
        )
    )
    info = records_folder.read(tmp_path / "records")
    assert (info.fps, info.frames_per_snippet) == (30.0, 8)


def test_the_source_is_never_replaced(tmp_path):
    raw = tmp_path / "records" / "raw"
    raw_folders.write_folders(raw)
    for name in ("dataset_info.json", "metadata.json"):
        (tmp_path / "records" / name).touch()
    config = Config(
        features_dir=str(raw),
        output_dir=str(tmp_path / "records"),
        overwrite=True,
    )
    with pytest.raises(InputError, match="raw is inside --output_dir"):
        convert.main(config)
