r"""COMMAND: detections and ground truth -> mean average precision.

    python -m tfwstal.evaluate --ground_truth=gt.json --subset=test \
        --detections=detections.json --report=report.json
    python -m tfwstal.evaluate --ground_truth=gt.json --subset=test \
        --detections=a.json,b.json --table=comparison.md
    python -m tfwstal.evaluate ... --protocol=thumos14 \
        --ambiguous=Ambiguous_test.txt --videos=thumos14_210 --analysis \
        --picture=errors.svg

docs/evaluation.md describes the formats, the protocols and the tables.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("evaluate", tensorflow=False)

import pathlib

from tfwstal import files
from tfwstal.errors import InputError
from tfwstal.evaluation import (
    comparison,
    error_analysis,
    scoring,
    tables,
    uncertainty,
)
from tfwstal.evaluation.options import EvaluationOptions
from tfwstal.training import collapse


def main(config):
    """Evaluates as the Config says; see the module."""
    config.require("ground_truth", "detections")
    _check_outputs(config)
    options = config.group(EvaluationOptions)
    inputs = read_inputs(config)
    results = [scoring.score(each, options) for each in inputs]
    bands = [
        uncertainty.ties(each, result, options)
        for each, result in zip(inputs, results, strict=True)
    ]
    reports = []
    for each, result, band in zip(inputs, results, bands, strict=True):
        if len(inputs) > 1:
            print(f"{each.facts['detections']}:")
        remark = uncertainty.tie_remark(band)
        print(
            "\n".join(filter(None, [tables.format_facts(each.facts), remark]))
        )
        report = tables.report_of(result, config.averages)
        reports.append(each.facts | report | {"tie_band": band})
    print()
    names = comparison.short_names([r["detections"] for r in reports])
    shown = [comparison.result_table(names, results, config.averages)]
    if config.per_class:
        shown.append(comparison.class_table(names, results))
    if len(results) == 1:
        print(tables.format_table(*results, config.per_class, config.averages))
    else:
        print("\n\n".join(map(comparison.as_text, shown)))
    for table in _uncertainty(config, names, inputs, results, bands, reports):
        print(f"\n{comparison.as_text(table)}")
        shown.append(table)
    if config.analysis or config.picture:
        reports[0]["analysis"] = _analyse(config, inputs[0])
    if config.report:
        content = reports[0] if len(reports) == 1 else {"results": reports}
        files.write_json(config.report, content, indent=1)
        print(f"\nReport: {config.report}")
    if config.table:
        comparison.write(config.table, shown)
        print(f"\nTable: {config.table}")
    for report in reports:
        _warn_of_few_detections(report)


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
    )


def evaluate_files(config):
    """The MeanAveragePrecision and the facts of one detections file."""
    (inputs,) = read_inputs(config)
    return scoring.score(inputs, config.group(EvaluationOptions)), inputs.facts


def _uncertainty(config, names, inputs, results, bands, reports):
    """The tables of --ties and --bootstrap; adds intervals to the reports."""
    shown = [uncertainty.tie_table(names, bands)] if config.ties else []
    if config.bootstrap:
        options = config.group(EvaluationOptions)
        drawn = uncertainty.bootstrap(
            inputs, options, config.bootstrap, config.seed
        )
        for report, draws in zip(reports, drawn, strict=True):
            report["bootstrap"] = uncertainty.report_of(draws)
        found = (names, results, drawn, options)
        shown.append(uncertainty.interval_table(*found))
        if len(results) > 1:
            shown.append(uncertainty.difference_table(*found))
    return shown


def _warn_of_few_detections(facts):
    total = facts["num_videos"]
    command_line.warn(
        collapse.few_detections(
            total - facts["num_videos_without_detections"],
            total,
            "see whether train or localize ended with a warning, and whether "
            "--detections are of this --subset",
        )
    )


def _analyse(config, inputs):
    """Prints and draws the error analysis; returns it for the report."""
    options = config.group(EvaluationOptions)
    diagnosis = scoring.analyse(
        inputs, options, config.analysis_tiou, config.length_edges
    )
    if config.analysis:
        print(f"\n{error_analysis.format_tables(diagnosis)}")
    if config.picture:
        from tfwstal.plotting import errors, timeline  # matplotlib is slow

        timeline.save(errors.draw(diagnosis), pathlib.Path(config.picture))
        print(f"\nPicture: {config.picture}")
    return error_analysis.report_of(diagnosis)


def _check_outputs(config):
    """Checks the output files before any work."""
    paths = scoring.paths_of(config.detections)
    if config.picture:
        suffix = pathlib.Path(config.picture).suffix.lower()
        if suffix not in (".png", ".svg"):
            raise InputError(
                f"--picture={config.picture} must end in .png or .svg"
            )
    if config.table:
        comparison.check_suffix(config.table)
    if (config.analysis or config.picture) and len(paths) > 1:
        raise InputError(
            "--analysis and --picture need one file of --detections; "
            f"{len(paths)} were given"
        )
    files.check_outputs(
        {
            name: getattr(config, name)
            for name in ("report", "picture", "table")
        },
        [config.ground_truth, *paths, config.ambiguous, config.videos],
        config.overwrite,
    )


if __name__ == "__main__":
    command_line.run(main, "evaluate")
