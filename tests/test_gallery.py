"""docs/gallery.md shows pictures that are there, and its script makes them."""

import re
import runpy
from pathlib import Path

import numpy as np
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"


def test_every_picture_is_shown_and_they_are_small() -> None:
    shown = re.findall(r"!\[[^]]+\]\((.*?)\)", (DOCS / "gallery.md").read_text(encoding="utf-8"))
    there = {path.relative_to(DOCS).as_posix(): path for path in (DOCS / "gallery").glob("*.webp")}
    assert set(shown) == set(there)
    assert sum(path.stat().st_size for path in there.values()) < 1_500_000


def test_the_script_makes_them_smaller(tmp_path: Path) -> None:
    script = runpy.run_path(str(DOCS / "gallery" / "make.py"))
    for name, pictures in script["SHOWN"].items():
        (tmp_path / name / "pictures").mkdir(parents=True)
        for picture in pictures:
            Image.fromarray(np.zeros((600, 1800, 3), dtype=np.uint8)).save(
                tmp_path / name / "pictures" / f"{picture}.png"
            )
    made = script["make"]([tmp_path / name for name in script["SHOWN"]], tmp_path)
    assert {path.name for path in made} == {path.name for path in (DOCS / "gallery").glob("*.webp")}
    assert all(Image.open(path).size == (1100, 367) for path in made)
