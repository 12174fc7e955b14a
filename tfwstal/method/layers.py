"""The layers of the model, and operations that need a mask.

Shapes: `B` videos, `T` snippets, `D` features, `C` actions. The axis of 3 is
foreground, context, background; class 0 is the background. `valid` [B, T] bool
is False at padding: the values there, even NaN, change nothing, and every
output there is zero.
"""

import keras
import tensorflow as tf

from tfwstal import keras_versions


def zero_padding(values, valid):
    """Returns `values` [B, T, ...] with the padded snippets set to zero."""
    shape = tf.concat(
        [tf.shape(valid), tf.ones([len(values.shape) - 2], tf.int32)], axis=0
    )
    # A product would keep NaN, and its gradient too.
    return tf.where(tf.reshape(valid, shape), values, tf.zeros_like(values))


def snippet_windows(features, size):
    """Each snippet beside its neighbours, with zeros beyond the ends.

    A convolution over time is a dense layer on these windows. TensorFlow's own
    Conv1D spends most of the training step in its weight gradient on CPU
    cores; as one matrix product the whole step is twice as fast (benchmarks/).

    Args:
        features: [B, T, D].
        size: snippets a window; an even one has its extra snippet behind.

    Returns:
        [B, T, size * D].
    """
    length = features.shape[1] or tf.shape(features)[1]
    before = (size - 1) // 2
    padded = tf.pad(features, [[0, 0], [before, size - 1 - before], [0, 0]])
    return tf.concat([padded[:, i : i + length] for i in range(size)], axis=-1)


