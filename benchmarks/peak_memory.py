"""A command's peak of resident memory, as Linux counts it."""

import subprocess
import sys

# The rusage of a child process starts with its parent's memory; the value in
# /proc does not: "VmHWM:   590000 kB".
_COMMAND = """
import atexit, runpy, sys

def tell():
    with open("/proc/self/status") as lines:
        print(next(line for line in lines if line.startswith("VmHWM")), end="")

atexit.register(tell)
runpy.run_module(sys.argv.pop(1), run_name="__main__")
"""


def run(module, arguments):
    """Runs `python -m MODULE ARGUMENTS` in a process of its own.

    Returns:
        The lines that it prints, and its peak memory in bytes.
    """
    found = subprocess.run(
        [sys.executable, "-c", _COMMAND, module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=3600,
    )
    *lines, peak = found.stdout.splitlines()
    return lines, int(peak.split()[1]) * 1024
