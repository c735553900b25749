"""A headless Chromium, driven over the pipe of its DevTools protocol: no server, no port."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Drawing by the processor, since a machine of tests has no screen; nothing is looked up by itself.
FLAGS = (
    "--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 60.0  # seconds until an answer must have come


def find_chromium() -> str | None:
    """The path of the first browser there is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab, and what it complained about.

    Attributes:
        complaints: Texts of errors and warnings on the console, of exceptions and the log.
        requests: Addresses that were asked for, but for those of data in the page itself.
    """

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._buffer, self._next = write, read, b"", 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        number = self._next
        while (answer := self._receive()).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._read], [], [], left)[0]:
                raise TimeoutError("the browser gave no answer")
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, content = event.get("method"), event.get("params", {})
        if method == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(content["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(content["exceptionDetails"]))
        elif method == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.complaints.append(content["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            address = content["request"]["url"]
            if not address.startswith("data:"):
                self.requests.append(address)

    def resize(self, width: int, height: int, scale: float = 1.0) -> None:
        """Gives the page so many CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip

    def open(self, path: Path) -> None:
        """Loads a file and waits until its scripts have run and two images were drawn."""
        self.visit(path.resolve().as_uri())

    def visit(self, address: str) -> None:
        """Loads an address and waits as `open` does."""
        self.call("Page.navigate", url=address)
        deadline = time.monotonic() + PATIENCE
        while self.run("document.readyState") != "complete":
            if time.monotonic() > deadline:
                raise TimeoutError(f"{address} did not load")
            time.sleep(0.02)
        self.settle()

    def run(self, script: str) -> Any:
        """The value of an expression, which may be a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Returns the value of an expression once it is true."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{script} stayed {value}")
            time.sleep(0.05)
        return value

    def choose_file(self, selector: str, path: Path) -> None:
        """Gives a file to an input, as the dialog of the browser does."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        element = found["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=element)

    def settle(self) -> None:
        """Waits until what was asked to be drawn is drawn."""
        frame = "new Promise((done) => requestAnimationFrame(done))"
        self.run(f"{frame}.then(() => {frame}).then(() => {frame}).then(() => 1)")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Move the mouse with its left button held down."""
        self._mouse("mouseMoved", start, "none")
        self._mouse("mousePressed", start, "left")
        for step in range(1, 6):
            place = tuple(a + (b - a) * step / 5 for a, b in zip(start, end, strict=True))
            self._mouse("mouseMoved", (place[0], place[1]), "left")
        self._mouse("mouseReleased", end, "left")
        self.settle()

    def _mouse(self, kind: str, place: tuple[float, float], button: str) -> None:
        self.call(
            "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button=button,
            buttons=1 if button == "left" else 0, clickCount=0 if button == "none" else 1,
        )  # fmt: skip

    def swipe(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Move a finger over the screen."""
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        for step in range(6):
            x, y = (a + (b - a) * step / 5 for a, b in zip(start, end, strict=True))
            kind = "touchMove" if step else "touchStart"
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.call("Emulation.setTouchEmulationEnabled", enabled=False)
        self.settle()

    def key(self, name: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": name} if len(name) == 1 and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, **text)
        self.settle()

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Saves what is on the screen, or all of the page, as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def chromium(executable: str, profile: Path) -> Iterator[Page]:
    """Starts a browser with a new profile, in a folder, for the block."""
    ours, theirs = _pipe(), _pipe()  # it reads from 3, which we write, and writes to 4

    def arrange() -> None:
        os.dup2(ours[0], 3)
        os.dup2(theirs[1], 4)

    process = subprocess.Popen(
        [executable, *FLAGS, f"--user-data-dir={profile}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=(3, 4), preexec_fn=arrange, start_new_session=True,
    )  # fmt: skip
    try:
        os.close(ours[0])
        os.close(theirs[1])
        yield Page(ours[1], theirs[0])
    finally:
        os.close(ours[1])  # by which the browser knows that it is to end
        os.close(theirs[0])
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not 3 or 4, which are to be the browser's."""
    read, write = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read, write))
    os.close(read)
    os.close(write)
    return high[0], high[1]
