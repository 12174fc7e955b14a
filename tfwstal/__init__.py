"""Weakly-supervised temporal action localization with Keras.

Importing the package is enough for `keras.models.load_model` to read a model.
"""

import os

# TensorFlow's start-up notes would bury the one line that a command prints.
# Set the variable yourself to see them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfwstal.model import TwoStreamLocalizer  # noqa: E402

__version__ = "0.1.0"
__all__ = ["TwoStreamLocalizer"]
