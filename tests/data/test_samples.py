"""The made samples have the layout of the real sets, are the same bytes every time, and hold no easy way out."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from partsight.config import DataConfig
from partsight.data import sources
from partsight.data.samples import LABEL_FILE, SAMPLE_VERSION, SAMPLES, casting, make, product_defect, resistor, steel
from partsight.errors import PartsightError

COUNTS = {name: sample.least for name, sample in SAMPLES.items()}
NEU_CLASSES = {"crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every sample in it, each in a folder of its own name."""
    root = tmp_path_factory.mktemp("samples")
    for name, count in COUNTS.items():
        make(name, root / name, count)
    return root


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pictures(folder: Path) -> dict[str, bytes]:
    return {path: data for path, data in content(folder).items() if path.endswith((".jpg", ".jpeg"))}


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


def test_the_names_are_those_of_the_use_cases() -> None:
    assert set(SAMPLES) == {"casting", "product_defect", "resistor", "steel"}


def test_casting_layout(made: Path) -> None:
    table = pd.read_parquet(made / "casting" / "casting_defect_classification.pq")
    assert list(table.columns) == ["image", "class"]
    assert list(table.index) == list(range(12))
    assert table["class"].value_counts().to_dict() == {"def_front": 7, "ok_front": 5}
    assert (table["image"].str.split("/").str[0] == table["class"]).all()
    assert table["image"].str.fullmatch(r"(def|ok)_front/cast_(def|ok)_0_\d+\.jpeg").all()
    for image in table["image"]:
        picture = read(made / "casting" / "casting_512x512" / image)
        assert picture.shape == (256, 256, 3)
        assert (picture == picture[..., :1]).all(), "three equal channels"
    assert len(pictures(made / "casting")) == len(table)


def test_product_defect_layout(made: Path) -> None:
    folder = made / "product_defect"
    first = pd.read_csv(folder / "normal_defect_dataset.csv")
    second = pd.read_csv(folder / "normal_defect_dataset2.csv")
    for table, of_each_class in ((first, 8), (second, 2)):
        assert list(table.columns) == ["Unnamed: 0", "images", "label"]
        assert list(table["Unnamed: 0"]) == list(range(len(table)))
        assert table["label"].value_counts().to_dict() == dict.fromkeys(NEU_CLASSES, of_each_class)
        assert (table["images"].str.rsplit("_", n=1).str[0] == table["label"]).all()
    images = [*first["images"], *second["images"]]
    assert sorted(images) == sorted(path.name for path in (folder / "normaldefect_image").iterdir())
    assert len(set(images)) == len(images)
    assert all(read(folder / "normaldefect_image" / image).shape == (200, 200, 3) for image in images)


def test_resistor_layout(made: Path) -> None:
    table = pd.read_parquet(made / "resistor" / "train.pq")
    assert list(table.columns) == ["image", "class", "run"]
    assert table["class"].nunique() == 37
    assert (table["image"].str.split("/").str[0] == table["class"]).all()
    assert table["image"].str.fullmatch(r".+/\d{8}_\d{6}_frame_\d{3}\.jpg").all()
    assert (table["image"].str.replace(r"_frame_\d+\.jpg$", "", regex=True) == table["run"]).all()
    assert (table.groupby("run").size() == resistor.FRAMES).all()
    assert (table.groupby("class")["run"].nunique() == 2).all()
    shapes = {read(made / "resistor" / "resistor-dataset" / image).shape for image in table["image"]}
    assert shapes == {(240, 320, 3)}


def test_frames_of_a_run_are_nearly_equal_and_runs_are_not(made: Path) -> None:
    table = pd.read_parquet(made / "resistor" / "train.pq")
    runs = [
        [read(made / "resistor" / "resistor-dataset" / image).astype(float) for image in rows["image"]]
        for _, rows in list(table.groupby("run"))[:12]
    ]
    within = [np.abs(run[0] - run[1]).mean() for run in runs]
    between = [np.abs(run[0] - other[0]).mean() for run, other in pairwise(runs)]
    assert 0 < max(within) < 0.5 * float(np.median(between))
    assert max(within) < 12


@pytest.mark.parametrize(
    ("value", "bands"),
    [
        ("10R", ("brown", "black", "black")),
        ("47R", ("yellow", "violet", "black")),
        ("470R", ("yellow", "violet", "brown")),
        ("1K", ("brown", "black", "red")),
        ("4K7", ("yellow", "violet", "red")),
        ("82K", ("grey", "red", "orange")),
        ("680K", ("blue", "grey", "yellow")),
        ("2M2", ("red", "red", "green")),
    ],
)
def test_bands_follow_the_colour_code(value: str, bands: tuple[str, ...]) -> None:
    code = ("black", "brown", "red", "orange", "yellow", "green", "blue", "violet", "grey", "white")
    assert tuple(code[digit] for digit in resistor.digits(value)) == bands


def test_no_two_values_have_the_same_bands() -> None:
    assert len({resistor.digits(value) for value in resistor.VALUES}) == len(resistor.VALUES) == 37


def test_steel_layout(made: Path) -> None:
    table = pd.read_csv(made / "steel" / "train.csv")
    assert list(table.columns) == ["ImageId", "ClassId", "EncodedPixels"]
    assert set(table["ClassId"]) == {1, 2, 3, 4}
    assert table["ImageId"].str.fullmatch(r"[0-9a-f]{9}\.jpg").all()
    assert table["ImageId"].nunique() == 25
    assert len(table) == 28, "a few pictures have two defects, and so two rows"
    assert not table.duplicated(["ImageId", "ClassId"]).any()
    images = {path.name for path in (made / "steel" / "train_images").iterdir()}
    assert images == set(table["ImageId"])
    assert all(read(made / "steel" / "train_images" / image).shape == (256, 1600, 3) for image in images)


