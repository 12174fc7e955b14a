"""Every flag of every command, once, and the frozen Config made from them.

A flag is a field of `Config`. `run` registers the fields as absl flags, parses
the command line and hands a Config to the command's `main`, so that nothing
else in the package reads a flag, and importing it defines none.

All commands accept all flags: one recipe, `--flagfile=configs/thumos14.flags`,
serves converter, training, localization, evaluation and export alike. `--help`
of a command lists the flags which that command looks at.
"""

import dataclasses
import pathlib
import sys
import typing

from absl import app, flags, logging

from tfwstal.errors import InputError

# The recipes lie beside the package in a checkout, inside it once installed.
_RECIPE_FOLDERS = (
    pathlib.Path(__file__).parent / "configs",
    pathlib.Path(__file__).parent.parent / "configs",
)

TRAIN = ("train",)
MODEL = ("train",)
DETECT = ("train", "localize", "export", "visualize")


def _flag(default, commands, help, *, low=None, high=None, choices=None):
    """One field of Config; `commands` are those that look at the flag."""
    return dataclasses.field(
        default=default,
        metadata={
            "commands": commands,
            "help": help,
            "low": low,
            "high": high,
            "choices": choices,
        },
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """The value of every flag. Field names are flag names."""

    # === Files ===
    features_dir: str = _flag(
        "", ("convert",), "Folder of the I3D features, in a layout of --layout."
    )
    annotations: str = _flag(
        "",
        ("convert", "synthesize"),
        "Annotation file: gt.json (ActivityNet JSON) or labels.csv. convert "
        "looks for one in --features_dir by default; synthesize follows the "
        "timeline of this file.",
    )
    classes: str = _flag(
        "",
        ("convert",),
        "File with one action name a line, which fixes the order of the "
        "classes. Default: the sorted labels of the annotations.",
    )
    output_dir: str = _flag(
        "", ("convert", "synthesize"), "Folder to write. It must not exist."
    )
    data_dir: str = _flag(
        "", ("train", "localize", "visualize"), "Folder that convert wrote."
    )
    run_dir: str = _flag(
        "",
        ("train", "localize", "export", "visualize"),
        "Folder of the run: model, logs, flags. All but train take the "
        "run's own flags as defaults.",
    )
    features: tuple[str, ...] = _flag(
        (),
        ("localize",),
        "Localize one video from .npy: joined.npy or rgb.npy,flow.npy.",
    )
    detections: str = _flag(
        "",
        ("localize", "evaluate", "visualize"),
        "Detections file (ActivityNet JSON, times in seconds).",
    )
    ground_truth: str = _flag(
        "", ("evaluate", "visualize"), "Ground truth (ActivityNet JSON)."
    )
    report: str = _flag("", ("evaluate",), "JSON report to write.")
    export_dir: str = _flag(
        "", ("export",), "Folder of the model's versions, models/NAME."
    )
    video: str = _flag("", ("visualize",), "Id of the video to draw.")
    picture: str = _flag("", ("visualize",), "PNG or SVG file to write.")
    overwrite: bool = _flag(
        False,
        ("convert", "synthesize", "train", "localize", "evaluate", "visualize"),
        "Replace what the output path holds.",
    )

    # === Converting ===
    layout: str = _flag(
        "auto",
        ("convert",),
        "How --features_dir is laid out; auto finds out.",
        choices=("auto", "acmnet", "basnet", "folders"),
    )
    dataset_name: str = _flag(
        "", ("convert",), "Name of the shards. Default: --output_dir's name."
    )
    storage_dtype: str = _flag(
        "float32",
        ("convert",),
        "Stored features: float32 is lossless, float16 half the size.",
        choices=("float32", "float16"),
    )
    fps: float = _flag(
        25.0,
        ("convert", "synthesize", "localize"),
        "Frame rate the features were extracted at, in frames per second.",
        low=1e-3,
    )
    frames_per_snippet: int = _flag(
        16,
        ("convert", "synthesize", "localize"),
        "Frames from one snippet's start to the next one's.",
        low=1,
    )
    num_shards: int = _flag(
        0, ("convert",), "Shards a split; 0: one per 64 MiB.", low=0
    )
    num_workers: int = _flag(
        0, ("convert",), "Processes; 0: as many as pay off.", low=0
    )
    missing_features: str = _flag(
        "error",
        ("convert",),
        "An annotated video without features stops the conversion (error) or "
        "is left out, counted and listed in metadata.json (skip).",
        choices=("error", "skip"),
    )
    bad_segments: str = _flag(
        "error",
        ("convert", "synthesize", "evaluate", "visualize"),
        "A segment outside its video or reversed stops the command (error), "
        "is left out and counted (skip), or is kept and counted (keep; a "
        "reversed one is never kept).",
        choices=("error", "skip", "keep"),
    )

    # === Synthesizing ===
    num_train_videos: int = _flag(
        200, ("synthesize",), "Training videos.", low=1
    )
    num_test_videos: int = _flag(210, ("synthesize",), "Test videos.", low=1)
    num_classes: int = _flag(20, ("synthesize",), "Action classes.", low=1)
    feature_dim: int = _flag(
        2048, ("synthesize",), "Width of the features, RGB and flow.", low=2
    )
    median_snippets: int = _flag(
        240, ("synthesize",), "Median length of a video, in snippets.", low=1
    )
    difficulty: float = _flag(
        1.0,
        ("synthesize",),
        "Scales noise, nuisance and the likeness of context and action; 0 is "
        "trivial, 1 the default, 2 very hard.",
        low=0.0,
        high=2.0,
    )

    # === Training data ===
    num_snippets: int = _flag(
        750,
        TRAIN,
        "T: snippets sampled from a training video (Section 4.1).",
        low=1,
    )
    upsample_short: str = _flag(
        "none",
        TRAIN,
        "Videos shorter than T are padded and masked (none) or have their "
        "snippets repeated to T (repeat, as the peers do).",
        choices=("none", "repeat"),
    )
    batch_size: int = _flag(16, TRAIN, "Videos a training step.", low=1)

    # === Model ===
    kernel_size: int = _flag(
        3, MODEL, "Snippets the residual block's convolution spans.", low=1
    )
    embedding_dropout: float = _flag(
        0.0, MODEL, "Dropout inside the residual block.", low=0.0, high=0.99
    )
    dropout: float = _flag(
        0.5,
        MODEL,
        "Dropout before the MIL branch's classifier.",
        low=0.0,
        high=0.99,
    )
    attention: str = _flag(
        "softmax",
        MODEL,
        "Attentions sum to one over foreground, context, background "
        "(softmax) or are free of each other (sigmoid).",
        choices=("softmax", "sigmoid"),
    )
    classifier: str = _flag(
        "own",
        MODEL,
        "The attention branch has its own classifier or shares the MIL one.",
        choices=("own", "shared"),
    )
    branches: str = _flag(
        "both",
        MODEL,
        "Branches that are fused (Tables 5 and 6). attention thresholds and "
        "scores the foreground attention, the others the activation.",
        choices=("both", "attention", "mil"),
    )
    sigma: tuple[int, ...] = _flag(
        (8, 2, 2),
        MODEL,
        "Top-k divisors of foreground, context, background: Eq. 3 averages "
        "the max(snippets // sigma, 1) best snippets.",
        low=1,
    )
    centroids: str = _flag(
        "class_mean",
        MODEL,
        "Dictionary at the start: class means of the training features, or "
        "uniform in [0, 1].",
        choices=("class_mean", "uniform"),
    )

    # === Loss ===
    labels: str = _flag(
        "multi_hot",
        MODEL,
        "Targets of Eq. 5 as printed, or divided by their sum (the peers).",
        choices=("multi_hot", "normalized"),
    )
    lambda_fg: float = _flag(
        1.0, MODEL, "Weight of the foreground classification loss.", low=0.0
    )
    lambda_ct: float = _flag(
        0.1, MODEL, "Weight of the context loss, lambda_1.", low=0.0
    )
    lambda_bg: float = _flag(
        0.1, MODEL, "Weight of the background loss, lambda_2.", low=0.0
    )
    lambda_smt: float = _flag(
        0.05, MODEL, "Weight of the semantic loss, lambda_3.", low=0.0
    )
    lambda_gui: float = _flag(
        0.002, MODEL, "Weight of the guide loss, lambda_4.", low=0.0
    )
    guide_reduction: str = _flag(
        "mean",
        MODEL,
        "Guide loss (Eq. 7) over a video's snippets: mean as printed, or sum "
        "as the peers.",
        choices=("mean", "sum"),
    )
    guide_detach: bool = _flag(
        False, MODEL, "Stop the guide loss's gradient to the attention term."
    )
    warmup_epochs: float = _flag(
        5.0,
        TRAIN,
        "Epochs over which lambda_smt rises from 0 to its value.",
        low=0.0,
    )

    # === Training ===
    epochs: int = _flag(
        100,
        TRAIN,
        "Passes over the training set; 0 writes the untrained model.",
        low=0,
    )
    learning_rate: float = _flag(1e-4, TRAIN, "Learning rate.", low=1e-12)
    optimizer: str = _flag(
        "adam",
        TRAIN,
        "Name of a Keras optimizer, or of one of tensorflow-addons where "
        "that is installed.",
    )
    weight_decay: float = _flag(
        0.0, TRAIN, "Decoupled weight decay of the optimizer.", low=0.0
    )
    seed: int = _flag(
        0,
        ("train", "synthesize"),
        "Seed of weights, order, sampling and dropout; of the synthetic set.",
        low=0,
    )
    xla: str = _flag(
        "auto",
        TRAIN,
        "Compile the training step with XLA; auto: where a GPU is present.",
        choices=("auto", "on", "off"),
    )
    eval_every: int = _flag(
        0, TRAIN, "Epochs between evaluations of --split; 0: never.", low=0
    )

    # === Localizing ===
    split: str = _flag(
        "test", ("train", "localize", "visualize"), "Split to localize."
    )
    alpha: float = _flag(
        0.1,
        DETECT,
        "Classes whose video score is lower are dropped; if none is left, "
        "the best stays.",
        low=0.0,
        high=1.0,
    )
    beta: float = _flag(
        0.2, DETECT, "Weight of the video score in Eq. 9.", low=0.0
    )
    eta: tuple[float, ...] = _flag(
        tuple(round(0.1 + 0.025 * i, 3) for i in range(33)),
        DETECT,
        "Thresholds that cut proposals, 0.1,0.2 or start:stop:step.",
        low=0.0,
        high=1.0,
    )
    threshold_on: str = _flag(
        "activation",
        DETECT,
        "Sequence that eta cuts: the class's activation z_fg (Section 3.7), "
        "the foreground attention, or both.",
        choices=("activation", "attention", "both"),
    )
    inflation: float = _flag(
        0.2,
        DETECT,
        "Length of each outer area of Eq. 9, as a part of the proposal's.",
        low=1e-6,
    )
    samples_per_snippet: int = _flag(
        1,
        DETECT,
        "Sequences are interpolated to this many samples a snippet first.",
        low=1,
        high=64,
    )
    nms: str = _flag(
        "hard",
        DETECT,
        "Non-maximum suppression per class: hard, or Gaussian soft-NMS.",
        choices=("hard", "soft"),
    )
    nms_tiou: float = _flag(
        0.5,
        DETECT,
        "Hard NMS drops what overlaps a better one by a higher tIoU.",
        low=0.0,
        high=1.0,
    )
    nms_sigma: float = _flag(
        0.3,
        DETECT,
        "Soft-NMS multiplies a score by exp(-tIoU^2 / nms_sigma).",
        low=1e-6,
    )
    max_detections: int = _flag(
        1000, DETECT, "Detections kept a video, best first.", low=1
    )

    # === Evaluating ===
    protocol: str = _flag(
        "activitynet",
        ("evaluate",),
        "activitynet: interpolated AP, tIoU >= threshold.",
        choices=("activitynet",),
    )
    subset: str = _flag(
        "test", ("evaluate", "visualize"), "Subset of --ground_truth."
    )
    tiou_thresholds: tuple[float, ...] = _flag(
        (0.1, 0.2, 0.3, 0.4)
        + tuple(round(0.5 + 0.05 * i, 2) for i in range(10)),
        ("train", "evaluate"),
        "tIoU thresholds of the mAP table, 0.1,0.2 or start:stop:step.",
        low=1e-9,
        high=1.0,
    )
    per_class: bool = _flag(
        False, ("evaluate",), "Print each class's average precision too."
    )
    ignore_unknown: bool = _flag(
        False,
        ("evaluate",),
        "Pass over detections of videos or classes that the ground truth "
        "does not have, and report how many.",
    )

    def __post_init__(self):
        """Checks what one flag's own bounds cannot.

        Raises:
            InputError: for flags that contradict each other.
        """
        if len(self.sigma) != 3:
            raise InputError(
                f"--sigma={','.join(map(str, self.sigma))}: three divisors "
                "are needed (foreground, context, background)"
            )
        for name in ("eta", "tiou_thresholds"):
            if not getattr(self, name):
                raise InputError(f"--{name} is empty; give one value or more")
        if self.branches == "attention" and (
            self.lambda_smt or self.lambda_gui
        ):
            raise InputError(
                "--branches=attention has no class activation to guide or to "
                "look up centroids with; set --lambda_smt=0 --lambda_gui=0"
            )

    def require(self, *names):
        """Raises InputError when one of the flags `names` is empty."""
        for name in names:
            if not getattr(self, name):
                raise InputError(f"--{name} is needed; see --help")

    def save(self, path):
        """Writes the flags that make a run, usable as a flagfile again."""
        lines = []
        for field in dataclasses.fields(self):
            if "train" in field.metadata["commands"] and field.name not in (
                "run_dir",
                "overwrite",
            ):
                value = _to_text(getattr(self, field.name))
                lines.append(f"--{field.name}={value}\n")
        pathlib.Path(path).write_text("".join(lines), encoding="utf-8")


def run(main, command):
    """Parses the command line and calls `main(Config)`; then the process ends.

    Args:
        main: function of a Config.
        command: name of the command, as in a field's `commands`.
    """
    _define_flags(command, flags.FLAGS)

    def parse_or_fail(argv):
        try:
            return parse(argv, command, flags.FLAGS)
        except (flags.Error, InputError, OSError) as error:
            _fail(error)

    def main_or_fail(config):
        # TensorFlow tells of every file it saves.
        logging.set_verbosity(logging.WARNING)
        try:
            main(config)
        except InputError as error:
            _fail(error)

    app.run(main_or_fail, flags_parser=parse_or_fail)


def parse(argv, command, flag_values=None):
    """The Config of a command line.

    Args:
        argv: the command line, program name first.
        command: name of the command.
        flag_values: absl's FlagValues that hold the flags; by default new
            ones, apart from the process's.

    Raises:
        absl.flags.Error: for an unknown flag or a value out of its range.
        InputError: for flags that contradict each other.
    """
    if flag_values is None:
        flag_values = flags.FlagValues()
        _define_flags(command, flag_values)
    argv = _with_recipes(argv)
    rest = flag_values(argv)
    if len(rest) > 1:
        raise InputError(
            f"unexpected argument {rest[1]!r}; flags are --name=value"
        )
    run_dir = flag_values["run_dir"].value
    recorded = pathlib.Path(run_dir) / "flags.flags"
    if (
        command in ("localize", "export", "visualize")
        and run_dir
        and recorded.is_file()
    ):
        # The run's own flags are the defaults.
        flag_values.unparse_flags()
        flag_values([argv[0], f"--flagfile={recorded}", *argv[1:]])
    return Config(
        **{
            field.name: flag_values[field.name].value
            for field in dataclasses.fields(Config)
        }
    )


def _fail(error):
    """Prints one line and ends the process with status 1."""
    print("error:", " ".join(str(error).split()), file=sys.stderr)
    sys.exit(1)


def _with_recipes(argv):
    """Lets --flagfile=configs/x.flags be found from any folder."""
    found = []
    for argument in argv:
        name = argument.lstrip("-").removeprefix("flagfile=")
        if argument.startswith(("--flagfile=", "-flagfile=")):
            path = pathlib.Path(name)
            if not path.is_file() and path.parts[:1] == ("configs",):
                for folder in _RECIPE_FOLDERS:
                    shipped = folder.joinpath(*path.parts[1:])
                    if shipped.is_file():
                        argument = f"--flagfile={shipped}"
                        break
        found.append(argument)
    return found


def _define_flags(command, flag_values):
    """Registers every field of Config as an absl flag."""
    types = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        meta = field.metadata
        if types[field.name] is bool:  # --name and --noname
            flags.DEFINE_boolean(
                field.name, field.default, meta["help"], flag_values
            )
        else:
            parser = _Parser(
                types[field.name], meta["low"], meta["high"], meta["choices"]
            )
            flags.DEFINE(
                parser,
                field.name,
                field.default,
                meta["help"],
                flag_values,
                _Serializer(),
            )
        if command in meta["commands"]:
            # absl shows the key flags of the main module, whose name to it
            # is the path that was run.
            flag_values.register_key_flag_for_module(
                sys.argv[0], flag_values[field.name]
            )


def _to_text(value):
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Serializer(flags.ArgumentSerializer):
    def serialize(self, value):
        return _to_text(value)


class _Parser(flags.ArgumentParser):
    """Parses one flag's text into its Python type, within its bounds."""

    def __init__(self, kind, low, high, choices):
        self.syntactic_help = "" if not choices else f"<{'|'.join(choices)}>"
        self._kind, self._choices = kind, choices
        self._low, self._high = low, high

    def parse(self, argument):
        """Returns the value, raises ValueError with a clear sentence."""
        if not isinstance(argument, str):  # a default
            return argument
        if typing.get_origin(self._kind) is tuple:
            item = typing.get_args(self._kind)[0]
            return tuple(
                self._check(item, value)
                for part in filter(None, argument.split(","))
                for value in self._expand(item, part.strip())
            )
        return self._check(self._kind, argument)

    def flag_type(self):
        kind = self._kind
        return getattr(kind, "__name__", "list") + (
            "" if kind in (str, int, float, bool) else " of values"
        )

    def _expand(self, item, part):
        """`0.1:0.9:0.2` is start:stop:step, with the stop."""
        if item is str or ":" not in part:
            return [part]
        try:
            start, stop, step = (float(number) for number in part.split(":"))
            count = int((stop - start) / step + 1e-6) + 1
        except (ValueError, ZeroDivisionError):
            raise ValueError("ranges are start:stop:step") from None
        return [str(round(start + step * i, 9)) for i in range(count)]

    def _check(self, kind, text):
        try:
            value = kind(text)
        except ValueError:
            noun = "whole number" if kind is int else "number"
            raise ValueError(f"must be a {noun}") from None
        if self._choices and value not in self._choices:
            raise ValueError(f"must be one of {', '.join(self._choices)}")
        # `not >=` also refuses nan.
        if self._low is not None and not value >= self._low:
            raise ValueError(f"must be at least {self._low:g}")
        if self._high is not None and not value <= self._high:
            raise ValueError(f"must be at most {self._high:g}")
        if kind is float and value == float("inf"):
            raise ValueError("must be finite")
        return value
