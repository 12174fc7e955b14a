"""A row of frames of a film along the time axis, and how to play the film."""

import itertools
import math
import os
import shlex

import numpy as np

from tfwstal.extraction import frame_folders, stills
from tfwstal.plotting.rows import FilmStrip

# Width over height of a strip, as of its row in the page.
_ASPECT = 12
# Narrower frames cannot be told apart.
_MOST_FRAMES = 24
# Video codecs that Chrome, Edge, Firefox and Safari play, by container:
# https://developer.mozilla.org/docs/Web/Media/Guides/Formats/Containers
_PLAYABLE = {
    ".mp4": ("h264", "av1", "vp9"),
    ".m4v": ("h264", "av1", "vp9"),
    ".mov": ("h264",),
    ".webm": ("vp8", "vp9", "av1"),
}
_CONTAINER = {".mp4": "mov,", ".m4v": "mov,", ".mov": "mov,", ".webm": "webm"}
_PIXELS = ("yuv420p", "yuvj420p")
# What they all play; it needs even sizes.
_ENCODED = (
    "-vf 'crop=trunc(iw/2)*2:trunc(ih/2)*2' -c:v libx264 -pix_fmt yuv420p"
)


def read(source, fps, height):
    """The FilmStrip of a video.

    Args:
        source: sources.Source.
        fps: frames per second of a folder of pictures.
        height: of the strip, in pixels; it is _ASPECT times as wide.

    Raises:
        InputError: if the video cannot be read.
    """
    with stills.opened(source, fps) as film:
        return FilmStrip(
            f"{source.path.name}: {film.seconds:.1f} s",
            _picture(film, height),
            film.seconds,
            source.path,
            source.is_folder,
            playback_problem(source, film.coding),
            command(source, film.coding, fps),
        )


def playback_problem(source, coding):
    """Why browsers do not play a video, or ""."""
    if source.is_folder:
        return "Browsers do not play folders of pictures"
    suffix = source.path.suffix.lower()
    if _is_known(coding, suffix) and _CONTAINER[suffix] in coding.container:
        return ""
    return (
        f"Most browsers do not play {coding.codec} video ({coding.pixels}) in "
        f"{suffix or 'a file without suffix'}"
    )


def _is_known(coding, suffix):
    """Whether browsers play this coding in files of a suffix."""
    return coding.codec in _PLAYABLE.get(suffix, ()) and (
        coding.pixels in _PIXELS
    )


def command(source, coding, fps):
    """The ffmpeg command that makes a film which browsers play."""
    # Bytes of a path that are not text cannot be in a page.
    path = os.fsencode(source.path).decode(errors="replace")
    new = shlex.quote(f"NEW_FOLDER/{source.name}.mp4")
    if source.is_folder:
        first = frame_folders.find_pictures(source.path)["img"][0]
        pattern = f"{path}/{first.name[: len('img_')]}*{first.suffix}"
        return (
            f"ffmpeg -framerate {fps:g} -pattern_type glob "
            f"-i {shlex.quote(pattern)} {_ENCODED} {new}"
        )
    # What browsers know only needs another container.
    video = "-c:v copy" if _is_known(coding, ".mp4") else _ENCODED
    return f"ffmpeg -i {shlex.quote(path)} {video} -c:a aac {new}"


def _picture(film, height):
    """The frames at the middles of equal parts of a film, side by side."""
    width = _ASPECT * height
    first = film.frame(0.0, height)
    aspect = first.shape[1] / first.shape[0]
    shorter_side = max(1, round(height * min(aspect, 1)))
    count = min(math.ceil(_ASPECT / aspect), _MOST_FRAMES)
    edges = np.linspace(0, width, count + 1).round().astype(int)
    picture = np.full((height, width, 3), 255, np.uint8)
    for left, right in itertools.pairwise(edges):
        middle = film.seconds * (left + right) / 2 / width
        frame = film.frame(middle, shorter_side)
        _paste(picture[:, left : right - 1], frame)
    return picture


def _paste(cell, frame):
    """Copies the middle of a frame into the middle of a cell, in place."""
    height = min(len(cell), len(frame))
    width = min(cell.shape[1], frame.shape[1])
    _middle(cell, height, width)[:] = _middle(frame, height, width)


def _middle(picture, height, width):
    top = (picture.shape[0] - height) // 2
    left = (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]
