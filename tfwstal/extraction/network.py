"""Snippets of many videos -> features, in batches."""

import time

import numpy as np
import tensorflow as tf

from tfwstal.extraction.pictures import rgb_values
from tfwstal.extraction.readers import Readers


def make_network(model):
    """An I3D as a graph, traced once for any number of snippets.

    Returns:
        tf.function of [B, S, H, W, channels] in [-1, 1]; gives [B, 1024].
    """
    shape = [None, None, None, None, model.channels]

    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False
    )
    def network(clips):
        return model(clips)

    return network


def extract(sources, settings, models, sink, num_workers=0, batch=4):
    """Computes the features of videos.

    Processes decode and compute the flow while this one runs the network, on
    batches that may hold snippets of several videos. Neither frames nor flow
    are held beyond `3 * batch` snippets, however long a video is.

    Args:
        sources: sources.Source of each video.
        settings: options.Settings; its streams are those of `models`.
        models: dict "rgb", "flow" -> i3d.I3D.
        sink: is told what there is, by the methods
            `add(source, {stream: float32 [n, 1024]})`, in a video's order,
            `finish(source, facts)` with a dict of `frames`, `snippets`,
            `left_out_frames` and, where something is odd, `notes`, and
            `fail(source, message)`.
        num_workers: processes that read; 0 for one a core.
        batch: snippets that go through the network together, at most.

    Returns:
        seconds that the network took.
    """
    if not sources:
        return 0.0
    networks = {name: make_network(model) for name, model in models.items()}
    work = _Batches(networks, sink, batch)
    with Readers(sources, settings, num_workers, 2 * batch) as readers:
        for message in readers.messages():
            if message is None:
                work.run()
            else:
                work.take(*message)
    work.run()
    return work.seconds


class _Batches:
    """Collects snippets, runs the network, and tells the sink in order."""

    def __init__(self, networks, sink, size):
        self._networks = networks
        self._sink = sink
        self._size = size
        self._held = []  # (source, {stream: clip}), or (source, facts, None)
        self._snippets = 0
        self.seconds = 0.0

    def take(self, source, kind, *content):
        """Takes one message of `Readers`."""
        if kind == "snippet":
            clips = dict(zip(("rgb", "flow"), content, strict=True))
            self._held.append((source, kind, clips))
            self._snippets += 1
        else:
            self._held.append((source, kind, content[0]))
        if self._snippets == self._size:
            self.run()

    def run(self):
        """Runs what is held through the network, and empties it."""
        clips = [held[2] for held in self._held if held[1] == "snippet"]
        features = self._features(clips) if clips else {}
        row = 0
        for source, kind, content in self._held:
            if kind == "snippet":
                self._sink.add(
                    source,
                    {n: rows[row : row + 1] for n, rows in features.items()},
                )
                row += 1
            elif kind == "done":
                self._sink.finish(source, content)
            else:
                self._sink.fail(source, content)
        self._held, self._snippets = [], 0

    def _features(self, clips):
        """dict stream -> [n, 1024] of n snippets."""
        started = time.monotonic()
        found = {}
        for name, network in self._networks.items():
            values = np.stack([each[name] for each in clips])
            if name == "rgb":
                values = rgb_values(values)
            found[name] = network(tf.constant(values)).numpy()
        self.seconds += time.monotonic() - started
        return found
