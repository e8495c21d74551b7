"""What is typed after `partsight study`, before anything runs."""

from pathlib import Path

import pytest

from partsight import launchers
from partsight.errors import PartsightError, Problems
from partsight.study import command, writing
from partsight.study.plan import Plan

TIME = """
kind: time
settings: [usecase=casting, seed=1]
variants: {one: {}}
batch_sizes: [2]
protocols: {own: []}
"""
STUDY = """
settings: [usecase=casting, seed=1]
variants: {one: {}}
protocols: {cpu: [], own: []}
"""


def test_the_table_names_the_command_as_a_shell_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr(command, "_conclude", plans.append)
    (tmp_path / "my rates.yaml").write_text(STUDY)
    (tmp_path / "conf").mkdir()
    options = ["--repeats", "2", "--out", "my table", "--config-dir=conf", "--table", "hydra/launcher=basic"]
    command.main(["my rates.yaml", "data.label_columns=[a,b]", "protocol=own", *options])
    assert writing.command_line(plans[0]) == (
        "partsight study 'my rates.yaml' protocol=own 'data.label_columns=[a,b]' --repeats=2 '--out=my table' "
        "--config-dir=conf"
    )


@pytest.mark.parametrize("mode", ["--table", "--list"])
def test_what_has_run_is_shown_without_pictures_and_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    (tmp_path / "rates.yaml").write_text(STUDY)
    gone = ["rates.yaml", "protocol=own", "data.root=/mnt/unplugged", "model.weights=/mnt/unplugged/w.safetensors"]
    assert command.main([*gone, mode]) == (1 if mode == "--table" else 0)  # its one run has no result
    assert "there is no such" not in capsys.readouterr().out
    assert (tmp_path / "studies" / "rates" / "casting" / "own" / "table.md").is_file() == (mode == "--table")
    with pytest.raises(Problems, match=r"data\.root=/mnt/unplugged: there is no such folder"):
        command.main(gone)


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    (tmp_path / "rates.yaml").write_text(STUDY)
    with pytest.raises(Problems, match=r"pip install '\.\[ray\]'"):
        command.main(["rates.yaml", "hydra/launcher=ray"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["hydra.launcher.n_jobs=2"], r"hydra\.launcher\.n_jobs=2: runs of kind: time that share a machine"),
        (["hydra/launcher=joblib"], r"hydra/launcher=joblib: .* add hydra\.launcher\.n_jobs=1"),
        (["hydra/launcher=submitit_local"], r"hydra/launcher=submitit_local: .* leave the launcher out"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=-1"], r"hydra\.launcher\.n_jobs=-1: "),
    ],
)
def test_runs_that_measure_time_have_the_machine_for_themselves(tmp_path: Path, given: list[str], said: str) -> None:
    (tmp_path / "speed.yaml").write_text(TIME)
    with pytest.raises(PartsightError, match=said):
        command.main(["speed.yaml", *given])
    alone = ["speed.yaml", "--list", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    assert command.main(alone) == 0
