"""inspect, against plain loops, on a set with planted faults."""

import hashlib
import json
import math
import os
import statistics
import weakref

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from tests.conftest import random_record, write_records
from tests.tools.raw_folders import ground_truth, save, write_folders
from tfrecords_tools import convert
from tfrecords_tools import inspect as command
from tfrecords_tools.inspection import measure, picture, record, text, videos
from tfwstal.config import Config
from tfwstal.errors import InputError

SNIPPET = 0.64  # seconds
# video -> (split, snippets, segments, duration). The name states the fault.
VIDEOS = {
    "good": ("train", 10, [(0.0, 1.5, "Run"), (2.0, 6.3, "Jump")], 6.4),
    # Its segment ends one snippet late, which is tolerated.
    "one": ("train", 1, [(0.0, 1.28, "Jump")], 1.0),
    "constant": ("train", 5, [(0.5, 1.5, "Run")], None),
    "twin_a": ("train", 6, [(0.0, 0.25, "Run")], None),
    "twin_b": ("test", 6, [(1.0, 1.0, "Run"), (2.0, 2.7, "Run")], None),
    "late": ("train", 8, [(3.0, 9.0, "Jump"), (0.0, 5.7, "Jump")], 5.12),
    "early": ("test", 9, [(-1.0, 2.0, "Run")], None),
    "reversed": ("test", 7, [(4.0, 2.0, "Jump"), (0.0, 0.5, "Run")], None),
    "wrong_duration": ("test", 40, [(1.0, 21.0, "Run")], 32.0),
    "unlabelled": ("test", 3, [], 1.92),
    "no_file": ("train", 4, [(0.0, 1.0, "Run")], 2.56),
    "unlisted": ("train", 4, [(0.0, 1.0, "Swim")], 2.56),
}
THERE = [n for n in VIDEOS if n not in ("no_file", "unlisted")]


def draw():
    """dict video -> features [T, 6]: zeros among positive numbers."""
    rng = np.random.default_rng(5)
    found = {
        name: np.maximum(rng.normal(size=(length, 6)), 0).astype(np.float32)
        for name, (_, length, _, _) in VIDEOS.items()
    }
    found["constant"][:] = found["constant"][0]
    found["twin_b"] = found["twin_a"].copy()
    return found


def write_raw(root):
    """Writes the set in ACM-Net's layout."""
    for name, values in draw().items():
        if name != "no_file":
            save(root / VIDEOS[name][0] / f"{name}.npy", values)
    save(root / "test" / "stray.npy", np.ones((2, 6), np.float32))
    truth = ground_truth(
        {name: video[:3] for name, video in VIDEOS.items()},
        {"train": "validation", "test": "test"},
    )
    for name, entry in truth["database"].items():
        if VIDEOS[name][3]:
            entry["duration"] = VIDEOS[name][3]
    (root / "gt.json").write_text(json.dumps(truth))
    for split in ("train", "test"):
        names = [n for n, v in VIDEOS.items() if v[0] == split]
        names = [n for n in names if n != "unlisted"]
        (root / f"split_{split}.txt").write_text("\n".join(names))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """dict of the flags for the raw set and for its records."""
    folder = tmp_path_factory.mktemp("inspect")
    write_raw(folder / "raw")
    convert.main(
        Config(
            features_dir=str(folder / "raw"),
            output_dir=str(folder / "records"),
            missing_features="skip",
            bad_segments="keep",
            num_shards=2,
            num_workers=1,
        )
    )
    return {
        "raw": {"features_dir": str(folder / "raw")},
        "records": {"data_dir": str(folder / "records")},
    }


def inspect(folder, **flags):
    """The report of a run; it is written to `folder`."""
    path = folder / "report.json"
    command.main(Config(report=str(path), overwrite=True, **flags))
    return json.loads(path.read_text())


