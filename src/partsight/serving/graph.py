"""The model as an ONNX graph: stored pictures in, probabilities out, normalization and everything else inside."""

import logging
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from partsight.errors import PartsightError
from partsight.model import loss, views
from partsight.model.classifier import Classifier

OPSET = 17
"""ONNX operators of the graph: the newest set that the exporter writes by itself; onnxruntime knows it since 1.12."""
TOLERANCE = 1e-4
"""Largest difference of a probability that counts as rounding, in float32."""


class ScoringGraph(nn.Module):
    """(N, height, width, channels) uint8 in, (N, classes) float32 probabilities out.

    Holds the parts of the model that score, and not the model: what it keeps of its training, the train metric's lists
    for instance, cannot be exported.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.logits = nn.Sequential(model.normalization, model.backbone, model.head)
        self.output = model.info.output
        self.flips = views.views(model.config.prediction.test_time_augmentation)

    def forward(self, pictures: Tensor) -> Tensor:
        """A float32 prediction from pictures as `pictures.decode` gives them, averaged over its views."""
        given = pictures.permute(0, 3, 1, 2)
        seen = [self.logits(given.flip(dimensions) if dimensions else given) for dimensions in self.flips]
        return torch.stack([loss.probabilities(self.output, logits) for logits in seen]).mean(dim=0)


def session(path: Path, threads: int = 0) -> Any:
    """A graph opened by ONNX Runtime on the CPU, as the packed scorer opens it. threads: 0 is its default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # only errors
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def write(model: Classifier, path: Path) -> None:
    """Writes the graph, for any number of pictures at a time, and compares it with PyTorch.

    Uses PyTorch's tracing exporter: it takes a core 1 to 3 s, the one by torch.export 15 to 22 s, with the same results
    for every architecture tried. Tracing can mistake a size for a constant, so the graph, traced with 2 pictures, is
    run with 1 and 3.

    Args:
        model: on the CPU, in evaluation mode.
        path: model.onnx.

    Raises:
        PartsightError: the model cannot be exported, or the graph's probabilities differ from the model's.
    """
    image = model.config.image
    graph = ScoringGraph(model).eval()
    draw = torch.Generator().manual_seed(0)
    given = torch.randint(0, 256, (4, image.height, image.width, image.channels), dtype=torch.uint8, generator=draw)
    try:
        # A failing exporter writes its whole graph to standard output, hundreds of lines; PyTorch has no switch for it.
        silent = patch.object(torch._C, "_jit_onnx_log", create=True)
        with silent, torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about constants in the trace: the comparison below decides
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                graph,
                (given[:2],),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=["pictures"],
                output_names=["probabilities"],
                dynamic_axes={"pictures": {0: "batch"}, "probabilities": {0: "batch"}},
            )
        opened = session(path)
        with torch.inference_mode():
            expected = graph(given).numpy()
        parts = [given[:1].numpy(), given[1:].numpy()]
        found = np.concatenate([opened.run(None, {"pictures": part})[0] for part in parts])
    except OSError as error:
        raise PartsightError(f"{path.name} cannot be written in {path.parent}: {error.strerror or error}") from None
    except Exception as error:  # exporter and runtime may raise anything
        reason = " ".join(str(error).split())[:300]
        raise PartsightError(f"{model.config.backbone} cannot be exported to ONNX: {reason}") from error
    worst = float(np.abs(found - expected).max())
    if not worst <= TOLERANCE:  # NaN too
        raise PartsightError(
            f"{model.config.backbone}: the ONNX graph's probabilities differ from the model's by up to {worst:.1e}"
        )
