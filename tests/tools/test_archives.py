"""Hostile feature files give features or a one-line error."""

import io
import struct
import zipfile

import h5py
import numpy as np
import pytest

from tfrecords_tools import layouts
from tfwstal.config import Config
from tfwstal.data import feature_files
from tfwstal.errors import InputError

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def read(root):
    """Reads the features of all videos as convert does: id -> [T, D]."""
    (root / "labels.csv").write_text("video_id,labels\na,Run\n")
    source = layouts.discover(Config(features_dir=str(root)))
    return {
        video.video_id: feature_files.load(
            video.feature_files,
            feature_files.inspect(video.feature_files).num_snippets,
        )[0]
        for video in source.videos
    }


def external_storage(file, folder):
    (folder / "secret").write_bytes(b"x" * 64)
    file.create_dataset(
        "a", (4, 4), "<f4", external=[(str(folder / "secret"), 0, 64)]
    )


def external_storage_in_a_group(file, folder):
    (folder / "secret").write_bytes(b"x" * 64)
    file.create_group("a").create_dataset(
        "rgb", (4, 4), "<f4", external=[(str(folder / "secret"), 0, 64)]
    )
    file["a/flow"] = VALUES


def external_link(file, folder):
    with h5py.File(folder / "secret", "w") as secret:
        secret["values"] = VALUES
    file["a"] = h5py.ExternalLink(str(folder / "secret"), "values")


def external_link_in_a_group(file, folder):
    external_link(file.create_group("b"), folder)
    file.move("b", "a")
    file.move("a/a", "a/features")


def virtual(file, folder):
    with h5py.File(folder / "secret", "w") as secret:
        secret["values"] = VALUES
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret"), "values", (3, 4))
    file.create_virtual_dataset("a", layout)


def declared(shape, **options):
    def write(file, _):
        file.create_dataset("a", shape, "f4", **options)

    return write


def partly_written(file, _):
    file.create_dataset("a", (100, 4), "f4", chunks=(10, 4))[:50] = 1.0


def nested(file, _):
    file["a/features/deep"] = VALUES


def empty(file, _):
    file["a"] = h5py.Empty("f4")


def datatype(file, _):
    file["a"] = np.dtype("f4")


def not_utf_8(file, _):
    h5py.h5d.create(
        file.id,
        b"\xff",
        h5py.h5t.IEEE_F32LE,
        h5py.h5s.create_simple((3, 4)),
    )


BAD_HDF5 = {
    "external storage": (external_storage, "refers to another file"),
    "in a group": (external_storage_in_a_group, "refers to another file"),
    "external link": (external_link, "refers to another file"),
    "link in a group": (external_link_in_a_group, "refers to another file"),
    "virtual": (virtual, "refers to another file"),
    "10^12 values": (declared((10**6, 10**6)), "not all of its values"),
    "chunks": (
        declared((10**6, 1024), chunks=(1000, 1024), compression="gzip"),
        "not all of its values",
    ),
    "partly written": (partly_written, "not all of its values"),
    "nested": (nested, "is not an array"),
    "empty": (empty, "is not an array"),
    "datatype": (datatype, "is not an array"),
    "not UTF-8": (not_utf_8, "cannot be read"),
    "not UTF-8 in a group": (
        lambda file, _: not_utf_8(file.create_group("a"), _),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("write, message", BAD_HDF5.values(), ids=BAD_HDF5)
def test_hdf5(tmp_path, write, message):
    (tmp_path / "raw").mkdir()
    with h5py.File(tmp_path / "raw" / "i3d.h5", "w") as file:
        write(file, tmp_path)
    with pytest.raises(InputError, match=f"i3d.h5.*{message}"):
        read(tmp_path / "raw")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (2, 3)},
        {"chunks": (2, 4), "compression": "gzip"},
        {"maxshape": (None, 4)},
        {"dtype": "<f8"},
        {"dtype": ">f4"},
    ],
)
def test_hdf5_that_is_whole(tmp_path, options):
    with h5py.File(tmp_path / "i3d.h5", "w") as file:
        file.create_dataset("values", data=VALUES, **options)
        file["a"] = h5py.SoftLink("/values")
        del file["a"]
        file.move("values", "a")
    np.testing.assert_array_equal(read(tmp_path)["a"], VALUES)


def npy(header, content=b""):
    """A .npy file with any text as its header."""
    text = header.encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + content


def stated(shape):
    return f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n"


BAD_NPY = {
    "negative": npy(stated("(-1, 4)"), b"\0" * 64),
    "bool": npy(stated("(True, 4)"), b"\0" * 64),
    "floats": npy(stated("(2.0, 4)"), b"\0" * 64),
    "minus signs": npy(stated("(" + "-" * 9000 + "1, 4)"), b"\0" * 64),
    "brackets": npy(stated("(" * 5000 + "1" + ")" * 5000), b"\0" * 64),
    "far too large": npy(stated("(1000000, 1000000)"), b"\0" * 64),
    "one too many": npy(stated("(3, 4)"), b"\0" * 47),
    "not a dict": npy("[]\n"),
    "another name": npy("os.abort()\n"),
    "empty": b"",
    "a zip": b"PK\x05\x06" + b"\0" * 18,
    "objects": npy(stated("(3, 4)").replace("<f4", "|O"), b"\0" * 64),
}


@pytest.mark.parametrize("content", BAD_NPY.values(), ids=BAD_NPY)
@pytest.mark.parametrize("archived", [False, True])
def test_npy(tmp_path, content, archived):
    if archived:
        with zipfile.ZipFile(tmp_path / "i3d.npz", "w") as file:
            file.writestr("a.npy", content)
    else:
        (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 300


def saved(values=VALUES):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (8, 99),  # compression method
        (6, 1),  # flags: encrypted
        (4, 250),  # version needed to extract
    ],
)
def test_npz_of_another_kind(tmp_path, offset, value):
    """Both headers of the member require what zipfile does not support."""
    with zipfile.ZipFile(tmp_path / "i3d.npz", "w") as file:
        file.writestr("a.npy", saved())
    content = bytearray((tmp_path / "i3d.npz").read_bytes())
    content[offset : offset + 2] = struct.pack("<H", value)
    central = content.index(b"PK\x01\x02") + 2 + offset
    content[central : central + 2] = struct.pack("<H", value)
    (tmp_path / "i3d.npz").write_bytes(content)
    with pytest.raises(InputError, match="i3d.npz.*cannot be read"):
        read(tmp_path)


def test_npz_with_a_foreign_member(tmp_path):
    with zipfile.ZipFile(tmp_path / "i3d.npz", "w") as file:
        file.writestr("a.npy", saved())
        file.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="contains 'readme.txt', which is not"):
        read(tmp_path)
