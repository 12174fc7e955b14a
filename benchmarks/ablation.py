"""Ablation studies: rows of flags, over seeds, in one table.

    python -m benchmarks.ablation --flagfile=configs/thumos14.flags \
        --data_dir=records --ground_truth=raw/gt.json \
        --rows=table3_row1_fg,table3_row5_smt --seeds=0,1,2 \
        --output_dir=studies/table3

A row is a flagfile that is applied after the recipe: a path, or a name or
pattern in configs/ablations, without the suffix. The name "recipe" is the
recipe alone. All other flags are those of train, localize or evaluate, and
apply to all rows.

    OUTPUT_DIR/
      runs/KEY/        a training run, with detections/ROW.json; KEY depends
                       on the flags of training, so rows that differ only in
                       localization share it
      log.txt          output of training and localization
      results/ROW-seedN.json   report of evaluate, written last
      results.json, table.md, plot.png   all rows; updated after every row

To resume, start it again with the same flags: rows in results/ are not run
again. Processes with one seed each can therefore share an --output_dir. Other
flags with the same --output_dir are refused.
"""

import argparse
import contextlib
import dataclasses
import datetime
import glob
import hashlib
import json
import pathlib
import statistics
import sys
import time

import keras
from absl import flags, logging

from tfwstal import command_line, evaluate, files, localize, train
from tfwstal.errors import InputError
from tfwstal.evaluation import tables

_ABLATIONS = pathlib.Path(__file__).parent.parent / "configs" / "ablations"
# Flags that affect neither the result nor the run.
_FOLDERS = ("run_dir", "detections", "report", "overwrite")


def main(arguments):
    """Runs the rows without results, then writes the tables."""
    study, rest = _parse(arguments)
    folder = pathlib.Path(study.output_dir)
    cells = [
        (row, seed, _config(rest, path, seed))
        for row, path in _rows(study.rows)
        for seed in study.seeds
    ]
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for row, seed, config in cells:
        _refuse_other_flags(_result_path(folder, row, seed), config)
    logging.set_verbosity(logging.WARNING)
    todo = [
        (_result_path(folder, row, seed), row, config)
        for row, seed, config in cells
        if not _result_path(folder, row, seed).exists()
    ]
    print(f"{len(cells) - len(todo)} of {len(cells)} are done", flush=True)
    for path, row, config in todo:
        print(f"{row}, seed {config.seed}", end=": ", flush=True)
        report = run(row, config, folder)
        files.write_json(path, report, indent=1)
        print(
            f"average mAP {100 * _average(report):.2f} %, "
            f"{report['seconds']:.0f} s",
            flush=True,
        )
        write_tables(folder)
    if not todo:  # another process may have written the results
        write_tables(folder)
    print((folder / "table.md").read_text(encoding="utf-8"))


def run(row, config, folder):
    """Trains, localizes and evaluates one row with one seed.

    Returns:
        The report of evaluate, and `row`, `seed`, `flags`, `seconds`.
    """
    begin = time.monotonic()
    run_dir = folder / "runs" / key(config)
    detections = run_dir / "detections" / f"{row}.json"
    config = dataclasses.replace(
        config,
        run_dir=str(run_dir),
        detections=str(detections),
        overwrite=True,  # files of an interrupted study
    )
    log = folder / "log.txt"
    with open(log, "a", encoding="utf-8") as stream:
        with contextlib.redirect_stdout(stream):
            if not (run_dir / "model.keras").exists():
                keras.backend.clear_session()  # of the previous row
                train.main(config)
            detections.parent.mkdir(exist_ok=True)
            localize.main(config)
            result, facts = evaluate.evaluate_files(config)
    return {
        "row": row,
        "seed": config.seed,
        "flags": _flags(config),
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.monotonic() - begin, 1),
        **{name: facts[name] for name in ("num_videos", "num_instances")},
        **tables.report_of(result),
    }


def write_tables(folder):
    """Writes results.json, table.md and plot.png of all results."""
    reports = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "results").glob("*.json"))
    ]
    rows = {}
    for report in reports:
        rows.setdefault(report["row"], []).append(report)
    files.write_json(folder / "results.json", rows, indent=1)
    (folder / "table.md").write_text(format_table(rows), encoding="utf-8")
    _plot(rows, folder / "plot.png")


