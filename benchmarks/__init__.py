"""What is measured; README.md has the figures and how to rerun them."""

import contextlib

# It keeps TensorFlow's notes out of the tables. `benchmarks.gpu --hlo` runs
# where there is no TensorFlow.
with contextlib.suppress(ModuleNotFoundError):
    import tfwstal  # noqa: F401
