import numpy as np
import pytest
import reference
import tensorflow as tf

from tfwstal import losses

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
        losses.classification_loss(scores, targets), [np.log(8)], rtol=1e-6
    )


def test_classification_loss_stays_finite_and_keeps_its_gradient():
    scores = tf.Variable([[0.0, 1e-20, 1.0]])
    with tf.GradientTape() as tape:
        loss = losses.classification_loss(scores, [[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(loss, [20 * np.log(10)], rtol=1e-5)
    # d(-log y) / dy = -1 / y, still there at 1e-20.
    np.testing.assert_allclose(
        tape.gradient(loss, scores), [[0, -1e20, 0]], rtol=1e-5
    )
    with tf.GradientTape() as tape:
        loss = losses.classification_loss(scores, [[1.0, 0.0, 0.0]])
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, scores)).all()


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
