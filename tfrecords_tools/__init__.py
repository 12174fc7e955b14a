"""From I3D features and labels on disk to TFRecords."""

import tfwstal  # noqa: F401  (first, so that a command starts quietly)
