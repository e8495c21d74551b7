"""A study's table compares what can be compared, and says what cannot."""

import dataclasses
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from partsight import RESULTS_VERSION, config
from partsight.errors import PartsightError
from partsight.evaluation import predictions
from partsight.evaluation.task import Task, label_texts
from partsight.run_files import PREDICTIONS, TEST_PREDICTIONS
from partsight.study import command, inputs, results, speed_tables, tables, timing, writing
from partsight.study import plan as planning
from partsight.study.definition import read_protocol, read_study

CONF = [config.conf_folder()]
STUDY = """
settings: [usecase=casting, seed=1]
variants:
  right: {settings: [backbone=resnet18]}
  wrong: {settings: [backbone=resnet34]}
figures: [Accuracy]
protocols: {own: []}
"""
FACTS = {"data": "given", "data_fingerprint": "12e45678aa", "weights": "hub:a", "device_name": "x"}
FACTS |= {"threads": "1", "device": "cpu", "precision": "32-true", "identity": "0"}
BINARY = Task(("bad", "good"), "binary", "good")
LOUD = (
    *("seen_in_training", "leaks", "leaks_incomplete", "leaks_uncounted"),
    *("conflicting_labels", "skipped_pictures", "classes_not_validated", "groups_torn", "edge_unseen"),
)
"""Tags of a run that change what its figures mean."""
SOFTMAX = Task(("bad", "good"), "softmax")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> planning.Plan:
    """Of two finished runs, one always right and one always wrong; the first of its ten test rows is a copy."""
    return planned(tmp_path, monkeypatch, STUDY, BINARY)


def planned(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, task: Task) -> planning.Plan:
    path = folder / "mine.yaml"
    path.write_text(text)
    seen = pd.DataFrame({"row": [0], "kind": ["copy"]})
    there = SimpleNamespace(fingerprint=FACTS["data_fingerprint"], seen=seen, lookalikes_known=True)
    monkeypatch.setattr(inputs, "read", lambda config: there)
    plan = planning.plan(read_study(str(path), CONF), read_protocol("own", CONF), [], CONF, folder / "out")
    for run in plan.runs:
        run.folder.mkdir(parents=True)
        labels = np.arange(10) % 2
        of_good = labels if run.variant == "right" else 1 - labels
        given = np.stack([1 - of_good, of_good], axis=1).astype(float)
        images = [f"{number}.png" for number in range(10)]
        table = predictions.build(
            task=task,
            row=range(10),
            image=images,
            probabilities=given,
            split="test",
            labels=label_texts(labels, task),
            repeat=run.repeat,
        )
        predictions.write(table, run.folder / TEST_PREDICTIONS)
        meaning = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(task).items()}
        timing = {"fit_seconds": 1.0, "train_images_per_second": 1.0}
        for name, told in (("task", meaning), ("timing", timing), ("facts", FACTS)):
            (run.folder / f"{name}.yaml").write_text(yaml.safe_dump(told))
        (run.folder / planning.FINISHED).write_text(f'{{"results_version": {RESULTS_VERSION}}}')
    return plan


def changed(run: planning.Run, **facts: str) -> None:
    """Writes other facts of a run."""
    (run.folder / "facts.yaml").write_text(yaml.safe_dump(FACTS | facts))


def test_runs_of_the_same_data_are_compared(plan: planning.Plan) -> None:
    told = writing.result(plan)
    assert results.differences(results.finished(plan, inputs.CurrentInputs())) == []
    assert told.parts[0].table["variant"].tolist() == ["right (best)", "wrong"]
    assert "data" not in told.parts[0].table
    assert [part.heading for part in told.parts] == [
        "Test rows, as published (10)",
        "Test rows without copies of training pictures (9)",
    ]


def test_the_most_accurate_is_not_called_the_best_where_chance_explains_its_lead(plan: planning.Plan) -> None:
    right, wrong = plan.runs
    table = predictions.read(right.folder / TEST_PREDICTIONS)
    one = table["row"] == 1
    table.loc[one, ["prob_bad", "prob_good"]] = table.loc[one, ["prob_good", "prob_bad"]].to_numpy()
    predictions.write(predictions.redecide(table, BINARY), wrong.folder / TEST_PREDICTIONS)
    told = writing.result(plan)
    assert told.parts[0].table["Accuracy %"].str[:6].tolist() == ["100.00", "90.00 "]
    assert told.parts[0].table["variant"].tolist() == ["right", "wrong"]
    assert told.parts[0].table["p"].tolist() == ["", "1.000"]
    assert not told.figures["best"].any()


