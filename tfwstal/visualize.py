r"""COMMAND: draws videos on a time axis, as the paper's Figure 3.

    python -m tfwstal.visualize --ground_truth=gt.json \
        --detections=detections.json --run_dir=runs/a --data_dir=records \
        --video=video_test_0000004 --picture=video.svg

Each source adds rows: the ground truth, the detections, and the attentions and
activation that the model of a run has for the video's record. With
--html=report.html in the place of --video and --picture, all videos go into
one page, with the tables of `evaluate` where both files are given.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("visualize")

import difflib
import pathlib

import tqdm

from tfwstal import evaluate, files, inference
from tfwstal.data import activitynet, batches, folder
from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision
from tfwstal.evaluation.inputs import counted
from tfwstal.plotting import html_report, timeline
from tfwstal.plotting.timeline import Bars, Curves
from tfwstal.training import run_folder


def main(config):
    """Draws what the Config asks for; see the module."""
    if config.html:
        write_page(config)
        return
    config.require("video", "picture")
    path = pathlib.Path(config.picture)
    if path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"--picture={path} must end in .png or .svg")
    _check_output("picture", config)
    timeline.save(timeline.draw(config.video, read_rows(config)), path)
    print(f"{config.video}: {path}")


def write_page(config):
    """Writes --html, a page of all videos of the sources that are named."""
    for name in ("video", "picture"):
        if getattr(config, name):
            raise InputError(
                f"--html is of all videos, --{name} of one; drop either"
            )
    path = pathlib.Path(config.html)
    _check_output("html", config)
    videos = read_all_rows(config)
    facts, result, averages = "", None, None
    if config.ground_truth and config.detections:
        result, facts = evaluate.evaluate_files(config)
        facts = evaluate.format_facts(facts)
        averages = average_precision.averages(
            result.mean_ap, result.thresholds, config.averages
        )
    source = config.detections or config.ground_truth or config.run_dir
    page = html_report.render(source, videos, facts, result, averages)
    files.write(path, page)
    print(f"{counted(len(videos), 'video')}: {path}")


def _check_output(flag, config):
    """Checks that the output can be written and is not an input."""
    files.check_outputs(
        {flag: getattr(config, flag)},
        [
            config.ground_truth,
            config.detections,
            *folder.files_of(config.data_dir),
            *run_folder.files_of(config.run_dir),
        ],
        config.overwrite,
    )


def read_all_rows(config):
    """The rows of all videos: dict from id to a list of Bars and Curves.

    The videos are those of the ground truth, or without it of the split of
    the records, or of the detections.
    """
    truths = read_truths(config) if config.ground_truth else {}
    curves = read_all_curves(config) if config.run_dir else {}
    found = {}
    if config.detections:
        found = activitynet.read_detections(config.detections)
    videos = {}
    for name in truths or curves or found:
        rows = [truths[name]] if truths else []
        if config.detections:
            rows.append(timeline.strongest(found.get(name, ())))
        videos[name] = rows + curves.get(name, [])
    if not videos:
        raise InputError(
            "nothing to draw; give --ground_truth with videos of --subset, "
            "--run_dir and --data_dir, or --detections"
        )
    return videos


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
        found = activitynet.read_detections(config.detections)
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
    """Bars of the segments that --ground_truth has of --video."""
    truths = read_truths(config)
    where = f"subset {config.subset!r} of {config.ground_truth}"
    _require_video(config.video, truths, where)
    return truths[config.video]


def read_truths(config):
    """Bars of each video that --ground_truth has in --subset: dict by id."""
    videos, bad = activitynet.read_ground_truth(
        config.ground_truth, config.bad_segments
    )
    subset = config.subset.casefold()
    truths = {
        name: Bars("Ground truth", video.segments, (1.0,) * len(video.segments))
        for name, video in videos.items()
        if video.subset.casefold() == subset
    }
    for each in bad:
        if each.video_id in ((config.video,) if config.video else truths):
            print(f"{each}: {'kept' if each.kept else 'left out'}")
    return truths


def read_curves(config):
    """What the model of --run_dir says of the record of --video.

    Returns:
        what `timeline.curves` does.
    """
    run = _load(config)
    return _curves(run, _find_record(config, run[-1]), config)


def read_all_curves(config):
    """The same of each record of --split: dict by id."""
    run = _load(config)
    *_, info = run
    with batches.readable(config.data_dir):
        return {
            video["video_id"].numpy().decode(): _curves(run, video, config)
            for video in tqdm.tqdm(
                batches.whole_videos(info, config.data_dir, config.split),
                total=info.num_videos(config.split),
                desc="curves",
                unit="video",
            )
        }


def _load(config):
    """The model of --run_dir, its classes, and the DatasetInfo it fits."""
    config.require("data_dir")
    info = folder.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    return model, classes, info


def _curves(run, video, config):
    model, classes, _ = run
    return timeline.curves(
        inference.outputs_alone(model, video["features"]),
        model.options.branches,
        classes,
        config.alpha,
        float(video["seconds_per_snippet"]),
    )


def _find_record(config, info):
    """The record of --video, as `record.parse_video` gives it."""
    names = []
    with batches.readable(config.data_dir):
        for video in batches.whole_videos(info, config.data_dir, config.split):
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
