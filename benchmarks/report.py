"""The report in a real browser: no console error, no request, nothing wider than the screen of a
phone or a desk.

    python benchmarks/report.py [--folder FOLDER_OF_A_RUN] [--pictures FOLDER]

Without a folder the demo's path runs on the planted world first. Needs chromium, which is driven
over its remote debugging pipe (JSON objects that end in a zero byte, on file descriptors 3 and 4):
the standard library is enough. Exits with 1 where something is wrong, with 2 where there is no
chromium.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import io
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from hinaug.cli.demo.jobs import Job
from hinaug.cli.demo.story import tell
from hinaug.datasets import planted
from hinaug.report import report

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
)
WIDTHS = (390, 500, 1440)
SECONDS = 30
OVERFLOW = """(() => {
  const wide = document.documentElement.clientWidth;
  const out = [...document.body.querySelectorAll("*")].filter(e => !e.closest(".scroll table, .off")
    && (e.getBoundingClientRect().right > wide + 0.5 || e.getBoundingClientRect().left < -0.5));
  return JSON.stringify([document.documentElement.scrollWidth - wide,
    out.slice(0, 3).map(e => e.tagName + "." + (e.getAttribute("class") || "") + ": " + e.textContent.slice(0, 40))]);
})()"""


class Browser:
    """A headless chromium with one empty page; `events` keeps everything that it reports."""

    def __init__(self, program: str, home: str) -> None:
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs_read, theirs_write)]

        def connect() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        command = [
            program,
            *FLAGS,
            "--remote-debugging-pipe",
            f"--user-data-dir={home}",
            "about:blank",
        ]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, stdout=quiet, stderr=quiet, close_fds=False, preexec_fn=connect
        )
        for fd in (theirs_read, theirs_write, *high):
            os.close(fd)
        self.read, self.write = ours_read, ours_write
        self.rest, self.number, self.session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{part}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        call = {"id": self.number, "method": method, "params": params}
        if self.session:
            call["sessionId"] = self.session
        os.write(self.write, json.dumps(call).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def until(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], max(end - time.monotonic(), 0))
            part = os.read(self.read, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError(
                    f"chromium said nothing for {SECONDS} s" if not ready else "chromium has ended"
                )
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def look(browser: Browser, url: str, width: int, scheme: str, pictures: Path | None) -> list[str]:
    """What is wrong with the page at one width, in one colour scheme."""
    browser.ask(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    browser.ask(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    browser.events.clear()
    browser.ask("Page.navigate", url=url)
    browser.until("Page.loadEventFired")
    browser.ask(
        "Runtime.evaluate",
        expression="document.querySelectorAll('details').forEach(d => d.open = true)",
    )
    over, wide = json.loads(browser.ask("Runtime.evaluate", expression=OVERFLOW)["result"]["value"])
    if pictures:
        shot = browser.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        (pictures / f"report-{width}-{scheme}.png").write_bytes(base64.b64decode(shot))
    wrong = [f"{over} px wider than the screen"] if over > 0 else []
    wrong += [f"reaches beyond the screen: {element}" for element in wide]
    for event in browser.events:
        if event["method"] == "Network.requestWillBeSent":
            asked = event["params"]["request"]["url"]
            wrong += (
                [f"asks for {asked[:80]}"] if asked != url and not asked.startswith("data:") else []
            )
        elif event["method"] in (
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
        ):
            wrong.append(f"console: {json.dumps(event['params'])[:200]}")
    return wrong


def run(folder: Path) -> None:
    """The demo's whole path on the planted world, with small models."""
    job = Job(planted(rng=0), ("user", "rates", "item"), ["x"], ("review",), name="title")
    tell(job, folder, (0, 1), Console(file=io.StringIO()), {"Data": "planted"}, "", quick=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="the folder of a run; without it the planted world is run"
    )
    parser.add_argument("--pictures", type=Path, help="where to write pictures of the page")
    given = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        print(f"no browser: looked for {', '.join(NAMES)}")
        return 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        folder = given.folder or Path(home) / "run"
        if given.folder is None:
            run(folder)
        started = time.perf_counter()
        page = report(folder, Path(home) / "report.html")
        print(f"{page.stat().st_size / 1000:.0f} kB made in {time.perf_counter() - started:.1f} s")
        if given.pictures:
            given.pictures.mkdir(parents=True, exist_ok=True)
        browser = Browser(program, str(Path(home) / "profile"))
        try:
            views = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
            found = {view: look(browser, page.as_uri(), *view, given.pictures) for view in views}
        finally:
            browser.close()
    for (width, scheme), wrong in found.items():
        print(f"{width:>5} px, {scheme:<5}  {'; '.join(wrong) or 'nothing wrong'}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
