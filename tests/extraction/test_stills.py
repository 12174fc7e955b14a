"""Single frames of videos at given times, in any container."""

import numpy as np
import pytest

from tests.extraction.film_files import (
    av,
    gray,
    texture,
    turn,
    write_film,
    write_pictures,
    write_sound,
)
from tfwstal.errors import InputError
from tfwstal.extraction import sources, stills

TIMES = (0.0, 0.5, 3.0, 5.02, 7.98, 1.0)


def read(path, times=TIMES, side=16):
    """The length of a video, and the gray level of its frames at `times`."""
    (source,), _ = sources.find(path)
    with stills.opened(source, 25.0) as video:
        return video.seconds, [video.frame(t, side).mean() for t in times]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "ffv1"),
        ("a.mp4", "libx264"),
        ("a.webm", "libvpx"),
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),  # seeking ends after the requested time
    ],
)
def test_a_frame_is_that_of_its_time(tmp_path, name, codec):
    """Key frames are two seconds apart."""
    path = tmp_path / name
    write_film(path, gray(range(200)), codec=codec, options=[("g", "50")])
    seconds, found = read(path)
    assert seconds == pytest.approx(8.0, abs=0.05)
    # At 25 fps, frame n is shown from n / 25 s on.
    expected = [0, 12, 75, 125, 199, 25]
    # The conversion to YUV and lossy codecs round the levels.
    np.testing.assert_allclose(found, expected, atol=4)


def test_a_film_recorded_live_states_no_length(tmp_path):
    path = tmp_path / "a.webm"
    with av.open(str(path), "w", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for picture in gray(range(0, 200, 2)):
            frame = av.VideoFrame.from_ndarray(picture.copy(), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    seconds, (first, last) = read(path, (0.0, 3.98))
    assert seconds == pytest.approx(4.0, abs=0.05)
    assert (first, last) == pytest.approx((0, 198), abs=4)


def test_frames_are_upright_and_scaled(tmp_path):
    path = tmp_path / "a.mp4"
    write_film(path, texture(5, (64, 48)), codec="libx264")
    turn(path, (0, 1, -1, 0))
    (source,), _ = sources.find(path)
    with stills.opened(source, 25.0) as film:
        assert film.frame(0.1, 24).shape == (32, 24, 3)
        assert film.coding.codec == "h264"
        assert "mp4" in film.coding.container


def test_a_folder_of_pictures(tmp_path):
    write_pictures(tmp_path / "a", gray(range(0, 100, 10)))
    seconds, found = read(tmp_path / "a", (0.0, 0.11, 0.39, 9.0))
    assert seconds == 10 / 25
    assert found == [0, 20, 90, 90]


def test_what_has_no_frames_is_named(tmp_path):
    (tmp_path / "bad.mp4").write_text("no film")
    write_sound(tmp_path / "sound.mp4")
    write_pictures(tmp_path / "flow", gray([1, 2])[..., 0], "flow_x")
    write_pictures(tmp_path / "flow", gray([1, 2])[..., 0], "flow_y")
    for name in ("bad.mp4", "sound.mp4", "flow"):
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)
