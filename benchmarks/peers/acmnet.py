"""ACM-Net itself, on the same features and scored by the same rules.

    python -m benchmarks.peers.acmnet --acmnet=ACM-Net \
        --torch_python=PYTHON --raw=raw --output_dir=peers/acmnet \
        --learning_rate=0.002 --epochs=100 --num_snippets=400 --seed=0

Runs the code of https://github.com/ispc-lab/ACM-Net, from the checkout
--acmnet, on a folder in its raw layout, as synthesize writes it. It runs in
--torch_python, an interpreter with PyTorch, NumPy, SciPy and tqdm. Settings
without a flag are ACM-Net's for THUMOS-14, or with --dataset=ActivityNet for
ActivityNet-1.3, where also its network, loss and localization are others. These
patches at run time are printed and recorded:

- np.int and np.float, gone since NumPy 1.24, are int and float
- wandb, pandas, joblib and scikit-learn, which the run does not need, are
  empty modules
- width and classes come from the data, and what the flags name from the flags;
  without wandb, data read in the process itself
- files are written to --output_dir, not to the checkout
- between tests (--test_every) its test only draws the random number that it
  would draw, so that training is the same
- its own evaluation is left out: detections are kept and scored afterwards
- with --bfloat16, the convolution over time multiplies in bfloat16 and sums in
  float32

The run gives two results, which separate the effects of network and
localization:

- "own": ACM-Net's detections, by its own localization, after the last epoch,
  which is the result, and after the best tested epoch, which is chosen on the
  test set.
- "ours": the outputs of its network after the last epoch, localized by this
  package with the flags of --localize_with.

`evaluate` scores both by ActivityNet's rules; the average is over the tIoU
thresholds 0.1, 0.2, ... 0.7, or for ActivityNet over 0.5, 0.55, ... 0.95.
OUTPUT_DIR/result.json holds both and is small; `acmnet_torch.py` lists the
other files. A second start with the same flags does not train again, but adds
new --localize_with to the result. An interrupted run starts again from its
first epoch.
"""

import argparse
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from absl import flags

from benchmarks.peers import acmnet_outputs, acmnet_torch
from benchmarks.peers.acmnet_scores import (
    format_result,
    keep_epochs,
    score,
    score_epochs,
)
from tfwstal import command_line, files
from tfwstal.data import activitynet
from tfwstal.errors import InputError

_CHILD = pathlib.Path(__file__).with_name("acmnet_torch.py")
_LIMIT = 7 * 24 * 3600  # seconds for a training


def main(argv):
    """Trains and scores, unless that was done before.

    Returns:
        The content of result.json.

    Raises:
        InputError: for an unusable checkout, interpreter or data, or a result
            of other flags.
    """
    arguments = _arguments(argv)
    folder = pathlib.Path(arguments.output_dir).resolve()
    recipes = [_recipe(text) for text in arguments.localize_with]
    study = deciding_flags(arguments)
    _refuse_other_flags(folder, study)
    if not (folder / "trained.json").exists():
        train(arguments, folder, study)
    result = _read_json(folder / "result.json")
    if not result:
        result = {
            "date": datetime.date.today().isoformat(),
            "commit": _commit(arguments.acmnet),
            **_read_json(folder / "trained.json"),
        }
        result["own"] = score_epochs(
            folder, arguments.raw, result["history"], arguments.dataset
        )
        result["ours"] = {}
        _write(folder, result)
        keep_epochs(folder, result["own"])
    for name, config in recipes:
        settings = dataclasses.asdict(config.localization_settings())
        done = result["ours"].get(name, {}).get("settings")
        if done != json.loads(json.dumps(settings)):
            result["ours"][name] = localize(arguments, folder, name, config)
            _write(folder, result)
    print(format_result(result))
    return result


