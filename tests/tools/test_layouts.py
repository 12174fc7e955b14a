"""Layouts: the videos, labels, splits and classes that are found."""

import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from tests.tools import raw_folders
from tests.tools.raw_folders import (
    REAL_DATA,
    VIDEOS,
    save,
    write_acmnet,
    write_folders,
)
from tfrecords_tools import convert, labels, layouts, object_arrays
from tfrecords_tools.layouts import splits
from tfwstal.config import Config
from tfwstal.errors import InputError


def discover(root, **flags):
    return layouts.discover(Config(features_dir=str(root), **flags))


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "layout, write, files",
    [
        ("acmnet", raw_folders.write_acmnet, ["train/a_one.npy"]),
        (
            "basnet",
            raw_folders.write_basnet,
            [f"features/train/{s}/a_one.npy" for s in ("rgb", "flow")],
        ),
        (
            "folders",
            raw_folders.write_folders,
            ["rgb/a_one.npy", "flow/a_one.npy"],
        ),
        ("folders", raw_folders.write_joined, ["joined/a_one.npy"]),
        ("folders", raw_folders.write_flat, ["a_one.npy"]),
        ("folders", raw_folders.write_activitynet, ["v_a_one.npy"]),
        (
            "actionformer",
            raw_folders.write_actionformer,
            ["i3d_features/a_one.npy"],
        ),
        (
            "wtalc",
            raw_folders.write_wtalc,
            ["Thumos14reduced-I3D-JOINTFeatures.npy[1]"],
        ),
        ("npz", raw_folders.write_npz, ["i3d.npz[a_one]"]),
        (
            "npz",
            raw_folders.write_npz_streams,
            ["i3d.npz[a_one/rgb]", "i3d.npz[a_one/flow]"],
        ),
        (
            "npz",
            raw_folders.write_npz_of_one_video,
            ["a_one.npz[rgb]", "a_one.npz[flow]"],
        ),
        ("hdf5", raw_folders.write_hdf5, ["i3d.h5[a_one]"]),
        (
            "hdf5",
            raw_folders.write_hdf5_groups,
            ["i3d.h5[a_one/rgb]", "i3d.h5[a_one/flow]"],
        ),
        (
            "hdf5",
            raw_folders.write_hdf5_files,
            ["rgb.h5[a_one]", "flow.h5[a_one]"],
        ),
        ("hdf5", raw_folders.write_hdf5_splits, ["train.hdf5[a_one]"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_detects_layout(tmp_path, layout, write, files):
    write(tmp_path)
    source = discover(tmp_path)
    assert source.layout == layout
    assert source == discover(tmp_path, layout=layout)
    assert source.classes == ("Jump", "Run")
    assert source.left_out == ()
    first, many, none, long = source.videos  # sorted by id
    assert [str(place) for place in first.feature_files] == [
        str(tmp_path / file) for file in files
    ]
    assert [v.video_id for v in source.videos] == sorted(VIDEOS)
    assert [v.split for v in source.videos] == [
        "train",
        "train",
        "test",
        "test",
    ]
    assert many.labels == ("Jump", "Run")  # in the order of the classes
    assert (none.labels, none.segments) == ((), ())
    assert (long.fps, long.frames_per_snippet) == (25.0, 16)
    # labels.csv has no segments.
    has_csv = (tmp_path / "labels.csv").exists()
    segments = () if has_csv else tuple(VIDEOS["b_many"][2])
    assert many.segments == segments


def test_two_layouts_at_once_are_named(tmp_path):
    write_acmnet(tmp_path)
    write_folders(tmp_path)
    with pytest.raises(InputError, match="acmnet and folders.*--layout"):
        discover(tmp_path)
    assert discover(tmp_path, layout="acmnet").layout == "acmnet"


def test_two_places_of_one_layout_are_named(tmp_path):
    write_folders(tmp_path)
    raw_folders.write_joined(tmp_path)
    with pytest.raises(InputError, match="joined and .*rgb"):
        discover(tmp_path)


@pytest.mark.parametrize(
    "layout, name",
    [
        *[(layout, "VIDEO.npy") for layout in ("auto", "acmnet", "basnet")],
        *[("folders", "VIDEO.npy"), ("actionformer", "VIDEO.npy")],
        *[("wtalc", "JOINTFeatures.npy"), ("npz", ".npz"), ("hdf5", ".h5")],
    ],
)
def test_no_layout_fits(tmp_path, layout, name):
    with pytest.raises(InputError, match=f"--layout={layout}.*{name}"):
        discover(tmp_path, layout=layout)


def test_annotations_and_lists_elsewhere(tmp_path):
    write_acmnet(tmp_path / "features")
    (tmp_path / "notes").mkdir()
    for name in ("gt.json", "split_train.txt"):
        shutil.move(tmp_path / "features" / name, tmp_path / "notes" / name)
    # split_test.txt in features_dir is ignored if there is another list.
    source = discover(
        tmp_path / "features", annotations=str(tmp_path / "notes" / "gt.json")
    )
    assert [v.video_id for v in source.videos] == ["a_one", "b_many"]
    reason = "not in split_train.txt"
    assert source.left_out == (("c_none", reason), ("long", reason))


def test_video_in_no_list_is_left_out_with_a_reason(tmp_path):
    write_acmnet(tmp_path)
    edit(tmp_path / "split_test.txt", "c_none\n", "")
    source = discover(tmp_path)
    assert "c_none" not in {v.video_id for v in source.videos}
    assert source.left_out == (
        ("c_none", "not in split_test.txt and split_train.txt"),
    )


def test_split_is_the_folder_without_lists(tmp_path):
    write_acmnet(tmp_path, lists=False)
    (tmp_path / "test/long.npy").rename(tmp_path / "train/long.npy")
    source = discover(tmp_path)
    assert source.splits_from == "folders"
    assert {v.video_id: v.split for v in source.videos} == {
        "a_one": "train",
        "b_many": "train",
        "c_none": "test",
        "long": "train",
    }


def test_folders_with_ground_truth_has_segments(tmp_path):
    write_folders(tmp_path)
    truth = raw_folders.ground_truth(
        VIDEOS, {"train": "training", "test": "val"}
    )
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    for annotations in ("", str(tmp_path / "gt.json")):
        source = discover(tmp_path, annotations=annotations)
        assert {v.video_id: v.split for v in source.videos} == {
            name: video[0] for name, video in VIDEOS.items()
        }
        assert source.videos[1].segments == tuple(VIDEOS["b_many"][2])
    source = discover(tmp_path, annotations=str(tmp_path / "labels.csv"))
    assert not any(v.segments for v in source.videos)


@pytest.mark.parametrize(
    "subsets, expected",
    [
        (["validation", "test"], ["train", "test"]),  # THUMOS-14
        (["Validation", "Test"], ["train", "test"]),
        (["train", "test"], ["train", "test"]),
        (["training", "validation"], ["train", "test"]),  # ActivityNet
        (["train", "val"], ["train", "test"]),
        (["train", "val", "test"], ["train", "validation", "test"]),
        (["validation"], ["train"]),
        (["fold1"], ["fold1"]),
    ],
)
def test_subset_to_split(subsets, expected):
    videos = [labels.SourceVideo(s, ("Run",), subset=s) for s in subsets]
    assert list(splits.of_subsets(videos).values()) == expected


def test_hidden_test_subset_is_left_out():
    subsets = {"training": ("Run",), "validation": ("Run",), "testing": ()}
    videos = [labels.SourceVideo(s, n, subset=s) for s, n in subsets.items()]
    assert splits.of_subsets(videos) == {
        "training": "train",
        "validation": "test",
        "testing": None,
    }


def test_activitynet_prefix(tmp_path):
    """Lists and files have v_x, the annotations x."""
    truth = raw_folders.ground_truth(
        {"x": ("train", 2, [(0, 1, "Run")])}, {"train": "training"}
    )
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "split_train.txt").write_text("v_x\n")
    save(tmp_path / "train" / "v_x.npy", [[0.0]])
    source = discover(tmp_path)
    assert [v.video_id for v in source.videos] == ["x"]
    assert source.videos[0].feature_files == (tmp_path / "train" / "v_x.npy",)
    assert source.left_out == ()


def test_prefix_does_not_mix_up_videos(tmp_path):
    videos = {name: ("train", 2, [(0, 1, "Run")]) for name in ("x", "v_x")}
    write_acmnet(tmp_path, videos)
    (tmp_path / "train" / "x.npy").unlink()
    with pytest.raises(InputError, match="x.npy is missing.*'x'"):
        discover(tmp_path)


def test_listed_with_and_without_prefix(tmp_path):
    write_acmnet(tmp_path)
    edit(tmp_path / "split_test.txt", "long", "long\nv_long")
    with pytest.raises(InputError, match="'v_long' is listed twice"):
        discover(tmp_path)


def test_csv_defaults_come_from_flags(tmp_path):
    write_folders(tmp_path)
    (tmp_path / "labels.csv").write_text(
        "\ufeffvideo_id, labels,fps\nlong,Run; Jump,12.5\na_one,Run,\n",
        encoding="utf-8",
    )
    source = discover(tmp_path, fps=30.0, frames_per_snippet=24)
    found = [
        (v.video_id, v.labels, v.split, v.fps, v.frames_per_snippet)
        for v in source.videos
    ]
    assert found == [
        ("a_one", ("Run",), "train", 30.0, 24),
        ("long", ("Jump", "Run"), "train", 12.5, 24),
    ]
    reason = "features without an entry in labels.csv"
    assert source.left_out == (("b_many", reason), ("c_none", reason))


def test_class_files(tmp_path):
    write_acmnet(tmp_path)
    (tmp_path / "classes.txt").write_text("Run\nJump\n")
    source = discover(tmp_path)
    assert (source.classes, source.classes_from) == (
        ("Run", "Jump"),
        "classes.txt",
    )
    assert source.videos[1].labels == ("Run", "Jump")
    (tmp_path / "mine.txt").write_text("Swim\n\nJump\nRun\n")
    source = discover(tmp_path, classes=str(tmp_path / "mine.txt"))
    assert source.classes == ("Swim", "Jump", "Run")


def test_missing_features_can_be_left_out(tmp_path):
    write_folders(tmp_path)
    (tmp_path / "flow" / "b_many.npy").unlink()
    source = discover(tmp_path, missing_features="skip")
    assert len(source.videos) == 3
    assert source.left_out == (("b_many", "flow/b_many.npy is missing"),)
    # The class of a video that is left out stays.
    assert source.classes == ("Jump", "Run")


def test_label_stays_when_its_segment_is_left_out(tmp_path):
    write_acmnet(tmp_path)
    edit(tmp_path / "gt.json", "[1.5, 3.2]", "[3.2, 1.5]")
    with pytest.raises(InputError, match="b_many.*reversed"):
        discover(tmp_path)
    source = discover(tmp_path, bad_segments="skip")
    assert source.videos[1].labels == ("Jump", "Run")
    assert source.videos[1].segments == ((0.0, 1.0, "Run"),)
    assert len(source.bad_segments) == 1


BAD_ACMNET = {
    "listed twice": (
        lambda root: edit(root / "split_test.txt", "long", "long\nlong"),
        "split_test.txt.*'long' is listed twice",
    ),
    "in both lists": (
        lambda root: edit(root / "split_test.txt", "long", "a_one"),
        "'a_one' is listed twice.*split_train.txt",
    ),
    "listed but not annotated": (
        lambda root: edit(root / "split_test.txt", "long", "other"),
        "split_test.txt: video 'other' is not in .*gt.json",
    ),
    "training video without label": (
        lambda root: edit(root / "split_train.txt", "a_one", "c_none"),
        "'c_none'",
    ),
    "missing features": (
        lambda root: [p.unlink() for p in root.glob("*/*o*.npy")],
        r"a_one.npy is missing.*'a_one' \(and of 2 more\).*=skip",
    ),
    "all features missing": (
        lambda root: [p.unlink() for p in root.glob("*/*.npy")],
        "--layout",
    ),
    "label outside the classes": (
        lambda root: (root / "classes.txt").write_text("Run\n"),
        "'a_one' has the label 'Jump'.*classes.txt",
    ),
    "class twice": (
        lambda root: (root / "classes.txt").write_text("Run\nJump\nRun\n"),
        "classes.txt: class 'Run'.*twice",
    ),
    "no classes": (
        lambda root: (root / "classes.txt").write_text("\n"),
        "classes.txt is empty",
    ),
    "no annotations": (
        lambda root: (root / "gt.json").unlink(),
        "neither gt.json nor labels.csv.*--annotations",
    ),
    "no video": (
        lambda root: (root / "gt.json").write_text('{"database": {}}'),
        "gt.json has no video",
    ),
}


@pytest.mark.parametrize("spoil, message", BAD_ACMNET.values(), ids=BAD_ACMNET)
def test_bad_acmnet(tmp_path, spoil, message):
    write_acmnet(tmp_path)
    if "c_none" in message:  # it is also in the test list
        edit(tmp_path / "split_test.txt", "c_none\n", "")
        message = "'c_none' of the training split has no label"
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        discover(tmp_path)


def test_features_in_both_splits(tmp_path):
    write_acmnet(tmp_path, lists=False)
    shutil.copy(tmp_path / "train/a_one.npy", tmp_path / "test/a_one.npy")
    with pytest.raises(InputError, match="'a_one'.*both train and test"):
        discover(tmp_path)


BAD_CSV = {
    "twice": ("video_id,labels\na,X\na,Y", "video 'a' already has a row"),
    "no column": ("video,labels\na,X", "no column 'video_id'"),
    "unknown column": ("video_id,labels,FPS\na,X,3", "column 'FPS' is unknown"),
    "comma": ("video_id,labels\na,X,Y", "line 2.*';'"),
    "empty id": ("video_id,labels\n,X", "line 2: the video_id '' is empty"),
    "fps": ("video_id,labels,fps\na,X,-1", "line 2: fps is '-1'"),
    "nan": ("video_id,labels,fps\na,X,nan", "line 2: fps is 'nan'"),
    "snippet": (
        "video_id,labels,frames_per_snippet\na,X,1.5",
        "frames_per_snippet is '1.5', not a positive whole number",
    ),
    "split": ("video_id,labels,split\na,X,../a", "'a' has the split '../a'"),
    "no label": ("video_id,labels\na,;", "'a' of the training split has no"),
    "empty": ("", "no column 'video_id'"),
    "open quote": ('video_id,labels\na,X\nb,"Y;Z\nc,X', "cannot be read"),
    "line break": ('video_id,labels\na,"X\nY"', "label 'X.nY' contains a line"),
    "tiny fps": ("video_id,labels,fps\na,X,1e-60", "fps is '1e-60'"),
    "no rows": ("video_id,labels\n", "has no video"),
    "semicolons": ("video_id;labels\na;X", "with commas .*, not semicolons"),
}


@pytest.mark.parametrize("text, message", BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv(tmp_path, text, message):
    save(tmp_path / "a.npy", [[0.0]])
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        discover(tmp_path)


def test_a_table_in_another_encoding(tmp_path):
    save(tmp_path / "a.npy", [[0.0]])
    table = "video_id,labels\na,Caf\xe9".encode("latin-1")
    (tmp_path / "labels.csv").write_bytes(table)
    with pytest.raises(InputError, match="is not UTF-8 text; save it again"):
        discover(tmp_path)


def test_features_of_pytorch(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"PK")
    (tmp_path / "labels.csv").write_text("video_id,labels\na,X")
    with pytest.raises(InputError, match="a.pt is PyTorch's format"):
        discover(tmp_path)


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"features_dir": "/nowhere"}, "--features_dir=/nowhere"),
        ({"features_dir": ""}, "--features_dir is needed"),
        ({"annotations": "no.json"}, "--annotations=no.json"),
        ({"classes": "no.txt"}, "--classes=no.txt"),
    ],
)
def test_wrong_path(tmp_path, flags, message):
    write_acmnet(tmp_path)
    flags = {"features_dir": str(tmp_path)} | flags
    with pytest.raises(InputError, match=message):
        layouts.discover(Config(**flags))


