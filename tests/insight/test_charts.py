"""The charts: what is on them, and that no table of a real run can break them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import style as style_sheets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from partsight.evaluation import thresholds
from partsight.evaluation.task import Task
from partsight.insight import style
from partsight.insight.confusion_chart import confusion_chart
from partsight.insight.curves_chart import chart_sheet, smoothed
from partsight.insight.escape_chart import escape_overkill_chart
from partsight.insight.metrics_chart import metrics_chart
from partsight.insight.probability_chart import probability_histogram

GOOD_OR_BAD = Task(("bad", "ok"), "softmax", good_classes=("ok",))
HOSTILE = ["470R_1 -4 W", "$x_1$", r"$\frac$", "10% {a}^2 & #1", "Ω µ ü"]


def texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def assert_inside(figure: Figure) -> None:
    """All that is drawn lies within the figure: nothing is cut off."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.canvas.draw()
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())
    assert min(drawn.x0, drawn.y0) >= 0
    assert drawn.x1 <= figure.get_figwidth()
    assert drawn.y1 <= figure.get_figheight()


def history(points: int, **last: float) -> pd.DataFrame:
    samples = 32 * np.arange(1, points + 1)
    series = ["learning_rate", "train_loss", "validation_loss", "ROC_AUC"]
    table = pd.concat(pd.DataFrame({"samples": samples, "series": s, "value": np.exp(-samples / 900)}) for s in series)
    for name, value in last.items():
        table.loc[(table["series"] == name) & (table["samples"] == samples[-1]), "value"] = value
    return table.reset_index(drop=True)


def confusion(names: list[str], seed: int = 0) -> pd.DataFrame:
    counts = np.random.default_rng(seed).poisson(0.2, (len(names), len(names)))
    np.fill_diagonal(counts, 90)
    return pd.DataFrame(counts, index=names, columns=names)


