r"""Detections and ground truth -> mean average precision.

    python -m tfwstal.evaluate --ground_truth=gt.json --subset=test \
        --detections=detections.json --report=report.json
    python -m tfwstal.evaluate --ground_truth=gt.json --subset=test \
        --detections=a.json,b.json --table=comparison.md
    python -m tfwstal.evaluate ... --subset=validation --proposals
    python -m tfwstal.evaluate ... --flagfile=configs/eval_thumos14_213.flags \
        --analysis --picture=errors.svg

docs/evaluation.md describes the formats, the protocols and the tables.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("evaluate", tensorflow=False)

from tfwstal import files
from tfwstal.errors import InputError
from tfwstal.evaluation import (
    comparison,
    error_analysis,
    proposals,
    scoring,
    summary,
)
from tfwstal.evaluation.options import EvaluationOptions
from tfwstal.training import collapse


def main(config):
    """Evaluates as the Config says; see the module."""
    config.require("ground_truth", "detections")
    _check_flags(config)
    inputs = read_inputs(config)
    if config.proposals:
        found = proposals.summarize(inputs)
    else:
        found = summary.summarize(
            inputs,
            config.group(EvaluationOptions),
            per_class=config.per_class,
            ties=config.ties,
            num_draws=config.bootstrap,
            seed=config.seed,
        )
    print(found.text)
    if config.analysis or config.picture:
        found.reports[0]["analysis"] = _analyse(config, inputs[0])
    if config.report:
        files.write_json(config.report, found.for_json(), indent=1)
        print(f"\nReport: {config.report}")
    if config.table:
        comparison.write(config.table, found.tables)
        print(f"\nTable: {config.table}")
    for each in inputs:
        command_line.warn(
            collapse.few_detections(
                each.num_detected_videos,
                each.facts["num_videos"],
                "see whether train or localize ended with a warning, and "
                "whether --detections are of this --subset",
            )
        )


def read_inputs(config):
    """Reads the files that the Config names: a list of Inputs."""
    return scoring.read(
        config.ground_truth,
        scoring.paths_of(config.detections),
        config.group(EvaluationOptions),
        bad_segments=config.bad_segments,
        snippet=(config.frames_per_snippet, config.fps),
        file_format=config.format,
        classes=config.classes,
        as_proposals=config.proposals,
    )


def evaluate_files(config):
    """The MeanAveragePrecision and the facts of one detections file."""
    (inputs,) = read_inputs(config)
    return scoring.score(inputs, config.group(EvaluationOptions)), inputs.facts


def _analyse(config, inputs):
    """Prints and draws the error analysis; returns it for the report."""
    options = config.group(EvaluationOptions)
    diagnosis = scoring.analyse(inputs, options, config.analysis_for)
    if config.analysis:
        print(f"\n{error_analysis.format_tables(diagnosis)}")
    if config.picture:
        from tfwstal.plotting import errors, figures  # matplotlib is slow

        figure = errors.draw(diagnosis)
        command_line.warn(figures.save(figure, config.picture))
        print(f"\nPicture: {config.picture}")
    return error_analysis.report_of(diagnosis)


def _check_flags(config):
    """Checks combinations of flags and the output files before any work."""
    paths = scoring.paths_of(config.detections)
    if config.proposals:
        names = ("analysis", "picture", "per_class", "ties", "bootstrap")
        proposals.check_options(
            config.group(EvaluationOptions),
            {name: bool(getattr(config, name)) for name in names},
        )
    if config.picture:
        from tfwstal.plotting import figures  # matplotlib is slow

        figures.check_picture(config.picture)
    if config.table:
        comparison.check_suffix(config.table)
    if (config.analysis or config.picture) and len(paths) > 1:
        raise InputError(
            "--analysis and --picture need one file of --detections; "
            f"{len(paths)} were given"
        )
    outputs = ("report", "picture", "table")
    files.check_outputs(
        {name: getattr(config, name) for name in outputs},
        [config.ground_truth, *paths, config.ambiguous, config.videos],
        config.overwrite,
    )


if __name__ == "__main__":
    command_line.run(main, "evaluate")
