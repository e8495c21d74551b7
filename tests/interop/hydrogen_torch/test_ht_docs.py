"""docs/hydrogen_torch.md says of every key what the code does."""

from pathlib import Path

from partsight.interop.hydrogen_torch.mapping import KEYS, Key
from partsight.interop.hydrogen_torch.values import Choice, Choices

DOCS = Path(__file__).parents[3] / "docs" / "hydrogen_torch.md"


def line(key: Key) -> str:
    """A row of the table: their key, ours, their values with ours, what differs."""
    kind = key.kind.one if isinstance(key.kind, Choices) else key.kind
    values = [f"{name}: {kind.options[name]}" for name in kind.names()] if isinstance(kind, Choice) else []
    ours = ", ".join(f"`{name}`" for name in key.settings)
    said = ["since 1.3"] if key.version == "1.3" else []
    said += [key.difference] if key.difference else []
    return f"| `{key.name}` | {ours} | {', '.join(values)} | {'; '.join(said)} |"


def test_the_table_of_the_docs_is_the_table_of_the_code() -> None:
    shown = [text for text in DOCS.read_text(encoding="utf-8").splitlines() if text.startswith("| `")]
    assert shown == [line(key) for key in KEYS]
