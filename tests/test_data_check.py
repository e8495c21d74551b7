"""`partsight data check`: what it answers, the page it leaves, and the status that CI goes by."""

import errno
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import tree

from partsight import cli, command
from partsight.data import audit as audits
from partsight.data import division
from partsight.data.usable import usable_examples
from partsight.errors import PartsightError


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "check", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_sound_folder_gives_0_a_table_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    assert status(str(root)) == 0
    assert "Nothing was found" in capsys.readouterr().out
    page = (tmp_path / "data_check.html").read_text(encoding="utf-8")
    assert "Nothing was found" in page
    assert str(root) in page


def test_a_page_that_cannot_be_written_is_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    assert status(str(root), "--out", str(root)) == 2
    said = capsys.readouterr()
    assert f"--out {root}: cannot be written: Is a directory" in said.err
    assert not said.out


def test_a_full_disk_keeps_the_page_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    (tmp_path / "page.html").write_text("yesterday's")

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert status(str(root), "--out", str(tmp_path / "page.html")) == 2
    assert "page.html: cannot be written: No space left on device" in capsys.readouterr().err
    assert (tmp_path / "page.html").read_text() == "yesterday's"


def test_what_only_composing_finds_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("usecase=casting", "~augmentation.train.Nope") == 2
    assert "augmentation.train.Nope" in capsys.readouterr().err


def test_a_setting_may_be_longer_than_a_files_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    columns = ",".join(f"defect_number_{number}" for number in range(40))
    assert status(str(root), f"data.label_columns=[{columns}]") == 2
    assert "data.label_columns: several columns need data.table" in capsys.readouterr().err


def test_copies_in_two_folds_give_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    for number in range(30):
        shutil.copy(root / "good" / f"{number:04}.png", root / "good" / f"copy{number}.png")
    assert status(str(root), "--out", "deep/page.html") == 1
    assert "identical pictures across splits or folds" in capsys.readouterr().out
    assert "identical pictures across" in (tmp_path / "deep" / "page.html").read_text(encoding="utf-8")


