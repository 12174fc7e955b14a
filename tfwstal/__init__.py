"""Weakly-supervised temporal action localization with Keras.

Importing the package is enough for `keras.models.load_model` to read a model.
"""

from tfwstal import quiet_start  # noqa: F401  (before TensorFlow)
from tfwstal.method.model import TwoStreamLocalizer

__version__ = "0.1.0"
__all__ = ["TwoStreamLocalizer"]
