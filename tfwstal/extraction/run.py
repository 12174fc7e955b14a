"""Extraction as commands use it: checkpoints, progress, failures."""

import importlib.metadata

import numpy as np
import tqdm

import tfwstal
from tfwstal.errors import InputError
from tfwstal.extraction import network, weights


def load_models(checkpoints):
    """Loads the networks of the streams that have a checkpoint.

    Args:
        checkpoints: dict "rgb", "flow" -> path, "" for none.

    Returns:
        dict stream -> i3d.I3D, and dict stream -> {"file", "sha256"}.

    Raises:
        InputError: if there is none, or one cannot be used.
    """
    models, used = {}, {}
    for stream, path in checkpoints.items():
        if path:
            models[stream], loaded = weights.load(path, stream)
            used[stream] = {"file": loaded.source, "sha256": loaded.sha256}
    if not models:
        raise InputError(
            "--rgb_checkpoint or --flow_checkpoint is needed; see "
            "docs/extraction.md for where they are"
        )
    return models, used


def describe(settings, used):
    """How features are made, as extraction.json holds it.

    Args:
        settings: options.Settings.
        used: from `load_models`.
    """
    return {
        "extractor": f"tfwstal {tfwstal.__version__}",
        "network": "i3d",
        "fps": settings.fps,
        "frames_per_snippet": settings.frames_per_snippet,
        "flow": settings.flow,
        "shorter_side": settings.shorter_side,
        "crop_size": settings.crop_size,
        "weights": used,
        "versions": {
            name: version
            for name in (
                *("av", "opencv-contrib-python-headless", "numpy"),
                *("tensorflow", "keras"),
            )
            if (version := _version(name))
        },
    }


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def extract(sources, settings, models, sink, num_workers=0):
    """Extracts videos into a sink, as `network.extract`, with progress.

    Returns:
        dict from the names of the videos that failed to messages, and the
        seconds that the network took.
    """
    progress = _Progress(sources, settings, sink)
    with progress:
        seconds = network.extract(
            progress.readable, settings, models, progress, num_workers
        )
    return progress.failed, seconds


class _Progress:
    """A sink that shows what comes through it, in seconds of film."""

    def __init__(self, sources, settings, sink):
        self._sink = sink
        self._each = settings.frames_per_snippet / settings.fps
        self._expected, self._seen = {}, {}
        self.failed, self.readable = {}, []
        for source in tqdm.tqdm(sources, "look", unit="video", disable=None):
            try:
                self._expected[source.name] = source.seconds(settings.fps) or 0
                self.readable.append(source)
            except InputError as error:
                self.failed[source.name] = str(error)
                sink.fail(source, str(error))
        self._ended, self._videos = len(self.failed), len(sources)

    def __enter__(self):
        self._bar = tqdm.tqdm(
            desc="extract",
            total=sum(self._expected.values()),
            unit="s",
            disable=None,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} "
            "s of film [{elapsed}<{remaining}{postfix}]",
        )
        self._show()
        return self

    def __exit__(self, *_):
        self._bar.close()

    def add(self, source, features):
        self._sink.add(source, features)
        self._advance(source, self._each)

    def finish(self, source, facts):
        self._sink.finish(source, facts)
        self._end(source)

    def fail(self, source, message):
        self._sink.fail(source, message)
        self.failed[source.name] = message
        self._end(source)

    def _advance(self, source, seconds):
        self._seen[source.name] = self._seen.get(source.name, 0.0) + seconds
        self._bar.update(seconds)

    def _end(self, source):
        """What a header says may be wrong: the rest is what there was."""
        self._bar.total += self._seen.get(source.name, 0.0)
        self._bar.total -= self._expected[source.name]
        self._ended += 1
        self._show()

    def _show(self):
        self._bar.set_postfix_str(f"{self._ended}/{self._videos} videos")


class Collector:
    """A sink that hands each video's features over when they are whole.

    Args:
        take: function of the video's name, its features [T, D] float32, RGB
            then flow, and its facts.
    """

    def __init__(self, take):
        self._take = take
        self._parts = {}

    def add(self, source, features):
        parts = self._parts.setdefault(source.name, [])
        streams = [features[s] for s in ("rgb", "flow") if s in features]
        parts.append(np.concatenate(streams, axis=1))

    def finish(self, source, facts):
        parts = self._parts.pop(source.name)
        self._take(source.name, np.concatenate(parts), facts)

    def fail(self, source, message):
        self._parts.pop(source.name, None)


def failures(failed, what):
    """One line on the videos that failed, or "".

    Args:
        failed: dict name -> message.
        what: what they have not got, such as "features".
    """
    if not failed:
        return ""
    named = [f"{name} ({text})" for name, text in sorted(failed.items())]
    more = f"; and {len(named) - 5} more" if named[5:] else ""
    return (
        f"{len(named)} video{'s' * (len(named) > 1)} without {what}: "
        f"{'; '.join(named[:5])}{more}"
    )
