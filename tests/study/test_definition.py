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
