"""ActivityNet JSON files: what is read, and malformed files."""

import json

import numpy as np
import pytest

from tfwstal.data import activitynet
from tfwstal.data.activitynet import (
    read_detections,
    read_ground_truth,
    write_detections,
)
from tfwstal.data.annotations import Segment, VideoAnnotation
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError


def _write(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def _video(*segments, subset="test", **more):
    annotations = [{"label": "Jump", "segment": list(s)} for s in segments]
    return {"subset": subset, "annotations": annotations} | more


def _truth(path, **videos):
    return _write(path / "gt.json", {"database": videos})


def _found(path, *entries):
    return _write(path / "det.json", {"results": {"v": list(entries)}})


# === Ground truth ===


def test_ground_truth_is_read_in_the_order_of_the_file(tmp_path):
    path = _truth(
        tmp_path,
        z=_video((1, 2.5), (0, 1), subset="Test", duration=9.5),
        a=_video(subset="training"),
    )
    videos, bad = read_ground_truth(path)
    assert list(videos.values()) == [
        VideoAnnotation(
            "z", "Test", 9.5, (Segment("Jump", 1, 2.5), Segment("Jump", 0, 1))
        ),
        VideoAnnotation("a", "training", None, ()),
    ]
    assert list(videos) == ["z", "a"]
    assert bad == ()


def test_numbers_in_quotes_are_numbers(tmp_path):
    path = _truth(tmp_path, v=_video(("18.6", "20"), duration="30.5"))
    videos, _ = read_ground_truth(path)
    assert videos["v"].segments == (Segment("Jump", 18.6, 20.0),)
    assert videos["v"].duration == 30.5


def test_zero_length_and_past_the_stated_duration_are_legal(tmp_path):
    # The stated duration is wrong for some THUMOS videos.
    path = _truth(tmp_path, v=_video((3, 3), (5, 50), duration=10))
    videos, bad = read_ground_truth(path)
    assert videos["v"].segments == (
        Segment("Jump", 3, 3),
        Segment("Jump", 5, 50),
    )
    assert bad == ()


def test_byte_order_mark_is_skipped(tmp_path):
    path = tmp_path / "gt.json"
    path.write_text('{"database": {}}', encoding="utf-8-sig")
    assert read_ground_truth(path) == ({}, ())


@pytest.mark.parametrize("policy", ["skip", "keep"])
def test_bad_segments_are_left_out_or_kept(tmp_path, policy):
    path = _truth(
        tmp_path, u=_video((0, 1), (5, 4)), v=_video((-1, 2), (1, 2), (-2, -3))
    )
    videos, bad = read_ground_truth(path, policy)
    assert videos["u"].segments == (Segment("Jump", 0, 1),)
    early = (Segment("Jump", -1, 2),) if policy == "keep" else ()
    assert videos["v"].segments == (*early, Segment("Jump", 1, 2))
    # A reversed segment is never kept.
    kept = policy == "keep"
    assert [(b.video_id, b.reason, b.kept) for b in bad] == [
        ("u", "is reversed", False),
        ("v", "starts before its video", kept),
        ("v", "is reversed", False),
    ]
    assert str(bad[0]) == (
        "video 'u': annotation 1: segment [5, 4] of 'Jump' is reversed"
    )


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        pytest.param(
            [(0, 1), (5, 4), (3, 1), (-1, 2)],
            "video 'v': annotation 1: segment [5, 4] of 'Jump' is reversed "
            "(and 2 more",
            id="reversed",
        ),
        pytest.param(
            [(-1, 2)],
            "video 'v': annotation 0: segment [-1, 2] of 'Jump' starts before "
            "its video;",
            id="negative",
        ),
    ],
)
def test_bad_segments_are_an_error_by_default(tmp_path, segments, message):
    path = _truth(tmp_path, v=_video(*segments))
    with pytest.raises(InputError) as caught:
        read_ground_truth(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "--bad_segments=skip" in str(caught.value)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        pytest.param([], "has no 'annotations'", id="not an object"),
        pytest.param({}, "has no 'annotations'", id="no annotations"),
        pytest.param(
            {"annotations": {}, "subset": "test"},
            "'annotations' is {}, not a list",
            id="annotations no list",
        ),
        pytest.param({"annotations": []}, "has no 'subset'", id="no subset"),
        pytest.param(
            {"annotations": [], "subset": 3},
            "'subset' is 3, not a text",
            id="subset a number",
        ),
        pytest.param(
            _video(duration="long"),
            "'duration' holds 'long', not a finite number",
            id="duration a word",
        ),
        pytest.param(
            {"subset": "test", "annotations": [{"segment": [0, 1]}]},
            "has no 'label'",
            id="no label",
        ),
        pytest.param(
            {"subset": "test", "annotations": [{"label": "Jump"}]},
            "has no 'segment'",
            id="no segment",
        ),
        pytest.param(
            {
                "subset": "test",
                "annotations": [{"label": "", "segment": [0, 1]}],
            },
            "'label' is '', not a text",
            id="empty label",
        ),
        pytest.param(_video((1, 2, 3)), "not [start, end]", id="three numbers"),
        pytest.param(
            _video((0, "soon")),
            "'segment' holds 'soon', not a finite number",
            id="a word",
        ),
        pytest.param(
            _video((0, float("nan"))),
            "'segment' holds nan, not a finite number",
            id="nan",
        ),
        pytest.param(
            _video((0, "inf")),
            "'segment' holds 'inf', not a finite number",
            id="infinite",
        ),
        pytest.param(_video((0, True)), "'segment' holds True", id="bool"),
        pytest.param(_video((0, None)), "'segment' holds None", id="null"),
        pytest.param(
            _video((0, 10**400)),
            f"'segment' holds {'1' + 76 * '0'}..., not",
            id="huge",
        ),
    ],
)
def test_malformed_video_is_named(tmp_path, video, message):
    path = _truth(tmp_path, good=_video((0, 1)), v=video, w=video)
    with pytest.raises(InputError) as caught:
        read_ground_truth(path, "keep")
    text = str(caught.value)
    assert text.startswith(f"{path}: video 'v': ")
    assert message in text
    assert "(and 1 more like it in the file); correct the file" in text


