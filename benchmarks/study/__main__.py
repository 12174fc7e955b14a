"""Runs rows of the study, and writes a small JSON file for each.

    python -m benchmarks.study --sets=plain-201 --stage=readings --seeds=0 \
        --work_dir=STUDY

Draws each set that --work_dir lacks, trains, localizes and evaluates each row,
and writes benchmarks/study/results/SET/ROW-seedN.json (--results for another
folder). Rows with a result are not run again. With --localize=sharp,both the
rows are also localized in other ways, as ROW+sharp, without another training.
`--table` prints the results, limited to --sets and --rows if given, and with
--thresholds the mAP at each threshold.

`--stage=peer` runs ACM-Net itself (benchmarks.peers.acmnet; it needs --acmnet
and --torch_python), and --localize_with=FLAGFILE also localizes its outputs.
"""

import argparse
import csv
import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks import ablation
from benchmarks.peers import acmnet
from benchmarks.study import rows as study_rows
from benchmarks.study import sets, tables
from tfwstal import command_line, files

_HERE = pathlib.Path(__file__).parent


def main(argv):
    """Runs the rows without a result."""
    arguments = _parse(argv)
    if arguments.table:
        print(
            tables.format_table(
                tables.read(pathlib.Path(arguments.results)),
                arguments.sets.split(",") if arguments.sets else None,
                arguments.rows.split(",") if arguments.rows else None,
                by_threshold=arguments.thresholds,
            )
        )
        return
    work_dir = pathlib.Path(arguments.work_dir)
    table = study_rows.STAGES[arguments.stage]
    names = arguments.rows.split(",") if arguments.rows else list(table)
    if arguments.stage == "peer":
        for seed in map(int, arguments.seeds.split(",")):
            for name in names:
                for a_set in arguments.sets.split(","):
                    run_peer(arguments, a_set, name, seed)
        return
    ways = arguments.localize.split(",") if arguments.localize else [""]
    for seed in map(int, arguments.seeds.split(",")):
        for name in names:
            for a_set in arguments.sets.split(","):
                for way in ways:
                    run(
                        work_dir,
                        pathlib.Path(arguments.results),
                        a_set,
                        f"{name}+{way}" if way else name,
                        f"{table[name]} {study_rows.LOCALIZATION[way]}",
                        seed,
                    )


def run(work_dir, results, a_set, row, extra, seed):
    """Runs a row with a seed on a set, unless it has a result."""
    path = results / a_set / f"{row}-seed{seed}.json"
    if path.exists():
        return
    sets.draw(work_dir, a_set)
    folder = work_dir / "runs" / a_set
    folder.mkdir(parents=True, exist_ok=True)
    base = sets.base_flags(a_set)
    flags = [
        *base,
        f"--data_dir={work_dir / 'records' / a_set}",
        f"--ground_truth={work_dir / 'raw' / a_set / 'gt.json'}",
        *extra.split(),
        f"--seed={seed}",
    ]
    config = command_line.parse(["study", *flags], "train")
    report = ablation.run(row, config, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    short = {
        "set": a_set,
        "row": row,
        "seed": seed,
        "flags": [*base, *extra.split()],
        "tiou_thresholds": report["tiou_thresholds"],
        "mAP": [round(each, 5) for each in report["mAP"]],
        "average": round(100 * statistics.mean(report["mAP"]), 2),
        "last_epoch": last_epoch(folder / "runs" / ablation.key(config)),
        "seconds": report["seconds"],
        "date": report["date"],
        "commit": _commit(),
    }
    files.write_json(path, short, indent=1)
    print(f"{a_set} {row} seed {seed}: {short['average']}", flush=True)


def run_peer(arguments, a_set, row, seed):
    """Runs ACM-Net itself with a seed on a set; its runs are kept by name."""
    work_dir = pathlib.Path(arguments.work_dir)
    sets.draw(work_dir, a_set)
    result = acmnet.main(
        [
            f"--acmnet={arguments.acmnet}",
            f"--torch_python={arguments.torch_python}",
            f"--raw={work_dir / 'raw' / a_set}",
            f"--output_dir={work_dir / 'peer' / a_set / f'{row}-seed{seed}'}",
            f"--seed={seed}",
            *sets.peer_flags(a_set),
            *study_rows.PEER[row].split(),
            *(f"--localize_with={each}" for each in arguments.localize_with),
        ]
    )
    last, best = result["own"]["last"], result["own"]["best"]
    short = {
        "set": a_set,
        "row": row,
        "seed": seed,
        "flags": result["flags"],
        "tiou_thresholds": last["tiou_thresholds"],
        "mAP": [round(each, 5) for each in last["mAP"]],
        "average": round(100 * last["average_mAP"], 2),
        "epoch": last["epoch"],
        "best_average": round(100 * best["average_mAP"], 2),
        "best_epoch": best["epoch"],
        "with_our_localization": {
            name: round(100 * scores["average_mAP"], 2)
            for name, scores in result["ours"].items()
        },
    }
    path = pathlib.Path(arguments.results) / a_set / f"{row}-seed{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, short, indent=1)
    print(f"{a_set} {row} seed {seed}: {short['average']}", flush=True)


def last_epoch(run_dir):
    """The last line of a run's history, as dict of rounded numbers."""
    with open(run_dir / "history.csv", encoding="utf-8") as stream:
        last = list(csv.DictReader(stream))[-1]
    return {name: float(f"{float(value):.4g}") for name, value in last.items()}


def _commit():
    """The commit of the running code, or an empty string."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=_HERE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return found.stdout.strip()


def _parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--sets", default="", help="FAMILY-SEED or FAMILY-SEED-wide, commas")
    add("--stage", default="readings", choices=list(study_rows.STAGES))
    add("--rows", default="", help="names of the stage; default: all")
    add("--localize", default="", help="ways of LOCALIZATION, with commas")
    add("--seeds", default="0", help="with commas")
    add("--work_dir", default="study", help="sets and runs, not kept")
    add("--results", default=str(_HERE / "results"), help="what is kept")
    add("--table", action="store_true", help="print what is there")
    add("--thresholds", action="store_true", help="--table with each mAP")
    add("--acmnet", default="", help="checkout of ACM-Net")
    add("--torch_python", default="", help="interpreter with PyTorch")
    add(
        "--localize_with",
        action="append",
        default=[],
        help="flagfile that localizes ACM-Net's outputs; may be repeated",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    begin = time.monotonic()
    main(sys.argv[1:])
    print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)
