"""I3D, the inflated Inception-v1 (Carreira and Zisserman, CVPR 2017), in Keras.

`ENDPOINTS` describes the network; RGB and flow differ in the channels of their
input alone. Names are those of DeepMind's code and checkpoints
(https://github.com/google-deepmind/kinetics-i3d), which
`I3D.published_variables` maps to our variables.
"""

import dataclasses

import keras
import tensorflow as tf

FEATURE_DIM = 1024
NUM_CLASSES = 400  # of Kinetics
STREAM_CHANNELS = {"rgb": 3, "flow": 2}
# Two cells of time at the end, which the logits average; features need one.
MIN_FRAMES_OF_LOGITS = 9


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Convolution, batch normalization, ReLU: a cubic kernel and stride."""

    name: str
    filters: int
    kernel: int
    stride: int = 1


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """Max pooling; kernel and stride are (time, space)."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Mixed:
    """Inception module of four branches.

    `filters` are those of Branch_0, Branch_1 (1x1, 3x3), Branch_2 (1x1, 3x3)
    and Branch_3, where a max pool comes before the convolution.
    """

    name: str
    filters: tuple[int, int, int, int, int, int]
    branch_2_name: str = "Conv3d_0b_3x3"


ENDPOINTS = (
    Convolution("Conv3d_1a_7x7", 64, kernel=7, stride=2),
    MaxPool("MaxPool3d_2a_3x3", (1, 3), (1, 2)),
    Convolution("Conv3d_2b_1x1", 64, kernel=1),
    Convolution("Conv3d_2c_3x3", 192, kernel=3),
    MaxPool("MaxPool3d_3a_3x3", (1, 3), (1, 2)),
    Mixed("Mixed_3b", (64, 96, 128, 16, 32, 32)),
    Mixed("Mixed_3c", (128, 128, 192, 32, 96, 64)),
    MaxPool("MaxPool3d_4a_3x3", (3, 3), (2, 2)),
    Mixed("Mixed_4b", (192, 96, 208, 16, 48, 64)),
    Mixed("Mixed_4c", (160, 112, 224, 24, 64, 64)),
    Mixed("Mixed_4d", (128, 128, 256, 24, 64, 64)),
    Mixed("Mixed_4e", (112, 144, 288, 32, 64, 64)),
    Mixed("Mixed_4f", (256, 160, 320, 32, 128, 128)),
    MaxPool("MaxPool3d_5a_2x2", (2, 2), (2, 2)),
    # The published name of this one convolution breaks the pattern.
    Mixed("Mixed_5b", (256, 160, 320, 32, 128, 128), "Conv3d_0a_3x3"),
    Mixed("Mixed_5c", (384, 192, 384, 48, 128, 128)),
)
LOGITS = "Logits/Conv3d_0c_1x1"


def _pool(kernel, stride):
    """A max pool with TensorFlow's SAME padding, which adds no zeros."""
    (time, space), (time_stride, space_stride) = kernel, stride
    return keras.layers.MaxPooling3D(
        (time, space, space), (time_stride, space_stride, space_stride), "same"
    )


class Unit(keras.layers.Layer):
    """Convolution without bias, batch normalization without gamma, ReLU.

    SAME padding is TensorFlow's: what is missing to a whole number of strides
    is added on both sides, the odd one behind.

    Args:
        scope: published name, such as "Mixed_3b/Branch_0/Conv3d_0a_1x1".
        filters: number of output channels.
        kernel: size of the kernel in time, height and width.
        stride: likewise.
    """

    def __init__(self, scope, filters, kernel, stride=1):
        super().__init__(name=scope.replace("/", "_"))
        self.scope = scope
        self.conv_3d = keras.layers.Conv3D(
            filters, kernel, stride, "same", use_bias=False, name="conv_3d"
        )
        self.batch_norm = keras.layers.BatchNormalization(
            scale=False, epsilon=1e-3, name="batch_norm"
        )

    def build(self, shape):
        """Creates the variables; `shape` is the input's."""
        self.conv_3d.build(shape)
        self.batch_norm.build((*shape[:-1], self.conv_3d.filters))
        self.built = True

    def call(self, inputs):
        """[B, T, H, W, C] -> [B, T', H', W', filters]."""
        normalized = self.batch_norm(self.conv_3d(inputs), training=False)
        return tf.nn.relu(normalized)

    def published_variables(self):
        """dict published name -> variable."""
        return {
            f"{self.scope}/conv_3d/w": self.conv_3d.kernel,
            f"{self.scope}/batch_norm/beta": self.batch_norm.beta,
            f"{self.scope}/batch_norm/moving_mean": (
                self.batch_norm.moving_mean
            ),
            f"{self.scope}/batch_norm/moving_variance": (
                self.batch_norm.moving_variance
            ),
        }


