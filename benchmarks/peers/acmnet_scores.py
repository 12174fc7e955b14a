"""Scores of ACM-Net's detections by epoch, and their table."""

import pathlib

from tfwstal import command_line, evaluate
from tfwstal.evaluation import tables

# ACM-Net's name of a set -> tIoU thresholds and the name of their average.
_THRESHOLDS = {
    "THUMOS": ("0.1:0.7:0.1", "0.1:0.7"),
    "ActivityNet": ("0.5:0.95:0.05", "0.5:0.95"),
}


def score_epochs(folder, raw, history, dataset="THUMOS"):
    """Scores the tested epochs.

    Returns:
        dict of "last" and "best", each with "epoch" and the result of `score`;
        and of "averages", epoch -> average mAP.
    """
    scores = {
        entry["epoch"]: score(_detections(folder, entry["epoch"]), raw, dataset)
        for entry in history
        if entry["tested"]
    }
    last, best = max(scores), best_epoch(scores)
    return {
        "last": {"epoch": last, **scores[last]},
        "best": {"epoch": best, **scores[best]},
        "averages": {str(k): v["average_mAP"] for k, v in scores.items()},
    }


def keep_epochs(folder, own):
    """Removes the detections of all epochs but the last and the best.

    Args:
        folder: OUTPUT_DIR.
        own: result of `score_epochs`.
    """
    kept = {own[which]["epoch"] for which in ("last", "best")}
    for epoch in {int(epoch) for epoch in own["averages"]} - kept:
        _detections(folder, epoch).unlink()


def best_epoch(scores):
    """The epoch with the greatest average mAP; the first of equals.

    Args:
        scores: dict from epoch to the result of `score`.
    """
    return max(scores, key=lambda epoch: (scores[epoch]["average_mAP"], -epoch))


def score(detections, raw, dataset="THUMOS"):
    """Scores a detections file against the test subset of a raw folder.

    Args:
        detections: path of the file.
        raw: the folder.
        dataset: ACM-Net's name of the set whose tIoU thresholds are used.

    Returns:
        dict of "tiou_thresholds", "mAP" at each, from 0 to 1, "average_mAP"
        and "num_detections".
    """
    thresholds, average = _THRESHOLDS[dataset]
    config = command_line.parse(
        [
            "acmnet",
            f"--ground_truth={pathlib.Path(raw) / 'gt.json'}",
            f"--detections={detections}",
            f"--tiou_thresholds={thresholds}",
            "--bad_segments=keep",
        ],
        "evaluate",
    )
    result, facts = evaluate.evaluate_files(config)
    report = tables.report_of(result)
    return {
        "tiou_thresholds": report["tiou_thresholds"],
        "mAP": report["mAP"],
        "average_mAP": report["average_mAP"][average],
        "num_detections": facts["num_detections"],
    }


def format_result(result):
    """The patches, and a line per score, in percent."""
    last, best = result["own"]["last"], result["own"]["best"]
    rows = {
        f"own, epoch {last['epoch']} (last)": last,
        f"own, epoch {best['epoch']} (best of "
        f"{len(result['own']['averages'])} tested)": best,
    }
    rows |= {
        f"epoch {last['epoch']}, localized with {name}": scores
        for name, scores in result["ours"].items()
    }
    width = max(map(len, rows))
    numbers = "".join(f" {t:>5g}" for t in last["tiou_thresholds"])
    lines = [f"- {patch}" for patch in result["patches"]]
    lines += ["", f"{'mAP %, tIoU':<{width}}{numbers}  average"]
    for name, scores in rows.items():
        cells = "".join(f" {100 * value:5.1f}" for value in scores["mAP"])
        lines.append(
            f"{name:<{width}}{cells}  {100 * scores['average_mAP']:7.2f}"
        )
    seconds = result["seconds"]
    lines.append(
        f"{seconds['training']:.0f} s of training, {seconds['testing']:.0f} s "
        f"of testing, {result['threads']} threads, {result['device']}"
    )
    return "\n".join(lines)


def _detections(folder, epoch):
    return folder / "epochs" / f"{epoch:04d}.json"