def predictions(number: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    good = rng.random(number)
    label = np.where(rng.random(number) < good, "ok", "bad")
    return pd.DataFrame(
        {
            "row": range(number),
            "image": [f"{row}.png" for row in range(number)],
            "group": None,
            "label": label,
            "prediction": np.where(good >= 0.5, "ok", "bad"),
            "prob_bad": 1 - good,
            "prob_ok": good,
        }
    )


def rates() -> pd.DataFrame:
    threshold = np.linspace(0, 1, 21)
    table = pd.DataFrame({"threshold": threshold})
    for name, rate in [("escape", 0.2 * (1 - threshold)), ("overkill", 0.3 * threshold)]:
        table = table.assign(
            **{f"{name}_rate": rate, f"{name}_low": 0.5 * rate, f"{name}_high": np.minimum(1.5 * rate + 0.01, 1)}
        )
    return table


def summary(**changed: float) -> pd.DataFrame:
    values = {"F1": 0.98, "MCC": 0.95, "ROC_AUC": 0.999, "LogLoss": 0.05} | changed
    rows = [(name, value, value - 0.01, value + 0.001) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high"])


# Curves


def test_the_sheet_has_four_curves_with_the_samples_below() -> None:
    figure = chart_sheet(history(50), "a run", "ROC_AUC")
    headings = [axes.get_title(loc="left") for axes in figure.axes]
    assert headings == ["Learning rate", "Train batch loss", "Validation loss", "Validation ROC_AUC"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"samples seen"}
    assert [len(axes.lines) for axes in figure.axes] == [1, 2, 1, 1], "the batch loss is drawn raw and smoothed"
    assert_inside(figure)


def test_one_point_is_a_visible_dot_on_an_axis_that_stops_at_one() -> None:
    figure = chart_sheet(history(1, ROC_AUC=0.97), "a run", "ROC_AUC")
    assert [line.get_marker() for axes in figure.axes for line in axes.lines] == ["o"] * 4
    assert figure.axes[3].get_ylim()[1] < 1.01
    assert_inside(figure)


@pytest.mark.filterwarnings("error")
def test_a_run_of_no_epochs_has_an_axis_without_a_warning() -> None:
    figure = chart_sheet(history(1).assign(samples=0), "a run", "ROC_AUC")
    assert figure.axes[3].get_xlim() == (-0.02, 1.02)


def test_a_missing_series_says_so() -> None:
    table = history(5)
    figure = chart_sheet(table[table["series"] != "validation_loss"], "a run", "F1")
    assert texts(figure).count("no points") == 2
    assert texts(chart_sheet(table.head(0), "a run", "F1")).count("no points") == 4


def test_a_diverged_loss_is_said_loudly() -> None:
    shown = texts(chart_sheet(history(20, train_loss=np.nan, validation_loss=np.inf), "a run", "ROC_AUC"))
    assert sum(text.startswith("1 not finite!") for text in shown) == 2


def test_the_best_log_loss_is_the_lowest() -> None:
    table = pd.DataFrame({"samples": [1, 2, 3], "series": "LogLoss", "value": [0.9, 0.2, 0.4]})
    assert "lowest 0.2 · last 0.4" in texts(chart_sheet(table, "a run", "LogLoss"))
    shown = texts(chart_sheet(table.assign(series="validation_LogLoss"), "a run", "validation_LogLoss"))
    assert {"Validation LogLoss", "lowest 0.2 · last 0.4"} <= set(shown)


def test_of_a_few_training_losses_the_best_is_the_lowest() -> None:
    table = pd.DataFrame({"samples": [1, 2, 3], "series": "train_loss", "value": [0.9, 0.2, 0.4]})
    assert "lowest 0.2 · last 0.4" in texts(chart_sheet(table, "a run", "F1"))


def test_smoothing_keeps_length_and_level() -> None:
    assert smoothed(np.full(200, 0.7)) == pytest.approx(np.full(200, 0.7))


# Confusion


@pytest.mark.parametrize("classes", [2, 15, 37])
def test_confusion_shows_counts_and_shares_without_cutting_names_off(classes: int) -> None:
    names = [f"{HOSTILE[i % 5]} {i} {'long ' * (i % 3) * 4}end" for i in range(classes)]
    figure = confusion_chart(confusion(names), "who is taken for whom")
    shown = texts(figure)
    assert shown.count("90") >= classes
    assert any(text.endswith("%") for text in shown)
    assert_inside(figure)


def test_many_classes_leave_empty_cells_blank_and_few_do_not() -> None:
    two = pd.DataFrame([[5, 0], [0, 5]], index=["a", "b"], columns=["a", "b"])
    assert texts(confusion_chart(two, "t")).count("0") == 2
    names = [f"class {i}" for i in range(21)]
    many = pd.DataFrame(5 * np.eye(21, dtype=int), index=names, columns=names)
    assert "0" not in texts(confusion_chart(many, "t"))


def test_cell_texts_stay_within_their_cells() -> None:
    names = [str(i) for i in range(40)]
    figure = confusion_chart(confusion(names) * 1234, "t")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.canvas.draw()
    axes = figure.axes[0]
    cell = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]
    cells = [text for text in axes.texts if text.get_ha() == "center"]
    assert max(text.get_window_extent().width for text in cells) < cell


def test_of_very_many_classes_the_forty_most_confused_are_drawn_in_their_order() -> None:
    names = [f"class {i}" for i in range(300)]
    counts = pd.DataFrame(10 * np.eye(300, dtype=int), index=names, columns=names)
    for i in range(250, 210, -2):
        counts.iloc[i, i + 1] = i
    figure = confusion_chart(counts, "t")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == names[212:252]
    shown = " ".join(" ".join(texts(figure)).split())
    assert "3,000 of 7,620 right" in shown
    assert "the 40 of 300 classes with the most mistakes; confusion.csv has all" in shown
    assert_inside(figure)


def test_a_class_without_true_examples_and_an_empty_table_are_drawn() -> None:
    table = pd.DataFrame([[3, 1], [0, 0]], index=["a", "b"], columns=["a", "b"])
    assert "75%" in texts(confusion_chart(table, "t"))
    assert any("0 of 0 right" in text for text in texts(confusion_chart(0 * table, "t")))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(0, "0%"), (0.0001, "<0.1%"), (0.014, "1.4%"), (0.5, "50%"), (0.986, "98.6%"), (0.9999, ">99.9%"), (1, "100%")],
)
def test_only_everything_is_a_hundred_percent(rate: float, expected: str) -> None:
    assert style.percent(rate) == expected


