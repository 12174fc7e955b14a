"""The command turns films and pictures into a folder that convert reads."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.extraction.film_files import (
    texture,
    write_film,
    write_pictures,
    write_sound,
)
from tests.extraction.random_weights import (
    Mean,
    random_values,
    write_checkpoint,
)
from tfrecords_tools import convert, extract
from tfwstal import command_line
from tfwstal.config import Config
from tfwstal.data import folder as records_folder
from tfwstal.errors import InputError
from tfwstal.extraction import i3d, network
from tfwstal.extraction.feature_folder import FeatureFolder
from tfwstal.extraction.pictures import rgb_values
from tfwstal.extraction.sources import Reading, Source

PREFIX = {"rgb": "RGB/inception_i3d/", "flow": "Flow/inception_i3d/"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Flags of random checkpoints of both streams."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, (stream, prefix) in enumerate(PREFIX.items()):
        shapes = {
            prefix + name: tuple(variable.shape)
            for name, variable in i3d.I3D(stream).published_variables().items()
        }
        write_checkpoint(folder / stream, random_values(shapes, seed))
    return {f"{s}_checkpoint": str(folder / s) for s in PREFIX}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A film of 2 snippets, pictures for 1 snippet, and two bad films."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a.mkv", texture(35, (48, 32)))
    write_pictures(folder / "b", texture(16, (48, 32), seed=1))
    write_sound(folder / "sound.mp4")
    write_film(folder / "short.mkv", texture(9, (48, 32)))
    return folder


@pytest.fixture
def config(checkpoints, films, tmp_path):
    def make(**changes):
        small = {"shorter_side": 32, "crop_size": 32, "flow": "dis"}
        return Config(
            **{
                **small,
                "videos": str(films),
                "output_dir": str(tmp_path / "out"),
                **checkpoints,
                **changes,
            }
        )

    return make


def test_films_become_records(config, films, tmp_path, capsys, monkeypatch):
    models, load_models = {}, extract.run.load_models

    def load_and_keep(checkpoints):
        loaded, used = load_models(checkpoints)
        models.update(loaded)
        return loaded, used

    monkeypatch.setattr(extract.run, "load_models", load_and_keep)
    with pytest.raises(InputError) as caught:
        extract.main(config())
    assert "2 videos without features: short (it has 9 frames" in str(
        caught.value
    )
    assert "sound.mp4 has no video stream (audio only)" in str(caught.value)
    assert "2 videos with 3 snippets of rgb and flow" in capsys.readouterr().out
    out = tmp_path / "out"
    assert models.keys() == {"rgb", "flow"}
    for name, path in (("a", films / "a.mkv"), ("b", films / "b")):
        source = Source(name, path, path.is_dir())
        reading = Reading(source, config().extraction_settings())
        rgb, flow = (np.stack(s) for s in zip(*reading.snippets(), strict=True))
        for stream, clips in (("rgb", rgb_values(rgb)), ("flow", flow)):
            expected = models[stream](tf.constant(clips)).numpy()
            found = np.load(out / stream / f"{name}.npy")
            assert found.dtype == np.float32
            np.testing.assert_allclose(
                found, expected, atol=1e-5 * np.abs(expected).max()
            )
    # Only the labels are missing.
    text = (out / "labels.csv").read_text()
    assert text.splitlines()[1:] == ["a,,25,16,", "b,,25,16,"]
    labels = text.replace("a,,", "a,Jump,").replace("b,,", "b,Run;Jump,")
    (out / "labels.csv").write_text(labels)
    convert.main(
        Config(features_dir=str(out), output_dir=str(tmp_path / "records"))
    )
    info = records_folder.read(tmp_path / "records")
    assert (info.feature_dim, info.num_videos("train")) == (2048, 2)
    facts = info.provenance["extraction"]
    assert facts["flow"] == "dis"
    described = json.loads((out / "extraction.json").read_text())
    assert facts["weights"] == described["weights"]


@pytest.fixture
def quick(monkeypatch):
    """Replaces I3D by quick networks."""

    def load_models(checkpoints):
        streams = [stream for stream, path in checkpoints.items() if path]
        return (
            {s: Mean(i3d.STREAM_CHANNELS[s]) for s in streams},
            {s: {"file": s, "sha256": "12"} for s in streams},
        )

    monkeypatch.setattr(extract.run, "load_models", load_models)


@pytest.mark.usefixtures("quick")
def test_one_stream_at_another_rate(config, films, tmp_path):
    extract.main(
        config(
            flow_checkpoint="",
            fps=12.5,
            frames_per_snippet=8,
            videos=str(films / "a.mkv"),
        )
    )
    out = tmp_path / "out"
    # 35 frames at 25 fps are 18 at 12.5, rounded: 2 snippets of 8.
    assert np.load(out / "rgb" / "a.npy").shape == (2, 1024)
    assert not (out / "flow").exists()
    labels = (out / "labels.csv").read_text()
    assert labels.endswith("a,,12.5,8,\n")
    (out / "labels.csv").write_text(labels.replace(",,", ",Jump,"))
    records = str(tmp_path / "records")
    with pytest.raises(InputError, match="--fps=30: .* extracted with 12.5"):
        convert.main(
            Config(features_dir=str(out), output_dir=records, fps=30.0)
        )
    convert.main(Config(features_dir=str(out), output_dir=records))
    info = records_folder.read(records)
    assert (info.fps, info.frames_per_snippet) == (12.5, 8)
    assert info.feature_dim == 1024


@pytest.mark.usefixtures("quick")
def test_an_interrupted_command_does_what_is_missing(
    config, films, tmp_path, monkeypatch
):
    finish = FeatureFolder.finish

    def first_only(folder, source, facts):
        if folder.videos:
            raise KeyboardInterrupt
        finish(folder, source, facts)

    monkeypatch.setattr(FeatureFolder, "finish", first_only)
    with pytest.raises(KeyboardInterrupt):
        extract.main(config(num_workers=1))
    (done,) = (tmp_path / "out" / "rgb").glob("*.npy")
    before = done.stat()
    monkeypatch.setattr(FeatureFolder, "finish", finish)
    with pytest.raises(InputError, match="2 videos without features"):
        extract.main(config())
    assert done.stat() == before
    names = {p.name for p in (tmp_path / "out" / "rgb").iterdir()}
    assert names == {"a.npy", "b.npy"}


class Sink:
    """Records the calls."""

    def __init__(self):
        self.features, self.finished = {}, []

    def add(self, source, features):
        assert source.name not in self.finished
        self.features.setdefault(source.name, []).append(features["rgb"])

    def finish(self, source, facts):
        assert facts["snippets"] == sum(map(len, self.features[source.name]))
        self.finished.append(source.name)

    def fail(self, source, message):
        self.finished.append(source.name)


def test_batches_may_hold_several_videos(films):
    names = [f"copy_{i}" for i in range(5)]
    sources = [Source(name, films / "a.mkv", False) for name in names]
    settings = Config(
        flow="none", shorter_side=32, crop_size=32, rgb_checkpoint="x"
    ).extraction_settings()
    expected = [
        np.tile(rgb_values(rgb).mean(axis=(0, 1, 2)), 512)[:1024]
        for rgb, _ in Reading(sources[0], settings).snippets()
    ]
    for batch in (1, 3, 50):
        sink = Sink()
        network.extract(sources, settings, {"rgb": Mean(3)}, sink, 2, batch)
        assert sorted(sink.finished) == names
        for parts in sink.features.values():
            np.testing.assert_allclose(
                np.concatenate(parts), expected, atol=1e-5
            )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos": "all"}, "--videos is needed"),
        (
            {"rgb_checkpoint": "", "flow_checkpoint": ""},
            "--rgb_checkpoint or --flow_checkpoint is needed",
        ),
        ({"flow": "none"}, "--flow_checkpoint and --flow=none exclude"),
        ({"output_dir": ""}, "--output_dir is needed"),
    ],
)
def test_flags_that_do_not_fit(config, changes, message):
    with pytest.raises(InputError, match=message):
        extract.main(config(**changes))


def test_a_square_larger_than_the_frame_is_refused():
    argv = ["extract", "--shorter_side=200"]
    with pytest.raises(InputError, match="--crop_size=224 is larger than"):
        command_line.parse(argv, "extract")
