"""What is measured; README.md has the figures and how to rerun them."""

import contextlib

# Keeps TensorFlow's notes out of the tables. `benchmarks.gpu --hlo` also runs
# without TensorFlow.
with contextlib.suppress(ModuleNotFoundError):
    from tfwstal import quiet_start

    quiet_start.import_tensorflow()
