"""Detections of one video as text for a terminal."""

# Lines that fit on a screen; soft-NMS keeps hundreds of low scores.
MOST_LINES = 20


def detection_table(video_id, num_snippets, detections):
    """Formats one video's first MOST_LINES detections as lines of text.

    Args:
        video_id: name of the video.
        num_snippets: its length.
        detections: list of {"label", "score", "segment": [start, end] in
            seconds}, best first.

    Returns:
        text without a line break at its end.
    """
    count = len(detections)
    lines = [f"{video_id}: {num_snippets} snippets, {count} detections"]
    if detections:
        lines.append("    start      end   score  action (times in seconds)")
    for each in detections[:MOST_LINES]:
        start, end = each["segment"]
        lines.append(
            f"{start:9.2f}{end:9.2f}{each['score']:8.3f}  {each['label']}"
        )
    if count > MOST_LINES:
        lines.append(
            f"    and {count - MOST_LINES} with lower scores; "
            "--detections=FILE writes all"
        )
    return "\n".join(lines)
