"""Converts ground truth and detections to columns for `average_precision`."""

from tfwstal.evaluation.average_precision import Detections, Instances


def to_instances(videos):
    """Converts annotated videos to columns.

    Args:
        videos: iterable of `activitynet.VideoAnnotation`.

    Returns:
        Instances, in the order of the videos and their segments.
    """
    rows = [(video.video_id, s) for video in videos for s in video.segments]
    return Instances(
        videos=[video_id for video_id, _ in rows],
        labels=[segment.label for _, segment in rows],
        segments=[(segment.start, segment.end) for _, segment in rows],
    )


def to_detections(results):
    """Converts detections by video to columns.

    Args:
        results: as returned by `activitynet.read_detections`.

    Returns:
        Detections, in the order of `results`.
    """
    rows = [(video_id, e) for video_id in results for e in results[video_id]]
    return Detections(
        videos=[video_id for video_id, _ in rows],
        labels=[entry["label"] for _, entry in rows],
        segments=[entry["segment"] for _, entry in rows],
        scores=[entry["score"] for _, entry in rows],
    )
