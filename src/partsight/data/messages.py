"""How messages name rows."""

from collections.abc import Sequence
from typing import Any


def rows(numbers: Sequence[Any] | Any) -> str:
    """'rows 3, 8, 12 and 40 more'."""
    listed = ", ".join(str(number) for number in list(numbers)[:8])
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"row{'s' if len(numbers) > 1 else ''} {listed}{more}"
