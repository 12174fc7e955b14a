"""Files of runs and searches: checkpoints, classes, models, scores."""

import json
import types

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import random_model
from tests.extraction.test_feature_folder import FACTS
from tests.fuzz.damage import changed_json, damaged, lines
from tests.fuzz.limits import fuzzed, reading
from tfwstal.data.names import name_problem
from tfwstal.extraction import feature_folder, matching
from tfwstal.search import trials
from tfwstal.training import run_folder
from tfwstal.training.checkpoint import Checkpoint

DESCRIPTION = {
    **FACTS,
    "videos": {"a": {"file": "a.mp4", "bytes": 1, "snippets": 3}},
    "failed": {},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, and a checkpoint from before its end."""
    folder = tmp_path_factory.mktemp("run") / "run"
    run_folder.create(folder, {"seed": "0"}, ("a", "b", "c"))
    model = random_model()
    model.compile(optimizer="sgd")
    saver = make_saver(folder)
    saver.set_model(model)
    saver.start = (1, 0)
    saver.on_train_batch_end(1)
    content = (folder / run_folder.CHECKPOINT).read_bytes()
    run_folder.save_model(model, folder)
    return types.SimpleNamespace(
        folder=folder,
        model=model,
        checkpoint=content,
        keras=(folder / run_folder.MODEL).read_bytes(),
    )


def make_saver(folder):
    return Checkpoint(folder, "the records", 4, 3, minutes=0.0)


@fuzzed(10_000)
@given(st.data())
def test_checkpoints(run, data):
    expected = [np.array(each) for each in run.model.weights]
    path = run.folder / run_folder.CHECKPOINT
    path.write_bytes(data.draw(damaged(run.checkpoint)))
    saver = make_saver(run.folder)
    with reading(run.folder) as refusals:
        saver.restore(run.model)
        assert saver.start == (1, 2)
    if not refusals:
        for weight, value in zip(run.model.weights, expected, strict=True):
            np.testing.assert_array_equal(weight, value)


@fuzzed(300, short=3)
@given(st.data())
def test_models(run, tmp_path, data):
    (tmp_path / run_folder.CLASSES).write_text("a\nb\nc\n")
    content = data.draw(damaged(run.keras))
    (tmp_path / run_folder.MODEL).write_bytes(content)
    with reading(tmp_path):
        model, _ = run_folder.load(tmp_path)
        # An archive that opens has the same weights: it has checksums.
        assert len(model.weights) == len(run.model.weights)
        for ours, theirs in zip(model.weights, run.model.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@fuzzed(10_000)
@given(damaged(b"a\nb\nc\n") | lines("a", "b", "c"))
def test_classes(tmp_path, content):
    path = tmp_path / run_folder.CLASSES
    path.write_bytes(content)
    with reading(tmp_path):
        names = run_folder.load_classes(path)
        assert len(set(names)) == len(names)
        assert not any(map(name_problem, names))


@fuzzed(10_000)
@given(
    changed_json(
        DESCRIPTION, FACTS, words=("weights", "rgb", "fps", "sha256")
    ).map(lambda content: json.dumps(content).encode())
    | damaged(json.dumps(DESCRIPTION).encode())
)
def test_facts_of_the_extraction(tmp_path, content):
    (tmp_path / run_folder.EXTRACTION).write_bytes(content)
    with reading(tmp_path):
        facts = run_folder.read_extraction(tmp_path)
        matching.check(FACTS, facts, (25.0, 16), 2048, "these films")
    with reading(tmp_path):
        facts = feature_folder.read_facts(tmp_path)
        assert feature_folder.difference(facts, FACTS) is None or facts
    with reading(tmp_path):
        feature_folder.FeatureFolder(tmp_path, FACTS)


SEARCH = {
    "search": {"seed": "0"},
    "best": None,
    "trials": [
        {"values": {"alpha": 0.1}, "folds": [0.5], "mean": 0.5, "sd": None},
        {"values": {"alpha": 0.2}, "folds": [], "mean": None, "sd": None},
    ],
}


@fuzzed(10_000)
@given(
    changed_json(SEARCH, words=("alpha", "folds", "mean", "values")).map(
        lambda content: json.dumps(content).encode()
    )
    | damaged(json.dumps(SEARCH).encode())
)
@example(json.dumps({"search": {"seed": "[" * 2000}, "trials": []}).encode())
def test_results_of_a_search(tmp_path, content):
    (tmp_path / trials.RESULTS).write_bytes(content)
    with reading(tmp_path):
        found = trials.TuneFolder(tmp_path, {"seed": "0"}, {})
        trial = found.trial({"alpha": 0.1})
        found.add_score({"alpha": 0.1}, 0.25)
        assert trial["folds"][-1] == 0.25