@pytest.fixture(scope="module", params=["raw", "records"])
def report(request, folders, tmp_path_factory):
    """The report on the set, from raw features or records."""
    folder = tmp_path_factory.mktemp("report")
    return inspect(folder, **folders[request.param])


def found(report, kind):
    """Sorted names of the videos with one kind of finding."""
    items = report["findings"][kind]
    return sorted(name for item in items for name in item["videos"])


def segments_of(name):
    """The usable segments: all that are not reversed."""
    return [s for s in VIDEOS[name][2] if s[0] <= s[1]]


# === Counts ===


def test_counts_of_splits(report):
    assert list(report["splits"]) == ["train", "test"]
    for split, row in report["splits"].items():
        names = [n for n in THERE if VIDEOS[n][0] == split]
        assert row["videos"] == len(names)
        assert row["instances"] == sum(len(segments_of(n)) for n in names)
        assert row["snippets"] == sum(VIDEOS[n][1] for n in names)
        assert row["hours"] == pytest.approx(row["snippets"] * SNIPPET / 3600)


def test_counts_of_classes(report):
    # A reversed segment still labels its video; no video here has Swim.
    expected = {
        "Jump": {"train": [3, 4], "test": [1, 0]},
        "Run": {"train": [3, 3], "test": [4, 5]},
        "Swim": {"train": [0, 0], "test": [0, 0]},
    }
    assert {
        name: {s: [c["videos"], c["instances"]] for s, c in row.items()}
        for name, row in report["classes"].items()
    } == expected


def test_label_cardinality(report):
    assert report["labels_per_video"] == {
        "train": {"1": 4, "2": 1},
        "test": {"0": 1, "1": 3, "2": 1},
    }


@pytest.mark.parametrize("key", ["snippets", "instance_seconds"])
def test_histograms(report, key):
    values = {"train": [], "test": []}
    for name in THERE:
        lasting = [end - start for start, end, _ in segments_of(name)]
        numbers = lasting if key == "instance_seconds" else [VIDEOS[name][1]]
        values[VIDEOS[name][0]] += numbers
    spread, every = report[key], values["train"] + values["test"]
    assert spread["min"] == pytest.approx(min(every))
    assert spread["median"] == pytest.approx(statistics.median(every))
    assert spread["max"] == pytest.approx(max(every))
    edges = spread["edges"]
    first = [1, 2, 4] if key == "snippets" else [0, 0.5, 1]
    last = 64 if key == "snippets" else 32
    assert edges[:3] == first and edges[-1] == last
    for split, counts in spread["counts"].items():
        assert counts == [
            sum(low <= value < high for value in values[split])
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]


def test_histogram_of_nothing_and_of_one_bin():
    empty = measure._spread({"train": []}, 1)
    assert (empty["edges"], empty["counts"]) == ([], {"train": []})
    assert empty["median"] is None
    single = measure._spread({"train": [8, 15]}, 1)
    assert (single["edges"], single["counts"]) == ([8, 16], {"train": [2]})
    # A bin includes its lower edge and not its upper one.
    edge = measure._spread({"train": [8, 16]}, 1)
    assert (edge["edges"], edge["counts"]) == ([8, 16, 32], {"train": [1, 1]})


# === Features ===


