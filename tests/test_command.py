"""Both ways to start: what they answer, how fast, with which exit status, and what they leave alone."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import IMPORTS

from partsight import __version__, cli, command
from partsight.tracking import store

ROOT = Path(__file__).parents[1]
Train = Callable[..., subprocess.CompletedProcess[str]]

LIGHT = {
    "help": ["--help"],
    "settings": ["usecase=casting", "--cfg", "job"],
    "unknown setting": ["usecase=casting", "epochs=3"],
    "value out of range": ["usecase=casting", "training.epochs=-1"],
}
"""Commands that train nothing."""
LIMIT = 4
"""Times what importing Hydra costs: 0.6 s where that takes 0.15 s."""


def run(arguments: list[str], folder: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else [str(ROOT / "train.py")]
    return subprocess.run([sys.executable, *start, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", LIGHT.values(), ids=LIGHT)
def test_a_command_that_trains_nothing_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    done = run(arguments, tmp_path, IMPORTS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("name", LIGHT)
def test_a_command_that_trains_nothing_costs_little(name: str, tmp_path: Path) -> None:
    def seconds(arguments: list[str], code: str = "") -> float:  # of the processor, and side by side: machines differ
        before = os.times()
        run(arguments, tmp_path, code)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    measured: list[tuple[float, float]] = []
    for _ in range(3):  # the speed of a shared machine may halve for seconds: what costs too much does so always
        measured += [(seconds(LIGHT[name]), seconds([], "from hydra import compose")) for _ in range(5)]
        ours, hydra = (min(column) for column in zip(*measured, strict=True))
        if ours < LIMIT * hydra:
            break
    assert ours < LIMIT * hydra


def test_help_shows_examples_groups_and_settings(python_train: Train) -> None:
    done = python_train("--help")
    assert done.returncode == 0
    assert "python train.py usecase=casting backbone=efficientnet_b4" in done.stdout
    assert "usecase=casting|custom|product_defect|resistor|steel" in done.stdout
    assert "learning_rate" in done.stdout


def test_cfg_job_shows_the_settings_of_a_command(python_train: Train) -> None:
    done = python_train("usecase=steel", "training.epochs=7", "--cfg", "job")
    assert done.returncode == 0
    assert "name: steel" in done.stdout
    assert "epochs: 7" in done.stdout
    assert "_target_" not in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["usecase=steel", "--cfg", "job"], ["--hydra-help"]], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_is_no_error(arguments: list[str], unbuffered: str, tmp_path: Path) -> None:
    """`head -1` closes its end of the pipe early; what is printed fails at once, or when the process ends."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_hydras_own_help_is_shown(tmp_path: Path) -> None:
    assert "Hydra" in run(["--hydra-help"], tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (
            ["usecase=casting", "epochs=3"],
            "The command cannot run: 1 problem\n  1. epochs: there is no such setting; did you mean training.epochs?\n",
        ),
        (
            ["usecase=casting", "training.epochs=-1", "fold=5"],
            "The settings cannot run: 2 problems\n"
            "  1. training.epochs=-1: must be at least 0\n"
            "  2. fold=5: data.folds=5 has folds 0 to 4\n",
        ),
        (
            ["usecase=casting", "data.root=nowhere"],
            "The settings cannot run: 1 problem\n"
            "  1. data.root=nowhere: there is no such folder (leave data.root out to train on the made sample)\n",
        ),
        (
            ["usecase=casting", "backbone=resnet19", "training.optimizer=adamww"],
            "The settings cannot run: 2 problems\n"
            "  1. backbone=resnet19: timm has no such model; did you mean resnet18 or resnet61q or resnet51q?\n"
            "  2. training.optimizer=adamww: timm has no such optimizer; did you mean adamw?\n",
        ),
    ],
    ids=["command line", "rules", "missing data", "names"],
)
def test_mistakes_go_to_stderr_without_a_traceback_and_exit_with_2(
    arguments: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command.train(arguments)
    shown = capsys.readouterr()
    assert left.value.code == 2
    assert shown.err == answer
    assert shown.out == ""


def test_the_process_ends_with_that_status(python_train: Train) -> None:
    done = python_train("usecase=casting", "training.epochs=-1")
    assert done.returncode == 2
    assert done.stderr.startswith("The settings cannot run: 1 problem")
    assert "Traceback" not in done.stderr
    assert "HYDRA_FULL_ERROR" not in done.stderr


def test_missing_data_leave_no_sample_and_no_store(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        command.train(["usecase=casting", "data.root=nowhere", "data.sample_count=13"])
    assert not (tmp_path / "mlflow.db").exists()
    assert not list(Path(os.environ["XDG_CACHE_HOME"]).rglob("casting-13-*"))


def test_a_run_stays_in_the_folder_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a folder of its own it would look for data.root=parts there, and make an mlflow.db."""
    given = ["usecase=casting", "training.epochs=-1", "hydra.run.dir=run"]  # ends before it trains, in any case
    with pytest.raises(SystemExit) as left:
        command.train([*given, "hydra.job.chdir=true"])
    assert left.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("hydra.job.chdir=true: data.root, tracking.uri and other relative paths")
    assert "leave it out" in shown
    assert Path.cwd() == tmp_path
    with pytest.raises(SystemExit):
        command.train([*given, "hydra.job.chdir=false"])
    assert "hydra.job.chdir" not in capsys.readouterr().err


def test_a_broken_file_of_the_user_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine" / "usecase" / "parts.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\ntraining:\n  epoch: 3\n")
    with pytest.raises(SystemExit) as left:
        command.train(["--config-dir", "mine", "usecase=parts"])
    assert left.value.code == 2
    assert f"{file}: training.epoch: there is no such setting; did you mean training.epochs?" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["train"], ["data", "check"]])
def test_a_folder_of_configs_that_is_not_there_is_named(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*given, "usecase=parts", "--config-dir", "nowhere"])
    assert left.value.code == 2
    assert "--config-dir nowhere: there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["train"], ["data", "check"]])
@pytest.mark.parametrize(
    ("flag", "remedy"),
    [("-cp", "add yours to them with --config-dir mine"), ("-cn", "--config-dir FOLDER usecase=NAME")],
)
def test_no_other_files_take_the_place_of_partsights(
    given: list[str], flag: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*given, "usecase=casting", flag, "mine"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("--config-")
    assert remedy in said


def test_flags_may_stand_between_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[list[str]] = []
    monkeypatch.setattr(command, "launch", lambda given, _: launched.append(list(given)))
    command.train(["usecase=casting", "training.epochs=1", "-m", "fold=0,1"])
    command.train(["usecase=casting", "--cfg", "job", "fold=1"])
    command.train(["--multirun", "--", "usecase=casting", "fold=0,1"])
    command.train(["usecase=casting", "--info"])  # which may have a value, and must not take a setting for it
    assert launched == [
        ["usecase=casting", "training.epochs=1", "fold=0,1", "-m"],
        ["usecase=casting", "fold=1", "--cfg", "job"],
        ["usecase=casting", "fold=0,1", "--multirun"],
        ["usecase=casting", "--info"],
    ]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["-m", "--cfg", "hydra"], "--multirun and --cfg do not go together: leave --multirun (-m) out, and give each"),
        (["--info", "-m"], "--multirun and --info do not go together: leave --multirun (-m) out, and give each"),
        (["--run", "--cfg=job"], "--run and --cfg do not go together: give one of them"),
    ],
)
def test_flags_that_do_not_go_together_are_named(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command.train(["usecase=casting", "fold=0,1", *flags])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(said)


def test_the_command_line_of_the_process_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prog", "typed"])
    with pytest.raises(SystemExit):
        command.train(["usecase=casting", "training.epochs=-1"])
    assert sys.argv == ["prog", "typed"]


def test_partsight_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"partsight {__version__}\n"


def test_partsight_train_is_train_py(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["train", "--help"])
    assert "python train.py usecase=casting" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        cli.main(["train", "usecase=castin"])
    assert left.value.code == 2
    assert "did you mean casting?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["train", "usecase=casting"], ["data", "check", "."], ["study", "casting_backbone"], ["export", "a.ckpt"], ["ui"]],
)
def test_a_user_without_a_home_folder_is_asked_for_one(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("HOME is not set, and user ")


@pytest.mark.parametrize(
    ("more", "taken", "setting"), [([], "runs", "hydra.run.dir"), (["-m", "fold=0,1"], "sweeps", "hydra.sweep.dir")]
)
def test_a_folder_that_cannot_be_made_is_told_in_one_line(
    more: list[str], taken: str, setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / taken).touch()
    with pytest.raises(SystemExit) as left:
        command.train([*more, "usecase=casting", "model.pretrained=false", "hydra/launcher=basic"])
    assert left.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{tmp_path / taken / 'casting'}/")
    assert said.endswith(f": cannot be written: Not a directory. Start in another folder, or set {setting}")


def test_ui_serves_the_store_of_this_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called: list[list[str]] = []
    (tmp_path / "mlflow.db").touch()
    monkeypatch.setattr(subprocess, "call", lambda command: called.append(command) or 0)
    with pytest.raises(SystemExit) as left:
        cli.main(["ui", "--host", "0.0.0.0", "--port", "5055"])
    assert left.value.code == 0
    store = f"sqlite:///{tmp_path}/mlflow.db"
    options = ["--backend-store-uri", store, "--host", "0.0.0.0", "--port", "5055"]
    assert called[0][1:] == ["-m", "mlflow", "ui", *options]


def test_ui_makes_no_store(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["ui"])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(f"There is no MLflow store at {tmp_path}/mlflow.db: ")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """MLflow itself ends with status 0."""
    (tmp_path / "mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 99999):
            with pytest.raises(SystemExit) as left:
                cli.main(["ui", "--port", str(port)])
            assert left.value.code == 2
            said = capsys.readouterr()
            assert said.err.startswith(f"--host 127.0.0.1 --port {port}: ")
            assert not said.out


def test_ctrl_c_ends_a_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "uri", stopped)
    with pytest.raises(SystemExit) as left:
        cli.main(["ui"])
    assert left.value.code == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_the_pages_of_a_server_are_the_servers_own(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["ui", "--uri", "http://127.0.0.1:5055"])
    assert "open http://127.0.0.1:5055" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["trian"], "invalid choice: 'trian'"),
        ([], "the following arguments are required: COMMAND"),
        (["predict", "a.ckpt", "folder", "--out", "scores.txt"], "--out scores.txt: must end in .csv or .parquet"),
        (
            ["predict", "a.ckpt", "folder", "--batch-size", "0"],
            "argument --batch-size: must be a whole number from 1, not 0",
        ),
        (["predict", "a.ckpt", "folder", "--workers", "x"], "argument --workers: must be a whole number from 0, not x"),
    ],
)
def test_partsight_refuses_what_it_cannot_do(
    arguments: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert answer in capsys.readouterr().err
