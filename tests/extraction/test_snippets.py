"""Snippets of frames and flow; folders of pictures; lists of videos."""

import numpy as np
import pytest

from tests.extraction.film_files import (
    cv2,
    gray,
    texture,
    write_film,
    write_pictures,
)
from tfwstal.errors import InputError
from tfwstal.extraction import pictures, sources
from tfwstal.extraction.flow import Flow, flow_values
from tfwstal.extraction.options import Settings
from tfwstal.extraction.sources import Reading, Source

SMALL = {"shorter_side": 24, "crop_size": 16}


def read(path, **settings):
    """The snippets of a video, stacked, and the Reading."""
    source = Source(path.stem, path, path.is_dir())
    reading = Reading(source, Settings(**{**SMALL, **settings}))
    streams = zip(*reading.snippets(), strict=True)
    return [None if s[0] is None else np.stack(s) for s in streams], reading


def test_centre_crop_and_scaling():
    assert pictures.scaled_size(320, 240, 256) == (341, 256)
    assert pictures.scaled_size(240, 320, 256) == (256, 341)
    assert pictures.scaled_size(256, 256, 256) == (256, 256)
    # 341 - 224 is 117: 58 columns are cut on the left, 59 on the right.
    grid = np.arange(256 * 341).reshape(256, 341)
    cut = pictures.centre(grid, 224)
    assert cut.shape == (224, 224)
    assert cut[0, 0] == 16 * 341 + 58
    values = pictures.rgb_values(np.array([0, 255, 102], np.uint8))
    np.testing.assert_allclose(values, [-1, 1, -0.2], atol=1e-6)


@pytest.mark.parametrize(
    ("num_frames", "num_snippets", "left_out"),
    [(16, 1, 0), (31, 1, 15), (32, 2, 0), (50, 3, 2)],
)
def test_frames_after_the_last_snippet_are_left_out(
    tmp_path, num_frames, num_snippets, left_out
):
    write_film(tmp_path / "a.mkv", gray(range(num_frames)))
    (rgb, flow), reading = read(tmp_path / "a.mkv", flow="dis")
    assert rgb.shape == (num_snippets, 16, 16, 16, 3)
    assert rgb.dtype == np.uint8
    # n frames have n - 1 flows; the last is repeated.
    assert flow.shape == (num_snippets, 16, 16, 16, 2)
    np.testing.assert_array_equal(
        rgb[..., 0, 0, 0].ravel(), range(16 * num_snippets)
    )
    assert (reading.count.frames, reading.count.left_out) == (
        num_frames,
        left_out,
    )


def test_one_stream_alone(tmp_path):
    write_film(tmp_path / "a.mkv", gray(range(16)))
    (rgb, flow), _ = read(tmp_path / "a.mkv", flow="none")
    assert flow is None
    assert rgb.shape == (1, 16, 16, 16, 3)
    (rgb, flow), _ = read(tmp_path / "a.mkv", flow="dis", rgb=False)
    assert rgb is None
    assert flow.shape == (1, 16, 16, 16, 2)


def test_too_short(tmp_path):
    write_film(tmp_path / "a.mkv", gray(range(15)))
    with pytest.raises(InputError, match="15 frames, fewer than the 16 of one"):
        read(tmp_path / "a.mkv", flow="dis")
    write_film(tmp_path / "a.mkv", gray([7]))
    with pytest.raises(InputError, match="a single frame, and flow needs two"):
        read(tmp_path / "a.mkv", flow="dis", frames_per_snippet=1)


# In each frame the picture moves 2 pixels to the right and 1 down.
@pytest.mark.parametrize("method", ["tvl1", "dis"])
def test_flow_is_that_of_the_frames(method):
    flow = Flow(method)
    frames = texture(3, size=(64, 48), shift=(2, 1))
    assert flow(frames[0]) is None
    for frame in frames[1:]:
        found = flow(frame)
        assert found.shape == (48, 64, 2)
        inside = found[8:-8, 8:-8].reshape(-1, 2)
        np.testing.assert_allclose(
            np.median(inside, axis=0), [2 / 20, 1 / 20], atol=0.01
        )


