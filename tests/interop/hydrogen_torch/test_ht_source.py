"""A yaml from a stranger: read as texts, refused where it could act, with the line or the key."""

from pathlib import Path

import pytest

from partsight.errors import PartsightError
from partsight.interop.hydrogen_torch import source
from partsight.interop.hydrogen_torch.source import read, shown


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "foreign.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(PartsightError) as raised:
        read(written(folder, text))
    return str(raised.value)


def test_every_scalar_is_a_text_whatever_its_quotes(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a: {b: 0, c: '0', d: true, e: None, f: null, g: 1e-3, h: [1, '2'], i: 2024-01-05}\nj: {}\n"
    )
    assert read(path).leaves == {
        "a.b": "0", "a.c": "0", "a.d": "true", "a.e": "None", "a.f": "null", "a.g": "1e-3", "a.h": ["1", "2"],
        "a.i": "2024-01-05", "j": {},
    }  # fmt: skip
    assert read(path).sections == {"a", "j"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("training: {epochs: '${oc.env:HOME}'}", "training.epochs: holds ${, an interpolation"),
        ('a: "\\x24{name}"', "a: holds ${, an interpolation"),
        ("a: ['x', '${name}']", "a: holds ${, an interpolation"),
        ("'${x}': 1", "${x}: holds ${, an interpolation"),
        ("a: {_target_: os.system}", "a._target_: a foreign file may not name code to run"),
        ("plugins: [evil]", "plugins: a foreign file may not hold plugins"),
        ("hydra: {run: {dir: /}}", "hydra.run.dir: a foreign file may not hold hydra"),
        ("defaults: [x]", "defaults: a foreign file may not hold defaults"),
        ("a: '???'", "a: ??? stands for a missing value"),
        (
            "a: !!python/object/apply:os.system ['true']",
            "line 1: a tag (tag:yaml.org,2002:python/object/apply:os.system)",
        ),
        ("a: &x 1\nb: *x", "line 2: an alias (*x)"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("a: 1\n---\nb: 2", "2 documents; one is expected"),
        ("a: " + "[" * 60 + "]" * 60, "nested more than 12 deep"),
        ("a: [", "not readable as YAML"),
        ("- a\n- b", "should be a mapping of settings"),
        ("", "should be a mapping of settings"),
        (b"a: \xff\xfe", "not UTF-8 text"),
        ("a: " + "x" * source.MAX_BYTES, "bytes; an exported yaml has a few thousand"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_list_of_settings_does_not_need_is_refused(tmp_path: Path, text: str | bytes, reason: str) -> None:
    assert reason in refusal(tmp_path, text)


def test_all_reasons_are_told_together(tmp_path: Path) -> None:
    assert "2 problems" in refusal(tmp_path, "a: '${b}'\nplugins: [c]")


def test_a_bomb_of_aliases_costs_nothing(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "an alias" in refusal(tmp_path, "\n".join(lines))


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(PartsightError, match="there is no such file"):
            read(path)


def test_a_value_is_shown_in_one_printable_line() -> None:
    assert shown("a\n  b\x1b[31m") == "a b [31m"
    assert shown(["1", "2"]) == "1, 2"
    assert len(shown("x" * 100)) == 60
