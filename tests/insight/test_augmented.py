"""The sheet of augmented pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from tiny import tree

from partsight.config import Config
from partsight.data import table
from partsight.data.datamodule import FoldData
from partsight.insight import augmented, style
from partsight.insight.contact import Panels


@pytest.mark.parametrize("repeat", [0, 1])
def test_the_sheet_shows_what_training_sees(
    tmp_path: Path, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, repeat: int
) -> None:
    shown: list[Panels] = []

    def kept(lines: list[Panels], columns: int) -> Figure:
        shown.extend(lines)
        return style.new_figure(columns, 1)

    monkeypatch.setattr(augmented, "panel_sheet", kept)
    root = tree(tmp_path / "parts", {"good": 3, "bad": 3})
    settings = config("usecase=custom", f"data.root={root}", "seed=3", f"repeat={repeat}")
    settings.augmentation.train = {"RandomBrightnessContrast": {"p": 1.0}}
    examples = table.read(settings)
    augmented.augmentation_sheet(examples, settings, number=1, epochs=2)
    trained = FoldData(examples, np.ones(len(examples), np.int64), settings).train_dataloader().dataset
    for epoch, (picture, caption) in enumerate(shown[0].pictures[1:]):
        assert caption == f"epoch {epoch}"
        assert np.array_equal(picture, trained[0, epoch].pictures)


def test_only_training_rows_are_on_it(
    tmp_path: Path, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "parts" / "train", {"good": 2, "bad": 2})
    tree(tmp_path / "parts" / "test", {"good": 2, "bad": 2})
    shown: list[Panels] = []
    monkeypatch.setattr(augmented, "panel_sheet", lambda lines, columns: shown.extend(lines))
    settings = config("usecase=custom", f"data.root={tmp_path / 'parts'}", "seed=3")
    augmented.augmentation_sheet(table.read(settings), settings, number=3, epochs=1)
    assert len(shown) == 3
    assert all("train/" in line.heading for line in shown)
