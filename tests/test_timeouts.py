"""Tests and benchmarks wait for other processes with a timeout."""

import ast

from tests.conftest import ROOT

RUNS = {"run", "call", "check_call", "check_output"}  # of subprocess
WAITS = {"communicate", "wait"}


def waits_for_ever(call):
    """Whether a method call waits for a process without a timeout."""
    names = {keyword.arg for keyword in call.keywords}
    method, owner = call.func.attr, call.func.value
    if method in RUNS:
        of_subprocess = isinstance(owner, ast.Name) and owner.id == "subprocess"
        return of_subprocess and not names & {"timeout", None}
    return method in WAITS and not (call.args or "timeout" in names)


def test_every_wait_has_a_timeout():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and waits_for_ever(node)
    ]
    assert not found