def test_the_table_is_printed(plan: planning.Plan, capsys: pytest.CaptureFixture[str]) -> None:
    command._conclude(plan)
    said = capsys.readouterr().out
    assert "mine: Test rows, as published (10)" in said
    assert "right (best)" in said
    assert "100.00 [72.25, 100.00]" in said


def test_the_best_is_marked_on_the_page_too_and_figures_of_the_published_test_stand_beside_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = STUDY.replace("right: {", "right: {published: {Accuracy: 0.987}, ")
    plan = planned(tmp_path, monkeypatch, published, BINARY)
    told = writing.result(plan)
    _, _, markdown, page = (path.read_text() for path in writing.write(plan, told))
    assert "<td>right (best)</td>" in page
    assert "| right (best) |" in markdown
    assert "(best): better than every other" in page
    everything, without_copies = (part.table for part in told.parts)
    assert everything["Accuracy %, published"].tolist() == ["98.7", ""]
    assert "Accuracy %, published" not in without_copies  # it was of all rows


def test_heads_say_what_is_in_per_cent_and_a_title_is_no_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = STUDY.replace("[Accuracy]", "[Accuracy, escape_rate, F1]")
    plan = planned(
        tmp_path, monkeypatch, f"title: Which <b>?\n{text}", dataclasses.replace(BINARY, good_classes=("good",))
    )
    told = writing.result(plan)
    assert [head for head in told.parts[0].table if head[0] in "AeF"] == ["Accuracy %", "escape rate %", "F1"]
    _, _, markdown, page = (path.read_text() for path in writing.write(plan, told))
    assert markdown.startswith("## Which &lt;b&gt;?\n")
    assert '<th scope="col"><button type="button">escape rate %</button>' in page


def test_a_figure_published_at_a_threshold_stands_at_that_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = "thresholds: [0.2, 0.5]\npublished_at: {0.5: {Accuracy: 0.987}}\n"
    only = STUDY.replace("  wrong: {settings: [backbone=resnet34]}\n", "") + at
    plan = planned(tmp_path, monkeypatch, only, BINARY)
    told = writing.result(plan)
    assert told.parts[0].table["Accuracy %, published"].tolist() == ["", "98.7"]
    nothing = tables.read_figures(plan.study, tmp_path / "none.csv")
    assert nothing["published"].fillna(0).tolist() == [0, 0.987]


def test_validation_rows_are_tabulated_where_no_test_row_has_a_label(plan: planning.Plan) -> None:
    for run in plan.runs:
        table = predictions.read(run.folder / TEST_PREDICTIONS)
        predictions.write(table.assign(split="validation"), run.folder / PREDICTIONS)
        predictions.write(table.assign(label=None, loss=np.nan), run.folder / TEST_PREDICTIONS)
    told = writing.result(plan)
    assert [part.heading for part in told.parts] == ["Validation rows (10)"]
    assert told.parts[0].table["variant"].tolist() == ["right (best)", "wrong"]
    assert not any(note.startswith("COPIES AND LOOK-ALIKES UNKNOWN") for note in told.notes)


def test_a_line_that_was_compared_with_none_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three = STUDY.replace("figures:", "  other: {settings: [backbone=resnet50]}\nfigures:")
    plan = planned(tmp_path, monkeypatch, three, BINARY)
    changed(plan.runs[2], weights="random")
    assert writing.result(plan).parts[0].table["p"].tolist() == ["", "0.002", "–"]


def test_random_weights_beside_others_are_marked(plan: planning.Plan) -> None:
    changed(plan.runs[1], weights="random")
    told = writing.result(plan)
    assert told.parts[0].table["variant"].tolist() == ["right", "wrong †"]
    assert sum(note.startswith("† starts from random weights") for note in told.notes) == 1


def test_p_is_of_the_accuracy_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(tmp_path, monkeypatch, STUDY.replace("[Accuracy]", "[F1]"), BINARY)
    told = writing.result(plan)
    figures = told.figures.query("variant == 'wrong' and rows == @results.TEST").set_index("metric")
    assert figures["p"].notna().to_dict() == {"F1": False, "Accuracy": True}
    assert told.parts[0].table["p"].tolist() == ["", "0.002"]


