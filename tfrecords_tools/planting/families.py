"""Families of synthetic sets: each makes another part of the task hard.

plain    Actions differ by class in all their snippets, seconds of context lie
         beside most of them. It tests the whole method without favouring one
         of its parts.
context  The place of a class lies around its actions, below them, and in long
         stretches elsewhere; weak copies of its actions occur there. The class
         can be told from the context alone, the boundaries cannot. It tests
         whether snippets that indicate a class, but are not the action, are
         kept out: the context attention and its loss (L_ct of Eq. 5).
sparse   Fewer than half of an action's snippets show its class; the others
         show only the motion that all actions share and the view of the shot.
         Actions last longer than in plain and are fewer. It tests whether
         whole actions are found rather than their most telling snippets: the
         attention-based branch and the semantic loss (Eq. 6).

The numbers were chosen before a localizer was trained on the two new families,
and are kept whatever comes out. All families have features of one scale.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Family:
    """What sets a family apart; the defaults are the plain one.

    Attributes:
        length_scale: factor of the duration of drawn actions, and divisor of
            their number. Timelines from --annotations stay as they are.
        telling: part of each action that shows its class, at most.
        telling_strength: of that part where it is not the whole action.
        beside: probability of context before an action, and after it.
        beside_scale: factor of the duration of that context.
        far: probability that a long gap between actions holds a stretch of
            context away from both.
        copy_rate: weak copies of actions a second of context.
        copy_strength: of a copy; an action has about 1.
        own_place: part of the place in a context that is the class's own; the
            rest is common to its group.
        place_in_action: strength of the context below an action; beside it, 1.
        variance: of scores before noise. It keeps the features' scale.
    """

    length_scale: float = 1.0
    telling: float = 1.0
    telling_strength: float = 1.0
    beside: float = 0.75
    beside_scale: float = 1.0
    far: float = 0.0
    copy_rate: float = 0.0
    copy_strength: float = 0.0
    own_place: float = 0.15
    place_in_action: float = 0.0
    variance: float = 0.5


FAMILIES = {
    "plain": Family(),
    "context": Family(
        beside=0.95,
        beside_scale=1.5,
        far=0.8,
        copy_rate=0.1,
        copy_strength=0.4,
        own_place=0.5,
        place_in_action=0.5,
        variance=0.7,
    ),
    "sparse": Family(length_scale=3.0, telling=0.4, telling_strength=1.5),
}
