"""Files of a run that were changed afterwards."""

import io
import json
import zipfile

import numpy as np
import pytest

from tests.conftest import random_model
from tfwstal.errors import InputError
from tfwstal.training import run_creation, run_folder

FLAGS = {"epochs": "3", "seed": "0", "eta": "0.1,0.2"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_folder.create(folder, FLAGS, ("a", "b", "c"))
    run_folder.save_model(random_model(), folder)
    return folder


@pytest.fixture
def touched(whole, tmp_path):
    """A function that copies the run with changed files."""

    def copy(**contents):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        for name in ("model.keras", "classes.txt", "flags.flags"):
            content = contents.get(name.split(".")[0])
            if content is None:
                content = (whole / name).read_bytes()
            (folder / name).write_bytes(content)
        return folder

    return copy


# === classes.txt ===


def test_a_byte_order_mark_is_not_part_of_a_name(touched):
    folder = touched(classes="\ufeffa\nb\nc\n".encode())
    assert run_folder.load(folder)[1] == ("a", "b", "c")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\nb\n", "line 3: the name 'b' is listed twice"),
        (b"a\n\nc\n", "line 2: the name '' is empty"),
        (b"a\nb \nc\n", "line 2: the name 'b ' begins or ends"),
        (b"a\nb\x00\nc\n", "line 2: the name .* contains"),
        (b"a\n\xff\nc\n", "is damaged .not UTF-8 text"),
        (b"a\nb\nc\nd\n", "has 4 names, but model.keras was trained for 3"),
        (b"", "has 0 names"),
    ],
)
def test_class_names_that_were_changed(touched, content, message):
    folder = touched(classes=content)
    with pytest.raises(InputError, match=f"classes.txt.* {message}"):
        run_folder.load(folder)


# === model.keras ===


def _zip(**members):
    """The bytes of an archive with the named members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_json", ".json"), content)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        _zip(),
        _zip(config_json="[" * 100_000, metadata_json="{}"),
        _zip(config_json="null", metadata_json="{}"),
        _zip(
            config_json=json.dumps(
                {
                    "module": "keras",
                    "class_name": "Sequential",
                    "config": {"name": "s", "layers": []},
                }
            ),
            metadata_json="{}",
        ),
    ],
)
def test_a_file_that_is_not_a_model(touched, content):
    folder = touched(model=content)
    with pytest.raises(InputError, match="model.keras is damaged or was not"):
        run_folder.load(folder)


def test_weights_that_are_not_finite(touched):
    folder = touched()
    model = random_model()
    model.centroids.assign(model.centroids * np.nan)
    model.save(folder / "model.keras")
    with pytest.raises(InputError, match="model.keras: a weight is not finite"):
        run_folder.load(folder)


# === The folder itself ===


def test_a_folder_that_is_not_a_run(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        run_folder.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not a run folder"):
        run_folder.load(tmp_path)


class TestUnfinished:
    """Whether training resumes, depending on flags.flags."""

    @pytest.fixture
    def resume(self, tmp_path):
        def resume(content, overwrite=False):
            folder = tmp_path / "run"
            folder.mkdir()
            (folder / "flags.flags").write_bytes(content)
            return run_creation.can_resume(
                folder, tmp_path / "records", FLAGS, overwrite
            )

        return resume

    @pytest.mark.parametrize(
        "content",
        [
            b"--epochs=3\n--seed=0\n--eta=0.1,0.2\n",
            b"\n--epochs=3\n\n# a comment\n--seed=0\n// too\n--eta=0.1,0.2",
            b"-epochs=3\r\n  --seed=0\r\n--eta=0.1,0.2\r\n--more\n",
        ],
    )
    def test_the_same_flags_in_any_form(self, resume, content):
        assert resume(content)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "--epochs=3 was unset"),
            (b"--epochs\n--seed=0\n", "--epochs=3 was --epochs=;"),
            (b"--epochs=3\n--seed=1\n", "--seed=0 was --seed=1"),
            (b"--epochs=3\xff\n", "flags.flags is not UTF-8 text"),
            (b"\x00" * 99, "--epochs=3 was unset"),
        ],
    )
    def test_other_flags_are_refused(self, resume, content, message):
        with pytest.raises(
            InputError, match=f"unfinished run.*{message}.*--overwrite"
        ):
            resume(content)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"b\na\nc\n", "does not have the classes of records; restore"),
            (b"a\nb\n", "does not have the classes of records; restore"),
            (b"a\n\nc\n", "line 2: the name '' is empty; restore"),
            (b"\xff", "is damaged .not UTF-8 text.; restore"),
            (None, "cannot be read .No such file or directory.; restore"),
        ],
    )
    def test_other_classes_are_refused(self, tmp_path, content, message):
        folder = tmp_path / "run"
        run_folder.create(folder, FLAGS, ("a", "b", "c"))
        path = folder / "classes.txt"
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(InputError, match=f"classes.txt.* {message}"):
            with run_creation.creating(
                folder, "records", FLAGS, ("a", "b", "c")
            ):
                pass
        assert (folder / "flags.flags").exists()  # as it was
        path.write_text("a\nb\nc\n")
        with run_creation.creating(folder, "records", FLAGS, ("a", "b", "c")):
            pass

    @pytest.mark.parametrize("content", [b"", b"\xff", b"--seed=1"])
    def test_other_flags_are_replaced_if_asked(self, resume, content):
        assert not resume(content, overwrite=True)


def test_a_finished_run_says_that_it_is_finished(whole, tmp_path):
    more = FLAGS | {"epochs": "9"}
    with pytest.raises(
        InputError,
        match="finished run, which cannot be trained further "
        r"\(--epochs=9 was --epochs=3\); choose another folder",
    ):
        run_creation.can_resume(whole, tmp_path / "records", more)