def test_statistics_of_each_video(report):
    features = draw()
    assert sorted(row["video"] for row in report["videos"]) == sorted(THERE)
    for row in report["videos"]:
        values = [float(x) for x in features[row["video"]].ravel()]
        assert (row["snippets"], row["width"]) == (len(values) // 6, 6)
        assert row["values"] == len(values)
        assert row["min"] == min(values) and row["max"] == max(values)
        assert row["mean"] == pytest.approx(math.fsum(values) / len(values))
        assert row["std"] == pytest.approx(statistics.pstdev(values))
        assert row["zeros"] == values.count(0.0) > 0
        assert (row["nan"], row["infinite"]) == (0, 0)
        content = features[row["video"]].tobytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()


def test_statistics_of_all(report):
    features = draw()
    values = [float(x) for n in THERE for x in features[n].ravel()]
    stats = report["features"]
    assert stats["widths"] == {"6": len(THERE)}
    assert (stats["min"], stats["max"]) == (min(values), max(values))
    assert stats["mean"] == pytest.approx(math.fsum(values) / len(values))
    assert stats["std"] == pytest.approx(statistics.pstdev(values))
    zeros = values.count(0.0) / len(values)
    assert stats["share_of_zeros"] == pytest.approx(zeros)


def video_of(values, **changes):
    """A videos.Video with the given features."""
    fields = {
        "video_id": "v",
        "split": "train",
        "labels": (),
        "segments": (),
        "duration": None,
        "seconds_per_snippet": SNIPPET,
        "source": b"",
        "features": np.asarray(values, np.float32),
    }
    return videos.Video(**fields | changes)


def test_statistics_ignore_values_that_are_not_finite():
    row = measure.measure(video_of([[1, np.nan, 3], [np.inf, 0, -np.inf]]))
    assert (row["nan"], row["infinite"], row["zeros"]) == (1, 2, 1)
    assert (row["min"], row["max"]) == (0, 3)
    assert row["mean"] == pytest.approx(4 / 3)
    assert row["std"] == pytest.approx(statistics.pstdev([1, 3, 0]))
    nothing = measure.measure(video_of([[np.nan]]))
    assert [nothing[k] for k in ("min", "max", "mean", "std")] == [None] * 4


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        ([[1, 2], [1, 2]], True),
        ([[1, 2], [1, 3]], False),
        ([[1, 1], [2, 2]], False),
        ([[1, 2]], False),  # one snippet alone repeats nothing
        ([[3, 3]], True),
        ([[np.nan, 1], [np.nan, 1]], False),
    ],
)
def test_what_constant_means(values, constant):
    assert measure.measure(video_of(values))["constant"] == constant


def test_records_with_nan_and_inf_are_counted(tmp_path):
    bad = random_record("bad", 4)
    bad.features[1, 2], bad.features[3] = np.inf, np.nan
    write_records(tmp_path / "set", {"train": [random_record("good", 3), bad]})
    report = inspect(tmp_path, data_dir=str(tmp_path / "set"))
    assert report["features"]["nan"] == 5
    assert report["features"]["infinite"] == 1
    assert report["findings"]["not_finite"] == [
        {"videos": ["bad"], "detail": "5 NaN and 1 infinite of 20 values"}
    ]


# === Findings ===


def test_faults_of_features(report):
    assert found(report, "constant") == ["constant"]
    assert len(report["findings"]["duplicate"]) == 1
    (group,) = report["findings"]["duplicate"]
    assert sorted(group["videos"]) == ["twin_a", "twin_b"]
    assert group["detail"].endswith("in test and train")
    for kind in ("unusable", "not_finite", "width"):
        assert found(report, kind) == []


def test_length_against_duration(report):
    assert found(report, "length") == ["wrong_duration"]
    detail = report["findings"]["length"][0]["detail"]
    assert detail == "40 snippets, 50.0 expected of 32 s (0.80 times)"
    expected = {
        name: VIDEOS[name][3] and VIDEOS[name][3] * 25 / 16 for name in THERE
    }
    for row in report["videos"]:
        assert row["duration"] == VIDEOS[row["video"]][3]
        assert row["expected_snippets"] == pytest.approx(expected[row["video"]])
    ratios = [VIDEOS[n][1] / e for n, e in expected.items() if e]
    assert report["durations"]["known"] == len(ratios) == 5
    median = statistics.median(ratios)
    assert report["durations"]["median_ratio"] == pytest.approx(median)


