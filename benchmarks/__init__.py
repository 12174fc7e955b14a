"""What is measured; README.md has the figures and how to rerun them."""

import tfwstal  # noqa: F401  (keeps TensorFlow's notes out of the tables)
