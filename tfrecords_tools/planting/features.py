"""Generative model of features like I3D's, with planted actions.

A feature is a fixed non-negative function of a score u that is roughly
standard normal over time:

    x = scale * max(exp(spread * u) - cut, 0),  u = baseline + (z @ mix + w)

`spread` and `cut` give RGB and flow the skew and the share of zeros of real
I3D features. `baseline` and `scale` belong to the dimension and are the same
for all videos. z has 48 numbers for RGB and 48 for flow. It has all the meaning
and temporal order, so the set is about equally hard at any width from 96 on;
below, the two halves do not contain all of z. w is white noise.

z is a sum over the terms below. Each is a difficulty of the task:

  action      A class is a direction with three phases. Start and end are weak
              and the middle is strong, so a model that selects the most
              salient snippets finds incomplete actions. Up to four classes
              form a group with a common part; the rest distinguishes them. All
              actions share a motion, mostly in flow, which is as strong at the
              ends as in the middle. A class-agnostic attention can find it, but
              contexts have it too. Instances differ in strength and in their
              view, one of two for each class, like shots from two cameras.
  context     What happens before or after an action (run-up, replay,
              spectators) resembles it, so the label of a video predicts the
              context nearly as well as the action itself. Sometimes it appears
              without an action. A part is common to the group. It is stronger
              in RGB than in flow.
  background  Scenes from one pool, several in each video, also below actions
              and contexts. Half of the classes have a favourite scene, which
              predicts their label without being an action.
  nuisance    An offset of each video: camera, light, place.
  noise       Autocorrelated noise, which averages over neighbours do not
              remove, and white noise within and between snippets.

The difficulty scales nuisance and noise, and moves the context towards the
action. If an interval covers a part of a snippet, the snippet has this part of
the term.

This is the plain family. The other `families` change some terms: which snippets
of an action show its class, what is below actions, and weak copies of actions
inside contexts.
"""

import dataclasses

import numpy as np

from tfrecords_tools.planting.families import FAMILIES, Family

_LATENTS = 48  # numbers in z for each of RGB and flow
_SCENES = 24
_GROUP_SIZE = 4

_SIGNAL = 8.0  # length of an action's direction, in units of the noise
_SCENE_SIGNAL = 5.0
_PHASE_STRENGTH = (0.6, 1.0, 0.6)
_PHASE_CENTRES = (1 / 6, 1 / 2, 5 / 6)
_PERSISTENCE = 0.88  # of the noise, from one snippet to the next
_SCENE_SNIPPETS = 30  # mean length of a scene

# RGB, flow: measured on I3D features, see the module's first paragraph.
_SPREAD = (0.5, 0.5)
_CUT = (0.34, 0.55)
_SCALE = (0.30, 0.20)


@dataclasses.dataclass(frozen=True)
class World:
    """Parameters common to all videos; L is 96, the size of z.

    Attributes:
        actions: [C, 3, L], the phases of each class.
        motion: [L], the part common to all phases of all classes.
        views: [C, 2, L], the offset of each view.
        contexts: [C, L].
        scenes: [S, L].
        favourites: [C], the favourite scene of each class, -1 for none.
        mix: two arrays [L / 2, D / 2], for RGB and for flow.
        baseline: [D].
        scale: [D].
        difficulty: as --difficulty.
        family: Family of --family.
    """

    actions: np.ndarray
    motion: np.ndarray
    views: np.ndarray
    contexts: np.ndarray
    scenes: np.ndarray
    favourites: np.ndarray
    mix: tuple[np.ndarray, np.ndarray]
    baseline: np.ndarray
    scale: np.ndarray
    difficulty: float
    family: Family


@dataclasses.dataclass(frozen=True)
class Timeline:
    """The content of a video; all times are in snippets.

    Attributes:
        num_snippets: length of the video.
        actions: (class, start, end) of each action.
        contexts: likewise; actions hide them.
        copies: likewise, weak copies of actions; visible only in contexts.
        telling: for each action the intervals (start, end) that show its
            class; None if all actions show it everywhere.
    """

    num_snippets: int
    actions: tuple[tuple[int, float, float], ...]
    contexts: tuple[tuple[int, float, float], ...]
    copies: tuple[tuple[int, float, float], ...] = ()
    telling: tuple[tuple[tuple[float, float], ...], ...] | None = None


