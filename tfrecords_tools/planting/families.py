"""Families of synthetic sets; each makes another part of the task hard.

plain    Actions differ by class in all their snippets, and most of them have
         seconds of context beside them. It tests the whole method without
         favouring a part of it.
context  The place of a class is around its actions, below them, and in long
         stretches elsewhere, with weak copies of its actions. The context is
         enough to recognize the class, but not the boundaries. It tests
         whether the model rejects snippets that indicate a class but are not
         the action: the context attention and its loss (L_ct of Eq. 5).
sparse   Fewer than half of the snippets of an action show its class; the
         others show only the motion common to all actions and the view of the
         shot. Actions are longer and fewer than in plain. It tests whether the
         model finds complete actions instead of their most distinctive
         snippets: the attention-based branch and the semantic loss (Eq. 6).

The numbers were chosen before a model was trained on the families context and
sparse, and do not depend on results. The scale of the features is the same in
all families.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Family:
    """Parameters of a family; the defaults are those of plain.

    Attributes:
        length_scale: factor of the duration of drawn actions, and divisor of
            their number. Timelines from --annotations are not changed.
        telling: largest share of each action that shows its class.
        telling_strength: strength of this part if it is not the whole action.
        beside: probability of context before an action, and after it.
        beside_scale: factor of the duration of that context.
        far: probability of a stretch of context in a long gap between actions,
            away from both.
        copy_rate: weak copies of actions per second of context.
        copy_strength: strength of a copy; an action has about 1.
        own_place: share of a context's place that belongs to the class; the
            rest is common to its group.
        place_in_action: strength of the context below an action; 1 beside it.
        variance: variance of the scores before noise, which keeps the scale of
            the features.
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
