"""ACM-Net's own training and testing, run by `acmnet.py` in an interpreter
with PyTorch.

The first argument is the result of `acmnet.child_settings` as JSON. ACM-Net's
`main`, of the program for the set, runs unchanged except for the PATCHES. Its
output goes to OUTPUT_DIR/log.txt, and a line per epoch to standard output.

    OUTPUT_DIR/
      log.txt             output of ACM-Net
      checkpoints_acmnet/ ACM-Net's own last checkpoint
      epochs/0010.json    its detections after epoch 10, epochs from 1
      outputs.npz         final outputs of its network for the test videos
      trained.json        settings, history, times; written last
"""

import contextlib
import hashlib
import json
import os
import pathlib
import platform
import shutil
import sys
import threading
import time
import types

# ACM-Net's name of a set -> its program.
PROGRAMS = {"THUMOS": "main_thu.py", "ActivityNet": "main_act.py"}
# Name -> description; the docstring of acmnet.py lists the same.
PATCHES = {
    "NumPy": "np.int and np.float, gone since NumPy 1.24, are int and float",
    "imports": "wandb, pandas, joblib and scikit-learn, which the run does "
    "not need, are empty modules",
    "settings": "width and classes come from the data, and what the flags "
    "name from the flags; without wandb, data read in the process itself",
    "folder": "files are written to --output_dir, not to the checkout",
    "testing": "between tests (--test_every) its test only draws the random "
    "number that it would draw, so that training is the same",
    "scoring": "its own evaluation is left out: detections are kept and "
    "scored afterwards",
}
# The patch of --bfloat16, recorded with the result.
_BFLOAT16 = (
    "the convolution over time multiplies in bfloat16 and sums in float32 "
    "(torch.autocast), which is three times as fast on some processors"
)
_SOURCES = (
    "config/model_config.py",
    "dataset/dataset_class.py",
    "model/ACMNet.py",
    "utils/net_evaluation.py",
    "utils/net_utils.py",
)


def main():
    """Trains, tests and writes the files in the module's docstring."""
    settings = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    output_dir = pathlib.Path(settings["output_dir"])
    checkout = pathlib.Path(settings["checkout"])
    import torch

    torch.set_num_threads(settings["threads"])
    with open(output_dir / "log.txt", "w", encoding="utf-8") as log:
        with contextlib.redirect_stdout(log):
            own = load(checkout, PROGRAMS[settings["dataset"]], output_dir)
            if settings["bfloat16"]:
                multiply_in_bfloat16()
            arguments = own_arguments(own, settings)
            record = Record(own, settings, arguments)
            begin = time.monotonic()
            own.set_random_seed(settings["seed"])
            own.main(arguments)
            seconds = time.monotonic() - begin
    record.write_outputs(output_dir / "outputs.npz")
    trained = {
        "flags": settings["flags"],
        "settings": own_settings(arguments) | {"seed": settings["seed"]},
        "history": record.history,
        "seconds": {
            "all": round(seconds, 1),
            "training": round(sum(e["seconds"] for e in record.history), 1),
            "testing": round(record.testing, 1),
        },
        "patches": [
            *PATCHES.values(),
            *([_BFLOAT16] if settings["bfloat16"] else []),
        ],
        "code_sha256": code_digest(checkout, PROGRAMS[settings["dataset"]]),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": record.numpy_version,
        },
        "device": str(arguments.device),
        "threads": settings["threads"],
    }
    temporary = output_dir / "trained.json.partial"
    temporary.write_text(json.dumps(trained, indent=1) + "\n")
    os.replace(temporary, output_dir / "trained.json")


def load(checkout, program, output_dir):
    """A program of ACM-Net as a module, patched for today's NumPy.

    Args:
        checkout: folder of ACM-Net.
        program: a value of PROGRAMS.
        output_dir: folder to which it writes instead of its own.
    """
    import numpy as np
    import torch.utils.data  # noqa: F401 (looks for the real pandas)

    np.int, np.float = int, float
    stubs = {
        "wandb": (),
        "pandas": (),
        "joblib": ("Parallel", "delayed"),
        "sklearn": (),
        "sklearn.metrics": ("average_precision_score",),
    }
    for name, members in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(dict.fromkeys(members))
    sys.path.insert(0, str(checkout))
    path = checkout / program
    own = types.ModuleType(path.stem)
    own.__file__ = str(output_dir / program)
    source = path.read_text(encoding="utf-8")
    exec(compile(source, str(path), "exec"), vars(own))
    for name in stubs:  # so that other modules do not find them
        del sys.modules[name]
    return own


