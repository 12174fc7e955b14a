"""Each format gives back the detections that the test wrote."""

import io
import json
import os
import pickle
import sys
import types

import numpy as np
import pytest

from tests.fuzz.limits import reading
from tfwstal.errors import InputError
from tfwstal.evaluation import formats, scoring
from tfwstal.evaluation.options import EvaluationOptions

CLASSES = {7: "BaseballPitch", 9: "Basketball Dunk", 12: "Billiards"}


def rows():
    """(video, start, end, class number, score); exact in six decimals."""
    rng = np.random.default_rng(3)
    start = rng.integers(0, 10**8, 30) / 1e6
    return [
        (f"video_test_{int(v):07d}", s, s + length, int(c), x)
        for v, s, length, c, x in zip(
            rng.integers(1, 4, 30),
            start.tolist(),
            (rng.integers(-(10**6), 10**8, 30) / 1e6).tolist(),
            rng.choice(list(CLASSES), 30),
            (rng.integers(0, 10**6, 30) / 1e6).tolist(),
            strict=True,
        )
    ]


def by_video(named=True):
    found = {}
    for video, start, end, number, score in rows():
        found.setdefault(video, []).append(
            {
                "label": CLASSES[number] if named else number,
                "score": score,
                "segment": [start, end],
            }
        )
    return found


def columns():
    """As ActionFormer's evaluation writes them."""
    videos, start, end, numbers, scores = zip(*rows(), strict=True)
    return {
        "video-id": list(videos),
        "t-start": np.array(start),
        "t-end": np.array(end),
        "label": np.array(numbers),
        "score": np.array(scores),
    }


def text(separator, head=""):
    lines = [separator.join(map(repr_or_text, row)) for row in rows()]
    return (head + "\n".join(lines) + "\n").encode()


def repr_or_text(value):
    return value if isinstance(value, str) else repr(value)


CONTENTS = {
    "json": json.dumps({"version": "1", "results": by_video()}).encode(),
    "json without results": json.dumps(by_video()).encode(),
    "json with numbers": json.dumps({"results": by_video(False)}).encode(),
    "thumos": text(" "),
    "thumos with tabs": text("\t", "# video start end class score\n"),
    "csv": text(",", "video-id,t-start,t-end,label,score\n"),
    "csv without a header": text(", "),
    **{
        f"pickle of columns, protocol {n}": pickle.dumps(columns(), n)
        for n in (2, 3, 4, 5)
    },
    "pickle of videos": pickle.dumps({"results": by_video()}),
    "pickle of a NumPy number": pickle.dumps(
        {
            video: [e | {"score": np.float64(e["score"])} for e in entries]
            for video, entries in by_video().items()
        }
    ),
}


@pytest.fixture
def written(tmp_path):
    """Writes bytes to a file."""

    def write(content, name="found.any"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", CONTENTS)
def test_all_formats_say_the_same(written, name):
    path = written(CONTENTS[name])
    assert formats.read_detections(path, classes=CLASSES) == by_video()
    told = name.split()[0]
    found = formats.read_detections(path, told, CLASSES)
    assert found == by_video()


def test_a_csv_may_order_and_name_its_columns(written):
    lines = ["Score,Label,xmax,note,Video_ID,xmin"]
    lines += [
        f"{score!r},{CLASSES[number]},{end!r},,{video},{start!r}"
        for video, start, end, number, score in rows()
    ]
    path = written("\n".join(lines).encode())
    assert formats.read_detections(path) == by_video()


def test_a_video_may_come_with_its_suffix(written):
    path = written(b"v.mp4 0 1 a 0.5\n")
    assert list(formats.read_detections(path)) == ["v"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"v 0 1 a\n", "line 1: 'v 0 1 a' is not VIDEO START END CLASS SCORE"),
        (b"v 0 x a 1\n", "line 1: 'x' is not a number"),
        (b"v 0 1 a nan\n", "'score' holds nan, not a finite number"),
        (b"video,start,end\nv,0,1\n", "its header has no column label, score"),
        (b"v,0,1,a\n", "line 1: has 4 columns"),
        (b"{", "is not JSON"),
        (b'{"a": [], "a": []}', "'a' occurs twice"),
        (b'{"database": {}}', "has no object 'results', and 'database' is"),
        (b'[{"video": "v"}]', "has no object 'results'"),
        (b"\xff\xfe 1", "is not UTF-8 text"),
        (pickle.dumps({"score": [1.0]}), "no column video, start, end, label"),
        (pickle.dumps(columns() | {"score": [1.0]}), "differ in length"),
        (pickle.dumps(columns())[:300], "its pickle is damaged"),
        (pickle.dumps(3), "holds neither columns nor videos"),
    ],
)
def test_a_wrong_file_is_named_with_its_format(written, content, message):
    path = written(content)
    with pytest.raises(InputError) as caught:
        formats.read_detections(path, classes=CLASSES)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_an_error_names_the_format_and_where_it_is_from(written):
    path = written(text(" "))
    with pytest.raises(InputError, match=r"=csv \(as given\).*: json, thumos"):
        formats.read_detections(path, "csv", CLASSES)
    with pytest.raises(InputError, match=r"--format=json \(found by content"):
        formats.read_detections(written(b"{"))


