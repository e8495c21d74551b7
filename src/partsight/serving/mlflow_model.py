"""A packed scorer as an MLflow model: the files by which MLflow understands the folder. No pickle is written."""

import importlib.metadata
import platform
from pathlib import Path

import mlflow.pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Map, Schema, TensorSpec

from partsight.evaluation.task import Output


def write(folder: Path, output: Output) -> None:
    """Writes MLmodel, requirements-rest.txt and python_env.yaml beside rest.py, which MLflow runs ("model from code").

    Uses `add_to_model`, because `mlflow.pyfunc.save_model` would nest the folder in another one, run the model, and
    spend seconds on guessing known requirements.
    """
    model = Model(signature=_signature(output))
    mlflow.pyfunc.add_to_model(
        model, loader_module="mlflow.pyfunc.model", model_code_path="rest.py", python_env="python_env.yaml"
    )
    model.save(str(folder / "MLmodel"))
    libraries = "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in ("mlflow", "pandas"))
    (folder / "requirements-rest.txt").write_text(f"-r requirements.txt\n{libraries}", encoding="utf-8")
    environment = f"python: {platform.python_version()}\ndependencies:\n- -r requirements-rest.txt\n"
    (folder / "python_env.yaml").write_text(environment, encoding="utf-8")


def _signature(output: Output) -> ModelSignature:
    """image (base64 text) in, prediction, probabilities and doubt out."""
    decided = Array(DataType.string) if output == "multilabel" else DataType.string
    answer: list[ColSpec | TensorSpec] = [
        ColSpec(decided, "prediction"),
        ColSpec(Map(DataType.double), "probabilities"),
        ColSpec(DataType.string, "doubt", required=False),
    ]
    return ModelSignature(inputs=Schema([ColSpec(DataType.string, "image")]), outputs=Schema(answer))
