r"""Detects the actions in videos with a trained run.

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

from tfwstal import files
from tfwstal.data import activitynet, folder
from tfwstal.errors import InputError
from tfwstal.localizing import records, videos
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
    if (
        config.features
        or config.video
        or config.videos != "all"
        or config.features_dir
    ):
        localize_videos(config)
    else:
        localize_split(config)


def localize_split(config):
    """Localizes a split of records and writes the detections."""
    config.require("data_dir", "detections")
    arguments = (config.run_dir, config.data_dir, config.split)
    arguments += (config.localization_settings(),)
    outcome = None
    if config.engine == "beam":
        results, outcome = records.localize_by_beam(
            *arguments,
            f"{config.detections}.incomplete",
            config.engine_arguments,
        )
    else:
        results = records.localize(*arguments)
    activitynet.write_detections(config.detections, results)
    if outcome:
        outcome.store.remove()
        print(outcome.summary())
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


def localize_videos(config):
    """Localizes features or films and prints their segments."""
    if config.engine == "beam":
        raise InputError(
            "--engine=beam localizes a split of records; give --data_dir and "
            "--detections alone"
        )
    films = ()
    if not config.features and (config.video or config.videos != "all"):
        films = videos.find_films(config.video, config.videos)
    localizer = videos.Localizer(
        config.run_dir,
        config.localization_settings(),
        config.fps,
        config.frames_per_snippet,
    )
    failures = ""
    if config.features:
        localizer.add_files(config.features)
    elif films:
        failures = localizer.add_films(
            films,
            config.checkpoints(),
            config.extraction_settings(),
            config.num_workers,
        )
    else:
        localizer.add_folder(config.features_dir)
    if config.detections and localizer.results:
        activitynet.write_detections(config.detections, localizer.results)
    for table in localizer.tables:
        print(table)
    if failures:
        raise InputError(failures)


if __name__ == "__main__":
    command_line.run(main, "localize")
