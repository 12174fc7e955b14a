"""Folders of films and features: names of files; damaged films, pictures."""

import shutil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.damage import SPECIAL, damaged
from tests.fuzz.limits import fuzzed, reading
from tfwstal.data import features_dir
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError
from tfwstal.extraction import films, frame_folders, sources

PARTS = st.sampled_from(
    ["a", "img_", "IMG_", "flow_x_", "flow_y_", "00001", "1", "2", "00003"]
    + ["9" * 12, "0", "-1", "٣", "²", ".jpg", ".png", ".JPEG", ".npy", ".mp4"]
    + [".", "..", " ", "\n", "\x1b[31m", "\udcff", "\u202e", "v_", "rgb"]
)
NAME = (
    st.lists(PARTS, min_size=1, max_size=4).map("".join)
    | st.sampled_from([text[:200] for text in SPECIAL if text])
).filter(lambda name: name not in (".", "..") and not set(name) & set("\0/"))
PICTURE = st.tuples(
    st.sampled_from(["img_", "flow_x_", "flow_y_"]),
    st.integers(0, 5) | st.sampled_from([10**9, 10**30]),
    st.sampled_from(["jpg", "png", "PNG"]),
).map(lambda parts: f"{parts[0]}{parts[1]:05d}.{parts[2]}")


@pytest.fixture
def folder(tmp_path):
    """A function that empties the same folder and fills it with files."""

    def make(names):
        root = tmp_path / "videos"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        for name in names:
            try:
                (root / name).touch()
            except (OSError, UnicodeError):  # not a file name on this system
                continue
        return root

    return make


@fuzzed(10_000)
@given(st.lists(NAME | PICTURE, max_size=6))
def test_folders_of_films(folder, names):
    root = folder(names)
    with reading(root):
        found, others = sources.find(str(root))
        assert found and others >= 0
        for source in found:
            assert not name_problem(source.name)
    with reading(root):
        listed = frame_folders.find_pictures(root)
        assert len(listed["flow_x"]) == len(listed["flow_y"])
        for paths in listed.values():
            assert len(paths) <= len(names)


@fuzzed(10_000)
@given(st.lists(NAME, max_size=6))
def test_folders_of_features(folder, names):
    root = folder(names)
    with reading(root):
        found = features_dir.find(root)
        assert found and not any(map(name_problem, found))


@fuzzed(10_000)
@given(damaged(b"a.mp4\nb.mkv\n", b"/x/a.mp4\n../b\n"))
@example(b"/x/" + b"[" * 2000)
@example((b"[" * 99 + b"/") * 20 + b"a.mp4\na.mkv\n")
def test_lists_of_films(tmp_path, content):
    path = tmp_path / "videos.txt"
    path.write_bytes(content)
    with reading(tmp_path, error=(InputError, OSError)):
        found, _ = sources.find(str(path))
        assert found and not any(name_problem(each.name) for each in found)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """The bytes of two films and two pictures."""
    film_files = pytest.importorskip("tests.extraction.film_files")
    root = tmp_path_factory.mktemp("whole")
    pictures = film_files.texture(5, (48, 32))
    film_files.write_film(root / "a.mkv", pictures)
    film_files.write_film(root / "b.mp4", pictures, codec="mpeg4")
    film_files.write_pictures(root, pictures[:1])
    film_files.cv2.imwrite(str(root / "img.jpg"), pictures[0])
    return {
        path.suffix: path.read_bytes()
        for path in root.iterdir()
        if path.is_file()
    }


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@fuzzed(3_000, short=10)
@given(st.data())
def test_films(tmp_path, whole_files, suffix, data):
    path = tmp_path / f"film{suffix}"
    path.write_bytes(data.draw(damaged(whole_files[suffix])))
    with reading(tmp_path):
        films.film_seconds(path)
    with reading(tmp_path):
        film = films.Film(path, 25.0, 32, threads=1)
        shapes = {frame.shape for frame in film.frames()}
        assert len(shapes) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@fuzzed(10_000, short=10)
@given(st.data())
def test_pictures(tmp_path, whole_files, suffix, data):
    path = tmp_path / f"img_00001{suffix}"
    path.write_bytes(data.draw(damaged(whole_files[suffix])))
    with reading(tmp_path):
        (frame,) = frame_folders.read_frames([path], 32)
        assert frame.ndim == 3
    with reading(tmp_path):
        list(frame_folders.read_flows([path], [path], 32))
