"""The steps by which README.md compares the jobs of a sweep in MLflow, taken in a real browser; and its picture.

python tests/mlflow_ui.py EXPERIMENT JOBS PICTURE: of the sweep with so many jobs that is alone in this experiment of
the current folder.
"""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from browser import chromium
from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

SMALLER = {"MLFLOW_WORKERS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Processes of MLflow's server: 3 instead of 13, which start in a third of the time."""
ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""What MLflow's pages would fetch from other machines, they do without."""
WAIT_SECONDS = 120
"""For each step, on a busy machine."""
SIZE = (1040, 674)
"""Of the picture, in pixels."""


@contextmanager
def served(folder: Path, log: Path) -> Iterator[str]:
    """The address of `partsight ui` for the store of this folder, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from partsight.cli import main; main()", "ui", "--port", str(port)]
    with log.open("w") as said:
        server = subprocess.Popen(
            command, stdout=said, stderr=said, cwd=folder, env={**os.environ, **SMALLER}, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):  # none of its processes is left, or they hang
                os.killpg(server.pid, number)
                server.wait(60)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until and server.poll() is None:
        with suppress(OSError), direct.open(address, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"the server does not answer:\n{log.read_text()[-3000:]}")


@contextmanager
def opened(width: int = 1800) -> Iterator[Page]:
    """An empty page of a headless Chromium, so many pixels wide; without a Chromium the test is skipped."""
    program = chromium()
    expect.set_options(timeout=1000 * WAIT_SECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[ONLY_HERE])
        page = browser.new_page(viewport={"width": width, "height": 1100})
        page.set_default_timeout(1000 * WAIT_SECONDS)
        yield page
        browser.close()


def show_runs(page: Page, address: str, experiment: str) -> list[str]:
    """From MLflow's first page to the runs of the experiment; the names that are listed."""
    page.goto(address)
    page.get_by_role("button", name="Model training").click()
    page.get_by_role("link", name=experiment, exact=True).click()
    _listed(page).first.get_by_role("link").wait_for()
    return _names(page)


def open_jobs(page: Page, jobs: int) -> list[tuple[str, float]]:
    """Presses the `+` before the only run; the names that are listed then, and how far to the right each begins."""
    _listed(page).first.get_by_role("button").first.click()
    expect(_listed(page)).to_have_count(1 + jobs)
    left = "(all) => all.map((row) => row.querySelector('a').getBoundingClientRect().x)"
    return list(zip(_names(page), _listed(page).evaluate_all(left), strict=True))


def compare(page: Page, names: Sequence[str]) -> list[str]:
    """Ticks these runs and presses *Compare*; the names over the columns of the comparison."""
    for name in names:
        row = _listed(page).filter(has=page.get_by_role("link", name=name, exact=True))
        row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    _metric_cells(page).first.wait_for()
    return cells(page, "Run details")["Run Name:"]


def cells(page: Page, title: str) -> dict[str, list[str]]:
    """The table below this title: of each row, what its first cell says, and what the others say."""
    each = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    return {name: values for name, *values in _section(page, title).locator("tr").evaluate_all(each)}


def metrics(page: Page) -> dict[str, list[float]]:
    """The table below *Metrics*, which is made of cells that are placed one by one."""
    each = "(all) => all.map((c) => [c.getBoundingClientRect().y, c.getBoundingClientRect().x, c.innerText.trim()])"
    rows: dict[float, list[tuple[float, str]]] = {}
    for top, left, said in _metric_cells(page).evaluate_all(each):
        rows.setdefault(round(top), []).append((left, said))
    lines = [[said for _, said in sorted(row)] for row in rows.values()]
    return {name: [float(value) for value in values] for name, *values in lines}


def show_diff_only(page: Page) -> None:
    """Switches it on below *Parameters*."""
    switch = _section(page, "Parameters").get_by_role("switch")
    expect(switch.locator("..")).to_have_text("Show diff only")
    switch.click()
    expect(switch).to_be_checked()


def picture(page: Page, path: Path) -> None:
    """Parameters and metrics, as they stand one above the other."""
    section = _section(page, "Parameters")
    section.evaluate("(element) => element.scrollIntoView({block: 'start', behavior: 'instant'})")
    place = section.bounding_box()
    assert place is not None
    shown = page.screenshot(clip={"x": place["x"], "y": place["y"], "width": SIZE[0], "height": SIZE[1]})
    Image.open(io.BytesIO(shown)).convert("RGB").save(path, quality=80)


def _listed(page: Page) -> Locator:
    """The rows of the list of runs: check box, `+`, name and start."""
    return page.locator(".ag-pinned-left-cols-container [role=row]")


def _names(page: Page) -> list[str]:
    return _listed(page).get_by_role("link").all_inner_texts()


def _section(page: Page, title: str) -> Locator:
    """The element that holds this title and what can be folded away below it."""
    titles = page.locator("[role=button][aria-expanded]")
    return titles.filter(has_text=re.compile(f"^{title}$")).locator("xpath=..")


def _metric_cells(page: Page) -> Locator:
    return _section(page, "Metrics").locator(".ReactVirtualized__Grid__innerScrollContainer > div")


def main(experiment: str, jobs: int, path: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as kept,
        served(Path.cwd(), Path(kept, "ui.log")) as address,
        opened(width=1310) as page,
    ):
        show_runs(page, address, experiment)
        page.get_by_label("Close").first.click()  # MLflow's assistant, beside the page
        compare(page, [name for name, _ in open_jobs(page, jobs)[1:]])
        show_diff_only(page)
        picture(page, path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
