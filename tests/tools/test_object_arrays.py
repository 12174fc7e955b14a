"""Object arrays: what is read, and that nothing in a file is executed."""

import hashlib
import io
import os
import pickle
import struct

import numpy as np
import pytest

from tests.tools.raw_folders import objects
from tfrecords_tools import object_arrays
from tfwstal.data import feature_files
from tfwstal.errors import InputError

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.standard_normal((3, 4)).astype("<f4"),
    RNG.standard_normal((2, 4)).astype(">f8"),
    np.asfortranarray(RNG.standard_normal((5, 4)).astype("<f2")),
    RNG.standard_normal((300, 100)),  # 240 kB: its values stay in the file
    np.zeros((0, 4), np.float32),
]


def header(count):
    """The bytes before the pickle of `count` objects."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|O", "fortran_order": False, "shape": (count,)}
    )
    return file.getvalue()


def write(path, content, count=1):
    path.write_bytes(header(count) + content)
    return path


# === Reading ===


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_are_read_as_numpy_reads_them(tmp_path, protocol):
    if protocol == 2:
        content = python2_pickle(ARRAYS)
    else:
        content = pickle.dumps(objects(ARRAYS), protocol=protocol)
    path = write(tmp_path / "x.npy", content, len(ARRAYS))
    expected = np.load(path, allow_pickle=True, encoding="bytes")
    found = object_arrays.read(path)
    assert len(found) == len(ARRAYS)
    for index, (array, ours) in enumerate(zip(expected, found, strict=True)):
        values, digest = ours.content()
        assert ours.header() == (array.shape, values.dtype)
        # NumPy swaps the bytes of big-endian arrays when it unpickles them.
        assert values.dtype == ARRAYS[index].dtype
        assert array.dtype == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(values, array)
        assert str(ours) == f"{path}[{index}]"
        raw = ARRAYS[index].tobytes("A")
        assert digest == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_python_2_and_both_module_names_of_numpy(tmp_path, module):
    content = python2_pickle(ARRAYS, module)
    found = object_arrays.read(write(tmp_path / "x.npy", content, 5))
    for array, ours in zip(ARRAYS, found, strict=True):
        np.testing.assert_array_equal(ours.content()[0], array)


def test_lists_text_and_numbers(tmp_path):
    items = [[[0.5, 2], [3, 4.25]], [], ["Jump", "Été"], [None, True, -70000]]
    items += [(1, "x"), 2**40, np.float64(0.5), np.int32(7)]
    path = tmp_path / "x.npy"
    np.save(path, objects(items), allow_pickle=True)
    assert object_arrays.read(path) == items


def test_arrays_of_other_kinds(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.array([[1.5], [2.5]]))
    assert object_arrays.read(path) == [1.5, 2.5]
    np.save(path, np.array([b"a", b"bc"]))
    assert object_arrays.read(path) == [b"a", b"bc"]
    words = np.array(["Jump", "Été"])
    np.save(path, objects([words, objects([1, "a"])]), allow_pickle=True)
    inner, mixed = object_arrays.read(path)
    assert inner.content()[0].tolist() == ["Jump", "Été"]
    assert mixed.objects == (1, "a")


def test_features_takes_them(tmp_path):
    path = write(tmp_path / "x.npy", python2_pickle(ARRAYS), len(ARRAYS))
    found = object_arrays.read(path)
    measured = feature_files.inspect([found[2]])
    assert (measured.num_snippets, measured.widths) == (5, (4,))
    loaded, _ = feature_files.load([found[2]], 5)
    np.testing.assert_array_equal(loaded, ARRAYS[2].astype(np.float32))
    with pytest.raises(
        InputError, match=r"x.npy\[4\] is empty .shape \(0, 4\)"
    ):
        feature_files.inspect([found[4]])


def test_memory_does_not_hold_the_arrays(tmp_path):
    """Reading 20 MB of arrays takes less than a tenth of that."""
    tracemalloc = pytest.importorskip("tracemalloc")
    path = tmp_path / "x.npy"
    arrays = [np.zeros((50, 50)) for _ in range(1000)]  # 20 kB each
    np.save(path, objects(arrays), allow_pickle=True)
    assert path.stat().st_size > 20e6
    del arrays
    tracemalloc.start()
    try:
        for array in object_arrays.read(path):
            array.content()
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


# === Refusing ===


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(path):
    return f"open({str(path)!r}, 'w').close()"


# Each makes the file `path` when it is unpickled by NumPy.
ATTACKS = {
    "os.system": lambda path: Call(os.system, f"touch {path}"),
    "eval": lambda path: Call(eval, touch(path)),
    "exec": lambda path: Call(exec, touch(path)),
    "os.mkdir": lambda path: Call(os.mkdir, str(path)),
    "nested": lambda path: [[1, ["a", Call(eval, touch(path))]]],
    "in an array": lambda path: objects([1, Call(eval, touch(path))]),
    "numpy.memmap": lambda path: Call(np.memmap, str(path), "u1", "w+", 0, 1),
    "numpy.save": lambda path: Call(np.save, str(path), 0.0),
    "numpy.savetxt": lambda path: Call(np.savetxt, str(path), [0.0]),
    "after an array": lambda path: [np.zeros(2), Call(eval, touch(path))],
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_attacks_are_refused_and_not_run(tmp_path, attack, protocol):
    marker = tmp_path / "marker.npy"
    content = pickle.dumps(objects([attack(marker)]), protocol=protocol)
    path = write(tmp_path / "x.npy", content)
    with pytest.raises(InputError, match="x.npy .*is not loaded") as error:
        object_arrays.read(path)
    assert "\n" not in str(error.value)
    assert not marker.exists()
    # NumPy itself executes the attack.
    array = np.load(path, allow_pickle=True)
    assert marker.exists()
    del array


NAME = b"cnumpy.core.multiarray\n_reconstruct\n"
TRICKS = {
    # opcodes other than REDUCE that call or construct
    "inst": b"(S'touch MARKER'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nX\x0c\x00\x00\x00touch MARKERo.",
    "newobj": b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85\x81.",
    "ext": b"\x80\x02\x82\x01.",
    "persistent id": b"Pmine\n.",
    # names that only look like NumPy's
    "other function": b"cnumpy.core.multiarray\nfromfile\n.",
    "escape": b"c\\\\umpy\nndarray\n.",
    "attribute": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
    "name of a number": b"\x80\x04K\x01K\x02\x93.",
    # NumPy's own, misused
    "reconstruct a name": NAME + b"(cnumpy\ndtype\nK\x00\x85U\x01btR.",
    "call an array": b"cnumpy\nndarray\nK\x0a\x85R.",
    "attributes of a name": b"\x80\x02cnumpy\ndtype\n}b.",
    "no tuple": b"cnumpy\ndtype\nX\x02\x00\x00\x00f4R.",
    "fields": b"cnumpy\ndtype\nX\x02\x00\x00\x00V8\x85R.",
    "no array": b"\x80\x02]K\x01a.",
    "unfinished": NAME + b"(cnumpy\nndarray\nK\x00\x85U\x01btR.",
    "a list twice": b"\x80\x02]q\x00h\x00a.",
    "append to a number": b"\x80\x02K\x01K\x02a.",
}
DAMAGE = {
    "empty": b"",
    "stack": b"\x80\x02\x85.",
    "mark": b"\x80\x02t.",
    "memo": b"\x80\x02h\x07.",
    "nothing left": b"\x80\x02.",
    "text of 4 GB": b"\x80\x02X\xff\xff\xff\x7fabc",
    "bytes of 2**60": b"\x80\x04\x8e" + struct.pack("<q", 2**60) + b"abc",
    "no end": b"\x80\x02K\x01",
    "unknown": b"\x80\x02\xff",
    "long name": b"c" + b"a" * 1000 + b"\nb\n.",
}


@pytest.mark.parametrize("program", TRICKS.values(), ids=TRICKS)
def test_tricks_are_refused(tmp_path, program, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "x.npy", program)
    with pytest.raises(InputError, match="x.npy .*is not loaded"):
        object_arrays.read(path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("program", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(tmp_path, program):
    path = write(tmp_path / "x.npy", program)
    with pytest.raises(InputError, match="x.npy is damaged"):
        object_arrays.read(path)


def test_truncated_anywhere(tmp_path):
    content = header(len(ARRAYS)) + python2_pickle(ARRAYS[:3])
    path = tmp_path / "x.npy"
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(InputError):
            object_arrays.read(path)


def test_shorter_than_its_header_says(tmp_path):
    path = write(tmp_path / "x.npy", python2_pickle(ARRAYS), 7)
    with pytest.raises(InputError, match="damaged .its size"):
        object_arrays.read(path)


def test_values_of_another_size_than_the_shape(tmp_path):
    content = python2_pickle([ARRAYS[0]]).replace(b"K\x03K\x04", b"K\x05K\x04")
    path = write(tmp_path / "x.npy", content)
    with pytest.raises(InputError, match="without its values"):
        object_arrays.read(path)


def test_nested_lists(tmp_path):
    """2 ** 60 items in 400 bytes must not be visited."""
    content = b"\x80\x02]q\x00"
    for index in range(60):
        content += b"]q" + bytes([index + 1])
        content += (b"h" + bytes([index]) + b"a") * 2
    path = write(tmp_path / "x.npy", content + b".")
    with pytest.raises(InputError, match="is not an array"):
        object_arrays.read(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="x.npy cannot be read"):
        object_arrays.read(tmp_path / "x.npy")


SEEDS = [
    python_pickle
    for python_pickle in (
        pickle.dumps(objects(ARRAYS[:3]), protocol=3),
        pickle.dumps(objects([["a", [1.0, 2]], ["b"]]), protocol=4),
    )
]


def python2_pickle(arrays, module="numpy.core"):
    """The pickle of an object array as Python 2 writes it, protocol 2.

    It uses BINSTRING for dtypes, orders and values.
    """

    def text(value):
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value):
        if value < 0:
            return b"J" + struct.pack("<i", value)
        if value < 256:
            return b"K" + bytes([value])
        return b"M" + struct.pack("<H", value)

    def dtype(of):
        code = of.str[1:].encode()
        last = [-1, -1, 63 if code[:1] == b"O" else 0]
        state = number(3) + text(of.str[:1].encode()) + b"NNN"
        state += b"".join(map(number, last))
        code = b"O8" if code[:1] == b"O" else code
        call = b"cnumpy\ndtype\n" + text(code) + number(0) + number(1)
        return call + b"\x87R(" + state + b"tb"

    def array(shape, of, fortran, values):
        call = f"c{module}.multiarray\n_reconstruct\n".encode()
        call += b"cnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b")
        sizes = b"(" + b"".join(map(number, shape)) + b"t"
        state = number(1) + sizes + dtype(of)
        state += (b"\x88" if fortran else b"\x89") + values
        return call + b"\x87R(" + state + b"tb"

    inner = b"".join(
        array(a.shape, a.dtype, np.isfortran(a), text(a.tobytes("A")))
        for a in arrays
    )
    whole = array((len(arrays),), np.dtype("O"), False, b"](" + inner + b"e")
    return b"\x80\x02" + whole + b"."