def test_lines_with_different_numbers_of_runs_are_not_compared(plan: planning.Plan) -> None:
    """One run is right about all of a few hard pictures more easily than the mean of two."""
    first, *_ = results.entries(results.finished(plan, inputs.CurrentInputs()), results.TEST, [])
    twice = dataclasses.replace(first, variant="twice", tables=(*first.tables, first.tables[0].assign(repeat=1)))
    assert tables._verdicts([first, dataclasses.replace(first, variant="again")])
    assert tables._verdicts([first, twice]) == {}


def test_pictures_of_one_part_count_together_and_lines_of_other_parts_are_not_compared(plan: planning.Plan) -> None:
    """Ten pictures, all wrong in one of the lines: of ten parts p is 2 / 2^10, of two 1 / 2."""
    right, wrong = results.entries(results.finished(plan, inputs.CurrentInputs()), results.TEST, [])

    def of_parts(line: results.Entry) -> results.Entry:
        return dataclasses.replace(line, tables=tuple(one.assign(group=["a", "b"] * 5) for one in line.tables))

    def p(*lines: results.Entry) -> list[float]:
        return [p for _, p in tables._verdicts(lines).values() if p == p]

    assert p(right, wrong) == pytest.approx([2 / 2**10])
    assert p(of_parts(right), of_parts(wrong)) == pytest.approx([0.5])
    assert p(of_parts(right), wrong) == []


def test_settings_of_one_variant_alone_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = STUDY.replace("backbone=resnet34]", "backbone=resnet34], protocols: {own: [training.batch_size=64]}")
    notes = writing.result(planned(tmp_path, monkeypatch, own, BINARY)).notes
    assert "Under this protocol wrong has `training.batch_size=64`." in notes


def test_a_bootstrap_without_a_width_has_no_limits() -> None:
    row = pd.Series({"runs": 1, "defined": 1, "mean": 1.0, "sd": np.nan, "low": 1.0, "high": 1.0})
    assert tables.cell("F1", row, folds=False) == "1.0000"
    assert tables.cell("F1", pd.Series({**row, "low": 0.9}), folds=False) == "1.0000 [0.9000, 1.0000]"


def test_a_mean_over_some_of_the_runs_says_of_how_many() -> None:
    row = pd.Series({"runs": 5, "defined": 4, "mean": 0.9, "sd": 0.1, "pooled": 0.8, "low": 0.7, "high": 0.85})
    assert tables.cell("F1", row, folds=False) == "0.9000 ± 0.1000 (4 of 5) [0.7000, 0.8500]"
    assert tables.cell("F1", row, folds=True) == "0.8000 [0.7000, 0.8500]; folds 0.9000 ± 0.1000 (4 of 5)"
    assert "of 5" not in tables.cell("F1", pd.Series({**row, "defined": 5}), folds=True)
    nowhere = pd.Series({**row, "defined": 0, "mean": np.nan, "sd": np.nan, "low": np.nan, "high": np.nan})
    assert tables.cell("F1", nowhere, folds=False) == "undefined"


def test_runs_without_a_figure_are_counted_in_the_table_and_its_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path, monkeypatch, f"{STUDY.replace('[Accuracy]', '[Accuracy, ROC_AUC]')}repeats: 3\n", BINARY)
    path = plan.runs[2].folder / TEST_PREDICTIONS
    table = predictions.read(path)
    predictions.write(table[table["label"] == "good"].reset_index(drop=True), path)
    told = writing.result(plan)
    assert told.parts[0].table["ROC_AUC"].str.contains(r"\(2 of 3\)").tolist() == [True, False]
    assert not told.parts[0].table["Accuracy %"].str.contains(" of 3").any()
    assert any(note.startswith("(4 of 5): mean") for note in told.notes)
    counted = told.figures.query("variant == 'right' and rows == @results.TEST").set_index("metric")
    assert counted.index.tolist() == ["Accuracy", "ROC_AUC"]
    assert counted[["runs", "defined"]].to_numpy().tolist() == [[3, 3], [3, 2]]