def group(index):
    """The group of similar classes that a class belongs to."""
    return index // _GROUP_SIZE


def make_world(
    rng, num_classes, feature_dim, difficulty, family=FAMILIES["plain"]
):
    """Draws a World."""
    groups = group(np.arange(num_classes))
    own = _directions(rng, num_classes)
    common = _directions(rng, groups[-1] + 1)[groups]
    phases = _directions(rng, num_classes, 3)
    motion = _emphasize(_directions(rng), 0.6, 1.3)
    # Flow is stronger in motions, RGB in places.
    distinct = _emphasize(
        np.sqrt(0.6) * own[:, None] + np.sqrt(0.4) * phases, 0.8, 1.15
    )
    strength = np.array(_PHASE_STRENGTH, np.float32)[:, None]
    actions = (
        np.sqrt(0.2) * motion
        + np.sqrt(0.2) * common[:, None]
        + np.sqrt(0.5) * strength * distinct
    )
    views = np.sqrt(0.1) * _directions(rng, num_classes, 2)
    likeness = min(0.2 + 0.25 * difficulty, 0.9)
    place = _emphasize(
        np.sqrt(1 - family.own_place) * _directions(rng, groups[-1] + 1)[groups]
        + np.sqrt(family.own_place) * _directions(rng, num_classes),
        1.2,
        0.7,
    )
    contexts = likeness * actions.mean(1) + np.sqrt(1 - likeness**2) * place
    favourites = rng.integers(_SCENES, size=num_classes)
    favourites[rng.permutation(num_classes)[: num_classes // 2]] = -1
    half = feature_dim // 2
    return World(
        actions=_SIGNAL * actions,
        motion=_SIGNAL * np.sqrt(0.2) * motion,
        views=_SIGNAL * views,
        contexts=0.8 * _SIGNAL * contexts,
        scenes=_SCENE_SIGNAL * _emphasize(_directions(rng, _SCENES), 1.2, 0.7),
        favourites=favourites,
        mix=tuple(
            _normal(rng, _LATENTS, half) / np.float32(np.sqrt(_LATENTS))
            for _ in range(2)
        ),
        baseline=0.25 * _normal(rng, feature_dim),
        scale=np.repeat(np.array(_SCALE, np.float32), half)
        * np.exp(0.2 * _normal(rng, feature_dim)),
        difficulty=difficulty,
        family=family,
    )


def draw_features(rng, world, timeline):
    """Draws the features of a video, float32 [num_snippets, D], RGB first."""
    length = timeline.num_snippets
    noise = 0.15 + 0.85 * world.difficulty
    acting, z = _plant_actions(rng, world, timeline)
    around = np.zeros(length, np.float32)
    for index, start, end in timeline.contexts:
        free = np.maximum(1 - acting - around, 0)
        part = np.minimum(covered(start, end, length), free)
        around += part
        z += np.outer(part, world.contexts[index])
    z += _plant_copies(rng, world, timeline, around)
    scenes = _draw_scenes(rng, world, timeline)
    z += (1 - 0.5 * acting)[:, None] * world.scenes[scenes]
    z += 0.4 * noise * _normal(rng, z.shape[1])
    z += noise * _smooth_noise(rng, *z.shape)

    u = np.concatenate(
        [z[:, :_LATENTS] @ world.mix[0], z[:, _LATENTS:] @ world.mix[1]], axis=1
    )
    u += 0.5 * noise * _normal(rng, *u.shape)
    # Standard deviation of noise (1), white noise (0.5) and everything else.
    u /= np.float32(np.sqrt(1.25 * noise**2 + world.family.variance))
    u += world.baseline
    half = u.shape[1] // 2
    spread = np.repeat(np.array(_SPREAD, np.float32), half)
    cut = np.repeat(np.array(_CUT, np.float32), half)
    return world.scale * np.maximum(np.exp(spread * u) - cut, 0)


def covered(start, end, length):
    """Share of each of `length` snippets that [start, end] covers."""
    left = np.arange(length)
    part = np.minimum(left + 1, end) - np.maximum(left, start)
    return part.clip(0, 1).astype(np.float32)


def _plant_actions(rng, world, timeline):
    """Returns the share of each snippet that actions cover, [T], and their z.

    z is [T, L]. Overlapping instances are averaged.
    """
    length = timeline.num_snippets
    total = np.zeros(length, np.float32)
    z = np.zeros((length, world.scenes.shape[1]), np.float32)
    for i, (index, start, end) in enumerate(timeline.actions):
        part = covered(start, end, length)
        strength = np.exp(0.2 * world.difficulty * rng.standard_normal())
        view = world.views[index, rng.integers(2)]
        pattern = _phases(world, index, start, end, length)
        if timeline.telling is not None:
            shown = sum(
                covered(*piece, length) for piece in timeline.telling[i]
            )
            shown = (shown / np.maximum(part, 1e-9)).clip(0, 1)[:, None]
            pattern = (
                np.float32(world.family.telling_strength) * shown * pattern
                + (1 - shown) * world.motion
            )
        place = np.float32(world.family.place_in_action) * world.contexts[index]
        z += np.float32(strength) * part[:, None] * (pattern + view)
        z += part[:, None] * place
        total += part
    return np.minimum(total, 1), z / np.maximum(total, 1)[:, None]


def _plant_copies(rng, world, timeline, around):
    """Returns the z of weak copies, [T, L]; `around` [T]: share of context."""
    length = timeline.num_snippets
    z = np.zeros((length, world.scenes.shape[1]), np.float32)
    free = around.copy()
    for index, start, end in timeline.copies:
        part = np.minimum(covered(start, end, length), free)
        free -= part
        pattern = _phases(world, index, start, end, length)
        pattern = pattern + world.views[index, rng.integers(2)]
        z += np.float32(world.family.copy_strength) * part[:, None] * pattern
    return z


def _phases(world, index, start, end, length):
    """Pattern of a class over [start, end], without a view: [T, L]."""
    left = np.arange(length)
    middle = np.maximum(left, start) / 2 + np.minimum(left + 1, end) / 2
    phase = (middle - start) / max(end - start, 1e-9)
    weights = [np.interp(phase, _PHASE_CENTRES, np.eye(3)[i]) for i in range(3)]
    return np.stack(weights, axis=1).astype(np.float32) @ world.actions[index]


def _draw_scenes(rng, world, timeline):
    """Returns the scene of each snippet: [T] indices."""
    own = rng.choice(_SCENES, size=rng.integers(1, 4), replace=False)
    classes = sorted({index for index, _, _ in timeline.actions})
    for favourite in world.favourites[classes]:
        if favourite >= 0 and rng.random() < 0.6:
            own[rng.integers(own.size)] = favourite
    cuts = rng.random(timeline.num_snippets) < 1 / _SCENE_SNIPPETS
    choices = rng.choice(own, size=timeline.num_snippets)
    return choices[np.cumsum(cuts) % timeline.num_snippets]


def _smooth_noise(rng, length, width):
    """Autoregressive noise of variance 1, [length, width]."""
    noise = _normal(rng, length, width)
    noise[1:] *= np.float32(np.sqrt(1 - _PERSISTENCE**2))
    for t in range(1, length):
        noise[t] += np.float32(_PERSISTENCE) * noise[t - 1]
    return noise


def _directions(rng, *shape):
    """Random unit vectors, [*shape, L]."""
    vectors = _normal(rng, *shape, 2 * _LATENTS)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _emphasize(vectors, rgb, flow):
    """Scales the RGB and the flow part of directions."""
    gains = np.repeat(np.array([rgb, flow], np.float32), _LATENTS)
    return vectors * gains


def _normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)