@keras.saving.register_keras_serializable(package="tfwstal")
class ResidualBlock(keras.layers.Layer):
    """x = f + ReLU(Conv1D(f)), Section 3.1.

    The convolution starts small, so that x starts near the I3D features f and
    the class means of f are good first centroids for x.

    Args:
        kernel_size: snippets the convolution spans.
        dropout: rate of dropout on the branch that is added.
        residual: add f; without it, x = ReLU(Conv1D(f)) as in ACM-Net, and the
            convolution starts at the usual size.
    """

    def __init__(self, kernel_size=3, dropout=0.0, residual=True, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dropout_rate = dropout
        self.residual = residual
        self.dropout = keras_versions.dropout(
            dropout, keras_versions.dtype_policy(self)
        )

    def build(self, input_shape):
        """Creates the convolution for features [B, T, D]."""
        width = input_shape[-1]
        self.conv = keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer=keras.initializers.VarianceScaling(
                scale=0.01 if self.residual else 1.0,
                mode="fan_in",
                distribution="uniform",
            ),
            dtype=keras_versions.dtype_policy(self),
            name="conv",
        )
        self.conv.build((None, None, self.kernel_size * width))
        self.dropout.build(input_shape)
        self.built = True

    def call(self, features, valid, training=False):
        """features [B, T, D], valid [B, T] -> embedding x [B, T, D]."""
        # Zeros where a lone video would have the convolution's own padding.
        features = zero_padding(features, valid)
        windows = snippet_windows(features, self.kernel_size)
        added = self.dropout(self.conv(windows), training=training)
        x = features + added if self.residual else added
        return zero_padding(x, valid)

    def get_config(self):
        """Constructor arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dropout": self.dropout_rate,
            "residual": self.residual,
        }


@keras.saving.register_keras_serializable(package="tfwstal")
class Attention(keras.layers.Layer):
    """Attentions a^fg, a^ct, a^bg of each snippet, Section 3.2.

    Args:
        kind: "softmax", the three sum to one (ACM-Net's reading), or
            "sigmoid", each is free.
        foreground_bias: bias of the foreground's score at the start.
    """

    def __init__(self, kind="softmax", foreground_bias=0.0, **kwargs):
        super().__init__(**kwargs)
        if kind not in ("softmax", "sigmoid"):
            raise ValueError(f"kind must be softmax or sigmoid, not {kind!r}")
        self.kind = kind
        self.foreground_bias = foreground_bias
        self.scores = keras.layers.Dense(
            3, dtype=keras_versions.dtype_policy(self), name="scores"
        )

    def build(self, input_shape):
        """Creates the 1x1 convolution for embeddings [B, T, D]."""
        self.scores.build(input_shape)
        self.scores.bias.assign([self.foreground_bias, 0.0, 0.0])
        self.built = True

    def call(self, embedding, valid):
        """embedding [B, T, D], valid [B, T] -> attention [B, T, 3] float32."""
        scores = tf.cast(self.scores(embedding), tf.float32)
        activate = tf.nn.softmax if self.kind == "softmax" else tf.sigmoid
        return zero_padding(activate(scores), valid)

    def get_config(self):
        """Constructor arguments."""
        return {
            **super().get_config(),
            "kind": self.kind,
            "foreground_bias": self.foreground_bias,
        }


def attention_pool(embedding, attention):
    """Attention-weighted mean over time, Eq. 1.

    Args:
        embedding: x, [B, T, D].
        attention: [B, T, 3], zero at padding.

    Returns:
        [B, 3, D] float32: x_fg, x_ct, x_bg.
    """
    weighted_sum = tf.einsum(
        "bta,btd->bad", attention, tf.cast(embedding, tf.float32)
    )
    total = tf.reduce_sum(attention, axis=1)[..., tf.newaxis]
    # Sigmoid attentions may all vanish; their mean is then zero, not NaN.
    return tf.math.divide_no_nan(weighted_sum, total)


def masked_top_k_mean(values, num_snippets, divisor):
    """Mean of the k best values over a video's own snippets, Eq. 3.

    k = max(num_snippets // divisor, 1) for each video. One `top_k` of static
    size and a mask, which is faster than sorting (benchmarks/).

    Args:
        values: [B, T, C+1].
        num_snippets: [B] int32, at least 1.
        divisor: sigma.

    Returns:
        omega, [B, C+1].
    """
    length = values.shape[1] or tf.shape(values)[1]
    most = (
        max(length // divisor, 1)
        if isinstance(length, int)
        else (tf.maximum(length // divisor, 1))
    )
    valid = tf.sequence_mask(num_snippets, length)
    # The lowest number is never among the k best of at least k valid ones.
    values = tf.where(valid[..., tf.newaxis], values, values.dtype.min)
    best = tf.math.top_k(tf.transpose(values, [0, 2, 1]), k=most).values
    k = tf.maximum(num_snippets // divisor, 1)
    chosen = tf.sequence_mask(k, most)[:, tf.newaxis, :]  # [B, 1, K]
    total = tf.reduce_sum(tf.where(chosen, best, 0.0), axis=-1)
    return total / tf.cast(k, values.dtype)[:, tf.newaxis]


def look_up(table, rows):
    """Rows of a trainable table, with a dense gradient.

    The gradient of `tf.gather` has one row for each index, repeated ones too.
    Keras 3 hands those to the optimizer as they are; Adam then adds up the
    squares of the parts, where it needs the square of their sum, and a row
    that n snippets chose moves up to sqrt(n) times too far (docs/
    sparse_gradients.md). Summed here, every optimizer, clipping and norm sees
    the gradient itself.

    Args:
        table: [N, D] float.
        rows: integers in [0, N), of any shape [...].

    Returns:
        [..., D].
    """
    num_rows = tf.shape(table)[0]

    @tf.custom_gradient
    def gather(table):
        def gradient(upstream):
            return tf.math.unsorted_segment_sum(upstream, rows, num_rows)

        return tf.gather(table, rows), gradient

    return gather(table)


@keras.saving.register_keras_serializable(package="tfwstal")
class CentroidDictionary(keras.layers.Layer):
    """The learnable dictionary Q of class centroids, Section 3.5.

    Args:
        num_classes: C, so that Q is [C+1, D].
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape):
        """Creates Q, uniform in [0, 1] (Section 4.1), for [B, T, D]."""
        self.centroids = self.add_weight(
            shape=(self.num_classes + 1, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
            name="centroids",
        )
        self.built = True

    def call(self, class_logits):
        """p [B, T, C+1] -> each snippet's centroid, [B, T, D] float32."""
        recognized = tf.argmax(class_logits, axis=-1, output_type=tf.int32)
        return look_up(tf.convert_to_tensor(self.centroids), recognized)

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
