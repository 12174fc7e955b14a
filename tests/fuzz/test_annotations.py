"""Annotations: JSON, CSV, text files, arrays; lists of classes and videos."""

import json
import math
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.damage import changed_json, damaged, lines
from tests.fuzz.limits import fuzzed, reading
from tests.tools import raw_folders
from tfrecords_tools import labels
from tfrecords_tools.layouts import splits
from tfwstal.data.names import name_problem
from tfwstal.evaluation import choices, formats
from tfwstal.evaluation.options import EvaluationOptions

VIDEO = {
    "subset": "test",
    "duration": 20.0,
    "fps": 25.0,
    "frame": 500,
    "annotations": [
        {"segment": [0.5, 2], "label": "Run"},
        {"segment": ["3.0", 2], "label": "Jump"},
    ],
}
TRUTH = {
    "database": {"a": VIDEO, "b": {**VIDEO, "subset": "Training"}},
    "version": "1",
}
WORDS = ("database", "segment", "label", "subset", "Run", "test", "fps")
CSV = b"video_id,labels,fps,frames_per_snippet,split\na,Run;Jump,25,16,train\n"
CSV_TRUTH = b"video,start,end,label,subset\na,0.5,2,Run,test\nb,1,2,3,test\n"
RULES = ("error", "skip", "keep")


def check_converted(path):
    """convert reads it or refuses it in one line, with each --bad_segments."""
    for rule in RULES:
        with reading(path):
            videos, bad = labels.read_annotations(path, rule)
            assert videos and (rule != "error" or not bad)
            for name, video in videos.items():
                assert not any(map(name_problem, (name, *video.labels)))
                times = [t for s in video.segments for t in s[:2]]
                assert all(map(math.isfinite, times))
                assert all(
                    0 <= s[0] <= s[1] or rule == "keep" for s in video.segments
                )
            root = path if path.is_dir() else path.parent
            labels.read_classes(root, "", path, videos)
            splits.assign(videos, path, root, {None: set(videos)})


def check_evaluated(path, classes=None):
    """evaluate reads it or refuses it in one line."""
    for rule in RULES:
        with reading(path):
            videos, _ = formats.read_ground_truth(path, "test", rule, classes)
            for name, video in videos.items():
                names = [name, video.subset, *(s.label for s in video.segments)]
                assert not any(map(name_problem, names))
                for each in video.segments:
                    assert each.start <= each.end
                    assert math.isfinite(each.start + each.end)


@fuzzed(10_000)
@given(
    changed_json(TRUTH, words=WORDS).map(lambda c: json.dumps(c).encode())
    | damaged(json.dumps(TRUTH).encode())
)
def test_json(tmp_path, content):
    path = tmp_path / "gt.json"
    path.write_bytes(content)
    check_converted(path)
    check_evaluated(path)


@fuzzed(20_000)
@given(
    damaged(CSV)
    | lines("a", "video_id", "labels", "fps", "train").map(
        b"video_id,labels,fps,split\n".__add__
    )
)
def test_labels(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    check_converted(path)


@fuzzed(20_000)
@given(
    damaged(CSV_TRUTH)
    | lines("a", "1", "2.5", "video", "label").map(
        b"video,start,end,label\n".__add__
    )
)
def test_segments_in_a_table(tmp_path, content):
    path = tmp_path / "gt.csv"
    path.write_bytes(content)
    check_evaluated(path)
    check_evaluated(path, {3: "Run"})


@fuzzed(20_000)
@given(damaged(b"a 0.5 2\nb  1.5   2.5\n") | lines("a", "1", "2.5"))
def test_thumos(tmp_path, content):
    (tmp_path / "Run_val.txt").write_bytes(content)
    (tmp_path / "Jump_test.txt").write_bytes(b"c 1 2\n")
    check_converted(tmp_path)
    check_evaluated(tmp_path)


ITEM = st.recursive(
    st.none()
    | st.integers(-5, 2**40)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | inner.map(lambda item: (item,))
        | st.lists(inner, max_size=3).map(raw_folders.objects)
        | st.lists(st.floats(), max_size=3).map(np.array)
    ),
    max_leaves=8,
)
ARRAYS = ("videoname", "subset", "duration", "segments", "labels")


@fuzzed(10_000)
@given(
    name=st.sampled_from([*ARRAYS, "labels_all", "classlist"]),
    items=st.lists(ITEM, min_size=4, max_size=4),
)
def test_arrays_of_wtalc(tmp_path, name, items):
    raw_folders.save_wtalc_annotations(tmp_path, raw_folders.VIDEOS)
    array = raw_folders.objects(items)
    np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
    check_converted(tmp_path)


@fuzzed(10_000)
@given(st.data())
def test_damaged_arrays_of_wtalc(tmp_path, data):
    raw_folders.save_wtalc_annotations(tmp_path, raw_folders.VIDEOS)
    path = tmp_path / f"{data.draw(st.sampled_from(ARRAYS))}.npy"
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    check_converted(tmp_path)


def read_classes(path):
    for number, name in formats.read_classes(path).items():
        assert number >= 0 and not name_problem(name)


def read_classes_of_convert(path):
    names, _ = labels.read_classes(path.parent, str(path), path, {})
    assert names and not any(map(name_problem, names))
    assert len(set(names)) == len(names)


def read_split_list(path):
    assert set(splits.read_lists([path.parent]).values()) <= {path}


def read_videos(path):
    truth = formats.read_ground_truth(path.with_name("gt.json"), "test")[0]
    options = EvaluationOptions(videos=str(path))
    assert choices.select_videos(truth, options, "gt.json").keys() <= {"a", "b"}


def read_ambiguous(path):
    for name, start, end in choices.read_ambiguous(path):
        assert not name_problem(name)
        assert start <= end < math.inf


@pytest.mark.parametrize(
    "read",
    [
        read_classes,
        read_classes_of_convert,
        read_split_list,
        read_videos,
        read_ambiguous,
    ],
)
@fuzzed(10_000, short=15)
@given(
    damaged(b"0 Run\n1 Jump\n", b"a\nb\n", b"a 0.5 2\n")
    | lines("a", "b", "0", "1", "7")
)
def test_lists(tmp_path, read, content):
    path = pathlib.Path(tmp_path / "split_train.txt")
    path.write_bytes(content)
    good = {"database": {n: {**VIDEO, "annotations": []} for n in "ab"}}
    (tmp_path / "gt.json").write_text(json.dumps(good))
    with reading(tmp_path):
        read(path)
