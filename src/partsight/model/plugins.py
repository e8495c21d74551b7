"""The one door for a user's own code: modules named in `plugins` are imported before any name is looked up."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path


def load(modules: Sequence[str]) -> list[str]:
    """Imports each module, the current folder included in the search; returns the problems."""
    here = str(Path.cwd())
    if modules and here not in sys.path:
        sys.path.insert(0, here)
    problems = []
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a stranger's module does wrong, the person must learn of it here
            problems.append(f"plugins: {module} cannot be imported: {type(error).__name__}: {error}")
    return problems
