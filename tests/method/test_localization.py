import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from tfwstal.config import Config
from tfwstal.method import localization
from tfwstal.method.options import LocalizationSettings

RANDOM_CASES = hypothesis.settings(
    derandomize=True, deadline=None, max_examples=40
)
ETA = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75)  # exact in float32


def random_video(length, num_classes, seed):
    """Smooth activations, which give runs of all lengths, and video scores."""
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


@RANDOM_CASES
@given(
    seed=st.integers(0, 999),
    length=st.sampled_from([1, 2, 5, 40, 90]),
    num_classes=st.sampled_from([1, 2, 20]),
    alpha=st.sampled_from([0.0, 0.1, 0.9]),
    beta=st.sampled_from([0.0, 0.2, 1.0]),
    inflation=st.sampled_from([0.2, 0.25, 1.0]),
    nms_tiou=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    eta=st.lists(st.sampled_from(ETA), min_size=1, max_size=6),
)
def test_localization_is_the_oracle(
    seed, length, num_classes, eta, **parameters
):
    activation, scores = random_video(length, num_classes, seed)
    found = localize_video(activation, scores, eta=tuple(eta), **parameters)
    expected = reference.localize(
        activation, scores, eta, seconds_per_snippet=1.0, **parameters
    )
    assert len(found) == len(expected)
    ours = sorted((c, s, e, score) for c, score, s, e in found)
    theirs = sorted((d["label"], *d["segment"], d["score"]) for d in expected)
    for one, other in zip(ours, theirs, strict=True):
        assert one[:3] == other[:3]
        assert one[3] == pytest.approx(other[3], rel=1e-5, abs=1e-6)
    assert [d[1] for d in found] == sorted((d[1] for d in found), reverse=True)


