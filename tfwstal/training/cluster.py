"""The processes of --strategy=multiworker: who they are and where."""

import json
import os
import re
import socket
import time

from tfwstal.errors import InputError

_WAIT_SECONDS = 600.0  # for the other workers to be started


def parse(text):
    """The workers of TF_CONFIG.

    Args:
        text: that of TF_CONFIG, or None.

    Returns:
        list of HOST:PORT of all workers, chief first; the index of this one;
        whether the chief is a job apart from the workers.

    Raises:
        InputError: if the text is missing or invalid.
    """
    example = (
        '{"cluster": {"worker": ["HOST0:PORT", "HOST1:PORT"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    if not text:
        raise InputError(
            "--strategy=multiworker: the environment variable TF_CONFIG is "
            f"not set; set it for every worker, such as {example}"
        )
    try:
        found = json.loads(text)
        jobs, task = found["cluster"], found["task"]
        addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
        own_chief, kind = bool(jobs.get("chief")), task["type"]
        index = int(task["index"])
        names = jobs[kind]
        if (
            not set(jobs) <= {"chief", "worker"}
            or len(jobs.get("chief", [])) > 1
            or len(set(addresses)) < len(addresses)
            or not 0 <= index < len(names)
            or not all(re.fullmatch(r".+:\d+", each) for each in addresses)
        ):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"--strategy=multiworker: TF_CONFIG={text[:200]} does not name "
            "workers (and at most one chief), each once, and which of them "
            f"this is; it is like {example}"
        ) from None
    return addresses, index + (own_chief and kind == "worker"), own_chief


def wait_for_others(addresses, index):
    """Waits until all workers listen at their ports.

    TensorFlow waits too, but up to an hour, without saying for which worker,
    and neither Ctrl-C nor SIGTERM ends it.

    Args:
        addresses: HOST:PORT of all workers.
        index: place of this process among them.

    Raises:
        InputError: if a worker does not answer in time, or this one cannot
            listen at its port.
    """
    others = list(addresses)
    own = others.pop(index)
    end = time.monotonic() + _WAIT_SECONDS
    try:
        listener = socket.create_server(("", int(own.rpartition(":")[2])))
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else error
        raise InputError(
            f"--strategy=multiworker: worker {index} cannot listen at its "
            f"port in TF_CONFIG, {own} ({reason}); give another one"
        ) from None
    with listener:
        while others := [each for each in others if not _listens(each)]:
            if time.monotonic() > end:
                raise InputError(
                    "--strategy=multiworker: no worker answers at "
                    f"{', '.join(others)}; start all that TF_CONFIG names "
                    f"within {_WAIT_SECONDS / 60:g} minutes"
                )
            time.sleep(0.2)


def _listens(address):
    """Whether a connection can be made to HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 5.0).close()
    except (OSError, OverflowError):
        return False
    return True
