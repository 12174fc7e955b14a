"""Output files: which are refused, and that writing is atomic."""

import json
import os
import stat

import pytest

from tfwstal import files
from tfwstal.errors import InputError


class TestCheckOutputs:
    def test_an_existing_file(self, tmp_path):
        path = tmp_path / "found.json"
        files.check_outputs({"detections": path}, [], False)
        path.write_text("mine")
        with pytest.raises(InputError, match="--detections=.*--overwrite"):
            files.check_outputs({"detections": path}, [], False)
        files.check_outputs({"detections": path}, [], True)

    def test_no_output(self):
        files.check_outputs({"report": "", "picture": ""}, ["", ""], False)

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        path = tmp_path / "file" / "report.json"
        with pytest.raises(InputError, match="report=.*cannot be written"):
            files.check_outputs({"report": path}, [], False)

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize("kind", ["fifo", "folder", "device", "link"])
    def test_only_regular_files_may_be_replaced(
        self, tmp_path, kind, overwrite
    ):
        path = tmp_path / "out"
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/dev/null")
        else:
            path = "/dev/null"
        with pytest.raises(InputError, match="is not a regular file"):
            files.check_outputs({"report": path}, [], overwrite)

    @pytest.mark.parametrize("name", ["a\0b.json", "\0"])
    def test_a_nul_in_the_path(self, name):
        with pytest.raises(InputError, match=r"\\x00.*contains a NUL"):
            files.check_outputs({"report": name}, ["x"], True)

    @pytest.mark.parametrize(
        "kind", ["same", "dots", "new", "symbolic", "hard"]
    )
    def test_an_input(self, tmp_path, monkeypatch, kind):
        monkeypatch.chdir(tmp_path)
        given = tmp_path / "given.json"
        given.write_text("mine")
        (tmp_path / "x").mkdir()
        (tmp_path / "symbolic").symlink_to(given)
        (tmp_path / "hard").hardlink_to(given)
        output = {
            "same": given,
            "dots": "./x/../given.json",
            "new": "new/../given.json",
            "symbolic": tmp_path / "symbolic",
            "hard": tmp_path / "hard",
        }[kind]
        with pytest.raises(InputError, match="--report=.* is also an input"):
            files.check_outputs({"report": output}, ["", given], True)

    def test_an_input_that_does_not_exist_yet(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match="is also an input"):
            files.check_outputs({"report": "a"}, [tmp_path / "a"], True)

    def test_two_outputs_with_one_path(self, tmp_path):
        path = tmp_path / "both"
        with pytest.raises(InputError, match="--picture=.* is also --report"):
            files.check_outputs({"report": path, "picture": path}, [], True)


class TestWrite:
    def test_replaces_and_leaves_nothing_else(self, tmp_path):
        path = tmp_path / "x.json"
        path.write_text("old")
        files.write_json(path, {"a": [1]})
        assert json.loads(path.read_text()) == {"a": [1]}
        assert os.listdir(tmp_path) == ["x.json"]

    @pytest.mark.parametrize("content", ["é\n", b"\xff\0"])
    def test_text_and_bytes_in_a_new_folder(self, tmp_path, content):
        path = tmp_path / "new" / "x"
        files.write(path, content)
        expected = content.encode() if isinstance(content, str) else content
        assert path.read_bytes() == expected

    def test_a_full_disk_keeps_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "x.json"
        path.write_text("old")

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(InputError, match="x.json cannot .*space.*; free"):
            files.write_json(path, {})
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["x.json"]

    def test_under_a_file(self, tmp_path):
        (tmp_path / "x").write_text("old")
        with pytest.raises(InputError, match="y.json cannot be .*; choose"):
            files.write_json(tmp_path / "x" / "y.json", {})

    def test_a_link_stays_a_link(self, tmp_path):
        (tmp_path / "target").write_text("old")
        (tmp_path / "link").symlink_to("target")
        files.write(tmp_path / "link", "new")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").read_text() == "new"

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_never_replaces_what_is_not_a_regular_file(self, tmp_path, make):
        make(tmp_path / "x")
        before = stat.S_IFMT(os.stat(tmp_path / "x").st_mode)
        with pytest.raises(InputError, match="not a regular file"):
            files.write(tmp_path / "x", "new")
        assert stat.S_IFMT(os.stat(tmp_path / "x").st_mode) == before
        assert os.listdir(tmp_path) == ["x"]


def test_replacing_under_a_given_name(tmp_path):
    (tmp_path / "new-x").write_text("left by a killed process")
    with files.replacing(tmp_path / "x", "new-x") as temporary:
        assert temporary == tmp_path / "new-x"
        temporary.write_text("whole")
    assert os.listdir(tmp_path) == ["x"]


def test_replacing_after_an_error(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(ZeroDivisionError):
        with files.replacing(tmp_path / "x") as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_numbered_lines(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffa\r\n\n  b \n".encode())
    assert files.numbered_lines(path) == [(1, "a"), (3, "b")]


def test_numbered_lines_of_latin_1(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("Été\n".encode("latin-1"))
    with pytest.raises(InputError, match="list.txt: is not UTF-8 text"):
        files.numbered_lines(path)
