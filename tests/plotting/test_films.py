"""Films on the time axis: strips of frames, and the page with players."""

import base64
import html
import io
import json
import pathlib
import shlex

import numpy as np
import pytest
from matplotlib.image import imread

from tests.extraction.film_files import (
    gray,
    texture,
    write_film,
    write_pictures,
)
from tests.plotting import chromium
from tfwstal import visualize
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.extraction.sources import Source, find
from tfwstal.extraction.stills import Coding
from tfwstal.plotting import film_strip, html_report, timeline
from tfwstal.plotting.rows import FilmStrip

# ODD has characters that are special in URLs, HTML and shells.
ODD, PLAIN, OLD = "a #1 & \"b\" 100% 'c'", "plain", "old"


def strip(path, fps=25.0, height=24):
    (source,), _ = find(path)
    return film_strip.read(source, fps, height)


# === Frames ===


def test_frames_stand_at_their_times(tmp_path):
    write_film(tmp_path / "a.mkv", gray(range(0, 250, 2), (48, 32)))
    found = strip(tmp_path / "a.mkv")
    assert found.end == pytest.approx(5.0, abs=0.05)
    assert found.picture.shape == (24, 12 * 24, 3)
    # Eight frames of 3:2 fill a strip of 12:1; each shows the middle of its
    # part.
    cells = np.split(found.picture[..., 0], 8, axis=1)
    for number, cell in enumerate(cells):
        middle = found.end * (number + 0.5) / 8
        assert np.ptp(cell[:, :-1]) == 0
        assert cell[0, 0] == 2 * int(middle * 25)
        assert (cell[:, -1] == 255).all()  # the line between two


