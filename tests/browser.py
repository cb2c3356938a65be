"""A real browser for the tests of the lessons: a headless Chromium, controlled over its DevTools protocol.

It can reach no host but this machine. All its requests are recorded, and so are those that fail.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]
ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
WAIT = 120.0  # seconds to wait for anything, on a busy machine
PHONE, SCREEN = 390, 1280  # pixels, the widths of pages


def chromium() -> str | None:
    """The browser's path, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One tab, at first as wide as a phone: `with Page(folder) as page: page.open(url)`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.asked: list[str] = []  # the URLs of all requests
        self.failed: list[str] = []  # failed requests, and errors of the page's scripts
        self._numbers = itertools.count(1)
        self._urls: dict[str, str] = {}

    def __enter__(self):
        from websockets.sync.client import connect

        with contextlib.ExitStack() as stack:
            command = [chromium(), *FLAGS, ONLY_HERE, f"--user-data-dir={self.folder / 'profile'}", "about:blank"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = stack.enter_context(subprocess.Popen(command, env=os.environ | {"HOME": str(self.folder)}, **quiet))
            stack.callback(process.terminate)
            port_file = self.folder / "profile" / "DevToolsActivePort"
            until(lambda: port_file.exists() and port_file.read_text().count("\n"))
            port, path = port_file.read_text().split("\n")[:2]
            self._socket = stack.enter_context(
                connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None, ping_interval=None)
            )
            # No pings: their thread draws from `random`, which Hypothesis reports in whatever test runs at that time.
            self._session = None
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime"):
                self.call(f"{domain}.enable")
            self.look(PHONE)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def call(self, method: str, **parameters):
        """Send one command and return its result; events that arrive meanwhile are recorded."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._socket.recv(timeout=WAIT))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._record(answer.get("method"), answer.get("params", {}))

    def _record(self, event: str | None, about: dict) -> None:
        if event == "Network.requestWillBeSent":
            self._urls[about["requestId"]] = about["request"]["url"]
            self.asked.append(about["request"]["url"])
        elif event == "Network.loadingFailed" and not about.get("canceled"):
            self.failed.append(f"{self._urls.get(about['requestId'])}: {about['errorText']}")
        elif event == "Network.responseReceived" and about["response"]["status"] >= 400:
            self.failed.append(f"{about['response']['url']}: {about['response']['status']}")
        elif event == "Runtime.exceptionThrown":
            self.failed.append(str(about["exceptionDetails"].get("text")))

    def look(self, width: int, dark: bool = False) -> None:
        """The page on a phone or a screen, of a system that is light or dark."""
        self.width = width
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == PHONE}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def is_dark(self) -> bool:
        """Whether the page's ground is dark."""
        return self.js("getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3).every(x => x < 0.5)")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        until(lambda: self.js("document.readyState") == "complete" and self.js("location.href").startswith(url))

    def js(self, expression: str):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, such as ArrowRight."""
        code = {"End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}[key]
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def cut(self, inside: str = "body") -> list[str]:
        """Elements inside others (a CSS selector) that a reader does not see whole: beyond the right edge, to be scrolled
        sideways, or with a part hidden.

        Marimo's own list of contents (.fixed) waits beyond the edge. A phone makes `innerWidth` as wide as what is too wide.
        """
        script = """[...document.querySelectorAll('INSIDE *')].filter(e => {
          const box = e.getBoundingClientRect(), style = getComputedStyle(e), words = e.textContent.trim();
          const wider = e.scrollWidth > e.clientWidth + 1 && /auto|scroll|hidden|clip/.test(style.overflowX);
          const higher = e.scrollHeight > e.clientHeight + 1 && /hidden|clip/.test(style.overflowY);
          const cut = box.right > WIDTH + 1 || words && (wider || higher);
          return box.width > 1 && cut && !e.closest('.fixed');
        }).map(e => `${e.tagName}.${e.className} ${e.textContent.slice(0, 80)}`)"""
        return self.js(script.replace("WIDTH", str(self.width)).replace("INSIDE", inside))


def until(condition, seconds: float = WAIT):
    """Wait until a condition holds, and return its value; TimeoutError where it does not in that time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.1)
    return value