@pytest.mark.parametrize(
    ("length", "expected", "wrong"),
    [
        (97, 100, False),
        (96, 100, True),
        (103, 100, False),
        (104, 100, True),
        (2, 1, False),
        (1, -5, False),  # an invalid duration
    ],
)
def test_how_far_a_length_may_be_off(length, expected, wrong):
    seconds = expected * SNIPPET
    row = measure.measure(video_of(np.zeros((length, 1)), duration=seconds))
    assert bool(list(measure._wrong_lengths([row]))) == wrong


def test_faults_of_segments(report):
    assert report["findings"]["late"] == [
        {
            "videos": ["late"],
            "detail": "segment [3, 9] of 'Jump' ends after the features, "
            "which last 5.12 s",
        }
    ]
    assert found(report, "early") == ["early"]
    assert report["findings"]["dropped"] == [
        {
            "videos": ["reversed"],
            "detail": "segment [4, 2] of 'Jump' is reversed",
        }
    ]


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (1.0, 3.8, ""),  # 5 snippets last 3.2 s, 6 last 3.84 s
        (1.0, 3.9, "ends after the features, which last 3.2 s"),
        (-0.1, 1.0, "starts before its video"),
        (0.0, 0.0, ""),
        (2.0, 1.0, "is reversed"),
    ],
)
def test_segment_problem(start, end, problem):
    row = measure.measure(video_of(np.zeros((5, 2))))
    assert measure.segment_problem(row, start, end) == problem


def test_videos_left_out(report):
    assert found(report, "without_features") == ["no_file"]
    assert found(report, "without_annotation") == ["stray"]
    assert found(report, "left_out") == ["unlisted"]


def test_unusable_features_are_told_and_the_rest_is_read(tmp_path):
    raw = tmp_path / "raw"
    write_raw(raw)
    save(raw / "train/good.npy", np.full((10, 6), np.nan, np.float32))
    os.truncate(raw / "test/early.npy", 100)
    save(raw / "train/late.npy", np.zeros((8, 9), np.float32))
    report = inspect(tmp_path, features_dir=str(raw))
    assert found(report, "unusable") == ["early", "good"]
    details = [item["detail"] for item in report["findings"]["unusable"]]
    assert any("60 (first: snippet 0" in detail for detail in details)
    assert found(report, "width") == ["late"]
    counted = sum(row["videos"] for row in report["splits"].values())
    assert counted == len(report["videos"]) == len(THERE) - 2


def test_nothing_can_be_used(tmp_path, capsys):
    save(tmp_path / "raw" / "v.npy", np.full((2, 3), np.nan, np.float32))
    (tmp_path / "raw" / "labels.csv").write_text("video_id,labels\nv,Run\n")
    path = tmp_path / "page.png"
    flags = {"features_dir": str(tmp_path / "raw"), "picture": str(path)}
    assert inspect(tmp_path, **flags)["videos"] == []
    assert "no usable video" in capsys.readouterr().out
    assert path.is_file()


# === How it reads ===


@pytest.mark.parametrize("source", ["raw", "records"])
def test_one_video_is_held_at_a_time(folders, source, monkeypatch, tmp_path):
    seen, plain = [], measure.measure

    def watched(video):
        assert not [ref for ref in seen if ref() is not None]
        seen.append(weakref.ref(video.features))
        return plain(video)

    monkeypatch.setattr(measure, "measure", watched)
    inspect(tmp_path, **folders[source])
    assert len(seen) == len(THERE)


def test_other_layouts_and_labels_without_segments(tmp_path):
    write_folders(tmp_path / "raw")
    report = inspect(tmp_path, features_dir=str(tmp_path / "raw"))
    assert report["source"]["layout"] == "folders"
    assert report["instance_seconds"]["max"] is None
    assert report["snippets"]["max"] == 3000
    assert report["durations"] == {"known": 0, "median_ratio": None}


def test_the_flags_of_the_time_scale_hold_for_raw_features(tmp_path, folders):
    flags = {"fps": 20.0, "frames_per_snippet": 16}  # 0.8 s a snippet
    report = inspect(tmp_path, **folders["raw"], **flags)
    assert report["seconds_per_snippet"] == pytest.approx([0.8, 0.8])
    # 32 s are 40 of these snippets, but 6.4 s are 8 and not 10.
    assert found(report, "length") == ["good", "late"]


