"""Columns keep the order of the files."""

from tfwstal.data.annotations import Segment, VideoAnnotation
from tfwstal.evaluation.columns import to_detections, to_instances


def test_columns_follow_the_order_of_the_videos():
    videos = [
        VideoAnnotation(
            "b", "test", None, (Segment("Jump", 1, 2), Segment("Jump", 0, 1))
        ),
        VideoAnnotation("a", "test", None, (Segment("Run", 3, 4),)),
    ]
    instances = to_instances(videos)
    assert instances.videos == ["b", "b", "a"]
    assert instances.labels == ["Jump", "Jump", "Run"]
    assert instances.segments == [(1, 2), (0, 1), (3, 4)]


def test_columns_follow_the_order_of_the_detections():
    entry = {"label": "Jump", "score": 0.5, "segment": [1.0, 2.0]}
    detections = to_detections({"b": [entry], "c": [], "a": [entry]})
    assert detections.videos == ["b", "a"]
    assert detections.labels == ["Jump", "Jump"]
    assert detections.segments == [[1.0, 2.0], [1.0, 2.0]]
    assert detections.scores == [0.5, 0.5]
