"""The videos that a user points at, and their snippets.

A video is a film, or a folder of pictures (`frame_folders`). Its id is the
name of the file without its suffix, or that of the folder.
"""

import dataclasses
import pathlib

from tfwstal import files
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError
from tfwstal.extraction import frame_folders, snippets
from tfwstal.extraction.films import Film, film_seconds
from tfwstal.extraction.flow import METHODS, Flow

# What FFmpeg decodes has many more; a film of another suffix is given by name
# or in a list.
SUFFIXES = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts "
    ".vob .webm .wmv".split()
)


@dataclasses.dataclass(frozen=True)
class Source:
    """One video: its id, its path, and whether that is a folder of pictures."""

    name: str
    path: pathlib.Path
    is_folder: bool

    def seconds(self, fps):
        """Its length as headers and names tell; None where they do not.

        Raises:
            InputError: if it cannot be a video.
        """
        if not self.is_folder:
            return film_seconds(self.path)
        found = frame_folders.find_pictures(self.path)
        return max(len(paths) for paths in found.values()) / fps


def find(videos, flag="videos"):
    """The videos of a flag.

    Args:
        videos: a folder of films and folders of pictures, one of these, or a
            text file (.txt) that names one a line.
        flag: its name, for messages.

    Returns:
        tuple of Source, sorted by name, and the number of other files.

    Raises:
        InputError: if there is none, or two have one name.
    """
    path = pathlib.Path(videos)
    others = 0
    if path.suffix.lower() == ".txt" and path.is_file():
        places = _listed(path, flag)
    elif path.is_dir() and not _has_pictures(path):
        entries = sorted(p for p in path.iterdir() if p.name[:1] != ".")
        places = {p: p for p in entries if _is_video(p)}
        others = len(entries) - len(places)
        if not places:
            raise InputError(
                f"--{flag}={videos} holds no film (.mp4, .mkv, .avi, ...) and "
                "no folder of pictures (img_00001.jpg)"
            )
    elif path.exists():
        places = {path: path}
    else:
        raise InputError(f"--{flag}={videos} does not exist")
    found = {}
    for path, place in places.items():
        is_folder = path.is_dir()
        absolute = path.absolute()
        name = absolute.name if is_folder else absolute.stem
        problem = name_problem(name)
        if problem:
            raise InputError(f"{place}: the name {problem}; rename it")
        if name in found:
            raise InputError(
                f"{place} and {places[found[name].path]} have the same name; "
                "rename one: features are named after it"
            )
        found[name] = Source(name, path, is_folder)
    return tuple(found[name] for name in sorted(found)), others


def _listed(path, flag):
    """dict from each path in a text file, relative to its folder, to its line.

    Messages name the line: a damaged one may have thousands of characters.
    """
    lines = {}
    for number, line in files.numbered_lines(path):
        listed, place = path.parent / line, f"{path}, line {number}"
        if listed in lines:
            raise InputError(f"{place}: repeats {lines[listed]}; remove one")
        lines[listed] = place
    if not lines:
        raise InputError(f"--{flag}={path} is empty; name a film a line")
    return lines


def _has_pictures(folder):
    return any(frame_folders.is_picture(p.name) for p in folder.iterdir())


def _is_video(path):
    if path.is_dir():
        return _has_pictures(path)
    return path.suffix.lower() in SUFFIXES


class Reading:
    """One pass over a video's snippets.

    Args:
        source: Source.
        settings: Settings.
        threads: of decoder and flow; 0 leaves it to them.

    Attributes:
        count: snippets.Count, of the frames so far.
        notes: after the last snippet, what is odd about the video.
    """

    def __init__(self, source, settings, threads=0):
        self.count = snippets.Count()
        self.notes = []
        self._source = source
        self._settings = settings
        self._threads = threads

    def snippets(self):
        """Yields (RGB, flow) of each snippet, as `snippets.cut`.

        Raises:
            InputError: if the video has no whole snippet or cannot be read.
        """
        settings = self._settings
        yield from snippets.cut(
            self._pictures() if self._source.is_folder else self._film(),
            settings.frames_per_snippet,
            settings.crop_size,
            self.count,
        )

    def _film(self):
        settings = self._settings
        if settings.flow == "images":
            raise InputError(
                "it is a film, and --flow=images reads folders of pictures; "
                "use --flow=tvl1"
            )
        film = Film(
            self._source.path,
            settings.fps,
            settings.shorter_side,
            self._threads,
        )
        yield from self._with_flow(film.frames())
        self.notes += film.notes

    def _pictures(self):
        settings = self._settings
        found = frame_folders.find_pictures(self._source.path)
        if not found["img"] and (settings.rgb or settings.flow in METHODS):
            raise InputError("it has no pictures img_00001.jpg")
        frames = frame_folders.read_frames(found["img"], settings.shorter_side)
        if settings.flow != "images":
            yield from self._with_flow(frames)
            return
        if not found["flow_x"]:
            raise InputError(
                "it has no pictures flow_x_00001.jpg and flow_y_00001.jpg; "
                "compute the flow with --flow=tvl1"
            )
        yield from snippets.with_flow_pictures(
            frames if settings.rgb else None,
            frame_folders.read_flows(
                found["flow_x"], found["flow_y"], settings.shorter_side
            ),
            len(found["img"]),
            len(found["flow_x"]),
        )

    def _with_flow(self, frames):
        settings = self._settings
        if settings.flow == "none":
            return ((frame, None) for frame in frames)
        pairs = snippets.with_flow(frames, Flow(settings.flow, self._threads))
        if settings.rgb:
            return pairs
        return ((None, values) for _, values in pairs)