def test_real_features(shared_data, tmp_path):
    raw = shared_data / "features" / "real_i3d"
    report = inspect(
        tmp_path,
        features_dir=str(raw),
        annotations=str(raw / "annotations.json"),
    )
    (row,) = report["videos"]
    assert (row["snippets"], row["width"]) == (265, 2048)
    assert row["expected_snippets"] == pytest.approx(169.8 * 25 / 16)
    assert len(found(report, "without_annotation")) == 16
    others = set(report["findings"]) - {"without_annotation"}
    assert len(others) > 3
    assert not any(found(report, kind) for kind in others)


# === What it prints ===


def printed(capsys, **flags):
    command.main(Config(**flags))
    return capsys.readouterr().out


def test_text_has_the_numbers(folders, capsys):
    out = printed(capsys, **folders["raw"])
    for line in (
        "  train               5          7         30     0.01",
        "  test         1 with 0, 3 with 1, 1 with 2",
        "  Jump                                   3 / 4           1 / 0",
        "  without a test video: 1 (Swim)",
        "    wrong_duration: 40 snippets, 50.0 expected of 32 s (0.80 times)",
        # 4 videos, the most, are 30 signs; 1 is 7.5 signs, rounded up.
        "         1        2          1          0  ########",
    ):
        assert line in out.splitlines()
    assert "none: videos whose features cannot be used;" in out


def test_long_lists_are_cut_and_counted(report):
    classes = {
        f"c{i}": {"train": {"videos": 0, "instances": 0}} for i in range(50)
    }
    items = [{"videos": ["v"], "detail": str(i)} for i in range(12)]
    many = {"videos": [f"v{i}" for i in range(9)], "detail": "the same"}
    findings = {"constant": items, "duplicate": [many]}
    out = text.render(report | {"classes": classes, "findings": findings})
    assert "  and 30 more classes, in --report" in out
    assert "\n  c19 " in out and "\n  c20 " not in out
    assert "video: 50 (c0, c1, c2, c3, c4 and 45 more)" in out
    assert "    v: 4\n    and 7 more, in --report" in out
    assert "    v0, v1, v2, v3, v4 and 4 more: the same" in out


def test_without_durations_lengths_are_not_called_right(report):
    known = text.render(report | {"findings": {"length": []}})
    assert "none: videos whose length" in known
    unknown = report | {"durations": {"known": 0, "median_ratio": None}}
    out = text.render(unknown | {"findings": {"length": []}})
    assert "none:" not in out and "lengths are not checked" in out


def test_text_is_80_columns_wide_except_for_names(report):
    head, findings = text.render(report).split("findings:")
    lines = head.splitlines()[len(report["source"]) :]
    lines += findings[findings.index("none:") :].splitlines()
    assert max(map(len, lines)) <= 80


def test_record(folders, capsys):
    out = printed(capsys, record="late", **folders["records"])
    lines = [line.split() for line in out.splitlines()]
    assert ["late,", "split", "train"] in lines
    keys = tf.train.Example.FromString(
        next(videos.find(Config(**folders["records"])).read("late")).source
    ).features.feature
    assert len(keys) == 13
    for key in keys:
        assert any(line[0] == key for line in lines), key
    assert "I3D/feature/bytes string [1] <192 bytes>".split() in lines
    assert "I3D/feature/dimensions int64 [2] 8 6".split() in lines
    assert "clip/label/string string [1] 'Jump'".split() in lines
    # 3 / 0.64 = 4.7 and 9 / 0.64 = 14.1; 5.7 s are within the tolerance.
    assert (
        "3.00 to 9.00 s snippets 4.7 to 14.1 Jump (ends".split()
        == next(line for line in lines if line[0] == "3.00")[:10]
    )
    assert "0.00 to 5.70 s snippets 0.0 to 8.9 Jump".split() in lines
    assert "duration 5.12 s: 8.00 snippets expected".split() in lines
    assert f"{np.mean(draw()['late']):.4g}," in out