@RANDOM_CASES
@given(
    sequences=st.integers(1, 12).flatmap(
        lambda length: st.lists(
            st.lists(st.integers(0, 4), min_size=length, max_size=length),
            min_size=1,
            max_size=3,
        )
    ),
    eta=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_proposals_are_the_oracle(sequences, eta):
    # Integers, so that many values equal the threshold.
    found = localization.proposals(
        [(tf.constant(sequences, tf.float32), tuple(map(float, eta)))]
    )
    expected = [
        (row, *run)
        for row, z in enumerate(sequences)
        for run in reference.proposals(z, eta)
    ]
    found = zip(*(part.numpy().tolist() for part in found), strict=True)
    assert sorted(found) == expected


@RANDOM_CASES
@given(
    seed=st.integers(0, 999),
    length=st.integers(1, 20),
    inflation=st.sampled_from([0.2, 0.25, 1.0]),
)
def test_contrast_of_every_segment_is_the_oracle(seed, length, inflation):
    z = np.random.default_rng(seed).random((2, length)).astype(np.float32)
    segments = [
        (row, i, j)
        for row in range(2)
        for i in range(length)
        for j in range(i + 1, length + 1)
    ]
    row, start, end = np.array(segments).T
    contrast = localization.outer_inner_contrast(
        tf.constant(z),
        tf.constant(row, tf.int32),
        tf.constant(start, tf.float32),
        tf.constant(end, tf.float32),
        inflation,
    )
    expected = [
        reference.outer_inner_contrast(z[r], s, e, inflation)
        for r, s, e in segments
    ]
    # Tolerance for differences of means of size one.
    np.testing.assert_allclose(contrast, expected, rtol=1e-5, atol=1e-6)


def test_contrast_late_in_a_long_video():
    # After 20,000 snippets a float32 running sum is rounded to 1e-3.
    length, inflation = 20_000, 0.2
    z = np.random.default_rng(0).random((1, length)).astype(np.float32)
    start = np.arange(length - 60, length - 10, 5)
    end = start + 5
    contrast = localization.outer_inner_contrast(
        tf.constant(z),
        tf.zeros(len(start), tf.int32),
        tf.constant(start, tf.float32),
        tf.constant(end, tf.float32),
        inflation,
    )
    # The oracle walks over each snippet, so it gets the last 100; each outer
    # area is one snippet long and inside them.
    cut = length - 100
    expected = [
        reference.outer_inner_contrast(z[0, cut:], s - cut, e - cut, inflation)
        for s, e in zip(start, end, strict=True)
    ]
    np.testing.assert_allclose(contrast, expected, rtol=1e-5, atol=1e-6)


def suppress(segments, **arguments):
    """Choice and scores of `localization.suppress`, as lists."""
    row, start, end, scores = zip(*segments, strict=True)
    chosen, scores = localization.suppress(
        tf.constant(row, tf.int32),
        *(tf.constant(part, tf.float32) for part in (start, end, scores)),
        LocalizationSettings(**arguments),
    )
    return chosen.numpy().tolist(), scores.numpy().tolist()


def oracle_suppress(segments, nms, **arguments):
    """NMS class by class, then the best of all classes first."""
    kept = []
    for row in {segment[0] for segment in segments}:
        own = [i for i, segment in enumerate(segments) if segment[0] == row]
        spans = [segments[i][1:] for i in own]
        if nms == "hard":
            chosen = reference.hard_nms(spans, arguments["nms_tiou"])
            found = [(i, spans[i][2]) for i in chosen]
        else:
            found = reference.soft_nms(
                spans, arguments["nms_sigma"], len(spans)
            )
        kept += [(own[i], score) for i, score in found]
    kept.sort(key=lambda pair: (-pair[1], pair[0]))
    return [i for i, _ in kept], [score for _, score in kept]


@st.composite
def distinct_segments(draw, scores):
    """Segments (row, start, end, score), distinct within a row."""
    spans = st.tuples(st.integers(0, 2), st.integers(0, 8), st.integers(1, 5))
    spans = draw(st.lists(spans, min_size=1, max_size=12, unique=True))
    return [
        (row, start, start + length, draw(scores) / 1024)
        for row, start, length in spans
    ]


@RANDOM_CASES
@given(
    # A few scores, some below zero, so that many are equal.
    segments=distinct_segments(st.integers(-2, 6)),
    # Overlaps of short segments often lie on these thresholds.
    nms_tiou=st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.6, 1.0]),
)
def test_hard_nms_is_the_oracle(segments, nms_tiou):
    arguments = {"nms": "hard", "nms_tiou": nms_tiou}
    assert suppress(segments, **arguments) == oracle_suppress(
        segments, **arguments
    )


@RANDOM_CASES
@given(
    segments=distinct_segments(st.just(0)),
    seed=st.integers(0, 999),
    nms_sigma=st.sampled_from([0.1, 0.3, 1.0]),
)
def test_soft_nms_is_the_oracle(segments, seed, nms_sigma):
    # No two scores are equal, even after decay; rounding would order them.
    scores = np.random.default_rng(seed).random(len(segments), np.float32)
    segments = [
        (*segment[:3], float(score))
        for segment, score in zip(segments, scores, strict=True)
    ]
    arguments = {"nms": "soft", "nms_sigma": nms_sigma}
    chosen, scores = suppress(segments, **arguments)
    expected, lowered = oracle_suppress(segments, **arguments)
    assert chosen == expected
    assert scores == pytest.approx(lowered, rel=1e-5)


def test_soft_nms_takes_scores_below_zero_as_zero():
    # Multiplied, the second would rise above the third.
    segments = [(0, 0, 4, 0.5), (0, 0, 3, -0.5), (0, 6, 8, -0.25)]
    chosen, scores = suppress(segments, nms="soft", nms_sigma=0.3)
    assert chosen == [0, 1, 2]
    assert scores == [0.5, 0.0, 0.0]


@pytest.mark.parametrize("nms", ["hard", "soft"])
@RANDOM_CASES
@given(
    segments=distinct_segments(st.integers(1, 1024)),
    exponent=st.floats(-20, 20),
)
def test_scaling_the_scores_keeps_choice_and_order(nms, segments, exponent):
    # Hard NMS only compares. Soft-NMS multiplies, which is exact for a factor
    # that is a power of two.
    factor = 2.0 ** (exponent if nms == "hard" else round(exponent))
    scaled = [(*segment, score * factor) for *segment, score in segments]
    before, scores = suppress(segments, nms=nms)
    after, others = suppress(scaled, nms=nms)
    assert after == before
    assert others == pytest.approx([s * factor for s in scores], rel=1e-5)


