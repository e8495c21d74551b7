"""The scorer as an MLflow model: `mlflow models serve` runs this file, which loads score.py from beside it."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow.models
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

FOLDER = Path(__file__).resolve().parent
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))

from partsight.errors import PartsightError
from partsight.serving.packed import score


class RestScorer(PythonModel):
    """Column `image`: picture files as base64 text. Returns a list of prediction, probabilities and doubt."""

    def load_context(self, context: Any) -> None:
        """Loads the model, once per server process."""
        self.scorer = score.Scorer(FOLDER)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[score.Answer]:
        """One answer per row; refuses the request, with the reason, if one of its pictures cannot be scored."""
        if model_input.empty:
            raise Refusal("there is no picture in the request")
        try:
            return list(self.scorer.score_all(self._decoded(model_input["image"])))
        except PartsightError as error:
            raise Refusal(str(error)) from None

    def _decoded(self, texts: pd.Series) -> Iterator[bytes]:
        most = self.scorer.pipeline["limits"]["bytes"]
        for number, text in enumerate(texts, 1):
            if not isinstance(text, str):
                raise Refusal(f"picture {number}: not text")
            if len(text) * 3 // 4 > most + 2:
                raise Refusal(f"picture {number}: more than the {most:,} bytes of limits.bytes")
            try:
                yield base64.b64decode(text, validate=True)
            except ValueError as error:
                raise Refusal(f"picture {number}: not base64 ({error})") from None


class Refusal(MlflowException):
    """HTTP 400 with a reason. MLflow's server would prefix it with the whole request, pictures included."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The reason, whatever has been assigned."""
        return self.reason

    @message.setter
    def message(self, text: str) -> None:
        pass


mlflow.models.set_model(RestScorer())
