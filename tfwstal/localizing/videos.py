"""Detections of videos outside a set of records: features or films."""

import pathlib

import tensorflow as tf

from tfwstal import inference
from tfwstal.data import feature_files, features_dir, record
from tfwstal.errors import InputError
from tfwstal.extraction import feature_folder, matching, sources
from tfwstal.extraction import run as extraction
from tfwstal.plotting.detection_table import detection_table
from tfwstal.training import run_folder


class Localizer:
    """Localizes videos one after the other and keeps what was detected.

    Args:
        run_dir: folder of the run.
        settings: LocalizationSettings.
        fps: frame rate of the features.
        frames_per_snippet: frames from one snippet's start to the next one's.

    Attributes:
        results: dict from video to the entries of a detections file.
        tables: text of each video's segments.
    """

    def __init__(self, run_dir, settings, fps, frames_per_snippet):
        self._run_dir = run_dir
        self._model, self._classes = run_folder.load(run_dir)
        self._detector = inference.make_detector(self._model, settings)
        self._seconds = record.time_scale(fps, frames_per_snippet)
        self.results, self.tables = {}, []

    def add_files(self, paths):
        """Localizes one video from .npy: one joined file, or RGB and flow.

        Raises:
            InputError: if they cannot be used, or are of another width.
        """
        array = feature_files.load_video(paths)
        width = self._model.feature_dim
        if array.shape[1] != width:
            advice = (
                "give both streams, --features=rgb.npy,flow.npy"
                if len(paths) == 1 and 2 * array.shape[1] == width
                else "give features of the network that it was trained on"
            )
            raise InputError(
                f"--features={','.join(map(str, paths))}: {array.shape[1]} "
                f"wide, the model was trained on {width}; {advice}"
            )
        self._add(pathlib.Path(paths[0]).stem, array)

    def add_folder(self, path):
        """Localizes the videos of a folder of features.

        Raises:
            InputError: if it cannot be used, or its features are not those of
                the run.
        """
        found = features_dir.find(path)
        facts = feature_folder.read_facts(path)
        if facts:
            self._check(facts, f"--features_dir={path}")
        for paths in found.values():
            self.add_files(paths)

    def add_films(self, found, checkpoints, settings, num_workers):
        """Localizes films, by the network that the run's features came from.

        Args:
            found: tuple of sources.Source.
            checkpoints: dict stream -> path of I3D's weights, "" for none.
            settings: Settings of extraction.
            num_workers: processes that read films.

        Returns:
            a message on the films that could not be read, or "".

        Raises:
            InputError: if their features would not be those of the run.
        """
        trained_on = run_folder.read_extraction(self._run_dir)
        settings = matching.settings_of_run(settings, trained_on)
        networks, used = extraction.load_models(checkpoints)
        self._check(extraction.describe(settings, used), "films")
        failed, _ = extraction.extract(
            found,
            settings,
            networks,
            extraction.Collector(self._add),
            num_workers,
        )
        return extraction.failures(failed, "segments")

    def _check(self, facts, what):
        """Refuses features of another network or time scale than the run's."""
        matching.check(
            facts,
            run_folder.read_extraction(self._run_dir),
            run_folder.time_scale(self._run_dir),
            self._model.feature_dim,
            what,
        )

    def _add(self, name, array, facts=()):
        """Localizes one video, [T, D]."""
        video = {
            "video_id": tf.constant(name),
            "features": tf.constant(array),
            "num_snippets": tf.constant(len(array)),
            "seconds_per_snippet": tf.constant(self._seconds),
        }
        ((_, found),) = inference.localize_dataset(
            self._detector, [video], self._classes
        )
        self.results[name] = found
        notes = dict(facts).get("notes", ())
        self.tables.append(
            "\n".join(
                [detection_table(name, len(array), found)]
                + [f"{name}: {note}" for note in notes]
            )
        )


def find_films(video, videos):
    """The films of --video or --videos.

    Raises:
        InputError: if there is none, or --video is of several.
    """
    found, _ = sources.find(video or videos)
    if video and len(found) > 1:
        raise InputError(
            f"--video={video} holds {len(found)} videos; give --videos={video}"
        )
    return found