def test_rows_that_training_will_not_use_are_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, count, size in (("train", 30, 8), ("val", 6, 9)):
        tree(tmp_path / "parts" / split, {"good": count, "bad": count}, size)
    assert status(str(tmp_path / "parts")) == 0
    assert "12 rows of the separate validation set" in capsys.readouterr().out
    assert "data.validation_strategy=custom validates on them" in (tmp_path / "data_check.html").read_text("utf-8")
    assert status(str(tmp_path / "parts"), "data.validation_strategy=custom") == 0
    assert "not used" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("holdout data.group_column=part", ["there are no validation rows of class bad"]),
        ("custom data.table=first.csv data.validation_table=last.csv", ["there are no validation rows of class bad"]),
        (
            "column data.fold_column=week",
            ["some fold has no rows of class bad", "fold 2 holds all rows of class bad: training refuses fold=2"],
        ),
        ("kfold", ["some fold has no rows of class bad"]),
    ],
)
def test_a_class_that_is_not_validated_gives_1(
    settings: str, told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All four bad parts are of one lot and one week."""
    root = tree(tmp_path / "parts", {"good": 28, "bad": 4})
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    table = pd.DataFrame({"image": images, "class": [Path(image).parent.name for image in images]})
    bad = table["class"] == "bad"
    table["part"] = np.where(bad, "lot 9", [f"lot {number % 7}" for number in range(32)])
    table["week"] = np.where(bad, 2, np.arange(32) % 2)
    for name, rows in (("all", table), ("first", table[:24]), ("last", table[24:])):
        rows.to_csv(root / f"{name}.csv", index=False)
    given = ["usecase=custom", f"data.root={root}", *f"data.validation_strategy={settings}".split()]
    assert status(*given, *([] if "data.table" in settings else ["data.table=all.csv"])) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert all(words in said for words in told)


def test_a_class_whose_only_validation_picture_is_left_out_is_not_validated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "parts"
    tree(root / "train", {"good": 9, "bad": 9})
    tree(root / "val", {"good": 4, "bad": 1}, 9)
    (root / "val" / "bad" / "0000.png").write_bytes(b"no picture")
    assert status(str(root), "data.validation_strategy=custom", "data.on_bad_image=skip") == 1
    assert "no validation rows of class bad" in capsys.readouterr().out


@pytest.mark.parametrize("settings", ["kfold", "stratified", "kfold data.on_leak=group", "holdout"])
def test_a_set_with_pictures_to_skip_is_divided_as_training_divides_it(settings: str, tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    for number in (3, 11, 12):
        (root / "bad" / f"{number:04}.png").write_bytes(b"no picture")
    given = ["usecase=custom", f"data.root={root}", "data.on_bad_image=skip"]
    config = command.settings([*given, *f"data.validation_strategy={settings}".split()])
    _, audited, _ = audits.audit_of(config)
    trained, inspected = usable_examples(config)
    parts = audits.parts(trained, division.divide(trained, inspected, config).fold, config.data.validation_strategy)
    rows = audited.rows.set_index("image")["part"]
    assert rows[trained.frame["image"]].tolist() == parts


def test_a_class_that_is_too_rare_without_its_skipped_pictures_gives_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 2})
    (root / "bad" / "0000.png").write_bytes(b"no picture")
    given = ["data.validation_strategy=stratified", "data.folds=2", "data.on_bad_image=skip"]
    assert status(str(root), *given) == 2
    assert "class 'bad': 1 row, and data.validation_strategy=stratified needs 2" in capsys.readouterr().out


def test_test_rows_without_label_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table of classes, where they are in no line, does not add up to all rows."""
    root = tree(tmp_path / "parts" / "train", {"good": 30, "bad": 30}).parent
    tree(root, {"test": 3}, size=9)
    assert status(str(root)) == 0
    said = "3 test rows without label"
    assert f"- {said}" in capsys.readouterr().out
    assert said in (tmp_path / "data_check.html").read_text(encoding="utf-8")


def test_unlabeled_rows_are_told_apart_from_test_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    tables = {"labels": images[4:], "test": images[:1], "unlabeled": images[1:4]}
    for name, listed in tables.items():
        known = {"class": [image.split("/")[0] for image in listed]} if name == "labels" else {}
        pd.DataFrame({"image": listed, **known}).to_csv(root / f"{name}.csv", index=False)
    given = [f"data.{name}_table={name}.csv" for name in ("test", "unlabeled")]
    assert status("usecase=custom", f"data.root={root}", "data.table=labels.csv", *given) == 0
    said = capsys.readouterr().out
    assert "- 1 test row without label" in said
    assert "- 3 unlabeled rows: for pseudo-labels" in said


def test_a_broken_picture_gives_2_and_is_named_on_the_page(tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    (root / "good" / "0007.png").write_bytes(b"no picture")
    assert status(str(root)) == 2
    assert "good/0007.png" in (tmp_path / "data_check.html").read_text(encoding="utf-8")


def test_a_table_that_cannot_be_read_gives_2_and_a_page_that_says_why(tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"good": 2, "bad": 2})
    pd.DataFrame({"image": ["good/0000.png", None], "class": ["good", "bad"]}).to_csv(root / "labels.csv")
    assert status("usecase=custom", f"data.root={root}", "data.table=labels.csv") == 2
    assert "empty in row 1" in (tmp_path / "data_check.html").read_text(encoding="utf-8")


def test_rows_that_cannot_be_divided_give_2_and_the_page_still_shows_them(tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"good": 3, "bad": 30})
    assert status(str(root), "data.validation_strategy=stratified") == 2
    page = (tmp_path / "data_check.html").read_text(encoding="utf-8")
    assert "class &#39;good&#39;: 3 rows" in page
    assert "Samples of every class" in page


def test_it_takes_the_settings_that_train_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    assert status(str(root), "--out", "page.html", "data.folds=3") == 0
    assert "fold 2" in (page := capsys.readouterr().out)
    assert "fold 3" not in page


