r"""Draws videos on a time axis, as in the paper's Figure 3.

    python -m tfwstal.visualize --ground_truth=gt.json \
        --detections=detections.json --run_dir=runs/a --data_dir=records \
        --video=video_test_0000004 --film=clip.mp4 --picture=video.svg
    python -m tfwstal.visualize --ground_truth=gt.json \
        --detections=detections.json --films=my_films --html=report.html

Each source adds rows: frames of the film, the ground truth, the detections,
and the attentions and activations that the model of a run computes from the
records. The first form draws one video. The second writes one HTML page of all
videos, which plays their films, with the tables of `evaluate` if the ground
truth and the detections are given.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("visualize")

import os

from tfwstal import files
from tfwstal.data import folder
from tfwstal.errors import InputError
from tfwstal.evaluation import formats, scoring
from tfwstal.evaluation.options import EvaluationOptions
from tfwstal.evaluation.words import counted
from tfwstal.extraction import sources
from tfwstal.plotting import figures, html_report, html_tables, timeline
from tfwstal.plotting.video_rows import VideoRows
from tfwstal.training import run_folder

# Heights of the film's frames, in pixels; a figure has 150 per inch.
_PICTURE_STRIP, _PAGE_STRIP = 108, 72


def main(config):
    """Draws what the Config asks for; see the module."""
    if config.html:
        write_page(config)
    else:
        write_picture(config)


def write_picture(config):
    """Writes --picture, a figure of --video."""
    config.require("video", "picture")
    if config.films:
        raise InputError("--films is for --html; give --film for one video")
    figures.check_picture(config.picture)
    _check_output("picture", config)
    videos = read_sources(config, config.video)
    if config.film:
        videos.add_film(config.film, config.fps, _PICTURE_STRIP)
    figure = timeline.draw(config.video, videos.of_one())
    command_line.warn(figures.save(figure, config.picture))
    print(f"{config.video}: {config.picture}")


def write_page(config):
    """Writes --html, a page of all videos of the sources."""
    for name in ("video", "picture", "film"):
        if getattr(config, name):
            raise InputError(
                f"--html shows all videos, --{name} one; drop one of the two"
            )
    _check_output("html", config)
    videos = read_sources(config)
    if config.films:
        failed = videos.add_films(config.films, config.fps, _PAGE_STRIP)
        command_line.warn(html_report.film_remark(videos.films, failed))
    page = html_report.render(
        config.detections or config.ground_truth or config.run_dir,
        videos.of_all(),
        _evaluate(config),
        os.path.dirname(os.path.abspath(config.html)),
    )
    files.write(config.html, page)
    films = f", {counted(len(videos.films), 'film')}" if config.films else ""
    print(
        f"{counted(len(videos.of_all()), 'video')}{films}: {config.html} "
        f"({len(page.encode()) / 1e3:,.0f} kB)"
    )


def read_sources(config, video=""):
    """VideoRows of all sources but films, of one video or of all."""
    videos = VideoRows(video)
    classes = formats.read_classes(config.classes) if config.classes else None
    if config.ground_truth:
        for each in videos.add_truths(
            config.ground_truth, config.subset, config.bad_segments, classes
        ):
            print(f"{each}: {'kept' if each.kept else 'left out'}")
    if config.run_dir:
        config.require("data_dir")
        info = folder.read(config.data_dir)
        model, actions = run_folder.load(config.run_dir)
        run_folder.check_match(model, actions, info, config.data_dir)
        videos.add_curves(
            model, actions, info, config.data_dir, config.split, config.alpha
        )
    if config.detections:
        videos.add_detections(
            config.detections, config.format, config.bad_detections, classes
        )
    return videos


def _evaluate(config):
    """What `evaluate` finds, or None if a file is missing."""
    if not (config.ground_truth and config.detections):
        return None
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
    return html_tables.Evaluation.of(inputs, options)


def _check_output(flag, config):
    films = sources.find(config.films, "films")[0] if config.films else ()
    files.check_outputs(
        {flag: getattr(config, flag)},
        [
            config.ground_truth,
            config.detections,
            config.film,
            *(film.path for film in films),
            *folder.files_of(config.data_dir),
            *run_folder.files_of(config.run_dir),
        ],
        config.overwrite,
    )


if __name__ == "__main__":
    command_line.run(main, "visualize")
