import json

import numpy as np
import pytest

from tests.conftest import random_model, random_record, write_records
from tfwstal import command_line, localize
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.training import run_folder


@pytest.fixture
def run_dir(tmp_path):
    """A run whose random weights give many detections."""
    folder = tmp_path / "run"
    run_folder.create(folder, Config().run_flags(), "abc")
    run_folder.save_model(random_model(num_classes=3, feature_dim=5), folder)
    return folder


def config(run_dir, tmp_path, **changes):
    defaults = {
        "run_dir": str(run_dir),
        "detections": str(tmp_path / "found.json"),
        "eta": (0.2, 0.4, 0.6),
    }
    return Config(**{**defaults, **changes})


def test_a_split_becomes_activitynet_json(records, run_dir, tmp_path, capsys):
    localize.main(config(run_dir, tmp_path, data_dir=str(records)))
    written = json.loads((tmp_path / "found.json").read_text())
    assert set(written) == {"version", "results", "external_data"}
    # Every video is listed in order, with or without detections.
    assert list(written["results"]) == [
        "test_5",
        "test_1",
        "test_33",
        "test_14",
    ]
    for video, found in written["results"].items():
        length = int(video.split("_")[1])
        scores = [each["score"] for each in found]
        assert scores == sorted(scores, reverse=True)
        for each in found:
            start, end = each["segment"]
            assert 0 <= start < end <= length * 0.64 + 1e-4
            assert each["label"] in "abc"
    assert sum(map(len, written["results"].values())) > 0
    assert "detections in 4 videos" in capsys.readouterr().out


def test_one_video_from_npy_is_answered_as_from_records(
    records, run_dir, tmp_path, capsys
):
    localize.main(config(run_dir, tmp_path, data_dir=str(records)))
    whole = json.loads((tmp_path / "found.json").read_text())["results"]
    features = random_record("test_33", 33, (3,)).features
    np.save(tmp_path / "test_33.npy", features)
    np.save(tmp_path / "rgb.npy", features[:, :2])
    np.save(tmp_path / "flow.npy", features[:, 2:])
    for paths in (("test_33.npy",), ("rgb.npy", "flow.npy")):
        localize.main(
            config(
                run_dir,
                tmp_path,
                features=tuple(str(tmp_path / path) for path in paths),
                detections=str(tmp_path / f"{len(paths)}.json"),
            )
        )
        assert len(whole["test_33"]) > 0
        (one,) = json.loads((tmp_path / f"{len(paths)}.json").read_text())[
            "results"
        ].values()
        assert one == whole["test_33"]
    assert "33 snippets" in capsys.readouterr().out


def test_seconds_follow_from_frame_rate_and_step(run_dir, tmp_path):
    np.save(tmp_path / "v.npy", random_record("v", 30).features)
    ends = {}
    for fps, step in ((25.0, 16), (50.0, 16), (25.0, 32)):
        out = tmp_path / f"{fps}_{step}.json"
        localize.main(
            config(
                run_dir,
                tmp_path,
                features=(str(tmp_path / "v.npy"),),
                detections=str(out),
                fps=fps,
                frames_per_snippet=step,
            )
        )
        found = json.loads(out.read_text())["results"]["v"]
        ends[fps, step] = np.array([each["segment"] for each in found])
    assert len(ends[25.0, 16]) > 0
    np.testing.assert_allclose(ends[50.0, 16], ends[25.0, 16] / 2, rtol=1e-5)
    np.testing.assert_allclose(ends[25.0, 32], ends[25.0, 16] * 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [("wrong", "does not exist"), ("records", "is not a run folder")],
)
def test_a_wrong_run_folder_is_named(records, tmp_path, name, message):
    # Without the run's flags, --data_dir is missing too, but is not the cause.
    with pytest.raises(InputError, match=f"--run_dir=.*{name} {message}"):
        localize.main(config(tmp_path / name, tmp_path))


def test_a_run_without_its_flags_is_refused(run_dir, records, tmp_path):
    """Its thresholds would silently be others."""
    (run_dir / "flags.flags").write_text("\n")
    with pytest.raises(InputError, match="flags.flags is empty; restore"):
        command_line.parse(["localize", f"--run_dir={run_dir}"], "localize")
    (run_dir / "flags.flags").unlink()
    with pytest.raises(InputError, match="has no flags.flags, whose thresh"):
        localize.main(config(run_dir, tmp_path, data_dir=str(records)))


def test_records_with_nan_are_refused(run_dir, tmp_path):
    good, bad = random_record("good", 4), random_record("bad", 6)
    bad.features[3, 2] = np.nan
    write_records(tmp_path / "set", {"test": [good, bad]})
    with pytest.raises(
        InputError, match="set: the video 'bad' has NaN or infinite features;"
    ):
        localize.main(config(run_dir, tmp_path, data_dir=str(tmp_path / "set")))
    assert not (tmp_path / "found.json").exists()


def test_existing_detections_are_refused(records, run_dir, tmp_path):
    (tmp_path / "found.json").write_text("mine")
    arguments = config(run_dir, tmp_path, data_dir=str(records))
    with pytest.raises(InputError, match="exists; choose another name"):
        localize.main(arguments)
    assert (tmp_path / "found.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 6), np.float32), "6 wide, the model was trained on 5"),
        (np.zeros(5, np.float32), r"shape \(5,\)"),
        (np.zeros((0, 5), np.float32), "is empty"),
        (np.full((4, 5), np.nan, np.float32), "NaN or infinite"),
        (np.array([[None]]), "pickled"),
    ],
)
def test_unusable_features(run_dir, tmp_path, array, message):
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(InputError, match=message):
        localize.main(
            config(run_dir, tmp_path, features=(str(tmp_path / "v.npy"),))
        )
    assert not (tmp_path / "found.json").exists()


def test_more_than_two_feature_files(run_dir, tmp_path):
    with pytest.raises(InputError, match="one joined file, or RGB and flow"):
        localize.main(config(run_dir, tmp_path, features=("a", "b", "c")))


def test_missing_features(run_dir, tmp_path):
    with pytest.raises(InputError, match="none.npy"):
        localize.main(config(run_dir, tmp_path, features=("none.npy",)))


def test_an_empty_split(records, run_dir, tmp_path):
    with pytest.raises(InputError, match="'val' has no videos"):
        localize.main(
            config(run_dir, tmp_path, data_dir=str(records), split="val")
        )
