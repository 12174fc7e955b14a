"""Frames of a film, by PyAV, whose wheel brings FFmpeg."""

import numpy as np

from tfwstal.errors import InputError
from tfwstal.extraction.pictures import scaled_size
from tfwstal.extraction.sampling import at_frame_rate


def import_av():
    """PyAV.

    Raises:
        InputError: if it is not installed.
    """
    try:
        import av
    except ImportError:
        raise InputError(
            "decoding films needs PyAV; install it with "
            "pip install 'tfwstal[extract]'"
        ) from None
    # FFmpeg's own lines say nothing that the notes here do not.
    av.logging.set_level(None)
    return av


def film_seconds(path):
    """Duration of a film's video stream as its header has it.

    Returns:
        seconds, or None where the header does not say.

    Raises:
        InputError: if it is not a film, or has no video.
    """
    with open_film(path) as container:
        return declared_seconds(container, video_stream(path, container))


class Film:
    """The frames of one film at a fixed rate, upright and scaled.

    Args:
        path: the film.
        fps: frames a second; `sampling.at_frame_rate` says which.
        shorter_side: pixels of the shorter side.
        threads: that decode; 0 leaves it to FFmpeg.

    Attributes:
        notes: after the last frame, what is odd about the film, as texts.
    """

    def __init__(self, path, fps, shorter_side, threads=0):
        self.path = path
        self.notes = []
        self._fps = fps
        self._shorter_side = shorter_side
        self._threads = threads
        self._bad_packets = 0
        self._bad_frames = 0
        self._seconds = 0.0

    def frames(self):
        """Yields uint8 [H, W, 3], RGB.

        A film that breaks off gives the frames before that, and a note.

        Raises:
            InputError: if there is no frame at all.
        """
        av = import_av()
        upright = Upright(self._shorter_side)
        with open_film(self.path) as container:
            stream = video_stream(self.path, container)
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = self._threads
            count = 0
            timed = self._timed(av, container, stream)
            for frame in at_frame_rate(timed, self._fps):
                count += 1
                yield upright(frame)
            if not count:
                raise InputError(
                    f"{self.path}: no frame can be decoded "
                    f"({stream.codec_context.name}); check that it plays"
                )
            self._note(declared_seconds(container, stream))

    def _timed(self, av, container, stream):
        """Yields (start, end, frame), in seconds, of what can be decoded."""
        rate = stream.guessed_rate or stream.average_rate
        usual = 1.0 / float(rate) if rate else 0.04
        end = None
        zero = None
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.notes.append(f"it breaks off ({error.strerror})")
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._bad_packets += 1
                continue
            for frame in frames:
                start = frame.time
                if start is None:
                    start = 0.0 if end is None else end
                length = float((frame.duration or 0) * frame.time_base)
                end = start + (length or usual)
                zero = start if zero is None else zero
                self._seconds = end - zero
                self._bad_frames += frame.is_corrupt
                yield start, end, frame

    def _note(self, declared):
        if self._bad_packets:
            self.notes.append(
                f"{self._bad_packets} of its packets cannot be decoded"
            )
        if self._bad_frames:
            self.notes.append(f"{self._bad_frames} of its frames are damaged")
        late = self._seconds + max(1.0, 0.02 * self._seconds)
        if declared is not None and declared > late:
            self.notes.append(
                f"its video ends at {self._seconds:.2f} s, its header says "
                f"{declared:.2f} s"
            )


class Upright:
    """Decoded frames -> arrays of one size, as a player shows them."""

    def __init__(self, shorter_side):
        av = import_av()
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._bilinear = av.video.reformatter.Interpolation.BILINEAR
        self._shorter_side = shorter_side
        self._size = None
        self._last = (None, None)

    def __call__(self, frame):
        if self._last[0] is not frame:
            self._last = (frame, self._convert(frame))
        return self._last[1]

    def _convert(self, frame):
        if self._size is None:
            # Of the first frame for all: flow needs frames of one size.
            self._size = scaled_size(
                frame.width, frame.height, self._shorter_side
            )
            # Phones store how to turn the picture instead of turning it.
            self._quarters = round(frame.rotation / 90) % 4
        scaled = self._reformatter.reformat(
            frame, *self._size, "rgb24", interpolation=self._bilinear
        )
        return np.rot90(scaled.to_ndarray(), self._quarters)


def open_film(path):
    """The open container of a film, a context manager.

    Raises:
        InputError: if it is not a film.
    """
    av = import_av()
    try:
        # Titles in other encodings than UTF-8 are of no use here.
        return av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path} cannot be opened as a film ({error.strerror}); check "
            "that it plays, or leave it out"
        ) from None


def video_stream(path, container):
    """The first video stream of a container that is not a cover picture.

    Raises:
        InputError: if there is none, or FFmpeg cannot decode it.
    """
    av = import_av()
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if stream.disposition & cover:
            continue
        if stream.codec_context is None:
            raise InputError(
                f"{path}: FFmpeg has no decoder for its video; re-encode it "
                "with a program that has one (ffmpeg -i FILM NEW.mp4)"
            )
        return stream
    kinds = sorted({stream.type for stream in container.streams})
    raise InputError(
        f"{path} has no video stream ({', '.join(kinds) or 'nothing'} only); "
        "leave it out"
    )


def declared_seconds(container, stream):
    """The duration in the header, in seconds; None if it has none."""
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return container.duration / 1e6  # FFmpeg's AV_TIME_BASE
    return None