class TestSelectClasses:
    def test_threshold_is_inclusive_and_background_never_counts(self):
        scores = tf.constant([0.5, 0.125, 0.1, 0.25])
        kept = localization.select_classes(scores, 0.125)
        assert kept.numpy().tolist() == [1, 3]

    def test_best_action_stays_if_none_passes(self):
        scores = tf.constant([0.9, 0.02, 0.05, 0.03])
        assert localization.select_classes(scores, 0.1).numpy().tolist() == [2]


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
        # Two samples per snippet are at -1/4 and +1/4 of a snippet from its
        # centre: 0 (held), 1/4, 3/4, 1 (held).
        out = localization.interpolate(tf.constant([[0.0, 1.0]]), 2)
        np.testing.assert_allclose(out, [[0, 0.25, 0.75, 1]])

    def test_a_symmetric_bump_is_not_shifted(self):
        found = localize_video(
            np.array([[0, 0], [0, 0.2], [0, 0.8], [0, 0.2], [0, 0]], "f"),
            np.array([0.1, 0.9], np.float32),
            samples_per_snippet=10,
        )
        assert found
        for _, _, start, end in found:
            assert (start + end) / 2 == pytest.approx(2.5, abs=1e-5)
            assert start != round(start)  # between snippets


def test_attention_branch_thresholds_and_scores_the_attention():
    settings = Config(
        branches="attention", lambda_smt=0.0, lambda_gui=0.0
    ).localization_settings()
    assert settings.threshold_on == settings.score_on == "attention"
    attention = np.array([0.0, 0.9, 0.9, 0.0], np.float32)
    segments, classes, scores = localization.localize_video(
        tf.zeros([4, 3]),
        tf.constant(attention),
        tf.constant([0.0, 0.7, 0.3]),
        settings,
    )
    # Inner mean 0.9, outer mean 0, plus 0.2 of the video score.
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
        LocalizationSettings(
            eta=(0.2,), eta_attention=(0.5,), threshold_on="both"
        ),
    )
    # The threshold is low for the activation and high for the attention.
    assert sorted(segments.numpy().tolist()) == [[0, 3], [2, 3]]


@RANDOM_CASES
@given(
    seed=st.integers(0, 999),
    shift=st.integers(1, 60),
    nms=st.sampled_from(["hard", "soft"]),
    density=st.sampled_from([1, 4]),
)
def test_silence_before_shifts_segments(seed, shift, nms, density):
    activation, scores = random_video(30, 2, seed)
    # Enough silence at both ends that every outer area is inside the video.
    activation = np.pad(activation, [(7, 7), (0, 0)])
    later = np.pad(activation, [(shift, 0), (0, 0)])
    # Soft-NMS orders scores below zero differently; here there are none.
    settings = {"nms": nms, "beta": 9.0, "samples_per_snippet": density}
    before = localize_video(activation, scores, **settings)
    after = localize_video(later, scores, **settings)
    assert before
    for one, other in zip(
        sorted((c, s + shift, e + shift, score) for c, score, s, e in before),
        sorted((c, s, e, score) for c, score, s, e in after),
        strict=True,
    ):
        assert other == pytest.approx(one, rel=1e-5, abs=1e-6)


def test_the_best_are_kept_if_there_are_too_many():
    activation, scores = random_video(90, 3, seed=2)
    everything = localize_video(activation, scores)
    assert len(everything) > 5
    best = localize_video(activation, scores, max_detections=5)
    assert best == everything[:5]


def test_settings_come_from_the_flags():
    config = Config(alpha=0.3, eta=(0.2, 0.4), nms="soft", max_detections=7)
    settings = config.localization_settings()
    assert settings.alpha == 0.3
    assert settings.eta == (0.2, 0.4)
    assert settings.nms == "soft"
    assert settings.max_detections == 7
    assert settings.score_on == "activation"
