"""COMMAND: detects the actions in videos with a trained run.

    python -m tfwstal.localize --run_dir=runs/a --data_dir=records \
        --split=test --detections=detections.json
    python -m tfwstal.localize --run_dir=runs/a \
        --features=rgb.npy,flow.npy --fps=25 --frames_per_snippet=16
    python -m tfwstal.localize --run_dir=runs/a --video=clip.mp4 \
        --rgb_checkpoint=rgb_imagenet/model.ckpt \
        --flow_checkpoint=flow_imagenet/model.ckpt

The first form writes ActivityNet JSON for a whole split. The others print the
segments, and with --detections also write them: for the features of one video,
for a film (--videos=FOLDER for many), or for a folder of features
(--features_dir).
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("localize")

import pathlib

import tensorflow as tf
import tqdm

from tfwstal import files, inference
from tfwstal.data import (
    activitynet,
    batches,
    feature_files,
    features_dir,
    folder,
    record,
)
from tfwstal.errors import InputError
from tfwstal.extraction import feature_folder, matching, sources
from tfwstal.extraction import run as extraction
from tfwstal.plotting.detection_table import detection_table
from tfwstal.training import collapse, run_folder


def main(config):
    """Localizes with the flags of a Config; see the module."""
    config.require("run_dir")
    # First, since the flags of the run are the defaults of all others.
    run_folder.check_finished(config.run_dir)
    files.check_outputs(
        {"detections": config.detections},
        [
            *config.features,
            *folder.files_of(config.data_dir),
            *run_folder.files_of(config.run_dir),
        ],
        config.overwrite,
    )
    if config.features:
        localize_one(config)
    elif config.video or config.videos != "all":
        localize_films(config)
    elif config.features_dir:
        localize_features(config)
    else:
        localize_split(config)


def localize_split(config):
    """Localizes a split of records and writes the detections."""
    config.require("data_dir", "detections")
    info = folder.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    detector = inference.make_detector(model, config.localization_settings())
    videos = batches.whole_videos(info, config.data_dir, config.split)
    with batches.readable(config.data_dir):
        results = dict(
            tqdm.tqdm(
                inference.localize_dataset(detector, videos, classes),
                total=info.num_videos(config.split),
                desc=f"localize {config.split}",
                unit="video",
                disable=None,
            )
        )
    activitynet.write_detections(config.detections, results)
    total = sum(len(found) for found in results.values())
    print(f"{total} detections in {len(results)} videos: {config.detections}")
    command_line.warn(
        collapse.few_detections(
            sum(map(bool, results.values())),
            len(results),
            "see whether the training ended with a warning, or lower --eta "
            "or --alpha",
        )
    )


def localize_one(config):
    """Localizes one video from .npy files and prints its segments."""
    array = feature_files.load_video(config.features)
    model, classes = run_folder.load(config.run_dir)
    _check_width(array, model, config.features)
    localized = _Localized(config, model, classes)
    localized.add(pathlib.Path(config.features[0]).stem, array)
    localized.write()


def localize_features(config):
    """Localizes the videos of a folder of features."""
    found = features_dir.find(config.features_dir)
    model, classes = run_folder.load(config.run_dir)
    facts = feature_folder.read_facts(config.features_dir)
    if facts:
        _check(config, facts, model, f"--features_dir={config.features_dir}")
    localized = _Localized(config, model, classes)
    for name, paths in found.items():
        array = feature_files.load_video(paths)
        _check_width(array, model, paths)
        localized.add(name, array)
    localized.write()


def localize_films(config):
    """Localizes films, by the network that the run's features came from."""
    found, _ = sources.find(config.video or config.videos)
    if config.video and len(found) > 1:
        raise InputError(
            f"--video={config.video} holds {len(found)} videos; give "
            f"--videos={config.video}"
        )
    model, classes = run_folder.load(config.run_dir)
    settings = matching.settings_of_run(
        config.extraction_settings(),
        run_folder.read_extraction(config.run_dir),
    )
    networks, used = extraction.load_models(config.checkpoints())
    facts = extraction.describe(settings, used)
    _check(config, facts, model, "films")
    localized = _Localized(config, model, classes)
    failed, _ = extraction.extract(
        found,
        settings,
        networks,
        extraction.Collector(localized.add),
        config.num_workers,
    )
    localized.write()
    if failed:
        raise InputError(extraction.failures(failed, "segments"))


def _check(config, facts, model, what):
    """Refuses features of another network or time scale than the run's."""
    matching.check(
        facts,
        run_folder.read_extraction(config.run_dir),
        run_folder.time_scale(config.run_dir),
        model.feature_dim,
        what,
    )


def _check_width(array, model, names):
    if array.shape[1] != model.feature_dim:
        raise InputError(
            f"--features={','.join(map(str, names))}: {array.shape[1]} wide, "
            f"the model was trained on {model.feature_dim}"
        )


class _Localized:
    """Localizes videos one after the other and keeps what was detected."""

    def __init__(self, config, model, classes):
        self._detector = inference.make_detector(
            model, config.localization_settings()
        )
        self._classes = classes
        self._detections = config.detections
        self._seconds = record.time_scale(config.fps, config.frames_per_snippet)
        self._results, self._tables = {}, []

    def add(self, name, array, facts=()):
        """Localizes one video, [T, D], and keeps its table for `write`."""
        video = {
            "video_id": tf.constant(name),
            "features": tf.constant(array),
            "num_snippets": tf.constant(len(array)),
            "seconds_per_snippet": tf.constant(self._seconds),
        }
        ((_, found),) = inference.localize_dataset(
            self._detector, [video], self._classes
        )
        self._results[name] = found
        notes = dict(facts).get("notes", ())
        self._tables.append(
            "\n".join(
                [detection_table(name, len(array), found)]
                + [f"{name}: {note}" for note in notes]
            )
        )

    def write(self):
        """Writes --detections, if it is given, and prints the segments."""
        if self._detections and self._results:
            activitynet.write_detections(self._detections, self._results)
        for table in self._tables:
            print(table)


if __name__ == "__main__":
    command_line.run(main, "localize")
