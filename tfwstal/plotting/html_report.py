"""One HTML page of many videos on their time axes, for any browser.

The page needs no other file and no network, and its own policy forbids both.
Numbers and names lie in it as JSON; a script draws a video when it comes near
the window, so that a page of thousands opens at once. Curves are stored in
steps of 1/255, finer than a line on a screen.
"""

import base64
import html
import json
import pathlib
import string

import numpy as np
from matplotlib import colors

from tfwstal.plotting import timeline
from tfwstal.plotting.timeline import Bars

_TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
# Heights in the page's picture, 1000 wide; its script has the same.
_LANE, _CURVES, _TITLE, _AXIS = 20, 84, 22, 34


def render(title, videos, facts="", result=None, averages=None):
    """The page as text.

    Args:
        title: of the page.
        videos: dict video id -> its rows, Bars and Curves of timeline. The
            first Bars are the ground truth if they carry no scores.
        facts: lines about what was evaluated.
        result: a MeanAveragePrecision, or None without tables.
        averages: dict name -> mean of mAPs, for the tables.
    """
    names, encoded, index, sections = {}, [], [], []
    for i, (video, rows) in enumerate(videos.items()):
        seconds = _seconds(rows)
        encoded.append(
            {
                "seconds": round(seconds, 3),
                "rows": [_encoded(row, names) for row in rows],
            }
        )
        name = html.escape(video)
        bars = [row for row in rows if isinstance(row, Bars)]
        true = sum(len(row.segments) for row in bars if not row.scores)
        found = sum(len(row.scores) for row in bars)
        index.append(
            f'<tr><td><a href="#v{i}">{name}</a><td>{seconds:.1f}<td>{true}'
            f"<td>{found}</tr>"
        )
        height = _AXIS + sum(_height(row) for row in rows)
        sections.append(
            f'<section id="v{i}"><h3>{name}</h3><div class="plot" '
            f'data-video="{i}" data-height="{height}" '
            f'style="aspect-ratio:1000/{height}"></div></section>'
        )
    content = {"names": list(names), "videos": encoded}
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return string.Template(_TEMPLATE.read_text("utf-8")).substitute(
        title=html.escape(title),
        summary=_summary(facts, result, averages),
        index="\n".join(index),
        sections="\n".join(sections),
        # A name may hold </script>.
        data=text.replace("<", "\\u003c"),
        colours=json.dumps([colors.to_hex(c) for c in timeline.COLOURS]),
    )


def _summary(facts, result, averages):
    parts = [f"<pre>{html.escape(facts)}</pre>"] if facts else []
    if result is None:
        return "".join(parts)
    rows = [
        (f"{t:g}", v)
        for t, v in zip(result.thresholds, result.mean_ap, strict=True)
    ]
    tables = [_table(("tIoU", "mAP %"), rows)]
    if averages:
        tables.append(_table(("average", "mAP %"), averages.items()))
    parts.append(f'<div class="tables">{"".join(tables)}</div>')
    best = result.ap.mean(axis=0)
    rows = [
        (result.labels[i], best[i], int(result.num_instances[i]))
        for i in np.argsort(-best, kind="stable")
    ]
    heads = ("class", "AP %, mean", "", "instances")
    longest = max(best.max(), 1e-9)  # the best class fills its cell
    cells = "".join(
        f"<tr><td>{html.escape(label)}<td>{100 * ap:.2f}"
        f'<td class="bar" data-value="{ap:.6f}">'
        f'<i style="width:{100 * ap / longest:.1f}%"></i><td>{count}</tr>'
        for label, ap, count in rows
    )
    parts.append("<h2>Classes</h2>")
    parts.append(f'<div class="scroll">{_framed(heads, cells)}</div>')
    return "".join(parts)


def _table(heads, rows):
    cells = "".join(
        f"<tr><td>{html.escape(name)}<td>{100 * value:.2f}</tr>"
        for name, value in rows
    )
    return _framed(heads, cells)


def _framed(heads, cells):
    head = "".join(f"<th>{name}" for name in heads)
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
    )


def _seconds(rows):
    """Where the time axis of a video ends."""
    ends = [1e-3]
    for row in rows:
        if isinstance(row, Bars):
            ends += [segment.end for segment in row.segments]
        else:
            ends.append(len(row.values) * row.seconds_per_snippet)
    return max(ends)


def _height(row):
    if isinstance(row, Bars):
        return _TITLE + _LANE * max(len(row.names), 1)
    return _TITLE + _CURVES


def _encoded(row, names):
    """A row for JSON. `names` numbers every name, and grows."""
    numbers = [names.setdefault(name, len(names)) for name in row.names]
    if not isinstance(row, Bars):
        values = np.clip(np.round(row.values.T * 255), 0, 255)
        return {
            "title": row.title,
            "names": numbers,
            "attention": row.is_attention,
            "snippet": row.seconds_per_snippet,
            "values": base64.b64encode(
                values.astype(np.uint8).tobytes()
            ).decode(),
        }
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
    # Short bars lie on long ones, so that all are seen.
    bars.sort(key=lambda bar: bar[1] - bar[2])
    return {"title": row.title, "names": numbers, "bars": bars}