def test_flow_is_truncated():
    pixels = np.array([-50.0, -20.0, 5.0, 20.0, 21.0])
    np.testing.assert_array_equal(flow_values(pixels), [-1, -1, 0.25, 1, 1])


def test_each_snippet_has_the_flows_from_its_frames(tmp_path):
    # Flow k goes from frame k to k + 1, as DIS computes it for each pair alone.
    frames = texture(9, size=(32, 24), shift=(1, 2))
    write_film(tmp_path / "a.mkv", frames)
    (_, found), _ = read(tmp_path / "a.mkv", flow="dis", frames_per_snippet=3)
    expected = []
    for first, second in zip(frames, frames[1:], strict=False):
        flow = Flow("dis")
        flow(first)
        expected.append(flow(second)[4:20, 8:24])
    expected.append(expected[-1])
    np.testing.assert_array_equal(found.reshape(9, 16, 16, 2), expected)


def folder_with_flow(folder, num_frames, num_flows):
    write_pictures(folder, gray(range(num_frames), (24, 24)))
    for name, level in (("flow_x", 0), ("flow_y", 51)):
        levels = np.arange(num_flows) + level
        flows = np.broadcast_to(levels[:, None, None], (num_flows, 24, 24))
        write_pictures(folder, flows.astype(np.uint8), name)


@pytest.mark.parametrize("num_flows", [9, 10])
def test_pictures_of_frames_and_flow(tmp_path, num_flows):
    folder_with_flow(tmp_path / "v", 10, num_flows)
    (rgb, flow), reading = read(
        tmp_path / "v", flow="images", frames_per_snippet=5
    )
    np.testing.assert_array_equal(rgb[..., 3, 3, 1].ravel(), range(10))
    # Pixels 0 to 255 mean flows of -20 to 20, which become -1 to 1.
    x = [-1 + 2 * min(k, num_flows - 1) / 255 for k in range(10)]
    np.testing.assert_allclose(flow[..., 3, 3, 0].ravel(), x, atol=1e-6)
    np.testing.assert_allclose(
        flow[..., 3, 3, 1].ravel(), np.array(x) + 2 * 51 / 255, atol=1e-6
    )
    assert (reading.count.frames, reading.count.left_out) == (10, 0)
    (rgb, flow), _ = read(
        tmp_path / "v", flow="images", frames_per_snippet=9, rgb=False
    )
    assert rgb is None
    assert flow.shape[:2] == (1, 9)


