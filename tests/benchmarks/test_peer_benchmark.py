"""benchmarks.peers.acmnet; ACM-Net itself only if TFWSTAL_ACMNET is set."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.peers import acmnet, acmnet_outputs, acmnet_torch
from tests.conftest import ROOT
from tfrecords_tools import synthesize
from tfwstal import command_line
from tfwstal.data import activitynet
from tfwstal.errors import InputError
from tfwstal.method.options import LocalizationSettings

CLASSES = ["Dive", "Jump", "Run"]
# Two videos: "short" is used whole, "long" has 40 snippets, 20 of them sampled.
# In ACM-Net's order, the background is last. "short" dives in snippets 5 to 9,
# "long" runs in its sampled snippets 10 to 14.
ACTIONS = {"short": (20, 0, slice(5, 10)), "long": (40, 2, slice(10, 15))}
SEGMENTS = {"short": (3.2, 6.4), "long": (12.8, 19.2)}  # 0.64 s a snippet


@pytest.fixture
def folder(tmp_path):
    """A raw folder, and the output of an ACM-Net run with three tests."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    for split in ("train", "test"):
        (raw / split).mkdir(parents=True)
        np.save(raw / split / "short.npy", np.zeros((20, 4), np.float32))
        (raw / f"split_{split}.txt").write_text("short\n")
    database = {
        name: {
            "subset": "test",
            "duration": 25.6,
            "annotations": [
                {"label": CLASSES[ACTIONS[name][1]], "segment": segment}
            ],
        }
        for name, segment in SEGMENTS.items()
    }
    (raw / "gt.json").write_text(json.dumps({"database": database}))
    (out / "epochs").mkdir(parents=True)
    # Epoch 1 finds no action, epoch 2 both, the last epoch one.
    for epoch, found in ((1, ()), (2, ("short", "long")), (3, ("short",))):
        results = {
            name: [
                {
                    "label": CLASSES[ACTIONS[name][1]],
                    "score": 0.9,
                    "segment": list(SEGMENTS[name]),
                }
            ]
            * (name in found)
            for name in SEGMENTS
        }
        activitynet.write_detections(
            out / "epochs" / f"{epoch:04d}.json", results
        )
    activation, attention, scores = [], [], []
    for _, index, rows in ACTIONS.values():
        activation.append(np.full((20, 4), 0.01, np.float32))
        activation[-1][:, 3] = 0.97
        activation[-1][rows, index], activation[-1][rows, 3] = 0.97, 0.01
        attention.append(np.tile(np.float32([0.1, 0.1, 0.8]), (20, 1)))
        attention[-1][rows] = [0.8, 0.1, 0.1]
        scores.append(np.full(4, 0.03, np.float32))
        scores[-1][index] = 0.9
    np.savez(
        out / "outputs.npz",
        videos=np.array(list(ACTIONS)),
        classes=np.array(CLASSES),
        num_snippets=np.array(
            [snippets for snippets, _, _ in ACTIONS.values()]
        ),
        sampled=np.array([20, 20]),
        activation=np.concatenate(activation),
        attention=np.concatenate(attention),
        video_scores=np.stack(scores),
    )
    return tmp_path


def arguments_in(folder, *more):
    return [
        f"--raw={folder / 'raw'}",
        f"--output_dir={folder / 'out'}",
        f"--acmnet={folder / 'ACM-Net'}",
        f"--torch_python={folder / 'python'}",
        *more,
    ]


def finish(folder):
    """Writes trained.json of a finished run of three epochs."""
    arguments = acmnet._arguments(arguments_in(folder))
    trained = {
        "flags": acmnet.deciding_flags(arguments),
        "settings": {"segment_frames_num": 16, "frames_per_sec": 25},
        "history": [{"epoch": e, "tested": True} for e in (1, 2, 3)],
        "seconds": {"training": 3.0, "testing": 1.0},
        "patches": list(acmnet_torch.PATCHES.values()),
        "threads": 1,
        "device": "cpu",
    }
    (folder / "out" / "trained.json").write_text(json.dumps(trained))


