"""From I3D features and labels on disk to TFRecords."""
