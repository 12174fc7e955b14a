import dataclasses

import numpy as np
import pytest

from tests.conftest import random_model, random_record, write_records
from tfwstal import inference
from tfwstal.data import folder, reader
from tfwstal.errors import InputError
from tfwstal.evaluation import average_precision
from tfwstal.method.options import LocalizationSettings
from tfwstal.search import cross_validation

SETTINGS = LocalizationSettings(eta=(0.05, 0.2, 0.3))


class TestSplit:
    def test_each_fold_has_as_many_of_each_action(self):
        labels = {f"v{i}": [1 + i % 3] for i in range(30)}
        folds = cross_validation.split_videos(labels, 5, seed=0)
        assert sorted(sum(folds, [])) == sorted(labels)
        for fold in folds:
            assert sorted(labels[video][0] for video in fold) == [
                1,
                1,
                2,
                2,
                3,
                3,
            ]

    def test_several_actions_a_video(self):
        rng = np.random.default_rng(0)
        labels = {
            f"v{i}": sorted(set(rng.integers(1, 6, 2).tolist()))
            for i in range(100)
        }
        folds = cross_validation.split_videos(labels, 4, seed=0)
        assert sorted(sum(folds, [])) == sorted(labels)
        for action in range(1, 6):
            counts = [
                sum(action in labels[video] for video in fold) for fold in folds
            ]
            assert max(counts) - min(counts) <= 2

    def test_seed_and_ids_alone_decide(self):
        labels = {f"v{i}": [1] for i in range(12)}
        backwards = dict(reversed(labels.items()))
        one = cross_validation.split_videos(labels, 3, seed=4)
        assert cross_validation.split_videos(backwards, 3, seed=4) == one
        assert cross_validation.split_videos(labels, 3, seed=5) != one

    def test_more_folds_than_videos(self):
        with pytest.raises(InputError, match="there are 2 training videos"):
            cross_validation.split_videos({"a": [1], "b": [2]}, 3, seed=0)


def test_a_fold_is_scored_as_localize_and_evaluate_score_it(records):
    info = folder.read(records)
    model = random_model()
    truth = reader.ground_truth(info, records, "train")
    truth = {name: truth[name] for name in ("train_25", "train_40", "train_7")}
    outputs = cross_validation.held_out_outputs(model, info, records, truth)
    assert sorted(outputs.video_ids) == sorted(truth)

    scores = []
    for changes in ({}, {"alpha": 0.4, "beta": 1.0}, {"eta": (0.02,)}):
        settings = dataclasses.replace(SETTINGS, **changes)
        detector = inference.make_detector(model, settings)
        found = [
            (video, each)
            for video, several in inference.localize_dataset(
                detector,
                reader.whole_videos(info, records, "train", truth),
                info.classes,
            )
            for each in several
        ]
        expected = average_precision.mean_average_precision(
            average_precision.Instances(
                list(truth),
                [info.classes[labels[0] - 1] for _, labels in truth.values()],
                [segments[0] for segments, _ in truth.values()],
            ),
            average_precision.Detections(
                [video for video, _ in found],
                [each["label"] for _, each in found],
                [each["segment"] for _, each in found],
                [each["score"] for _, each in found],
            ),
            (0.3, 0.5),
        ).mean_ap.mean()
        score = cross_validation.average_map(
            outputs, truth, settings, (0.3, 0.5)
        )
        assert score == pytest.approx(expected, abs=1e-6)
        scores.append(score)
    assert min(scores) > 0


def test_outputs_are_the_same_after_saving(records, tmp_path):
    info = folder.read(records)
    outputs = cross_validation.held_out_outputs(
        random_model(), info, records, ["train_3", "train_12"]
    )
    path = tmp_path / "outputs.npz"
    outputs.save(path)
    again = cross_validation.HeldOutOutputs.load(path)
    for name, value in dataclasses.asdict(outputs).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert [each.name for each in tmp_path.glob("*outputs*")] == ["outputs.npz"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="is damaged; delete it"):
        cross_validation.HeldOutOutputs.load(path)


def test_videos_without_segments_are_not_scored(tmp_path):
    videos = [random_record(f"v{i}", 10 + i) for i in range(4)]
    videos[1] = dataclasses.replace(videos[1], segments=())
    info = write_records(tmp_path / "records", {"train": videos})
    found = cross_validation.segments_of_folds(
        info, tmp_path / "records", [["v0", "v1"], ["v2", "v3"]]
    )
    assert [list(fold) for fold in found] == [["v0"], ["v2", "v3"]]
    with pytest.raises(InputError, match="a fold has no video with segments"):
        cross_validation.segments_of_folds(
            info, tmp_path / "records", [["v1"], ["v0", "v2", "v3"]]
        )
