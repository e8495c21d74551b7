"""A packed scorer answers as the run that it comes from, on a machine that has nothing of this project."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image
from scorers import PACK, scored, script, trained
from tiny import mlflow_runs, noise, probabilities, run, tree

from partsight import cli
from partsight.config import Config
from partsight.data import augmentation, folders, pictures
from partsight.errors import PartsightError
from partsight.evaluation import predictions
from partsight.run import leftovers
from partsight.serving import graph
from partsight.serving.inference_pipeline import resize_rule
from partsight.serving.pack import pack
from partsight.serving.packed.score import Scorer

KINDS = ("softmax", "binary", "multilabel")
TOLERANCE = 1e-4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def softmax(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run/, and its pictures in parts/."""
    folder = tmp_path_factory.mktemp("softmax")
    trained("softmax", folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def home(request: pytest.FixtureRequest, softmax: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder of each kind."""
    if request.param == "softmax":
        return softmax
    folder = tmp_path_factory.mktemp(request.param)
    trained(request.param, folder)
    return folder


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Of tables with the images as index: every probability and every decision."""
    found = found.loc[expected.index]
    np.testing.assert_allclose(probabilities(found), probabilities(expected), rtol=0, atol=TOLERANCE)
    decided = [json.dumps(list(p)) if not isinstance(p, str) else p for p in expected["prediction"]]
    assert found["prediction"].tolist() == decided


def of_trainer(home: Path) -> pd.DataFrame:
    return predictions.read(home / "run" / "predictions.parquet").set_index("image")


# --- what it answers -------------------------------------------------------------------------------------------------


def test_the_script_answers_as_the_trainer_did(home: Path) -> None:
    expected = of_trainer(home)
    assert len(expected) >= 6
    same(scored(home / "run" / "scorer", home / "parts"), expected)


def test_the_script_answers_as_partsight_predict(home: Path) -> None:
    checkpoint = home / "run" / "checkpoints" / "last.ckpt"
    out = home / "predicted.parquet"
    cli.main(["predict", str(checkpoint), str(home / "parts"), "--out", str(out), "--workers", "0"])
    same(scored(home / "run" / "scorer", home / "parts"), predictions.read(out).set_index("image"))


@pytest.mark.parametrize("batch", [1, 5])
def test_the_graph_alone_takes_any_number_of_pictures(home: Path, batch: int) -> None:
    scorer = home / "run" / "scorer"
    expected = of_trainer(home).iloc[:batch]
    image = json.loads((scorer / "pipeline.json").read_text())["image"]
    resize = augmentation.pipeline({"Resize": {"height": image["height"], "width": image["width"]}})
    read = [pictures.read(home / "parts" / name, image["channels"]) for name in expected.index]
    given = np.stack([augmentation.apply(resize, picture, (0,)) for picture in read])
    session = onnxruntime.InferenceSession(scorer / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pictures": given})
    np.testing.assert_allclose(found, probabilities(expected), rtol=0, atol=TOLERANCE)


def test_it_goes_with_a_sample_of_each_label_and_tests_itself(home: Path) -> None:
    scorer = home / "run" / "scorer"
    samples = json.loads((scorer / "samples" / "expected.json").read_text())
    assert len(samples) == len({str(label) for label in of_trainer(home)["label"]})
    done = script(scorer, "--selftest")
    assert (done.returncode, done.stdout) == (0, "The scorer answers as expected.\n"), done.stderr


def test_odd_pictures_are_read_as_in_training(home: Path, tmp_path: Path) -> None:
    odd = odd_pictures(tmp_path / "odd")
    out = tmp_path / "predicted.parquet"
    cli.main(["predict", str(home / "run/checkpoints/last.ckpt"), str(odd), "--out", str(out), "--workers", "0"])
    found = scored(home / "run" / "scorer", odd)
    assert found[["problem", "doubt"]].isna().all(axis=None)
    assert len(found) == len(list(odd.iterdir()))
    same(found, predictions.read(out).set_index("image"))


def odd_pictures(folder: Path) -> Path:
    """One of every kind that reads in its own way."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    colour, wide = noise(1, 50, 70), rng.integers(0, 65536, (40, 45, 3), dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(2, 45, 44, 4)).save(folder / "alpha.png")
    Image.fromarray(noise(2, 45, 44, 4)).save(folder / "alpha.tif")
    Image.fromarray(noise(3, 45, 44, 2)).save(folder / "grey_alpha.png")
    Image.fromarray(colour).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(colour[..., 0]).save(folder / "grey.png")
    Image.fromarray(colour).quantize(20).save(folder / "palette.png")
    Image.fromarray(colour).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(colour).save(folder / "lossless.webp", lossless=True)
    Image.fromarray(wide[..., 0]).save(folder / "wide_grey.png")
    Image.fromarray(wide[..., 0]).save(folder / "wide_grey.tif")
    cv2.imwrite(str(folder / "wide.png"), wide)
    cv2.imwrite(str(folder / "wide.tif"), wide)
    Image.fromarray(rng.random((33, 34)).astype(np.float32)).save(folder / "float.tif")
    np.save(folder / "array.npy", noise(4, 40, 50))
    Image.fromarray(noise(5, 32, 32)).save(folder / "right_size.bmp")
    return folder


@pytest.mark.parametrize(
    "resize",
    [
        {"interpolation": cv2.INTER_CUBIC},
        {"interpolation": cv2.INTER_NEAREST},
        {"interpolation": cv2.INTER_LANCZOS4},
        {"area_for_downscale": "image"},
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7])
def test_every_resize_of_albumentations_is_repeated_to_the_bit(
    resize: dict[str, int | str], channels: int, tmp_path: Path
) -> None:
    arguments = {"height": 32, "width": 40, **resize}
    scorer = Scorer.__new__(Scorer)
    image = {"height": 32, "width": 40, "channels": channels}
    scorer.pipeline = {
        "image": image,
        "resize": resize_rule({"Resize": arguments}),
        "limits": {"bytes": 10**6, "pixels": 10**6},
    }
    compose = augmentation.pipeline({"Resize": arguments})
    for shape in [(64, 80), (20, 90), (10, 11), (32, 40), (33, 40)]:
        np.save(tmp_path / "picture.npy", noise(1, *shape, channels))
        encoded = (tmp_path / "picture.npy").read_bytes()
        expected = augmentation.apply(compose, pictures.decode(encoded, channels), (0,))
        assert (scorer.prepared(encoded).pixels == expected).all()


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_pipeline_json_says_what_the_model_is_and_where_it_comes_from(softmax: Path) -> None:
    scorer = softmax / "run" / "scorer"
    said = json.loads((scorer / "pipeline.json").read_text(encoding="utf-8"))
    (only,) = mlflow_runs(softmax)
    assert said["classes"] == ["dent", "good", 'Ä, "scratch"']
    assert (said["output"], said["decision"]) == ("softmax", "largest probability")
    assert said["image"] == {"height": 32, "width": 32, "channels": 3}
    assert said["origin"]["identity"] == only.data.tags["identity"]
    assert said["origin"]["data_fingerprint"] == only.data.tags["data_fingerprint"]
    assert len(said["origin"]["checkpoint"]) == 64
    assert only.data.metrics["scorer_seconds"] > 0
    assert "scorer" not in only.data.tags


def test_nothing_in_it_names_a_module_of_this_project_or_a_pickle(softmax: Path) -> None:
    files = list((softmax / "run" / "scorer").rglob("*"))
    for path in files:
        if path.suffix == ".py":
            assert "import partsight" not in path.read_text(encoding="utf-8")
            assert "from partsight" not in path.read_text(encoding="utf-8")
    assert {path.suffix for path in files if path.is_file()} == {".onnx", ".json", ".py", ".md", ".txt", ".png",
                                                                 ".yaml", ""}  # fmt: skip
    assert "cloudpickle" not in (softmax / "run" / "scorer" / "MLmodel").read_text()


def test_a_checkpoint_is_packed_later(softmax: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = shutil.copy(softmax / "run" / "checkpoints" / "last.ckpt", tmp_path / "model.ckpt")
    cli.main(["export", str(checkpoint), "--out", str(tmp_path / "deep" / "scorer")])
    assert "has passed its own test" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["scorer"]
    same(scored(tmp_path / "deep" / "scorer", softmax / "parts"), of_trainer(softmax))
    samples = softmax / "parts" / "dent"
    cli.main(["export", str(checkpoint), "--out", str(tmp_path / "deep" / "scorer"), "--samples", str(samples)])
    own = (tmp_path / "deep" / "scorer" / "samples" / "0.png").read_bytes()
    assert own == (samples / "0000.png").read_bytes()
    origin = json.loads((tmp_path / "deep" / "scorer" / "pipeline.json").read_text())["origin"]
    assert list(origin) == ["checkpoint"]


def test_an_exported_scorer_says_which_run_it_comes_from(softmax: Path, tmp_path: Path) -> None:
    cli.main(["export", str(softmax / "run/checkpoints/last.ckpt"), "--out", str(tmp_path / "scorer")])
    exported, own = (
        json.loads((at / "pipeline.json").read_text()) for at in (tmp_path / "scorer", softmax / "run/scorer")
    )
    assert exported["origin"].items() >= {key: own["origin"][key] for key in ("checkpoint", "identity", "data")}.items()


def test_a_checkpoint_of_another_run_does_not_come_from_the_folder_that_it_lies_in(
    softmax: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(softmax / "run", tmp_path / "run")
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    stored["partsight"]["config"]["seed"] += 1
    torch.save(stored, folder / "checkpoints" / "other.ckpt")
    pack(folder / "checkpoints" / "other.ckpt", tmp_path / "scorer")
    assert set(json.loads((tmp_path / "scorer" / "pipeline.json").read_text())["origin"]) == {"checkpoint"}
    assert f"other.ckpt: not made by the run in {folder}" in capsys.readouterr().out


def test_samples_that_cannot_be_read_are_all_named(
    softmax: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "text.jpg").write_text("no picture")
    (samples / "nowhere.png").symlink_to("gone.png")
    shutil.copy(softmax / "parts" / "dent" / "0000.png", samples)
    checkpoint = str(softmax / "run" / "checkpoints" / "last.ckpt")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["export", checkpoint, "--out", str(tmp_path / "scorer"), "--samples", str(samples)])
    said = capsys.readouterr().err
    assert f"{samples / 'text.jpg'}: cannot be decoded" in said
    assert f"{samples / 'nowhere.png'}: cannot be read: No such file or directory" in said
    assert not (tmp_path / "scorer").exists()


def test_a_run_that_takes_the_folder_of_another_removes_its_scorer(softmax: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(softmax / "run", tmp_path / "run")
    assert script(folder / "scorer", "--selftest").returncode == 0
    (folder / "scorer" / "__pycache__").mkdir()
    leftovers.remove(folder)
    assert not (folder / "scorer").exists()


def test_a_folder_that_holds_other_files_is_left_alone(softmax: Path, tmp_path: Path) -> None:
    (tmp_path / "scorer").mkdir()
    (tmp_path / "scorer" / "scores.csv").write_text("yesterday's")
    with pytest.raises(PartsightError, match="is not a scorer"):
        pack(softmax / "run" / "checkpoints" / "last.ckpt", tmp_path / "scorer")
    assert [path.name for path in (tmp_path / "scorer").iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("out", [".", "../link"])
def test_a_scorer_is_replaced_by_whatever_name_it_is_called(
    softmax: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    (scorer / "scores.csv").touch()
    (scorer / "samples" / "from_before.png").touch()
    (tmp_path / "link").symlink_to(scorer)
    monkeypatch.chdir(scorer)
    cli.main(["export", str(softmax / "run/checkpoints/last.ckpt"), "--out", out])
    assert (scorer / "scores.csv").exists()  # the user's own
    assert not (scorer / "samples" / "from_before.png").exists()
    assert Path("score.py").is_file()  # for who stands in the folder
    assert "The scorer answers as expected" in script(scorer, "--selftest").stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "scorer"]


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_broken_picture_stops_nothing(softmax: Path, tmp_path: Path) -> None:
    shutil.copytree(softmax / "parts" / "dent", tmp_path / "new")
    (tmp_path / "new" / "0003.png").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "new" / "pipe.png")
    (tmp_path / "new" / "self.png").symlink_to("self.png")
    (tmp_path / "new" / "gone.png").symlink_to("absent.png")
    out = tmp_path / "scores.csv"
    done = script(softmax / "run" / "scorer", tmp_path / "new", "--out", out)
    assert done.returncode == 1
    assert "4 of 15 pictures could not be scored" in done.stderr
    problems = pd.read_csv(out).set_index("image")["problem"]
    assert "not a regular file" in problems[str(tmp_path / "new" / "pipe.png")]
    assert "Too many levels of symbolic links" in problems[str(tmp_path / "new" / "self.png")]
    assert "cannot be decoded" in problems[str(tmp_path / "new" / "0003.png")]
    assert "No such file" in problems[str(tmp_path / "new" / "gone.png")]
    assert problems.isna().sum() == 11


def test_a_source_that_does_not_exist_leaves_an_earlier_table(softmax: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("earlier\n")
    absent = [tmp_path / "goood", tmp_path / "gone.png"]
    done = script(softmax / "run" / "scorer", softmax / "parts" / "dent", *absent, "--out", out)
    assert done.returncode == 2
    assert done.stderr == f"{absent[0]}, {absent[1]}: there is no such picture or folder\n"
    assert out.read_text() == "earlier\n"


def test_a_picture_that_breaks_off_is_scored_and_doubted(softmax: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(noise(2, 64, 64)).save(whole)
    encoded = whole.read_bytes()
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(encoded[: len(encoded) * 2 // 3] + b"\xff\xd9")
    unfinished = tmp_path / "unfinished.jpg"
    unfinished.write_bytes(encoded[: len(encoded) * 2 // 3])
    out = tmp_path / "scores.csv"
    done = script(softmax / "run" / "scorer", whole, cut, unfinished, "--out", out)
    assert done.returncode == 1
    assert "1 of 3 pictures were scored, but see the column `doubt`" in done.stderr
    table = pd.read_csv(out)
    assert table["prediction"].notna().tolist() == [True, True, False]
    assert table["doubt"].notna().tolist() == [False, True, False]
    assert "ends early" in table["doubt"][1]
    assert "truncated" in table["problem"][2]
    answer = Scorer(softmax / "run" / "scorer").score(cut.read_bytes())
    assert answer["doubt"] == table["doubt"][1]
    assert answer["prediction"] == table["prediction"][1]


def test_scores_are_csv(softmax: Path, tmp_path: Path) -> None:
    done = script(softmax / "run" / "scorer", softmax / "parts" / "dent", "--out", tmp_path / "scores.xlsx")
    assert done.returncode == 2
    assert "scores.xlsx: must end in .csv" in done.stderr
    assert not (tmp_path / "scores.xlsx").exists()


@pytest.mark.parametrize("to_file", [True, False])
def test_a_name_that_no_csv_could_hold_stops_nothing(softmax: Path, tmp_path: Path, to_file: bool) -> None:
    shutil.copytree(softmax / "parts" / "dent", tmp_path / "new")
    (tmp_path / "new" / "0003.png").rename(tmp_path / "new" / os.fsdecode(b"00\xe4.png"))
    (tmp_path / "new" / "0004.png").rename(tmp_path / "new" / "00\r.png")
    out = ["--out", tmp_path / "scores.csv"] if to_file else []
    done = script(softmax / "run" / "scorer", tmp_path / "new", *out)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "scores.csv" if to_file else io.StringIO(done.stdout))
    assert len(table) == 12
    assert {str(tmp_path / "new" / name) for name in ("00\\xe4.png", "00\\r.png")} <= set(table["image"])


@pytest.mark.parametrize("limit", ["bytes", "pixels"])
def test_a_limit_refuses_before_decoding(softmax: Path, tmp_path: Path, limit: str) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    said = json.loads((scorer / "pipeline.json").read_text())
    said["limits"][limit] = 1000
    (scorer / "pipeline.json").write_text(json.dumps(said))
    with pytest.raises(PartsightError, match=rf"more than the 1,000 of limits\.{limit}"):
        Scorer(scorer).score((softmax / "parts" / "dent" / "0000.png").read_bytes())


def refuses(scorer: Path, parts: Path, said: str) -> None:
    """A scorer that cannot score says why in one line, and so does its selftest."""
    for arguments, status in ([parts], 2), (["--selftest"], 1):
        done = script(scorer, *arguments)
        assert done.returncode == status
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_a_threshold_that_cannot_act_is_refused(softmax: Path, tmp_path: Path) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    said = json.loads((scorer / "pipeline.json").read_text())
    assert said["threshold"] is None
    (scorer / "pipeline.json").write_text(json.dumps({**said, "threshold": 0.97}))
    refuses(scorer, softmax / "parts", "threshold 0.97 cannot act, because the most probable class is the answer")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("threshold", 90, "threshold 90: must be a number above 0 and below 1"),
        ("threshold", "0.9", "threshold '0.9': must be a number above 0 and below 1"),
        ("threshold", None, "threshold None: must be a number above 0 and below 1"),
        ("limits", {"bytes": "many", "pixels": 1}, "limits.bytes 'many': must be a whole number above 0"),
    ],
)
def test_an_edit_that_cannot_act_is_refused(softmax: Path, tmp_path: Path, key: str, value: object, said: str) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    content = json.loads((scorer / "pipeline.json").read_text())
    edited = {**content, "output": "binary", "threshold": 0.5, key: value}
    (scorer / "pipeline.json").write_text(json.dumps(edited))
    with pytest.raises(PartsightError, match=re.escape(f"pipeline.json: {said}")):
        Scorer(scorer)


def test_an_edit_that_breaks_the_file_is_named(softmax: Path, tmp_path: Path) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    with (scorer / "pipeline.json").open("a") as file:
        file.write(",")
    refuses(scorer, softmax / "parts", "pipeline.json: not readable as JSON: ")


def test_the_selftest_finds_another_model_and_other_answers(softmax: Path, tmp_path: Path) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    expected = (scorer / "samples" / "expected.json").read_text()
    first = json.loads(expected)
    first[0]["probabilities"]["dent"] += 0.001
    (scorer / "samples" / "expected.json").write_text(json.dumps(first))
    done = script(scorer, "--selftest")
    assert done.returncode == 1
    assert "samples/0.png: a probability differs by 1.0e-03" in done.stdout
    first[0]["probabilities"]["dent"] = float("nan")
    first[0]["probabilities"] = dict(reversed(first[0]["probabilities"].items()))  # not the first of them
    (scorer / "samples" / "expected.json").write_text(json.dumps(first))
    assert "samples/0.png: a probability differs by nan" in script(scorer, "--selftest").stdout
    with (scorer / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "model.onnx is not the file" in script(scorer, "--selftest").stdout


def test_the_selftest_names_samples_that_cannot_be_scored_here(softmax: Path, tmp_path: Path) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    said = json.loads((scorer / "pipeline.json").read_text())
    said["limits"]["bytes"] = 10  # "may be lowered there"
    (scorer / "pipeline.json").write_text(json.dumps(said))
    done = script(scorer, "--selftest")
    assert done.returncode == 1
    assert "samples/0.png: " in done.stdout
    assert "more than the 10 of limits.bytes" in done.stdout


@pytest.mark.parametrize("name", ["pipeline.json", "model.onnx"])
def test_a_file_that_is_missing_is_named(softmax: Path, tmp_path: Path, name: str) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    (scorer / name).unlink()
    refuses(scorer, softmax / "parts", f"No such file or directory: '{scorer / name}'")


@pytest.mark.parametrize("entry", ["limits", "threshold", "limits.bytes", "everything"])
def test_an_entry_that_is_missing_is_named(softmax: Path, tmp_path: Path, entry: str) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    said = json.loads((scorer / "pipeline.json").read_text())
    if entry == "limits.bytes":
        del said["limits"]["bytes"]
    elif entry == "everything":
        said = []
    else:
        del said[entry]
    (scorer / "pipeline.json").write_text(json.dumps(said))
    refuses(scorer, softmax / "parts", "pipeline.json: an entry is missing")


def test_a_damaged_model_is_named(softmax: Path, tmp_path: Path) -> None:
    scorer = shutil.copytree(softmax / "run" / "scorer", tmp_path / "scorer")
    (scorer / "model.onnx").write_bytes((scorer / "model.onnx").read_bytes()[:1000])
    done = script(scorer, softmax / "parts")
    assert done.returncode == 2
    assert "model.onnx: cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_scores_without_a_place_or_a_reader_end_in_one_line(softmax: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -B {softmax / 'run' / 'scorer' / 'score.py'} {softmax / 'parts'}"
    cases = {"| head -1": "", ">/dev/full": "No space left on device", ">&-": "name a file with --out"}
    for ending, message in cases.items():
        line = f"set -o pipefail; {command} {ending}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, ending
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_scores_go_to_a_pipe(softmax: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -B {softmax / 'run' / 'scorer' / 'score.py'} {softmax / 'parts' / 'dent'}"
    line = f"{command} --out >(cat > {tmp_path / 'scores.csv'}); code=$?; wait; sleep 1; exit $code"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 12


def test_letters_that_the_locale_lacks_are_written_as_numbers(softmax: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    shutil.copy(softmax / "parts" / "dent" / "0000.png", tmp_path / "new" / "\u90e8.png")
    command = [sys.executable, "-B", str(softmax / "run" / "scorer" / "score.py"), str(tmp_path / "new")]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=120, check=True)
    assert rb"\u90e8.png," in done.stdout


def test_nothing_named_is_not_the_current_folder(softmax: Path) -> None:
    done = script(softmax / "run" / "scorer", "")
    assert done.returncode == 2
    assert "name a picture, a folder" in done.stderr


def test_pictures_come_in_the_order_of_predict(softmax: Path, tmp_path: Path) -> None:
    for name in ("a/B.png", "a-1.png", "a.png"):
        (tmp_path / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(softmax / "parts" / "dent" / "0000.png", tmp_path / "new" / name)
    found = scored(softmax / "run" / "scorer", tmp_path / "new")
    assert found.index.tolist() == folders.pictures_below(tmp_path / "new") == ["a-1.png", "a.png", "a/B.png"]


def test_folders_of_network_storage_are_no_users(softmax: Path, tmp_path: Path) -> None:
    shutil.copytree(softmax / "parts" / "dent", tmp_path / "new")
    shutil.copytree(softmax / "parts" / "dent", tmp_path / "new" / "@eaDir")
    assert script(softmax / "run" / "scorer", tmp_path / "new", "--out", tmp_path / "scores.csv").returncode == 0
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 12


def test_linked_folders_are_scored_and_the_folder_of_the_scores_is_made(softmax: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "today").symlink_to(softmax / "parts" / "dent")
    (tmp_path / "new" / "today" / "0000.png").stat()
    (tmp_path / "new" / "round").symlink_to(tmp_path / "new")
    out = tmp_path / "not" / "there" / "scores.csv"
    assert script(softmax / "run" / "scorer", tmp_path / "new", "--out", out).returncode == 0
    assert len(pd.read_csv(out)) == 12
    (tmp_path / "folder.csv").mkdir()
    done = script(softmax / "run" / "scorer", tmp_path / "new", "--out", tmp_path / "folder.csv")
    assert done.returncode == 2
    assert "Is a directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        ({"CenterCrop": {"height": 32, "width": 32}}, r"augmentation\.inference\.CenterCrop cannot be packed"),
        ({"Resize": {"height": 32, "width": 32}, "Blur": {}}, r"augmentation\.inference\.Blur cannot be packed"),
        ({}, "has no Resize"),
        ({"Resize": {"height": 32, "width": 32, "p": 0.5}}, r"Resize\.p=0\.5"),
    ],
)
def test_a_pipeline_that_a_scorer_cannot_do_is_refused_by_name(transforms: dict[str, dict[str, object]], said: str):
    with pytest.raises(PartsightError, match=said):
        resize_rule(transforms)


def test_a_run_whose_model_cannot_be_packed_keeps_its_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "parts", {"a": 8, "b": 8}, size=40)
    blur = "+augmentation.inference.Blur={p: 1.0}"
    made = run(tmp_path, f"data.root={root}", PACK, blur, "training.epochs=1")
    assert "NO SCORER" in capsys.readouterr().out
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert "augmentation.inference.Blur cannot be packed" in only.data.tags["scorer"]
    assert (made / "predictions.parquet").is_file()
    assert not (made / "scorer").exists()


def test_other_folders_are_left_alone(softmax: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "mine" / "pipeline.json").write_text("{}")  # of another program
    with pytest.raises(SystemExit):
        cli.main(["export", str(softmax / "run/checkpoints/last.ckpt"), "--out", str(tmp_path / "mine")])
    assert "already exists and is not a scorer" in capsys.readouterr().err
    out = str(tmp_path / "mine" / "thesis.txt" / "scorer")
    with pytest.raises(SystemExit):
        cli.main(["export", str(softmax / "run/checkpoints/last.ckpt"), "--out", out])
    assert f"{out}: cannot be written: " in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").is_file()
    with pytest.raises(SystemExit):
        cli.main(["export", str(softmax / "run/checkpoints/last.ckpt"), "--out", str(tmp_path / "mine/thesis.txt")])
    assert "thesis.txt: already exists and is not a scorer" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_samples_without_pictures_are_refused(
    softmax: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", str(softmax / "run/checkpoints/last.ckpt"), "--samples", str(tmp_path)])
    assert "there are no pictures in this folder" in capsys.readouterr().err
    (tmp_path / "a.png").touch()
    for absent in ("a.png", "b"):
        with pytest.raises(SystemExit):
            cli.main(["export", str(softmax / "run/checkpoints/last.ckpt"), "--samples", str(tmp_path / absent)])
        assert f"--samples {tmp_path / absent}: there is no such folder" in capsys.readouterr().err


def test_a_model_that_cannot_be_exported_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from partsight.data.info import DataInfo
    from partsight.model.classifier import Classifier

    settings = Config(backbone="test_resnet")
    settings.image.height = settings.image.width = 32
    model = Classifier(settings, DataInfo(("a", "b"), "softmax", (1, 1), ("class",))).eval()
    forward = model.backbone.forward
    smooth = {"size": 16, "mode": "bilinear", "antialias": True}  # no such operator in ONNX
    monkeypatch.setattr(model.backbone, "forward", lambda x: forward(torch.nn.functional.interpolate(x, **smooth)))
    with pytest.raises(PartsightError, match="test_resnet cannot be exported to ONNX: Exporting the operator"):
        graph.write(model, tmp_path / "model.onnx")
    assert "graph" not in capfd.readouterr().out


@pytest.mark.parametrize("seen", [0, 3])
def test_a_model_that_keeps_its_train_metric_is_exported(tmp_path: Path, seen: int) -> None:
    """Its checkpoint holds lists among the weights: empty, or of batches since the last evaluation."""
    from partsight.data.info import DataInfo
    from partsight.model.classifier import Classifier

    settings = Config(backbone="test_resnet")
    settings.image.height = settings.image.width = 32
    settings.training.train_metric = True
    model = Classifier(settings, DataInfo(("a", "b"), "softmax", (1, 1), ("class",))).eval()
    assert model.train_metric is not None
    for _ in range(seen):
        model.train_metric.update(torch.full((4, 2), 0.5), torch.zeros(4))
    graph.write(model, tmp_path / "model.onnx")  # compares the two
    assert "train_metric.targets" in model.state_dict()


def test_a_graph_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from partsight.data.info import DataInfo
    from partsight.model.classifier import Classifier

    settings = Config(backbone="test_resnet")
    settings.image.height = settings.image.width = 32
    model = Classifier(settings, DataInfo(("a", "b"), "softmax", (1, 1), ("class",))).eval()
    monkeypatch.setattr(graph, "TOLERANCE", -1.0)
    with pytest.raises(PartsightError, match="probabilities differ from the model's by up to"):
        graph.write(model, tmp_path / "model.onnx")
