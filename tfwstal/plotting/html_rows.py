"""Rows of a video as JSON, which the script of the page draws."""

import base64
import io

import numpy as np
from matplotlib import image

from tfwstal.plotting.rows import Bars, Curves, FilmStrip

# Heights in a plot 1000 units wide; html_report.js has the same values.
_LANE, _CURVES, _STRIP, _TITLE, _AXIS = 20, 84, 60, 22, 34
_JPEG_QUALITY = 60


def encoded(rows, names):
    """Rows as a list of dicts for JSON.

    Args:
        rows: Bars, Curves and FilmStrips.
        names: dict name -> number, by which rows refer to names; it grows.
    """
    return [_ENCODED[type(row)](row, names) for row in rows]


def height(rows):
    """Height of a plot of rows, 1000 units wide."""
    return _AXIS + sum(_height(row) for row in rows)


def _height(row):
    if isinstance(row, Bars):
        return _TITLE + _LANE * max(len(row.names), 1)
    return _TITLE + (_STRIP if isinstance(row, FilmStrip) else _CURVES)


def _encoded_bars(row, names):
    """Bars for JSON. `names` numbers every name, and grows."""
    lanes = {name: lane for lane, name in enumerate(row.names)}
    scores = row.scores or (None,) * len(row.segments)
    bars = [
        [
            lanes[segment.label],
            round(segment.start, 3),
            round(segment.end, 3),
            round(float(intensity), 3),
            *([] if score is None else [float(f"{score:.4g}")]),
        ]
        for segment, intensity, score in zip(
            row.segments, row.intensities, scores, strict=True
        )
    ]
    # Short bars cover long ones, so that all are seen.
    bars.sort(key=lambda bar: bar[1] - bar[2])
    return {"title": row.title, "names": _numbers(row, names), "bars": bars}


def _encoded_curves(row, names):
    values = np.clip(np.round(row.values.T * 255), 0, 255).astype(np.uint8)
    return {
        "title": row.title,
        "names": _numbers(row, names),
        "attention": row.is_attention,
        "snippet": row.seconds_per_snippet,
        "values": base64.b64encode(values.tobytes()).decode(),
    }


def _encoded_strip(row, names):
    content = io.BytesIO()
    image.imsave(
        content,
        row.picture,
        format="jpeg",
        pil_kwargs={"quality": _JPEG_QUALITY},
    )
    text = base64.b64encode(content.getvalue()).decode()
    return {
        "title": row.title,
        "names": [],
        "end": row.end,
        "strip": f"data:image/jpeg;base64,{text}",
    }


def _numbers(row, names):
    return [names.setdefault(name, len(names)) for name in row.names]


_ENCODED = {
    Bars: _encoded_bars,
    Curves: _encoded_curves,
    FilmStrip: _encoded_strip,
}
