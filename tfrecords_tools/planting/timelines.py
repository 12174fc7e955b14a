"""Draws timelines like THUMOS-14's: actions, their times and their context.

  length      Lognormal with median --median_snippets; a tenth of the videos
              exceed three times the median, the longest has about eleven times.
  instances   Median 8, mean 15, up to 200 in a video of 150 s; more in longer
              videos, fewer in shorter ones. They do not overlap. Most gaps are
              short, a few are long.
  duration    Median 3 s, 0.2 to 118 s; differs by class, video and instance.
  classes     One video in seven has a second class, half of the time from the
              same group of similar classes.
  context     Seconds before and after most instances, sometimes elsewhere.

This is the plain family; see `families` for the others.

Segments are in seconds and start and end within snippets. The content of a
video depends only on the seed and its name, not on the other videos.
"""

import numpy as np

from tfrecords_tools.planting import features
from tfrecords_tools.planting.families import FAMILIES
from tfwstal.data.annotations import Segment, VideoAnnotation

_MEDIAN_SECONDS = 3.0  # of an action
_SHORTEST, _LONGEST = 0.2, 118.0
_FULLEST = 0.8  # part of a video that drawn actions may cover
_MOST = 200  # drawn instances in a video
_FEWEST = 4  # snippets in a drawn video
_FAR = 8.0  # seconds between an action and context elsewhere
_STRETCH = 5.0  # seconds that a stretch of context needs
_PIECE = 3.0  # approximate snippets of a part with or without the class
_FEWEST_PIECES = 3  # parts of an action, so that some can lack the class


def generator(seed, name, stage):
    """A Generator for one video, which does not depend on other videos."""
    return np.random.default_rng([seed, stage, *name.encode()])


def draw_videos(config):
    """Draws the timelines of a set like THUMOS-14.

    Args:
        config: a Config.

    Returns:
        A dict from name to VideoAnnotation; subsets are "train" and "test",
        durations in seconds.
    """
    labels = [f"Action{i + 1:02d}" for i in range(config.num_classes)]
    spread = np.random.default_rng([config.seed, 1]).normal(size=len(labels))
    scale = FAMILIES[config.family].length_scale
    seconds = scale * _MEDIAN_SECONDS * np.exp(0.6 * (spread - spread.mean()))
    counts = {"train": config.num_train_videos, "test": config.num_test_videos}
    videos = {}
    for subset, count in counts.items():
        for i in range(count):
            name = f"synthetic_{subset}_{i + 1:07d}"
            rng = generator(config.seed, name, stage=0)
            classes = _draw_classes(rng, i % len(labels), len(labels))
            duration = _draw_duration(rng, config)
            drawn = draw_segments(rng, classes, seconds, duration, scale)
            videos[name] = VideoAnnotation(
                name,
                subset,
                duration,
                tuple(
                    Segment(labels[c], start, end) for c, start, end in drawn
                ),
            )
    return videos


def draw_segments(rng, classes, seconds, duration, length_scale=1.0):
    """Draws the instances of a video, which do not overlap.

    Args:
        rng: a Generator.
        classes: indices of the classes; each gets at least one instance.
        seconds: median duration of an instance, for all classes.
        duration: of the video, in seconds.
        length_scale: divisor of the number of instances.

    Returns:
        A list of (class, start, end) in the order of time, in seconds.
    """
    count = 9 / length_scale * (duration / 150) ** 0.8 * rng.lognormal(0, 0.85)
    count = int(np.clip(round(count), len(classes), _MOST))
    first = rng.random(count - len(classes)) < 0.7  # else the last class
    which = np.append(classes, np.where(first, classes[0], classes[-1]))
    pace = rng.lognormal(0, 0.4)
    lengths = seconds[which] * pace * rng.lognormal(0, 0.43, size=count)
    lengths = lengths.clip(_SHORTEST, _LONGEST)
    fit = np.cumsum(lengths) <= _FULLEST * duration
    kept = max(int(fit.sum()), len(classes))
    lengths, which = lengths[:kept], which[:kept]
    lengths *= min(1.0, _FULLEST * duration / lengths.sum())
    order = rng.permutation(kept)
    lengths, which = lengths[order], which[order]
    gaps = rng.dirichlet(np.full(kept + 1, 0.6)) * (duration - lengths.sum())
    starts = np.cumsum(gaps[:-1]) + np.cumsum(lengths) - lengths
    ends = np.minimum(starts + lengths, np.append(starts[1:], duration))
    return list(
        zip(which.tolist(), starts.tolist(), ends.tolist(), strict=True)
    )


