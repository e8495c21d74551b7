"""A study is read whole: every mistake of a file is told, with what was probably meant."""

from pathlib import Path

import pytest

from partsight.config import conf_folder
from partsight.errors import Problems
from partsight.study.definition import Published, read_protocol, read_study, study_files

CONF = [conf_folder()]

WRONG = """
tittle: x
kind: trian
settings: usecase=casting
variants:
  one: {setings: [a=1], published: {Acuracy: 0.9, F1: high, F2: []}}
  two: {protocols: {gpo: [b=2]}}
protocols: {cpu: [], cpuu: []}
repeats: 0
rows: test
folds: true
thresholds: [0.5, 2]
figures: [accuracy]
"""


def test_every_mistake_of_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(WRONG)
    with pytest.raises(Problems) as raised:
        read_study(str(path), CONF)
    said = raised.value.problems
    assert all(text.startswith(f"{path}: ") for text in said)
    for wanted in (
        "tittle: there is no such key; did you mean title?",
        "kind: should be one of train, time; found 'trian'; did you mean train?",
        "settings: should be a list of texts",
        "variants.one.setings: there is no such key; did you mean settings?",
        "Acuracy is not a figure; did you mean Accuracy?",
        "variants.one.published.F1: should be a number",
        "variants.one.published.F2: should be a number",
        "variants.two.protocols.gpo: is not among the protocols",
        "protocols.cpuu: there is no such file in study/protocol; did you mean cpu?",
        "repeats: should be a whole number from 1; found 0",
        "thresholds: should be a list of numbers from 0 to 1",
        "figures: accuracy is not a figure; did you mean Accuracy?",
        "folds: put validation rows together",
    ):
        assert any(wanted in text for text in said), wanted
    assert len(said) == 13


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("variants: {Base: {}, Base: {settings: [a=1]}}\nprotocols: {own: []}\n", "found duplicate key Base"),
        ("variants: {1e-3: {}, 1e-3: {settings: [a=1]}}\nprotocols: {own: []}\n", "found duplicate key 1e-3"),
        ("title: Gr\xf6\xdfe\nprotocols: {own: []}\n", "not UTF-8 text; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(Problems, match=said):
        read_study(str(tmp_path / "mine.yaml"), CONF)


def test_an_unknown_study_is_answered_with_the_nearest() -> None:
    with pytest.raises(Problems, match=r"kfolds; did you mean kfold\?"):
        read_study("kfolds", CONF)


@pytest.mark.parametrize(("name", "hint"), [("tow", "; did you mean two?"), ("nope", "")])
def test_studies_beside_a_path_that_is_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for beside in ("two", "rates"):
        (tmp_path / "mine" / f"{beside}.yaml").touch()
    with pytest.raises(Problems) as raised:
        read_study(f"mine/{name}.yaml", CONF)
    (said,) = raised.value.problems
    assert said.startswith(f"mine/{name}.yaml{hint}; there are mine/rates.yaml, mine/two.yaml, casting_")


def test_two_letters_that_changed_places_in_a_short_name_are_seen(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "two.yaml").touch()
    with pytest.raises(Problems, match=r"tow; did you mean two\?"):
        read_study("tow", [*CONF, tmp_path])


def test_a_study_of_ones_own_lies_beside_the_shipped_ones_or_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    mine = tmp_path / "study" / "mine.yaml"
    mine.write_text("variants: {a: {}, b: {settings: [fold=1]}}\nprotocols: {own: []}\n")
    assert read_study("mine", [*CONF, tmp_path]) == read_study(str(mine), CONF)
    assert {"mine", "kfold"} <= set(study_files([*CONF, tmp_path]))


def test_published_figures_may_have_a_spread(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("variants: {a: {published: {F1: 0.9, Accuracy: [0.8, 0.1]}}}\nprotocols: {own: []}\n")
    assert read_study(str(path), CONF).variants["a"].published == {
        "F1": Published(0.9),
        "Accuracy": Published(0.8, 0.1),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Accuracy: 98.5", "Accuracy: should be from 0 to 1; found 98.5; did you mean 0.985?"),
        (
            "F1: [98.5, 0.4]",
            "F1: should be from 0 to 1, its sd from 0 to 1; found 98.5, 0.4; did you mean [0.985, 0.004]?",
        ),
        ("F1: [0.9, -0.1]", "F1: should be from 0 to 1, its sd from 0 to 1; found 0.9, -0.1"),
        ("escape_rate: -0.1", "escape_rate: should be from 0 to 1; found -0.1"),
        ("ROC_AUC: .nan", "ROC_AUC: should be from 0 to 1; found nan"),
        ("MCC: -1.5", "MCC: should be from -1 to 1; found -1.5"),
        ("LogLoss: [-2, 1]", "LogLoss: should be from 0, its sd from 0; found -2, 1"),
    ],
)
def test_published_figures_outside_their_range_are_told_with_all_else(tmp_path: Path, given: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"repeats: 0\nvariants: {{a: {{published: {{{given}}}}}}}\nprotocols: {{own: []}}\n")
    with pytest.raises(Problems) as raised:
        read_study(str(path), CONF)
    assert raised.value.problems[1:] == [f"{path}: repeats: should be a whole number from 1; found 0"]
    assert raised.value.problems[0] == f"{path}: variants.a.published.{said}"
    path.write_text(
        f"thresholds: [0.5]\nvariants: {{a: {{}}}}\npublished_at: {{0.5: {{{given}}}}}\nprotocols: {{own: []}}\n"
    )
    with pytest.raises(Problems) as raised:
        read_study(str(path), CONF)
    assert raised.value.problems == [f"{path}: published_at.0.5.{said}"]


@pytest.mark.parametrize("published", ["{MCC: -0.2, LogLoss: 3.5, Accuracy: 1}", "{batch 2: 379}"])
def test_not_every_published_figure_is_a_share(tmp_path: Path, published: str) -> None:
    path, kind = tmp_path / "a.yaml", "kind: time\nbatch_sizes: [2]\n" if "batch" in published else ""
    path.write_text(f"{kind}variants: {{a: {{published: {published}}}}}\nprotocols: {{own: []}}\n")
    assert read_study(str(path), CONF).variants["a"].published


@pytest.mark.parametrize("protocol", ["own", "cpu", "gpu", "paper"])
def test_protocols_are_read(protocol: str) -> None:
    assert read_protocol(protocol, CONF).about


def test_a_figure_published_at_no_threshold_in_particular_is_refused_beside_thresholds(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("variants: {a: {published: {F1: 0.9}}}\nthresholds: [0.2, 0.5]\nprotocols: {cpu: []}\n")
    with pytest.raises(Problems, match=r"variants.a.published: at which of the thresholds\? A study of one variant"):
        read_study(str(path), CONF)


def test_a_figure_published_at_a_threshold_is_of_one_variant(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("variants: {a: {}, b: {}}\nthresholds: [0]\npublished_at: {0: {F1: 0.9}}\nprotocols: {cpu: []}\n")
    with pytest.raises(Problems, match="published_at: of which variant"):
        read_study(str(path), CONF)
