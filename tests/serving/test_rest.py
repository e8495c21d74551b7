"""`mlflow models serve` of a run's scorer: a process of its own that answers, refuses with a reason, and goes on."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scorers import PACK, post, scored, served, trained
from tiny import mlflow_runs, noise, probabilities, run

from partsight import cli
from partsight.evaluation import predictions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multilabel")
    trained("multilabel", folder)
    return folder


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    (only,) = mlflow_runs(home)
    with served(f"runs:/{only.info.run_id}/scorer", f"sqlite:///{home / 'mlflow.db'}", home / "server.log") as there:
        yield there


def text(encoded: bytes) -> str:
    return base64.b64encode(encoded).decode()


def records(*pictures: object) -> dict[str, Any]:
    return {"dataframe_records": [{"image": picture} for picture in pictures]}


def png(width: int, height: int) -> bytes:
    """A header that promises many pixels, before data that hold few."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    )


def npy(dtype: str, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_it_answers_all_validation_pictures_as_the_trainer_did(home: Path, address: str) -> None:
    agrees(address, home / "parts", predictions.read(home / "run" / "predictions.parquet"))


def agrees(address: str, folder: Path, table: Any) -> None:
    status, answer = post(address, records(*(text((folder / name).read_bytes()) for name in table["image"])))
    assert status == 200, answer
    found = answer["predictions"]
    assert [one["doubt"] for one in found] == [None] * len(table)
    assert [one["prediction"] for one in found] == table["prediction"].tolist()
    given = [list(one["probabilities"].values()) for one in found]
    np.testing.assert_allclose(given, probabilities(table), rtol=0, atol=1e-4)


@pytest.mark.parametrize("form", ["dataframe_split", "inputs"])
def test_mlflows_other_forms_of_a_request_are_taken(home: Path, address: str, form: str) -> None:
    picture = text((home / "parts" / "0.png").read_bytes())
    body = {"columns": ["image"], "data": [[picture]]} if form == "dataframe_split" else {"image": [picture]}
    assert post(address, {form: body}) == post(address, records(picture))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (records("iVBORw0KGgoAAAA"), "picture 1: not base64"),
        (records("no bäse64"), "picture 1: not base64"),
        (records(""), "picture 1: cannot be decoded (the file is empty)"),
        (records(text(b"no picture")), "picture 1: cannot be decoded (unknown format)"),
        (records(text(png(9, 9)[:-30])), "picture 1: cannot be decoded"),
        (records(text(png(100_000, 100_000))), "pixels that are allowed"),
        (records(text(png(12_000, 12_000))), "more than the 89,478,485"),
        (records(text(npy("|u1", (50_000, 50_000, 3)))), "picture 1: 50000 x 50000 pixels"),
        (records(text(npy("|u1", (10, 10, 10**9)))), "picture 1: 1000000000 channels, the model needs 3"),
        (records(text(npy("|V1000000000", (900, 900, 3)))), "is not a numeric pixel type"),
        (records(text(npy("<f8", (900, 900, 3)))), "picture 1: not an array that can be read"),
        (records(text(bytes(12_000_000))), "picture 1: cannot be decoded"),
        (records(text(bytes(70_000_000))), "picture 1: more than the 67,108,864 bytes of limits.bytes"),
        (records(None), "picture 1: not text"),
        (records(7), "picture 1: not text"),
        ({"dataframe_split": {"columns": ["image"], "data": []}}, "there is no picture in the request"),
        ({"dataframe_records": []}, "missing inputs ['image']"),
        ({"dataframe_records": [{"picture": "x"}]}, "missing inputs ['image']"),
        ({"pictures": []}, "exactly one of the input fields"),
        (b"{", "valid JSON"),
    ],
    ids=["cut", "letters", "empty", "text", "truncated", "bomb", "many pixels", "array of many", "channels", "dtype",
         "array cut", "12 MB", "70 MB", "null", "number", "no rows", "no records", "column", "form", "json"],
)  # fmt: skip
def test_what_cannot_be_scored_gets_a_reason_and_the_server_goes_on(
    home: Path, address: str, body: Any, reason: str
) -> None:
    status, answer = post(address, body)
    assert status == 400
    assert reason in answer["message"]
    assert "stack_trace" not in answer
    assert len(answer["message"]) < 1000
    good = text((home / "parts" / "1.png").read_bytes())
    assert post(address, records(good))[0] == 200


def test_one_broken_picture_is_named_among_others(home: Path, address: str) -> None:
    good = text((home / "parts" / "1.png").read_bytes())
    status, answer = post(address, records(*[good] * 20, text(b"broken"), good))
    assert status == 400
    assert answer["message"].startswith("picture 21: cannot be decoded")


def test_a_picture_of_channels_that_the_model_does_not_take(address: str) -> None:
    file = io.BytesIO()
    np.save(file, noise(1, channels=5))
    assert "picture 1: 5 channels, the model needs 3" in post(address, records(text(file.getvalue())))[1]["message"]


def test_the_logged_model_holds_no_pickle(home: Path) -> None:
    (only,) = mlflow_runs(home)
    stored = [path for path in home.rglob("MLmodel") if "mlartifacts" in path.parts]
    assert len(stored) == 1
    assert not [path for path in stored[0].parent.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".ckpt")]
    assert (
        json.loads((stored[0].parent / "pipeline.json").read_text())["origin"]["identity"] == only.data.tags["identity"]
    )


@pytest.mark.real_data
def test_real_pictures_are_answered_alike_by_trainer_script_predict_and_rest(
    unpacked: Callable[[str], Path], weights_file: Path, tmp_path: Path
) -> None:
    root = unpacked("product_defect")
    folder = run(
        tmp_path,
        "usecase=product_defect",
        f"data.root={root}",
        "backbone=mobilenetv2_100",
        f"model.weights={weights_file}",
        "model.pretrained=true",
        "image.height=96",
        "image.width=96",
        "training.epochs=1",
        "training.batch_size=32",
        "+trainer.limit_train_batches=4",
        "trainer.precision=32-true",
        PACK,
    )
    table = predictions.read(folder / "predictions.parquet")
    assert len(table) == 288
    pictures = root / "normaldefect_image"
    assert len(set(table["prediction"])) > 1

    of_script = scored(folder / "scorer", pictures).loc[table["image"]]
    np.testing.assert_allclose(probabilities(of_script), probabilities(table), rtol=0, atol=1e-4)
    assert of_script["prediction"].tolist() == table["prediction"].tolist()

    listed = tmp_path / "validation.csv"
    table[["image"]].to_csv(listed, index=False)
    out = tmp_path / "predicted.parquet"
    given = [folder / "checkpoints" / "last.ckpt", listed, "--images", pictures, "--image-column", "image"]
    cli.main(["predict", *map(str, given), "--out", str(out), "--workers", "0"])
    predicted = predictions.read(out)
    np.testing.assert_allclose(probabilities(predicted), probabilities(table), rtol=0, atol=1e-4)

    (only,) = mlflow_runs(tmp_path, "product_defect")
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with served(f"runs:/{only.info.run_id}/scorer", store, tmp_path / "server.log") as address:
        for first in range(0, len(table), 96):
            agrees(address, pictures, table.iloc[first : first + 96])