# === Layouts of other projects ===


def test_actionformer_takes_each_videos_own_frame_rate(tmp_path):
    raw_folders.write_actionformer(tmp_path)
    path = tmp_path / "annotations/thumos14.json"
    truth = json.loads(path.read_text())
    rates = {"a_one": 30.0, "b_many": 25, "c_none": "24.0", "long": 29.97}
    for name, rate in rates.items():
        truth["database"][name]["fps"] = rate
    path.write_text(json.dumps(truth))
    source = discover(tmp_path, frames_per_snippet=4, fps=12.0)
    found = {v.video_id: (v.fps, v.frames_per_snippet) for v in source.videos}
    assert found == {name: (float(r), 4) for name, r in rates.items()}
    # Other layouts follow the flags.
    other = discover(
        tmp_path / "i3d_features", annotations=str(path), layout="folders"
    )
    assert {v.fps for v in other.videos} == {25.0}


def test_opentad_states_frames_and_duration(tmp_path):
    raw_folders.write_actionformer(tmp_path, frame=1015, duration=33.8333)
    folder = tmp_path / "features" / "i3d_stride4"
    folder.parent.mkdir()
    (tmp_path / "i3d_features").rename(folder)
    source = discover(tmp_path)
    assert source.layout == "actionformer"
    for video in source.videos:
        assert video.fps == pytest.approx(30.0, abs=0.001)
        assert video.feature_files == (folder / f"{video.video_id}.npy",)


