"""Signs that a training has collapsed, as sentences for warnings.

`train` checks the outputs of the final weights for a sample of the training
videos; `localize` and `evaluate` count the videos with a detection.
docs/training.md explains the warnings. A context attention near zero is not a
sign: it is common, and actions are found without it.
"""

import numpy as np

# Softmax attentions sum to one over foreground, context and background, so an
# undecided snippet has 1/3 of each. Thresholds of --eta start at 0.1.
LOW_ATTENTION = 0.1
# Models with 0.9 and more everywhere find actions by their activation. Here
# the softmax is saturated: its gradient a(1 - a) is 1/2000 of that at 1/3.
HIGH_ATTENTION = 0.9999
# Each training video has an action, and an action of a few seconds is this
# share of a video of a few minutes. The rest has a larger share.
MIN_SHARE = 0.01
# With the published sigma, Eq. 3 scores the foreground by the best eighth of
# the snippets. If the background takes more than this share, less than half of
# that eighth is left for all actions. And no single action fills so much of a
# sample that covers many actions.
MAX_CLASS_SHARE = 0.95
# Share of the localized or evaluated videos. Usually each of them has an
# action, so most of them should have a detection.
MIN_DETECTED_SHARE = 0.5

_CALMER = (
    "try a lower --learning_rate (it was {rate:g}), or a longer "
    "--rate_warmup_epochs"
)


def signs(foreground, class_logits, classes, learning_rate, lambda_smt):
    """Finds signs of a collapse in a model's outputs for training videos.

    The bounds are constants of this module:

    - The foreground attention exceeds LOW_ATTENTION in less than MIN_SHARE of
      the snippets: nothing is foreground.
    - It is at most HIGH_ATTENTION in less than MIN_SHARE of the snippets:
      everything is foreground.
    - More than MAX_CLASS_SHARE of the snippets choose the same class, the one
      with the highest logit as in Eq. 6: the dictionary has collapsed.

    Args:
        foreground: [N] foreground attention of N snippets of several videos,
            without padding, from 0 to 1.
        class_logits: [N, C+1] p of the same snippets, class 0 the background.
        classes: names of the C actions.
        learning_rate: learning rate of the training, for the advice.
        lambda_smt: weight of L_smt; with 0 the dictionary is not trained.

    Returns:
        list of sentences, empty for a healthy model.
    """
    found, calmer = [], _CALMER.format(rate=learning_rate)
    seen = f"{len(foreground)} snippets of a sample of the training videos"
    if (foreground > LOW_ATTENTION).mean() < MIN_SHARE:
        found.append(
            "the foreground attention has died: its mean is "
            f"{foreground.mean():.2g} and its 99th percentile "
            f"{np.percentile(foreground, 99):.2g} in {seen}, where a trained "
            f"one exceeds {LOW_ATTENTION} in at least {MIN_SHARE:.0%}; "
            f"{calmer}; with many classes, a longer "
            "--background_warmup_epochs first"
        )
    if (foreground <= HIGH_ATTENTION).mean() < MIN_SHARE:
        found.append(
            "the foreground attention separates nothing: its mean is "
            f"{foreground.mean():.6f}, and it exceeds {HIGH_ATTENTION} in "
            f"{(foreground > HIGH_ATTENTION).mean():.1%} of {seen}; {calmer}; "
            "or a lower --attention_bias"
        )
    count = np.bincount(class_logits.argmax(axis=1))
    largest, share = count.argmax(), count.max() / count.sum()
    if share > MAX_CLASS_SHARE:
        name = ("background", *classes)[largest]
        found.append(
            ("the dictionary has collapsed: " if lambda_smt else "")
            + f"{share:.1%} of {seen} choose {name!r}, more than "
            f"{MAX_CLASS_SHARE:.0%}; {calmer}"
            + ("; or a lower --lambda_smt" if lambda_smt else "")
        )
    return found


def few_detections(detected, total, advice):
    """A warning if too few videos have a detection, else None.

    Args:
        detected: number of videos with at least one detection.
        total: number of all videos; MIN_DETECTED_SHARE of them is enough.
        advice: the second half of the sentence.
    """
    if detected >= MIN_DETECTED_SHARE * total:
        return None
    return (
        f"only {detected} of {total} videos have a detection, fewer than "
        f"{MIN_DETECTED_SHARE:.0%}; {advice}"
    )
