"""Slow float64 oracles for the paper's equations, to test the library against.

Every function takes one video of T snippets without padding, and computes its
equation with plain loops over snippets, classes and channels. Nothing here
imports TensorFlow or the library.

Shapes: T snippets, D channels, C actions. Index 0 of a class axis is the
background; an axis of 3 is foreground, context, background. Section and
equation numbers are those of "Two-Stream Networks for Weakly-Supervised
Temporal Action Localization with Semantic-Aware Mechanisms" (CVPR 2023).
"""

from tests.reference.arithmetic import BACKGROUND, CONTEXT, FOREGROUND, softmax
from tests.reference.attention_branch import (
    attention,
    attention_logits,
    pooled_features,
    residual_block,
    scores,
)
from tests.reference.evaluation import (
    interpolated_average_precision,
    mean_average_precision,
    non_interpolated_average_precision,
)
from tests.reference.localization import (
    hard_nms,
    localize,
    outer_inner_contrast,
    proposals,
    soft_nms,
    tiou,
)
from tests.reference.losses import (
    class_means,
    classification_loss,
    guide_loss,
    loss_terms,
    semantic_loss,
    targets,
    total_loss,
)
from tests.reference.mil_branch import (
    activation,
    class_logits,
    forward,
    fused,
    mil_logits,
    top_k_mean,
    weighted_logits,
)

__all__ = [
    "BACKGROUND",
    "CONTEXT",
    "FOREGROUND",
    "activation",
    "attention",
    "attention_logits",
    "class_logits",
    "class_means",
    "classification_loss",
    "forward",
    "fused",
    "guide_loss",
    "hard_nms",
    "interpolated_average_precision",
    "localize",
    "loss_terms",
    "mean_average_precision",
    "mil_logits",
    "non_interpolated_average_precision",
    "outer_inner_contrast",
    "pooled_features",
    "proposals",
    "residual_block",
    "scores",
    "semantic_loss",
    "soft_nms",
    "softmax",
    "targets",
    "tiou",
    "top_k_mean",
    "total_loss",
    "weighted_logits",
]
