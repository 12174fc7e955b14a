import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tfwstal.method import losses

VALID = tf.constant([[True, True, True], [True, False, False]])


@pytest.mark.parametrize("kind", ["multi_hot", "normalized"])
def test_targets_are_the_oracle(kind):
    actions = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], np.float32)
    targets = losses.video_targets(tf.constant(actions), kind)
    for row, hot in enumerate(actions):
        expected = reference.targets(set(np.flatnonzero(hot) + 1), 3, kind)
        np.testing.assert_allclose(targets[row], expected, rtol=1e-6)


def test_classification_loss_by_hand():
    scores = tf.constant([[0.5, 0.25, 0.25]])
    targets = tf.constant([[1.0, 1.0, 0.0]])
    # -(log 1/2 + log 1/4) = log 8
    np.testing.assert_allclose(
        losses.classification_loss(tf.math.log(scores), targets),
        [np.log(8)],
        rtol=1e-6,
    )


@pytest.mark.parametrize("branches", ["both", "attention", "mil"])
def test_fused_log_scores_are_the_oracle(branches):
    attention, mil = np.random.default_rng(0).normal(0, 9, (2, 4, 3, 5))
    found = losses.fused_log_scores(
        tf.constant(attention, tf.float32),
        tf.constant(mil, tf.float32),
        branches,
    )
    for row in range(4):
        att, top = reference.scores(attention[row]), reference.scores(mil[row])
        y = {"both": reference.fused(att, top), "attention": att, "mil": top}
        np.testing.assert_allclose(
            found[row], np.log(y[branches]), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("gap", [1.0, 70.0, 200.0])
def test_both_branches_keep_a_gradient_if_they_are_wrong(gap):
    """At a gap of 70, a probability is too small for float32's normal range."""
    attention = tf.Variable([[gap, 0.0, -1.0]])
    mil = tf.Variable([[gap, 0.0, -1.0]])
    with tf.GradientTape() as tape:
        log_scores = losses.fused_log_scores(attention, mil)
        loss = losses.classification_loss(log_scores, [[0.0, 1.0, 0.0]])
    # -log of the second class: log(e^gap + 1 + e^-1), about the gap.
    total = np.exp(gap) + 1 + np.exp(-1)
    np.testing.assert_allclose(loss, [np.log(total)], rtol=1e-6)
    # Both branches are equal, so each gets half of softmax - target.
    expected = (np.exp([gap, 0, -1]) / total - [0, 1, 0]) / 2
    for gradient in tape.gradient(loss, [attention, mil]):
        np.testing.assert_allclose(gradient[0], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("busy", [0, 1])
def test_one_branch_far_below_the_other_keeps_its_share(busy):
    """The branches share the gradient by their probabilities."""
    logits = [tf.Variable([[3.0, 0.0]]), tf.Variable([[3.0, 0.0]])]
    logits[busy].assign([[203.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.classification_loss(
            losses.fused_log_scores(*logits), [[0.0, 1.0]]
        )
    to_busy, to_other = (
        np.asarray(gradient)
        for gradient in tape.gradient(loss, [logits[busy], logits[1 - busy]])
    )
    # y = (e^-203 + e^-3 / (1 + e^-3)) / 2: almost all from the other branch.
    wrong = 1 / (1 + np.exp(-3))
    np.testing.assert_allclose(to_other, [[wrong, -wrong]], rtol=1e-5)
    assert np.abs(to_busy).max() < 1e-30


def test_semantic_loss_by_hand():
    # Distances 5 (3-4-5), 0 and 1 in the first video; 2 and padding.
    x = tf.constant([[[3.0, 4.0], [1, 1], [0, 1]], [[2, 0], [9, 9], [9, 9]]])
    q = tf.constant([[[0.0, 0], [1, 1], [0, 0]], [[0, 0], [0, 0], [0, 0]]])
    np.testing.assert_allclose(
        losses.semantic_loss(x, q, VALID), [(5 + 0 + 1) / 3, 2.0], rtol=1e-6
    )


def test_semantic_loss_gradient_is_finite_at_zero_and_zero_at_padding():
    x = tf.Variable([[[3.0, 4.0], [1, 1], [0, 1]], [[2, 0], [9, 9], [9, 9]]])
    q = tf.Variable([[[0.0, 0], [1, 1], [0, 0]], [[0, 0], [0, 0], [0, 0]]])
    with tf.GradientTape() as tape:
        loss = losses.semantic_loss(x, q, VALID)
    to_x, to_q = tape.gradient(loss, [x, q])
    # (x - q) / |x - q| / 3 = (0.6, 0.8) / 3 for the first snippet.
    np.testing.assert_allclose(to_x[0, 0], [0.2, 0.8 / 3], rtol=1e-6)
    np.testing.assert_array_equal(to_x[0, 1], [0, 0])
    np.testing.assert_array_equal(to_x[1, 1:], np.zeros((2, 2)))
    np.testing.assert_array_equal(to_q, -to_x)


@pytest.mark.parametrize("detach", [False, True])
def test_guide_loss_detaches_the_attention_only(detach):
    a = tf.Variable([[0.2, 0.2, 0.2], [0.2, 0.2, 0.2]])
    z = tf.Variable([[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]])
    with tf.GradientTape() as tape:
        loss = losses.guide_loss(a, z, VALID, "sum", detach)
    to_a, to_z = tape.gradient(loss, [a, z])
    # 1 - a - z is positive, so the slope is -1 at every snippet.
    expected = -np.array([[1, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(to_z, expected)
    if detach:
        assert to_a is None
    else:
        np.testing.assert_array_equal(to_a, expected)
