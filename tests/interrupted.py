"""Runs commands and interrupts them at a chosen call of a function."""

import json
import os
import subprocess
import sys

from tests.conftest import ROOT

# Each command is a process, forked from one that has imported TensorFlow.
_SCRIPT = """
import importlib, json, os, resource, signal, sys
from tfwstal import command_line

def act(what):
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
    else:  # a disk that is full from here on
        resource.setrlimit(resource.RLIMIT_FSIZE, (what, what))

def at(where, count, after, what="kill"):
    module, _, name = where.rpartition(":")
    owner = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    function, calls = getattr(owner, name), []
    def call(*args, **kwargs):
        calls.append(0)
        if len(calls) == count and not after:
            act(what)
        result = function(*args, **kwargs)
        if len(calls) == count and after:
            act(what)
        return result
    setattr(owner, name, call)

command = importlib.import_module(sys.argv[1])
for arguments, point in json.loads(sys.argv[2]):
    sys.stdout.flush()
    process = os.fork()
    if not process:
        if point:
            at(*point)
        name = sys.argv[1].rpartition(".")[2]
        sys.argv = [name, *arguments]
        command_line.run(command.main, name)
    print("exit", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"""


def run(command, jobs):
    """Runs a command once for each job, in turn.

    Args:
        command: its module, such as "tfwstal.train".
        jobs: list of (arguments, point). A point is None, or a tuple of a
            function, "MODULE:NAME"; the number of the call, from 1; whether
            to interrupt after the call instead of before it; and how: "kill"
            (the default), "terminate", or the maximum bytes of a file.

    Returns:
        The exit codes, negative for signals, and all of standard error.
    """
    found = subprocess.run(
        [sys.executable, "-c", _SCRIPT, command, json.dumps(jobs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=900,
    )
    assert found.returncode == 0, found.stderr
    lines = [line.split() for line in found.stdout.splitlines()]
    codes = [int(words[1]) for words in lines if words[:1] == ["exit"]]
    return codes, found.stderr