@pytest.mark.parametrize("fps", [0, None, "many", -3, float("nan")])
def test_actionformer_without_a_frame_rate(tmp_path, fps):
    raw_folders.write_actionformer(tmp_path)
    path = tmp_path / "annotations/thumos14.json"
    truth = json.loads(path.read_text())
    truth["database"]["c_none"]["fps"] = fps
    path.write_text(json.dumps(truth))
    message = "thumos14.json: video 'c_none' has neither 'fps' nor 'frame'"
    with pytest.raises(InputError, match=message):
        discover(tmp_path)


def test_features_beside_annotations_with_frame_rates_are_ambiguous(tmp_path):
    features = raw_folders.write_flat(tmp_path)
    (tmp_path / "labels.csv").unlink()
    raw_folders.write_truth(tmp_path / "thumos14.json", fps=30.0)
    message = "folders and actionformer; choose.*frame rates in the ann.*--fps"
    with pytest.raises(InputError, match=message):
        discover(tmp_path)
    for layout, fps in (("folders", 25.0), ("actionformer", 30.0)):
        videos = discover(tmp_path, layout=layout).videos
        assert {v.fps for v in videos} == {fps}
        assert len(videos) == len(features)


def test_two_annotations_are_named(tmp_path):
    raw_folders.write_thumos_texts(tmp_path)
    raw_folders.write_truth(tmp_path / "mine.json")
    raw_folders.write_truth(tmp_path / "annotations/yours.json")
    (tmp_path / "settings.json").write_text('{"lr": 1}')  # not annotations
    with pytest.raises(InputError) as error:
        discover(tmp_path)
    message = "several annotations: annotations/yours.json and mine.json and ."
    assert f"{message}; choose with --annotations" in str(error.value)
    chosen = discover(tmp_path, annotations=str(tmp_path / "mine.json"))
    assert chosen.annotations.name == "mine.json"


