"""Pages in a real browser. Without one the tests that need it are skipped; .ci/run installs it."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

EARLY = """
<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message || String(event.target.src)), true);
addEventListener("securitypolicyviolation", (event) => errors.push(event.blockedURI));
</script>
"""

PROBE = """
<script>
const report = {images: [...document.images].map((i) => i.naturalWidth), columns: []};
for (const button of document.querySelectorAll("th button")) {
  for (const click of [1, 2]) {
    button.click();
    const column = button.parentElement.cellIndex, body = button.closest("table").tBodies[0];
    report.columns.push([...body.rows].map((row) => row.cells[column].textContent));
  }
}
report.beyond = [...document.querySelectorAll("table")].map((table) => {
  const box = table.parentElement, end = document.documentElement.clientWidth;
  return table.getBoundingClientRect().right > end || getComputedStyle(box).overflow !== "visible";
});
report.errors = errors;
report.fetched = performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:"));
document.body.dataset.report = JSON.stringify(report);
</script>
"""


def chromium() -> str:
    """The program; without it the test is skipped."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    return CHROMIUM


def in_browser(document: str, folder: Path) -> dict[str, Any]:
    """Opens the page in a headless Chromium, clicks the name of every column twice, and tells what it saw.

    images: the width of each, 0 where one did not load. columns: their cells after each click. beyond: of each table,
    whether part of it lies beyond the page or may have to be scrolled to. fetched: addresses that were asked for.
    errors: of scripts, and loads that the page's own policy forbids. The page is as wide as an A4 sheet that lies.
    """
    program = chromium()
    path = folder / "page.html"
    probed = document.replace("<title>", f"{EARLY}<title>", 1).replace("</body>", f"{PROBE}</body>")
    path.write_text(probed, encoding="utf-8")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1032,730")
    browser = [program, *quiet, f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run([*browser, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search('data-report="([^"]*)"', done.stdout)
    assert found, done.stderr
    return json.loads(html.unescape(found[1]))
