"""Films and folders of pictures, written by the tests."""

import struct
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")


def gray(levels, size=(32, 24)):
    """Pictures [n, H, W, 3] of one gray level each; size is (width, height)."""
    levels = np.asarray(levels, np.uint8)[:, None, None, None]
    return np.broadcast_to(levels, (len(levels), size[1], size[0], 3))


def texture(num_frames, size=(64, 48), shift=(2, 1), seed=0):
    """A smooth random picture that moves by `shift` (x, y) pixels a frame."""
    noise = np.random.default_rng(seed).uniform(0, 255, (size[1], size[0], 3))
    # Tiled, so that it is also smooth across its borders.
    smooth = cv2.GaussianBlur(np.tile(noise, (3, 3, 1)), (0, 0), 2)
    smooth = smooth[size[1] : 2 * size[1], size[0] : 2 * size[0]]
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return np.stack(
        [
            np.roll(
                smooth.astype(np.uint8), (i * shift[1], i * shift[0]), (0, 1)
            )
            for i in range(num_frames)
        ]
    )


def write_film(path, pictures, fps=25, times_ms=None, codec="ffv1", options=()):
    """Writes pictures [n, H, W, 3] as a film; ffv1 in .mkv is lossless.

    Args:
        path: the suffix chooses the container.
        pictures: uint8, RGB.
        fps: frames a second.
        times_ms: time of each frame, instead of `fps`.
        codec: FFmpeg's name.
        options: (name, value) pairs of the codec.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options))
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        base = Fraction(1, 1000) if times_ms is not None else Fraction(1, fps)
        stream.codec_context.time_base = base
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(picture), "rgb24"
            )
            frame.pts = number if times_ms is None else int(times_ms[number])
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_sound(path):
    """Writes half a second of silence, without video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000), np.float32), "fltp", "mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def turn(path, matrix):
    """Gives an .mp4 a display matrix, as a phone does.

    `matrix` is (a, b, c, d) of QuickTime's tkhd box: a stored pixel (x, y) is
    shown at (a x + c y, b x + d y), with y downwards.
    """
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def write_pictures(folder, pictures, name="img", first=1):
    """Writes pictures as NAME_00001.png, NAME_00002.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, start=first):
        if picture.ndim == 3:
            picture = picture[..., ::-1]  # OpenCV uses BGR
        cv2.imwrite(str(folder / f"{name}_{number:05d}.png"), picture)