def test_record_of_raw_features(folders, capsys):
    out = printed(capsys, record="wrong_duration", **folders["raw"])
    assert "wrong_duration.npy [40, 6] float32\n" in out
    assert "features [40, 6]" in out and "snippets      1.6 to" in out
    assert "duration 32 s: 50.00 snippets expected" in out
    out = printed(capsys, record="unlabelled", **folders["raw"])
    assert "labels: none\nsegments: 0\n" in out


def test_long_values_of_a_record_are_cut():
    assert record._text("ä".encode()) == "'ä'"
    assert record._text(b"\xff\0") == record._text(bytes(2)) == "<2 bytes>"
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=range(9)))
    features = {"k": feature, "none": tf.train.Feature()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    assert [
        line.split() for line in record._keys(example.SerializeToString())
    ] == ["k int64 [9] 0 1 2 3 4 5 ...".split(), "none empty [0]".split()]


# === What it draws ===


def test_picture(report):
    figure = picture.draw(report)
    snippets, seconds, labels, classes, lengths, features = figure.axes
    for axes, total in (
        (snippets, len(THERE)),
        (seconds, sum(len(segments_of(n)) for n in THERE)),
        (labels, len(THERE)),
        (classes, 11),
    ):
        assert sum(bar.get_height() for bar in axes.patches) == total
    # Run's bar: 4 test videos on top of 3 training videos.
    tops = [bar.get_y() + bar.get_height() for bar in classes.patches]
    assert max(tops) == 7
    points = {
        item.get_label(): sorted(map(tuple, item.get_offsets().tolist()))
        for item in lengths.collections
    }
    assert set(points) == {"train", "test", "test, disagree"}
    assert points["test, disagree"] == [pytest.approx((50, 40))]
    assert points["test"] == [pytest.approx((3, 3))]
    offsets = [
        offset
        for split in features.collections
        for offset in split.get_offsets().tolist()
    ]
    values = draw()
    expected = [
        (values[n].mean(), 100 * np.mean(values[n] == 0)) for n in THERE
    ]
    np.testing.assert_allclose(sorted(offsets), sorted(expected), rtol=1e-5)


def test_a_picture_has_no_formula_for_a_number(report):
    """Labels of logarithmic axes are formulas by default."""
    figure = picture.draw(report)
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            for label in axis.get_ticklabels(which="both"):
                assert "$" not in label.get_text()
    labels = [t.get_text() for t in figure.axes[4].get_xticklabels()]
    assert {"1", "10"} <= set(labels)


def test_a_panel_without_data_says_so(report):
    nothing = {"edges": [], "counts": {"train": [], "test": []}}
    bare = [{**row, "expected_snippets": None} for row in report["videos"]]
    changed = {**report, "instance_seconds": nothing, "videos": bare}
    figure = picture.draw(changed)
    texts = [[t.get_text() for t in axes.texts] for axes in figure.axes]
    assert texts == [[], ["no data"], [], [], ["no data"], []]
    for axes in (figure.axes[1], figure.axes[4]):
        assert not [*axes.get_xticks(), *axes.get_yticks()]
    for count in (0, 1):  # classes without a video
        classes = {
            "Run": {s: {"videos": 0, "instances": 0} for s in report["splits"]}
        }
        changed = {**report, "classes": dict(list(classes.items())[:count])}
        axes = picture.draw(changed).axes[3]
        assert axes.get_ylim()[0] == 0
        assert [t.get_text() for t in axes.texts] == ["no data"] * (not count)


@pytest.mark.parametrize("count", [2, 11])
def test_no_two_splits_have_one_colour(report, count):
    names = [f"split_{i}" for i in range(count)]
    empty = {"edges": [0, 1], "counts": {name: [1] for name in names}}
    changed = {
        **report,
        "splits": dict.fromkeys(names),
        "snippets": empty,
        "instance_seconds": empty,
        "labels_per_video": {name: {"1": 1} for name in names},
        "classes": {"Run": {name: {"videos": 1} for name in names}},
        "videos": [],
    }
    figure = picture.draw(changed)
    (legend,) = figure.legends
    shown = [patch.get_facecolor() for patch in legend.get_patches()]
    assert [text.get_text() for text in legend.get_texts()] == names
    assert len(set(shown)) == count
    bars = [bar.get_facecolor() for bar in figure.axes[3].patches]
    assert bars == shown


def test_picture_is_written(folders, tmp_path):
    path = tmp_path / "new" / "page.png"
    inspect(tmp_path, picture=str(path), **folders["raw"])
    assert len(np.unique(imread(path)[..., 0])) > 10
    assert not list(tmp_path.rglob(".*"))


# === What it refuses ===


def refused(**flags):
    with pytest.raises(InputError) as caught:
        command.main(Config(**flags))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_needs_one_source(folders):
    assert "--data_dir (records) or --features_dir is needed" in refused()
    message = refused(**folders["raw"], **folders["records"])
    assert "not both" in message


@pytest.mark.parametrize("flag", ["report", "picture"])
def test_existing_files_are_kept(folders, tmp_path, flag):
    path = tmp_path / "mine.png"
    path.write_text("mine")
    flags = {flag: str(path), **folders["records"]}
    message = refused(**flags)
    assert f"--{flag}={path} exists" in message and "--overwrite" in message
    assert path.read_text() == "mine"
    command.main(Config(overwrite=True, **flags))
    assert path.read_bytes() != b"mine"


def test_flags_that_do_not_fit(folders, tmp_path):
    source, report = folders["records"], str(tmp_path / "x.json")
    assert "must end in .png or .svg" in refused(picture="x.pdf", **source)
    message = refused(record="good", report=report, **source)
    assert "leave out --report" in message


def test_unknown_record(folders):
    for source in folders.values():
        message = refused(record="goood", **source)
        assert f"--record=goood is not among the {len(THERE)} " in message
        assert "the nearest name is 'good'" in message


def test_damaged_input_writes_nothing(tmp_path):
    records = [random_record("v", 3), random_record("w", 4)]
    write_records(tmp_path / "set", {"train": records})
    shard = next((tmp_path / "set").glob("*.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1  # in the last record
    shard.write_bytes(content)
    flags = {"data_dir": str(tmp_path / "set")}
    outputs = {k: str(tmp_path / k) + ".png" for k in ("report", "picture")}
    assert "damaged record" in refused(**flags, **outputs)
    shard.write_bytes(content[:-1])
    assert f"shard {shard} has" in refused(**flags, **outputs)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("index", [0, 3])
def test_class_index_that_metadata_does_not_list(tmp_path, index):
    bad = random_record("v", 3, (index,))
    write_records(tmp_path / "set", {"train": [bad]}, ("a", "b"))
    message = refused(data_dir=str(tmp_path / "set"))
    expected = f"'v' has the class index {index}, but metadata.json lists 2"
    assert expected in message


def test_unusable_features_of_the_one_record(tmp_path):
    write_raw(tmp_path)
    save(tmp_path / "train/good.npy", np.full((10, 6), np.inf, np.float32))
    message = refused(features_dir=str(tmp_path), record="good")
    assert "good.npy: of 60 values 60" in message


# === As a command ===


def test_command(folders, tmp_path, run_command):
    done = run_command(
        "tfrecords_tools.inspect",
        f"--data_dir={folders['records']['data_dir']}",
        f"--report={tmp_path / 'report.json'}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("records: ")
    assert json.loads((tmp_path / "report.json").read_text())["videos"]
