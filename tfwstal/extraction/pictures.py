"""The size and the range of values that the network was trained on.

DeepMind's README (https://github.com/google-deepmind/kinetics-i3d): the
shorter side is scaled to 256 by bilinear interpolation, the centre of 224 x
224 is cut out, and values lie in [-1, 1].
"""

import numpy as np


def scaled_size(width, height, shorter_side):
    """(width, height) of a picture whose shorter side is scaled.

    The longer one is rounded to the nearest whole number.
    """
    shorter = min(width, height)
    return (
        max(1, (2 * width * shorter_side + shorter) // (2 * shorter)),
        max(1, (2 * height * shorter_side + shorter) // (2 * shorter)),
    )


def centre(picture, size):
    """The `size` x `size` cells in the middle of [H, W, ...]."""
    top = (picture.shape[0] - size) // 2
    left = (picture.shape[1] - size) // 2
    return picture[top : top + size, left : left + size]


def rgb_values(pictures):
    """uint8 RGB as float32 in [-1, 1]: 0 is -1 and 255 is 1."""
    return pictures.astype(np.float32) / 127.5 - 1.0