def test_numbers_need_a_class_list(written, tmp_path):
    path = written(text(" "))
    assert {
        e["label"]
        for entries in formats.read_detections(path).values()
        for e in entries
    } == {"7", "9", "12"}  # names in a text file may be numbers
    with pytest.raises(InputError, match="name them with --classes"):
        formats.read_detections(written(CONTENTS["json with numbers"]))
    with pytest.raises(InputError, match="class 9 is not in --classes"):
        formats.read_detections(path, classes={7: "a", 12: "b"})


def test_class_lists(written):
    numbered = b"7 BaseballPitch\n9 Basketball Dunk\n\n12 Billiards\n"
    assert formats.read_classes(written(numbered)) == CLASSES
    plain = written(b"BaseballPitch\nBasketball Dunk\n")
    assert formats.read_classes(plain) == {
        0: "BaseballPitch",
        1: "Basketball Dunk",
    }
    with pytest.raises(InputError, match="repeats a number"):
        formats.read_classes(written(b"1 a\n1 b\n"))


# === Pickles ===


class _Touch:
    """Its pickle creates a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_executes_nothing(written, tmp_path, protocol):
    touched = tmp_path / "touched"
    content = pickle.dumps({"score": _Touch(touched)}, protocol)
    pickle.loads(content)
    assert touched.is_dir()  # the attack works
    touched.rmdir()
    with pytest.raises(InputError, match="names .*mkdir', which is not loaded"):
        formats.read_detections(written(content), "pickle")
    assert not touched.exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__", "exec"])
def test_builtins_are_not_loaded(written, name):
    content = b"\x80\x02cbuiltins\n" + name.encode() + b"\nX\x01\x00\x00\x001"
    with pytest.raises(InputError, match="which is not loaded"):
        formats.read_detections(written(content + b"\x85R."))


def test_damaged_pickles_give_one_line(written):
    content = pickle.dumps(columns())
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        place = rng.integers(2, len(content))
        damaged[place] = rng.integers(256)
        try:
            formats.read_detections(written(bytes(damaged)), "pickle", CLASSES)
        except InputError:
            refused += 1
    assert refused > 20


@pytest.fixture
def pandas_modules(monkeypatch):
    """Classes that pickle like those of pandas 2: `_mgr` of blocks and axes."""

    def module(name, **members):
        found = types.ModuleType(name)
        for key, member in members.items():
            member.__module__, member.__qualname__ = name, key
            member.__name__ = key
            setattr(found, key, member)
        monkeypatch.setitem(sys.modules, name, found)
        return found

    class Frame:
        def __init__(self, table):
            self._mgr = Manager(table)

    class Manager:
        def __init__(self, table):
            self.table = table

        def __reduce__(self):
            floats = [k for k, v in self.table.items() if v.dtype.kind == "f"]
            others = [k for k in self.table if k not in floats]
            names = list(self.table)
            blocks = [
                Block(
                    self.table,
                    floats,
                    np.array([names.index(k) for k in floats]),
                ),
                *(
                    Block(
                        self.table,
                        [k],
                        slice(names.index(k), names.index(k) + 1, 1),
                    )
                    for k in others
                ),
            ]
            return Manager, (
                tuple(blocks),
                [Index(np.array(names, object)), Index(np.arange(3))],
            )

    class Block:
        def __init__(self, table, names, places):
            self.values = np.stack([table[name] for name in names])
            self.places = places

        def __reduce__(self):
            return unpickle_block, (self.values, self.places, 2)

    class Index:
        def __init__(self, data):
            self.data = data

        def __reduce__(self):
            return new_index, (Index, {"data": self.data, "name": None})

    def unpickle_block(*arguments):
        raise AssertionError("called")

    def new_index(*arguments):
        raise AssertionError("called")

    for name in ("pandas", "pandas.core", "pandas.core.indexes"):
        module(name)
    module("pandas.core.frame", DataFrame=Frame)
    module("pandas.core.internals.managers", BlockManager=Manager)
    module("pandas._libs.internals", _unpickle_block=unpickle_block)
    module("pandas.core.indexes.base", _new_Index=new_index, Index=Index)
    return Frame


def test_a_pickled_table(pandas_modules, written):
    table = {
        "video-id": np.array(columns()["video-id"], object),
        **{k: v for k, v in columns().items() if k != "video-id"},
    }
    content = pickle.dumps(pandas_modules(table))
    assert formats.read_detections(written(content), classes=CLASSES) == (
        by_video()
    )


def test_a_table_for_each_class(pandas_modules, written):
    tables = []
    for number in CLASSES:
        part = [row for row in rows() if row[3] == number]
        videos, start, end, _, scores = zip(*part, strict=True)
        tables.append(
            pandas_modules(
                {
                    "video-id": np.array(videos, object),
                    "t-start": np.array(start),
                    "t-end": np.array(end),
                    "score": np.array(scores),
                }
            )
        )
    names = dict(enumerate(CLASSES.values()))
    found = formats.read_detections(
        written(pickle.dumps(tables)), classes=names
    )
    key = json.dumps
    assert {v: sorted(e, key=key) for v, e in found.items()} == {
        v: sorted(e, key=key) for v, e in by_video().items()
    }


# === MATLAB ===


def _cells(values):
    """A column of cells."""
    found = np.empty((len(values), 1), object)
    found[:, 0] = values
    return found


def _mat(**variables):
    scipy_io = pytest.importorskip("scipy.io")
    content = io.BytesIO()
    scipy_io.savemat(content, variables)
    return content.getvalue()


def _mat_variables():
    """The table of `rows` in each layout."""
    videos, start, end, numbers, scores = zip(*rows(), strict=True)
    fields = {"videoname": _cells(videos), "t1": start, "t2": end}
    fields |= {"clsid": numbers, "conf": scores}
    cells = np.array(rows(), object)
    records = np.empty((len(videos), 1), [(name, object) for name in fields])
    for place, row in enumerate(rows()):
        records[place, 0] = row
    return {
        "cell array": {"found": cells},
        "variables": fields,
        "structure": {"found": fields},
        "array of structures": {"found": records},
    }


@pytest.mark.parametrize("name", _mat_variables())
def test_matlab_files(written, name):
    path = written(_mat(**_mat_variables()[name]))
    assert formats.read_detections(path, classes=CLASSES) == by_video()


def test_a_matlab_matrix_numbers_the_videos(written):
    path = written(_mat(found=np.array([[7.0, 1.0, 2.5, 12.0, 0.5]])))
    assert formats.read_detections(path, classes=CLASSES) == {
        "video_test_0000007": [
            {"label": CLASSES[12], "score": 0.5, "segment": [1.0, 2.5]}
        ]
    }


@pytest.mark.parametrize(
    "variables, message",
    [
        ({"found": np.ones((2, 14))}, r"the shape \(2, 14\); five columns"),
        ({"found": np.full((1, 5), 0.5)}, "0.5 is not a video number"),
        ({"t1": [1.0], "t2": [2.0]}, "no column video, label, score"),
    ],
)
def test_another_matlab_file_is_refused(written, variables, message):
    with pytest.raises(InputError, match=message):
        formats.read_detections(written(_mat(**variables)), classes=CLASSES)


def test_damaged_matlab_files_give_one_line(written):
    content = _mat(**_mat_variables()["cell array"])
    for end in range(6, len(content), 97):
        with pytest.raises(InputError, match="--format=mat"):
            formats.read_detections(written(content[:end]), classes=CLASSES)


@pytest.mark.parametrize(
    "content",
    [
        b"MATLAB 5.0 MAT-file",
        b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM",
        bytes(200),  # version 4
    ],
)
def test_other_versions_of_matlab_say_what_to_do(written, content):
    with pytest.raises(InputError, match="not a MATLAB file .*with -v7;"):
        formats.read_detections(written(content), "mat")


# === Ground truth ===


def _truth_columns(rows):
    """Columns of rows (video, start, end)."""
    videos, start, end = zip(*rows, strict=True)
    return {
        "video-id": np.array(videos, object),
        "t-start": np.array(start),
        "t-end": np.array(end),
    }


def test_ground_truth_of_pickled_tables(written):
    # One table per class, numbered in order; then one table with labels.
    tables = [
        _truth_columns([("v", 0.0, 1.0)]),
        _truth_columns([("w", 2.0, 3.0), ("v", 4.0, 5.0)]),
    ]
    names = {0: "Dive", 1: "Jump"}
    joined = _truth_columns([("v", 0.0, 1.0), ("w", 2.0, 3.0), ("v", 4.0, 5.0)])
    joined["label"] = np.array([0, 1, 1])
    for content in (tables, joined):
        path = written(pickle.dumps(content))
        videos, bad = formats.read_ground_truth(path, "val", classes=names)
        assert not bad
        assert {
            video: [(s.label, s.start, s.end) for s in found.segments]
            for video, found in videos.items()
        } == {
            "v": [("Dive", 0.0, 1.0), ("Jump", 4.0, 5.0)],
            "w": [("Jump", 2.0, 3.0)],
        }
        assert {video.subset for video in videos.values()} == {"val"}


@pytest.mark.parametrize(
    "content, message",
    [
        ([{"video-id": ["v"], "t-start": [0.0]}], "no column end"),
        ([_truth_columns([("v", 0.0, 1.0)])], "name them with --classes"),
        (3, "holds neither columns nor videos"),
    ],
)
def test_bad_pickled_ground_truth_is_told(written, content, message):
    with pytest.raises(InputError, match=message):
        formats.read_ground_truth(written(pickle.dumps(content)), "val")


def test_ground_truth_of_text_files_and_csv(tmp_path):
    segments = {
        ("Jump", "test"): [("u", 0.0, 10.5), ("w", 5.0, 9.0)],
        ("Dive", "test"): [("u", 0.0, 4.0)],
        ("Dive", "val"): [("t", 1.0, 2.0)],
        ("Ambiguous", "test"): [("w", 20.0, 30.0)],
    }
    folder = tmp_path / "annotations"
    folder.mkdir()
    lines = ["video,start,end,label,subset"]
    for (label, subset), part in segments.items():
        (folder / f"{label}_{subset}.txt").write_text(
            "".join(f"{v}  {s} {e}\n" for v, s, e in part)
        )
        name = {"val": "validation"}.get(subset, subset)
        lines += [f"{v},{s},{e},{label},{name}" for v, s, e in part]
    (tmp_path / "gt.csv").write_text("\n".join(lines))
    (tmp_path / "found.csv").write_text("u,0,10.5,Jump,0.9\nw,5,9,Jump,0.8\n")
    facts = []
    for truth in (folder, tmp_path / "gt.csv"):
        (inputs,) = scoring.read(
            truth, [tmp_path / "found.csv"], EvaluationOptions()
        )
        result = scoring.score(inputs, EvaluationOptions())
        assert result.labels == ("Dive", "Jump")
        np.testing.assert_array_equal(result.ap[0], [0.0, 1.0])
        facts.append(inputs.facts | {"ground_truth": ""})
    assert facts[0] == facts[1]
    assert facts[0]["num_instances"] == 3
    assert facts[0]["num_ambiguous_segments"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gt.csv", "video,start\nv,0\n", "has no column end, label"),
        ("gt.csv", "video,start,end,label\nv,0,x,a\n", "line 2: has no two"),
        ("a_test.txt", "v 0\n", "line 1: 'v 0' is not VIDEO START END"),
        ("a.txt", "v 0 1\n", "has no files CLASS_test.txt"),
    ],
)
def test_wrong_ground_truth_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    path = tmp_path / name if name.endswith(".csv") else tmp_path
    with pytest.raises(InputError, match=message):
        formats.read_ground_truth(path, "test")


@pytest.mark.parametrize(
    "program",
    [
        # A memo index for which the unpickler would allocate 64 GB.
        b"\x80\x02K\x01r\xff\xff\xff\xff.",
        # A bytearray of 2 ** 40 bytes without its content.
        b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00.",
        # 2 ** 60 numbers in nested lists, each containing the next twice.
        b"\x80\x02K\x01q\x00"
        + b"".join(
            b"0](" + b"h%c" % i * 2 + b"eq%c" % (i + 1) for i in range(60)
        )
        + b".",
        # An array whose values are an integer instead of bytes.
        b"\x80\x02cnumpy._core.numeric\n_frombuffer\n(J\x00\x00\x00\x7f"
        b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85RK\x01\x85X\x01\x00\x00\x00C"
        b"tR.",
        # An integer of 5,000 digits.
        pickle.dumps(columns() | {"video-id": [10**5000] * 30}),
        pickle.dumps(columns() | {"label": 3}),
    ],
    ids=["memo", "bytearray", "lists", "bytes", "digits", "no list"],
)
def test_a_pickle_that_asks_for_too_much(written, program):
    with reading(), pytest.raises(InputError, match="its (pickle|table)"):
        formats.read_detections(written(program), "pickle")
