"""What imports what; and what is imported for good costs the garbage collector nothing."""

import ast
import gc
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from preloaded import Server, environment

from partsight import importing
from partsight.sweep import isolation

SOURCES = Path(importing.__file__).parent
PROGRAM = """
import sys
there = sys.argv[1] in sys.modules
from mlflow.store.tracking.dbmodels.models import SqlRun
from sqlalchemy.orm import class_mapper
print(there, class_mapper(SqlRun, configure=False).configured)
"""


def test_what_is_imported_for_good_is_never_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    try:
        with importing.for_good():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


def test_an_import_that_fails_leaves_the_collector_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(ImportError), importing.for_good():
        importlib.import_module("no_such_module")
    gc.unfreeze()
    assert gc.isenabled()


def test_in_a_process_that_has_worked_already_garbage_stays_garbage() -> None:
    assert "torch" in sys.modules
    with importing.for_good():
        assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_what_the_server_of_jobs_imports_is_there(server: Server, tmp_path: Path) -> None:
    """multiprocessing says nothing of a module it cannot import: each job would import for itself, unnoticed."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = server.run([str(program), isolation.PRELOAD], tmp_path, environment(), timeout=60)
    assert done.stdout == "True True\n", done.stderr


@pytest.mark.parametrize("module", ["insight.run_pictures", "insight.run_page", "study.results", "tracking.run"])
def test_what_is_made_of_tables_needs_no_model(module: str) -> None:
    program = f"import sys, partsight.{module}; print({{'torch', 'pytorch_lightning', 'timm'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


NEVER = {
    "evaluation": {"torch", "timm", "mlflow", "pytorch_lightning", "partsight.model"},
    "insight": {"torch", "mlflow", "partsight.model", "partsight.fit"},
    "tracking": {"torch", "partsight.model", "partsight.data"},
    "fit": {"mlflow"},
    "data": {"partsight.model", "mlflow"},
    "model": {"partsight.data.table", "mlflow"},
    "sweep": {"partsight.data", "partsight.model"},
    "interop": {"torch", "partsight.data"},
}
"""By folder: what no file in it imports itself (docs/architecture.md)."""


@pytest.mark.parametrize("folder", NEVER)
def test_a_folder_does_not_know_what_it_need_not(folder: str) -> None:
    for file in (SOURCES / folder).rglob("*.py"):
        for name in _imported(file):
            assert not any(name == other or name.startswith(f"{other}.") for other in NEVER[folder]), (file, name)


def _imported(file: Path) -> list[str]:
    """Modules, and the names taken from them."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return found


def test_arrows_between_the_parts_point_one_way() -> None:
    """Folders of the package, and the files at its root: none needs itself through others (docs/architecture.md)."""
    needs: dict[str, set[str]] = {}
    for file in SOURCES.rglob("*.py"):
        part = file.relative_to(SOURCES).parts[0].removesuffix(".py")
        parts = {name.split(".")[1] for name in _imported(file) if name.startswith("partsight.")}
        needs.setdefault(part, set()).update(parts - {part})
    order = list(graphlib.TopologicalSorter(needs).static_order())  # raises CycleError, which names the cycle
    assert order.index("evaluation") < order.index("run") < order.index("experiment")
