r"""COMMAND: draws one video on a time axis, as the paper's Figure 3.

    python -m tfwstal.visualize --ground_truth=gt.json \
        --detections=detections.json --run_dir=runs/a --data_dir=records \
        --video=video_test_0000004 --picture=video.svg

Each source adds rows: the ground truth, the detections, and the attentions and
activation that the model of a run has for the video's record.
"""

import difflib
import pathlib

import tensorflow as tf

from tfwstal import (
    annotations,
    command_line,
    dataset,
    dataset_info,
    run_folder,
    timeline,
)
from tfwstal.errors import InputError
from tfwstal.timeline import Bars, Curves


def main(config):
    """Draws the video as the Config says; see the module."""
    config.require("video", "picture")
    path = pathlib.Path(config.picture)
    if path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--picture={path} must end in .png or .svg")
    annotations.refuse_existing("picture", path, config.overwrite)
    timeline.save(timeline.draw(config.video, read_rows(config)), path)
    print(f"{config.video}: {path}")


def read_rows(config):
    """The rows of --video from all sources that are named: Bars and Curves.

    Raises:
        InputError: if a source lacks the video (only a detections file may
            lack one that others have), or there is nothing to draw.
    """
    rows = []
    if config.ground_truth:
        rows.append(read_truth(config))
    if config.detections:
        found = annotations.read_detections(config.detections)
        if not (config.ground_truth or config.run_dir):
            _require_video(config.video, found, config.detections)
        rows.append(timeline.strongest(found.get(config.video, ())))
    if config.run_dir:
        rows += read_curves(config)
    if not any(isinstance(row, Curves) or row.segments for row in rows):
        raise InputError(
            f"nothing to draw of --video={config.video}; give --run_dir and "
            "--data_dir, or --ground_truth or --detections with segments of it"
        )
    return rows


def read_truth(config):
    """Bars of the segments that --ground_truth has in --subset."""
    videos, bad = annotations.read_ground_truth(
        config.ground_truth, config.bad_segments
    )
    for each in bad:
        if each.video_id == config.video:
            print(f"{each}: {'kept' if each.kept else 'left out'}")
    subset = config.subset.casefold()
    names = [n for n, v in videos.items() if v.subset.casefold() == subset]
    where = f"subset {config.subset!r} of {config.ground_truth}"
    _require_video(config.video, names, where)
    segments = videos[config.video].segments
    return Bars("Ground truth", segments, (1.0,) * len(segments))


def read_curves(config):
    """What the model of --run_dir says of the record of --video.

    Returns:
        what `timeline.curves` does.
    """
    config.require("data_dir")
    info = dataset_info.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    video = _find_record(config, info)
    inputs = {k: video[k][tf.newaxis] for k in ("features", "num_snippets")}
    outputs = model(inputs, training=False)
    return timeline.curves(
        {name: value[0] for name, value in outputs.items()},
        model.branches,
        classes,
        config.alpha,
        float(video["seconds_per_snippet"]),
    )


def _find_record(config, info):
    """The record of --video, as `schema.parse_video` gives it."""
    names = []
    with dataset.readable(config.data_dir):
        for video in dataset.whole_videos(info, config.data_dir, config.split):
            names.append(video["video_id"].numpy().decode())
            if names[-1] == config.video:
                return video
    where = f"split {config.split!r} of {config.data_dir}"
    return _require_video(config.video, names, where)


def _require_video(video, names, where):
    if video not in names:
        near = difflib.get_close_matches(video, names, n=1, cutoff=0.0)
        raise InputError(
            f"--video={video} is not among the {len(names)} videos of {where}"
            + "".join(f"; the nearest name is {name!r}" for name in near)
        )


if __name__ == "__main__":
    command_line.run(main, "visualize")
