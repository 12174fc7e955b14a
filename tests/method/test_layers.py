import numpy as np
import pytest
import tensorflow as tf

from tfwstal.method import layers


def test_residual_block_starts_near_the_identity():
    features = np.random.default_rng(0).normal(size=(2, 50, 64))
    block = layers.ResidualBlock()
    x = block(tf.constant(features, tf.float32), tf.fill([2, 50], True))
    moved = np.linalg.norm(x - features) / np.linalg.norm(features)
    assert 0 < moved < 0.3


def test_a_convolution_alone_starts_at_the_usual_size():
    block = layers.ResidualBlock(kernel_size=3, residual=False)
    block.build((None, None, 64))
    # Uniform with a variance of 1 / fan-in.
    fan_in = 3 * 64
    deviation = np.std(np.asarray(block.conv.kernel))
    np.testing.assert_allclose(deviation, fan_in**-0.5, rtol=0.05)


def test_zero_padding_removes_nan_from_value_and_gradient():
    values = tf.Variable([[1.0, np.nan], [2.0, 3.0]])
    valid = tf.constant([[True, False], [True, True]])
    with tf.GradientTape() as tape:
        kept = layers.zero_padding(values, valid)
    np.testing.assert_array_equal(kept, [[1, 0], [2, 3]])
    np.testing.assert_array_equal(tape.gradient(kept, values), [[1, 0], [1, 1]])


def test_attention_pool_by_hand():
    # One video, two snippets with one feature each, 2 and 6.
    embedding = tf.constant([[[2.0], [6.0]]])
    # Foreground weights are 1:3; context uses only the first, background none.
    attention = tf.constant([[[0.25, 0.5, 0.0], [0.75, 0.0, 0.0]]])
    pooled = layers.attention_pool(embedding, attention)
    # (0.25 * 2 + 0.75 * 6) / 1 = 5;  0.5 * 2 / 0.5 = 2;  0 if all vanish.
    np.testing.assert_allclose(pooled, [[[5.0], [2.0], [0.0]]])


def test_masked_top_k_mean_gradient_is_one_over_k():
    values = tf.Variable([[[1.0], [5.0], [3.0], [9.0]]])
    with tf.GradientTape() as tape:
        mean = layers.masked_top_k_mean(values, tf.constant([3]), 1)
    # k = 3 of 3 snippets; the fourth is padding.
    np.testing.assert_allclose(
        tape.gradient(mean, values)[0, :, 0], [1 / 3, 1 / 3, 1 / 3, 0]
    )


def test_masked_top_k_mean_of_a_length_that_the_graph_does_not_know():
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 2]),
            tf.TensorSpec([None], tf.int32),
        ]
    )
    def mean(values, num_snippets):
        return layers.masked_top_k_mean(values, num_snippets, 8)

    # One snippet: k = max(1 // 8, 1) = 1.
    one = mean(tf.constant([[[4.0, -6.0]]]), tf.constant([1]))
    np.testing.assert_array_equal(one, [[4, -6]])
    # 17 snippets: k = 2, of 0 to 16 and of 0 to -16.
    ramp = np.arange(17, dtype=np.float32)
    two = mean(tf.constant([np.stack([ramp, -ramp], 1)]), tf.constant([17]))
    np.testing.assert_array_equal(two, [[15.5, -0.5]])


def test_dictionary_looks_up_the_recognized_class():
    dictionary = layers.CentroidDictionary(2)
    dictionary.build((None, None, 2))
    first = np.asarray(dictionary.centroids)
    assert first.shape == (3, 2)
    assert (first >= 0).all() and (first <= 1).all()  # Section 4.1
    dictionary.centroids.assign([[0, 0], [1, 10], [2, 20]])
    p = tf.constant([[[0.1, 0.0, 0.3], [0.5, 0.0, 0.3]]])
    np.testing.assert_array_equal(dictionary(p), [[[2, 20], [0, 0]]])


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (
            layers.ResidualBlock,
            {"kernel_size": 5, "dropout": 0.25, "residual": False},
        ),
        (layers.Attention, {"kind": "sigmoid", "foreground_bias": 1.5}),
        (layers.CentroidDictionary, {"num_classes": 7}),
    ],
)
def test_config_round_trip_keeps_non_default_arguments(kind, arguments):
    config = kind(**arguments).get_config()
    again = kind.from_config(config).get_config()
    for name, value in arguments.items():
        assert config[name] == again[name] == value
    assert again == config


def test_look_up_sums_the_gradient_of_repeated_rows():
    table = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = tf.constant([[2, 0, 2], [2, 0, 0]])
    weights = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with tf.GradientTape() as tape:
        found = layers.look_up(tf.convert_to_tensor(table), rows)
        total = tf.reduce_sum(weights[..., tf.newaxis] * found)
    np.testing.assert_array_equal(found[0], [[5, 6], [1, 2], [5, 6]])
    gradient = tape.gradient(total, table)
    # Row 0: 2 + 5 + 6; row 1 is not looked up; row 2: 1 + 3 + 4.
    assert not isinstance(gradient, tf.IndexedSlices)
    np.testing.assert_array_equal(gradient, [[13, 13], [0, 0], [8, 8]])


def test_unknown_attention_is_refused():
    with pytest.raises(ValueError, match="'linear'"):
        layers.Attention("linear")