def test_pictures_and_a_film_of_them_are_the_same(tmp_path):
    frames = texture(20, size=(40, 24))
    write_film(tmp_path / "a.mkv", frames)
    write_pictures(tmp_path / "v", frames, first=0)
    film, _ = read(tmp_path / "a.mkv", flow="dis")
    folder, _ = read(tmp_path / "v", flow="dis")
    for ours, theirs in zip(film, folder, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_unusable_pictures(tmp_path):
    folder = tmp_path / "v"
    folder_with_flow(folder, 10, 8)
    with pytest.raises(InputError, match="10 frames and 8 flows"):
        read(folder, flow="images")
    (folder / "flow_y_00008.png").unlink()
    with pytest.raises(InputError, match=r"8 pictures flow_x_\* and 7 flow_y"):
        read(folder, flow="images")
    for path in folder.glob("flow_*"):
        path.unlink()
    (folder / "img_00004.png").unlink()
    with pytest.raises(
        InputError, match="img_00004 is missing before img_0001"
    ):
        read(folder, flow="none")
    write_pictures(folder, gray([3], (30, 24)), first=4)
    with pytest.raises(
        InputError, match="img_00004.png is 30x24, the pictures"
    ):
        read(folder, flow="none")
    (folder / "img_00004.png").write_bytes(b"half")
    with pytest.raises(
        InputError, match="img_00004.png is not a whole picture"
    ):
        read(folder, flow="none")
    (folder / "img_00004.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="have the same number"):
        read(folder, flow="none")


def test_flow_pictures_are_not_scaled(tmp_path):
    folder_with_flow(tmp_path / "v", 10, 9)
    with pytest.raises(InputError, match="24x24: flow cannot be scaled"):
        read(tmp_path / "v", flow="images", shorter_side=32)


def test_frames_without_the_requested_flow(tmp_path):
    write_pictures(tmp_path / "v", gray(range(20), (24, 24)))
    with pytest.raises(InputError, match="no pictures flow_x_00001.jpg"):
        read(tmp_path / "v", flow="images")
    write_film(tmp_path / "a.mkv", gray(range(20)))
    with pytest.raises(InputError, match="it is a film, and --flow=images"):
        read(tmp_path / "a.mkv", flow="images")


def test_real_frames(shared_data):
    folder = shared_data / "frames" / "video_validation_0000051"
    reading = Reading(
        Source("v", folder, True),
        Settings(flow="none", shorter_side=224),
    )
    assert sum(1 for _ in reading.snippets()) == 40
    assert (reading.count.frames, reading.count.left_out) == (640, 0)


def test_the_published_video_has_265_snippets(tmp_path):
    # 4,243 frames, 3 of them after the last whole snippet.
    picture = np.zeros((16, 16, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "one.png"), picture)
    (tmp_path / "v").mkdir()
    for number in range(1, 4244):
        (tmp_path / "v" / f"img_{number:05d}.png").symlink_to(
            tmp_path / "one.png"
        )
    settings = Settings(flow="none", shorter_side=16, crop_size=16)
    reading = Reading(Source("v", tmp_path / "v", True), settings)
    assert sum(1 for _ in reading.snippets()) == 265
    assert reading.count.left_out == 3


def test_videos_of_a_folder(tmp_path):
    for name in ("b.MP4", "a.mkv", "notes.doc", ".hidden.mp4"):
        (tmp_path / name).write_bytes(b"")
    write_pictures(tmp_path / "frames", gray([1, 2]))
    (tmp_path / "empty").mkdir()
    found, others = sources.find(tmp_path)
    assert [source.name for source in found] == ["a", "b", "frames"]
    assert [source.is_folder for source in found] == [False, False, True]
    assert others == 2
    (only,), _ = sources.find(tmp_path / "frames")
    assert (only.name, only.is_folder) == ("frames", True)
    assert only.seconds(25.0) == 2 / 25
    (only,), _ = sources.find(tmp_path / "b.MP4")
    assert (only.name, only.is_folder) == ("b", False)


def test_videos_of_a_list(tmp_path):
    (tmp_path / "films").mkdir()
    (tmp_path / "list.txt").write_text("films/b.dat\n\nfilms/a.mp4\n")
    found, others = sources.find(tmp_path / "list.txt")
    assert [s.path for s in found] == [
        tmp_path / "films" / "a.mp4",
        tmp_path / "films" / "b.dat",
    ]
    assert others == 0


def test_no_videos(tmp_path):
    with pytest.raises(InputError, match="holds no film"):
        sources.find(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        sources.find(tmp_path / "none")
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(InputError, match="is empty; name a film a line"):
        sources.find(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("x/a.mp4\ny/a.avi")
    with pytest.raises(InputError, match="have the same name"):
        sources.find(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("a.mp4\n\na.mp4")
    with pytest.raises(InputError, match="line 3: repeats .*, line 1;"):
        sources.find(tmp_path / "list.txt")
    (tmp_path / " a.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="begins or ends with a blank"):
        sources.find(tmp_path)


def test_a_square_larger_than_the_frame():
    with pytest.raises(ValueError, match="crop_size=224 is larger"):
        Settings(shorter_side=200)
