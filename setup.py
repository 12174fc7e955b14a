"""Packaging. `make test` and `make demo` install what they need by it."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "tfwstal" / "__init__.py").read_text()
).group(1)

# Films and optical flow; 17.1 is the last PyAV for Python 3.10.
EXTRACT = ["av>=17.1", "opencv-contrib-python-headless>=5.0"]
# The engine for several machines, with the runner that its tests use: Dask.
BEAM = ["apache-beam[dask]>=2.77"]
# What the tests of the core need; those of the lane of tensorflow-addons have
# no more.
TEST_CORE = ["pytest>=8.0", "pytest-xdist>=3.5", "hypothesis>=6.100"]

setup(
    name="tfwstal",
    version=VERSION,
    description="Weakly-supervised temporal action localization with Keras",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["tfwstal*", "tfrecords_tools*"]),
        "tfwstal.configs",
    ],
    # The recipes lie at the top of the checkout and inside the package once
    # installed; `--flagfile=configs/x.flags` finds them in either place.
    package_dir={"tfwstal.configs": "configs"},
    package_data={
        "tfwstal.plotting": ["html_report.*"],
        "tfwstal.configs": ["*.flags", "ablations/*.flags"],
    },
    # An editable install is a path. The default, an import hook, loses to a
    # folder called tfwstal in the working directory, such as the checkout
    # itself seen from its parent.
    options={"editable_wheel": {"mode": "compat"}},
    # Lower bounds are versions that the tests were run with. 2.15 is the lane
    # of tensorflow-addons; 2.16 and 2.17 lie between the lanes, untried.
    install_requires=[
        "tensorflow>=2.15.1,!=2.16.*,!=2.17.*",
        "keras>=2.15",
        "numpy>=1.26",
        "absl-py>=1.4",
        "tensorboard>=2.15",
        "matplotlib>=3.8",
        "tqdm>=4.66.1",
        "h5py>=3.14",
    ],
    extras_require={
        # What users asked to have at hand; no code of ours uses it yet, so no
        # bound was tried.
        "gpu": ["tensorflow[and-cuda]"],
        "addons": [
            "tensorflow-addons>=0.23; python_version<'3.12'",
            "tensorflow>=2.15.1,<2.16; python_version<'3.12'",
        ],
        # Each of its releases asks for the TensorFlow of the same number or a
        # later one, so that the lanes find theirs.
        "serving": ["tensorflow-serving-api>=2.15.1"],
        "beam": BEAM,
        "extract": EXTRACT,
        "test-core": TEST_CORE,
        "test": [
            *TEST_CORE,
            *EXTRACT,
            *BEAM,
            # Writes the .mat files of the tests, and reads them for comparison.
            "scipy>=1.11",
            "ruff",
            "setuptools",
            "wheel",
            "tensorflow-datasets>=4.9.10",
            "tensorflow-serving-api>=2.15.1",
            "PyYAML>=6.0.3",
        ],
    },
)