def test_fac_net_has_everything_in_one_folder(tmp_path):
    raw_folders.write_wtalc(tmp_path, folder="")
    source = discover(tmp_path)
    assert (source.layout, len(source.videos)) == ("wtalc", len(VIDEOS))
    assert source.annotations == tmp_path


def test_joint_features_with_other_annotations(tmp_path):
    raw_folders.write_wtalc(tmp_path)
    raw_folders.write_truth(tmp_path / "mine.json")
    with pytest.raises(InputError, match="mine.json and Thumos14reduced-Ann"):
        discover(tmp_path)
    source = discover(tmp_path, annotations=str(tmp_path / "mine.json"))
    assert source.layout == "wtalc" and len(source.videos) == len(VIDEOS)


def test_thumos_texts(tmp_path):
    raw_folders.write_thumos_texts(tmp_path)
    folder = tmp_path / "thumos14-val-annotations"
    (folder / "Ambiguous_val.txt").write_text("b_many 0 1\nelsewhere 2 3\n")
    source = discover(tmp_path)
    assert source.layout == "folders"
    assert (source.classes, source.classes_from) == (
        ("Jump", "Run"),
        "detclasslist.txt",
    )
    assert {v.video_id: (v.split, v.segments) for v in source.videos} == {
        name: (VIDEOS[name][0], tuple(sorted(VIDEOS[name][2], key=by_label)))
        for name in ("a_one", "b_many", "long")
    }
    # Without actions, it is in no file.
    reason = "features without an entry in " + tmp_path.name
    assert source.left_out == (("c_none", reason),)
    (bad,) = source.bad_segments  # "elsewhere" has no features
    assert str(bad) == (
        "video 'b_many': segment [0, 1] of 'Ambiguous' is ambiguous, of no "
        "class"
    )
    for path in tmp_path.rglob("detclasslist.txt"):
        path.unlink()
    assert discover(tmp_path, annotations=str(tmp_path)).classes == (
        "Jump",
        "Run",
    )


