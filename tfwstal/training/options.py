"""Options of training, each declared once, as in `method.options`.

`config.py` builds the flags of the same names from these classes. This module
imports only the standard library and `method.options`, so that reading flags
does not import TensorFlow.
"""

import dataclasses
import math

from tfwstal.method.options import ModelOptions, Options, option

PUBLISHED_WIDTH = 2048  # of I3D's two streams


@dataclasses.dataclass(frozen=True)
class TrainingOptions(Options):
    """How a model is trained: data, optimizer and numerics."""

    # === Data ===
    num_snippets: int = option(
        750,
        "T: snippets sampled from a training video (Section 4.1).",
        low=1,
        high=1_000_000,
    )
    upsample_short: str = option(
        "none",
        "Videos shorter than T are padded and masked (none), or their "
        "snippets are repeated to T (repeat, as in other implementations).",
        choices=("none", "repeat"),
    )
    batch_size: int = option(
        16, "Videos in a training step.", low=1, high=65_536
    )
    cache_gb: float = option(
        2.0,
        "Training features up to this many GB are held in memory, on the "
        "accelerator if there is one. Larger sets are read again in every "
        "epoch; 0 reads every set again. Results are the same.",
        low=0.0,
        high=1e6,
    )
    cache_dtype: str = option(
        "float32",
        "Features in memory as float32, or in half the size as float16, "
        "which rounds features that are stored as float32.",
        choices=("float32", "float16"),
    )

    # === Start ===
    centroids: str = option(
        "class_mean",
        "Initial dictionary: class means of the training features, or "
        "uniform in [0, 1].",
        choices=("class_mean", "uniform"),
    )
    warmup_epochs: float = option(
        5.0,
        "Epochs over which lambda_smt rises from 0 to its value.",
        low=0.0,
        high=1e6,
    )
    background_warmup_epochs: float = option(
        0.0,
        "Epochs over which lambda_ct and lambda_bg rise from 0 to their "
        "values. With many classes the background is otherwise learned long "
        "before them, and the foreground attention dies.",
        low=0.0,
        high=1e6,
    )
    seed: int = option(
        0,
        "Seed of the random numbers. For train: weights, order, sampling and "
        "dropout; for synthesize: the whole set; for tune: folds and order of "
        "trials; for evaluate: --bootstrap.",
        low=0,
        high=2**32 - 1,
    )

    # === Optimizer ===
    epochs: int = option(
        100,
        "Passes over the training set; 0 writes the untrained model.",
        low=0,
        high=1_000_000,
    )
    learning_rate: float = option(
        1e-4,
        "Learning rate of the optimizer. The default is the paper's, for "
        "features 2048 wide; for D features try 1e-4 * 2048 / D.",
        low=1e-12,
        high=1e3,
    )
    rate_warmup_epochs: float = option(
        0.0,
        "Epochs over which the learning rate rises from 0 to its value.",
        low=0.0,
        high=1e6,
    )
    optimizer: str = option(
        "adam",
        "Name of a Keras optimizer, or of a tensorflow-addons optimizer where "
        "that package is installed, such as Lookahead(RectifiedAdam).",
    )
    weight_decay: float = option(
        0.0,
        "Decoupled weight decay of the optimizer; 0: none.",
        low=0.0,
        high=1e3,
    )
    clip_norm: float = option(
        0.0,
        "Upper limit for the norm of all gradients together; larger ones are "
        "scaled down. 0: no limit.",
        low=0.0,
        high=1e6,
    )
    ema: float = option(
        0.0,
        "Momentum of a moving average of the weights, such as 0.999. The "
        "average is evaluated and saved; 0: none.",
        low=0.0,
        high=0.999999,
    )

    # === Numerics ===
    xla: str = option(
        "auto",
        "Compile the training step with XLA; auto: if there is a GPU.",
        choices=("auto", "on", "off"),
    )
    precision: str = option(
        "float32",
        "Training computes in float32, or its matrix products in half the "
        "bits (mixed_bfloat16, or mixed_float16 with a scaled loss); weights, "
        "softmaxes, distances and losses stay in float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    deterministic: bool = option(
        False,
        "Runs with the same flags are equal bit for bit on a GPU too, where "
        "this is slower. Not with --xla=on.",
    )
    steps_per_execution: int = option(
        1,
        "Most training steps that run without returning to Python: the "
        "largest number up to this one that divides the steps of an epoch. "
        "Checkpoints and messages about divergence are no finer than that.",
        low=1,
        high=1_000_000,
    )


@dataclasses.dataclass(frozen=True)
class RunOptions(Options):
    """What a run does beside training: devices, checkpoints, evaluation."""

    strategy: str = option(
        "none",
        "Devices that share a batch: one (none), all GPUs of this machine "
        "(mirrored), or those of all workers in the environment variable "
        "TF_CONFIG (multiworker; every worker gets the same command).",
        choices=("none", "mirrored", "multiworker"),
    )
    checkpoint_minutes: float = option(
        1.0,
        "Minutes between checkpoints, the most that a killed run loses; 0: a "
        "checkpoint after every step.",
        low=0.0,
        high=1e6,
    )
    eval_every: int = option(
        0,
        "Epochs between evaluations of --split; 0: never.",
        low=0,
        high=1_000_000,
    )
    watch_every: int = option(
        -1,
        "Epochs between summaries of attentions, centroids and "
        "--watch_videos for TensorBoard; 0: never; -1: after the first epoch, "
        "the last one, and as often between as takes a tenth of the time.",
        low=-1,
        high=1_000_000,
    )
    watch_videos: tuple[str, ...] = option(
        (),
        "Ids of videos of --split to draw in each summary; by default its "
        "first two.",
    )


def values_for_width(feature_dim, learning_rate, lambda_smt):
    """A warning if features of another width meet the paper's values.

    Adam moves each weight by about the learning rate, so a class's score, a
    sum over D features, moves by the rate times D; L_smt is a distance, which
    grows with the square root of D.

    Args:
        feature_dim: D of the training features.
        learning_rate: as the flag.
        lambda_smt: as the flag.

    Returns:
        A sentence with the values for D, or None if both flags differ from
        the paper's or D is PUBLISHED_WIDTH.
    """
    ratio = PUBLISHED_WIDTH / feature_dim
    scaled = {
        "learning_rate": (learning_rate, TrainingOptions, ratio),
        "lambda_smt": (lambda_smt, ModelOptions, math.sqrt(ratio)),
    }
    proposals = [
        f"--{name}={factor * value:.2g}"
        for name, (value, options, factor) in scaled.items()
        if value == getattr(options, name)
    ]
    if ratio == 1 or not proposals:
        return None
    return (
        f"the features are {feature_dim} wide, and the paper's values are for "
        f"{PUBLISHED_WIDTH}; try {' '.join(proposals)}"
    )