def test_variants_that_were_not_run_keep_their_published_figures(
    plan: planning.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = writing.result(plan).figures
    figures[figures["variant"] == "right"].to_csv(tmp_path / "figures.csv", index=False)
    shown = tables.shown(plan.study, tables.read_figures(plan.study, tmp_path / "figures.csv"), results.TEST)
    assert shown["variant"].tolist() == ["right (best)", "wrong"]
    assert shown["Accuracy %"].tolist()[1] == "not run"
    nothing = tables.read_figures(plan.study, tmp_path / "none.csv")
    assert nothing["first_weights"].tolist() == ["not run", "not run"]


def test_runs_of_different_data_are_told_and_not_compared(plan: planning.Plan) -> None:
    changed(plan.runs[1], data_fingerprint="99e45678aa")
    told = writing.result(plan)
    (note,) = [text for text in told.notes if text.startswith("RUNS OF DIFFERENT DATA")]
    assert "#12e45678: right; #99e45678: wrong" in note
    everything, without_copies = told.parts
    assert everything.table["variant"].tolist() == ["right", "wrong"]
    assert everything.table["data"].tolist() == ["#12e45678", "#99e45678"]
    assert "p" not in everything.table
    assert without_copies.table["variant"].tolist() == ["right"]  # rows of other data have other numbers
    for path in writing.write(plan, told):
        assert path.is_file()
    assert "RUNS OF DIFFERENT DATA" in (plan.folder / "table.md").read_text()


def test_one_variant_of_different_data_is_two_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(tmp_path, monkeypatch, f"{STUDY}repeats: 2\n", BINARY)
    changed(plan.runs[1], data_fingerprint="99e45678aa")
    table = writing.result(plan).parts[0].table
    assert table[["variant", "runs"]].to_numpy().tolist() == [["right", "1"], ["right", "1"], ["wrong", "2"]]


def test_one_variant_of_different_weights_is_told_and_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path, monkeypatch, f"{STUDY}repeats: 2\n", BINARY)
    for run in plan.runs[2:]:
        changed(run, weights="hub:b")  # another variant's may be others
    assert results.differences(results.finished(plan, inputs.CurrentInputs())) == []
    changed(plan.runs[1], weights="hub:b")
    told = writing.result(plan)
    assert any(text.startswith("RUNS OF DIFFERENT WEIGHTS: those of right start from hub:a") for text in told.notes)
    assert told.parts[0].table["variant"].tolist() == ["right", "wrong"]
    assert "p" not in told.parts[0].table


def test_variants_that_name_data_of_their_own_are_compared_on_the_same_test_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = STUDY.replace("[backbone=resnet34]", "[backbone=resnet18, data.unlabeled_table=more.csv]")
    plan = planned(tmp_path, monkeypatch, own, BINARY)
    changed(plan.runs[1], data_fingerprint="99e45678aa")
    assert results.differences(results.finished(plan, inputs.CurrentInputs())) == []
    assert writing.result(plan).parts[0].table["variant"].tolist() == ["right (best)", "wrong"]


def test_rows_seen_in_training_that_cannot_be_told_any_more_are_named(plan: planning.Plan) -> None:
    for run in plan.runs:
        changed(run, data_fingerprint="99e45678aa")
    told = writing.result(plan)
    assert len(told.parts) == 1
    assert any(text.startswith("PICTURES OR LABELS CHANGED SINCE THESE RUNS: right / wrong.") for text in told.notes)
    assert any(text.startswith("COPIES AND LOOK-ALIKES UNKNOWN for right, wrong") for text in told.notes)


def test_copies_are_told_where_there_are_too_many_pictures_to_know_all_look_alikes(
    plan: planning.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = pd.DataFrame({"row": [0, 1], "kind": ["same bytes", "look-alike"]})
    large = SimpleNamespace(fingerprint=FACTS["data_fingerprint"], seen=seen, lookalikes_known=False)
    monkeypatch.setattr(inputs, "read", lambda config: large)
    told = writing.result(plan)
    assert [part.heading for part in told.parts][1:] == ["Test rows without copies of training pictures (9)"]
    assert any(
        text.startswith("LOOK-ALIKES UNKNOWN for right, wrong: the data set is too large") for text in told.notes
    )


@pytest.mark.parametrize("tag", LOUD)
def test_what_a_run_said_loudly_is_a_note_with_its_title(plan: planning.Plan, tag: str) -> None:
    before = writing.result(plan).notes
    changed(plan.runs[1], **{tag: "4 rows"})
    (note,) = set(writing.result(plan).notes) - set(before)
    assert " in wrong: " in note


def test_a_class_that_one_fold_does_not_validate_is_validated_by_all_folds_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path, monkeypatch, f"{STUDY}folds: true\nrows: validation\n", BINARY)
    for run in plan.runs:
        table = predictions.read(run.folder / TEST_PREDICTIONS)
        predictions.write(table.assign(split="validation", row=table["row"] + 10 * run.fold), run.folder / PREDICTIONS)
    before = writing.result(plan)
    assert [part.heading for part in before.parts] == ["Validation rows (50)"]
    changed(plan.runs[1], classes_not_validated="No validation row of class bad")
    assert writing.result(plan).notes == before.notes


