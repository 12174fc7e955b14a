"""Weakly-supervised temporal action localization with Keras.

`from tfwstal import TwoStreamLocalizer` registers the model with Keras, so
that `keras.models.load_model` can read it. If Keras was imported before,
`import tfwstal` is enough. Otherwise the package itself imports neither Keras
nor TensorFlow, which keeps the commands' `--help` fast.
"""

import sys

__version__ = "0.1.0"
__all__ = ["TwoStreamLocalizer"]


def __getattr__(name):
    """Imports the model, and with it TensorFlow, when it is first used."""
    if name != "TwoStreamLocalizer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfwstal.method.model import TwoStreamLocalizer

    return TwoStreamLocalizer


if "keras" in sys.modules:
    from tfwstal.method.model import TwoStreamLocalizer
