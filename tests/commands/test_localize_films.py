"""Localizes films and folders of features that match the run."""

import json

import numpy as np
import pytest

from tests.conftest import random_model
from tests.extraction.film_files import texture, write_film
from tests.extraction.random_weights import Mean
from tests.extraction.test_feature_folder import FACTS
from tfrecords_tools import extract
from tfwstal import localize, train
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.extraction import run as extraction
from tfwstal.extraction.i3d import STREAM_CHANNELS
from tfwstal.training import run_folder

SMALL = {"shorter_side": 32, "crop_size": 32}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Replaces I3D by quick networks; the path is the sha256."""

    def load_models(checkpoints):
        paths = {s: path for s, path in checkpoints.items() if path}
        return (
            {s: Mean(STREAM_CHANNELS[s]) for s in paths},
            {s: {"file": "f", "sha256": p} for s, p in paths.items()},
        )

    monkeypatch.setattr(extraction, "load_models", load_models)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a.mkv", texture(100, (48, 32)))
    write_film(folder / "b.mkv", texture(50, (48, 32), seed=1))
    (folder / "bad.mp4").write_text("no film")
    return folder


@pytest.fixture
def run_dir(tmp_path):
    """A run on both streams, 12.5 frames a second, 8 frames a snippet."""
    folder = tmp_path / "run"
    time_scale = Config(fps=12.5, frames_per_snippet=8)
    run_folder.create(folder, time_scale.run_flags(), "abc")
    model = random_model(num_classes=3, feature_dim=2048)
    run_folder.save_model(model, folder)
    run_folder.save_extraction(
        {
            "network": "i3d",
            "fps": 12.5,
            "frames_per_snippet": 8,
            "flow": "dis",
            **SMALL,
            "weights": {
                "rgb": {"file": "x", "sha256": "1"},
                "flow": {"file": "y", "sha256": "2"},
            },
        },
        folder,
    )
    return folder


def config(run_dir, **changes):
    return Config(
        **{
            "run_dir": str(run_dir),
            "eta": (0.2, 0.4, 0.6),
            "rgb_checkpoint": "1",
            "flow_checkpoint": "2",
            # The command takes these from the run.
            "fps": 12.5,
            "frames_per_snippet": 8,
            **changes,
        }
    )


def results(path):
    return json.loads(path.read_text())["results"]


def test_a_film_goes_to_segments(run_dir, films, tmp_path, capsys):
    out = tmp_path / "found.json"
    localize.main(
        config(run_dir, video=str(films / "a.mkv"), detections=str(out))
    )
    assert "a: 6 snippets" in capsys.readouterr().out
    (found,) = results(out).values()
    ends = [each["segment"][1] for each in found]
    # 100 frames at 25 fps are 50 at 12.5: 6 snippets of 8 frames, 0.64 s each.
    assert ends
    assert 0 < max(ends) <= 6 * 0.64 + 1e-4


def test_many_films_are_localized_as_their_features(
    run_dir, films, tmp_path, capsys
):
    out = tmp_path / "found.json"
    with pytest.raises(InputError, match="1 video without segments: bad"):
        localize.main(config(run_dir, videos=str(films), detections=str(out)))
    with pytest.raises(InputError, match="1 video without features: bad"):
        extract.main(
            config(
                "",
                videos=str(films),
                output_dir=str(tmp_path / "features"),
                flow="dis",
                **SMALL,
            )
        )
    again = tmp_path / "again.json"
    localize.main(
        config(
            run_dir,
            features_dir=str(tmp_path / "features"),
            detections=str(again),
        )
    )
    assert results(out) == results(again)
    assert sorted(results(out)) == ["a", "b"]
    capsys.readouterr()


def test_plain_folders_of_features(run_dir, tmp_path, capsys):
    folder = tmp_path / "features"
    folder.mkdir()
    with pytest.raises(InputError, match="has no features"):
        localize.main(config(run_dir, features_dir=str(folder)))
    features = np.random.default_rng(0).normal(size=(9, 2048))
    np.save(folder / "joined.npy", features.astype(np.float32))
    localize.main(config(run_dir, features_dir=str(folder)))
    assert "joined: 9 snippets" in capsys.readouterr().out
    for stream, part in (("rgb", slice(0, 1024)), ("flow", slice(1024, 2048))):
        (folder / stream).mkdir()
        np.save(folder / stream / "v.npy", features[:, part].astype("f4"))
    localize.main(config(run_dir, features_dir=str(folder)))
    assert "v: 9 snippets" in capsys.readouterr().out
    np.save(folder / "rgb" / "w.npy", features[:, :1024].astype("f4"))
    with pytest.raises(InputError, match="flow/w.npy is missing"):
        localize.main(config(run_dir, features_dir=str(folder)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow_checkpoint": ""}, "rgb features, the run was trained on rgb "),
        ({"rgb_checkpoint": ""}, "give --rgb_checkpoint and --flow_checkpoint"),
        ({"rgb_checkpoint": "3"}, 'weights is {"rgb": "3", "flow": "2"}, the '),
        ({"fps": 30.0}, "fps is 30, the run was trained with 12.5"),
        ({"frames_per_snippet": 16}, "frames_per_snippet is 16, the run was"),
        ({"shorter_side": 300}, "--shorter_side=300: the run was trained on"),
    ],
)
def test_other_features_are_refused(run_dir, films, changes, message):
    with pytest.raises(InputError) as caught:
        localize.main(config(run_dir, video=str(films / "a.mkv"), **changes))
    assert message in str(caught.value)


def test_a_run_that_does_not_know_its_features(run_dir, films, capsys):
    (run_dir / "extraction.json").unlink()
    arguments = {"video": str(films / "b.mkv"), "flow": "dis", **SMALL}
    with pytest.raises(InputError, match="1024 wide, the model was trained on"):
        localize.main(config(run_dir, **arguments, flow_checkpoint=""))
    with pytest.raises(InputError, match="fps is 25, the run was trained with"):
        localize.main(config(run_dir, **arguments, fps=25.0))
    localize.main(config(run_dir, **arguments, rgb_checkpoint="other"))
    assert "b: 3 snippets" in capsys.readouterr().out


def test_video_refuses_a_folder_of_several(run_dir, films):
    with pytest.raises(InputError, match="holds 3 videos; give --videos="):
        localize.main(config(run_dir, video=str(films)))


def test_training_keeps_how_its_features_were_made(records, tmp_path):
    path = records / "metadata.json"
    metadata = json.loads(path.read_text())
    arguments = {"data_dir": str(records), "epochs": 0}
    train.main(Config(**arguments, run_dir=str(tmp_path / "without")))
    assert run_folder.read_extraction(tmp_path / "without") is None
    metadata["provenance"]["extraction"] = FACTS
    path.write_text(json.dumps(metadata))
    train.main(Config(**arguments, run_dir=str(tmp_path / "with")))
    assert run_folder.read_extraction(tmp_path / "with") == FACTS
    assert run_folder.time_scale(tmp_path / "with") == (25.0, 16)