def localize(arguments, folder, name, config):
    """Localizes outputs.npz with the flags of a Config, and scores that.

    Returns:
        dict of "settings" of the localization and what `score` returns.
    """
    own = _read_json(folder / "trained.json")["settings"]
    settings = config.localization_settings()
    detections = folder / "ours" / f"{name}.json"
    acmnet_outputs.localize(
        folder / "outputs.npz",
        settings,
        own["segment_frames_num"] / own["frames_per_sec"],
        detections,
    )
    # As in the file, so that a second start finds them equal.
    as_json = json.loads(json.dumps(dataclasses.asdict(settings)))
    scores = score(detections, arguments.raw, arguments.dataset)
    return {"settings": as_json, **scores}


def train(arguments, folder, study):
    """Runs ACM-Net in the other interpreter until trained.json is there.

    Args:
        arguments: of the command line.
        folder: folder to write.
        study: the flags that affect the result, stored with it.

    Raises:
        InputError: if it cannot run or does not finish.
    """
    settings = child_settings(arguments, folder) | {"flags": study}
    for name in ("epochs", "checkpoints_acmnet"):  # of an interrupted run
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    threads = str(arguments.threads)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TQDM_DISABLE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # in the checkout
    }
    errors = folder / "errors.txt"
    try:
        with open(errors, "w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                [arguments.torch_python, str(_CHILD), json.dumps(settings)],
                stdin=subprocess.PIPE,  # the child ends with it
                stderr=stream,
                env=environment,
            )
    except OSError as error:
        raise InputError(
            f"--torch_python={arguments.torch_python} does not run "
            f"({error.strerror}); name an interpreter that has PyTorch"
        ) from None
    try:
        status = process.wait(timeout=_LIMIT)
    finally:
        process.kill()
        process.stdin.close()
    if status:
        lines = errors.read_text(encoding="utf-8").splitlines()
        raise InputError(
            f"ACM-Net ended with status {status}: "
            f"{lines[-1] if lines else 'no message'} (all of it: {errors})"
        )


# ACM-Net's argument for each of our flags.
_OWN_NAMES = {
    "learning_rate": "lr",
    "epochs": "epochs",
    "num_snippets": "sample_segments_num",
    "batch_size": "batch_size",
    "fps": "frames_per_sec",
    "frames_per_snippet": "segment_frames_num",
}


def child_settings(arguments, folder):
    """The settings for `acmnet_torch.py`.

    Raises:
        InputError: if the checkout or the data is not usable.
    """
    checkout = pathlib.Path(arguments.acmnet).resolve()
    program = acmnet_torch.PROGRAMS[arguments.dataset]
    if not (checkout / program).is_file():
        raise InputError(
            f"--acmnet={arguments.acmnet} has no {program}; clone "
            "https://github.com/ispc-lab/ACM-Net and name its folder"
        )
    raw = pathlib.Path(arguments.raw).resolve()
    videos, _ = activitynet.read_ground_truth(raw / "gt.json", "keep")
    labels = {s.label for video in videos.values() for s in video.segments}
    names = (raw / "split_train.txt").read_text(encoding="utf-8").split()
    first = np.load(raw / "train" / f"{names[0]}.npy", mmap_mode="r")
    given = {
        own: getattr(arguments, name)
        for name, own in _OWN_NAMES.items()
        if getattr(arguments, name) is not None
    }
    given |= dict(_number(text) for text in arguments.set or ())
    return {
        "checkout": str(checkout),
        "dataset": arguments.dataset,
        "output_dir": str(folder),
        "threads": arguments.threads,
        "seed": arguments.seed,
        "test_every": arguments.test_every,
        "bfloat16": arguments.bfloat16,
        "classes": sorted(labels),
        "arguments": given
        | {
            "feature_dim": int(first.shape[1]),
            "data_dir": str(raw),
            "test_gt_file_path": str(raw / "gt.json"),
        },
    }


def deciding_flags(arguments):
    """The flags that affect a result, and the digest of the data."""
    names = (*_OWN_NAMES, "set", "seed", "test_every")
    found = {name: getattr(arguments, name) for name in names}
    # Absent in older results.
    if arguments.bfloat16:
        found["bfloat16"] = True
    if arguments.dataset != "THUMOS":
        found["dataset"] = arguments.dataset
    return found | {"data": data_digest(arguments.raw)}


