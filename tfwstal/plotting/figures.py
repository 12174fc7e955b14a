"""Style of all figures, and writing them to files."""

import contextlib
import pathlib
import warnings

import matplotlib
from matplotlib import font_manager

from tfwstal import files
from tfwstal.errors import InputError

SUFFIXES = (".png", ".svg")
# Fonts with Chinese, Japanese and Korean characters, of Linux, Windows and
# macOS. matplotlib's own font has none and draws boxes.
_CJK_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR"),
    *("Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *("Droid Sans Fallback", "Microsoft YaHei", "SimHei", "Yu Gothic"),
    *("Malgun Gothic", "PingFang SC", "Hiragino Sans GB", "Heiti TC"),
    *("Apple SD Gothic Neo", "Arial Unicode MS"),
)


def style():
    """Settings for making figures: a decorator, or a context.

    Names of videos and classes may contain characters of any language, and a
    $ in them does not start a formula.
    """
    installed = set(font_manager.get_font_names())
    others = [font for font in _CJK_FONTS if font in installed]
    return matplotlib.rc_context(
        {
            "text.parse_math": False,
            # A character comes from the first family that has it.
            "font.family": ["DejaVu Sans", *others],
        }
    )


def check_picture(path):
    """Checks --picture before any work.

    Raises:
        InputError: if its suffix is not that of a PNG or an SVG.
    """
    if pathlib.Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"--picture={path} must end in .png or .svg")


def save(figure, path):
    """Writes a Figure as PNG or SVG, by the path's suffix.

    The file is written whole or not at all; an existing one is replaced. Equal
    figures give equal bytes.

    Returns:
        a warning if no installed font has some of the characters, or None.
    """
    path = pathlib.Path(path)
    kind = path.suffix.lower()[1:]
    # An SVG has random ids and the date otherwise.
    fixed = matplotlib.rc_context({"svg.hashsalt": "tfwstal"})
    metadata = {"Date": None} if kind == "svg" else None
    try:
        with files.replacing(path) as aside, fixed, _caught() as missing:
            figure.savefig(aside, format=kind, dpi=150, metadata=metadata)
    except OSError as error:
        raise files.unwritable(path, error) from None
    if not missing:
        return None
    return (
        f"{path}: no installed font has some characters of the names; for "
        "Chinese, Japanese and Korean install Noto Sans CJK"
    )


@contextlib.contextmanager
def _caught():
    """Collects matplotlib's warnings of missing characters, one for each."""
    missing = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield missing
    for each in caught:
        if "missing from font" in str(each.message):
            missing.append(each)
        else:
            warnings.warn_explicit(
                each.message, each.category, each.filename, each.lineno
            )
