import dataclasses
import json
import random

import numpy as np
import pytest

from tests.conftest import random_record, write_records
from tfwstal import train, tune
from tfwstal.command_line import parse
from tfwstal.config import Config
from tfwstal.data import folder as records_folder
from tfwstal.data import reader
from tfwstal.errors import InputError
from tfwstal.search import cross_validation, grids
from tfwstal.search.scorer import Scorer
from tfwstal.training import loop

ETA = Config().eta
FAST = Config(
    num_snippets=20,
    batch_size=8,
    epochs=1,
    learning_rate=0.01,
    # Low enough to select the whole video; each action is half of it.
    eta=(0.05, 0.25, 0.3),
    tiou_thresholds=(0.3, 0.45),
    folds=2,
    max_trials=2,
)


@pytest.fixture
def planted(tmp_path):
    """Eight training videos with an action in their first half; no test."""
    videos = []
    for number in range(8):
        label = 1 + number % 2
        video = random_record(f"v{number}", 10 + number, (label,))
        video.features[: len(video.features) // 2, label] += 3
        videos.append(video)
    other = [random_record("other", 9)]
    write_records(tmp_path / "records", {"train": videos, "test": other})
    shard = tmp_path / "records" / "set-test.tfrecord-00000-of-00001"
    # The test split must not be read: its record has a length but no content.
    written = shard.read_bytes()
    shard.write_bytes(written[:8] + b"?" * (len(written) - 8))
    return tmp_path / "records"


def search(records, folder, **changes):
    tune.main(
        dataclasses.replace(
            FAST, data_dir=str(records), tune_dir=str(folder), **changes
        )
    )
    return json.loads((folder / "results.json").read_text())


@pytest.fixture
def trainings(monkeypatch):
    """The videos of each training, in order."""
    found = []
    plain = loop.fit

    def fit(training, *arguments, **more):
        found.append(set(training.videos))
        plain(training, *arguments, **more)

    monkeypatch.setattr(loop, "fit", fit)
    return found


@pytest.fixture
def untrained(monkeypatch):
    """Skips training, which is slow to start."""
    monkeypatch.setattr(loop, "fit", lambda *a, **b: None)


@pytest.fixture
def scored(monkeypatch):
    """Records each (trial's values, fold) and gives it a random score."""
    found = []

    def score(self, values, fold):
        found.append((tuple(values.values()), fold))
        return random.Random(repr(found[-1])).random()

    monkeypatch.setattr(Scorer, "score", score)
    return found


class TestGrid:
    def test_it_is_the_papers(self):
        start, (first, second) = grids.search_spaces("losses", ETA)
        assert start == {"lambda_ct": 0.01, "lambda_bg": 0.01}
        assert list(first) == ["lambda_smt", "lambda_gui"]
        assert list(second) == ["lambda_ct", "lambda_bg"]
        for values in (*first.values(), *second.values()):
            fine = [round(0.001 * i, 3) for i in range(1, 11)]
            coarse = [round(0.01 * i, 2) for i in range(1, 11)]
            assert list(values) == sorted({*fine, *coarse})
        _, (space,) = grids.search_spaces("localization", ETA)
        fine = [round(0.05 * i, 2) for i in range(1, 11)]
        coarse = [round(0.1 * i, 1) for i in range(1, 11)]
        assert list(space["alpha"]) == fine
        assert list(space["beta"]) == sorted({*fine, *coarse})

    @pytest.mark.parametrize("recipe", ["thumos14", "activitynet13"])
    def test_the_recipes_own_eta_is_tried(self, recipe):
        config = parse(["tune", f"--flagfile=configs/{recipe}.flags"], "tune")
        texts = grids.eta_choices(config.eta)
        tried = [grids.parse_eta(text) for text in texts]
        for text, values in zip(texts, tried, strict=True):
            assert parse(["tune", f"--eta={text}"], "tune").eta == values
        assert tried[0] == config.eta
        assert len(set(tried)) == 5
        step = config.eta[1] - config.eta[0]
        for each in tried:
            assert 0 < each[0] and each[-1] <= config.eta[-1] + 1e-9
            np.testing.assert_allclose(
                np.diff(each) / step, np.rint(np.diff(each) / step), atol=1e-6
            )

    @pytest.mark.parametrize("eta", [(0.5,), (0.1, 0.2, 0.7)])
    def test_any_eta_is_tried(self, eta):
        for text in grids.eta_choices(eta):
            found = grids.parse_eta(text)
            assert found == parse(["tune", f"--eta={text}"], "tune").eta
        assert grids.parse_eta(grids.eta_choices(eta)[0]) == eta

    def test_more_trials_begin_with_the_same_values(self):
        space = {"alpha": (0.1, 0.2, 0.3), "beta": (0.1, 0.2)}
        few, all_of_them = (
            grids.trial_order(space, 0, count) for count in (4, 0)
        )
        assert few == all_of_them[:4]
        assert len({tuple(each.values()) for each in all_of_them}) == 6
        other = grids.trial_order(space, 1)
        assert other != all_of_them


class TestLocalization:
    def test_each_fold_is_trained_once_on_the_others(
        self, planted, tmp_path, trainings, capsys
    ):
        found = search(planted, tmp_path / "tuned", max_trials=6)
        assert len(trainings) == 2
        everything = {f"v{i}" for i in range(8)}
        assert trainings[0] | trainings[1] == everything
        assert not trainings[0] & trainings[1]

        assert len(found["trials"]) == 6
        for trial in found["trials"]:
            assert list(trial["values"]) == ["alpha", "beta", "eta"]
            assert trial["mean"] == pytest.approx(np.mean(trial["folds"]))
            assert trial["sd"] == pytest.approx(np.std(trial["folds"], ddof=1))
        best = max(found["trials"], key=lambda trial: trial["mean"])
        assert found["best"] == best
        printed = capsys.readouterr().out
        assert "2 trainings of 1 epochs, then 6 trials without" in printed
        assert f"--alpha={best['values']['alpha']}\n" in printed

        config = parse(
            ["localize", "--flagfile=configs/thumos14.flags"]
            + [f"--flagfile={tmp_path / 'tuned' / 'best.flags'}"],
            "localize",
        )
        assert config.alpha == best["values"]["alpha"]
        assert config.beta == best["values"]["beta"]
        again = dataclasses.replace(
            FAST,
            **best["values"] | {"eta": grids.parse_eta(best["values"]["eta"])},
        )
        assert config.eta == again.eta

        # The score of a fold, computed again from the stored outputs.
        info = records_folder.read(planted)
        labels = reader.video_labels(info, planted, "train")
        folds = cross_validation.split_videos(labels, 2, FAST.seed)
        path = tmp_path / "tuned" / "outputs_2.npz"
        outputs = cross_validation.HeldOutOutputs.load(path)
        assert set(outputs.video_ids) == set(folds[1]) == trainings[0]
        score = cross_validation.average_map(
            outputs,
            cross_validation.segments_of_folds(info, planted, folds)[1],
            again.localization_settings(),
            FAST.tiou_thresholds,
        )
        assert score == best["folds"][1]

    def test_a_run_localizes_without_training(
        self, planted, tmp_path, trainings
    ):
        run_dir = tmp_path / "run"
        train.main(
            dataclasses.replace(
                FAST, data_dir=str(planted), run_dir=str(run_dir), epochs=0
            )
        )
        flags = [f"--run_dir={run_dir}", f"--tune_dir={tmp_path / 'tuned'}"]
        config = parse(["tune", *flags, "--max_trials=2", "--folds=2"], "tune")
        assert config.eta == FAST.eta  # from the run's flags
        tune.main(config)
        assert not trainings
        assert (tmp_path / "tuned" / "best.flags").is_file()
        train.main(
            dataclasses.replace(
                FAST,
                data_dir=str(planted),
                run_dir=str(run_dir),
                epochs=0,
                seed=1,
                overwrite=True,
            )
        )
        with pytest.raises(InputError, match="has a search with other run"):
            tune.main(config)


class TestLosses:
    def test_a_trial_trains_the_same_whatever_was_before(
        self, planted, trainings
    ):
        config = dataclasses.replace(FAST, data_dir=str(planted), tune="losses")
        values = {"lambda_smt": 0.01, "lambda_gui": 0.1}
        scorer = tune.make_scorer(config)
        score = scorer.score(values, 1)
        scorer.score({"lambda_smt": 0.1}, 0)
        assert tune.make_scorer(config).score(values, 1) == score > 0
        assert trainings[2] == trainings[0]
        assert not trainings[0] & trainings[1]

    def test_the_second_search_takes_the_best_of_the_first(
        self, planted, tmp_path, scored
    ):
        found = search(
            planted, tmp_path / "tuned", tune="losses", max_trials=10
        )
        first, second = found["trials"][:10], found["trials"][10:]
        for trial in first:
            assert trial["values"]["lambda_ct"] == 0.01
            assert trial["values"]["lambda_bg"] == 0.01
        best = max(first, key=lambda trial: trial["mean"])["values"]
        for trial in second:
            assert trial["values"]["lambda_smt"] == best["lambda_smt"]
            assert trial["values"]["lambda_gui"] == best["lambda_gui"]
        assert found["best"] == max(second, key=lambda trial: trial["mean"])
        flags = (tmp_path / "tuned" / "best.flags").read_text()
        for name, value in found["best"]["values"].items():
            assert f"--{name}={value}\n" in flags

    def test_an_interrupted_search_finds_the_same(
        self, planted, tmp_path, scored, monkeypatch
    ):
        changes = {"tune": "losses", "max_trials": 4}
        search(planted, tmp_path / "whole", **changes)
        all_of_them = list(scored)
        scored.clear()
        plain = Scorer.score

        def dies(self, values, fold):
            if len(scored) in deaths:
                deaths.remove(len(scored))
                raise KeyboardInterrupt
            return plain(self, values, fold)

        monkeypatch.setattr(Scorer, "score", dies)
        deaths = [0, 1, 5, len(all_of_them) - 1]
        folder = tmp_path / "stopped"
        for _ in range(4):
            with pytest.raises(KeyboardInterrupt):
                search(planted, folder, **changes)
            assert not (folder / "best.flags").exists()
        search(planted, folder, **changes)
        assert scored == all_of_them  # each once
        for name in ("best.flags", "results.json"):
            one, other = tmp_path / "whole" / name, folder / name
            assert one.read_bytes() == other.read_bytes()

    def test_a_finished_search_is_shown_or_extended(
        self, planted, tmp_path, scored, untrained, monkeypatch
    ):
        one = search(planted, tmp_path / "tuned", max_trials=3)
        # Fails if the outputs are computed again.
        monkeypatch.setattr(Scorer, "_held_out_outputs", None)
        assert search(planted, tmp_path / "tuned", max_trials=3) == one
        assert len(scored) == 6
        more = search(planted, tmp_path / "tuned", max_trials=5)
        assert more["trials"][:3] == one["trials"]
        assert len(scored) == len(set(scored)) == 10


class TestBadInput:
    def test_another_search_is_refused(self, planted, tmp_path, untrained):
        search(planted, tmp_path / "tuned", max_trials=1)
        before = (tmp_path / "tuned" / "results.json").read_bytes()
        for change, message in (
            ({"folds": 3}, "has a search with --folds=2, not 3"),
            ({"learning_rate": 0.1}, "--learning_rate=0.01, not 0.1"),
            ({"tune": "losses"}, "--tune=localization, not losses"),
        ):
            with pytest.raises(InputError, match=message):
                search(planted, tmp_path / "tuned", **change)
        info = records_folder.read(planted)
        dataclasses.replace(info, provenance={"a": 1}).write(planted)
        with pytest.raises(InputError, match="with other records"):
            search(planted, tmp_path / "tuned")
        assert (tmp_path / "tuned" / "results.json").read_bytes() == before

    def test_folders_of_something_else(self, planted, tmp_path):
        folder = tmp_path / "thesis"
        folder.mkdir()
        (folder / "chapter1.tex").write_text("x")
        with pytest.raises(InputError, match="is not the folder of a search"):
            search(planted, folder)
        assert [path.name for path in folder.iterdir()] == ["chapter1.tex"]
        (folder / "results.json").write_text("{}")
        with pytest.raises(InputError, match="damaged or was not written by"):
            search(planted, folder)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"epochs": 0}, "--epochs=0 trains nothing"),
            ({"folds": 9}, "there are 8 training videos"),
            (
                {
                    "tune": "losses",
                    "branches": "attention",
                    "lambda_smt": 0.0,
                    "lambda_gui": 0.0,
                },
                "--branches=attention does not use",
            ),
            ({"optimizer": "adma"}, "--optimizer=adma is unknown"),
        ],
    )
    def test_flags_that_search_nothing(
        self, planted, tmp_path, changes, message
    ):
        with pytest.raises(InputError, match=message):
            search(planted, tmp_path / "tuned", **changes)
        assert not list(tmp_path.glob("tuned/[!rk]*"))

    def test_records_without_segments(self, tmp_path):
        videos = [
            dataclasses.replace(random_record(f"v{i}", 9), segments=())
            for i in range(4)
        ]
        write_records(tmp_path / "records", {"train": videos})
        with pytest.raises(InputError, match="'train' have no segments"):
            search(tmp_path / "records", tmp_path / "tuned")
        assert not (tmp_path / "tuned").exists()

    def test_all_scores_of_zero_are_refused(self, planted, tmp_path, untrained):
        with pytest.raises(InputError, match="all 1 trials scored 0"):
            search(
                planted,
                tmp_path / "tuned",
                tune="losses",
                eta=(1.0,),
                max_trials=1,
            )
        assert not (tmp_path / "tuned" / "best.flags").exists()

    def test_a_diverged_training(self, planted, tmp_path, monkeypatch):
        def diverge(training, model, *arguments, **more):
            model.centroids.assign(model.centroids * np.nan)
            model.classifier.bias.assign(model.classifier.bias * np.nan)

        monkeypatch.setattr(loop, "fit", diverge)
        with pytest.raises(InputError, match="the training has diverged"):
            search(planted, tmp_path / "tuned")
        # In a search of losses, a diverged trial only scores 0.
        with pytest.raises(InputError, match="all 1 trials scored 0"):
            search(planted, tmp_path / "l", tune="losses", max_trials=1)
