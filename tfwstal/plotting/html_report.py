"""One HTML page of many videos on their time axes, for any browser.

The page is one file. Its content security policy forbids the network; films are
read from the disk. Numbers, names and frames are embedded as JSON, and a script
draws a video when it comes near the window, so a page with thousands of videos
opens at once. Curves are stored in steps of 1/255, finer than a line on a
screen.
"""

import html
import json
import os
import pathlib
import string
import urllib.parse

from matplotlib import colors

from tfwstal.evaluation.words import counted
from tfwstal.plotting import html_rows, html_tables
from tfwstal.plotting.rows import COLOURS, Bars, FilmStrip

_TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
_ORDER = (
    "<p>Worst first: by recall, then by mAP of the video alone. Both are "
    "means over the tIoU thresholds.</p>"
)
_HELP = (
    "<p>Click a segment to play it, from its start to its end; click a frame "
    "to see the film there.</p>"
)


def render(title, videos, evaluation=None, folder="."):
    """Renders the page as text.

    Args:
        title: title of the page.
        videos: dict video id -> its rows: Bars, Curves and FilmStrips. The
            first Bars are the ground truth if they carry no scores.
        evaluation: Evaluation, or None for a page without tables. With one,
            the worst videos come first: by recall, then by mAP.
        folder: folder of the page, to which the paths of films are relative.
    """
    heads = ["video", "seconds", "true segments", "detections drawn"]
    scores = evaluation.by_video if evaluation else {}
    if scores:
        heads += ["recall %, mean", "mAP %, mean"]
        # Videos without instances, of which both are unknown, come last.
        videos = dict(
            sorted(videos.items(), key=lambda item: scores.get(item[0], (2,)))
        )
    names, encoded, index, sections = {}, [], [], []
    for number, (video, rows) in enumerate(videos.items()):
        seconds = max([1e-3, *(row.end for row in rows)])
        drawn = html_rows.encoded(rows, names)
        encoded.append({"seconds": round(seconds, 3), "rows": drawn})
        index.append(_index_row(number, video, rows, seconds, scores))
        sections.append(_section(number, video, rows, folder))
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
        summary=html_tables.summary(evaluation) if evaluation else "",
        order=_ORDER if scores else "",
        index=html_tables.scrolled(heads, "\n".join(index), "index"),
        sections="\n".join(sections),
        # A name may hold </script>.
        data=text.replace("<", "\\u003c"),
    )


def _index_row(number, video, rows, seconds, scores):
    bars = [row for row in rows if isinstance(row, Bars)]
    true = sum(len(row.segments) for row in bars if not row.scores)
    found = sum(len(row.scores) for row in bars)
    return (
        f'<tr><td><a href="#v{number}">{html.escape(video)}</a>'
        f"<td>{seconds:.1f}<td>{true}<td>{found}"
        f"{html_tables.score_cells(scores, video)}</tr>"
    )


def film_remark(films, failed):
    """A warning about films that do not play in the page, or None.

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
    """The section of one video; the script draws its plot."""
    height = html_rows.height(rows)
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
    """The player of a film, and advice if a browser does not play it."""
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
    """A relative URL, so that page and films can be moved together."""
    path = os.path.abspath(path)
    try:
        path = os.path.relpath(path, folder)
    except ValueError:  # on another drive of Windows
        return pathlib.Path(path).as_uri()
    return urllib.parse.quote(os.fsencode(path.replace(os.sep, "/")))