def test_steel_masks_can_be_decoded_and_mark_the_defect(made: Path) -> None:
    table = pd.read_csv(made / "steel" / "train.csv", keep_default_na=False)
    for text in table["EncodedPixels"]:
        runs = np.array(text.split(), dtype=int).reshape(-1, 2)
        starts, lengths = runs[:, 0], runs[:, 1]
        assert (lengths > 0).all()
        assert starts[0] >= 1
        assert (starts[1:] > starts[:-1] + lengths[:-1]).all(), "runs are in order and apart"
        assert starts[-1] + lengths[-1] - 1 <= 256 * 1600
        assert 0 < lengths.sum() < 0.5 * 256 * 1600


def test_a_mask_counts_from_one_down_the_columns() -> None:
    mask = np.zeros((3, 4), dtype=bool)
    mask[2, 0] = mask[0, 1] = mask[1, 1] = mask[2, 3] = True
    assert steel.encode_mask(mask) == "3 3 12 1"


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_least_count_puts_a_few_rows_in_each_class(name: str, made: Path) -> None:
    classes = {
        "casting": ("casting_defect_classification.pq", "class"),
        "product_defect": ("normal_defect_dataset.csv", "label"),
        "resistor": ("train.pq", "class"),
        "steel": ("train.csv", "ClassId"),
    }
    file, column = classes[name]
    path = made / name / file
    table = pd.read_parquet(path) if path.suffix == ".pq" else pd.read_csv(path)
    assert table[column].value_counts().min() >= 5, "one row for each of five folds"


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_the_same_call_writes_the_same_bytes(name: str, made: Path, tmp_path: Path) -> None:
    make(name, tmp_path / name, COUNTS[name])
    assert content(tmp_path / name) == content(made / name)


@pytest.mark.parametrize("name", ["casting", "product_defect", "steel"])
def test_more_pictures_keep_the_first_ones(name: str, made: Path, tmp_path: Path) -> None:
    make(name, tmp_path / name, COUNTS[name] + 7)
    more = pictures(tmp_path / name)
    fewer = pictures(made / name)
    assert len(more) == len(fewer) + 7
    assert fewer.items() <= more.items()


def test_every_picture_is_another_one(made: Path) -> None:
    for name in COUNTS:
        found = list(pictures(made / name).values())
        assert len(set(found)) == len(found)


def test_brightness_and_contrast_do_not_give_the_class_away() -> None:
    # The mean of each class lies near the mean of all, measured in standard deviations of single pictures.
    looks = np.array([(picture.mean(), picture.std()) for picture in map(casting.draw, range(100))])
    sound = np.isin(np.arange(100) % 5, (1, 3))
    assert (np.abs(looks[sound].mean(axis=0) - looks[~sound].mean(axis=0)) < 0.5 * looks.std(axis=0)).all()

    looks = np.array([(picture.mean(), picture.std()) for picture in map(product_defect.draw, range(120))])
    by_class = looks.reshape(20, 6, 2).mean(axis=0)
    assert (np.abs(by_class - looks.mean(axis=0)) < 0.6 * looks.std(axis=0)).all()


def test_the_folder_says_that_it_is_made(made: Path) -> None:
    facts = json.loads((made / "steel" / LABEL_FILE).read_text())
    assert facts == {"made_by": "partsight", "sample": "steel", "pictures": 25, "version": SAMPLE_VERSION}


def test_two_processes_may_make_the_same_sample_at_once(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "deep" / "casting"
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job in [pool.submit(make, "casting", folder, COUNTS["casting"]) for _ in range(4)]:
            job.result()
    assert content(folder) == content(made / "casting")
    assert [path.name for path in folder.parent.iterdir()] == ["casting"], "nothing half made is left behind"


def test_the_loser_of_a_race_throws_its_copy_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, write = tmp_path / "casting", casting.write

    def overtaken(building: Path, count: int) -> None:
        write(building, count)
        monkeypatch.undo()
        make("casting", folder, count)

    monkeypatch.setattr("partsight.data.samples.SAMPLES", {"casting": type(casting.SAMPLE)(12, overtaken)})
    make("casting", folder, 12)
    assert len(pictures(folder)) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["casting"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(building: Path, count: int) -> None:
        (building / "half").touch()
        raise OSError("disk full")

    monkeypatch.setattr("partsight.data.samples.SAMPLES", {"casting": type(casting.SAMPLE)(12, broken)})
    with pytest.raises(OSError, match="disk full"):
        make("casting", tmp_path / "casting", 12)
    assert not list(tmp_path.iterdir())


def test_a_sample_that_is_there_is_kept_and_anything_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "casting"
    folder.mkdir()
    make("casting", folder, 12)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    make("casting", folder, 12)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    with pytest.raises(FileExistsError, match="not the made sample asked for"):
        make("casting", folder, 13)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="mine"):
        make("casting", tmp_path / "mine", 12)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


@pytest.mark.parametrize("cache", ["file", "long" * 100])
def test_a_sample_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    """In a container or for a service account the home folder may be read-only, and another user's cache may not even
    be looked into; root may, so here another reason stands for that one."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / cache))
    with pytest.raises(PartsightError, match=r"the made sample cannot be written there \(.*pictures.* XDG_CACHE_HOME"):
        sources.root(DataConfig(sample="casting"))
