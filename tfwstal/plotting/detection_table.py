"""Detections of one video as text for a terminal."""


def detection_table(video_id, num_snippets, detections):
    """Formats one video's detections as lines of text.

    Args:
        video_id: name of the video.
        num_snippets: its length.
        detections: list of {"label", "score", "segment": [start, end] in
            seconds}.

    Returns:
        text without a line break at its end.
    """
    count = len(detections)
    lines = [f"{video_id}: {num_snippets} snippets, {count} detections"]
    if detections:
        lines.append("    start      end   score  action (times in seconds)")
    for each in detections:
        start, end = each["segment"]
        lines.append(
            f"{start:9.2f}{end:9.2f}{each['score']:8.3f}  {each['label']}"
        )
    return "\n".join(lines)
