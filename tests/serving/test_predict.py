"""A checkpoint scores new pictures by itself: without its data set, its settings' files, or the folder of its run."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import noise, probabilities, run, tree

from partsight import cli, whole_file

COUNTS = {"dent": 12, "good": 14, "scratch": 11}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("pictures"), COUNTS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The folder of a run."""
    home = tmp_path_factory.mktemp("home")
    return run(home, f"data.root={pictures}", "head=dense", "augmentation=hard", "image.normalization=channel")


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """A copy of the last checkpoint, far from its run; the current folder is an empty one."""
    return Path(shutil.copy(trained / "checkpoints" / "last.ckpt", tmp_path / "model.ckpt"))


def predict(*arguments: object) -> pd.DataFrame:
    """`partsight predict ...`, and the table it writes."""
    out = Path("scored.parquet")
    if "--out" in arguments:
        out = Path(str(arguments[arguments.index("--out") + 1]))
    else:
        arguments = (*arguments, "--out", out)
    cli.main(["predict", "--workers", "0", *map(str, arguments), "--accelerator", "cpu"])
    return pd.read_csv(out) if out.suffix == ".csv" else pd.read_parquet(out)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        predict(*arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_a_checkpoint_alone_gives_the_probabilities_of_its_run(trained: Path, checkpoint: Path, pictures: Path) -> None:
    own = pd.read_parquet(trained / "predictions.parquet").set_index("image")
    scored = predict(checkpoint, pictures).set_index("image")
    assert len(scored) == sum(COUNTS.values())
    assert len(own) == 8
    found = scored.loc[own.index]
    np.testing.assert_allclose(probabilities(found), probabilities(own), rtol=0, atol=1e-6)
    assert found["prediction"].tolist() == own["prediction"].tolist()


def test_the_best_checkpoint_serves_too(trained: Path, pictures: Path) -> None:
    assert len(predict(trained / "checkpoints" / "best.ckpt", pictures / "dent")) == COUNTS["dent"]


PEAK = """
from pathlib import Path
from partsight import cli
try:
    cli.main()
finally:
    print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures(checkpoint: Path, tmp_path: Path) -> None:
    """3,000 pictures of 160 x 160 are 230 MB."""
    stored = torch.load(checkpoint, weights_only=True)
    resize = {"Resize": {"height": 160, "width": 160}}
    stored["partsight"]["config"]["augmentation"]["inference"] = resize
    torch.save(stored, checkpoint)
    Image.fromarray(noise(1, 16, 16)).save(tmp_path / "one.png")

    def peak(count: int) -> float:
        """MB; as the system counts for this process alone: `ru_maxrss` begins with what its parent had."""
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.png").symlink_to(tmp_path / "one.png")
        command = [sys.executable, "-c", PEAK, "predict", str(checkpoint), str(folder), "--accelerator", "cpu"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert len(pd.read_csv("predictions.csv")) == count
        return int(done.stdout.split()[-2]) / 1e3

    few, many = peak(100), peak(3000)
    assert many - few < 60


def test_nothing_is_known_of_new_pictures_but_their_scores(checkpoint: Path, pictures: Path) -> None:
    scored = predict(checkpoint, pictures)
    assert scored["row"].tolist() == list(range(len(scored)))
    assert scored["image"].tolist() == sorted(scored["image"])
    assert scored["label"].isna().all()
    assert scored["loss"].isna().all()
    assert set(scored["split"]) == {"predict"}
    names = [f"prob_{name}" for name in COUNTS]
    assert list(scored.columns[-3:]) == names
    assert scored["prediction"].tolist() == [names[i][5:] for i in probabilities(scored).argmax(axis=1)]


@pytest.mark.parametrize("size", [1, 5, 64])
def test_the_batch_size_cannot_change_a_score(checkpoint: Path, pictures: Path, size: int) -> None:
    alone = probabilities(predict(checkpoint, pictures, "--batch-size", 7))
    np.testing.assert_allclose(
        probabilities(predict(checkpoint, pictures, "--batch-size", size)), alone, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_cores_cannot_change_a_score(checkpoint: Path, pictures: Path, threads: int) -> None:
    before = torch.get_num_threads()
    one = probabilities(predict(checkpoint, pictures))
    try:
        torch.set_num_threads(threads)
        several = probabilities(predict(checkpoint, pictures))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(several, one, rtol=0, atol=1e-5)


def test_the_device_is_waited_for_once(checkpoint: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read the figures of each batch would leave a GPU idle until the next batch is there."""
    read: list[int] = []
    to_host = torch.Tensor.cpu

    def noting(tensor: torch.Tensor) -> torch.Tensor:
        read.append(len(tensor))
        return to_host(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", noting)
    assert len(predict(checkpoint, pictures, "--batch-size", 8)) == sum(COUNTS.values())
    assert read == [sum(COUNTS.values())]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("out", ["csv", "parquet", "pq"])
def test_a_table_is_scored_in_its_order(
    checkpoint: Path, pictures: Path, tmp_path: Path, suffix: str, out: str
) -> None:
    whole = predict(checkpoint, pictures).set_index("image")
    images = ["scratch/0003.png", "dent/0001.png", "scratch/0003.png"]
    table = tmp_path / f"new.{suffix}"
    frame = pd.DataFrame({"shot": images, "remark": ["", "", "twice"]})
    frame.to_csv(table, index=False) if suffix == "csv" else frame.to_parquet(table)
    scored = predict(checkpoint, table, "--images", pictures, "--image-column", "shot", "--out", f"scored.{out}")
    assert scored["image"].tolist() == images
    np.testing.assert_allclose(probabilities(scored), probabilities(whole.loc[images]), rtol=0, atol=1e-5)


def test_the_pictures_of_a_table_lie_beside_it_unless_told(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    Image.fromarray(noise(1)).save(tmp_path / "new" / "1.png")
    pd.DataFrame({"image": ["1.png"]}).to_csv(tmp_path / "new" / "list.csv", index=False)
    assert len(predict(checkpoint, tmp_path / "new" / "list.csv")) == 1


def test_pictures_of_any_size_and_kind(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "new" / "deep").mkdir(parents=True)
    Image.fromarray(noise(1, 60, 17)).save(tmp_path / "new" / "a.jpg")
    Image.fromarray(noise(2)[..., 0]).save(tmp_path / "new" / "deep" / "b.tif")
    assert predict(checkpoint, tmp_path / "new")["image"].tolist() == ["a.jpg", "deep/b.tif"]


def test_the_shares_of_classes_are_said(checkpoint: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored = predict(checkpoint, pictures)
    said = capsys.readouterr().out
    assert "37 pictures scored into scored.parquet" in said
    for name, count in scored["prediction"].value_counts().items():
        assert f"{name}: {count}" in said


PLUGIN = """
from timm.models import register_model, test_resnet

@register_model
def NAME(pretrained=False, **kwargs):
    return test_resnet(pretrained, **kwargs)
"""


def test_a_transform_of_a_plugin_needs_the_plugin(
    checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stored = torch.load(checkpoint, weights_only=True)
    config = stored["partsight"]["config"]
    config["augmentation"]["inference"] |= {"OneOf": {"transforms": {"OwnFlip": {"p": 1}}, "p": 1}}
    torch.save(stored, checkpoint)
    assert "albumentations has no transform OwnFlip\n" in refusal(capsys, checkpoint, pictures)
    config["plugins"] = ["own_transforms"]
    torch.save(stored, checkpoint)
    said = refusal(capsys, checkpoint, pictures)
    assert "albumentations has no transform OwnFlip, and the run imported plugins; " in said
    assert "add --plugins own_transforms" in said
    (tmp_path / "own_transforms.py").write_text(
        "import albumentations as A\nclass OwnFlip(A.HorizontalFlip): pass\nA.OwnFlip = OwnFlip\n"
    )
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.setattr("albumentations.OwnFlip", None, raising=False)  # so that it is taken away afterwards
    assert len(predict(checkpoint, pictures, "--plugins", "own_transforms")) == sum(COUNTS.values())


@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_backbone_of_a_plugin_needs_the_plugin(
    checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = predict(checkpoint, pictures)
    stored = torch.load(checkpoint, weights_only=True)
    stored["partsight"]["config"] |= {"backbone": f"{command}_net", "plugins": [f"{command}_models"]}
    torch.save(stored, checkpoint)
    (tmp_path / f"{command}_models.py").write_text(PLUGIN.replace("NAME", f"{command}_net"))
    monkeypatch.setattr("sys.path", [*sys.path])
    given = [command, str(checkpoint), *([str(pictures)] if command == "predict" else [])]
    for more, said in ([], f"add --plugins {command}_models"), (["--plugins", "absent"], "absent cannot be imported"):
        with pytest.raises(SystemExit) as caught:
            cli.main([*given, *more])
        assert caught.value.code == 2
        assert said in capsys.readouterr().err
    cli.main([*given, "--plugins", f"{command}_models"])
    if command == "predict":
        pd.testing.assert_frame_equal(pd.read_csv("predictions.csv"), own.fillna(np.nan), check_dtype=False)
    else:
        assert Path("scorer/model.onnx").is_file()


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 64])
def test_broken_pictures_are_all_named_at_once_and_nothing_is_written(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    shutil.copytree(pictures / "dent", tmp_path / "new")
    for name in ("0003.png", "0005.png"):
        (tmp_path / "new" / name).write_bytes(b"no picture")
    (tmp_path / "new" / "0010.png").unlink()
    (tmp_path / "new" / "0010.png").symlink_to("absent.png")
    os.mkfifo(tmp_path / "new" / "pipe.png")
    said = refusal(capsys, checkpoint, tmp_path / "new", "--batch-size", size)
    assert "2 pictures: cannot be decoded (unknown format): rows 3, 5, first '0003.png'; repair or remove them" in said
    assert "a picture: cannot be read: No such file or directory: row 10, first '0010.png'" in said
    assert "a picture: cannot be read: not a regular file: row 12, first 'pipe.png'" in said
    assert not Path("scored.parquet").exists()


def test_where_the_scores_cannot_be_written_is_said_before_any_is_made(
    checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("partsight.serving.predict.predict", None)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    for out in (tmp_path / "folder.csv", tmp_path / "file" / "scores.csv", tmp_path / f"{'long' * 99}.csv"):
        assert f"--out {out}: cannot be written: " in refusal(capsys, checkpoint, pictures, "--out", out)
    assert not (tmp_path / "new.csv").exists()
    (tmp_path / "link.csv").symlink_to(tmp_path / "new.csv")
    whole_file.try_writing(tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert not (tmp_path / "new.csv").exists()
    assert "--workers: must be a whole number from 0, not -1" in refusal(capsys, checkpoint, pictures, "--workers", -1)


def test_a_full_disk_leaves_the_table_of_yesterday(
    checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("yesterday")

    def full(frame: pd.DataFrame, path: Path, **_: object) -> None:
        path.write_text("half of to")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    said = refusal(capsys, checkpoint, pictures, "--out", out)
    assert f"--out {out}: cannot be written: No space left on device" in said
    assert out.read_text() == "yesterday"


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_that_the_augmentation_cannot_take_are_named(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    stored = torch.load(checkpoint, weights_only=True)
    stored["partsight"]["config"]["augmentation"]["inference"] = {"CenterCrop": {"height": 32, "width": 32}}
    torch.save(stored, checkpoint)
    (tmp_path / "new").mkdir()
    for name, height in (("1.png", 40), ("2.png", 20)):
        Image.fromarray(noise(1, height, 50)).save(tmp_path / "new" / name)
    said = refusal(capsys, checkpoint, tmp_path / "new", "--workers", workers)
    assert "a picture: the augmentation fails on 20 x 50 pixels: " in said
    assert "row 1, first '2.png'" in said


def test_a_picture_of_too_many_pixels_is_refused_from_its_header(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    Image.fromarray(noise(1, 40, 50)).save(tmp_path / "new" / "large.png")
    monkeypatch.setattr("partsight.data.pictures.MOST_PIXELS", 1999)
    monkeypatch.setattr("partsight.data.pictures.decode", lambda *_: pytest.fail("it was decoded"))
    assert "more than the 1,999 pixels that are allowed" in refusal(capsys, checkpoint, tmp_path / "new")


def test_a_picture_that_ends_early_is_scored_and_named(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new").mkdir()
    Image.fromarray(noise(1, 64, 64)).save(tmp_path / "new" / "whole.jpg")
    whole = (tmp_path / "new" / "whole.jpg").read_bytes()
    (tmp_path / "new" / "early.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    assert len(predict(checkpoint, tmp_path / "new")) == 2
    assert "a picture: the file ends early" in (said := capsys.readouterr().out)
    assert "row 0, first 'early.jpg'" in said


def test_a_missing_checkpoint(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.ckpt: there is no such checkpoint" in refusal(capsys, "absent.ckpt", pictures)


def test_a_picture_in_place_of_a_table(checkpoint: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = next(pictures.rglob("*.png"))
    assert "tables are csv or parquet (.csv, .pq, .parquet), not .png; of pictures, name the folder" in refusal(
        capsys, checkpoint, one
    )


@pytest.mark.parametrize("kind", ["text", "folder", "tensors", "pickle", "empty"])
def test_what_is_no_checkpoint(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    path = tmp_path / "other.ckpt"
    if kind == "folder":
        path.mkdir()
    elif kind == "tensors":
        torch.save({"state_dict": {"weight": torch.zeros(2)}}, path)
    elif kind == "pickle":
        torch.save({"partsight": Path("object")}, path)
    else:
        path.write_bytes(b"" if kind == "empty" else b"a text")
    assert "not a checkpoint of partsight" in refusal(capsys, path, pictures)


def test_a_checkpoint_that_was_cut_off(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.ckpt").write_bytes(checkpoint.read_bytes()[:20000])
    assert "not a checkpoint of partsight, or a damaged one" in refusal(capsys, tmp_path / "cut.ckpt", pictures)


def test_sources_that_cannot_be_scored(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    assert "no pictures in this folder" in refusal(capsys, checkpoint, tmp_path / "none")
    assert "no such folder or table" in refusal(capsys, checkpoint, tmp_path / "absent")
    pd.DataFrame({"shot": ["1.png"]}).to_csv(tmp_path / "new.csv", index=False)
    said = refusal(capsys, checkpoint, tmp_path / "new.csv")
    assert "no column 'image'; it has 'shot'. Name it with --image-column." in said
    said = refusal(capsys, checkpoint, tmp_path / "new.csv", "--image-column", "shot")
    assert "pictures not found" in said
    assert "row 0, first '1.png'; is --images right?" in said
    pd.DataFrame({"image": ["1\r.png"]}).to_csv(tmp_path / "new.csv", index=False, quoting=csv.QUOTE_ALL)
    assert r"column 'image': carriage returns in row 0, first '1\r.png'" in refusal(capsys, checkpoint, "new.csv")


def test_options_that_cannot_be(checkpoint: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must end in .csv or .parquet" in refusal(capsys, checkpoint, pictures, "--out", "scored.xlsx")
    assert "must be a whole number from 1, not 0" in refusal(capsys, checkpoint, pictures, "--batch-size", 0)
    for option in ("--images", "--image-column"):
        said = refusal(capsys, checkpoint, pictures, option, "x")
        assert "a folder; --images and --image-column go with a table" in said
    assert "FOLDER_OR_TABLE: is empty" in refusal(capsys, checkpoint, "")
    assert not Path("scored.parquet").exists()
