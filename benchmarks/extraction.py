"""Speed and memory of extraction: decoding, optical flow, network.

    python -m benchmarks.extraction

Frames a second of each part alone, for a film of moving texture (320x240, 25
frames a second) and the published sizes (shorter side 256, crop 224), and the
peak memory of the command for a short and a long film.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

_EXTRACT = """
import pathlib, sys
from tfwstal.extraction import i3d, network, options, run, sources

def peak(process):
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(l.split()[1]) for l in lines if l.startswith("VmHWM"))

class Sink(run.Collector):
    reader = 0

    def add(self, source, features):
        super().add(source, features)
        for path in pathlib.Path("/proc/self/task").glob("*/children"):
            for child in path.read_text().split():
                self.reader = max(self.reader, peak(child))

found, _ = sources.find(sys.argv[1])
settings = options.Settings(flow="dis")
models = {name: i3d.I3D(name) for name in ("rgb", "flow")}
sink = Sink(lambda *_: None)
network.extract(found, settings, models, sink, 1)
print(peak("self") / 1024, sink.reader / 1024)
"""


def write_film(path, seconds):
    """Writes a film whose picture moves by (3, 1) pixels a frame."""
    import av

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (30, 40, 3), np.uint8)
    picture = noise.repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 320, 240
        stream.pix_fmt = "yuv420p"
        for number in range(25 * seconds):
            moved = np.roll(picture, (number, 3 * number), (0, 1))
            frame = av.VideoFrame.from_ndarray(moved, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def decode(path):
    """The film's frames, and frames a second of decoding."""
    from tfwstal.extraction.films import Film

    started = time.monotonic()
    frames = [frame.copy() for frame in Film(path, 25.0, 256).frames()]
    return frames, len(frames) / (time.monotonic() - started)


def flow(frames, method):
    """Frames a second of optical flow."""
    from tfwstal.extraction.flow import Flow

    compute = Flow(method)
    compute(frames[0])
    started = time.monotonic()
    for frame in frames[1:]:
        compute(frame)
    return (len(frames) - 1) / (time.monotonic() - started)


def networks(batch, turns):
    """dict stream -> frames a second of its network; in turns, medians."""
    import tensorflow as tf

    from tfwstal.extraction import i3d
    from tfwstal.extraction.network import make_network

    runs, seconds = {}, {}
    for stream, channels in i3d.STREAM_CHANNELS.items():
        clips = tf.random.uniform((batch, 16, 224, 224, channels), -1, 1)
        runs[stream] = make_network(i3d.I3D(stream)), clips
        runs[stream][0](clips)
        seconds[stream] = []
    for _ in range(turns):
        for stream, (run, clips) in runs.items():
            started = time.monotonic()
            run(clips).numpy()
            seconds[stream].append(time.monotonic() - started)
    return {s: 16 * batch / float(np.median(t)) for s, t in seconds.items()}


def memory(path):
    """Peak MB of the process with the network, and of the reader process."""
    found = subprocess.run(
        [sys.executable, "-c", _EXTRACT, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=3600,
    )
    return [float(value) for value in found.stdout.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--tvl1_frames", type=int, default=9)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--long_seconds", type=int, default=120)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "film.mp4"
        write_film(path, given.seconds)
        frames, rate = decode(path)
        print(f"decode and scale {rate:.1f} frames/s")
        print(f"flow dis {flow(frames, 'dis'):.1f} frames/s")
        some = frames[: given.tvl1_frames]
        print(f"flow tvl1 {flow(some, 'tvl1'):.2f} frames/s")
        for stream, rate in networks(given.batch, given.turns).items():
            print(f"network {stream} {rate:.1f} frames/s")
        for seconds in (given.seconds, given.long_seconds):
            write_film(path, seconds)
            ours, reader = memory(path)
            print(
                f"memory, film of {seconds} s: network {ours:.0f} MB, reader "
                f"{reader:.0f} MB"
            )


if __name__ == "__main__":
    main()
