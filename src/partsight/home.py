"""The user's home folder, without which MLflow cannot be imported; caches are there too."""

import os
from pathlib import Path

from partsight.errors import PartsightError


def require() -> None:
    """Raises PartsightError if HOME is not set and the system knows no home folder of this user, as in a container."""
    try:
        Path.home()
    except RuntimeError:
        raise PartsightError(
            f"HOME is not set, and user {os.getuid()} has no home folder: set HOME to a folder that you may write to, "
            "such as HOME=/tmp"
        ) from None
