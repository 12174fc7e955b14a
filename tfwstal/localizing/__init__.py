"""Detections of a trained run, for whatever a user has: records or videos."""