@pytest.mark.parametrize(
    ("read", "key"),
    [(read_ground_truth, "database"), (read_detections, "results")],
)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "is not JSON", id="empty"),
        pytest.param('{"KEY": {', "is not JSON", id="cut short"),
        pytest.param("[" * 100_000, "is not JSON", id="too deep"),
        pytest.param("[]", "has no object 'KEY'", id="a list"),
        pytest.param("{}", "has no object 'KEY'", id="no key"),
        pytest.param('{"KEY": []}', "has no object 'KEY'", id="wrong kind"),
        pytest.param(
            '{"KEY": {"v": [], "w": [], "v": []}}',
            "'v' is twice in one object; remove one of the two",
            id="duplicate video",
        ),
    ],
)
def test_malformed_file_is_named(tmp_path, read, key, content, message):
    path = _write(tmp_path / "x.json", content.replace("KEY", key))
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message.replace("KEY", key) in str(caught.value)


@pytest.mark.parametrize("read", [read_ground_truth, read_detections])
def test_missing_file_folder_and_binary_file_are_named(tmp_path, read):
    with pytest.raises(InputError, match="none.json: cannot be read .*check"):
        read(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read .*directory"):
        read(tmp_path)
    (tmp_path / "x.json").write_bytes(b"\x89PNG\xff\xfe\x80")
    with pytest.raises(InputError, match="x.json: is not JSON"):
        read(tmp_path / "x.json")


# === Detections ===


def test_detections_survive_a_round_trip(tmp_path):
    path = tmp_path / "new" / "det.json"
    results = {
        "z": [
            {"label": "Jump", "score": 0.5, "segment": [0.1, 2.0]},
            {"label": "Dive", "score": -1.0, "segment": [3.0, 3.0]},
        ],
        "a": [],
    }
    write_detections(path, results)
    assert read_detections(path) == results
    assert list(read_detections(path)) == ["z", "a"]
    content = json.loads(path.read_text())
    assert content["version"] == "VERSION 1.3"
    assert content["external_data"]["used"] is True


def test_numpy_numbers_are_written(tmp_path):
    path = tmp_path / "det.json"
    entry = {
        "label": np.str_("Jump"),
        "score": np.float32(0.5),
        "segment": np.array([1, 2], np.float32),
    }
    write_detections(path, {"v": [entry]})
    assert read_detections(path) == {
        "v": [{"label": "Jump", "score": 0.5, "segment": [1.0, 2.0]}]
    }


def test_score_in_quotes_is_a_number(tmp_path):
    path = _found(
        tmp_path, {"label": "Jump", "score": "0.5", "segment": ["-1", "2"]}
    )
    # A detection may start before its video; that only lowers its tIoU.
    assert read_detections(path) == {
        "v": [{"label": "Jump", "score": 0.5, "segment": [-1.0, 2.0]}]
    }


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(7, "detection 0: has no 'segment'", id="not an object"),
        pytest.param(
            {"label": "Jump", "score": 1}, "has no 'segment'", id="no segment"
        ),
        pytest.param(
            {"score": 1, "segment": [0, 1]}, "has no 'label'", id="no label"
        ),
        pytest.param(
            {"label": "Jump", "segment": [0, 1]},
            "has no 'score'",
            id="no score",
        ),
        pytest.param(
            {"label": "Jump", "score": float("nan"), "segment": [0, 1]},
            "'score' holds nan, not a finite number",
            id="score nan",
        ),
        pytest.param(
            {"label": "Jump", "score": [1], "segment": [0, 1]},
            "'score' holds [1], not a finite number",
            id="score a list",
        ),
        pytest.param(
            {"label": "Jump", "score": 1, "segment": [2, 1]},
            "segment [2, 1] is reversed",
            id="reversed",
        ),
    ],
)
def test_malformed_detection_is_named(tmp_path, entry, message):
    path = _found(tmp_path, entry, entry, entry)
    with pytest.raises(InputError) as caught:
        read_detections(path)
    assert str(caught.value).startswith(f"{path}: video 'v': ")
    assert message in str(caught.value)
    assert "(and 2 more like it" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", " v", "a\nb", "\x1b[31mred", "\ud800", "v" * 99 + "\0"]
)
@pytest.mark.parametrize(
    "entries", [[], [{"label": "Jump", "score": 1, "segment": [0, 1]}]]
)
def test_names_of_videos_are_checked_in_both_files(tmp_path, name, entries):
    detections = _write(tmp_path / "det.json", {"results": {name: entries}})
    truth = {name: {"subset": "test", "annotations": []}}
    truth = _write(tmp_path / "gt.json", {"database": truth})
    for read, path in (
        (read_detections, detections),
        (read_ground_truth, truth),
    ):
        with pytest.raises(InputError, match="video .*: its name ") as caught:
            read(path)
        message = str(caught.value).removeprefix(str(path))
        assert message.isprintable() and len(message) < 200


def test_detections_of_a_video_must_be_a_list(tmp_path):
    path = _write(tmp_path / "det.json", {"results": {"v": {}}})
    with pytest.raises(InputError, match="video 'v': expected a list; correct"):
        read_detections(path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("A ", "ends with a blank"),
        ("A\nB", "line break"),
        ("A\u2028B", "line break"),
        ("\ud800", "non-printable"),
        ("\0", "non-printable"),
    ],
)
def test_names_that_would_not_come_back(name, problem):
    assert problem in name_problem(name)


@pytest.mark.parametrize("name", ["High Jump", "Été; 跳", "v_-a.b,c"])
def test_names_that_are_fine(name):
    assert name_problem(name) == ""


def test_an_absurd_time_is_named(tmp_path):
    path = tmp_path / "gt.json"
    path.write_text(
        '{"database": {"v": {"subset": "test", "annotations": '
        '[{"label": "A", "segment": [0, 1e300]}]}}}'
    )
    with pytest.raises(InputError, match="'v'.*1e\\+300, out of range"):
        activitynet.read_ground_truth(path)
