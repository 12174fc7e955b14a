"""Detections in each format, read and evaluated."""

import io
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.fuzz.damage import changed_json, damaged, lines
from tests.fuzz.limits import fuzzed, reading
from tfwstal.data.names import name_problem
from tfwstal.evaluation import formats, inputs, scoring
from tfwstal.evaluation.options import EvaluationOptions

ENTRIES = [
    {"label": "Run", "score": 0.5, "segment": [0.5, 2]},
    {"label": "Jump", "score": 1, "segment": ["3.0", 4.0]},
]
FOUND = {"results": {"a": ENTRIES, "b": []}, "version": "1"}
NUMBERED = {"a": [{"label": 3, "score": 0.5, "segment": [0.5, 2]}]}
WORDS = ("results", "segment", "label", "score", "Run", "a", "3")
COLUMNS = {
    "video-id": ["a", "b"],
    "t-start": np.array([0.5, 1.0]),
    "t-end": np.array([2.0, 3.0]),
    "label": np.array([3, 3]),
    "score": np.array([0.5, 0.25], np.float32),
}
CONTENTS = {
    "json": [json.dumps(each).encode() for each in (FOUND, NUMBERED)],
    "thumos": [b"a 0.5 2 Run 0.5\nb\t1\t2\t3\t1e-3\n"],
    "csv": [
        b"video-id,t-start,t-end,label,score\na,0.5,2,Run,0.5\n",
        b"a, 0.5, 2, 3, 0.5\n",
    ],
    "pickle": [
        pickle.dumps(content, protocol)
        for protocol in (2, 4, 5)
        for content in (COLUMNS, FOUND, NUMBERED, [COLUMNS, COLUMNS])
    ],
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    path = tmp_path_factory.mktemp("truth") / "gt.json"
    video = {
        "subset": "test",
        "duration": 20.0,
        "annotations": [
            {"segment": [0.5, 2], "label": "Run"},
            {"segment": [3, 4], "label": "Jump"},
        ],
    }
    path.write_text(json.dumps({"database": {"a": video, "b": video}}))
    return inputs.read_truth(str(path), OPTIONS["kept"])


OPTIONS = {
    "strict": EvaluationOptions(),
    "kept": EvaluationOptions(ignore_unknown=True, bad_detections="swap"),
}


def check(path, truth, file_format="auto"):
    """Reads detections and evaluates them, with and without class names."""
    for classes in (None, {3: "Run"}):
        with reading(path.parent):
            found = formats.read_detections(path, file_format, classes)
            for name, entries in found.items():
                assert not name_problem(name)
                for entry in entries:
                    assert not name_problem(entry["label"])
                    numbers = [entry["score"], *entry["segment"]]
                    assert all(map(math.isfinite, numbers))
            for options in OPTIONS.values():
                with reading(path.parent, truth.path):
                    fitted = inputs.fit(truth, str(path), found, options)
                    scores = scoring.score(fitted, options)
                    assert np.isfinite(scores.ap).all()


@pytest.mark.parametrize("file_format", CONTENTS)
@fuzzed(10_000)
@given(st.data())
def test_damaged_files(tmp_path, truth, file_format, data):
    path = tmp_path / "found"
    path.write_bytes(data.draw(damaged(*CONTENTS[file_format])))
    check(path, truth)
    check(path, truth, file_format)


@fuzzed(10_000)
@given(changed_json(FOUND, FOUND["results"], NUMBERED, words=WORDS))
def test_json(tmp_path, truth, content):
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    check(path, truth)


@fuzzed(10_000)
@given(
    lines("a", "b", "1", "2.5", "Run", "3", "video", "score"),
    st.sampled_from([b"", b"video,start,end,label,score\n"]),
)
def test_lines(tmp_path, truth, text, head):
    path = tmp_path / "found.txt"
    path.write_bytes(head + text)
    check(path, truth)
    check(path, truth, "thumos")
    check(path, truth, "csv")


OBJECT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.sampled_from([np.float32(0.5), np.int64(3), np.str_("a"), 1 + 2j]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner)
        | st.lists(st.floats(), max_size=4).map(np.array)
        | st.lists(st.text(max_size=3), max_size=3).map(np.array)
        | st.lists(st.integers(), max_size=2).map(
            lambda items: np.array(items, object)
        )
    ),
    max_leaves=8,
)


