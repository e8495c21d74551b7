"""The charts of several runs."""

import pandas as pd

from partsight.insight.comparison import curve_chart


def test_each_curve_is_named_with_its_run() -> None:
    curves = pd.DataFrame({"run": ["11aa22bb", "11aa22bb", "33cc44dd"], "step": [1, 2, 1], "value": [0.5, 0.4, 0.6]})
    runs = pd.DataFrame({"run": ["11aa22bb", "33cc44dd"], "name": ["_mine", "b"]})
    (axes,) = curve_chart(curves, runs, "validation_loss").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["_mine 11aa22", "b 33cc44"]
