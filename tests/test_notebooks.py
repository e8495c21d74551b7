"""The notebooks: stored without outputs, free of logic, and running from the first cell to the last."""

import ast
import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pandas as pd
import pytest
from tiny import run, tree

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RESULTS = ROOT / "docs" / "results"


def code(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["casting_study", "compare_runs", "explore_dataset"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in code(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_logic(path: Path) -> None:
    logic = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try, ast.With, ast.Lambda)
    text = "\n".join(cell.source for cell in code(path)).replace("%matplotlib inline", "")
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, logic)]


def test_the_text_on_the_recipe_is_that_of_its_table() -> None:
    cells = nbformat.read(NOTEBOOKS[0], 4).cells
    text = next(cell.source for cell in cells if cell.id == "recipe-text")
    figures = pd.read_csv(RESULTS / "casting_recipe_cpu" / "figures.csv")
    assert set(re.findall(r"([\d.]+) %", text)) <= {f"{100 * mean:.2f}" for mean in figures["mean"]}
    assert set(re.findall(r"(\d+) rows", text)) <= {str(n) for n in figures["n"]}
    accuracy = figures.query("metric == 'Accuracy' and rows == 'test'").set_index("threshold")
    assert re.findall(r"([\d.]+) is the most accurate", text) == [str(accuracy["mean"].idxmax())]
    assert not accuracy["best"].any(), "its lead is within chance"


def executed(name: str, settings: str, folder: Path) -> list[Any]:
    """The outputs of the code cells of a notebook whose first cell holds these settings instead."""
    notebook = nbformat.read(next(path for path in NOTEBOOKS if path.stem == name), 4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").source = settings
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(outputs: list[Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.slow
def test_a_data_set_is_explored(tmp_path: Path) -> None:
    root = tree(tmp_path / "parts" / "train", {"good": 12, "bad": 12}).parent
    tree(root / "test", {"good": 2, "bad": 2})
    (root / "train" / "bare").mkdir()
    (root / "train" / "good" / "0000.png").write_bytes(b"no picture")
    outputs = executed("explore_dataset", f'settings = ["usecase=custom", "data.root={root}"]', tmp_path)
    assert pictures(outputs) == 5
    assert not [output for output in outputs if output.output_type == "error"]
    said = "".join(output.get("data", {}).get("text/plain", "") for output in outputs)
    assert all(text in said for text in ("unusable: 1 row: ", "look: ", "folders without pictures: ", "note: data lay"))


@pytest.mark.slow
def test_runs_are_compared(tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"good": 12, "bad": 12})
    for rate in ("1e-3", "1e-2"):
        where = f"hydra.run.dir={tmp_path / rate}"
        run(tmp_path, f"data.root={root}", f"training.learning_rate={rate}", "training.epochs=1", where)
    settings = f'experiment, metric, curve = "custom", "F1", "validation_loss"\nuri = "sqlite:///{tmp_path}/mlflow.db"'
    outputs = executed("compare_runs", settings, tmp_path)
    assert pictures(outputs) == 2
    assert any("training.learning_rate" in output.get("data", {}).get("text/html", "") for output in outputs)


@pytest.mark.slow
def test_the_casting_study_is_walked_through(tmp_path: Path) -> None:
    root = tree(tmp_path / "castings" / "train", {"def_front": 8, "ok_front": 8}).parent
    tree(root / "test", {"def_front": 3, "ok_front": 3})  # the same pictures: copies
    settings = f"""from pathlib import Path
settings = ["usecase=casting", "data.root={root}"]
results, protocol = Path("{RESULTS}"), "cpu\""""
    outputs = executed("casting_study", settings, tmp_path)
    assert not [output for output in outputs if output.output_type == "error"]
    assert pictures(outputs) == 11
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert all(text in shown for text in ("98.46", "98.895 ± 1.25", "escape rate"))
    tables = [output.get("data", {}).get("text/html", "") for output in outputs]
    backbones = [table for table in tables if "NASNetMobile" in table and "escape rate" in table]
    assert "not run" in backbones[0], "it stands in the first table with what the study says of it"
    assert "not run" not in backbones[1]
    assert any("same bytes" in output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.mark.slow
def test_results_that_are_not_there_are_not_called_not_run(tmp_path: Path) -> None:
    settings = 'from pathlib import Path\nresults, protocol = Path("nowhere"), "cpu"'
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="results = nowhere: there is no such folder"):
        executed("casting_study", settings, tmp_path)
