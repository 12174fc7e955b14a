"""COMMAND: finds the actions of videos, with a trained run.

    python -m tfwstal.localize --run_dir=runs/a --data_dir=records \
        --split=test --detections=detections.json
    python -m tfwstal.localize --run_dir=runs/a \
        --features=rgb.npy,flow.npy --fps=25 --frames_per_snippet=16

The first form writes ActivityNet JSON for a whole split, the second shows the
segments of one video in the terminal.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("localize")

import pathlib

import tensorflow as tf
import tqdm

from tfwstal import files, inference
from tfwstal.data import activitynet, batches, feature_files, folder, record
from tfwstal.errors import InputError
from tfwstal.plotting.detection_table import detection_table
from tfwstal.training import collapse, run_folder


def main(config):
    """Localizes as the Config says; see the module."""
    config.require("run_dir")
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
    if array.shape[1] != model.feature_dim:
        raise InputError(
            f"--features={','.join(config.features)}: {array.shape[1]} wide, "
            f"the model was trained on {model.feature_dim}"
        )
    video = {
        "video_id": tf.constant(pathlib.Path(config.features[0]).stem),
        "features": tf.constant(array),
        "num_snippets": tf.constant(len(array)),
        "seconds_per_snippet": tf.constant(
            record.time_scale(config.fps, config.frames_per_snippet)
        ),
    }
    detector = inference.make_detector(model, config.localization_settings())
    ((name, found),) = inference.localize_dataset(detector, [video], classes)
    if config.detections:
        activitynet.write_detections(config.detections, {name: found})
    print(detection_table(name, len(array), found))


if __name__ == "__main__":
    command_line.run(main, "localize")
