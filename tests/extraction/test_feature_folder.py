"""The folder that extraction writes: whole files, and no repeated work."""

import csv
import json

import numpy as np
import pytest

from tfwstal.errors import InputError
from tfwstal.extraction.feature_folder import FeatureFolder, read_facts
from tfwstal.extraction.sources import Source

FACTS = {
    "extractor": "tfwstal 0",
    "network": "i3d",
    "fps": 25.0,
    "frames_per_snippet": 16,
    "flow": "dis",
    "shorter_side": 256,
    "crop_size": 224,
    "weights": {
        "rgb": {"file": "a", "sha256": "12"},
        "flow": {"file": "b", "sha256": "34"},
    },
    "versions": {},
}


def make_source(tmp_path, name, content=b"film"):
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(content)
    return Source(name, path, False)


def write(folder, source, num_snippets=5):
    """Writes random features of a video in two parts; returns them."""
    rng = np.random.default_rng(num_snippets)
    features = {
        stream: rng.normal(size=(num_snippets, 8)).astype(np.float32)
        for stream in folder.streams
    }
    for part in (slice(0, 2), slice(2, None)):
        folder.add(source, {s: rows[part] for s, rows in features.items()})
    folder.finish(source, {"snippets": num_snippets, "left_out_frames": 1})
    return features


def test_features_are_written_whole(tmp_path):
    folder = FeatureFolder(tmp_path / "out", FACTS)
    # The final number of rows has more digits than the 0 in the first header.
    for name, length in (("a", 5), ("b", 1234)):
        source = make_source(tmp_path, name)
        expected = write(folder, source, length)
        assert folder.has(source)
        for stream in ("rgb", "flow"):
            found = np.load(tmp_path / "out" / stream / f"{name}.npy")
            np.testing.assert_array_equal(found, expected[stream])
    written = json.loads((tmp_path / "out" / "extraction.json").read_text())
    assert written["videos"]["b"] == {
        "file": "b.mp4",
        "bytes": 4,
        "snippets": 1234,
        "left_out_frames": 1,
    }
    assert read_facts(tmp_path / "out") == FACTS
    assert read_facts(tmp_path) is None


def test_finished_videos_are_recognized(tmp_path):
    first = FeatureFolder(tmp_path / "out", FACTS)
    done, begun = (make_source(tmp_path, name) for name in "ab")
    write(first, done)
    first.add(begun, {s: np.zeros((3, 8), np.float32) for s in first.streams})
    # The first run is killed here.
    again = FeatureFolder(tmp_path / "out", FACTS)
    assert again.has(done)
    assert not again.has(begun)
    assert [p.name for p in (tmp_path / "out" / "rgb").iterdir()] == ["a.npy"]
    # Another film of the same name, and features that someone removed.
    assert not again.has(make_source(tmp_path, "a", b"another film"))
    assert again.has(make_source(tmp_path, "a"))
    (tmp_path / "out" / "flow" / "a.npy").unlink()
    assert not again.has(done)


def test_failures_are_noted_and_forgotten(tmp_path):
    folder = FeatureFolder(tmp_path / "out", FACTS)
    source = make_source(tmp_path, "a")
    folder.add(
        source, {s: np.zeros((3, 8), np.float32) for s in folder.streams}
    )
    folder.fail(source, "it crashed")
    path = tmp_path / "out" / "extraction.json"
    assert json.loads(path.read_text())["failed"] == {"a": "it crashed"}
    assert not list((tmp_path / "out" / "rgb").iterdir())
    write(folder, source)
    assert json.loads(path.read_text())["failed"] == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fps", 30.0, "begun with fps 25.0, not 30.0"),
        ("flow", "tvl1", 'begun with flow "dis", not "tvl1"'),
        (
            "weights",
            {"rgb": {"file": "a", "sha256": "56"}},
            'begun with weights {"rgb": "12", "flow": "34"}, not {"rgb": "56"}',
        ),
    ],
)
def test_other_features_do_not_mix(tmp_path, key, value, message):
    FeatureFolder(tmp_path / "out", FACTS)
    with pytest.raises(InputError) as caught:
        FeatureFolder(tmp_path / "out", {**FACTS, key: value})
    assert message in str(caught.value)


def test_the_same_weights_under_another_name_are_the_same(tmp_path):
    FeatureFolder(tmp_path / "out", FACTS)
    weights = {s: {**w, "file": "moved"} for s, w in FACTS["weights"].items()}
    FeatureFolder(tmp_path / "out", {**FACTS, "weights": weights})


def test_folders_of_something_else(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and has no extraction"):
        FeatureFolder(tmp_path, FACTS)
    (tmp_path / "extraction.json").write_text("{")
    with pytest.raises(InputError, match="extraction.json is damaged"):
        FeatureFolder(tmp_path, FACTS)


def test_labels_are_kept_and_added_to(tmp_path):
    folder = FeatureFolder(tmp_path / "out", FACTS)
    path = tmp_path / "out" / "labels.csv"
    write(folder, make_source(tmp_path, "b"))
    folder.write_labels()
    assert path.read_text() == (
        "video_id,labels,fps,frames_per_snippet,split\nb,,25,16,\n"
    )
    # Edited in a spreadsheet: one column less, and another order.
    path.write_text("\ufefflabels, video_id,fps\nJump;Run,b,25\n")
    folder.write_labels()
    assert path.read_text().startswith("\ufeff")  # unchanged: nothing to add
    write(folder, make_source(tmp_path, "a, b"))
    folder.write_labels()
    with open(path, newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["labels", "video_id", "fps"],
            ["Jump;Run", "b", "25"],
            ["", "a, b", "25"],
        ]
    path.write_text("some,thing\n1,2\n")
    with pytest.raises(InputError, match="no columns video_id and labels"):
        folder.write_labels()
