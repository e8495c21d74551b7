"""The steps by which README.md compares the jobs of a sweep in MLflow, taken in a real browser; and its picture.

python tests/mlflow_ui.py EXPERIMENT PICTURE: of the sweep that is alone in this experiment of the current folder.
"""

import io
import os
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
from typing import Any

from PIL import Image
from tab import Tab

SMALLER = {"MLFLOW_WORKERS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Processes of MLflow's server: 3 instead of 13, which start in a third of the time."""
LINKS = "[...document.querySelectorAll('a')]"
ROWS = "[...document.querySelectorAll('.ag-pinned-left-cols-container [role=row]')]"
"""Of the list of runs: check box, `+`, name and start."""
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


def show_runs(tab: Tab, address: str, experiment: str) -> list[str]:
    """From MLflow's first page to the runs of the experiment; the names that are listed."""
    tab.open(address)
    tab.click("[...document.querySelectorAll('[role=button]')].find((e) => e.innerText === 'Model training')")
    tab.click(f"{LINKS}.find((e) => e.innerText === '{experiment}')")
    return [name for name, _ in _listed(tab)]


def open_jobs(tab: Tab) -> list[tuple[str, float]]:
    """Presses the `+` before the first run; the names that are listed then, and how far to the right each begins."""
    before = len(_listed(tab))
    tab.click(f"{ROWS}[0].querySelector('button')")
    return _listed(tab, before + 1)


def _listed(tab: Tab, least: int = 1) -> list[tuple[str, float]]:
    """Name of each run and where it begins, as soon as there are so many and every row has its name."""
    each = "(a) => a ? [a.innerText, a.getBoundingClientRect().x] : ['', 0]"
    names = f"{ROWS}.map((row) => row.querySelector('a')).map({each})"
    found = tab.wait(names, lambda rows: len(rows) >= least and all(name for name, _ in rows))
    return [(name, left) for name, left in found]


def compare(tab: Tab, names: Sequence[str]) -> list[str]:
    """Ticks these runs and presses *Compare*; the names over the columns of the comparison."""
    for name in names:
        row = f"{ROWS}.find((row) => row.querySelector('a')?.innerText === '{name}')"
        box = f"{row}?.querySelector('.ag-checkbox-input')"
        tab.click(box)
        tab.wait(f"{box}?.checked")
    tab.click("[...document.querySelectorAll('button')].find((e) => e.innerText === 'Compare')")
    tab.wait(f"{_metric_cells()}.length")
    return list(cells(tab, "Run details")["Run Name:"])


def cells(tab: Tab, title: str) -> dict[str, list[str]]:
    """The table below this title: of each row, what its first cell says, and what the others say."""
    rows = tab.see(
        f"[...{_section(title)}.querySelectorAll('tr')].map((row) => [...row.cells].map((c) => c.innerText))"
    )
    return {name.strip(): [value.strip() for value in values] for name, *values in rows}


def metrics(tab: Tab) -> dict[str, list[float]]:
    """The table below *Metrics*, which is made of cells that are placed one by one."""
    each = "(c) => [c.getBoundingClientRect().y, c.getBoundingClientRect().x, c.innerText]"
    rows: dict[float, list[tuple[float, str]]] = {}
    for top, left, said in tab.see(f"[...{_metric_cells()}].map({each})"):
        rows.setdefault(round(top), []).append((left, said.strip()))
    lines = [[said for _, said in sorted(row)] for row in rows.values()]
    return {name: [float(value) for value in values] for name, *values in lines}


def _metric_cells() -> str:
    return f"({_section('Metrics')}?.querySelectorAll('.ReactVirtualized__Grid__innerScrollContainer > div') ?? [])"


def show_diff_only(tab: Tab) -> None:
    """Switches it on below *Parameters*."""
    switch = f"{_section('Parameters')}.querySelector('[role=switch]')"
    assert tab.see(f"{switch}.parentElement.innerText").strip() == "Show diff only"
    tab.click(switch)
    tab.wait(f"{switch}.ariaChecked === 'true'")


def picture(tab: Tab) -> Image.Image:
    """Parameters and metrics, as they stand one above the other."""
    tab.see(f"{_section('Parameters')}.scrollIntoView({{block: 'start', behavior: 'instant'}})")
    box: dict[str, Any] = tab.see(f"{_section('Parameters')}.getBoundingClientRect().toJSON()")
    return Image.open(io.BytesIO(tab.picture(box["x"], box["y"], *SIZE))).convert("RGB")


def _section(title: str) -> str:
    """The element that holds this title and what can be folded away below it."""
    return (
        "[...document.querySelectorAll('[role=button][aria-expanded]')]"
        f".find((e) => e.innerText.trim() === '{title}')?.parentElement"
    )


def main(experiment: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        with served(Path.cwd(), folder / "ui.log") as address, Tab(folder / "profile", width=1310) as tab:
            show_runs(tab, address, experiment)
            tab.click("document.querySelector('[aria-label=Close]')")  # MLflow's assistant, beside the page
            compare(tab, [name for name, _ in open_jobs(tab)[1:]])
            show_diff_only(tab)
            picture(tab).save(path, quality=80)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
