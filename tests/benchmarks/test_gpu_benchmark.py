"""benchmarks.gpu at a tiny size, on any device."""

import json
import subprocess
import sys

import keras
import pytest

from tests.conftest import ROOT
from tfwstal.keras_versions import KERAS_3

if not KERAS_3:
    pytest.skip("measured in the main lane alone", allow_module_level=True)
from benchmarks import gpu, gpu_tensorflow

TINY = [
    *("--batch=2", "--snippets=8", "--features=8", "--classes=2"),
    *("--matrix=16", "--repeats=1", "--steps=1"),
]


def test_all_rows_are_measured_and_written(tmp_path, capsys):
    path = tmp_path / "gpu.json"
    policy = keras.config.dtype_policy().name
    result = gpu.main([*TINY, "--precisions", "bfloat16", f"--json={path}"])
    assert keras.config.dtype_policy().name == policy
    assert json.loads(path.read_text()) == result
    assert [row["way"] for row in result["rows"]] == [
        "TensorFlow, XLA off",
        "TensorFlow, XLA on",
        "matrices, TensorFlow",
    ]
    assert all(row["median_ms"] > 0 for row in result["rows"])
    table = capsys.readouterr().out
    assert "| TensorFlow, XLA on | bfloat16 |" in table


def test_shares_of_the_rate_by_hand():
    arguments = gpu._arguments([*TINY, "--steps=2"])
    products = {("matrices", "tf32"): None}
    seconds = {("ours", "tf32"): [4.0, 2.0, 9.0], ("matrices", "tf32"): [2.0]}
    ours, matrices = gpu.rows(arguments, seconds, products)
    # 2 products of [16, 24] and [24, 8]: 12288 FLOP in 2 s a step; 2 x 16^3
    # = 8192 in 1 s.
    assert ours["median_ms"] == pytest.approx(2000)
    assert ours["gflop_per_s"] == pytest.approx(6144e-9)
    assert matrices["gflop_per_s"] == pytest.approx(8192e-9)
    assert ours["to_matrix_rate"] == pytest.approx(0.75)
    assert matrices["to_matrix_rate"] == 1


def test_the_hlo_states_the_precision_of_each_product():
    """In float32 every product requests the highest precision."""
    arguments = gpu._arguments([*TINY, "--precisions", "float32"])
    step, data = gpu_tensorflow._training_step(arguments, "float32", xla=True)
    compiled = step.experimental_get_compiler_ir(*data)
    for precision, exact in (("float32", True), ("tf32", False)):
        gpu_tensorflow._round_products(precision)
        products = [
            line for line in compiled("hlo").splitlines() if " dot(" in line
        ]
        assert len(products) > 5
        for line in products:
            assert ("operand_precision={highest,highest}" in line) == exact


def test_jaxlib_does_the_same_step(tmp_path):
    pytest.importorskip("jax")
    sizes = [*TINY, "--precisions", "float32"]
    gpu.main([*sizes, f"--dump={tmp_path}", "--check"])
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *sizes, f"--hlo={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    words = found.stdout.splitlines()[0].split()
    assert float(words[words.index("by") + 1]) < 1e-5
    assert "| HLO by jaxlib | float32 |" in found.stdout
