import numpy as np
import pytest
import reference
import tensorflow as tf
from conftest import random_batch, random_model

from tfwstal import localization
from tfwstal.config import Config
from tfwstal.localization import LocalizationSettings

ETA = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75)  # exact in float32


def random_video(length, num_classes, seed):
    """Smooth activations, so that runs have all lengths, and video scores."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(length, num_classes + 1)).cumsum(axis=0)
    activation = 1 / (1 + np.exp(-steps))
    scores = rng.dirichlet(np.ones(num_classes + 1))
    return activation.astype(np.float32), scores.astype(np.float32)


def localize_video(activation, scores, **settings):
    """Segments, classes and scores as lists of one tuple a detection."""
    settings = LocalizationSettings(**{"eta": ETA, **settings})
    segments, classes, scores = localization.localize_video(
        tf.constant(activation),
        tf.constant(activation[:, 0]),
        tf.constant(scores),
        settings,
    )
    return [
        (int(c), float(s), *map(float, segment))
        for c, s, segment in zip(
            classes.numpy(), scores.numpy(), segments.numpy(), strict=True
        )
    ]


@pytest.mark.parametrize("seed", range(40))
def test_localization_is_the_oracle(seed):
    length = [1, 2, 5, 40, 90][seed % 5]
    activation, scores = random_video(length, 1 + seed % 4, seed)
    found = localize_video(activation, scores)
    expected = reference.localize(
        activation.astype(np.float64),
        scores.astype(np.float64),
        ETA,
        seconds_per_snippet=1.0,
    )
    assert len(found) == len(expected)
    ours = sorted((c, s, e, score) for c, score, s, e in found)
    theirs = sorted((d["label"], *d["segment"], d["score"]) for d in expected)
    for one, other in zip(ours, theirs, strict=True):
        assert one[:3] == other[:3]
        assert one[3] == pytest.approx(other[3], rel=1e-5, abs=1e-6)
    assert [d[1] for d in found] == sorted((d[1] for d in found), reverse=True)


def test_soft_nms_is_the_oracle():
    activation, scores = random_video(60, 1, seed=3)
    found = localize_video(activation, scores, nms="soft", nms_sigma=0.3)
    z = activation[:, 1].astype(np.float64)
    proposals = [
        (first, last + 1) for first, last in reference.proposals(z, ETA)
    ]
    scored = [
        (
            start,
            end,
            reference.outer_inner_contrast(z, start, end)
            + 0.2 * float(scores[1]),
        )
        for start, end in proposals
    ]
    positive = [each for each in scored if each[2] > 0]
    expected = reference.soft_nms(positive, 0.3, len(positive))
    for (_, score, start, end), (index, soft) in zip(
        found, expected, strict=False
    ):
        assert (start, end) == positive[index][:2]
        assert score == pytest.approx(soft, rel=1e-4)


@pytest.mark.parametrize("inflation", [0.2, 0.25, 1.0])
def test_contrast_at_borders_is_the_oracle(inflation):
    z = np.random.default_rng(0).random(20).astype(np.float32)
    pairs = [(i, j) for i in range(20) for j in range(i + 1, 21)]
    start, end = np.array(pairs, np.float32).T
    contrast = localization.outer_inner_contrast(
        tf.constant(z[np.newaxis]),
        tf.zeros(len(pairs), tf.int32),
        tf.constant(start),
        tf.constant(end),
        inflation,
    )
    expected = [
        reference.outer_inner_contrast(z, s, e, inflation) for s, e in pairs
    ]
    np.testing.assert_allclose(contrast, expected, rtol=1e-4, atol=1e-6)


class TestKeptClasses:
    def test_threshold_is_inclusive_and_background_never_counts(self):
        scores = tf.constant([0.5, 0.125, 0.1, 0.25])
        kept = localization.kept_classes(scores, 0.125)
        assert kept.numpy().tolist() == [1, 3]

    def test_best_action_stays_if_none_passes(self):
        scores = tf.constant([0.9, 0.02, 0.05, 0.03])
        assert localization.kept_classes(scores, 0.1).numpy().tolist() == [2]


class TestProposals:
    def runs(self, z, eta):
        found = localization.proposals([(tf.constant([z], tf.float32), eta)])
        return sorted(
            (int(a), int(b)) for a, b in zip(found[1], found[2], strict=True)
        )

    def test_no_action(self):
        assert self.runs([0.0, 0.1, 0.0], [0.5]) == []

    def test_all_action(self):
        assert self.runs([0.9, 0.8, 0.9], [0.5, 0.75]) == [(0, 2)]

    def test_one_snippet(self):
        assert self.runs([0.9], [0.5]) == [(0, 0)]

    def test_borders_and_the_threshold_itself(self):
        assert self.runs([0.5, 0.0, 0.5, 0.5], [0.5]) == [(0, 0), (2, 3)]

    def test_thresholds_give_scales_and_no_duplicates(self):
        z = [0.2, 0.6, 0.9, 0.6, 0.2]
        assert self.runs(z, [0.1, 0.15, 0.5, 0.8]) == [(0, 4), (1, 3), (2, 2)]


class TestInterpolation:
    def test_values_stand_at_snippet_centres(self):
        # Two samples a snippet stand at -1/4 and +1/4 of a snippet around its
        # centre: 0 (held), 1/4, 3/4, 1 (held).
        out = localization.interpolate(tf.constant([[0.0, 1.0]]), 2)
        np.testing.assert_allclose(out, [[0, 0.25, 0.75, 1]])

    def test_a_symmetric_bump_is_not_shifted(self):
        found = localize_video(
            np.array([[0, 0], [0, 0.2], [0, 0.8], [0, 0.2], [0, 0]], "f"),
            np.array([0.1, 0.9], np.float32),
            samples_per_snippet=10,
        )
        for _, _, start, end in found:
            assert (start + end) / 2 == pytest.approx(2.5, abs=1e-5)
            assert start != round(start)  # finer than snippets


def test_attention_branch_thresholds_and_scores_the_attention():
    settings = localization.localization_settings(
        Config(branches="attention", lambda_smt=0.0, lambda_gui=0.0)
    )
    assert settings.threshold_on == settings.score_on == "attention"
    attention = np.array([0.0, 0.9, 0.9, 0.0], np.float32)
    segments, classes, scores = localization.localize_video(
        tf.zeros([4, 3]),
        tf.constant(attention),
        tf.constant([0.0, 0.7, 0.3]),
        settings,
    )
    # Inner mean 0.9, outer 0, and 0.2 of the video score on top.
    assert sorted(classes.numpy()) == [1, 2]
    np.testing.assert_allclose(segments, [[1, 3], [1, 3]])
    np.testing.assert_allclose(scores, [0.9 + 0.14, 0.9 + 0.06], rtol=1e-6)


def test_both_thresholds_the_two_sequences():
    activation = np.zeros((6, 2), np.float32)
    activation[1, 1] = 0.9  # the class's activation
    activation[4, 0] = 0.9  # localize_video takes column 0 as attention
    scores = np.array([0.0, 1.0], np.float32)
    spans = {
        choice: sorted(
            d[2:]
            for d in localize_video(activation, scores, threshold_on=choice)
        )
        for choice in ("activation", "attention", "both")
    }
    assert spans["activation"] == [(1, 2)]
    assert spans["attention"] == [(4, 5)]
    assert spans["both"] == [(1, 2), (4, 5)]


def test_attention_can_have_thresholds_of_its_own():
    attention = np.array([0.0, 0.3, 0.9, 0.3], np.float32)
    activation = np.array([0.3, 0.9, 0.3, 0.0], np.float32)
    segments, _, _ = localization.localize_video(
        tf.constant(np.stack([1 - activation, activation], axis=1)),
        tf.constant(attention),
        tf.constant([0.0, 1.0]),
        localization.LocalizationSettings(
            eta=(0.2,), eta_attention=(0.5,), threshold_on="both"
        ),
    )
    # The activation is cut low, the attention high.
    assert sorted(segments.numpy().tolist()) == [[0, 3], [2, 3]]


def test_a_batch_answers_each_video_as_if_alone():
    model = random_model(num_classes=3, feature_dim=5)
    lengths = [1, 60, 7, 33]
    inputs, _ = random_batch(lengths, padding=np.nan)
    seconds = np.array([0.64, 0.5, 1.0, 0.64], np.float32)
    detector = localization.make_detector(
        model, LocalizationSettings(eta=ETA, max_detections=50)
    )
    together = detector(inputs["features"], inputs["num_snippets"], seconds)
    assert together["segments"].shape == (4, 50, 2)
    for row, length in enumerate(lengths):
        alone = detector(
            inputs["features"][row : row + 1, :length],
            inputs["num_snippets"][row : row + 1],
            seconds[row : row + 1],
        )
        count = int(alone["num_detections"][0])
        assert count == int(together["num_detections"][row])
        for name in ("segments", "class_indices"):
            np.testing.assert_array_equal(together[name][row], alone[name][0])
        np.testing.assert_allclose(
            together["scores"][row], alone["scores"][0], rtol=1e-5, atol=1e-6
        )
        assert (together["class_indices"][row, count:] == 0).numpy().all()
        ends = together["segments"][row, :count, 1].numpy()
        assert (ends <= length * seconds[row] * (1 + 1e-6)).all()


def test_shifting_time_shifts_segments():
    activation, scores = random_video(40, 2, seed=1)
    activation[:5] = activation[-5:] = 0.0
    shifted = np.roll(activation, 3, axis=0)
    before = localize_video(activation, scores)
    after = localize_video(shifted, scores)
    assert [(c, s + 3, e + 3) for c, _, s, e in before] == [
        (c, s, e) for c, _, s, e in after
    ]


def test_the_best_are_kept_where_there_are_too_many():
    activation, scores = random_video(90, 3, seed=2)
    everything = localize_video(activation, scores)
    assert len(everything) > 5
    best = localize_video(activation, scores, max_detections=5)
    assert best == everything[:5]


def test_settings_come_from_the_flags():
    config = Config(alpha=0.3, eta=(0.2, 0.4), nms="soft", max_detections=7)
    settings = localization.localization_settings(config)
    assert settings.alpha == 0.3
    assert settings.eta == (0.2, 0.4)
    assert settings.nms == "soft"
    assert settings.max_detections == 7
    assert settings.score_on == "activation"
