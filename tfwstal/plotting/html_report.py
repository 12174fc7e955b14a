"""One HTML page of many videos on their time axes, for any browser.

The page needs no other file and no network, and its own policy forbids both;
only films are read from where they are. Numbers, names and frames are in it as
JSON; a script draws a video when it comes near the window, so that a page of
thousands opens at once. Curves are stored in steps of 1/255, finer than a line
on a screen.
"""

import base64
import dataclasses
import html
import io
import json
import os
import pathlib
import string
import urllib.parse

import numpy as np
from matplotlib import colors, image

from tfwstal.evaluation import average_precision, scoring, tables
from tfwstal.evaluation.average_precision.by_video import score_videos
from tfwstal.evaluation.words import counted
from tfwstal.plotting.rows import COLOURS, Bars, Curves, FilmStrip

_TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
# Heights in the page's picture, 1000 wide; its script has the same.
_LANE, _CURVES, _STRIP, _TITLE, _AXIS = 20, 84, 60, 22, 34
_JPEG_QUALITY = 60
_ORDER = (
    "<p>Worst first: by recall, then by mAP of the video alone. Both are "
    "means over the tIoU thresholds.</p>"
)
_HELP = (
    "<p>Click a segment to play it, from its start to its end; click a frame "
    "to see the film there.</p>"
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate` finds, for the page's tables.

    Attributes:
        facts: lines about what was evaluated.
        result: MeanAveragePrecision.
        averages: dict name -> mean of mAPs.
        by_video: dict video id -> (recall, mAP), as `score_videos`.
    """

    facts: str
    result: average_precision.MeanAveragePrecision
    averages: dict
    by_video: dict

    @classmethod
    def of(cls, inputs, options):
        """Evaluates Inputs by EvaluationOptions."""
        result = scoring.score(inputs, options)
        return cls(
            tables.format_facts(inputs.facts),
            result,
            average_precision.averages(
                result.mean_ap, result.thresholds, options.averages
            ),
            score_videos(
                inputs.instances,
                inputs.detections,
                options.tiou_thresholds,
                options.protocol,
                inputs.ambiguous,
            ),
        )


def render(title, videos, evaluation=None, folder="."):
    """The page as text.

    Args:
        title: of the page.
        videos: dict video id -> its rows: Bars, Curves and FilmStrips. The
            first Bars are the ground truth if they carry no scores.
        evaluation: Evaluation, or None for a page without tables. With one,
            the videos come worst first: by recall, then by mAP.
        folder: of the page; films are found from there.
    """
    names, encoded, index, sections = {}, [], [], []
    heads = ["video", "seconds", "true segments", "detections drawn"]
    scores = evaluation.by_video if evaluation else {}
    if scores:
        heads += ["recall %, mean", "mAP %, mean"]
        # Videos without instances, of which both are unknown, come last.
        videos = dict(
            sorted(videos.items(), key=lambda item: scores.get(item[0], (2,)))
        )
    for i, (video, rows) in enumerate(videos.items()):
        seconds = max([1e-3, *(row.end for row in rows)])
        encoded.append(
            {
                "seconds": round(seconds, 3),
                "rows": [_ENCODED[type(row)](row, names) for row in rows],
            }
        )
        bars = [row for row in rows if isinstance(row, Bars)]
        true = sum(len(row.segments) for row in bars if not row.scores)
        found = sum(len(row.scores) for row in bars)
        index.append(
            f'<tr><td><a href="#v{i}">{html.escape(video)}</a>'
            f"<td>{seconds:.1f}<td>{true}<td>{found}"
            f"{_score_cells(scores, video)}</tr>"
        )
        sections.append(_section(i, video, rows, folder))
    content = {
        "names": list(names),
        "colours": [colors.to_hex(colour) for colour in COLOURS],
        "videos": encoded,
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    has_film = any("<video" in section for section in sections)
    return string.Template(_TEMPLATE.read_text("utf-8")).substitute(
        title=html.escape(title),
        style=_TEMPLATE.with_suffix(".css").read_text("utf-8"),
        script=_TEMPLATE.with_suffix(".js").read_text("utf-8"),
        media="'self' file:" if has_film else "'none'",
        help=_HELP if has_film else "",
        summary=_summary(evaluation) if evaluation else "",
        order=_ORDER if scores else "",
        index=_scrolled(heads, "\n".join(index), "index"),
        sections="\n".join(sections),
        # A name may hold </script>.
        data=text.replace("<", "\\u003c"),
    )


def _score_cells(scores, video):
    """Recall and mAP of a video in the index; - sorts before numbers."""
    if not scores:
        return ""
    found = scores.get(video)
    return "".join(
        f"<td>{100 * value:.2f}" if found else "<td>-"
        for value in found or (0, 0)
    )


def film_remark(films, failed):
    """A sentence on the films that do not play in the page, or None.

    Args:
        films: dict video id -> FilmStrip.
        failed: dict video id -> message, of films that cannot be read.
    """
    remarks = []
    if failed:
        first, message = min(failed.items())
        remarks.append(
            f"{counted(len(failed), 'film')} cannot be read (first: {first}: "
            f"{message})"
        )
    silent = sorted(name for name, strip in films.items() if strip.problem)
    if silent:
        strip = films[silent[0]]
        remarks.append(
            f"{counted(len(silent), 'film')} may not play in the page (first: "
            f"{silent[0]}: {strip.problem}; to convert it: {strip.command})"
        )
    return "; ".join(remarks) or None


def _section(number, video, rows, folder):
    """One video's part of the page; the script draws into its plot."""
    height = _AXIS + sum(_height(row) for row in rows)
    films = [row for row in rows if isinstance(row, FilmStrip)]
    plays = any(not row.is_folder for row in films)
    return (
        f'<section id="v{number}"><h3>{html.escape(video)}</h3>'
        f'<div class="stage{" film" if plays else ""}"><div class="sideways">'
        f'<div class="plot" data-video="{number}" data-height="{height}" '
        f'style="aspect-ratio:1000/{height}"></div></div>'
        f"{''.join(_film(row, folder) for row in films)}</div></section>"
    )


def _film(strip, folder):
    """The player of a film, and what to do if a browser does not play it."""
    command = f"<code>{html.escape(strip.command)}</code>"
    if strip.problem:
        hidden, advice = "", f"{html.escape(strip.problem)}. To convert it:"
    else:
        hidden = " hidden"
        advice = "This browser cannot open the film. If it is there, try:"
    advice = f'<p class="advice"{hidden}>{advice} {command}</p>'
    if strip.is_folder:
        return advice
    url = html.escape(_url(strip.path, folder))
    return f'<div><video controls data-src="{url}"></video>{advice}</div>'


def _url(path, folder):
    """A relative URL, so that page and films can move together."""
    path = os.path.abspath(path)
    try:
        path = os.path.relpath(path, folder)
    except ValueError:  # on another drive of Windows
        return pathlib.Path(path).as_uri()
    return urllib.parse.quote(os.fsencode(path.replace(os.sep, "/")))


def _summary(evaluation):
    """The tables of `evaluate`."""
    result = evaluation.result
    rows = [
        (f"{t:g}", v)
        for t, v in zip(result.thresholds, result.mean_ap, strict=True)
    ]
    tables = [_table(("tIoU", "mAP %"), rows)]
    if evaluation.averages:
        rows = evaluation.averages.items()
        tables.append(_table(("average", "mAP %"), rows))
    best = result.ap.mean(axis=0)
    longest = max(best.max(), 1e-9)  # the best class fills its cell
    cells = "".join(
        f"<tr><td>{html.escape(result.labels[i])}<td>{100 * best[i]:.2f}"
        f'<td class="bar" data-value="{best[i]:.6f}">'
        f'<i style="width:{100 * best[i] / longest:.1f}%"></i>'
        f"<td>{result.num_instances[i]}</tr>"
        for i in np.argsort(-best, kind="stable")
    )
    heads = ("class", "AP %, mean", "", "instances")
    return (
        f"<pre>{html.escape(evaluation.facts)}</pre>"
        f'<div class="tables">{"".join(tables)}</div>'
        f"<h2>Classes</h2>{_scrolled(heads, cells)}"
    )


def _table(heads, rows):
    cells = "".join(
        f"<tr><td>{html.escape(name)}<td>{100 * value:.2f}</tr>"
        for name, value in rows
    )
    return _framed(heads, cells)


def _scrolled(heads, cells, name=""):
    return f'<div class="scroll">{_framed(heads, cells, name)}</div>'


def _framed(heads, cells, name=""):
    head = "".join(f"<th>{text}" for text in heads)
    return (
        f"<table{name and f' id={name}'}><thead><tr>{head}</tr></thead><tbody>"
        f"{cells}</tbody></table>"
    )


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
