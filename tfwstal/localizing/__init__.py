"""Detections of a trained run, for records or single videos."""