@pytest.mark.parametrize("size", [(24, 96), (96, 24), (48, 48)])
def test_frames_of_any_shape_keep_it(tmp_path, size):
    """A disc stays a disc; narrow films have at most 24 frames."""
    width, height = size
    pictures = np.zeros((3, height, width, 3), np.uint8)
    down, right = np.mgrid[:height, :width]
    inside = np.hypot(down - height / 2, right - width / 2) < min(size) / 3
    pictures[:, inside] = 180
    write_film(tmp_path / "a.mkv", pictures)
    picture = strip(tmp_path / "a.mkv", height=96).picture
    count = min(24, 12 * height // width)
    first = picture[:, : picture.shape[1] // count, 0]
    disc = (first > 100) & (first < 220)  # between black and white
    high, wide = disc.any(axis=1).sum(), disc.any(axis=0).sum()
    assert high > 10
    assert high == pytest.approx(wide, abs=2)


def test_the_picture_has_the_frames_above_its_axis(tmp_path):
    strip = FilmStrip(
        "a.mp4", np.zeros((24, 288, 3), np.uint8), 8.0, None, False, "", ""
    )
    figure = timeline.draw("v", [strip])
    (axes,) = figure.axes
    (image,) = axes.images
    assert image.get_extent() == [0, 8.0, 0, 1]
    assert axes.get_xlim() == (0, 8.0)


# === What browsers play ===


@pytest.mark.parametrize(
    ("name", "coding", "plays", "copies"),
    [
        ("a.mp4", ("mov,mp4", "h264", "yuv420p"), True, True),
        ("a.MOV", ("mov,mp4", "h264", "yuvj420p"), True, True),
        ("a.webm", ("matroska,webm", "vp9", "yuv420p"), True, True),
        ("a.mp4", ("mov,mp4", "h264", "yuv420p10le"), False, False),
        ("a.mp4", ("mov,mp4", "hevc", "yuv420p"), False, False),
        ("a.mp4", ("mov,mp4", "mpeg4", "yuv420p"), False, False),
        ("a.mp4", ("avi", "h264", "yuv420p"), False, True),
        ("a.mkv", ("matroska,webm", "h264", "yuv420p"), False, True),
        ("a.avi", ("avi", "mpeg4", "yuv420p"), False, False),
        ("a", ("mov,mp4", "h264", "yuv420p"), False, True),
    ],
)
def test_what_browsers_play(name, coding, plays, copies):
    source = Source("a", pathlib.Path("my films") / name, False)
    coding = Coding(*coding)
    problem = film_strip.playback_problem(source, coding)
    assert (problem == "") == plays
    if not plays:
        assert coding.codec in problem
    words = shlex.split(film_strip.command(source, coding, 25.0))
    assert words[:3] == ["ffmpeg", "-i", f"my films/{name}"]
    assert words[-1] == "NEW_FOLDER/a.mp4"
    assert words[words.index("-c:v") + 1] == ("copy" if copies else "libx264")


def test_a_folder_of_pictures_becomes_a_film_first(tmp_path):
    write_pictures(tmp_path / "a b", gray([0] * 10), "IMG")
    found = strip(tmp_path / "a b", fps=5.0)
    assert (found.end, found.is_folder) == (2.0, True)
    assert found.problem == "Browsers do not play folders of pictures"
    words = shlex.split(found.command)
    assert words[words.index("-framerate") + 1] == "5"
    assert words[words.index("-i") + 1] == f"{tmp_path}/a b/IMG_*.png"
    page = html_report.render("T", {"v": [found]})
    assert "<video" not in page
    assert html.escape(found.command) in page


# === The page ===


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my films")
    for name, codec in ((ODD, "libx264"), (PLAIN, "libx264"), (OLD, "mpeg4")):
        write_film(folder / f"{name}.mp4", texture(100, (48, 32)), codec=codec)
    (folder / "broken.mp4").write_text("no film")
    write_film(folder / "other.mkv", gray([0]))
    return folder


@pytest.fixture
def flags(tmp_path, films):
    """A function (**flags) -> Config of a page of four videos with films."""
    database = {
        name: {
            "subset": "test",
            "annotations": [{"label": "a", "segment": [1.0, 1.5]}],
        }
        for name in (ODD, PLAIN, OLD, "broken", "none")
    }
    found = {ODD: [{"label": "a", "segment": [2.0, 2.4], "score": 0.5}]}
    (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
    (tmp_path / "found.json").write_text(json.dumps({"results": found}))
    sources = {
        "ground_truth": str(tmp_path / "gt.json"),
        "detections": str(tmp_path / "found.json"),
        "films": str(films),
        "html": str(tmp_path / "page.html"),
    }
    return lambda **changes: Config(**sources | changes)


# Clicks the segments of a video, the second with the Enter key, and records
# where the film starts and stops.
_CLICKS = """
(async () => {
  const section = [...document.querySelectorAll("section")]
    .find(s => s.querySelector("h3").textContent === %s);
  section.scrollIntoView();
  while (!section.querySelector("svg"))
    await new Promise(go => setTimeout(go, 20));
  const film = section.querySelector("video");
  let times = [];
  film.addEventListener("timeupdate", () => times.push(film.currentTime));
  const advice = section.querySelector(".advice");
  const seen = {bars: [], advice: advice.hidden ? "" : advice.textContent};
  if (film.error || %s) {
    while (!film.error) await new Promise(go => setTimeout(go, 20));
    return seen;
  }
  for (const bar of section.querySelectorAll(".bar")) {
    const stops = new Promise(go => film.addEventListener("pause",
      () => setTimeout(() => go(film.currentTime), 200), {once: true}));
    bar.dispatchEvent(seen.bars.length ?
      new KeyboardEvent("keydown", {key: "Enter"}) : new MouseEvent("click"));
    const start = film.currentTime, marked = bar.classList.contains("playing");
    times = [start];
    seen.bars.push([start, await stops, marked, film.paused,
      bar.classList.contains("playing"), times]);
  }
  const image = section.querySelector("image"), box =
    image.getBoundingClientRect();
  image.dispatchEvent(new MouseEvent("click",
    {clientX: box.left + 0.75 * box.width, clientY: box.top + 5}));
  seen.shown = film.currentTime;
  seen.width = film.videoWidth;
  return seen;
})()
"""


def test_a_click_plays_a_segment(flags, tmp_path, capsys):
    visualize.main(flags())
    printed = capsys.readouterr()
    assert printed.out.startswith("5 videos, 3 films: ")
    assert printed.out.endswith(" kB)\n")
    assert "1 film cannot be read (first: broken: " in printed.err
    assert "1 film may not play in the page (first: old: " in printed.err
    with chromium.opened(tmp_path / "page.html", tmp_path / "b") as browser:
        seen = browser.run(_CLICKS % (json.dumps(ODD), "false"))
        assert not browser.messages
        old = browser.run(_CLICKS % (json.dumps(OLD), "true"))
    (truth, found) = seen["bars"]
    for bar, start, end in ((truth, 1.0, 1.5), (found, 2.0, 2.4)):
        sought, stopped, *state, times = bar
        assert sought == start
        assert stopped == pytest.approx(end, abs=0.01)
        assert state == [True, True, False]  # marked, paused, not marked
        # It played from the start; a slow machine may stop it late.
        assert min(times) == start
        assert len(set(times)) > 1
    assert seen["shown"] == pytest.approx(3.0, abs=0.05)  # of 4 s
    assert seen["width"] == 48
    assert seen["advice"] == ""  # hidden
    assert old["advice"].startswith("Most browsers do not play mpeg4")
    assert "ffmpeg -i " in old["advice"]


def test_the_page_has_frames_and_refers_to_films(flags, tmp_path, films):
    visualize.main(flags())
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "media-src 'self' file:\">" in text
    content = text.split('id="data">')[1].split("</script>")[0]
    for video in json.loads(content)["videos"][:3]:
        row = video["rows"][0]
        assert row["end"] == pytest.approx(4.0, abs=0.05)
        kind, _, encoded = row["strip"].partition(",")
        assert kind == "data:image/jpeg;base64"
        picture = imread(io.BytesIO(base64.b64decode(encoded)), "jpeg")
        assert picture.shape == (72, 12 * 72, 3)
    # The page is small, because it does not contain the films.
    assert len(text) < 100_000
    visualize.main(flags(films="", overwrite=True))
    without = (tmp_path / "page.html").read_text("utf-8")
    assert "media-src 'none'\">" in without
    assert "<video" not in without


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"films": "none"}, "--films=none does not exist"),
        ({"film": "a.mp4"}, "--film one; drop one"),
        ({"html": "", "video": PLAIN, "picture": "a.png"}, "give --film"),
    ],
)
def test_what_is_refused(flags, changes, message):
    with pytest.raises(InputError) as caught:
        visualize.main(flags(**changes))
    assert message in str(caught.value)


def test_a_film_is_not_overwritten(flags, films, tmp_path):
    path = tmp_path / "plain.mp4"
    path.write_bytes((films / "plain.mp4").read_bytes())
    changes = {"films": str(path), "html": str(path), "overwrite": True}
    with pytest.raises(InputError, match="is also an input"):
        visualize.main(flags(**changes))
    assert path.read_bytes() == (films / "plain.mp4").read_bytes()


def test_films_of_other_names(flags, films, tmp_path):
    with pytest.raises(InputError, match="none of its 1 films is named after"):
        visualize.main(flags(films=str(films / "other.mkv")))
    assert not (tmp_path / "page.html").exists()


def test_a_picture_with_frames(flags, films, tmp_path):
    sources = {"films": "", "html": "", "video": PLAIN}
    sources["picture"] = str(tmp_path / "picture.png")
    visualize.main(flags(**sources))
    without = imread(tmp_path / "picture.png")
    visualize.main(
        flags(**sources, film=str(films / "plain.mp4"), overwrite=True)
    )
    assert len(imread(tmp_path / "picture.png")) > len(without) + 100
    with pytest.raises(InputError, match="holds 5 videos; name one"):
        visualize.main(flags(**sources, film=str(films), overwrite=True))
