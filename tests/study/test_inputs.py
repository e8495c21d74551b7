"""A finished run of data or weights that are others today is made again; reading them costs little, and may fail."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from tiny import noise, tree

from partsight import RESULTS_VERSION, config
from partsight.data import fingerprint, inspection, table
from partsight.data.division import divide
from partsight.model import plugins
from partsight.study import command as study_command
from partsight.study import inputs
from partsight.study import plan as planning
from partsight.study.definition import read_protocol, read_study

CONF = [config.conf_folder()]
STUDY = """
settings: [usecase=custom, seed=1, model.weights=first.pt]
variants: {one: {settings: [backbone=resnet18]}, other: {settings: [backbone=resnet34]}}
rows: validation
protocols: {own: []}
"""


def planned(*given: str, text: str = STUDY) -> planning.Plan:
    Path("mine.yaml").write_text(text)
    return planning.plan(
        read_study("mine.yaml", CONF), read_protocol("own", CONF), ["data.root=parts", *given], CONF, Path("out"),
        paths=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def parts() -> Path:
    """Eight pictures a class, a table of them, and a file of weights."""
    folder = tree(Path("parts"), {"bad": 8, "good": 8})
    images = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.png"))
    lines = [f"{image},{image.partition('/')[0]},{number % 3}" for number, image in enumerate(images)]
    (folder / "parts.csv").write_text("\n".join(["image,class,batch", *lines]) + "\n")
    Path("first.pt").write_bytes(b"weights")
    return folder


def make(runs: planning.Plan) -> None:
    """Marks all runs as finished, with the facts that a run keeps."""
    for run in runs.runs:
        examples = table.read(run.config)
        inspected = inspection.inspect(examples.folder, examples.frame["image"])
        facts = {
            "data_fingerprint": fingerprint.fingerprint(examples, inspected),
            "folds_digest": inputs.folds.digest(divide(examples, inspected, run.config).fold),
            "weights": f"file:{hashlib.sha256(b'weights').hexdigest()}",
            "plugin_sources": json.dumps(plugins.sources(run.config.plugins)),
        }
        run.folder.mkdir(parents=True)
        (run.folder / "facts.yaml").write_text(yaml.safe_dump(facts))
        (run.folder / planning.FINISHED).write_text(f'{{"results_version": {RESULTS_VERSION}}}')


def outdated(plan: planning.Plan) -> dict[str, list[str]]:
    found, problems = inputs.outdated(plan)
    assert problems == []
    return {what: [run.title for run in runs] for what, runs in found.items()}


def test_what_has_not_changed_is_left_alone_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make(planned())
    asked, read = [], inputs.read
    monkeypatch.setattr(inputs, "read", lambda config: asked.append(1) or read(config))  # type: ignore[func-returns-value]
    assert outdated(planned()) == {}
    assert asked == [1]


def test_a_picture_that_changed_makes_all_runs_of_its_data_missing(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(planned())
    Image.fromarray(noise(77)).save(parts / "bad" / "0000.png")
    plan = planned()
    assert outdated(plan) == {"pictures or labels": ["one", "other"]}
    assert plan.missing == []
    plan.forget(study_command._again(plan))
    assert "Will be run again because pictures or labels changed: one / other" in capsys.readouterr().out
    assert [run.title for run in plan.missing] == ["one", "other"]


def test_a_label_that_changed_does_too(parts: Path) -> None:
    (parts / "bad" / "0000.png").rename(parts / "good" / "0099.png")
    make(planned())
    (parts / "good" / "0099.png").rename(parts / "bad" / "0000.png")
    assert list(outdated(planned())) == ["pictures or labels"]


def test_so_does_another_file_of_weights_under_the_same_name() -> None:
    make(planned())
    Path("first.pt").write_bytes(b"others")
    assert outdated(planned()) == {"first weights": ["one", "other"]}


def test_so_do_folds_that_are_given_and_were_edited(parts: Path) -> None:
    given = ["data.table=parts.csv", "data.validation_strategy=column", "data.fold_column=batch", "fold=1"]
    given += ["data.share=0.5", "data.share_of=[train]"]
    make(planned(*given))
    assert outdated(planned(*given)) == {}
    content = pd.read_csv(parts / "parts.csv")
    content["batch"] = np.roll(content["batch"], 1)
    content.to_csv(parts / "parts.csv", index=False)
    assert outdated(planned(*given)) == {"folds": ["one, fold 1", "other, fold 1"]}


def test_data_that_cannot_be_read_leave_what_is_finished_finished(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(planned())
    parts.rename("unplugged")
    Path("first.pt").unlink()
    plan = planned()
    assert study_command._outdated(plan) == []
    assert capsys.readouterr().out.count("Cannot check whether finished runs") == 2  # once a thing, not a run


def test_of_too_many_pictures_it_is_not_known_which_look_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    data = inputs.read(planned().runs[0].config)
    assert data.lookalikes_known
    monkeypatch.setattr("partsight.data.lookalikes.MOST_PICTURES", 3)
    assert not inputs.DataSet(data.examples, data.inspected, data.config).lookalikes_known


def test_a_list_marks_what_is_of_other_data(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(planned())
    Image.fromarray(noise(77)).save(parts / "bad" / "0000.png")
    study_command._show_runs(planned())
    said = capsys.readouterr().out
    assert "\nold   one " in said
    assert "0 of 2 runs are done" in said
    assert planned().missing == []  # a list forgets nothing


def test_speeds_are_of_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "kind: time\nsettings: [usecase=custom, seed=1]\nvariants: {one: {}}\nbatch_sizes: [2]\nprotocols: {own: []}\n"
    )
    plan = planned(text=text)
    make(plan)
    Path("parts").rename("unplugged")
    assert study_command._outdated(plan) == []


def test_so_does_code_of_plugins_that_was_edited() -> None:
    Path("my_models.py").write_text("WIDTH = 8\n")
    make(planned("plugins=[my_models]"))
    assert outdated(planned("plugins=[my_models]")) == {}
    Path("my_models.py").write_text("WIDTH = 16\n")
    assert outdated(planned("plugins=[my_models]")) == {"code of plugins": ["one", "other"]}