def test_the_background_comes_first_and_actions_keep_their_order():
    scores = np.array([[0.1, 0.2, 0.3, 0.4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(
        acmnet_outputs.background_first(scores),
        [[0.4, 0.1, 0.2, 0.3], [8, 5, 6, 7]],
    )


@pytest.mark.parametrize("threshold_on", ["activation", "attention"])
def test_outputs_are_localized_in_seconds_of_the_whole_video(
    folder, threshold_on
):
    path = folder / "found.json"
    acmnet_outputs.localize(
        folder / "out" / "outputs.npz",
        LocalizationSettings(eta=(0.5,), threshold_on=threshold_on),
        0.64,
        path,
    )
    found = activitynet.read_detections(path)
    for name, (_, index, _) in ACTIONS.items():
        (entry,) = found[name]
        assert entry["label"] == CLASSES[index]
        assert entry["segment"] == pytest.approx(SEGMENTS[name])
        # OIC 0.97 - 0.01, and beta 0.2 times the video score 0.9.
        assert entry["score"] == pytest.approx(0.96 + 0.18)


def test_the_last_epoch_and_the_best_one_are_scored(folder, capsys):
    finish(folder)
    arguments = arguments_in(folder, "--localize_with=configs/thumos14.flags")
    result = acmnet.main(arguments)
    path = folder / "out" / "result.json"
    assert json.loads(path.read_text()) == result
    last, best = result["own"]["last"], result["own"]["best"]
    # The last epoch finds one of two classes exactly, the best both.
    assert (last["epoch"], last["average_mAP"]) == (3, pytest.approx(0.5))
    assert (best["epoch"], best["average_mAP"]) == (2, pytest.approx(1.0))
    assert result["own"]["averages"] == pytest.approx(
        {"1": 0.0, "2": 1.0, "3": 0.5}
    )
    assert last["tiou_thresholds"] == pytest.approx(np.arange(1, 8) / 10)
    assert result["ours"]["thumos14"]["average_mAP"] == pytest.approx(1.0)
    assert result["ours"]["thumos14"]["settings"]["alpha"] == 0.1
    left = {file.name for file in (folder / "out" / "epochs").iterdir()}
    assert left == {"0002.json", "0003.json"}
    assert "own, epoch 2 (best of 3 tested)" in capsys.readouterr().out


def test_a_finished_result_gets_only_what_it_lacks(folder):
    finish(folder)
    first = acmnet.main(arguments_in(folder))
    assert first["ours"] == {}
    for file in (folder / "out" / "epochs").iterdir():
        file.unlink()
    recipes = "configs/thumos14.flags,configs/acmnet_style.flags"
    more = arguments_in(folder, f"--localize_with={recipes}")
    second = acmnet.main(more)
    assert list(second["ours"]) == ["thumos14+acmnet_style"]
    assert second["ours"]["thumos14+acmnet_style"]["settings"]["alpha"] == 0.25
    assert second["own"] == first["own"]
    (folder / "out" / "outputs.npz").unlink()
    assert acmnet.main(more) == second


def test_other_flags_or_data_are_refused(folder):
    finish(folder)
    with pytest.raises(InputError, match="made with seed 0, not 1"):
        acmnet.main(arguments_in(folder, "--seed=1"))
    (folder / "raw" / "split_test.txt").write_text("short\nlong\n")
    with pytest.raises(InputError, match="made with data"):
        acmnet.main(arguments_in(folder))


def test_errors_are_one_line(folder):
    for arguments, message in (
        (arguments_in(folder), "has no main_thu.py; clone"),
        (arguments_in(folder, "--raw=elsewhere"), "raw layout"),
        (arguments_in(folder, "--epochs=0"), "--epochs=0 must be at least 1"),
        (
            arguments_in(folder, "--dataset=ActivityNet", "--epochs=20"),
            "--epochs=20 must be odd",
        ),
        (
            arguments_in(folder, "--dataset=ActivityNet", "--epochs=21"),
            "has no main_act.py; clone",
        ),
    ):
        with pytest.raises(InputError, match=message):
            acmnet.main(arguments)
    (folder / "ACM-Net").mkdir()
    (folder / "ACM-Net" / "main_thu.py").write_text("import wandb\n")
    with pytest.raises(InputError, match="--set=dropout=no is not NAME=NUMBER"):
        acmnet.main(arguments_in(folder, "--set=dropout=no"))
    with pytest.raises(InputError, match="does not run .No such file"):
        acmnet.main(arguments_in(folder))
    python = folder / "python"  # without any packages
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    python.chmod(0o755)
    with pytest.raises(InputError, match="cannot import torch; install it"):
        acmnet.main(arguments_in(folder))


def test_each_patch_is_in_the_docstring():
    text = " ".join(acmnet.__doc__.split())
    for patch in acmnet_torch.PATCHES.values():
        assert f"- {patch}" in text


@pytest.fixture(scope="module")
def peer():
    """ACM-Net's checkout and an interpreter that has PyTorch."""
    found = [
        os.environ.get(name)
        for name in ("TFWSTAL_ACMNET", "TFWSTAL_TORCH_PYTHON")
    ]
    if not all(found):
        pytest.skip("TFWSTAL_ACMNET and TFWSTAL_TORCH_PYTHON are not set")
    return found


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    """Six training videos, which make one batch, and four test videos."""
    raw = tmp_path_factory.mktemp("set") / "raw"
    arguments = (
        "synthesize --num_train_videos=6 --num_test_videos=4 --num_classes=2 "
        f"--feature_dim=8 --output_dir={raw}"
    )
    synthesize.main(command_line.parse(arguments.split(), "synthesize"))
    return raw


def run_peer(peer, raw, out, *more):
    subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.acmnet"]
        + [f"--acmnet={peer[0]}", f"--torch_python={peer[1]}", f"--raw={raw}"]
        + [f"--output_dir={out}", "--learning_rate=0.01", "--epochs=3"]
        + ["--num_snippets=30", "--localize_with=configs/thumos14.flags"]
        + list(more),
        cwd=ROOT,
        check=True,
        timeout=240,
    )
    return json.loads((out / "result.json").read_text())


# One step of ACM-Net, assembled by hand with its settings for THUMOS-14.
FIRST_STEP = """
import json, pathlib, sys, types
import numpy as np, torch
np.int = int
checkout, raw = sys.argv[1:]
sys.path.insert(0, checkout)
from dataset.dataset_class import ACMDataset
from model.ACMNet import ACMNet
from utils.net_utils import ACMLoss, set_random_seed
args = types.SimpleNamespace(
    dataset="THUMOS", feature_dim=8, action_cls_num=2, dropout=0.7,
    ins_topk_seg=8, con_topk_seg=3, bak_topk_seg=3, data_dir=raw,
    sample_segments_num=30)
database = json.loads((pathlib.Path(raw) / "gt.json").read_text())["database"]
args.class_name_lst = sorted({a["label"] for v in database.values()
                              for a in v["annotations"]})
set_random_seed(0)
model = ACMNet(args)
loader = torch.utils.data.DataLoader(
    ACMDataset(args, "train", "random"), batch_size=16, shuffle=True)
(features, labels), = loader
model.train()
found = model(features)
loss, _ = ACMLoss(2e-3, 5e-5, 2e-4)(
    *found[:3], labels, found[6], *found[3:6], found[7])
print(loss.item())
"""


def test_acmnet_runs_with_its_own_semantics(peer, small_set, tmp_path):
    before = {path.name for path in os.scandir(peer[0])}
    result = run_peer(
        peer,
        small_set,
        tmp_path / "a",
        "--test_every=2",
        "--set=nms_thresh=0.5",
    )
    assert [e["tested"] for e in result["history"]] == [False, True, True]
    direct = subprocess.run(
        [peer[1], "-B", "-c", FIRST_STEP, peer[0], str(small_set)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    losses = [entry["train_loss"] for entry in result["history"]]
    assert losses[0] == pytest.approx(float(direct.stdout), rel=1e-5)
    # Settings without a flag are ACM-Net's own.
    assert result["settings"]["weight_decay"] == 5e-5
    assert result["settings"]["batch_size"] == 16
    assert result["settings"]["nms_thresh"] == 0.5
    # --test_every changes no result, and the checkout stays clean.
    every = run_peer(
        peer,
        small_set,
        tmp_path / "b",
        "--test_every=1",
        "--set=nms_thresh=0.5",
    )
    assert [entry["train_loss"] for entry in every["history"]] == losses
    assert every["own"]["last"] == result["own"]["last"]
    assert every["ours"] == result["ours"]
    assert {path.name for path in os.scandir(peer[0])} == before


def test_acmnet_for_activitynet(peer, small_set, tmp_path):
    result = run_peer(
        peer,
        small_set,
        tmp_path / "out",
        "--dataset=ActivityNet",
        "--test_every=1",
    )
    # It tests after every other epoch, the first one included.
    assert [e["tested"] for e in result["history"]] == [True, False, True]
    assert result["settings"]["weight_decay"] == 0.001
    last = result["own"]["last"]
    assert last["tiou_thresholds"] == pytest.approx(np.arange(50, 100, 5) / 100)
    assert last["average_mAP"] == pytest.approx(np.mean(last["mAP"]))