def by_label(segment):
    return segment[2]


BAD_TEXTS = {
    "word": ("a_one zero 1", "Jump_val.txt, line 2: 'zero 1' is not START END"),
    "nan": ("a_one 0 nan", "line 2: '0 nan'"),
    "three": ("a_one 0 1 2", "line 2: '0 1 2'"),
    "none": ("a_one", "line 2: ''"),
    "reversed": (
        "a_one 2 1",
        "'a_one': annotation 0: segment .2, 1. of 'Jump' is reversed",
    ),
    "other subset": ("long 2 3", "'long' is in the subset '.*' elsewhere"),
}


@pytest.mark.parametrize("line, message", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_thumos_texts(tmp_path, line, message):
    raw_folders.write_thumos_texts(tmp_path)
    path = tmp_path / "thumos14-val-annotations/Jump_val.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[1:]]))
    with pytest.raises(InputError, match=message):
        discover(tmp_path)


def test_a_class_in_two_files(tmp_path):
    raw_folders.write_thumos_texts(tmp_path)
    folder = tmp_path / "thumos14-val-annotations"
    (tmp_path / "again").mkdir()
    shutil.copy(folder / "Jump_val.txt", tmp_path / "again")
    with pytest.raises(InputError, match="again/Jump_val.txt.*both for 'Jump'"):
        discover(tmp_path)


def test_a_folder_that_holds_no_annotations(tmp_path):
    write_folders(tmp_path)
    with pytest.raises(InputError, match="has neither W-TALC's videoname"):
        discover(tmp_path, annotations=str(tmp_path / "rgb"))


def column(name, index, value):
    """A function that changes an element of one of W-TALC's arrays."""

    def change(root):
        path = root / "Thumos14reduced-Annotations" / f"{name}.npy"
        found = np.load(path, allow_pickle=True)
        found[index] = value
        np.save(path, found, allow_pickle=True)

    return change


def shorten(name):
    def change(root):
        path = root / "Thumos14reduced-Annotations" / f"{name}.npy"
        np.save(path, np.load(path, allow_pickle=True)[:-1])

    return change


def remove(name):
    def change(root):
        (root / "Thumos14reduced-Annotations" / f"{name}.npy").unlink()

    return change


def more_features(root):
    name = "Thumos14reduced-I3D-JOINTFeatures.npy"
    shutil.copy(root / name, root / "Another-I3D-JOINTFeatures.npy")


# The first video, index 0, is b_many, of two segments.
BAD_WTALC = {
    "no name": (remove("videoname"), "needs Thumos14reduced-Annotations/video"),
    "no subset": (remove("subset"), "subset.npy cannot be read"),
    "no labels": (
        lambda root: [remove(n)(root) for n in ("labels", "labels_all")],
        "neither labels_all.npy nor segments.npy",
    ),
    "no classes": (remove("classlist"), "classlist.npy cannot be read"),
    "other length": (
        shorten("segments"),
        "segments.npy has 3 videos, but videoname.npy has 4",
    ),
    "other features": (
        shorten("videoname"),
        "JOINTFeatures.npy has 4 videos, but .*videoname.npy has 3",
    ),
    "duplicate": (column("videoname", 1, b"b_many"), r"npy\[1\]: .*'b_many'"),
    "unequal": (
        column("labels", 0, [b"Run"]),
        r"'b_many' .index 0. has 2 segments in segments.npy, but 1 labels",
    ),
    "nan": (
        column("segments", 0, [[0.0, 1.0], [1.5, float("nan")]]),
        r"'b_many': annotation 1: 'segment' holds nan",
    ),
    "text": (
        column("segments", 0, [[0.0, 1.0], ["a", "b"]]),
        r"'b_many': annotation 1: 'segment' holds 'a', not a finite",
    ),
    "three": (
        column("segments", 0, [[0.0, 1.0], [1.0, 2.0, 3.0]]),
        r"'b_many': annotation 1: 'segment' is .*, not .start, end",
    ),
    "no list": (column("segments", 2, 0.5), r"segments.npy\[2\] is not a list"),
    "no label": (column("labels", 1, [7]), r"labels.npy\[1\] is not a list"),
    "reversed": (
        column("segments", 1, [[0.6, 0.1]]),
        "'a_one': annotation 0: segment .0.6, 0.1. of 'Jump' is reversed",
    ),
    "unknown label": (
        column("labels", 1, [b"Swim"]),
        "'a_one' has the label 'Swim'.*classlist.npy",
    ),
    "two files": (more_features, "has Another.* and Thumos.*; move all but"),
}


@pytest.mark.parametrize("spoil, message", BAD_WTALC.values(), ids=BAD_WTALC)
def test_bad_wtalc(tmp_path, spoil, message):
    raw_folders.write_wtalc(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        discover(tmp_path)


def test_w_talc_without_segments_has_the_stated_labels(tmp_path):
    raw_folders.write_wtalc(tmp_path)
    remove("segments")(tmp_path)
    videos = discover(tmp_path).videos
    assert [v.labels for v in videos][:2] == [("Jump",), ("Jump", "Run")]
    assert not any(v.segments for v in videos)


def test_stated_labels_that_differ_are_noted(tmp_path):
    raw_folders.write_wtalc(tmp_path)
    column("labels_all", 0, [b"Run"])(tmp_path)
    source = discover(tmp_path)
    assert source.videos[1].labels == ("Jump", "Run")
    note = "labels Run stated, Run and Jump taken from its segments"
    assert source.notes == (("b_many", note),)


# === Archives ===


def test_archives_of_one_array_in_a_group(tmp_path):
    """Like ActivityNet's own features: v_VIDEO/c3d_features."""
    values = np.ones((3, 4), np.float32)
    with h5py.File(tmp_path / "sub_activitynet.h5", "w") as file:
        file["v_a/c3d_features"] = values
    (tmp_path / "labels.csv").write_text("video_id,labels\na,Run\n")
    (video,) = discover(tmp_path).videos
    (place,) = video.feature_files
    assert str(place) == f"{tmp_path}/sub_activitynet.h5[v_a/c3d_features]"
    np.testing.assert_array_equal(place.content()[0], values)


@pytest.mark.parametrize("key", ["features", "feats", "joined", "arr_0"])
def test_npz_of_one_video_and_array(tmp_path, key):
    np.savez_compressed(tmp_path / "a.npz", **{key: np.ones((3, 4))})
    (tmp_path / "labels.csv").write_text("video_id,labels\na,Run\n")
    (video,) = discover(tmp_path).videos
    (place,) = video.feature_files
    assert place.header() == ((3, 4), np.float64)
    np.testing.assert_array_equal(place.content()[0], np.ones((3, 4)))


def npz(**arrays):
    def write(root):
        for name, content in arrays.items():
            np.savez(root / f"{name}.npz", **content)

    return write


def repeat(root):
    with zipfile.ZipFile(root / "i3d.npz", "w") as file:
        file.writestr("a.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.npy", b"")


ONE = np.ones((2, 4), np.float32)
BAD_ARCHIVES = {
    "no archive": (
        lambda root: (root / "i3d.npz").write_bytes(b"PK"),
        "i3d.npz cannot be read .BadZipFile",
    ),
    "no HDF5": (
        lambda root: (root / "i3d.h5").write_bytes(b"HDF"),
        "i3d.h5 cannot be read",
    ),
    "in two": (
        npz(x={"a": ONE, "b": ONE}, y={"a": ONE, "c": ONE}),
        r"y.npz\[a\] and .*x.npz\[a\] are both features of video 'a'",
    ),
    "twice in one": (repeat, "i3d.npz: video 'a' is in it twice"),
    "three arrays": (
        npz(x={f"a/{part}": ONE for part in ("rgb", "flow", "audio")}),
        "x.npz: video 'a' has the arrays audio and flow and rgb; one is",
    ),
    "flow missing": (
        npz(x={"a/rgb": ONE, "b/rgb": ONE, "b/flow": ONE}),
        r"x.npz\[a/flow\] is missing, the features of video 'a'",
    ),
    "split and others": (
        npz(train={"a": ONE, "b": ONE}, more={"c": ONE, "d": ONE}),
        "files named train or test, and others",
    ),
    "joined and halves": (
        npz(x={"a": ONE, "b/rgb": ONE, "b/flow": ONE}),
        r"features, x.npz\[{}\], and single streams, x.npz\[{}/(rgb|flow)",
    ),
}


@pytest.mark.parametrize(
    "spoil, message", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES
)
def test_bad_archives(tmp_path, spoil, message):
    (tmp_path / "labels.csv").write_text("video_id,labels\na,Run\n")
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        discover(tmp_path)


def test_nested_arrays(tmp_path):
    """Ten arrays of ten arrays of ...: 10 ** 12 items in 900 bytes."""
    raw_folders.save_wtalc_annotations(tmp_path, VIDEOS)
    items = raw_folders.objects([0.5, 1.0])
    for _ in range(12):
        items = raw_folders.objects([items, items] * 5)
    segments = raw_folders.objects([raw_folders.objects([items, items])] * 4)
    np.save(tmp_path / "segments.npy", segments, allow_pickle=True)
    pairs = raw_folders.objects([["Run", "Run"]] * 4)
    np.save(tmp_path / "labels.npy", pairs, allow_pickle=True)
    with pytest.raises(InputError, match="an array of .*, not") as caught:
        labels.read_annotations(tmp_path, "error")
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300


def test_one_list_in_all_videos(tmp_path):
    """2,000 videos with the same 5,000 segments: 10 ** 7 in 80 kB."""
    names = [f"v{index}" for index in range(2000)]
    np.save(tmp_path / "videoname.npy", np.array(names))
    np.save(tmp_path / "subset.npy", np.array(["test"] * len(names)))
    segments = raw_folders.objects([[0] * 5000] * len(names))
    np.save(tmp_path / "segments.npy", segments, allow_pickle=True)
    with pytest.raises(InputError, match="far more than the file's bytes"):
        labels.read_annotations(tmp_path, "error")


# === gt.json and labels.csv in one folder ===


def write_both(root, rows):
    write_folders(root)
    truth = raw_folders.ground_truth(VIDEOS, {"train": "train", "test": "test"})
    (root / "gt.json").write_text(json.dumps(truth))
    text = "video_id,labels,fps,frames_per_snippet,split\n" + rows
    (root / "labels.csv").write_text(text)


def test_segments_of_json_and_time_scales_of_csv(tmp_path):
    write_both(tmp_path, "b_many,Jump;Run,30,8,test\na_one,,10,,\n")
    source = discover(tmp_path)
    videos = {video.video_id: video for video in source.videos}
    assert videos.keys() == VIDEOS.keys()
    for name, (split, _, segments) in VIDEOS.items():
        assert videos[name].split == split
        assert list(videos[name].segments) == segments
    scales = [(v.fps, v.frames_per_snippet) for v in source.videos]
    assert scales == [(10.0, 16), (30.0, 8), (25.0, 16), (25.0, 16)]
    assert any("labels.csv beside gt.json" in d for d in source.doubts())


def test_csv_and_json_that_contradict_each_other(tmp_path):
    write_both(tmp_path, "b_many,Jump,30,8,train\n")
    with pytest.raises(
        InputError, match="'b_many' has the labels Jump, but Run and Jump in gt"
    ):
        discover(tmp_path)
    source = discover(tmp_path, annotations=str(tmp_path / "gt.json"))
    assert {video.fps for video in source.videos} == {25.0}


def test_what_is_legal_but_seldom_meant(tmp_path):
    write_folders(tmp_path)
    rows = ["b_many,Run,train", "a_one,run,tset", "long,Jump,test"]
    rows = ["video_id,labels,split", *rows, "c_none,Run,test"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    doubts = " | ".join(discover(tmp_path).doubts())
    assert "the split 'tset' has 1 videos" in doubts
    assert "2 classes have no training video, such as 'Jump'" in doubts
    assert "the classes 'Run' and 'run' differ in case alone" in doubts
    assert "comma" not in doubts


def test_labels_separated_by_commas_and_a_validation_split(tmp_path):
    write_folders(tmp_path)
    rows = ['b_many,"Run,Jump",train', "a_one,Run,train"]
    rows = ["video_id,labels,split", *rows, "long,Run,validation"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    config = {"missing_features": "skip"}
    doubts = " | ".join(discover(tmp_path, **config).doubts())
    assert "the class 'Run,Jump' has a comma in its name" in doubts
    assert "the split 'validation' has 1 videos" in doubts
    rows.append("c_none,Run,test")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    doubts = " | ".join(discover(tmp_path, **config).doubts())
    assert "validation" not in doubts


# === Published annotations ===

THUMOS14 = {
    "ACM-Net": "thumos14/acmnet_gt_412.json",
    "BaS-Net": "thumos14/basnet_cola_gt.json",
    "ActionFormer": "thumos14/actionformer_thumos14.json",
    "W-TALC": "thumos14/wtalc_Thumos14reduced-Annotations",
    "official": "thumos14/official_txt",
}
# In ACM-Net's file, but not in its lists of videos.
UNUSED = {"video_test_0000270", "video_test_0001496"}


def real(path):
    path = REAL_DATA / path
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def count(videos, split):
    """Numbers of videos and instances of a split."""
    split_of = splits.of_subsets(videos.values())
    chosen = [v for name, v in videos.items() if split_of[name] == split]
    return len(chosen), sum(len(v.segments) for v in chosen)


@pytest.mark.parametrize("path", THUMOS14.values(), ids=THUMOS14)
def test_thumos14_is_the_same_everywhere(path):
    """200 and 212 videos, 3007 and 3358 instances, 20 classes."""
    path = real(path)
    videos, bad = labels.read_annotations(path, "error")
    reference, _ = labels.read_annotations(real(THUMOS14["ACM-Net"]), "error")
    unused = UNUSED if "basnet" in path.name else set()
    assert reference.keys() - videos.keys() == unused
    lost = sum(len(reference[name].segments) for name in unused)
    assert count(videos, "train") == (200, 3007)
    assert count(videos, "test") == (212 - len(unused), 3358 - lost)
    assert sorted(labels.read_classes("/", "", path, videos)[0]) == sorted(
        {label for video in reference.values() for label in video.labels}
    )
    assert len(labels.read_classes("/", "", path, videos)[0]) == 20
    for name, video in videos.items():
        expected = reference[name]
        assert sorted(video.segments) == sorted(expected.segments), name
        assert sorted(video.labels) == sorted(expected.labels), name
    assert all(b.segment.label == "Ambiguous" and not b.kept for b in bad)


def test_thumos14_official_texts_have_ambiguous_segments():
    root = real(THUMOS14["official"])
    videos, bad = labels.read_annotations(root, "error")
    lines = [
        line.split()
        for path in root.glob("*/Ambiguous_*.txt")
        for line in path.read_text().splitlines()
    ]
    assert len(bad) == len(lines)
    assert {b.video_id for b in bad} == {name for name, *_ in lines}
    # It has only an ambiguous segment, and no other file has the video.
    assert "video_test_0001292" in {b.video_id for b in bad} - videos.keys()


def test_thumos14_labels_that_differ_in_w_talc():
    path = real(THUMOS14["W-TALC"])
    videos, _ = labels.read_annotations(path, "error")
    arrays = [
        object_arrays.read(path / f"{name}.npy")
        for name in ("videoname", "labels", "labels_all")
    ]
    differing = {
        name.decode()
        for name, each, stated in zip(*arrays, strict=True)
        if set(each) != set(stated)
    }
    assert differing
    assert {n for n, video in videos.items() if video.note} == differing
    note = "HammerThrow and ThrowDiscus stated, HammerThrow taken from its"
    assert note in videos["video_validation_0000316"].note


def test_thumos14_durations():
    """ACM-Net's are wrong for the 13 videos that do not have 30 fps.

    They are read as they are, and leave out no segment.
    """
    folder = real(THUMOS14["W-TALC"])
    right, _ = labels.read_annotations(folder, "error")
    frame_rates = dict(
        zip(
            [n.decode() for n in object_arrays.read(folder / "videoname.npy")],
            object_arrays.read(folder / "original_fps.npy"),
            strict=True,
        )
    )
    found, _ = labels.read_annotations(real(THUMOS14["ACM-Net"]), "error")
    other = [name for name, rate in frame_rates.items() if rate != 30]
    assert len(other) == 13
    for name in other:  # frames / 30 instead of frames / rate
        ratio = found[name].duration / right[name].duration
        assert ratio == pytest.approx(frame_rates[name] / 30, rel=0.01)
        assert len(found[name].segments) == len(right[name].segments)


def test_thumos14_frame_rates_of_actionformer():
    videos, _ = labels.read_annotations(real(THUMOS14["ActionFormer"]), "error")
    assert {round(video.video_fps) for video in videos.values()} <= {24, 25, 30}


@pytest.mark.parametrize("source", ["W-TALC", "official", "ActionFormer"])
def test_thumos14_with_features_of_the_right_lengths(tmp_path, source):
    """The whole set, with features of the lengths that W-TALC states."""
    path = real(THUMOS14[source])
    arrays, _ = labels.read_annotations(real(THUMOS14["W-TALC"]), "error")
    for name, video in arrays.items():
        length = int(video.duration * 25 / 16)
        save(tmp_path / f"{name}.npy", np.zeros((length, 2), np.float32))
    found = discover(
        tmp_path,
        annotations=str(path),
        layout="folders",
        bad_segments="skip",
    )
    assert len(found.videos) == 412 and found.left_out == ()
    measured = convert.measure(found.videos)
    videos, bad = convert.check_segments(found, measured, "skip")
    late = [b for b in bad if "ends after" in b.reason]
    kept = sum(len(video.segments) for video in videos)
    assert kept + len(late) == 3007 + 3358
    # Segments that end more than a snippet after the features.
    assert {(b.video_id, b.segment.start, b.segment.end) for b in late} == {
        (video.video_id, start, end)
        for video in arrays.values()
        for start, end, _ in video.segments
        if end > 0.64 * (int(video.duration * 25 / 16) + 1)
    }
    assert {"video_test_0000270"} <= {b.video_id for b in late}


ACTIVITYNET = {
    "JSON": "activitynet13/activity_net.v1-3.reconstructed.json",
    "W-TALC": "activitynet13/wtalc_ActivityNet1.3-Annotations",
}


def test_activitynet_counts():
    """10 024, 4 926 and 5 044 videos; 15 410 + 7 654 = 23 064 instances."""
    path = real(ACTIVITYNET["JSON"])
    videos, bad = labels.read_annotations(path, "error")
    subsets = [video.subset for video in videos.values()]
    counts = [subsets.count(s) for s in ("training", "validation", "testing")]
    assert counts == [10_024, 4_926, 5_044]
    assert (count(videos, "train"), count(videos, "test")) == (
        (10_024, 15_410),
        (4_926, 7_654),
    )
    assert 15_410 + 7_654 == 23_064
    assert len(labels.read_classes("/", "", path, videos)[0]) == 200
    assert bad == ()


def test_activitynet_of_w_talc_is_the_same():
    """It has 13 912 of the videos, with the same segments."""
    whole, _ = labels.read_annotations(real(ACTIVITYNET["JSON"]), "error")
    path = real(ACTIVITYNET["W-TALC"])
    videos, bad = labels.read_annotations(path, "error")
    assert len(videos) == 13_912 and bad == ()
    for name, video in videos.items():
        expected = whole[name]
        assert video.segments == expected.segments, name
        assert video.labels == expected.labels and not video.note, name
        assert video.subset == expected.subset
        assert video.duration == pytest.approx(expected.duration)
    assert (
        labels.read_classes("/", "", path, videos)[0]
        == (labels.read_classes("/", "", real(ACTIVITYNET["JSON"]), whole)[0])
    )


def test_activitynet_lists_of_acmnet_name_its_videos():
    whole, _ = labels.read_annotations(real(ACTIVITYNET["JSON"]), "error")
    for split, subset in (("train", "training"), ("test", "validation")):
        path = real(f"activitynet13/acmnet_split_{split}.txt")
        names = path.read_text().split()
        known = [splits.known_name(name, whole) for name in names]
        assert {whole[name].subset for name in known} == {subset}


def test_real_folder():
    source = discover(real("features/real_i3d"))
    assert source.layout == "folders"
    assert len(source.videos) == 4
    assert len(source.left_out) == 13
    assert source.classes == (
        "BasketballDunk",
        "Billiards",
        "CleanAndJerk",
        "LongJump",
    )
