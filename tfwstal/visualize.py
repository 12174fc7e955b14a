r"""COMMAND: draws videos on a time axis, as in the paper's Figure 3.

    python -m tfwstal.visualize --ground_truth=gt.json \
        --detections=detections.json --run_dir=runs/a --data_dir=records \
        --video=video_test_0000004 --picture=video.svg

Each source adds rows: the ground truth, the detections, and the attentions and
activations that the model of a run computes from the video's record. With
--html=report.html instead of --video and --picture, one page shows all videos,
with the tables of `evaluate` if both files are given.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("visualize")

import pathlib

import tqdm

from tfwstal import files, inference
from tfwstal.data import batches, folder
from tfwstal.errors import InputError
from tfwstal.evaluation import (
    average_precision,
    detection_checks,
    formats,
    scoring,
    tables,
)
from tfwstal.evaluation.options import EvaluationOptions
from tfwstal.evaluation.words import counted
from tfwstal.plotting import html_report, timeline, video_rows
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
    """Writes --html, a page of all videos of the sources."""
    for name in ("video", "picture"):
        if getattr(config, name):
            raise InputError(
                f"--html shows all videos, --{name} one; drop one of the two"
            )
    _check_output("html", config)
    truths = read_truths(config) if config.ground_truth else {}
    found = read_found(config) if config.detections else None
    curves = read_curves(config) if config.run_dir else {}
    videos = video_rows.all_rows(truths, found, curves)
    facts, result, averages = "", None, None
    if config.ground_truth and config.detections:
        options = config.group(EvaluationOptions)
        (inputs,) = scoring.read(
            config.ground_truth,
            [config.detections],
            options,
            bad_segments=config.bad_segments,
            snippet=(config.frames_per_snippet, config.fps),
            file_format=config.format,
            classes=config.classes,
        )
        result, facts = scoring.score(inputs, options), inputs.facts
        facts = tables.format_facts(facts)
        averages = average_precision.averages(
            result.mean_ap, result.thresholds, config.averages
        )
    source = config.detections or config.ground_truth or config.run_dir
    page = html_report.render(source, videos, facts, result, averages)
    files.write(config.html, page)
    print(f"{counted(len(videos), 'video')}: {config.html}")


def read_rows(config):
    """The rows of --video from all sources: a list of Bars and Curves.

    Raises:
        InputError: if a source lacks the video, or there is nothing to draw.
            A detections file may lack a video that another source has.
    """
    rows, video = [], config.video
    if config.ground_truth:
        truths = read_truths(config)
        where = f"subset {config.subset!r} of {config.ground_truth}"
        video_rows.require_video(video, truths, where)
        rows.append(truths[video])
    if config.detections:
        found = read_found(config)
        if not (config.ground_truth or config.run_dir):
            video_rows.require_video(video, found, config.detections)
        rows.append(timeline.strongest(found.get(video, ())))
    if config.run_dir:
        rows += read_curves(config, video)[video]
    video_rows.require_content(video, rows)
    return rows


def read_truths(config):
    """The ground truth of each video of --subset: dict video id -> Bars."""
    videos, bad = formats.read_ground_truth(
        config.ground_truth,
        config.subset,
        config.bad_segments,
        _classes(config),
    )
    subset = config.subset.casefold()
    truths = video_rows.truth_bars(
        {n: v for n, v in videos.items() if v.subset.casefold() == subset}
    )
    for each in bad:
        if each.video_id in ((config.video,) if config.video else truths):
            print(f"{each}: {'kept' if each.kept else 'left out'}")
    return truths


def read_found(config):
    """The detections: dict video id -> list, as `evaluate` counts them."""
    found = formats.read_detections(
        config.detections, config.format, _classes(config)
    )
    return detection_checks.mend_reversed(
        config.detections, found, config.bad_detections
    )[0]


def _classes(config):
    return formats.read_classes(config.classes) if config.classes else None


def read_curves(config, only=""):
    """Curves of the records of --split: dict video id -> list of Curves.

    Args:
        config: the Config.
        only: the id of one video, or "" for all.

    Raises:
        InputError: if no record has that id.
    """
    config.require("data_dir")
    info = folder.read(config.data_dir)
    model, classes = run_folder.load(config.run_dir)
    run_folder.check_match(model, classes, info, config.data_dir)
    names, curves = [], {}
    with batches.readable(config.data_dir):
        for video in tqdm.tqdm(
            batches.whole_videos(info, config.data_dir, config.split),
            total=info.num_videos(config.split),
            desc="curves",
            unit="video",
            disable=True if only else None,
        ):
            names.append(video["video_id"].numpy().decode())
            if only in ("", names[-1]):
                curves[names[-1]] = timeline.curves(
                    inference.outputs_alone(model, video["features"]),
                    model.options.branches,
                    classes,
                    config.alpha,
                    float(video["seconds_per_snippet"]),
                )
                if only:
                    return curves
    if only:
        where = f"split {config.split!r} of {config.data_dir}"
        video_rows.require_video(only, names, where)
    return curves


def _check_output(flag, config):
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


if __name__ == "__main__":
    command_line.run(main, "visualize")
