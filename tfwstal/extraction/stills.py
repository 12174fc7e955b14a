"""Single frames of a video at given times, without decoding all of it."""

import contextlib
import dataclasses

from tfwstal.errors import InputError
from tfwstal.extraction import films, frame_folders

_TIE_SECONDS = 1e-6  # what rounding may take from a frame's time
_EARLY_SECONDS = 10.0  # a seek to so long before the start finds the start


@dataclasses.dataclass(frozen=True)
class Coding:
    """How a film is stored, in FFmpeg's names.

    Attributes:
        container: comma-separated names, such as "mov,mp4,m4a,3gp,3g2,mj2".
        codec: such as "h264".
        pixels: pixel format, such as "yuv420p".
    """

    container: str
    codec: str
    pixels: str


@contextlib.contextmanager
def opened(source, fps):
    """Opens a video.

    Args:
        source: sources.Source.
        fps: frames per second of a folder of pictures.

    Yields:
        object with `seconds`, the video's length; `coding`, the Coding of a
        film, None for pictures; and `frame(time, shorter_side)`, which returns
        the frame shown `time` seconds after the first one, uint8 [H, W, 3].

    Raises:
        InputError: if the video cannot be read.
    """
    if source.is_folder:
        yield _Pictures(source.path, fps)
        return
    with films.open_film(source.path) as container:
        yield _Film(source.path, container)


class _Film:
    """Frames of a film, each found by a seek to the key frame before it."""

    def __init__(self, path, container):
        self._path, self._container = path, container
        self._stream = films.video_stream(path, container)
        self._stream.thread_type = "AUTO"
        codec = self._stream.codec_context
        self.coding = Coding(
            container.format.name, codec.name, codec.pix_fmt or "unknown"
        )
        first = next(self._frames(), None)
        if first is None:
            raise InputError(
                f"{path}: no frame can be decoded ({codec.name}); check that "
                "it plays"
            )
        self._start = first.time or 0.0
        self.seconds = films.declared_seconds(container, self._stream)
        if self.seconds is None:
            self.seconds = self._last_time() - self._start

    def frame(self, time, shorter_side):
        time += self._start
        back = 0.0
        # A transport stream is entered at some key frame near the time.
        while (found := self._before(time, seek_to=time - back)) is None:
            if time - back < self._start - _EARLY_SECONDS:
                raise InputError(f"{self._path}: no frame at {time:.2f} s")
            back = 2 * back + 1.0
        return films.Upright(shorter_side)(found)

    def _before(self, time, seek_to):
        """The last frame that starts by `time`, or None if all are later."""
        found = None
        self._seek(seek_to)
        for frame in self._frames():
            if frame.time is None or frame.time > time + _TIE_SECONDS:
                break
            found = frame
        return found

    def _seek(self, time):
        ticks = int(time / self._stream.time_base)
        try:
            self._container.seek(ticks, stream=self._stream)
        except films.import_av().error.FFmpegError as error:
            raise InputError(
                f"{self._path}: no seeking in it ({error.strerror}); "
                "re-encode it (ffmpeg -i FILM NEW.mp4)"
            ) from None

    def _frames(self):
        """Yields frames from where the container stands; skips damaged ones."""
        error = films.import_av().error.FFmpegError
        with contextlib.suppress(error):  # the film breaks off
            for packet in self._container.demux(self._stream):
                with contextlib.suppress(error):  # a damaged packet
                    yield from packet.decode()

    def _last_time(self):
        """Where the last frame ends, as a film recorded live does not say."""
        self._seek(self._start - _EARLY_SECONDS)
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in self._container.demux(self._stream)
            if packet.pts is not None
        ]
        return max(ends, default=self._start)


class _Pictures:
    """Frames of a folder of pictures."""

    coding = None

    def __init__(self, folder, fps):
        self._paths = frame_folders.find_pictures(folder)["img"]
        if not self._paths:
            raise InputError(f"{folder} has no pictures img_00001.jpg")
        self._fps = fps
        self.seconds = len(self._paths) / fps

    def frame(self, time, shorter_side):
        number = min(int(time * self._fps), len(self._paths) - 1)
        (frame,) = frame_folders.read_frames(
            [self._paths[number]], shorter_side
        )
        return frame
