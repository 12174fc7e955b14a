"""Options of the model and of the localization, each declared once.

The fields are the keywords that the library takes and, in `config.py`, the
flags of the same names: default, bounds, choices and explanation are here and
nowhere else.
"""

import dataclasses
import numbers

_MOST_VALUES = 10_000  # of a range


def option(default, help, *, low=None, high=None, choices=None, count=None):
    """A field of an Options class.

    Args:
        default: its value unless given.
        help: explanation, with the unit.
        low: least value, of each item where it is a tuple.
        high: greatest value, likewise.
        choices: the only values, likewise.
        count: how many items a tuple must have; "some" for one or more.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "low": low,
            "high": high,
            "choices": choices,
            "count": count,
        },
    )


@dataclasses.dataclass(frozen=True)
class Options:
    """Base of frozen dataclasses of options, whose values are checked.

    Raises:
        ValueError: for a value that its option does not allow.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            problem = _problem(value, field.metadata)
            if problem:
                raise ValueError(f"{field.name}={to_text(value)}: {problem}")


@dataclasses.dataclass(frozen=True)
class ModelOptions(Options):
    """How the network and its loss read the paper."""

    kernel_size: int = option(
        3,
        "Snippets the residual block's convolution spans.",
        low=1,
        high=1001,
    )
    embedding_dropout: float = option(
        0.0, "Dropout inside the residual block.", low=0.0, high=0.99
    )
    residual: bool = option(
        True,
        "Section 3.1's block adds its input to the convolution; without it "
        "the block is the convolution alone, as in ACM-Net.",
    )
    dropout: float = option(
        0.5, "Dropout before the MIL branch's classifier.", low=0.0, high=0.99
    )
    attention: str = option(
        "softmax",
        "Attentions sum to one over foreground, context, background "
        "(softmax) or are free of each other (sigmoid).",
        choices=("softmax", "sigmoid"),
    )
    attention_bias: float = option(
        0.0,
        "Bias of the foreground's attention at the start, in logits; above 0 "
        "keeps the attention from vanishing in the first steps.",
        low=-50.0,
        high=50.0,
    )
    classifier: str = option(
        "shared",
        "The attention branch shares the MIL branch's classifier or has its "
        "own.",
        choices=("own", "shared"),
    )
    branches: str = option(
        "both",
        "Branches that are fused (Tables 5 and 6). With attention alone, "
        "localization uses the foreground attention; otherwise "
        "--threshold_on and --score_on decide.",
        choices=("both", "attention", "mil"),
    )
    activation: str = option(
        "plain",
        "z of Eq. 7 and 9, which is also cut and scored: the softmax over "
        "classes of a x p (weighted, ACM-Net's) or of p alone (plain).",
        choices=("weighted", "plain"),
    )
    sigma: tuple[int, ...] = option(
        (8, 2, 2),
        "Top-k divisors of foreground, context, background: Eq. 3 averages "
        "the max(snippets // sigma, 1) best snippets.",
        low=1,
        high=1_000_000,
        count=3,
    )
    labels: str = option(
        "normalized",
        "Targets of Eq. 5 as printed (multi_hot), or divided by their sum, as "
        "in other implementations (normalized).",
        choices=("multi_hot", "normalized"),
    )
    lambda_fg: float = option(
        1.0, "Weight of the foreground classification loss.", low=0.0, high=1e6
    )
    lambda_ct: float = option(
        0.1, "Weight of the context loss, lambda_1.", low=0.0, high=1e6
    )
    lambda_bg: float = option(
        0.1, "Weight of the background loss, lambda_2.", low=0.0, high=1e6
    )
    lambda_smt: float = option(
        0.05,
        "Weight of the semantic loss, lambda_3. The default is the paper's, "
        "for features 2048 wide; for D features try 0.05 * sqrt(2048 / D).",
        low=0.0,
        high=1e6,
    )
    lambda_gui: float = option(
        0.002, "Weight of the guide loss, lambda_4.", low=0.0, high=1e6
    )
    guide_reduction: str = option(
        "mean",
        "Guide loss (Eq. 7) over a video's snippets: mean as printed, or sum "
        "as in other implementations.",
        choices=("mean", "sum"),
    )
    guide_detach: bool = option(
        False, "Stop the guide loss's gradient to the attention term."
    )