def data_digest(raw):
    """SHA-256 of the annotations and the first video of each split.

    Raises:
        InputError: if the folder is not in ACM-Net's raw layout.
    """
    digest = hashlib.sha256()
    try:
        digest.update((pathlib.Path(raw) / "gt.json").read_bytes())
        for split in ("train", "test"):
            text = (pathlib.Path(raw) / f"split_{split}.txt").read_bytes()
            first = text.decode().split()[0]
            video = pathlib.Path(raw) / split / f"{first}.npy"
            digest.update(text + video.read_bytes())
    except (OSError, IndexError) as error:
        raise InputError(
            f"--raw={raw} is not in ACM-Net's raw layout ({error}); name a "
            "folder that synthesize wrote"
        ) from None
    return digest.hexdigest()


def _number(text):
    """Name and value of a --set."""
    name, _, value = text.partition("=")
    try:
        number = json.loads(value)
        if not isinstance(number, (int, float)):
            raise ValueError
    except ValueError:
        raise InputError(
            f"--set={text} is not NAME=NUMBER, such as --set=dropout=0.5"
        ) from None
    return name, number


def _recipe(text):
    """Name and Config of a --localize_with: comma-separated flagfiles."""
    paths = text.split(",")
    config = command_line.parse(
        ["acmnet", *(f"--flagfile={path}" for path in paths)], "localize"
    )
    return "+".join(pathlib.Path(path).stem for path in paths), config


def _refuse_other_flags(folder, study):
    """Raises InputError if the folder has a finished run with other flags."""
    path = folder / "trained.json"
    before = (_read_json(path) or {"flags": study})["flags"]
    for name in before | study:
        then, now = before.get(name), study.get(name)
        if then != now:
            raise InputError(
                f"{path} was made with {name} {then}, not {now}; "
                "choose another --output_dir"
            )


def _commit(checkout):
    """The checkout's commit, or None if it is not a clone."""
    if not (pathlib.Path(checkout) / ".git").exists():
        return None
    found = subprocess.run(
        ["git", "-C", checkout, "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return found.stdout.strip() or None


def _read_json(path):
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def _write(folder, result):
    files.write_json(folder / "result.json", result, indent=1)


def _arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--acmnet", required=True, help="checkout of ACM-Net")
    add("--torch_python", required=True, help="interpreter with PyTorch")
    add("--raw", required=True, help="data in ACM-Net's raw layout")
    add("--output_dir", required=True, help="folder to write")
    add(
        "--dataset",
        choices=list(acmnet_torch.PROGRAMS),
        default="THUMOS",
        help="which of its programs, with its settings",
    )
    add("--learning_rate", type=float, help="default: its own, 1e-4")
    add("--epochs", type=int, help="default: its own, 1000")
    add("--num_snippets", type=int, help="T; default: its own, 750 or 75")
    add("--batch_size", type=int, help="default: its own, 16")
    add("--fps", type=float, help="default: its own, 25")
    add("--frames_per_snippet", type=int, help="default: its own, 16")
    add(
        "--set",
        action="append",
        metavar="NAME=NUMBER",
        help="any other number of its config/model_config.py, as in "
        "--set=dropout=0.5; may be given several times",
    )
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=1)
    add("--bfloat16", action="store_true", help="faster on CPUs that have it")
    add(
        "--test_every",
        type=int,
        default=5,
        help="epochs between tests; the last one is always tested",
    )
    add(
        "--localize_with",
        action="append",
        default=[],
        help="flagfile, or several with commas, to localize its outputs with; "
        "may be given several times",
    )
    arguments = parser.parse_args(argv)
    for name in ("epochs", "num_snippets", "batch_size", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise InputError(f"--{name}={value} must be at least 1")
    if arguments.test_every < 1:
        raise InputError("--test_every must be at least 1")
    epochs = arguments.epochs
    if arguments.dataset == "ActivityNet" and (epochs or 1000) % 2 == 0:
        raise InputError(
            f"--epochs={epochs or 1000} must be odd: main_act.py tests after "
            "epochs 1, 3, 5, ... only"
        )
    return arguments


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (InputError, flags.Error, OSError) as error:
        sys.exit(f"error: {str(error).removeprefix('ERROR:: ')}")