def draw_contexts(rng, actions, duration, family=FAMILIES["plain"]):
    """Draws context beside most actions, and far from them.

    Args:
        rng: a Generator.
        actions: (class, start, end) in seconds.
        duration: of the video, in seconds.
        family: a Family.

    Returns:
        A list of (class, start, end) in seconds. They may overlap actions,
        which hide them.
    """
    contexts = []
    for index, start, end in actions:
        mean = family.beside_scale * (2 + 0.3 * (end - start))
        before, after = rng.exponential(mean, size=2)
        shown = rng.random(2) < family.beside
        if shown[0]:
            contexts.append((index, max(start - before, 0.0), start))
        if shown[1]:
            contexts.append((index, end, min(end + after, duration)))
    for _ in range(rng.poisson(0.7)):
        length = rng.uniform(3, 10)
        start = rng.uniform(0, duration)
        index = actions[rng.integers(len(actions))][0]
        if all(
            start > end + _FAR or start + length < begin - _FAR
            for _, begin, end in actions
        ):
            contexts.append((index, start, min(start + length, duration)))
    return contexts + _draw_stretches(rng, actions, duration, family.far)


def draw_copies(rng, actions, contexts, family):
    """Draws weak copies of actions inside contexts.

    Args:
        rng: a Generator.
        actions: (class, start, end) in seconds.
        contexts: the same.
        family: a Family.

    Returns:
        A list of (class, start, end) in seconds. A copy is as long as one of
        the actions of its class in the video, or as its context if that is
        shorter.
    """
    copies = []
    for index, start, end in contexts:
        lengths = [e - s for i, s, e in actions if i == index]
        for _ in range(rng.poisson(family.copy_rate * (end - start))):
            length = min(rng.choice(lengths), end - start)
            first = start + rng.random() * (end - start - length)
            copies.append((index, first, first + length))
    return copies


def draw_telling(rng, actions, share):
    """Draws the parts of actions that show their class.

    An action is divided into equal pieces, and `share` of them, rounded down
    but at least one, are drawn.

    Args:
        rng: a Generator.
        actions: (class, start, end) in snippets.
        share: share of the pieces, at least 1 / 3 and below 1.

    Returns:
        For each action a tuple of (start, end) in snippets.
    """
    telling = []
    for _, start, end in actions:
        count = max(round((end - start) / _PIECE), _FEWEST_PIECES)
        cuts = np.linspace(start, end, count + 1)
        chosen = rng.permutation(count)[: max(int(share * count), 1)]
        telling.append(tuple((cuts[i], cuts[i + 1]) for i in sorted(chosen)))
    return tuple(telling)


def _draw_stretches(rng, actions, duration, probability):
    """Draws context in gaps between actions, away from both ends of the gap."""
    stretches = []
    if not probability:  # draws no random numbers for plain sets
        return stretches
    free = 0.0  # from here on no action is near
    for _, start, end in sorted(actions, key=lambda a: a[1]) + [
        (None, duration + _FAR, duration)
    ]:
        room = start - _FAR - free
        if room >= _STRETCH and rng.random() < probability:
            length = max(rng.uniform(0.4, 0.9) * room, _STRETCH)
            first = free + rng.random() * (room - length)
            index = actions[rng.integers(len(actions))][0]
            stretches.append((index, first, first + length))
        free = max(free, end + _FAR)
    return stretches


def _draw_classes(rng, first, num_classes):
    """Returns the classes of a video: `first`, and perhaps another one."""
    others = [i for i in range(num_classes) if i != first]
    if not others or rng.random() > 1 / 7:
        return [first]
    groups = features.group(np.array(others))
    siblings = [
        i
        for i, g in zip(others, groups, strict=True)
        if g == features.group(first)
    ]
    if siblings and rng.random() < 0.5:
        others = siblings
    return [first, int(rng.choice(others))]


def _draw_duration(rng, config):
    """Returns seconds; the video ends with a part of a snippet."""
    median = config.median_snippets
    snippets = rng.lognormal(np.log(median), 0.89)
    snippets = int(np.clip(snippets, _FEWEST, max(11 * median, _FEWEST)))
    snippets += rng.uniform(0.05, 0.95)
    return snippets * config.frames_per_snippet / config.fps
