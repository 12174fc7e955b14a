"""All flags of all commands, as the fields of a frozen dataclass.

`command_line` registers the fields of `Config` as absl flags and passes a
Config to the `main` of a command. Nothing else reads flags, and importing the
package defines none.

All commands accept all flags, so one recipe such as
`--flagfile=configs/thumos14.flags` serves conversion, training, localization,
evaluation and export. `--help` lists only the flags that a command uses.
"""

import dataclasses
import pathlib

from tfwstal.errors import InputError
from tfwstal.evaluation.options import EvaluationOptions
from tfwstal.extraction.options import ExtractionOptions, Settings
from tfwstal.method.options import LocalizationSettings, ModelOptions, to_text
from tfwstal.training.options import RunOptions, TrainingOptions

_TIME_SCALE = ("fps", "frames_per_snippet")
# Commands that use the options declared in other modules.
_COMMANDS = {
    ModelOptions: ("train", "tune"),
    TrainingOptions: ("train", "tune"),
    RunOptions: ("train",),
    LocalizationSettings: ("train", "tune", "localize", "export", "visualize"),
    EvaluationOptions: ("evaluate", "visualize"),
    ExtractionOptions: ("extract", "localize"),
}
# Flags that no longer exist, and what to do instead.
RETIRED = {
    "analysis_tiou": "use --analysis_for",
    "dataset_name": "shards have the name of --output_dir",
    "length_edges": "use --analysis_for",
    "snippets_per_batch": "I3D always takes up to 4 snippets together",
}
_MORE_COMMANDS = {
    "seed": ("synthesize", "evaluate"),
    "tiou_thresholds": ("train", "tune"),
    "videos": ("extract", "localize"),
}


def _flag(
    default,
    commands,
    help,
    *,
    low=None,
    high=None,
    choices=None,
    count=None,
    optional_value=False,
):
    """Declares one field of Config.

    Args:
        default: default value.
        commands: names of the commands that use the flag.
        help: text for --help.
        low, high: bounds, or None.
        choices: allowed values, or None.
        count: number of values, or None.
        optional_value: whether the flag may have no value, which gives "true".
    """
    return dataclasses.field(
        default=default,
        metadata={
            "commands": commands,
            "help": help,
            "low": low,
            "high": high,
            "choices": choices,
            "count": count,
            "optional_value": optional_value,
        },
    )


def commands_of(field):
    """Names of the commands that use a field of Config."""
    for kind, commands in _COMMANDS.items():
        if field.name in kind.__dataclass_fields__:
            return commands + _MORE_COMMANDS.get(field.name, ())
    return field.metadata["commands"]


