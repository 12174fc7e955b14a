"""The films and checkpoints of `make demo-film`."""

import numpy as np

from tests.extraction import film_files  # noqa: F401  (skips without PyAV)
from tfrecords_tools.planting import films
from tfwstal.extraction import weights
from tfwstal.extraction.films import Film


def test_the_disc_moves_only_in_the_segments(tmp_path):
    segments = films.plant(np.random.default_rng(1), "Slide")
    assert len(segments) == 2
    path = tmp_path / "film.mp4"
    films.write_film(path, films.draw(np.random.default_rng(2), segments))
    frames = np.stack(list(Film(path, 25.0, 120).frames())).astype(np.float32)
    assert frames.shape == (300, 120, 160, 3)
    # Differences of frames half a second apart, far above the noise.
    moved = np.abs(frames[12:] - frames[:-12]).mean(axis=(1, 2, 3))
    times = np.arange(len(moved)) / 25
    inside = np.zeros(len(moved), bool)
    outside = np.ones(len(moved), bool)
    for start, end, label in segments:
        assert (label, 0 <= start < end <= 12) == ("Slide", True)
        inside |= (start < times) & (times + 0.5 < end)
        outside &= (times + 0.55 < start) | (times > end + 0.05)
    assert inside.any() and outside.any()
    assert np.median(moved[inside]) > 2 * moved[outside].max()


def test_random_checkpoints_are_whole(tmp_path):
    films.write_random_checkpoint(tmp_path / "flow.ckpt", "flow", 0)
    model, _ = weights.load(tmp_path / "flow.ckpt", "flow")
    assert np.std(model.steps[0].conv_3d.kernel) > 0