def multiply_in_bfloat16():
    """Lets convolutions over time, which are most of a step, use bfloat16."""
    import torch

    forward = torch.nn.Conv1d.forward

    def half_forward(layer, inputs):
        if layer.kernel_size == (1,):  # of the attention
            return forward(layer, inputs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return forward(layer, inputs).float()

    torch.nn.Conv1d.forward = half_forward


def own_arguments(own, settings):
    """ACM-Net's own arguments for its set, changed by `settings`."""
    sys.argv = [PROGRAMS[settings["dataset"]]]
    arguments = own.build_args(dataset=settings["dataset"])
    arguments.without_wandb = True
    arguments.num_workers = 0
    arguments.class_name_lst = settings["classes"]
    arguments.action_cls_num = len(settings["classes"])
    for name, value in settings["arguments"].items():
        if not hasattr(arguments, name):
            sys.exit(f"ACM-Net has no setting {name!r}; correct --set")
        setattr(arguments, name, value)
    return arguments


def own_settings(arguments):
    """The numeric arguments, as dict."""
    return {
        name: value
        for name, value in vars(arguments).items()
        if isinstance(value, (int, float))
    }


class Record:
    """Replaces the program's `test` and keeps its results.

    Attributes:
        history: a dict per epoch: "epoch" from 1, "tested", "train_loss",
            "train_acc" and "seconds" of training.
        testing: seconds of all tests.
        latest: detections file of the latest test.
    """

    def __init__(self, own, settings, arguments):
        self.history, self.testing, self.latest = [], 0.0, None
        self.numpy_version = own.np.__version__
        self._settings, self._arguments = settings, arguments
        self._train, self._test = own.train, own.test
        self._epochs = pathlib.Path(settings["output_dir"]) / "epochs"
        self._epochs.mkdir()
        own.train, own.test = self.train, self.test
        own.ANETDetection = Unscored

    def train(self, arguments, model, *rest):
        """One epoch of ACM-Net's `train`, timed."""
        begin = time.monotonic()
        found = self._train(arguments, model, *rest)
        self.history.append(
            {
                "epoch": len(self.history) + 1,
                "tested": False,
                "train_loss": float(found["train_loss"]),
                "train_acc": float(found["train_acc"]),
                "seconds": round(time.monotonic() - begin, 2),
            }
        )
        return found

    def test(self, arguments, model, dataloader, criterion):
        """ACM-Net's `test`, every few epochs and in the last one."""
        entry = self.history[-1]
        epoch, last = entry["epoch"], arguments.epochs
        if epoch % self._settings["test_every"] and epoch < last:
            iter(dataloader)  # draws the loader's seed
            return {"test_mAP": float("nan")}, {}
        begin = time.monotonic()
        outputs = []
        hook = model.register_forward_hook(
            lambda _, inputs, found: outputs.append(
                [found[i].cpu().numpy()[0] for i in (7, 6, 0)]
            )
        )
        found = self._test(arguments, model, dataloader, criterion)
        hook.remove()
        entry["tested"] = True
        self.latest = self._epochs / f"{epoch:04d}.json"
        shutil.copyfile(
            pathlib.Path(arguments.save_dir)
            / f"{self._settings['dataset']}_lateset_result.json",
            self.latest,
        )
        self._names = list(dataloader.dataset.data_list)
        self._lengths = [int(found[1][name]["vid_len"]) for name in self._names]
        self._outputs = outputs
        seconds = time.monotonic() - begin
        self.testing += seconds
        print(
            f"epoch {epoch} of {last}: loss {entry['train_loss']:.4f}, "
            f"{entry['seconds']:.1f} s training, {seconds:.1f} s testing",
            file=sys.__stdout__,
            flush=True,
        )
        return found

    def write_outputs(self, path):
        """Writes the outputs of the latest test, all videos concatenated.

        The background stays last among the classes, as in ACM-Net.
        """
        import numpy as np

        activation, attention, scores = zip(*self._outputs, strict=True)
        np.savez(
            path,
            videos=np.array(self._names),
            classes=np.array(self._settings["classes"]),
            num_snippets=np.array(self._lengths),
            sampled=np.array([len(each) for each in activation]),
            activation=np.concatenate(activation),  # [sum T, C+1]
            attention=np.concatenate(attention),  # [sum T, 3]
            video_scores=np.stack(scores),  # [V, C+1]
        )


class Unscored:
    """Replaces ANETDetection, which starts ten processes with joblib."""

    def __init__(self, **unused):
        pass

    def evaluate(self):
        """Returns NaN, so that no epoch is ACM-Net's best."""
        return float("nan")


def code_digest(checkout, program):
    """SHA-256 of the files that run."""
    digest = hashlib.sha256()
    for name in (program, *_SOURCES):
        digest.update((checkout / name).read_bytes())
    return digest.hexdigest()


def _end_with_parent():
    """Ends the process when standard input ends: the parent has ended."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    try:
        main()
    except ImportError as error:
        sys.exit(
            f"{sys.executable} cannot import {error.name}; install it there or "
            "choose another --torch_python"
        )
