"""Opens a page in headless Chromium and runs scripts in it."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import time

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextlib.contextmanager
def opened(page, profile, seconds=120):
    """Opens a file as a page, and ends the browser at the end.

    Args:
        page: Path of the file.
        profile: Path of a folder for the browser's own files.
        seconds: timeout, after which the test fails.

    Yields:
        Page.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is on PATH")
    (commands, to_browser), (from_browser, answers) = os.pipe(), os.pipe()
    # Chromium takes commands from descriptor 3 and answers on 4.
    process = subprocess.Popen(
        [
            "sh",
            "-c",
            f'exec "$@" 3</dev/fd/{commands} 4>/dev/fd/{answers}',
            "sh",
        ]
        + [program, "--headless", "--no-sandbox", "--disable-gpu"]
        + ["--disable-background-networking", "--disable-sync"]
        + ["--disable-component-update", "--no-first-run", "--mute-audio"]
        + ["--disable-dev-shm-usage", "--window-size=1000,2000"]
        + [f"--user-data-dir={profile}", "--remote-debugging-pipe"],
        pass_fds=(commands, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(answers)
    try:
        yield Page(to_browser, from_browser, page.as_uri(), seconds)
    finally:
        process.kill()
        process.wait(timeout=60)
        os.close(to_browser)
        os.close(from_browser)


class Page:
    """A page in a browser.

    Attributes:
        messages: reports of the browser so far: errors, warnings, uncaught
            exceptions and logs of scripts.
    """

    def __init__(self, to_browser, from_browser, url, seconds):
        self._to, self._from = to_browser, from_browser
        self._deadline = time.monotonic() + seconds
        self._buffer, self._session, self._number = b"", None, 0
        self._events, self.messages = set(), []
        target = self._ask("Target.createTarget", url="about:blank")
        self._session = self._ask(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")
        self._ask("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._events:
            self._take(self._read())

    def run(self, script):
        """The value of a JavaScript expression, which may be a promise."""
        found = self._ask(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def _ask(self, method, **parameters):
        self._number += 1
        command = {
            "id": self._number,
            "method": method,
            "params": parameters,
            **({"sessionId": self._session} if self._session else {}),
        }
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._take(answer)

    def _take(self, event):
        """Records an event."""
        self._events.add(event["method"])
        if event["method"] in (
            *("Runtime.consoleAPICalled", "Runtime.exceptionThrown"),
            "Log.entryAdded",
        ):
            self.messages.append(event["params"])

    def _read(self):
        while b"\0" not in self._buffer:
            left = self._deadline - time.monotonic()
            ready, _, _ = select.select([self._from], [], [], max(left, 0))
            assert ready, "the browser does not answer"
            part = os.read(self._from, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
