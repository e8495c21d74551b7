"""The one error for mistakes that the person at the keyboard can mend."""

from collections.abc import Sequence


class PartsightError(Exception):
    """What is wrong, where, and what to do; shown without a traceback."""


class Problems(PartsightError):
    """Several mistakes found together, so that they can be mended together."""

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([f"{heading}: {count}", *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))]))
