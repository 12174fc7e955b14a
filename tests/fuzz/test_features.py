"""Feature files: .npy, .npz, HDF5, object arrays."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.damage import damaged
from tests.fuzz.limits import fuzzed, reading
from tests.tools import raw_folders
from tests.tools.raw_folders import objects
from tests.tools.test_archives import npy, saved
from tests.tools.test_object_arrays import SEEDS, TRICKS, header
from tfrecords_tools import layouts, object_arrays
from tfwstal.config import Config
from tfwstal.data import feature_files

VIDEOS = {
    "a": ("train", 3, [(0.0, 1.0, "Run")]),
    "b": ("test", 2, [(0.1, 0.6, "Jump")]),
}
SAVED = [
    saved(),
    saved(np.ones((3, 4), ">f8")),
    saved(np.asfortranarray(np.ones((3, 4), np.float16))),
    saved(np.ones((3, 4), "<i4")),
    saved(np.full((2, 4), 3e38)),
]
COUNT = st.integers(-2, 5) | st.sampled_from(
    [2**31, 2**62, 2**64, 10**400, True, 2.0, None, "3", (3,), -0.0]
)
HEADER = st.fixed_dictionaries(
    {},
    optional={
        "descr": st.sampled_from(
            ["<f4", ">f8", "|O", "<f2", "f4", "<U9", "<M8[s]", "V8", "", "<f3"]
        )
        | st.just([("a", "<f4"), ("b", "<f4")])
        | st.none(),
        "fortran_order": st.booleans() | st.integers(0, 2),
        "shape": st.lists(COUNT, max_size=4).map(tuple) | COUNT,
        "more": st.none(),
    },
)


def check_loaded(paths, measured):
    values, digests = feature_files.load(paths, measured.num_snippets)
    assert values.shape == (measured.num_snippets, sum(measured.widths))
    assert values.dtype == np.float32 and np.isfinite(values).all()
    assert len(digests) == len(paths)


def header_of(*shape):
    """The fields of a header, as HEADER draws them."""
    return {"descr": "<f4", "shape": shape, "fortran_order": False}


@fuzzed(20_000)
@given(damaged(*SAVED))
def test_npy(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with reading(tmp_path):
        check_loaded([path], feature_files.inspect([path]))


@fuzzed(20_000)
@given(HEADER, st.binary(max_size=80))
@example(header_of(10**2000), b"")
@example(header_of(10**2000, 4), b"")
@example(header_of(10**4000, 10**4000), b"")
def test_headers_of_npy(tmp_path, fields, content):
    path = tmp_path / "a.npy"
    path.write_bytes(npy(repr(fields) + "\n", content))
    with reading(tmp_path):
        check_loaded([path], feature_files.inspect([path]))


def archive(write):
    """The one feature file that a function of raw_folders writes."""

    def content(folder):
        write(folder, VIDEOS)
        (path,) = [p for p in folder.iterdir() if p.suffix != ".csv"]
        return path.name, path.read_bytes()

    return content


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """dict from kind of file to name and bytes."""
    return {
        write.__name__: archive(write)(tmp_path_factory.mktemp("archive"))
        for write in (
            raw_folders.write_npz,
            raw_folders.write_npz_streams,
            raw_folders.write_hdf5,
            raw_folders.write_hdf5_groups,
        )
    }


@pytest.mark.parametrize(
    "kind",
    ["write_npz", "write_npz_streams", "write_hdf5", "write_hdf5_groups"],
)
@fuzzed(10_000)
@given(st.data())
def test_archives(tmp_path, archives, kind, data):
    name, whole = archives[kind]
    raw_folders.write_labels(tmp_path, VIDEOS)
    (tmp_path / name).write_bytes(data.draw(damaged(whole)))
    with reading(tmp_path):
        source = layouts.discover(Config(features_dir=str(tmp_path)))
        for video in source.videos:
            measured = feature_files.inspect(video.feature_files)
            check_loaded(video.feature_files, measured)


@fuzzed(20_000)
@given(damaged(*SEEDS, *TRICKS.values()))
def test_object_arrays(tmp_path, content):
    path = tmp_path / "x.npy"
    path.write_bytes(header(3) + content)
    with reading(tmp_path):
        found = object_arrays.read(path)
        assert len(found) == 3
        for each in found:
            if isinstance(each, object_arrays.PickledArray):
                measured = feature_files.inspect([each])
                check_loaded([each], measured)


@fuzzed(10_000)
@given(st.data())
def test_wtalc(tmp_path, data):
    """The file of all features, with valid names."""
    annotations = tmp_path / "X-Annotations"
    if not annotations.exists():
        raw_folders.save_wtalc_annotations(annotations, VIDEOS)
    arrays = objects(list(raw_folders.draw(VIDEOS).values()))
    file = io.BytesIO()
    np.save(file, arrays, allow_pickle=True)
    whole = [
        file.getvalue(),
        header(2) + pickle.dumps(arrays, protocol=2),
        header(2) + pickle.dumps(arrays, protocol=4),
    ]
    path = tmp_path / "X-I3D-JOINTFeatures.npy"
    path.write_bytes(data.draw(damaged(*whole)))
    with reading(tmp_path):
        source = layouts.discover(Config(features_dir=str(tmp_path)))
        for video in source.videos:
            measured = feature_files.inspect(video.feature_files)
            check_loaded(video.feature_files, measured)
