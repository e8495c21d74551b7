"""Plain YAML to typed values; every mistake is collected, and reading continues."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from partsight.errors import Problems, did_you_mean

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """A key given twice is an error; plain YAML takes the last, and a variant would be gone."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As SafeLoader's."""
        given = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := [key for key in given if given.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"found duplicate key {twice[0]}", node.start_mark)
        return super().construct_mapping(node, deep)


class Reader:
    """Reads one YAML file.

    Raises:
        Problems: it is not a mapping.
    """

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        except UnicodeDecodeError:
            raise Problems("Not readable", [f"{path}: not UTF-8 text; save it as UTF-8"]) from None
        except yaml.YAMLError as error:
            raise Problems("Not readable as YAML", [f"{path}: {error}".replace("\n", " ")]) from None
        if not isinstance(content, dict):
            raise Problems("Not a mapping", [f"{path}: should be a mapping, found {type(content).__name__}"])
        self.content: dict[str, Any] = content

    def unknown(self, given: dict[str, Any], known: Sequence[str], prefix: str) -> None:
        """Notes unknown keys."""
        self.problems += [
            f"{prefix}{key}: there is no such key{did_you_mean(str(key), known)}" for key in given if key not in known
        ]

    def text(self, given: dict[str, Any], key: str, default: str) -> str:
        """A text."""
        value = given.get(key, default)
        return value if isinstance(value, str) else self._wrong(key, "a text", value, default)

    def choice(self, given: dict[str, Any], key: str, choices: Sequence[str]) -> str:
        """One of several texts; the first by default."""
        value = given.get(key, choices[0])
        if value in choices:
            return str(value)
        hint = did_you_mean(str(value), choices)
        return self._wrong(key, f"one of {', '.join(choices)}", f"{value!r}{hint}", choices[0])

    def texts(self, given: dict[str, Any], key: str, prefix: str = "") -> tuple[str, ...]:
        """A list of texts; empty by default."""
        value = given.get(key) or []
        if isinstance(value, list) and all(isinstance(text, str) for text in value):
            return tuple(value)
        return self._wrong(prefix + key, "a list of texts, such as [training.epochs=3]", value, ())

    def numbers(
        self, given: dict[str, Any], key: str, at_least: float, at_most: float = float("inf"), whole: bool = False
    ) -> tuple[float, ...]:
        """A list of distinct numbers within limits; empty by default."""
        value = given.get(key) or []
        kinds = int if whole else int | float
        good = isinstance(value, list) and all(
            isinstance(n, kinds) and not isinstance(n, bool) and at_least <= n <= at_most for n in value
        )
        if good and len(set(value)) == len(value):
            return tuple(value)
        within = f"from {at_least:g}" + (f" to {at_most:g}" if at_most < float("inf") else "")
        what = f"a list of {'whole ' if whole else ''}numbers {within}, each once"
        return self._wrong(key, what, value, ())

    def count(self, given: dict[str, Any], key: str, default: int) -> int:
        """A whole number from 1."""
        value: int = given.get(key, default)
        good = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return value if good else self._wrong(key, "a whole number from 1", value, default)

    def flag(self, given: dict[str, Any], key: str) -> bool:
        """true or false; false by default."""
        value = given.get(key, False)
        return value if isinstance(value, bool) else self._wrong(key, "true or false", value, False)

    def mapping(self, given: dict[str, Any], key: str, prefix: str = "") -> dict[str, Any]:
        """A mapping, its keys as texts; empty by default."""
        value = given.get(key) or {}
        return (
            {str(k): v for k, v in value.items()}
            if isinstance(value, dict)
            else self._wrong(prefix + key, "a mapping", value, {})
        )

    def is_number(self, where: str, value: str) -> bool:
        """Whether the key of a mapping is a number; if not, that is noted."""
        try:
            float(value)
        except ValueError:
            self.problems.append(f"{where}: should be a threshold")
            return False
        return True

    def _wrong(self, key: str, what: str, value: object, default: T) -> T:
        self.problems.append(f"{key}: should be {what}; found {value if isinstance(value, str) else repr(value)}")
        return default