class Inception(keras.layers.Layer):
    """The four branches of a `Mixed`, joined along the channels."""

    def __init__(self, mixed):
        super().__init__(name=mixed.name)
        f = mixed.filters
        name = mixed.name
        self.pool = _pool((3, 3), (1, 1))
        self.branches = [
            [Unit(f"{name}/Branch_0/Conv3d_0a_1x1", f[0], 1)],
            [
                Unit(f"{name}/Branch_1/Conv3d_0a_1x1", f[1], 1),
                Unit(f"{name}/Branch_1/Conv3d_0b_3x3", f[2], 3),
            ],
            [
                Unit(f"{name}/Branch_2/Conv3d_0a_1x1", f[3], 1),
                Unit(f"{name}/Branch_2/{mixed.branch_2_name}", f[4], 3),
            ],
            [Unit(f"{name}/Branch_3/Conv3d_0b_1x1", f[5], 1)],
        ]

    @property
    def units(self):
        """All Units, branch after branch."""
        return [unit for branch in self.branches for unit in branch]

    def build(self, shape):
        """Creates the variables; `shape` is the input's."""
        for branch in self.branches:
            channels = shape[-1]
            for unit in branch:
                unit.build((*shape[:-1], channels))
                channels = unit.conv_3d.filters
        self.built = True

    def call(self, inputs):
        """[B, T, H, W, C] -> [B, T, H, W, sum of the branches' filters]."""
        outputs = []
        for index, branch in enumerate(self.branches):
            values = self.pool(inputs) if index == 3 else inputs
            for unit in branch:
                values = unit(values)
            outputs.append(values)
        return tf.concat(outputs, axis=-1)


class I3D(keras.Model):
    """I3D for clips of one stream, for inference.

    Args:
        stream: "rgb" or "flow".
        num_classes: of the logits.
    """

    def __init__(self, stream, num_classes=NUM_CLASSES):
        super().__init__(name=f"i3d_{stream}")
        self.stream = stream
        self.channels = STREAM_CHANNELS[stream]
        self.num_classes = num_classes
        self.steps = [_layer(endpoint) for endpoint in ENDPOINTS]
        self.logits = keras.layers.Conv3D(num_classes, 1, name="logits")
        self.trainable = False
        self.build((None, None, None, None, self.channels))

    def build(self, shape):
        """Creates the variables; `shape` is the input's."""
        channels = shape[-1]
        for endpoint, layer in zip(ENDPOINTS, self.steps, strict=True):
            if isinstance(endpoint, MaxPool):
                continue
            layer.build((None, None, None, None, channels))
            channels = (
                endpoint.filters
                if isinstance(endpoint, Convolution)
                else sum(endpoint.filters[i] for i in (0, 2, 4, 5))
            )
        self.logits.build((None, None, None, None, channels))
        self.built = True

    def call(self, clips):
        """Features: the average of Mixed_5c over time and space.

        Args:
            clips: [B, frames, height, width, channels] in [-1, 1].

        Returns:
            [B, 1024].
        """
        for layer in self.steps:
            clips = layer(clips)
        return tf.reduce_mean(clips, axis=(1, 2, 3))

    def endpoints(self, clips):
        """All intermediate results, for comparisons.

        Args:
            clips: as for `call`, of at least 9 frames.

        Returns:
            dict from the name of an endpoint to its output, [B, T', H', W', C];
            and "features" [B, 1024], "logits" [B, num_classes]. The logits are
            DeepMind's: each of two neighbouring cells in time and of all
            space, averaged over time.
        """
        found = {}
        for endpoint, layer in zip(ENDPOINTS, self.steps, strict=True):
            clips = found[endpoint.name] = layer(clips)
        found["features"] = tf.reduce_mean(clips, axis=(1, 2, 3))
        cells = tf.reduce_mean(clips, axis=(2, 3), keepdims=True)
        pairs = (cells[:, :-1] + cells[:, 1:]) / 2.0
        found["logits"] = tf.reduce_mean(self.logits(pairs), axis=(1, 2, 3))
        return found

    def published_variables(self):
        """dict from DeepMind's names, without their prefix, to variables."""
        found = {
            f"{LOGITS}/conv_3d/w": self.logits.kernel,
            f"{LOGITS}/conv_3d/b": self.logits.bias,
        }
        for layer in self.steps:
            for unit in getattr(layer, "units", [layer]):
                if isinstance(unit, Unit):
                    found |= unit.published_variables()
        return found


def _layer(endpoint):
    """The Keras layer of one row of ENDPOINTS."""
    if isinstance(endpoint, Convolution):
        return Unit(
            endpoint.name, endpoint.filters, endpoint.kernel, endpoint.stride
        )
    if isinstance(endpoint, MaxPool):
        return _pool(endpoint.kernel, endpoint.stride)
    return Inception(endpoint)
