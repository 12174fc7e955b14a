"""Short films of moving shapes and random weights, for `make demo-film`.

    python -m tfrecords_tools.planting.films demo-film

    demo-film/films/*.mp4     12 s each; a disc slides or swells, then rests
    demo-film/gt.json         when it does what (ActivityNet JSON)
    demo-film/{rgb,flow}.ckpt random weights for I3D, as checkpoints

Random weights show that the pipeline from films to segments works, not how good
the published weights are.
"""

from tfwstal import quiet_start

if __name__ == "__main__":
    quiet_start.import_tensorflow()

import argparse
import pathlib

import numpy as np
import tensorflow as tf

from tfwstal import files
from tfwstal.extraction import i3d
from tfwstal.extraction.films import import_av

FPS, SECONDS, WIDTH, HEIGHT = 25, 12, 160, 120
ACTIONS = ("Slide", "Swell")
_SCOPE = {"rgb": "RGB/inception_i3d/", "flow": "Flow/inception_i3d/"}


def main(folder):
    """Writes films, their ground truth and checkpoints into a folder."""
    (folder / "films").mkdir(parents=True, exist_ok=True)
    database = {}
    for number in range(12):
        rng = np.random.default_rng(number)
        name = f"film_{number:02d}"
        segments = plant(rng, ACTIONS[number % 2])
        write_film(folder / "films" / f"{name}.mp4", draw(rng, segments))
        database[name] = {
            "subset": "train" if number < 8 else "test",
            "duration": float(SECONDS),
            "annotations": [
                {"label": label, "segment": [start, end]}
                for start, end, label in segments
            ],
        }
    files.write_json(folder / "gt.json", {"database": database}, indent=1)
    for seed, stream in enumerate(i3d.STREAM_CHANNELS):
        write_random_checkpoint(folder / f"{stream}.ckpt", stream, seed)


def plant(rng, label):
    """Two actions of one kind: list of (start, end, label) in seconds."""
    lengths = rng.uniform(1.5, 3.0, 2)
    rests = rng.dirichlet([2, 2, 2]) * (SECONDS - lengths.sum())
    first = rests[0]
    second = first + lengths[0] + rests[1]
    return [
        (round(start, 2), round(start + length, 2), label)
        for start, length in zip((first, second), lengths, strict=True)
    ]


def draw(rng, segments):
    """Yields the pictures of a film, uint8 [H, W, 3]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    background = rng.integers(20, 120, (HEIGHT // 8, WIDTH // 8, 3))
    background = background.repeat(8, axis=0).repeat(8, axis=1)
    color = rng.integers(140, 256, 3)
    middle = np.array([rng.uniform(30, 130), rng.uniform(30, 90)])
    for frame in range(FPS * SECONDS):
        time = frame / FPS
        x, y, radius = *middle, 18.0
        for start, end, label in segments:
            if start <= time < end and label == "Slide":
                x = middle[0] + 25 * np.sin(2 * np.pi * (time - start))
            elif start <= time < end:
                radius = 18 + 10 * np.sin(2 * np.pi * (time - start))
        picture = background + rng.integers(-4, 5, background.shape)
        inside = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
        picture[inside] = color
        yield np.clip(picture, 0, 255).astype(np.uint8)


def write_film(path, pictures):
    """Writes pictures as an .mp4."""
    av = import_av()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_random_checkpoint(prefix, stream, seed):
    """Writes random weights under the published names.

    Kernels have the scale at which ReLUs preserve the size of their input.
    """
    rng = np.random.default_rng(seed)
    values = {}
    for name, variable in i3d.I3D(stream).published_variables().items():
        shape = tuple(variable.shape)
        if name.endswith("/w"):
            scale = np.sqrt(2.0 / np.prod(shape[:-1]))
            value = rng.normal(0.0, scale, shape)
        else:
            value = np.full(shape, name.endswith("moving_variance"))
        values[_SCOPE[stream] + name] = value.astype(np.float32)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=[tf.constant(value) for value in values.values()],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    main(parser.parse_args().folder)
