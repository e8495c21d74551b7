"""docs/hydrogen_torch.md says of every key which settings and values it becomes."""

from pathlib import Path

from partsight.interop.hydrogen_torch.mapping import KEYS, Key
from partsight.interop.hydrogen_torch.values import Choice, Choices

DOCS = Path(__file__).parents[3] / "docs" / "hydrogen_torch.md"


def line(key: Key) -> str:
    """The beginning of a row of the table: their key, ours, their values with ours, `since 1.3`; then what differs."""
    kind = key.kind.one if isinstance(key.kind, Choices) else key.kind
    values = [f"{name}: {kind.options[name]}" for name in kind.names()] if isinstance(kind, Choice) else []
    ours = ", ".join(f"`{name}`" for name in key.settings)
    return f"| `{key.name}` | {ours} | {', '.join(values)} | {'since 1.3' if key.version == '1.3' else ''}"


def test_the_table_of_the_docs_is_the_table_of_the_code() -> None:
    shown = [text for text in DOCS.read_text(encoding="utf-8").splitlines() if text.startswith("| `")]
    assert len(shown) == len(KEYS)
    for text, key in zip(shown, KEYS, strict=True):
        assert text.startswith(line(key))
        assert ("since 1.3" in text) == (key.version == "1.3")
