"""The one way in for a user's own code: modules named in `plugins` are imported before any name is looked up."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path


def load(modules: Sequence[str]) -> list[str]:
    """Imports each module, the current folder included in the search; returns the problems."""
    _search_here(modules)
    problems = []
    for module in modules:
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:  # a user's module may raise anything, and the user must see it here
            problems.append(f"plugins: {module} cannot be imported: {_reason(module, error)}")
    return problems


def to_add(modules: Sequence[str]) -> str:
    """What to do about a checkpoint that needs the plugins of its run."""
    return (
        f"the run imported plugins; a checkpoint may not do so: if you trust them, add "
        f"{' '.join(f'--plugins {name}' for name in modules)} (in Python: import them first)"
    )


def _reason(module: str, error: BaseException) -> str:
    if module.startswith(".") or module.endswith(".py") or "/" in module:
        return "write its name as after `import`: my_module for my_module.py in the current folder"
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return f"{said} in {Path.cwd()} or the environment"
    return said


def sources(modules: Sequence[str]) -> dict[str, str]:
    """From module to 16 hex digits over its file, or all Python files of a package, but not over what these import.

    A missing module has the digits of no file.
    """
    _search_here(modules)
    return {module: _digest(_files(module)) for module in modules}


def _search_here(modules: Sequence[str]) -> None:
    here = str(Path.cwd())
    if modules and here not in sys.path:
        sys.path.insert(0, here)


def _files(module: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:  # its package cannot be imported
        spec = None
    if spec is None:
        return []
    packages = [Path(folder) for folder in spec.submodule_search_locations or []]
    alone = [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []
    return sorted(file for folder in packages for file in folder.rglob("*.py")) or alone


def _digest(files: Sequence[Path]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for file in files:
        found.update(f"{file.name} {file.stat().st_size} ".encode())
        found.update(file.read_bytes())
    return found.hexdigest()