def test_runs_of_several_devices_are_told(plan: planning.Plan) -> None:
    """The machine is no part of a study's settings: some runs may be made on one machine and the rest on another."""
    before = writing.result(plan).notes
    changed(plan.runs[1], device="cuda", precision="bf16-mixed")
    (note,) = set(writing.result(plan).notes) - set(before)
    assert "(cpu in 32-true, threads: 1: right; cuda in bf16-mixed: wrong)" in note


def test_a_chart_has_per_cent_where_the_table_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for metric, percent in (("Accuracy", True), ("LogLoss", False)):
        folder = tmp_path / metric
        folder.mkdir()
        plan = planned(folder, monkeypatch, STUDY.replace("[Accuracy]", f"[{metric}]"), BINARY)
        figure = writing.chart(plan.study, writing.result(plan).figures, results.TEST)
        ticks = figure.axes[0].xaxis.get_major_formatter().format_ticks([0.5, 1.5])
        assert ticks == (["50%", "150%"] if percent else ["0.5", "1.5"])


def test_a_table_needs_no_pictures(plan: planning.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def unmounted(config: config.Config) -> None:
        raise PartsightError("data.root=/mnt/parts: there is no such folder")

    monkeypatch.setattr(inputs, "read", unmounted)
    told = writing.result(plan)
    assert [part.heading for part in told.parts] == ["Test rows, as published (10)"]
    assert told.parts[0].table["variant"].tolist() == ["right (best)", "wrong"]
    (note,) = [text for text in told.notes if text.startswith("COPIES AND LOOK-ALIKES UNKNOWN for right, wrong")]
    assert "or cannot be read" in note
    assert any(text.startswith("UNKNOWN whether the runs used the current data") for text in told.notes)


def test_a_softmax_is_tabulated_as_it_decided_where_a_study_has_thresholds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = writing.result(planned(tmp_path, monkeypatch, f"{STUDY}thresholds: [0.3, 0.5]\n", SOFTMAX))
    assert told.parts[0].table["threshold"].tolist() == ["as decided"] * 2
    assert any(text.startswith("THRESHOLDS LEFT OUT for right, wrong") for text in told.notes)


def test_timed_rows_of_different_machines_say_which(tmp_path: Path) -> None:
    (tmp_path / "speed.yaml").write_text(
        "kind: time\nsettings: [usecase=casting, seed=1]\nvariants: {one: {}}\nbatch_sizes: [2, 4]\n"
        "protocols: {own: []}\n"
    )
    plan = planning.plan(read_study(str(tmp_path / "speed.yaml"), CONF), read_protocol("own", CONF), [], CONF)

    def told(*devices: str) -> tuple[pd.DataFrame, str]:
        for run, device in zip(plan.runs, devices, strict=True):
            run.folder.mkdir(parents=True, exist_ok=True)
            facts = {"device_name": device, "precision": "32-true", "threads": "2"}
            speed = facts | dict.fromkeys(speed_tables.COLUMNS, 1.0)
            (run.folder / timing.FILE).write_text(yaml.safe_dump(speed))
            (run.folder / planning.FINISHED).write_text(f'{{"results_version": {RESULTS_VERSION}}}')
        result = writing.result(plan)
        return result.parts[0].table, "\n".join(result.notes)

    alone, notes = told("A", "A")
    assert notes.startswith("Protocol own: the use case's own settings.\n")
    assert "device" not in alone
    assert "ROWS OF DIFFERENT MACHINES" not in notes
    mixed, notes = told("A", "B")
    assert mixed["device"].tolist() == ["A", "B"]
    assert "precision" not in mixed
    assert "ROWS OF DIFFERENT MACHINES" in notes
