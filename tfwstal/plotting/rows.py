"""Rows of a video on a time axis: segments, sequences, frames of its film."""

import collections
import dataclasses
import pathlib

import matplotlib
import numpy as np

from tfwstal.data.annotations import Segment

# Detections drawn: those that score at least this part of the video's best, and
# of these so many per class. The many weak ones would hide them.
SCORE_PART = 0.3
TOP_K = 10
# Classes whose activation is drawn, best video scores first.
TOP_CLASSES = 4
# Colours of classes, from three colour maps. None is similar to the orange or
# the grey of an attention.
COLOURS = tuple(
    matplotlib.colormaps[name].colors[i]
    for name, i in (
        *(("Dark2", 0), ("Dark2", 2), ("Dark2", 3), ("Dark2", 4)),
        *(("tab10", 9), ("Set1", 0), ("Set1", 1)),
    )
)
ATTENTIONS = {
    "foreground": (0.0, 0.0, 0.0),
    "context": (0.9, 0.5, 0.1),
    "background": (0.7, 0.7, 0.7),
}


@dataclasses.dataclass(frozen=True)
class Bars:
    """A row of segments in seconds, each with an intensity from 0 to 1.

    Bars of detections also have scores. `duration` is the length of the video
    in seconds, 0 if it is not known.
    """

    title: str
    segments: tuple[Segment, ...]
    intensities: tuple[float, ...]
    scores: tuple[float, ...] = ()
    duration: float = 0.0

    @property
    def end(self):
        """Seconds at which the row ends on the time axis."""
        return max([self.duration, *(each.end for each in self.segments)])

    @property
    def names(self):
        """The classes, each once."""
        return tuple(dict.fromkeys(each.label for each in self.segments))


@dataclasses.dataclass(frozen=True)
class Curves:
    """A row of K named sequences, values [T, K] from 0 to 1."""

    title: str
    values: np.ndarray
    names: tuple[str, ...]
    seconds_per_snippet: float

    @property
    def end(self):
        """Seconds at which the row ends on the time axis."""
        return len(self.values) * self.seconds_per_snippet

    @property
    def is_attention(self):
        """Whether the names are those of the attentions, not of classes."""
        return self.names == tuple(ATTENTIONS)


@dataclasses.dataclass(frozen=True)
class FilmStrip:
    """A row of a film's frames on the time axis.

    Attributes:
        title: of the row.
        picture: uint8 [H, W, 3], from the film's start to its end.
        end: the film's length in seconds.
        path: the film, or the folder of pictures.
        is_folder: whether it is a folder of pictures.
        problem: why browsers do not play it; "" if they do.
        command: makes a film that they play.
    """

    title: str
    picture: np.ndarray
    end: float
    path: pathlib.Path
    is_folder: bool
    problem: str
    command: str
    names = ()


def truth_bars(segments, duration=0.0):
    """Bars of a video's ground truth.

    Args:
        segments: tuple of Segments.
        duration: of the video in seconds, 0 if it is not known.
    """
    return Bars(
        "Ground truth", segments, (1.0,) * len(segments), duration=duration
    )


def strongest(detections):
    """Bars of a video's best detections; a higher score is more intense.

    Args:
        detections: list of {"label", "score", "segment": [start, end]}.

    Returns:
        Bars of the TOP_K best of each class, best first, that score at least
        SCORE_PART of the best. The title gives the rules that left some out.
    """
    ordered = sorted(detections, key=lambda entry: -entry["score"])
    if not ordered:
        return Bars("Detections: none", (), ())
    best = ordered[0]["score"]
    # Of a negative best score, a part lies above it.
    least = min(SCORE_PART * best, best)
    strong = [entry for entry in ordered if entry["score"] >= least]
    chosen, count = [], collections.Counter()
    for entry in strong:
        count[entry["label"]] += 1
        if count[entry["label"]] <= TOP_K:
            chosen.append(entry)
    rules = []
    if len(strong) < len(ordered):
        rules.append(f"score at least {least:.2f}")
    if len(chosen) < len(strong):
        rules.append(f"best {TOP_K} of each class")
    part = f"{len(chosen)} of" if rules else "all"
    shown = f"{part} {len(ordered)}"
    return Bars(
        f"Detections: {', '.join([shown, *rules])}; paler = lower score, "
        f"highest {best:.2f}",
        tuple(Segment(each["label"], *each["segment"]) for each in chosen),
        tuple(each["score"] / best if best > 0 else 1.0 for each in chosen),
        tuple(each["score"] for each in chosen),
    )


def curves(outputs, branches, classes, alpha, seconds):
    """Curves of a model's outputs for one video.

    Args:
        outputs: without the axis of videos: `attention` [T, 3],
            `activation` [T, 3, C+1], `video_scores` [3, C+1].
        branches: "both", "attention" or "mil", of the model.
        classes: names of the C actions.
        alpha: video score below which localization drops a class.
        seconds: length of a snippet.

    Returns:
        list of Curves: the attentions and, if the model has a MIL branch, the
        foreground activation z_fg of the best TOP_CLASSES classes that
        localization keeps.
    """
    attention = np.asarray(outputs["attention"])
    rows = [Curves("Attention", attention, tuple(ATTENTIONS), seconds)]
    if branches != "attention":
        from tfwstal.method import localization  # imports TensorFlow

        scores = np.asarray(outputs["video_scores"])[0]
        kept = localization.select_classes(scores, alpha).numpy()
        kept = kept[np.argsort(-scores[kept], kind="stable")][:TOP_CLASSES]
        activation = np.asarray(outputs["activation"])[:, 0][:, kept]
        names = tuple(classes[index - 1] for index in kept)
        title = "Foreground activation, best video scores: " + ", ".join(
            f"{scores[index]:.2f}" for index in kept
        )
        rows.append(Curves(title, activation, names, seconds))
    return rows