@dataclasses.dataclass(frozen=True)
class Config(
    ModelOptions,
    TrainingOptions,
    RunOptions,
    LocalizationSettings,
    EvaluationOptions,
    ExtractionOptions,
):
    """The value of every flag. Field names are flag names.

    The base classes declare the options of the model, training, localization,
    evaluation and extraction.
    """

    # === Files ===
    features_dir: str = _flag(
        "",
        ("convert", "inspect", "localize"),
        "Folder of the I3D features, in a layout of --layout; for localize "
        "{rgb,flow}/VIDEO.npy, joined/VIDEO.npy or VIDEO.npy.",
    )
    annotations: str = _flag(
        "",
        ("convert", "synthesize", "inspect"),
        "Annotation file: gt.json (ActivityNet JSON) or labels.csv; for "
        "convert and inspect also a folder of W-TALC's .npy or THUMOS-14's "
        "text files. Default: the annotations in --features_dir. Synthesize "
        "follows the timeline of this file.",
    )
    classes: str = _flag(
        "",
        ("convert", "inspect", "evaluate", "visualize"),
        "File with one action name per line, which fixes the order of the "
        "classes. Default: the sorted labels of the annotations. For evaluate "
        "and visualize it names classes that files give as numbers: one NAME "
        "per line from 0 on, or NUMBER NAME.",
    )
    output_dir: str = _flag(
        "",
        ("convert", "synthesize", "extract"),
        "Folder to write. It must not exist, except for extract, which adds "
        "the missing videos.",
    )
    data_dir: str = _flag(
        "",
        ("train", "tune", "localize", "visualize", "inspect"),
        "Folder that convert wrote.",
    )
    run_dir: str = _flag(
        "",
        ("train", "tune", "localize", "export", "visualize"),
        "Folder of the run: model, logs, flags. All commands but train use "
        "the flags of the run as defaults.",
    )
    features: tuple[str, ...] = _flag(
        (),
        ("localize", "client"),
        "Localize one video from .npy: joined.npy or rgb.npy,flow.npy.",
    )
    detections: str = _flag(
        "",
        ("localize", "evaluate", "visualize", "client"),
        "Detections file, times in seconds: ActivityNet JSON, or for evaluate "
        "and visualize another --format. evaluate takes several files, "
        "separated by commas, and compares them.",
    )
    format: str = _flag(
        "auto",
        ("evaluate", "visualize"),
        "Format of the detections: ActivityNet JSON, with or without "
        "'results' (json), lines VIDEO START END CLASS SCORE as in the THUMOS "
        "kit (thumos), CSV, a pickle of ActionFormer or pandas, or "
        "MATLAB's .mat; auto: found from the content.",
        choices=("auto", "json", "thumos", "csv", "pickle", "mat"),
    )
    ground_truth: str = _flag(
        "",
        ("evaluate", "visualize"),
        "Ground truth: ActivityNet JSON, THUMOS's folder of CLASS_test.txt "
        "files, CSV with the columns video, start, end, label, subset, or a "
        "pickled table of these.",
    )
    table: str = _flag(
        "",
        ("evaluate",),
        "Table to write, one row per file of --detections: .md, .tex or .csv.",
    )
    report: str = _flag("", ("evaluate", "inspect"), "JSON report to write.")
    export_dir: str = _flag(
        "", ("export",), "Folder of the model's versions, models/NAME."
    )
    video: str = _flag(
        "",
        ("visualize", "localize"),
        "Visualize: id of the video to draw. Localize: a film, or a folder of "
        "pictures (img_00001.jpg).",
    )
    picture: str = _flag(
        "",
        ("visualize", "evaluate", "inspect"),
        "PNG or SVG file to write.",
    )
    html: str = _flag(
        "",
        ("visualize",),
        "HTML page of all videos to write, instead of --picture.",
    )
    film: str = _flag(
        "",
        ("visualize",),
        "Film of --video, or its folder of pictures (img_00001.jpg); its "
        "frames are drawn along the time axis.",
    )
    films: str = _flag(
        "",
        ("visualize",),
        "Films for --html, each named after its video: a folder, or a .txt "
        "with one path per line. The page shows their frames and plays them.",
    )
    record: str = _flag(
        "", ("inspect",), "Id of a video whose record is printed."
    )
    overwrite: bool = _flag(
        False,
        ("convert", "synthesize", "train", "localize", "evaluate", "visualize")
        + ("inspect", "client"),
        "Replace existing outputs.",
    )

    # === Converting ===
    layout: str = _flag(
        "auto",
        ("convert", "inspect"),
        "Layout of --features_dir; auto detects it.",
        choices=(
            *("auto", "acmnet", "basnet", "folders", "actionformer"),
            *("wtalc", "npz", "hdf5"),
        ),
    )
    storage_dtype: str = _flag(
        "float32",
        ("convert",),
        "Stored features: float32 is lossless, float16 half the size.",
        choices=("float32", "float16"),
    )
    fps: float = _flag(
        25.0,
        ("convert", "synthesize", "localize", "export", "evaluate", "inspect")
        + ("extract", "visualize"),
        "Frame rate the features were extracted at, in frames per second. "
        "Records have their own, which localize uses with --data_dir. Extract "
        "converts films to it by time.",
        low=1e-3,
        high=1e6,
    )
    frames_per_snippet: int = _flag(
        16,
        ("convert", "synthesize", "localize", "export", "evaluate", "inspect")
        + ("extract", "visualize"),
        "Frames from the start of one snippet to the start of the next.",
        low=1,
        high=1_000_000,
    )
    num_shards: int = _flag(
        0,
        ("convert",),
        "Shards of each split; 0: one per 64 MiB of features. A shard is the "
        "unit of work of a thread or of a Beam worker.",
        low=0,
        high=100_000,
    )
    num_workers: int = _flag(
        0,
        ("convert", "extract", "localize"),
        "Threads that write shards, or processes that decode films and compute "
        "their flow; 0: as many as pay off.",
        low=0,
        high=1024,
    )
    engine: str = _flag(
        "local",
        ("convert", "extract", "localize"),
        "Where the work is done: on this machine (local), or by the workers of "
        "an Apache Beam runner (beam), whose own flags follow a lone --, as in "
        "-- --runner=DaskRunner; see docs/scale.md.",
        choices=("local", "beam"),
    )
    engine_arguments: tuple[str, ...] = _flag(
        (),
        ("convert", "extract", "localize"),
        "Beam's own flags, in front of those that follow a lone --.",
    )
    verify: bool = _flag(
        False,
        ("convert",),
        "Read the records back and compare them with their sources bit for "
        "bit.",
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
        "A segment that is reversed or outside its video stops the command "
        "(error), is left out and counted (skip), or is kept and counted "
        "(keep; reversed ones are always left out).",
        choices=("error", "skip", "keep"),
    )

    # === Extracting ===
    rgb_checkpoint: str = _flag(
        "",
        ("extract", "localize"),
        "I3D weights for RGB: DeepMind's rgb_imagenet/model.ckpt, or the .pt "
        "file of the PyTorch port. Default: no RGB features.",
    )
    flow_checkpoint: str = _flag(
        "",
        ("extract", "localize"),
        "I3D weights for optical flow, likewise.",
    )

    # === Synthesizing ===
    num_train_videos: int = _flag(
        200, ("synthesize",), "Training videos.", low=1, high=1_000_000
    )
    num_test_videos: int = _flag(
        210, ("synthesize",), "Test videos.", low=1, high=1_000_000
    )
    num_classes: int = _flag(
        20, ("synthesize",), "Action classes.", low=1, high=100_000
    )
    feature_dim: int = _flag(
        2048,
        ("synthesize",),
        "Width of the features, RGB and flow.",
        low=2,
        high=65_536,
    )
    median_snippets: int = _flag(
        240,
        ("synthesize",),
        "Median length of a video, in snippets.",
        low=1,
        high=100_000,
    )
    family: str = _flag(
        "plain",
        ("synthesize",),
        "What makes the set hard: a bit of everything (plain); context that "
        "shows the class around the actions and far from them, with weak "
        "copies of them (context); longer actions with the class in fewer "
        "than half of their snippets (sparse; with --annotations the actions "
        "keep their lengths).",
        choices=("plain", "context", "sparse"),
    )
    difficulty: float = _flag(
        1.0,
        ("synthesize",),
        "Scale of noise, nuisance and the similarity of context and action; "
        "0 is trivial, 1 the default, 2 very hard.",
        low=0.0,
        high=2.0,
    )

    # === Localizing ===
    split: str = _flag(
        "test",
        ("train", "localize", "visualize"),
        "Split to localize. For train: the split that --eval_every evaluates, "
        "and that contains --watch_videos.",
    )

    # === Exporting ===
    max_snippets: int = _flag(
        20_000,
        ("export",),
        "Longest video that the served model accepts, in snippets.",
        low=1,
        high=1_000_000,
    )

    # === Evaluating ===
    analysis: bool = _flag(
        False,
        ("evaluate",),
        "Also analyse errors as DETAD does: kinds of false positives, and what "
        "instances are missed; and precision at recall.",
    )
    analysis_for: str = _flag(
        "thumos14",
        ("evaluate",),
        "Setting of --analysis and --picture, DETAD's own: thumos14: tIoU 0.5, "
        "lengths parted at 3, 6, 12 and 18 s; activitynet: mean over tIoU 0.5 "
        "to 0.95, lengths parted at 30, 60, 120 and 180 s.",
        choices=("thumos14", "activitynet"),
    )
    bootstrap: int = _flag(
        0,
        ("evaluate",),
        "Bootstrap draws over the videos, such as 1000, for 95 % intervals of "
        "each mAP and of paired differences of two files; 0: none.",
        low=0,
        high=1_000_000,
    )
    ties: bool = _flag(
        False,
        ("evaluate",),
        "Print the mAP for the worst and the best order of equal scores.",
    )
    per_class: bool = _flag(
        False, ("evaluate",), "Also print the average precision of each class."
    )
    proposals: bool = _flag(
        False,
        ("evaluate",),
        "Evaluate --detections as proposals, without their classes: AR@AN and "
        "AUC at tIoU 0.5:0.95 as in ActivityNet's kit, instead of mAP.",
    )

    # === Tuning ===
    tune: str = _flag(
        "localization",
        ("tune",),
        "What to search (Section 4.1): alpha, beta and eta, which needs only "
        "localization, or the weights lambda_1 to lambda_4, by training.",
        choices=("localization", "losses"),
    )
    tune_dir: str = _flag(
        "",
        ("tune",),
        "Folder of the search: results.json, best.flags. An existing search "
        "resumes.",
    )
    folds: int = _flag(
        5,
        ("tune",),
        "Folds of the training videos; each is held out in turn.",
        low=2,
        high=1000,
    )
    max_trials: int = _flag(
        0,
        ("tune",),
        "Trials of each search, drawn from the paper's grid (there are two "
        "searches for losses); 0: the whole grid.",
        low=0,
        high=1_000_000,
    )

    # === Asking a model server ===
    server: str = _flag(
        "",
        ("client",),
        "Model server, HOST:PORT. The default ports of servers are 8500 for "
        "gRPC and 8501 for REST.",
    )
    transport: str = _flag(
        "grpc",
        ("client",),
        "Protocol: grpc, which needs pip install '.[serving]', or rest, which "
        "sends numbers as text.",
        choices=("grpc", "rest"),
    )
    model_name: str = _flag(
        "tfwstal", ("client",), "Name of the model on the server."
    )
    model_version: int = _flag(
        0,
        ("client",),
        "Version of the model; 0: the highest one that is served.",
        low=0,
        high=2**63 - 1,
    )
    version_label: str = _flag(
        "",
        ("client",),
        "Label of the version, such as stable or canary.",
    )
    timeout: float = _flag(
        60.0,
        ("client",),
        "Time limit of a request in seconds.",
        low=1e-3,
        high=86_400.0,
    )
    tls: bool = _flag(
        False,
        ("client",),
        "Encrypt the connection (TLS) and check the server's certificate.",
    )
    ca_file: str = _flag(
        "",
        ("client",),
        "PEM file with the certificates to trust with --tls, for a server "
        "whose certificate no public authority signed.",
    )
    token_file: str = _flag(
        "",
        ("client",),
        "File with one line of text, sent with each request as "
        "'Authorization: Bearer LINE'. Needs --tls.",
    )
    selftest: str = _flag(
        "",
        ("client", "extract"),
        "Client: check the server end to end with random features; status 0 "
        "or 1. Extract, --selftest=CHECKOUT: check I3D with the clip, the "
        "weights and the logits of a checkout of "
        "github.com/google-deepmind/kinetics-i3d.",
        optional_value=True,
    )

    def __post_init__(self):
        """Checks the flags together.

        Raises:
            InputError: for flags that contradict each other.
        """
        try:
            super().__post_init__()
        except ValueError as error:
            raise InputError(f"--{error}") from None
        if self.engine_arguments and self.engine == "local":
            raise InputError(
                f"-- {' '.join(self.engine_arguments)}: what follows -- is for "
                "--engine=beam"
            )
        if self.deterministic and self.xla == "on":
            raise InputError(
                "--deterministic and --xla=on exclude each other: TensorFlow "
                "does not make compiled steps deterministic; drop one"
            )
        if self.strategy != "none" and self.xla == "on":
            raise InputError(
                f"--strategy={self.strategy} and --xla=on exclude each other: "
                "compiled steps cannot sum over devices; drop one"
            )
        if self.strategy != "none" and self.steps_per_execution > 1:
            raise InputError(
                f"--strategy={self.strategy} and --steps_per_execution="
                f"{self.steps_per_execution} exclude each other: workers "
                "must agree after every step; drop one"
            )
        if self.branches == "attention" and (
            self.lambda_smt or self.lambda_gui
        ):
            raise InputError(
                "--branches=attention has no class activation for L_smt and "
                "L_gui; set --lambda_smt=0 --lambda_gui=0"
            )

    def group(self, kind):
        """The fields of an Options class, such as ModelOptions."""
        names = [field.name for field in dataclasses.fields(kind)]
        return kind(**{name: getattr(self, name) for name in names})

    def checkpoints(self):
        """The checkpoints of I3D: dict stream -> path, "" for none."""
        if self.flow_checkpoint and self.flow == "none":
            raise InputError(
                "--flow_checkpoint and --flow=none exclude each other; drop one"
            )
        return {"rgb": self.rgb_checkpoint, "flow": self.flow_checkpoint}

    def extraction_settings(self):
        """The Settings of extraction, for the streams with a checkpoint."""
        options = dataclasses.asdict(self.group(ExtractionOptions))
        if not self.flow_checkpoint:
            options["flow"] = "none"
        return Settings(
            **options,
            fps=self.fps,
            frames_per_snippet=self.frames_per_snippet,
            rgb=bool(self.rgb_checkpoint),
        )

    def localization_settings(self):
        """The LocalizationSettings, as --branches has them."""
        settings = self.group(LocalizationSettings)
        if self.branches != "attention":
            return settings
        # Without the MIL branch only the attention locates (Section 4.3).
        return dataclasses.replace(
            settings, threshold_on="attention", score_on="attention"
        )

    def require(self, *names):
        """Raises InputError when one of the flags `names` is empty."""
        for name in names:
            if not getattr(self, name):
                raise InputError(f"--{name} is needed; see --help")

    def texts(self, *commands):
        """The flags that some commands use: dict from name to text."""
        return {
            field.name: to_text(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if not set(commands_of(field)).isdisjoint(commands)
        }

    def run_flags(self):
        """The flags of a run: dict from name to text.

        These are the flags that `train` uses and the time scale of the
        features. --data_dir is absolute, so that it is found from any folder.
        """
        texts = {}
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in ("run_dir", "overwrite"):
                continue
            if name == "data_dir" and value:
                value = pathlib.Path(value).absolute()
            if "train" in commands_of(field) or name in _TIME_SCALE:
                texts[name] = to_text(value)
        return texts
