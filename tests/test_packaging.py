import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.conftest import ROOT, random_record, write_records


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT,
        folder / "source",
        ignore=shutil.ignore_patterns(".*", "demo", "build", "*.egg-info"),
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
        + ["--no-build-isolation", "--wheel-dir", folder, folder / "source"],
        check=True,
        timeout=300,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_packages_and_recipes(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "tfwstal/method/model.py",
        "tfwstal/plotting/html_report.html",
        "tfwstal/plotting/html_report.css",
        "tfwstal/plotting/html_report.js",
        "tfwstal/configs/thumos14.flags",
        "tfwstal/configs/ablations/table3_row1_fg.flags",
        "tfrecords_tools/convert.py",
        "tfrecords_tools/labels/wtalc_arrays.py",
        "tfrecords_tools/layouts/archives.py",
        "tfrecords_tools/object_arrays/interpreter.py",
    ):
        assert name in names
    assert not [name for name in names if name.startswith("tests")]


def test_installed_elsewhere_it_trains_from_another_folder(wheel, tmp_path):
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
        + ["--target", site, wheel],
        check=True,
        timeout=300,
    )
    work = tmp_path / "work"
    work.mkdir()
    write_records(work / "records", {"train": [random_record("v", 9)]})
    found = subprocess.run(
        [sys.executable, "-m", "tfwstal.train", "--data_dir=records"]
        + ["--flagfile=configs/thumos14.flags", "--run_dir=run"]
        + ["--flagfile=configs/ablations/table3_row1_fg.flags", "--epochs=1"],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site)},
    )
    assert found.returncode == 0, found.stderr
    flags = (work / "run" / "flags.flags").read_text()
    assert "--num_snippets=750\n" in flags  # from the recipe
    assert "--lambda_gui=0.0\n" in flags  # from the ablation


def test_an_editable_install_wins_over_a_folder_of_the_same_name(tmp_path):
    """With setuptools' hook for editable installs, `import tfwstal` in the
    parent of a checkout called tfwstal gave an empty namespace."""
    checkout = tmp_path / "tfwstal"
    ignored = shutil.ignore_patterns(".*", "demo", "build", "*.egg-info")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    environment = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--system-site-packages", environment],
        check=True,
        timeout=120,
    )
    python = environment / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--no-deps", "--quiet"]
        + ["--no-build-isolation", "--editable", checkout],
        check=True,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": site_packages()},
    )
    found = subprocess.run(
        [python, "-c", FIND],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert found.stdout.strip() == str(checkout / "tfwstal" / "__init__.py")


FIND = "from importlib import util; print(util.find_spec('tfwstal').origin)"


def site_packages():
    """The folder with this interpreter's build tools."""
    return sysconfig.get_paths()["purelib"]