@fuzzed(10_000)
@given(
    st.fixed_dictionaries({name: OBJECT for name in COLUMNS})
    | st.fixed_dictionaries(
        {name: st.just(values) | OBJECT for name, values in COLUMNS.items()}
    )
    | OBJECT
    | st.lists(st.just(COLUMNS) | OBJECT, max_size=2)
    | st.just(NUMBERED).map(dict),
    st.sampled_from([2, 4, 5]),
)
def test_pickled_objects(tmp_path, truth, content, protocol):
    path = tmp_path / "found.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    check(path, truth)


# === MATLAB ===


def _mat(variables, **more):
    """A MATLAB file, bytes; skips the test where SciPy is missing."""
    scipy_io = pytest.importorskip("scipy.io", reason="needs SciPy")
    content = io.BytesIO()
    scipy_io.savemat(content, variables, **more)
    return content.getvalue()


def _cells(values):
    """A column of cells."""
    cells = np.empty((len(values), 1), object)
    cells[:, 0] = values
    return cells


FIELDS = {
    "videoname": _cells(["a", "b"]),
    "t1": np.array([0.5, 1.0]),
    "t2": np.array([2.0, 3.0]),
    "clsid": np.array([3, 3]),
    "conf": np.array([0.5, 0.25]),
}
ROWS = [["a", 0.5, 2.0, 3, 0.5], ["b", 1.0, 3.0, "Run", 0.25]]


def _whole_mat_files():
    structures = np.empty((2, 1), [(name, object) for name in FIELDS])
    for place, row in enumerate(ROWS):
        structures[place, 0] = tuple(row)
    tables = [
        FIELDS,
        {"found": FIELDS},
        {"found": np.array(ROWS, object)},
        {"found": structures},
        {"found": np.array([[7.0, 1.0, 2.5, 3.0, 0.5]])},
    ]
    return [
        _mat(table, do_compression=compressed)
        for table in tables
        for compressed in (False, True)
    ]


@pytest.fixture(scope="module")
def mat_files():
    return _whole_mat_files()


@fuzzed(10_000)
@given(st.data())
def test_damaged_matlab_files(tmp_path, truth, mat_files, data):
    path = tmp_path / "found.mat"
    path.write_bytes(data.draw(damaged(*mat_files)))
    check(path, truth, "mat")


MAT_OBJECT = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.complex_numbers()
    | st.text("ab\n\x1b字\ud800", max_size=3)
    | st.lists(st.floats(), max_size=3).map(np.array)
    | st.lists(st.integers(0, 3), max_size=3).map(
        lambda items: np.array(items, np.uint8)
    )
    | st.just(np.zeros((0, 5)))
    | st.just(np.ones((2, 2, 2))),
    lambda inner: (
        st.lists(inner, max_size=3).map(_cells)
        | st.dictionaries(st.sampled_from(["a", "score", "x1"]), inner)
    ),
    max_leaves=8,
)


@fuzzed(10_000)
@given(
    st.fixed_dictionaries(
        {name: st.just(values) | MAT_OBJECT for name, values in FIELDS.items()}
    )
    | st.fixed_dictionaries({"found": MAT_OBJECT}),
    st.booleans(),
    st.booleans(),
)
def test_objects_in_matlab_files(tmp_path, truth, content, nested, compressed):
    if nested:
        content = {"found": content}
    path = tmp_path / "found.mat"
    try:
        path.write_bytes(_mat(content, do_compression=compressed))
    except (TypeError, ValueError):  # SciPy cannot write some
        assume(False)
    check(path, truth)
