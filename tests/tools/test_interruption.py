"""convert, killed at any point, leaves all or nothing, and can be resumed."""

import pytest

from tests import interrupted
from tests.tools.raw_folders import write_acmnet
from tfrecords_tools import convert
from tfwstal.config import Config
from tfwstal.method.options import to_text

RENAME = "pathlib:Path.rename"
POINTS = {  # function, number of the call, whether after it
    "at the start": ("tfrecords_tools.layouts:discover", 1, False),
    "folder made": ("pathlib:Path.mkdir", 1, True),
    "first record": ("tfwstal.data.record:encode", 1, False),
    "between records": ("tfwstal.data.record:encode", 2, False),
    "between shards": ("tfrecords_tools.sharding.shards:write_shard", 2, False),
    "all shards": ("tfrecords_tools.sharding.shards:write_all", 1, True),
    "in the description": ("tfwstal.data.folder:_write_json", 2, False),
    "description": ("tfwstal.data.folder:DatasetInfo.write", 1, True),
    "while verifying": (
        "tfrecords_tools.sharding.verification:_compare",
        2,
        False,
    ),
    "before the name": (RENAME, 1, False),
    "after the name": (RENAME, 1, True),
    "while summing up": (
        "tfrecords_tools.sharding.provenance:summary",
        1,
        False,
    ),
}
REPLACING = {  # over old records
    "before the old ones go": (RENAME, 1, False),
    "between the names": (RENAME, 1, True),
    "after both": (RENAME, 2, True),
    "old ones half gone": ("shutil:rmtree", 1, False),
    "old ones gone": ("shutil:rmtree", 1, True),
}
CASES = [(name, False) for name in POINTS] + [(n, True) for n in REPLACING]
VERIFIED = {"num_workers": 1, "num_shards": 2, "verify": True}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of each case after its process was killed."""
    root = tmp_path_factory.mktemp("killed")
    write_acmnet(root / "raw")
    jobs, folders = [], {}
    for number, (name, replaces) in enumerate(CASES):
        folders[name] = root / str(number)
        folders[name].mkdir()
        flags = flags_of(root, folders[name])
        if replaces:
            convert.main(Config(**flags | {"num_shards": 1}))
        point = (REPLACING if replaces else POINTS)[name]
        arguments = [f"--{name}={to_text(v)}" for name, v in flags.items()]
        jobs.append((arguments + ["--overwrite"] * replaces, point))
    codes, messages = interrupted.run("tfrecords_tools.convert", jobs)
    assert codes == [-9] * len(CASES), messages
    return folders


def flags_of(root, folder):
    return VERIFIED | {
        "features_dir": str(root / "raw"),
        "output_dir": str(folder / "records"),
    }


@pytest.fixture(scope="module")
def expected(killed):
    """The records of an uninterrupted command."""
    root = next(iter(killed.values())).parent
    flags = flags_of(root, root / "whole")
    convert.main(Config(**flags))
    whole = content(root / "whole" / "records")
    convert.main(Config(**flags | {"num_shards": 1, "overwrite": True}))
    return whole, content(root / "whole" / "records")


@pytest.mark.parametrize("name, replaces", CASES, ids=[n for n, _ in CASES])
def test_absent_or_whole_and_then_completed(killed, expected, name, replaces):
    folder = killed[name]
    records = folder / "records"
    whole, old = expected
    if name in ("after the name", "while summing up", "after both") or (
        name.startswith("old ones")
    ):
        assert content(records) == whole
    elif name == "before the old ones go":
        assert content(records) == old
    else:
        assert not records.exists()
    # The same command again, unless it had finished.
    if replaces or not records.exists():
        flags = flags_of(folder.parent, folder) | {"overwrite": replaces}
        convert.main(Config(**flags))
    assert content(records) == whole
    assert [path.name for path in folder.iterdir()] == ["records"]
