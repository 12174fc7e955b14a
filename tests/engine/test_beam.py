"""The engine on Apache Beam runners gives the bytes of the local engine.

The runners are Beam's DirectRunner in this process and with worker processes,
and Dask with two workers on the loopback interface. `make test-cluster` runs
the same tests with 2,000 videos.
"""

import json
import os
import pathlib
import signal
import threading

import numpy as np
import pytest

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
pytest.importorskip("distributed", reason="Dask is not installed")

from tests.conftest import random_model
from tests.engine import jobs
from tests.engine.cluster import Cluster, wait_for
from tests.extraction.film_files import (
    texture,
    write_film,
    write_pictures,
    write_sound,
)
from tests.tools.raw_folders import save
from tfrecords_tools import convert, extract
from tfrecords_tools.sharding import units as shard_units
from tfwstal import localize
from tfwstal.config import Config
from tfwstal.engine import beam
from tfwstal.engine.units import Job, Store, Unit
from tfwstal.errors import InputError
from tfwstal.extraction import run as extraction
from tfwstal.training import run_folder

# Beam, Dask and their dependencies raise warnings of their own.
pytestmark = pytest.mark.filterwarnings("default")

IS_LONG = "TFWSTAL_TEST_CLUSTER" in os.environ
NUM_VIDEOS, WIDTH, NUM_SHARDS = (2000, 64, 40) if IS_LONG else (60, 8, 10)
DIRECT = ("--runner=DirectRunner",)
PROCESSES = (
    "--runner=DirectRunner",
    "--direct_running_mode=multi_processing",
    "--direct_num_workers=2",
)


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Random features, and labels of the videos."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    rows = ["video_id,labels,split"]
    for number in range(NUM_VIDEOS):
        name = f"video_{number:05d}"
        length = rng.integers(5, 400 if IS_LONG else 40)
        np.save(folder / f"{name}.npy", rng.random((length, WIDTH), np.float32))
        rows.append(
            f"{name},{'abc'[number % 3]},{('train', 'test')[number % 2]}"
        )
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def flags(raw, output_dir, *arguments):
    return Config(
        features_dir=str(raw),
        output_dir=str(output_dir),
        num_shards=NUM_SHARDS // 2,
        engine="beam" if arguments else "local",
        engine_arguments=arguments,
    )


@pytest.fixture(scope="module")
def local(raw, tmp_path_factory):
    """The records as this process writes them."""
    folder = tmp_path_factory.mktemp("local") / "records"
    convert.main(flags(raw, folder))
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        started.add_worker()
        started.add_worker()
        yield started
    finally:
        started.stop()


def test_counts_are_metrics_of_the_pipeline(tmp_path):
    store = Store(tmp_path / "out.incomplete")
    units = [Unit(name, name, ()) for name in ("a", "bb", "ccc")]
    store.begin(units)
    result = beam._run_pipeline(
        [unit.id for unit in units],
        store.path,
        Job(jobs.nothing, jobs.note),
        DIRECT,
    )
    counters = {
        (each.key.metric.namespace, each.key.metric.name): each.committed
        for each in result.metrics().query()["counters"]
    }
    assert counters == {("tfwstal", "units"): 3, ("tfwstal", "letters"): 6}
    printed = store.outcome(units, 0).summary()
    assert printed.endswith("units: 3, letters: 6")


@pytest.mark.parametrize("arguments", [DIRECT, PROCESSES], ids=lambda a: a[-1])
def test_convert_on_runners_of_this_machine(
    raw, local, tmp_path, capsys, arguments
):
    convert.main(flags(raw, tmp_path / "records", *arguments))
    assert content(tmp_path / "records") == content(local)
    assert [path.name for path in tmp_path.iterdir()] == ["records"]
    printed = capsys.readouterr().out
    workers = 2 if arguments is PROCESSES else 1
    assert f"units: {NUM_SHARDS} (0 of them from" in printed
    assert f"worker processes: {workers}, videos: {NUM_VIDEOS}, " in printed
    assert printed.index("videos left out: 0") < printed.index("classes: 3")


def test_bad_input_is_told_as_locally(raw, tmp_path, monkeypatch, capsys):
    """Includes a path that is relative to the current folder."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in raw.iterdir():
        (copy / path.name).symlink_to(path)
    names = ("video_00003", "video_00033")
    for name in names:
        (copy / f"{name}.npy").unlink()
        spoiled = np.ones((12, WIDTH), np.float32)
        spoiled[7, 2] = np.nan
        save(copy / f"{name}.npy", spoiled)
    monkeypatch.chdir(tmp_path)
    messages = []
    for arguments in ((), DIRECT):
        with pytest.raises(InputError) as raised:
            convert.main(flags("copy", "out/records", *arguments))
        messages.append(str(raised.value))
        assert not pathlib.Path("out/records").exists()
    assert messages[0] == messages[1]
    assert messages[0].startswith(
        f"copy/video_00003.npy: of {12 * WIDTH} values 1 "
    )
    # With good features, the same command only writes the missing shards.
    for name in names:
        save(copy / f"{name}.npy", np.ones((12, WIDTH), np.float32))
    convert.main(flags("copy", "out/records", *DIRECT))
    done = NUM_SHARDS - len({shard_of(n) for n in (3, 33)})
    assert f"units: {NUM_SHARDS} ({done} of them" in capsys.readouterr().out
    convert.main(flags("copy", "local/records"))
    ours, theirs = (content(pathlib.Path(n)) for n in ("out", "local"))
    assert ours == theirs


def shard_of(number):
    """Index of a video's shard among those of its split."""
    return number // 2 * (NUM_SHARDS // 2) // (NUM_VIDEOS // 2)