@dataclasses.dataclass(frozen=True)
class LocalizationSettings(Options):
    """How segments are found in activation sequences, Section 3.7."""

    alpha: float = option(
        0.1,
        "Minimum video score. Only the classes of a video that reach it are "
        "localized; if no class does, the best one is.",
        low=0.0,
        high=1.0,
    )
    beta: float = option(
        0.2,
        "Weight of the video score in Eq. 9; scores of segments are at most "
        "1 + beta.",
        low=0.0,
        high=1e6,
    )
    eta: tuple[float, ...] = option(
        tuple(round(0.1 + 0.025 * i, 3) for i in range(33)),
        "Thresholds, 0.1,0.2 or start:stop:step. Each run of snippets at or "
        "above one of them is a proposal.",
        low=0.0,
        high=1.0,
        count="some",
    )
    threshold_on: str = option(
        "activation",
        "Sequence that eta cuts: the class's activation z_fg (Section 3.7), "
        "the foreground attention, or both.",
        choices=("activation", "attention", "both"),
    )
    eta_attention: tuple[float, ...] = option(
        (),
        "Thresholds that cut the attention, where --threshold_on has it; "
        "empty: those of --eta.",
        low=0.0,
        high=1.0,
    )
    score_on: str = option(
        "activation",
        "Sequence that Eq. 9 integrates: the class's activation, or the "
        "foreground attention.",
        choices=("activation", "attention"),
    )
    inflation: float = option(
        0.2,
        "Length of each outer area of Eq. 9, as a part of the proposal's.",
        low=1e-3,
        high=1e3,
    )
    samples_per_snippet: int = option(
        1,
        "Sequences are interpolated to this many samples a snippet first.",
        low=1,
        high=64,
    )
    nms: str = option(
        "hard",
        "Non-maximum suppression per class: hard, or Gaussian soft-NMS.",
        choices=("hard", "soft"),
    )
    nms_tiou: float = option(
        0.5,
        "Hard NMS drops a segment that overlaps a better one by more than "
        "this tIoU.",
        low=0.0,
        high=1.0,
    )
    nms_sigma: float = option(
        0.3,
        "Soft-NMS multiplies a score by exp(-tIoU^2 / nms_sigma).",
        low=1e-6,
        high=1e6,
    )
    max_detections: int = option(
        1000, "Detections kept per video, best first.", low=1, high=100_000
    )


def to_text(value):
    """A value as one types it on a command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def expand_range(text):
    """The numbers of `start:stop:step`, with the stop, as floats.

    Raises:
        ValueError: if it has another form, or not from 1 to 10,000 numbers.
    """
    try:
        start, stop, step = (float(number) for number in text.split(":"))
        steps = (stop - start) / step
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            "ranges are start:stop:step, with a step that is not 0"
        ) from None
    if not steps >= -1e-6:  # refuses NaN too
        raise ValueError("the range is empty; its step must lead to its stop")
    if steps >= _MOST_VALUES:
        raise ValueError(f"the range has over {_MOST_VALUES} values")
    # Rounded, since 0.1 + 2 * 0.1 is not 0.3.
    return tuple(
        round(start + step * i, 9) for i in range(int(steps + 1e-6) + 1)
    )


def _problem(value, rules):
    """What is wrong with a value, in words; None if it is allowed."""
    values = value if isinstance(value, tuple) else (value,)
    count = rules["count"]
    if count == "some" and not values:
        return "is empty; give one value or more"
    if isinstance(count, int) and len(values) != count:
        return f"{count} values are needed"
    for each in values:
        if not isinstance(each, (str, numbers.Number)):
            continue  # a tensor, whose value is not known yet
        if rules["choices"] and each not in rules["choices"]:
            return f"must be one of {', '.join(rules['choices'])}"
        # `not >=` also refuses NaN.
        if rules["low"] is not None and not each >= rules["low"]:
            return f"must be at least {rules['low']:g}"
        if rules["high"] is not None and not each <= rules["high"]:
            return f"must be at most {rules['high']:g}"
    return None
