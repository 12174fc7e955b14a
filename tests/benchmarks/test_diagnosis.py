import numpy as np
import pytest

from benchmarks import diagnosis
from tfwstal import train
from tfwstal.command_line import parse


def test_auc_counts_pairs_and_half_of_ties():
    rng = np.random.default_rng(0)
    values, positive = rng.integers(0, 6, 40), rng.random(40) < 0.4
    pairs = np.sign(values[positive][:, None] - values[~positive])
    expected = ((pairs + 1) / 2).mean()
    assert diagnosis.auc(values, positive) == pytest.approx(expected)


def test_labels_and_best_order_never_lower_map(records, tmp_path, capsys):
    train.main(
        parse(
            ["train", f"--data_dir={records}", f"--run_dir={tmp_path / 'run'}"]
            + ["--epochs=0"],
            "train",
        )
    )
    capsys.readouterr()
    diagnosis.main(
        parse(
            ["diagnosis", f"--run_dir={tmp_path / 'run'}"]
            + ["--eta=0.1:0.9:0.1", "--tiou_thresholds=0.1"],
            "localize",
        )
    )
    lines = capsys.readouterr().out.splitlines()
    plain, labels, order, both = (
        float(line.split()[-2]) for line in lines[-4:]
    )
    # The scores are random, so the true order must help.
    assert plain < order <= both
    assert labels <= both
