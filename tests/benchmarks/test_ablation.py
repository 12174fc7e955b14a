import json
import shutil
import statistics

import pytest

from benchmarks import ablation
from tests.conftest import random_record, write_records
from tfwstal import train
from tfwstal.errors import InputError


@pytest.fixture
def study(tmp_path):
    """Arguments of a study of three rows, two of which share their runs."""
    videos = {
        split: [random_record(f"{split}_{n}", n, (1 + n % 3,)) for n in lengths]
        for split, lengths in (("train", (9, 16, 20)), ("test", (8, 12, 13)))
    }
    write_records(tmp_path / "records", videos)
    truth = {
        "database": {
            video.video_id: {
                "subset": "test",
                "annotations": [
                    {"segment": [start, end], "label": label}
                    for start, end, label, _ in video.segments
                ],
            }
            for video in videos["test"]
        }
    }
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    for name, flag in (("soft", "--nms=soft"), ("still", "--epochs=0")):
        (tmp_path / f"{name}.flags").write_text(f"{flag}\n")
    return [
        f"--data_dir={tmp_path / 'records'}",
        f"--ground_truth={tmp_path / 'gt.json'}",
        f"--rows=recipe,{tmp_path / 'soft.flags'},{tmp_path / 'still.flags'}",
        f"--output_dir={tmp_path / 'study'}",
        "--seeds=3,4",
        "--epochs=1",
        "--watch_every=0",
        "--tiou_thresholds=0.1,0.3",
        "--eta=0.1:0.9:0.1",
    ]


@pytest.fixture
def trained(monkeypatch):
    """Records the seed and the epochs of each training."""
    calls, main = [], train.main

    def record(config):
        calls.append((config.seed, config.epochs))
        main(config)

    monkeypatch.setattr(train, "main", record)
    return calls


def test_a_study_fills_its_table_and_resumes(
    study, trained, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ablation, "write_tables", stop_after(3))
        ablation.main(study)
    assert len(list((tmp_path / "study/results").iterdir())) == 3
    before = (tmp_path / "study/results/soft-seed3.json").read_bytes()

    ablation.main(study)
    after = (tmp_path / "study/results/soft-seed3.json").read_bytes()
    assert after == before

    rows = json.loads((tmp_path / "study/results.json").read_text())
    assert {name: len(reports) for name, reports in rows.items()} == {
        "recipe": 2,
        "soft": 2,
        "still": 2,
    }
    # Two of the three rows differ only in localization and share a run.
    assert trained == [(3, 1), (4, 1), (3, 0), (4, 0)]
    averages = [100 * statistics.mean(each["mAP"]) for each in rows["recipe"]]
    table = (tmp_path / "study/table.md").read_text().splitlines()
    assert "| recipe | 2 |" in table[2]
    mean, deviation = statistics.mean(averages), statistics.stdev(averages)
    assert table[2].endswith(f"| {mean:.2f} ± {deviation:.2f} |")
    assert (tmp_path / "study/plot.png").stat().st_size > 5000


def stop_after(count):
    """A `write_tables` that interrupts the study at its count-th row."""
    calls = []

    def write_tables(folder):
        calls.append(folder)
        if len(calls) == count:
            raise KeyboardInterrupt

    return write_tables


def test_other_flags_in_the_same_folder_are_refused(study):
    one = [*study, "--seeds=3", "--rows=recipe", "--epochs=0"]
    ablation.main(one)
    with pytest.raises(InputError, match="was made with --alpha=0.1, not 0.2"):
        ablation.main([*one, "--alpha=0.2"])


def test_a_row_with_other_records_has_a_run_of_its_own(
    study, trained, tmp_path
):
    shutil.copytree(tmp_path / "records", tmp_path / "other")
    (tmp_path / "other.flags").write_text(f"--data_dir={tmp_path / 'other'}\n")
    arguments = [
        f"--rows=recipe,{tmp_path / 'other.flags'}"
        if part.startswith("--rows=")
        else part
        for part in [*study, "--seeds=3"]
    ]
    ablation.main(arguments)
    assert trained == [(3, 1), (3, 1)]


def test_an_unknown_row_is_refused_before_anything_runs(study, tmp_path):
    with pytest.raises(InputError, match="no flagfile 'table9"):
        ablation.main([*study, "--rows=recipe,table9_*"])
    assert not (tmp_path / "study").exists()


def test_all_rows_of_the_papers_tables_are_there():
    names = [name for name, _ in ablation._rows("table3_*,table5_*")]
    assert len(names) == 8
