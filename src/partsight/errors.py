"""The error for mistakes that the person at the keyboard can fix; and the early end of a trial, which is no failure."""

import difflib
from collections.abc import Iterable, Sequence


class PartsightError(Exception):
    """What is wrong, where, and what to do; shown without a traceback."""


class Problems(PartsightError):
    """Several mistakes found together, so that they can be fixed together."""

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([f"{heading}: {count}", *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))]))


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.75) -> str:
    """The end of a message about an unknown name: "; did you mean X?", or nothing if none is close."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""


def once(found: Iterable[tuple[str, str]], of: str) -> list[str]:
    """Each problem once, with the first that has it. `found`: problem and name of what has it, which is a job or a
    variant, as `of` says."""
    first: dict[str, str] = {}
    for problem, name in found:
        first.setdefault(problem, name)
    return [f"{problem} [{of}: {name}]" for problem, name in first.items()]


class Pruned(Exception):
    """A trial of a search was ended before its last epoch, because it lags behind the others. Not a failure."""