@pytest.mark.parametrize("option", [["--config-dir", "mine"], ["--config-dir=mine"]])
def test_it_takes_configs_of_ones_own(option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder behind --config-dir is no data set."""
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    own = tmp_path / "mine" / "usecase" / "parts.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(f"# @package _global_\nname: ours\ndata:\n  root: {root}\n  folds: 3\n", encoding="utf-8")
    assert status(*option, "usecase=parts") == 0
    assert "fold 2" in (said := capsys.readouterr().out)
    assert "fold 3" not in said


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    root = tree(tmp_path / "line 2, it's=new", {"good": 30, "bad": 30})
    assert status(str(root)) == 0


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["usecase=castin", "data.fold=3"], "did you mean casting"),
        (["nowhere"], "there is no such folder"),
        (["usecase=custom"], "name the folder of your pictures"),
        (["usecase=casting", "-m"], "leave --multirun"),
        ([".", ".."], ". and ..: one data set at a time"),
        ([".", "+data.root=parts"], ". and data.root=parts: one data set at a time"),
    ],
)
def test_a_wrong_command_gives_2_and_says_why(
    arguments: list[str], answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(*arguments) == 2
    assert answer in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_it_leaves_nothing_but_the_page(tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    status(str(root))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data_check.html", "parts"]


def test_classes_that_differ_only_in_a_blank_give_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    names = [f"{name}/{number:04}.png" for name in ("good", "bad") for number in range(30)]
    labels = [f"{name} " if number % 4 == 0 else name for name in ("good", "bad") for number in range(30)]
    pd.DataFrame({"image": names, "class": labels}).to_csv(root / "labels.csv", index=False)
    assert status(str(root), "data.table=labels.csv") == 1
    assert "! 'bad' and 'bad '" in capsys.readouterr().out


def test_what_page_and_console_say_of_a_data_set_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30})
    shutil.copy(root / "good" / "0000.png", root / "stray.png")
    (root / "good" / "0001.png").write_text("no picture")
    assert status(str(root)) == 2
    said = capsys.readouterr().out
    assert "1 picture in no class folder" in said
    assert "the picture cannot be used (first good/0001.png: " in said


def test_pictures_that_are_not_there_are_told_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 3, "bad": 3})
    names = [f"{name}\\{number:04}.png" for name in ("good", "bad") for number in range(3)]
    pd.DataFrame({"image": names, "class": ["good", "bad"] * 3}).to_csv(root / "labels.csv", index=False)
    assert status(str(root), "data.table=labels.csv") == 2
    said = capsys.readouterr().out
    assert "the names hold backslashes" in said


def test_a_table_that_lies_beside_the_only_class_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"pictures": 6})
    (root / "labels.csv").write_text("image,class\n")
    assert status(str(root)) == 2
    said = capsys.readouterr().out
    assert "one class only ('pictures')" in said
    assert "if labels.csv beside them holds the labels, add data.table=labels.csv" in said


def test_a_cell_without_a_picture_is_told_by_the_name_of_its_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 3, "bad": 3})
    (root / "labels.csv").write_text("file,class\ngood/0000.png,good\nbad/0000.png,bad\n,bad\n")
    assert status(str(root), "data.table=labels.csv", "data.image_column=file") == 2
    assert "column 'file': empty in row 2" in capsys.readouterr().out


def test_a_picture_that_may_be_skipped_is_not_told_beside_a_mistake_of_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 6, "bad": 6})
    names = [f"{name}/{number:04}.png" for name in ("good", "bad") for number in range(7)]  # the last is not there
    table = pd.DataFrame({"image": names, "class": [name.partition("/")[0] for name in names]})
    table.to_csv(root / "labels.csv", index=False)
    assert status(str(root), "data.table=labels.csv", "data.good_classes=[gud]", "data.on_bad_image=skip") == 2
    said = capsys.readouterr().out
    assert "data.good_classes: there is no class 'gud'" in said
    assert "not found" not in said


def test_a_table_with_mistakes_is_told_as_train_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 6, "bad": 6})
    (root / "bad" / "0003.png").write_text("no picture")
    names = [f"{name}/{number:04}.png" for name in ("good", "bad") for number in range(6)]
    rows = [*((name, name.partition("/")[0]) for name in names), ("gone.png", "good"), (names[0], "bad")]
    pd.DataFrame(rows, columns=["image", "class"]).to_csv(root / "labels.csv", index=False)
    given = ["usecase=custom", f"data.root={root}", "data.table=labels.csv"]
    with pytest.raises(PartsightError) as refused:
        usable_examples(command.settings(given))
    assert status(*given) == 2
    assert str(refused.value) in capsys.readouterr().out
    page = (tmp_path / "data_check.html").read_text(encoding="utf-8")
    assert all(text in page for text in ("3 problems", "gone.png", "different labels", "cannot be decoded"))


def test_missing_and_broken_pictures_alone_are_shown_with_the_sound_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 6, "bad": 6})
    (root / "bad" / "0003.png").write_text("no picture")
    names = [f"{name}/{number:04}.png" for name in ("good", "bad") for number in range(7)]  # the last is not there
    table = pd.DataFrame({"image": names, "class": [name.partition("/")[0] for name in names]})
    table.to_csv(root / "labels.csv", index=False)
    assert status(str(root), "data.table=labels.csv", "data.folds=2") == 2
    assert "3 rows: the picture cannot be used" in capsys.readouterr().out
    page = (tmp_path / "data_check.html").read_text(encoding="utf-8")
    assert all(text in page for text in ("good/0006.png", "bad/0003.png", "Samples of every class"))


def test_a_folds_file_may_name_rows_that_are_skipped_today(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 6, "bad": 6})
    names = [f"{name}/{number:04}.png" for name in ("good", "bad") for number in range(6)]
    table = pd.DataFrame({"image": names, "class": [name.partition("/")[0] for name in names]})
    table.to_csv(root / "labels.csv", index=False)
    rows = range(len(table))
    folds = table.assign(split="train", row=rows, fold=[row % 2 for row in rows])
    folds.to_csv(tmp_path / "folds.csv", index=False)
    (root / "good" / "0003.png").write_bytes(b"no picture")
    (root / "bad" / "0003.png").unlink()
    given = ["data.table=labels.csv", "data.validation_strategy=file", f"data.folds_file={tmp_path / 'folds.csv'}"]
    assert status(str(root), *given, "data.on_bad_image=skip") == 1
    assert "2 rows: the picture cannot be used" in capsys.readouterr().out


def test_class_folders_without_pictures_give_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30, "empty": 0})
    assert status(str(root)) == 1
    assert f"! {root}: class folders without pictures: empty" in capsys.readouterr().out
    assert "class folders without pictures: empty" in (tmp_path / "data_check.html").read_text(encoding="utf-8")


def test_what_makes_it_unusable_outweighs_a_class_folder_without_pictures(tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"good": 30, "bad": 30, "empty": 0})
    (root / "good" / "0007.png").write_bytes(b"no picture")
    assert status(str(root)) == 2


def test_what_the_only_class_may_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner = tree(tmp_path / "outer one" / "inner one", {"good": 30, "bad": 30})
    (tmp_path / "outer one" / "bare").mkdir()
    shutil.copy(inner / "good" / "0000.png", inner / "stray.png")
    assert status(str(tmp_path / "outer one")) == 2
    said = capsys.readouterr().out
    assert "one class only ('inner one'); nothing to tell apart" in said
    assert f"{tmp_path / 'outer one'}: class folders without pictures: bare" in said
    assert f"holds stray.png beside the folders bad, good: if these are the classes, say data.root={inner}\n" in said
    assert status(f"data.root={inner}") == 0


def test_pictures_that_none_of_two_tables_finds_are_told_once_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"good": 6, "bad": 6})
    names = [f"{name}/{number:04}.png" for name in ("good", "bad") for number in range(6)]
    table = pd.DataFrame({"image": names, "class": [name.partition("/")[0] for name in names]})
    for file in ("train.csv", "test.csv"):
        table.assign(image="x" + table["image"]).to_csv(root / file, index=False)
    given = [str(root), "data.table=train.csv", "data.test_table=test.csv"]
    for unusable in ("error", "skip"):
        assert status(*given, f"data.on_bad_image={unusable}") == 2
        said = capsys.readouterr().out
        assert said.count("not found") == 2
        assert "nothing to tell apart" not in said


@pytest.mark.parametrize("on_leak", ["error", "group"])
def test_leaks_that_training_would_refuse_give_2(
    on_leak: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts" / "train", {"good": 30, "bad": 30}).parent
    tree(root / "test", {"good": 3, "bad": 3}, size=9)
    assert status(str(root), f"data.on_leak={on_leak}") == 0
    shutil.copy(root / "train" / "good" / "0007.png", root / "test" / "good" / "copy.png")
    assert status(str(root)) == 1
    capsys.readouterr()
    assert status(str(root), f"data.on_leak={on_leak}") == 2
    out = capsys.readouterr().out
    assert f"x data.on_leak={on_leak}: 1 test row (1 same bytes) with a look-alike among the training rows" in out
    assert "! 1 set of identical pictures across splits or folds" in out
