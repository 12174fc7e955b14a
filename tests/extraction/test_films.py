"""Frames of films: times, rotation, and messages about broken films."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from tests.extraction.film_files import (
    gray,
    texture,
    turn,
    write_film,
    write_sound,
)
from tfwstal.errors import InputError
from tfwstal.extraction.films import Film, film_seconds
from tfwstal.extraction.sampling import at_frame_rate


def nearest_frames(starts, end, fps):
    """Indices of the nearest frames, by a linear search for each.

    With fractions, so that rounding does not decide ties.
    """
    total = max(1, math.floor((end - starts[0]) * fps + Fraction(1, 2)))
    chosen = []
    for number in range(total):
        distance = [abs(s - starts[0] - number / fps) for s in starts]
        chosen.append(distance.index(min(distance)))
    return chosen


@pytest.mark.parametrize("seed", range(10))
def test_the_nearest_frame_is_taken(seed):
    rng = np.random.default_rng(seed)
    gaps = rng.choice([5, 20, 33, 40, 100, 1000], 40).tolist()
    starts = [Fraction(s, 1000) for s in itertools.accumulate(gaps)]
    end = starts[-1] + Fraction(int(rng.integers(0, 200)), 1000)
    for fps in (Fraction(25), Fraction(2997, 100), Fraction(7)):
        expected = nearest_frames(starts, end, fps)
        times = [float(time) for time in [*starts, end]]
        timed = zip(times, times[1:], range(len(starts)), strict=False)
        assert list(at_frame_rate(timed, float(fps))) == expected


def test_no_frame_one_frame_and_times_that_do_not_ascend():
    assert list(at_frame_rate([], 25)) == []
    assert list(at_frame_rate([(3.0, 3.0, "a")], 25)) == ["a"]
    timed = [(0, 0.04, "a"), (0.04, 0.08, "b"), (0.04, 0.08, "c")]
    assert list(at_frame_rate([*timed, (0.02, 0.06, "d")], 25)) == ["a", "b"]


def test_a_jump_of_the_clock():
    with pytest.raises(InputError, match=r"jump from 0.0 s to 700.0 s"):
        list(at_frame_rate([(5, 5.04, "a"), (705, 705.04, "b")], 25))


def levels(film):
    """The gray level of each frame of a Film."""
    frames = list(film.frames())
    assert all(np.ptp(frame) == 0 for frame in frames)
    return [int(frame[0, 0, 0]) for frame in frames]


def test_a_film_of_the_same_rate_keeps_its_frames(tmp_path):
    write_film(tmp_path / "a.mkv", gray(range(0, 200, 5)))
    film = Film(tmp_path / "a.mkv", 25.0, 24)
    assert levels(film) == list(range(0, 200, 5))
    assert film.notes == []
    assert film_seconds(tmp_path / "a.mkv") == pytest.approx(40 / 25, abs=0.01)


def test_other_rates_are_converted_by_time(tmp_path):
    write_film(tmp_path / "a.mkv", gray(range(0, 240, 2)), fps=50)
    # 120 frames at 50 fps last 2.4 s: 60 at 25 fps, every other one.
    found = levels(Film(tmp_path / "a.mkv", 25.0, 24))
    assert found == list(range(0, 240, 4))
    write_film(tmp_path / "b.mkv", gray(range(0, 60, 2)), fps=30)
    # 30 frames at 30 fps last 1 s. At 25 fps, frame 3 is at 120 ms, nearest to
    # frame 4 at 133 ms: five of six are taken.
    found = levels(Film(tmp_path / "b.mkv", 25.0, 24))
    assert found[:6] == [0, 2, 4, 8, 10, 12]
    assert len(found) == 25


def test_a_variable_frame_rate(tmp_path):
    times = [0, 40, 80, 1000, 1040, 1500]
    write_film(tmp_path / "a.mkv", gray(range(6)), times_ms=times)
    found = levels(Film(tmp_path / "a.mkv", 25.0, 24))
    # Halfway between 80 and 1000 ms is 540 ms; frame 13 is at 520, 14 at 560.
    assert found[:3] == [0, 1, 2]
    assert found[13:15] == [2, 3]
    assert found[25:27] == [3, 4]
    # Halfway between 1040 and 1500 ms is 1270: 31 at 1240, 32 at 1280.
    assert found[31:33] == [4, 5]
    assert len(found) in (38, 39)  # 1500 ms plus the last frame's length


def quarters(picture):
    """Gray levels of top left, top right, bottom left, bottom right."""
    height, width = picture.shape[:2]
    return [
        int(picture[y, x].mean())
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    ]


def four_corners(num_frames, width=64, height=48):
    pictures = np.zeros((num_frames, height, width, 3), np.uint8)
    pictures[:, : height // 2, : width // 2] = 20
    pictures[:, : height // 2, width // 2 :] = 90
    pictures[:, height // 2 :, : width // 2] = 160
    pictures[:, height // 2 :, width // 2 :] = 230
    return pictures


# By hand from the matrix: (0, 1, -1, 0) shows x downwards and y to the left, a
# turn to the right that moves the top left corner to the top right.
@pytest.mark.parametrize(
    ("matrix", "shape", "corners"),
    [
        ((1, 0, 0, 1), (48, 64), [20, 90, 160, 230]),
        ((0, 1, -1, 0), (64, 48), [160, 20, 230, 90]),
        ((-1, 0, 0, -1), (48, 64), [230, 160, 90, 20]),
        ((0, -1, 1, 0), (64, 48), [90, 230, 20, 160]),
    ],
)
def test_a_phones_rotation_is_applied(tmp_path, matrix, shape, corners):
    path = tmp_path / "phone.mp4"
    write_film(path, four_corners(3), codec="mpeg4")
    turn(path, matrix)
    frames = list(Film(path, 25.0, 48).frames())
    assert [frame.shape for frame in frames] == [(*shape, 3)] * 3
    np.testing.assert_allclose(quarters(frames[1]), corners, atol=8)


@pytest.mark.parametrize("size", [(67, 101), (101, 67), (33, 33)])
def test_odd_sizes(tmp_path, size):
    path = tmp_path / "odd.mkv"
    write_film(path, four_corners(2, *size))
    (frame, _) = Film(path, 25.0, 40).frames()
    longer = round(max(size) * 40 / min(size))
    expected = (longer, 40) if size[1] > size[0] else (40, longer)
    assert frame.shape == (*expected, 3)
    np.testing.assert_allclose(quarters(frame), [20, 90, 160, 230], atol=2)


def test_scaling_is_bilinear(tmp_path):
    # Twice as wide: each new pixel is 3/4 of the nearest and 1/4 of the next.
    columns = np.arange(10, 250, 10)
    picture = np.broadcast_to(columns[:, None], (24, 24, 3)).astype(np.uint8)
    write_film(tmp_path / "a.mkv", np.stack([picture] * 2))
    (frame, _) = Film(tmp_path / "a.mkv", 25.0, 48).frames()
    expected = columns.repeat(2) + np.tile([-2.5, 2.5], 24)
    np.testing.assert_allclose(frame[24, 1:-1, 0], expected[1:-1], atol=1)


def test_a_broken_end_gives_the_frames_before_it_and_a_note(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (100, 24, 32, 3), np.uint8)
    write_film(tmp_path / "whole.mp4", pictures, codec="mpeg4")
    write_film(tmp_path / "whole.mkv", pictures, codec="mpeg4")
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    film = Film(tmp_path / "cut.mkv", 25.0, 24)
    assert 40 <= len(list(film.frames())) <= 60
    assert "its header says 4.0" in film.notes[-1]
    # The index of an .mp4 is at its end.
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cut.mp4 cannot be opened as a film"):
        list(Film(tmp_path / "cut.mp4", 25.0, 24).frames())


# In an .mp4 the damaged packets fail; in an .mpg the decoder skips to the next
# whole packet and marks the frames it made up.
@pytest.mark.parametrize(
    ("name", "codec", "note"),
    [
        ("a.mp4", "mpeg4", "packets cannot be decoded"),
        ("a.mpg", "mpeg2video", "frames are damaged"),
    ],
)
def test_damage_in_the_middle_is_counted(tmp_path, name, codec, note):
    path = tmp_path / name
    write_film(path, texture(60, (160, 120)), codec=codec)
    content = bytearray(path.read_bytes())
    start, length = len(content) // 2, len(content) // 8
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
    film = Film(path, 25.0, 24)
    assert len(list(film.frames())) == 60
    assert any(note in each for each in film.notes)


def test_what_is_not_a_film(tmp_path):
    write_sound(tmp_path / "sound.mp4")
    (tmp_path / "text.mp4").write_text("no film at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name, message in (
        ("sound.mp4", r"has no video stream \(audio only\)"),
        ("text.mp4", "cannot be opened as a film"),
        ("empty.mp4", "cannot be opened as a film"),
        ("none.mp4", "cannot be opened as a film"),
    ):
        with pytest.raises(InputError, match=message):
            list(Film(tmp_path / name, 25.0, 24).frames())
        with pytest.raises(InputError, match=message):
            film_seconds(tmp_path / name)
