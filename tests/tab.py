"""A tab of a real browser that a test reads and clicks: Chromium's DevTools protocol over a pipe, without a package.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""Only this machine can be reached: what a page would fetch elsewhere, it does without."""
PIPES = 'exec "$@" 3<&0 4>&1 < /dev/null > /dev/null'
"""Chromium reads commands from descriptor 3 and answers on 4."""
PLACE = """
(() => {
  const element = %s;
  if (!element) return null;
  element.scrollIntoView({block: "center", inline: "nearest", behavior: "instant"});
  const box = element.getBoundingClientRect();
  const place = [box.x + box.width / 2, box.y + box.height / 2];
  const hit = document.elementFromPoint(...place);
  return hit && (element.contains(hit) || hit.contains(element)) ? place : null;
})()
"""
"""The middle of an element; null while it is not there or something lies over it."""


class Tab:
    """A tab of a headless Chromium of its own, which ends with `with`; without a Chromium the test is skipped.

    Elements and conditions are expressions of JavaScript. A wait ends as soon as they are so; after `seconds` it fails
    and tells what the page says.
    """

    def __init__(self, profile: Path, width: int = 1800, height: int = 1100, seconds: float = 120) -> None:
        """The profile is a new folder, the size is in pixels."""
        if CHROMIUM is None:
            pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
        self._seconds, self._number, self._session, self._unread = seconds, 0, "", b""
        command = [CHROMIUM, *FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}", "about:blank"]
        self._chromium = subprocess.Popen(
            ["sh", "-c", PIPES, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._chromium.stdin is not None
        assert self._chromium.stdout is not None
        self._in, self._out = self._chromium.stdin, self._chromium.stdout
        self._answers = selectors.DefaultSelector()
        self._answers.register(self._out, selectors.EVENT_READ)

    def __enter__(self) -> "Tab":
        try:
            pages = self._command("Target.getTargets")["targetInfos"]
            page = next(one["targetId"] for one in pages if one["type"] == "page")
            self._session = self._command("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, AssertionError, subprocess.TimeoutExpired):
            self._session = ""
            self._command("Browser.close")
            self._chromium.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self._chromium.pid, signal.SIGKILL)
        self._chromium.wait()
        for opened in (self._answers, self._in, self._out):
            opened.close()

    def open(self, address: str) -> None:
        self._command("Page.navigate", url=address)

    def see(self, expression: str) -> Any:
        """Its value now."""
        answer = self._command("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, expression: str, right: Callable[[Any], bool] = bool) -> Any:
        """Its value, as soon as that is right."""
        until = time.monotonic() + self._seconds
        while not right(value := self.see(expression)):
            if time.monotonic() > until:
                page = self.see("`${location.href}\\n${document.body?.innerText}`")
                raise AssertionError(f"not within {self._seconds} s: {expression}\nIt is {value!r} on\n{page}")
            time.sleep(0.05)
        return value

    def click(self, element: str) -> None:
        """Presses the mouse where the element is, as soon as it can be pressed and has come to rest."""
        before: list[Any] = []

        def rests(place: Any) -> bool:
            before.append(place)
            return bool(place) and before[-2:] == [place, place]

        x, y = self.wait(PLACE % element, rests)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self._command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def picture(self, x: float, y: float, width: float, height: float) -> bytes:
        """This part of what is in sight, as PNG."""
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        return base64.b64decode(self._command("Page.captureScreenshot", format="png", clip=clip)["data"])

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        command = {"id": self._number, "method": method, "params": parameters, **session}
        self._in.write(json.dumps(command).encode() + b"\0")
        until = time.monotonic() + self._seconds
        while (answer := self._next(until)).get("id") != self._number:
            pass  # what else happened
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def _next(self, until: float) -> dict[str, Any]:
        """The next message of the browser."""
        while b"\0" not in self._unread:
            assert self._answers.select(max(0, until - time.monotonic())), "Chromium does not answer"
            more = self._out.read(1 << 20)
            assert more, "Chromium has ended"
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(message))