def test_a_lost_worker_costs_nothing_but_time(
    raw, local, tmp_path, cluster, monkeypatch, capsys
):
    """A worker is killed as soon as it has finished its first unit."""
    monkeypatch.setattr(shard_units, "_write", jobs.write_slowly)
    store = tmp_path / "records.incomplete"

    def worker_of_a_finished_unit():
        for path in store.glob("*/result.json"):
            if not path.parent.name.startswith("."):
                return int(json.loads(path.read_text())["worker"].split(":")[1])
        return None

    killed = []

    def kill():
        wait_for(worker_of_a_finished_unit, 300)
        killed.append(worker_of_a_finished_unit())
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    convert.main(
        flags(raw, tmp_path / "records", *cluster.arguments(NUM_SHARDS))
    )
    thread.join(1)
    assert len(killed) == 1 and len(cluster.living()) == 1
    assert content(tmp_path / "records") == content(local)
    # Both the killed worker and the other one have finished units.
    assert "worker processes: 2, " in capsys.readouterr().out


def test_a_unit_that_fails_every_time_ends_the_run(
    raw, local, tmp_path, cluster, monkeypatch, capsys
):
    name = sorted(content(local))[-1]
    assert "tfrecord" in name
    listed = tmp_path / "fails"
    listed.write_text(name)
    monkeypatch.setattr(
        shard_units, "_write", jobs.FailingShard(str(listed)).write
    )
    arguments = cluster.arguments(NUM_SHARDS)
    with pytest.raises(InputError) as raised:
        convert.main(flags(raw, tmp_path / "records", *arguments))
    assert str(raised.value).startswith(
        f"1 of {NUM_SHARDS} units failed: {name} (3 tries, RuntimeError: the "
        f"disk of this worker is broken). {NUM_SHARDS - 1} of {NUM_SHARDS} "
    )
    assert not (tmp_path / "records").exists()
    listed.unlink()
    capsys.readouterr()
    convert.main(flags(raw, tmp_path / "records", *arguments))
    printed = capsys.readouterr().out
    assert f"units: {NUM_SHARDS} ({NUM_SHARDS - 1} of them from an" in printed
    assert content(tmp_path / "records") == content(local)


def test_detections_are_those_of_this_process(local, tmp_path, cluster, capsys):
    run_dir = tmp_path / "run"
    run_folder.create(run_dir, Config().run_flags(), "abc")
    run_folder.save_model(random_model(3, WIDTH), run_dir)
    found = {}
    for engine, arguments in (
        ("local", ()),
        ("beam", cluster.arguments(NUM_SHARDS)),
    ):
        path = tmp_path / f"{engine}.json"
        localize.main(
            Config(
                run_dir=str(run_dir),
                data_dir=str(local),
                detections=str(path),
                eta=(0.2, 0.4, 0.6),
                engine=engine,
                engine_arguments=arguments,
            )
        )
        found[engine] = path.read_bytes()
    assert found["local"] == found["beam"]
    assert not (tmp_path / "beam.json.incomplete").exists()
    printed = capsys.readouterr().out
    assert f"videos: {NUM_VIDEOS // 2}, snippets: " in printed
    assert sum(map(len, json.loads(found["beam"])["results"].values()))


def test_features_are_those_of_this_process(tmp_path, monkeypatch, capsys):
    """Includes a folder of pictures and the message about a bad film."""
    pytest.importorskip("av", reason="PyAV is not installed")
    monkeypatch.setattr(extraction, "load_models", jobs.load_means)
    monkeypatch.chdir(tmp_path)
    films = pathlib.Path("films")
    films.mkdir()
    write_film(films / "a.mkv", texture(35, (48, 32)))
    write_pictures(films / "b", texture(16, (48, 32), seed=1))
    write_sound(films / "c.mp4")
    messages = {}

    def run(engine):
        extract.main(
            Config(
                videos="films",
                output_dir=engine,
                rgb_checkpoint="rgb.ckpt",
                shorter_side=32,
                crop_size=32,
                engine=engine,
                engine_arguments=DIRECT if engine == "beam" else (),
            )
        )

    for engine in ("local", "beam"):
        with pytest.raises(InputError) as raised:
            run(engine)
        messages[engine] = str(raised.value)
        assert "videos: 2, snippets: 3" in capsys.readouterr().out or (
            engine == "local"
        )
    assert messages["local"] == messages["beam"]
    assert "c (films/c.mp4 has no video stream" in messages["beam"]
    assert content(pathlib.Path("local")) == content(pathlib.Path("beam"))
    assert set(os.listdir()) == {"films", "local", "beam"}
    # Only the film that failed is extracted again.
    (films / "c.mp4").unlink()
    write_film(films / "c.mkv", texture(18, (48, 32), seed=2))
    run("local")
    capsys.readouterr()
    run("beam")
    assert "worker processes: 1, videos: 1, " in capsys.readouterr().out
    assert content(pathlib.Path("local")) == content(pathlib.Path("beam"))