def format_table(rows):
    """Mean and standard deviation over seeds, in percent, as Markdown.

    Args:
        rows: dict from a row's name to its reports, one per seed.

    Returns:
        The table. Rows with different thresholds are an error.
    """
    thresholds = next(iter(rows.values()))[0]["tiou_thresholds"]
    names = [f"{threshold:g}" for threshold in thresholds]
    lines = [
        "| row | seeds | " + " | ".join(names) + " | average |",
        "|---" * (len(names) + 3) + "|",
    ]
    for row, reports in rows.items():
        if any(each["tiou_thresholds"] != thresholds for each in reports):
            raise InputError(f"row {row!r} was evaluated at other thresholds")
        columns = zip(*(each["mAP"] for each in reports), strict=True)
        cells = [f"{100 * statistics.mean(column):.1f}" for column in columns]
        averages = [100 * _average(each) for each in reports]
        cells.append(mean_and_deviation(averages))
        lines.append(f"| {row} | {len(reports)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _average(report):
    """Mean of the mAP over all thresholds of the study."""
    return statistics.mean(report["mAP"])


def mean_and_deviation(values):
    """Mean, and the sample standard deviation if there are several values."""
    mean = f"{statistics.mean(values):.2f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.2f}"


def _plot(rows, path):
    """Draws a bar per row with the average mAP, and a dot per seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.4 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    for place, reports in enumerate(rows.values()):
        averages = [100 * _average(each) for each in reports]
        axes.barh(place, statistics.mean(averages), color="tab:blue", alpha=0.4)
        axes.plot(averages, [place] * len(averages), "k.", markersize=5)
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_xlabel("average mAP, %")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _parse(arguments):
    """Options of the study, and the arguments that are flags of tfwstal."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--rows", required=True, help="names, comma-separated")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated")
    parser.add_argument("--output_dir", required=True, help="folder to write")
    study, rest = parser.parse_known_args(arguments)
    try:
        study.seeds = [int(seed) for seed in study.seeds.split(",")]
    except ValueError:
        raise InputError(f"--seeds={study.seeds} are no numbers") from None
    return study, rest


def _rows(names):
    """(name, path) of each row; the path of "recipe" is None."""
    found = []
    for name in names.split(","):
        if name == "recipe":
            found.append((name, None))
            continue
        paths = sorted(glob.glob(name) or _ABLATIONS.glob(f"{name}.flags"))
        if not paths:
            raise InputError(f"--rows: no flagfile {name!r}, here or shipped")
        found += [(pathlib.Path(path).stem, path) for path in paths]
    return found


def _config(rest, path, seed):
    """The Config of a row: recipe, then the row, then the seed."""
    row = [] if path is None else [f"--flagfile={path}"]
    arguments = ["ablation", *rest, *row, f"--seed={seed}"]
    config = command_line.parse(arguments, "train")
    config.require("data_dir", "ground_truth")
    return config


def _flags(config):
    """The flags that affect a result, as dict from name to text."""
    found = config.texts("train", "localize", "evaluate")
    for name in _FOLDERS:
        del found[name]
    return found


def key(config):
    """A name for the training run, the same for all flags of localization."""
    afterwards = {*config.texts("localize", "evaluate"), "eval_every"}
    training = {
        name: text
        for name, text in config.texts("train").items()
        if name not in afterwards or name in ("data_dir", "seed")
    }
    digest = hashlib.sha256(json.dumps(training).encode()).hexdigest()
    return digest[:12]


def _refuse_other_flags(path, config):
    """Raises InputError if a result was made with other flags."""
    if not path.exists():
        return
    before = json.loads(path.read_text(encoding="utf-8"))["flags"]
    for name, value in _flags(config).items():
        if before.get(name) != value:
            raise InputError(
                f"{path} was made with --{name}={before.get(name)}, not "
                f"{value}; choose another --output_dir or remove it"
            )


def _result_path(folder, row, seed):
    return folder / "results" / f"{row}-seed{seed}.json"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (InputError, flags.Error, OSError) as error:
        sys.exit(f"error: {error}")
