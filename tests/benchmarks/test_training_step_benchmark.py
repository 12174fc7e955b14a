"""The benchmark's PyTorch step is equivalent to ours.

TFWSTAL_TORCH_PYTHON names an interpreter with PyTorch.
"""

import os

import pytest

from tfwstal.keras_versions import KERAS_3
from tfwstal.method.model import TERMS

if not KERAS_3:
    pytest.skip("measured in the main lane alone", allow_module_level=True)
from benchmarks import training_step_check

SIZES = {"batch": 3, "snippets": 40, "features": 32, "classes": 5}


@pytest.fixture
def torch_python():
    if "TFWSTAL_TORCH_PYTHON" not in os.environ:
        pytest.skip("TFWSTAL_TORCH_PYTHON is not set")
    return os.environ["TFWSTAL_TORCH_PYTHON"]


def test_one_step_in_pytorch_is_ours(torch_python):
    found = training_step_check.differences(torch_python, **SIZES)
    assert len(found) == len(TERMS) + 2 * 7  # of seven weights
    assert not training_step_check.too_large(found), found


@pytest.mark.parametrize(
    ("options", "noticed"),
    [
        ({"classifier": "own"}, ("cls_fg", "gradient of class_kernel")),
        ({"activation": "weighted"}, ("gui",)),
        ({"labels": "multi_hot"}, ("cls_fg", "cls_ct")),
        ({"lambda_smt": 0.051}, ("gradient of centroids",)),
    ],
    ids=str,
)
def test_another_network_is_noticed(torch_python, options, noticed):
    found = training_step_check.differences(torch_python, **SIZES, **options)
    assert set(noticed) <= set(training_step_check.too_large(found))


def test_nan_counts_as_too_large():
    found = {"gui": float("nan"), "smt": 1e-6, "movement of centroids": 1e-3}
    assert training_step_check.too_large(found) == ["gui"]
