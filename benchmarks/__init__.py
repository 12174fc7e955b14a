"""Benchmarks; README.md has the figures and the commands."""

import contextlib

# Keeps TensorFlow's log messages out of the tables. `benchmarks.gpu --hlo` also
# runs without TensorFlow.
with contextlib.suppress(ModuleNotFoundError):
    from tfwstal import quiet_start

    quiet_start.import_tensorflow()
