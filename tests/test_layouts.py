"""Layouts: which videos, labels, splits and classes are found, or refused."""

import json
import shutil

import pytest
import raw_folders
from raw_folders import REAL_DATA, VIDEOS, save, write_acmnet, write_folders

from tfrecords_tools import labels, layouts, splits
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
    # split_test.txt in features_dir does not count beside another list.
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
    assert not any(v.segments for v in discover(tmp_path).videos)
    source = discover(tmp_path, annotations=str(tmp_path / "gt.json"))
    assert {v.video_id: v.split for v in source.videos} == {
        name: video[0] for name, video in VIDEOS.items()
    }
    assert source.videos[1].segments == tuple(VIDEOS["b_many"][2])


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
    videos = [labels.LabelledVideo(s, ("Run",), subset=s) for s in subsets]
    assert list(splits.of_subsets(videos).values()) == expected


def test_hidden_test_subset_is_left_out():
    subsets = {"training": ("Run",), "validation": ("Run",), "testing": ()}
    videos = [labels.LabelledVideo(s, n, subset=s) for s, n in subsets.items()]
    assert splits.of_subsets(videos) == {
        "training": "train",
        "validation": "test",
        "testing": None,
    }


def test_activitynet_prefix(tmp_path):
    """Lists and files say v_x where the annotations say x."""
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


def test_prefix_does_not_lend_another_video_its_features(tmp_path):
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
    if "c_none" in message:  # it is of the test list, too
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
    "twice": ("video_id,labels\na,X\na,Y", "line 3: video 'a' has a row"),
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
    "line break": ('video_id,labels\na,"X\nY"', "label 'X.nY' holds a line"),
    "tiny fps": ("video_id,labels,fps\na,X,1e-60", "fps is '1e-60'"),
    "no rows": ("video_id,labels\n", "has no video"),
}


@pytest.mark.parametrize("text, message", BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv(tmp_path, text, message):
    save(tmp_path / "a.npy", [[0.0]])
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
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


def real(path):
    path = REAL_DATA / path
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def test_thumos14_counts():
    path = real("thumos14/acmnet_gt_412.json")
    videos, _ = labels.read_annotations(path, "error")
    found = list(splits.of_subsets(videos.values()).values())
    assert (found.count("train"), found.count("test")) == (200, 212)
    assert len(labels.read_classes(path.parent, "", path, videos)[0]) == 20


def test_thumos14_segments_as_text_equal_floats():
    floats, _ = labels.read_annotations(
        real("thumos14/acmnet_gt_412.json"), "error"
    )
    texts, _ = labels.read_annotations(
        real("thumos14/basnet_cola_gt.json"), "error"
    )
    assert len(texts) == 410
    for name, video in texts.items():
        assert sorted(video.segments) == sorted(floats[name].segments)


def test_thumos14_videos_in_no_list(tmp_path):
    """270 and 1496 are in ACM-Net's gt.json, but in none of its lists."""
    path = real("thumos14/acmnet_gt_412.json")
    both, _ = labels.read_annotations(path, "error")
    used, _ = labels.read_annotations(
        real("thumos14/basnet_cola_gt.json"), "error"
    )
    shutil.copy(path, tmp_path / "gt.json")
    split_of = splits.of_subsets(used.values())
    for split in ("train", "test"):
        names = [name for name in used if split_of[name] == split]
        (tmp_path / f"split_{split}.txt").write_text("\n".join(names))
    for name in used:
        save(tmp_path / split_of[name] / f"{name}.npy", [[0.0]])
    source = discover(tmp_path)
    assert len(source.videos) == 410
    assert [video for video, _ in source.left_out] == [
        "video_test_0000270",
        "video_test_0001496",
    ]


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
