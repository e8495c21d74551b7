"""How messages name rows and labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def named_rows(numbers: Sequence[Any] | Any) -> str:
    """'rows 3, 8, 12 and 40 more'."""
    listed = ", ".join(str(number) for number in list(numbers)[:8])
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"row{'s' if len(numbers) > 1 else ''} {listed}{more}"


def counted(count: int, noun: str) -> str:
    """'1 row', '1,000 rows'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def label_text(label: Any, absent: str = "no label") -> str:
    """A label as text: several are joined by commas, an empty list is `none`, null is `absent`."""
    if isinstance(label, list | tuple | np.ndarray):
        return ", ".join(map(str, label)) or "none"
    return absent if label is None or label != label else str(label)
