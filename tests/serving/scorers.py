"""Tiny runs with a packed scorer, and the ways to ask it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tiny import noise, run, tree

PACK = "report.build_scoring_pipelines=true"

CLASSES = {"dent": 12, "good": 14, 'Ä, "scratch"': 11}
"""Pictures a class, one with a name that csv and JSON have to take care of."""
NOT_THERE = ("partsight", "torch", "torchvision", "timm", "albumentations", "pytorch_lightning", "mlflow")
_ALONE = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({NOT_THERE}))
sys.path.insert(0, sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script as on a machine that has none of these: each import of them fails."""


def trained(kind: str, home: Path) -> Path:
    """The folder of a run of that kind: softmax, binary (one grey channel) or multilabel."""
    parts = home / "parts"
    if kind == "softmax":
        data = [f"data.root={tree(parts, CLASSES, size=40)}"]
    elif kind == "binary":
        data = [f"data.root={tree(parts, {'bad': 15, 'good': 15}, size=20)}", "image.channels=1"]
        data += ["model.output=sigmoid", "training.loss=bce", "prediction.threshold=0.4", "head=gem"]
        data += ["training.train_metric=true"]
    else:
        data = [f"data.root={_several(parts)}", "data.table=labels.csv", "data.label_columns=[rust,scratch]"]
        data += ["training.loss=bce", "prediction.threshold=0.45"]
        data += ["prediction.test_time_augmentation=[horizontal_flip,vertical_flip]"]
    return run(home, *data, PACK, "image.normalization=channel", "training.epochs=1")


def _several(root: Path) -> Path:
    """A table of two labels that go together as they like."""
    root.mkdir()
    rows = []
    for number in range(30):
        rust, scratch = number % 2, number // 2 % 2
        picture = noise(number, 50, 30) // 3 + np.uint8(80) * np.array([rust, scratch, 0], np.uint8)
        Image.fromarray(picture).save(root / f"{number}.png")
        rows.append((f"{number}.png", rust, scratch))
    pd.DataFrame(rows, columns=["image", "rust", "scratch"]).to_csv(root / "labels.csv", index=False)
    return root


def script(scorer: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`python score.py ...`, elsewhere, without this project and the libraries of training."""
    command = [sys.executable, "-E", "-B", "-c", _ALONE, scorer, scorer / "score.py", *arguments]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, cwd="/", timeout=120, check=False)


def scored(scorer: Path, folder: Path) -> pd.DataFrame:
    """What score.py says of a folder of pictures: image (relative), problem, doubt, prediction, prob_<class>."""
    out = scorer.parent / "scores.csv"
    done = script(scorer, folder, "--out", out)
    assert done.returncode in (0, 1), done.stderr
    table = pd.read_csv(out, keep_default_na=False, na_values=[""])
    table["image"] = [Path(name).relative_to(folder).as_posix() for name in table["image"]]
    return table.set_index("image")


@contextmanager
def served(model: str, store: str, log: Path) -> Iterator[str]:
    """A server process of its own on a free port of loopback; the address for requests. It is ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = store
    # As in an activated environment: mlflow starts its web server by name.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with log.open("w") as said:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=said, stderr=said, env=environment, cwd=log.parent, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}/ping", server, log)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself, and `_wait` says so
            os.killpg(server.pid, 15)  # of its own session: mlflow and the uvicorn that it starts
        server.wait(30)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"the server does not answer:\n{log.read_text()[-3000:]}")


def post(address: str, body: Any) -> tuple[int, Any]:
    """HTTP status and answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
