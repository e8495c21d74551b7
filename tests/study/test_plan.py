"""The runs of a study: who wins when a setting is given twice, what makes another run, what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from partsight import RESULTS_VERSION, check, config
from partsight.data import given_folds
from partsight.data.info import DataInfo
from partsight.data.table import Examples
from partsight.errors import PartsightError, Problems
from partsight.study import command as study_command
from partsight.study import folds, results
from partsight.study import plan as plan_module
from partsight.study.definition import read_protocol, read_study, study_files
from partsight.study.plan import FINISHED, Plan, plan, protocol_of

AS_NOW = f'{{"results_version": {RESULTS_VERSION}}}'

CONF = [config.conf_folder()]
SMALL = """
settings: [usecase=casting, seed=1, training.epochs=7, head=gem]
variants:
  slow: {settings: [training.learning_rate=1e-4, training.epochs=5]}
  fast: {settings: [training.learning_rate=1e-2], protocols: {own: [training.batch_size=16]}}
protocols: {cpu: [training.epochs=6], own: []}
repeats: 2
"""


def planned(folder: Path, *given: str, text: str = SMALL, protocol: str = "cpu", repeats: int | None = None) -> Plan:
    path = folder / "mine.yaml"
    path.write_text(text)
    return plan(read_study(str(path), CONF), read_protocol(protocol, CONF), given, CONF, repeats=repeats)


def test_each_variant_runs_as_often_as_it_is_repeated(tmp_path: Path) -> None:
    runs = planned(tmp_path).runs
    assert [(run.variant, run.repeat) for run in runs] == [("slow", 0), ("slow", 1), ("fast", 0), ("fast", 1)]
    assert [run.title for run in runs] == ["slow", "slow, repeat 1", "fast", "fast, repeat 1"]
    assert len({run.folder for run in runs}) == 4
    assert len(planned(tmp_path, repeats=1).runs) == 2


def test_the_later_layer_wins(tmp_path: Path) -> None:
    slow, _, fast, _ = planned(tmp_path, "head=dense").runs
    assert slow.config.training.epochs == 5  # the variant, over the study's own for the protocol, over the protocol's
    assert fast.config.training.epochs == 6
    assert (fast.config.image.height, fast.config.training.batch_size) == (96, 32)
    assert slow.config.head.hidden == [1024]  # the command line, over all
    assert sum(text.startswith("head=") for text in slow.overrides) == 1
    assert planned(tmp_path, protocol="own").runs[2].config.training.batch_size == 16


def test_a_folders_name_follows_what_can_change_the_result(tmp_path: Path) -> None:
    first = planned(tmp_path).runs[0]
    for without in ("report.pictures=false", "data.workers=1", "data.cache=off", "resume=never", "rerun=true"):
        assert planned(tmp_path, without).runs[0].folder == first.folder
    other = planned(tmp_path, "training.weight_decay=0.1").runs[0]
    assert other.folder != first.folder
    assert other.folder.parent == first.folder.parent == Path("studies/mine/casting/cpu/runs")


def test_what_is_finished_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = planned(tmp_path).runs[1]
    done.folder.mkdir(parents=True)
    assert not done.done
    (done.folder / FINISHED).write_text(AS_NOW)
    assert [run.title for run in planned(tmp_path).missing] == ["slow", "fast", "fast, repeat 1"]


def test_what_is_asked_for_again_is_missing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for run in planned(tmp_path).runs:
        run.folder.mkdir(parents=True)
        (run.folder / FINISHED).write_text(AS_NOW)
    again = planned(tmp_path, "fast:rerun=true")
    assert again.missing == []  # a list of the runs deletes nothing
    again.forget(study_command._again(again))
    assert [run.title for run in planned(tmp_path).missing] == ["fast", "fast, repeat 1"]


def test_what_was_made_under_another_results_version_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, now, cut_off, _ = planned(tmp_path).runs
    for run, told in ((before, '{"results_version": 3}'), (now, '{"results_version": 4}'), (cut_off, "")):
        run.folder.mkdir(parents=True)
        (run.folder / FINISHED).write_text(told)
    monkeypatch.setattr(plan_module, "RESULTS_VERSION", 3)
    assert [run.done for run in (before, now, cut_off)] == [True, False, False]
    monkeypatch.setattr(plan_module, "RESULTS_VERSION", 4)
    assert [run.done for run in planned(tmp_path).runs[:3]] == [False, True, False]
    assert "version 3): will be run again" in results.status(before)


def test_mistakes_of_all_variants_are_told_together_and_once(tmp_path: Path) -> None:
    text = SMALL.replace("epochs=5", "epohcs=5").replace("1e-2", "much")
    with pytest.raises(Problems) as raised:
        planned(tmp_path, "training.learning_rate=1", "repeat=1", "seed=-1", "image.hight=3", text=text)
    said = raised.value.problems
    assert "training.learning_rate=1: training.learning_rate is what the study varies" in said
    assert "repeat=1: repeat is what the study varies" in said
    assert sum("image.hight" in problem for problem in said) == 1
    assert any("training.epohcs: there is no such setting; did you mean training.epochs?" in p for p in said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("seed=1,2", "seed=1,2: a study takes one value for each setting; for several, write variants into its file"),
        ("usecase=steel,casting", "usecase=steel,casting: a study takes one value for each setting"),
        ("fast:training.epochs=range(1,3)", "training.epochs=range(1,3): a study takes one value for each setting"),
        ("repeat=0,1", "repeat=0,1: repeat is what the study varies"),
        ("training.learning_rate=1,2", "training.learning_rate=1,2: training.learning_rate is what the study varies"),
        ("slwo:head=dense", "slwo:head=dense: mine has no variant slwo; did you mean slow?; it has slow, fast"),
        ("b4:~augmentation.train.Affine", "b4:~augmentation.train.Affine: mine has no variant b4; it has slow, fast"),
    ],
)
def test_what_a_study_does_not_take_is_told_once_and_in_its_own_words(tmp_path: Path, given: str, said: str) -> None:
    with pytest.raises(Problems) as raised:
        planned(tmp_path, given)
    (problem,) = raised.value.problems
    assert problem.startswith(said)
    assert "-m" not in problem


def test_one_variant_cannot_be_given_what_varies_within_each(tmp_path: Path) -> None:
    with pytest.raises(Problems) as raised:
        planned(tmp_path, "fast:repeat=1", text=SMALL)
    assert raised.value.problems == ["fast:repeat=1: repeat is what the study varies"]
    folds = SMALL.replace("repeats: 2", "folds: true\nrows: validation")
    with pytest.raises(Problems, match="fast:fold=1: fold is what the study varies"):
        planned(tmp_path, "fast:fold=1", text=folds)
    assert planned(tmp_path, "fast:training.learning_rate=3e-3").runs[2].config.training.learning_rate == 3e-3


def test_what_varies_under_another_protocol_may_be_set(tmp_path: Path) -> None:
    fast = planned(tmp_path, "training.batch_size=8").runs[2]  # own alone varies it
    assert fast.config.training.batch_size == 8
    with pytest.raises(Problems, match="is what the study varies"):
        planned(tmp_path, "training.batch_size=8", protocol="own")


def test_what_only_composing_finds_names_the_variant(tmp_path: Path) -> None:
    wrong = SMALL.replace("training.learning_rate=1e-2]", "'augmentation.train={Affin: {}}']")
    with pytest.raises(Problems, match=r"Affin.* \[variant: fast\]"):
        planned(tmp_path, text=wrong)


def test_what_only_composing_finds_is_told_once_for_all(tmp_path: Path) -> None:
    with pytest.raises(Problems) as raised:
        planned(tmp_path, "augmentation.train={Affin: {}}")
    assert len(raised.value.problems) == 1


def test_a_variant_may_be_called_by_a_number(tmp_path: Path) -> None:
    text = SMALL.replace("  fast:", "  1e-2:")
    assert planned(tmp_path, "1e-2:training.epochs=3", text=text).runs[2].variant == "1e-2"


def test_a_variant_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    text = SMALL.replace("  fast:", "  'ResNet: big':")
    runs = planned(tmp_path, "ResNet: big:training.epochs=3", text=text).runs
    assert [run.config.training.epochs for run in runs] == [5, 5, 3, 3]


def test_rules_name_the_variant(tmp_path: Path) -> None:
    with pytest.raises(Problems) as raised:
        planned(tmp_path, "seed=-1", text=SMALL.replace("1e-2", "-1"))
    assert len(raised.value.problems) == 2
    assert any("learning_rate=-1" in p and p.endswith("[variant: fast]") for p in raised.value.problems)
    assert any(p.startswith("seed=-1") and p.endswith("[variant: slow]") for p in raised.value.problems)


def test_variants_do_not_differ_only_in_a_rate_that_none_trains_with(tmp_path: Path) -> None:
    alike = SMALL.replace(", training.epochs=5", "")
    found = "training.find_learning_rate=true"
    with pytest.raises(Problems, match=r"1\. variants slow, fast: differ only in training\.learning_rate, but"):
        planned(tmp_path, found, text=alike)
    assert planned(tmp_path, text=alike).runs
    assert planned(tmp_path, found).runs  # epochs differ too


def test_a_softmax_has_no_thresholds(tmp_path: Path) -> None:
    text = f"{SMALL}thresholds: [0.3, 0.5]\n"
    with pytest.raises(Problems, match=r"model\.output=softmax: has no threshold"):
        planned(tmp_path, "model.output=softmax", text=text)
    assert planned(tmp_path, text=text).runs  # auto: the data decide


def test_folds_are_those_of_the_settings() -> None:
    study, own = read_study("kfold", CONF), read_protocol("own", CONF)
    runs = plan(study, own, ["usecase=steel", "data.folds=3"], CONF).runs
    assert [(run.fold, run.config.name) for run in runs] == [(0, "steel"), (1, "steel"), (2, "steel")]
    with pytest.raises(Problems, match="holdout: divides once; a study over folds needs one that draws"):
        plan(study, own, ["usecase=steel", "data.validation_strategy=holdout"], CONF)


def by_column(folder: Path, column: str = "batch") -> list[str]:
    """Settings of a division by a column of parts.csv, which holds three batches."""
    (folder / "parts.csv").write_text("image,label,batch\na.png,good,7\nb.png,bad,12\nc.png,good,7.0\nd.png,bad,3\n")
    data = ["usecase=custom", f"data.root={folder}", "data.table=parts.csv"]
    return [*data, "data.validation_strategy=column", f"data.fold_column={column}"]


def folds_of(given: list[str], out: Path, paths: bool = True) -> list[int]:
    study, own = read_study("kfold", CONF), read_protocol("own", CONF)
    return [run.fold for run in plan(study, own, given, CONF, out, paths=paths).runs]


def test_folds_may_be_those_of_a_column(tmp_path: Path) -> None:
    given = by_column(tmp_path)
    assert folds_of(given, tmp_path / "out") == [0, 1, 2]
    (tmp_path / "parts.csv").write_text("image,label,batch\na.png,good,mon\nb.png,bad,tue\nc.png,bad,\n")
    assert folds_of(given, tmp_path / "out") == [0, 1]
    with pytest.raises(Problems, match=r"no column 'bach'.* \[variant: all folds\]"):
        folds_of(by_column(tmp_path, "bach"), tmp_path / "out")


def test_a_column_is_counted_as_a_run_numbers_it(tmp_path: Path) -> None:
    by_column(tmp_path)
    data = config.DataConfig(root=str(tmp_path), table="parts.csv", validation_strategy="column", fold_column="batch")
    frame = pd.DataFrame({"split": "train", "row": range(4), "image": list("abcd")})
    info = DataInfo(("bad", "good"), "binary", (2, 2), ("label",))
    numbered = given_folds.of_column(Examples(frame, np.zeros((4, 1), np.float32), info, tmp_path), data)
    assert list(folds.of(data)) == sorted(set(numbered.tolist())) == [0, 1, 2]


def test_folds_may_be_those_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "split,row,image,fold\ntrain,0,a.png,4\ntrain,1,b.png,0\ntrain,2,c.png,-1\ntrain,3,d.png,4\ntest,0,e.png,9\n"
    )
    given = ["usecase=casting", "data.validation_strategy=file", f"data.folds_file={tmp_path / 'mine.csv'}"]
    assert folds_of(given, tmp_path / "out") == [0, 4]


def test_a_division_that_is_given_needs_its_table_even_to_be_listed(tmp_path: Path) -> None:
    given = by_column(tmp_path)
    (tmp_path / "parts.csv").unlink()
    with pytest.raises(Problems, match=r"parts\.csv.*\[variant: all folds\]"):
        folds_of(given, tmp_path / "out", paths=False)


def test_a_plan_needs_no_torch(tmp_path: Path) -> None:
    code = "import sys\nfrom partsight.study import folds, plan\nfrom partsight.config import DataConfig\n"
    code += "data = DataConfig(root='.', table='parts.csv', validation_strategy='column', fold_column='batch')\n"
    code += "assert list(folds.of(data)) == [0, 1, 2]\nsys.exit('torch' in sys.modules)"
    by_column(tmp_path)
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_a_protocol_is_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SMALL)
    study = read_study(str(tmp_path / "mine.yaml"), CONF)
    assert protocol_of(study, ["a=1", "protocol=own"]) == ("own", ["a=1"])
    assert protocol_of(study, ["a=1"]) == ("cpu", ["a=1"])
    with pytest.raises(PartsightError, match=r"protocol=ownn: mine has no such protocol; did you mean own\?"):
        protocol_of(study, ["protocol=ownn"])


def test_a_setting_may_be_meant_for_one_variant(tmp_path: Path) -> None:
    slow, _, fast, _ = planned(tmp_path, "slow:training.learning_rate=3", "slow:head=dense", "head=linear").runs
    assert (slow.config.training.learning_rate, slow.config.head.hidden) == (3, [1024])
    assert (fast.config.training.learning_rate, fast.config.head.hidden) == (1e-2, [])


SHIPPED = {
    "casting_architecture": 7,
    "casting_augmentation": 11,
    "casting_backbone": 10,
    "casting_recipe": 10,
    "casting_time": 30,
    "casting_threshold": 10,
    "kfold": 5,
}
"""Runs of each."""


def test_the_shipped_studies_are_those_the_tests_think_of() -> None:
    assert sorted(study_files(CONF)) == sorted(SHIPPED)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_composes_under_each_of_its_protocols(name: str) -> None:
    study = read_study(name, CONF)
    assert list(study.protocols) == (["own"] if name == "kfold" else ["cpu", "gpu", "paper"])
    for protocol in study.protocols:
        runs = plan(study, read_protocol(protocol, CONF), [], CONF).runs
        assert len(runs) == SHIPPED[name]
        assert len({run.folder for run in runs}) == len(runs)
    for run in runs if name != "kfold" else ():
        size = 224 if run.variant == "NASNetMobile" else 512
        assert (run.config.image.height, run.config.image.width) == (size, size)
        assert run.config.training.batch_size == (run.batch_size or (8 if run.variant.endswith("batch 8") else 4))
    if name == "casting_time":
        assert {run.batch_size for run in runs} == {2, 4, 8}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "kfold"])
def test_the_papers_settings_are_what_the_libraries_take(name: str) -> None:
    runs = {run.variant: run for run in plan(read_study(name, CONF), read_protocol("paper", CONF), [], CONF).runs}
    assert {variant: check.with_libraries(run.config) for variant, run in runs.items()} == {name: [] for name in runs}


def test_what_the_study_reports_fits_the_test_set_it_was_scored_on() -> None:
    """Its recalls are shares of 263 good parts, its accuracies of 716 parts, to the two decimals that it prints."""
    for name in ("casting_architecture", "casting_augmentation", "casting_backbone"):
        for variant in read_study(name, CONF).variants.values():
            for figure, of in (("Recall", 263), ("Accuracy", 716)):
                value = variant.published[figure].value
                assert abs(round(value * of) / of - value) < 0.00006, (name, figure, value)


def test_variants_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    text = "settings: [usecase=casting, seed=1]\nvariants: {A+: {}, A-: {}, B: {}}\nprotocols: {own: []}\n"
    with pytest.raises(Problems, match=r"variants A\+, A-: the same settings, and names that make one folder"):
        planned(tmp_path, text=text, protocol="own")
