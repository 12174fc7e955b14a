"""Reader processes: their messages, crashes and end."""

import os
import pathlib
import time

import numpy as np
import pytest

from tests.extraction.film_files import gray, texture, write_film
from tfwstal.extraction.options import Settings
from tfwstal.extraction.readers import Readers
from tfwstal.extraction.sources import Reading, Source

SETTINGS = Settings(flow="dis", shorter_side=32, crop_size=32)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Sources: films of 2 and 3 snippets, a short film, one with notes."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a.mkv", texture(35, (48, 32)))
    write_film(folder / "b.mkv", texture(50, (48, 32), seed=1))
    write_film(folder / "short.mkv", gray(range(9), (48, 32)))
    content = (folder / "b.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(content[: len(content) // 2])
    return {p.stem: Source(p.stem, p, False) for p in folder.iterdir()}


def received(sources, **arguments):
    """dict name -> messages about that video."""
    found = {source.name: [] for source in sources}
    with Readers(sources, SETTINGS, **arguments) as readers:
        for message in readers.messages():
            if message:
                found[message[0].name].append(message[1:])
    return found


@pytest.mark.parametrize("num_workers", [1, 3])
def test_videos_are_read_as_in_this_process(films, num_workers):
    found = received(list(films.values()), num_workers=num_workers)
    for name, count, left in (("a", 2, 3), ("b", 3, 2)):
        *snippets, last = found[name]
        expected = list(Reading(films[name], SETTINGS).snippets())
        assert len(snippets) == len(expected) == count
        for (kind, *ours), theirs in zip(snippets, expected, strict=True):
            assert kind == "snippet"
            for stream, values in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(stream, values)
        facts = {"snippets": count, "left_out_frames": left}
        assert last == ("done", {"frames": 16 * count + left, **facts})
    assert found["short"] == [
        ("failed", "it has 9 frames, fewer than the 16 of one snippet")
    ]
    assert "its header says 2.00 s" in found["cut"][-1][1]["notes"][-1]


class Crash(type(pathlib.Path())):
    """A path that ends the process that receives it."""

    def __reduce__(self):
        return os._exit, (7,)


def test_a_crash_fails_one_video_only(films):
    crash = Source("crash", Crash("x.mkv"), False)
    sources = [films["a"], crash, films["b"]]
    found = received(sources, num_workers=1)
    assert found["crash"] == [("failed", "reading it crashed (status 7)")]
    assert [kind for kind, *_ in found["a"]] == ["snippet"] * 2 + ["done"]
    assert [kind for kind, *_ in found["b"]] == ["snippet"] * 3 + ["done"]


def test_processes_end_with_the_command(films):
    with Readers([films["b"], films["a"]], SETTINGS, 2, 1) as readers:
        for message in readers.messages():
            if message:
                break  # in the middle of the work
        processes = list(readers._processes.values())
        assert len(processes) == 2
    deadline = time.monotonic() + 10
    while any(p.poll() is None for p in processes):
        assert time.monotonic() < deadline
        time.sleep(0.01)