# Metrics


def test_metrics_are_listed_with_their_intervals_and_log_loss_is_in_the_caption() -> None:
    figure = metrics_chart(summary(), "metrics")
    shown = texts(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["F1", "MCC", "ROC_AUC"]
    assert "0.9800  [0.9700, 0.9810]" in shown
    assert any("LogLoss 0.0500" in text for text in shown)
    assert_inside(figure)


def test_undefined_and_negative_metrics_are_drawn() -> None:
    figure = metrics_chart(summary(F1=np.nan, MCC=-0.2), "metrics")
    assert "undefined" in texts(figure)
    assert figure.axes[0].get_xlim()[0] < -0.2
    assert "no metrics" in texts(metrics_chart(summary().head(0), "metrics"))


def test_escape_and_overkill_do_not_stretch_the_axis_of_the_metrics() -> None:
    rates = pd.DataFrame([("escape_rate", 0.004, 0.001, 0.02)], columns=["metric", "value", "low", "high"])
    figure = metrics_chart(pd.concat([summary(), rates]), "metrics")
    upper, lower = figure.axes
    assert upper.get_xlim()[0] > 0.9
    assert lower.get_xlim()[1] < 0.03
    assert_inside(figure)


# Probabilities


def test_probabilities_are_split_in_right_and_wrong_and_in_good_and_bad() -> None:
    table = predictions()
    wrong = int((table["label"] != table["prediction"]).sum())
    assert len(probability_histogram(table, replace(GOOD_OR_BAD, good_classes=()), "t").axes) == 2
    figure = probability_histogram(table, GOOD_OR_BAD, "t")
    notes = {axes.get_title(loc="left"): axes.get_title(loc="right") for axes in figure.axes}
    assert notes["Wrong"] == f"n = {wrong}"
    assert notes["Good parts"] == f"n = {(table['label'] == 'ok').sum()}"
    assert_inside(figure)


def test_the_surest_good_parts_are_drawn_although_their_sum_is_rounded_above_one() -> None:
    table = pd.DataFrame({"row": range(7), "label": "fine", "prediction": "fine"})
    table = table.assign(**{"prob_bad": 0.0, "prob_fine": 0.7, "prob_ok": 0.300000003})
    task = Task(("bad", "fine", "ok"), "softmax", good_classes=("fine", "ok"))
    drawn = probability_histogram(table, task, "t").axes[1]
    assert drawn.get_title(loc="left") == "Good parts"
    assert sum(bar.get_height() for bar in drawn.containers[0]) == 7


def test_a_perfect_model_has_an_empty_chart_of_mistakes_and_keeps_its_axis() -> None:
    table = predictions()
    task = replace(GOOD_OR_BAD, good_classes=())
    figure = probability_histogram(table.assign(label=table["prediction"]), task, "t")
    assert "none" in texts(figure)
    assert "0.2" in [label.get_text() for label in figure.axes[1].get_xticklabels()]


def test_multi_label_counts_each_class_as_a_decision_and_unlabelled_rows_are_left_out() -> None:
    table = pd.DataFrame(
        {
            "image": ["1.png", "2.png", "3.png", "4.png"],
            "group": None,
            "label": [["a"], np.array(["a", "b"]), [], None],
            "prediction": [["a"], ["b"], [], ["a"]],
            "prob_a": [0.9, 0.4, 0.1, 0.8],
            "prob_b": [0.2, 0.7, 0.3, 0.1],
        }
    )
    figure = probability_histogram(table, Task(("a", "b"), "multilabel", good_classes=("a",)), "t")
    assert [axes.get_title(loc="right") for axes in figure.axes] == ["n = 5", "n = 1"]


# Escape and overkill


def test_escape_and_overkill_at_the_chosen_threshold_are_in_the_caption() -> None:
    figure = escape_overkill_chart(rates(), 0.5, "t")
    caption = next(text for text in texts(figure) if "chosen threshold" in text)
    assert "0.5: escape 10.00% [5.00, 16.00], overkill 15.00% [7.50, 23.50]" in " ".join(caption.split())
    assert len(figure.axes[0].lines) == 3
    assert len(escape_overkill_chart(rates(), None, "t").axes[0].lines) == 2
    assert_inside(figure)


def test_the_rates_are_drawn_as_steps_and_a_threshold_has_those_of_its_step() -> None:
    """A straight line from 100% at 0 to 0% at 0.47 would say 33% at 0.2, where all four bad parts still ship."""
    task = Task(("bad", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    table = pd.DataFrame({"label": ["bad"] * 4 + ["ok"], "prob_ok": [0.45, 0.46, 0.46, 0.46, 0.8], "row": range(5)})
    table = table.assign(prob_bad=1 - table["prob_ok"], prediction=["bad"] * 4 + ["ok"], image=table.index, group=None)
    figure = escape_overkill_chart(thresholds.steps(table, task), 0.2, "t")
    assert any("chosen threshold 0.2: escape 100.00%" in text for text in texts(figure))
    escape, overkill, _ = figure.axes[0].lines
    assert escape.get_drawstyle() == overkill.get_drawstyle() == "steps-pre"
    assert escape.get_xdata() == pytest.approx([0, 0.45, 0.46, 0.8, 1])
    assert escape.get_ydata() == pytest.approx([1, 1, 0.75, 0, 0])
    between = next(t for t in texts(escape_overkill_chart(rates(), 0.52, "t")) if "chosen" in t)
    assert "chosen threshold 0.52: escape 9.00%" in between


def test_without_bad_parts_the_escape_rate_says_so() -> None:
    unknown = rates().assign(escape_rate=np.nan, escape_low=np.nan, escape_high=np.nan)
    figure = escape_overkill_chart(unknown, 0.5, "t")
    assert any(text.startswith("escape rate") and text.endswith("no points") for text in texts(figure))


# All of them


def every_chart(title: str) -> list[Figure]:
    return [
        chart_sheet(history(30), title, "ROC_AUC"),
        confusion_chart(confusion(HOSTILE), title),
        metrics_chart(summary(), title),
        probability_histogram(predictions(), GOOD_OR_BAD, title),
        escape_overkill_chart(rates(), 0.5, title),
    ]


def png(figure: Figure, path: Path) -> bytes:
    style.save(figure, path)
    return path.read_bytes()


@pytest.mark.parametrize("title", HOSTILE)
def test_no_text_is_read_as_a_formula(title: str, tmp_path: Path) -> None:
    figure = confusion_chart(confusion(HOSTILE), title)
    assert {title, *HOSTILE} <= set(texts(figure))
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    style.save(figure, tmp_path / "chart.png")


@pytest.mark.filterwarnings("error:Glyph")
def test_letters_that_no_font_has_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(style, "_told", False)
    names = ["fine", "\U000103a0\U000103a1"]  # Old Persian
    for number in range(2):
        style.save(confusion_chart(confusion(names), "t"), tmp_path / f"{number}.png")
    said = capsys.readouterr()
    assert said.out.count("BOXES INSTEAD OF LETTERS") == 1
    assert "\U000103a0 \U000103a1: pictures show boxes" in said.out
    assert said.err == ""


def test_bytes_are_the_same_each_time_in_threads_and_under_a_dark_style_sheet(tmp_path: Path) -> None:
    first = [png(figure, tmp_path / f"a{i}.png") for i, figure in enumerate(every_chart("t"))]
    with ThreadPoolExecutor(2) as threads:
        again = list(threads.map(lambda i: png(every_chart("t")[i], tmp_path / "new" / f"b{i}.png"), range(len(first))))
    assert again == first
    with mpl.rc_context():
        style_sheets.use("dark_background")
        mpl.rcParams.update({"font.family": "serif", "savefig.bbox": "tight", "axes.grid": False, "font.size": 17})
        dark = [png(figure, tmp_path / f"c{i}.png") for i, figure in enumerate(every_chart("t"))]
    assert [a == b for a, b in zip(dark, first, strict=True)] == [True] * len(first)
    assert b"tEXt" not in first[0]


def test_pyplot_knows_nothing_of_them() -> None:
    import matplotlib.pyplot as plt

    every_chart("t")
    assert plt.get_fignums() == []
