"""Headless Chromium for tests, driven over its DevTools pipe: no package beside the browser itself."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Browser", "Looked", "installed"]

_PATIENCE = 60.0
"""Seconds for an answer: the first one waits for the browser's start."""
_OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-extensions "
    "--disable-background-networking --disable-dev-shm-usage --remote-debugging-pipe"
)


def installed() -> str | None:
    """The browser's path; None when it is missing."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Looked:
    """What a page did in the browser, and how wide it came out."""

    width: int
    scroll_width: int
    wider: list[str]
    """Elements that stick out on the right."""
    text: str
    complaints: list[str] = field(default_factory=list)
    """Script errors, dialogs, and everything that the browser logged."""
    requests: list[str] = field(default_factory=list)
    """Addresses that the page asked for, beside its own."""


_MEASURE = """
(() => {
  const width = innerWidth;
  const wider = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1);
  return {width, scroll_width: document.documentElement.scrollWidth, text: document.body.innerText,
          wider: wider.slice(0, 5).map(e => `${e.tagName}.${e.getAttribute('class')} ${e.textContent.slice(0, 60)}`)};
})()
"""


class Browser:
    """One browser with one tab. Each message of the pipe ends with a NUL."""

    def __init__(self, profile: Path) -> None:
        path = installed()
        assert path
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # The browser talks on descriptors 3 and 4.
        script = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$0" {_OPTIONS} "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, path, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._received = b""
        self._events: list[dict[str, Any]] = []
        self._sent = 0
        self._tab: str | None = None
        targets = self._ask("Target.getTargets")["targetInfos"]
        page = next((one["targetId"] for one in targets if one["type"] == "page"), None)
        page = page or self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._tab = self._ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def look(self, page: Path, *, width: int, dark: bool = False, open_all: bool = False) -> Looked:
        """Open a page and measure it."""
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._ask("Emulation.setEmulatedMedia", features=theme)
        self._events.clear()
        self._ask("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._receive())
        if open_all:
            self.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        looked = Looked(**self.run(_MEASURE))
        for event in self._events:
            self._judge(event, page.as_uri(), looked)
        return looked

    def run(self, script: str) -> Any:
        """Run a script in the page. Returns its value."""
        done = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page as it was last opened."""
        shot = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the browser."""
        self._tab = None
        self._ask("Browser.close")
        self._process.wait(timeout=_PATIENCE)
        os.close(self._out)
        os.close(self._in)

    @staticmethod
    def _judge(event: dict[str, Any], own: str, looked: Looked) -> None:
        method, told = event["method"], event["params"]
        if method in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"}:
            looked.complaints.append(f"{method}: {told}")
        elif method == "Log.entryAdded":
            looked.complaints.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = told["request"]["url"].split("#")[0]
            if url != own and not url.startswith("data:"):
                looked.requests.append(url)

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": params}
        if self._tab:
            message["sessionId"] = self._tab
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self._events.append(answer)

    def _receive(self) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._in], [], [], until - time.monotonic())
            assert ready, "the browser does not answer"
            got = os.read(self._in, 1 << 20)
            assert got, "the browser has ended"
            self._received += got
        message, self._received = self._received.split(b"\0", 1)
        return dict(json.loads(message))
