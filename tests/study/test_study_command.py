"""What is typed after `partsight study`, before anything runs."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tiny import mlflow_runs

from partsight import RESULTS_VERSION, launchers
from partsight.config import conf_folder
from partsight.errors import PartsightError, Problems
from partsight.study import command, launch, writing
from partsight.study.definition import read_protocol, read_study
from partsight.study.plan import FINISHED, Plan, Run, plan
from partsight.sweep import isolation, parent

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


def test_a_study_given_by_its_path_has_the_configs_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"study/rates": STUDY.replace("cpu", "long").replace("casting", "mine")}
    files |= {"study/protocol/long": "settings: [training.epochs=7]\n"}
    files |= {"usecase/mine": "# @package _global_\nname: mine\ndata: {sample: casting}\n"}
    for name, text in files.items():
        (tmp_path / "my_conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my_conf" / f"{name}.yaml").write_text(text)
    assert command.main(["my_conf/study/rates.yaml", "--list"]) == 0
    assert "training.epochs=7" in capsys.readouterr().out
    plans: list[Plan] = []
    monkeypatch.setattr(command, "_conclude", plans.append)
    command.main(["my_conf/study/rates.yaml", "--table"])
    assert writing.command_line(plans[0]).endswith(" --config-dir=my_conf")
    shutil.copytree(conf_folder(), tmp_path / "copied")
    for place in (conf_folder(), tmp_path / "copied"):
        command.main([str(place / "study" / "kfold.yaml"), "usecase=casting", "--table"])
        assert "--config-dir" not in writing.command_line(plans[-1])


def test_a_broken_study_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "conf" / "study").mkdir(parents=True)
    for name, text in (("broken", "titel: Rates\nvariants: {one: {}}\nprotocols: {own: []}\n"), ("rates", STUDY)):
        (tmp_path / "conf" / "study" / f"{name}.yaml").write_text(text)
    assert command.main(["--config-dir=conf"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert {"broken", "casting_backbone", "kfold", "rates"} <= said.keys()
    assert "titel: there is no such key; did you mean title?" in said["broken"]


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
    with pytest.raises(Problems, match=r"pip install -e '\.\[ray\]'"):
        command.main(["rates.yaml", "hydra/launcher=ray"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["hydra.launcher.n_jobs=2"],
            r"hydra\.launcher\.n_jobs=2: runs of kind: time must not share a machine, or a process",
        ),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"], r"hydra/launcher=joblib: .* leave it out"),
        (["hydra/launcher=submitit_local"], r"hydra/launcher=submitit_local: .* leave it out"),
        (["hydra/launcher=basic"], r"hydra/launcher=basic: .* leave it out"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=-1"], r"hydra\.launcher\.n_jobs=-1: "),
    ],
)
def test_runs_that_measure_time_have_the_machine_for_themselves(tmp_path: Path, given: list[str], said: str) -> None:
    (tmp_path / "speed.yaml").write_text(TIME)
    with pytest.raises(PartsightError, match=said):
        command.main(["speed.yaml", *given])
    alone = ["speed.yaml", "--list", "hydra/launcher=isolated", "hydra.launcher.n_jobs=1"]
    assert command.main(alone) == 0


def test_timed_runs_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "speed.yaml").write_text(TIME)
    with pytest.raises(Problems, match=r"--repeats 3: runs of kind: time are not repeated; leave it out"):
        command.main(["speed.yaml", "--list", "--repeats", "3"])


@pytest.mark.parametrize(
    "setting",
    [
        *("hydra.sweep.dir=/scratch", "hydra.job.chdir=true", "hydra/sweeper=basic"),
        *("~hydra.callbacks.sweep=x", "hydra.launchers.n_jobs=2"),
    ],
)
def test_settings_of_hydra_that_would_take_the_jobs_elsewhere_are_refused(tmp_path: Path, setting: str) -> None:
    (tmp_path / "rates.yaml").write_text(STUDY)
    with pytest.raises(Problems, match=r"of Hydra's settings a study takes only .* the folder is --out FOLDER"):
        command.main(["rates.yaml", setting, "--list"])
    taken = ["hydra/launcher=basic", "hydra.launcher.n_jobs=2", "hydra/job_logging=none", "hydra.verbose=true"]
    assert command.main(["rates.yaml", "--list", *taken]) == 0


def test_a_folder_of_configs_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "rates.yaml").write_text(STUDY)
    with pytest.raises(PartsightError, match="--config-dir conf: there is no such folder"):
        command.main(["rates.yaml", "--list", "--config-dir", "conf"])


def finished(*given: str) -> Run:
    """The one run of rates.yaml under these settings, which came to its end."""
    conf = [conf_folder()]
    (run,) = plan(read_study("rates.yaml", conf), read_protocol("own", conf), given, conf).runs
    run.folder.mkdir(parents=True)
    (run.folder / FINISHED).write_text(f'{{"results_version": {RESULTS_VERSION}}}')
    return run


@pytest.mark.parametrize(
    ("given", "of_hydra", "said"),
    [
        (["training.optimizer=adamww"], [], "adamww"),
        ([], ["hydra.launcher.n_job=2"], r"hydra\.launcher\.n_job=2: Hydra refuses it: Key 'n_job' not in"),
        ([], ["+hydra.launcher.n_job=2"], "unexpected keyword argument 'n_job'"),
        ([], ["hydra.launcher.n_jobs=0"], r"Hydra refuses it: .*must be at least 1"),
        (["tracking.uri=http://127.0.0.1:9"], [], "MLflow store http://127.0.0.1:9 cannot be used"),
    ],
    ids=["a name", "a key", "an added key", "a value", "the store"],
)
def test_what_cannot_begin_costs_no_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], of_hydra: list[str], said: str
) -> None:
    monkeypatch.setattr(isolation, "start_server", lambda: None)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "rates.yaml").write_text(STUDY)
    run = finished(*given, "rerun=true")
    with pytest.raises(PartsightError, match=said):
        command.main(["rates.yaml", "protocol=own", *given, "rerun=true", *of_hydra])
    assert run.done


@pytest.mark.parametrize(
    ("of_hydra", "started"),
    [([], 1), (["hydra/launcher=basic", "hydra/launcher=isolated"], 1), (["hydra/launcher=basic"], 0)],
)
def test_only_the_launcher_that_forks_jobs_from_a_server_has_one_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_hydra: list[str], started: int
) -> None:
    starts: list[None] = []

    def refuse(plan: Plan) -> None:
        raise PartsightError("a name")

    monkeypatch.setattr(isolation, "start_server", lambda: starts.append(None))
    monkeypatch.setattr(launch, "check_names", refuse)
    (tmp_path / "rates.yaml").write_text(STUDY)
    with pytest.raises(PartsightError, match="a name"):
        command.main(["rates.yaml", "protocol=own", *of_hydra])
    assert len(starts) == started


def test_a_study_takes_a_use_case_that_is_also_swept_by_itself(tmp_path: Path) -> None:
    """Its hydra.sweeper.params are of that sweep, and no setting of the sweeper of a study's jobs."""
    (tmp_path / "usecase").mkdir()
    (tmp_path / "usecase" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\ndata: {sample: casting}\nhydra: {sweeper: {params: {fold: '0,1'}}}\n"
    )
    (tmp_path / "rates.yaml").write_text(STUDY.replace("usecase=casting", "usecase=mine"))
    folders = [conf_folder(), tmp_path]
    given = plan(read_study(str(tmp_path / "rates.yaml"), folders), read_protocol("own", folders), [], folders)
    launch.check_launcher(given, [], folders)


def test_a_store_that_is_away_at_the_end_does_not_cost_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*given: object) -> None:
        raise MlflowException("no route to host")

    def run_missing(plan: Plan, hydra: object) -> None:
        for call in ("log_artifact", "set_terminated"):
            monkeypatch.setattr(MlflowClient, call, away)

    monkeypatch.setattr(launch, "check_names", lambda plan: None)
    monkeypatch.setattr(launch, "exit_on_signals", lambda: None)
    monkeypatch.setattr(launch, "run_missing", run_missing)
    (tmp_path / "rates.yaml").write_text(STUDY)
    assert command.main(["rates.yaml", "protocol=own"]) == 1  # its one run has no result
    assert (tmp_path / "studies" / "rates" / "casting" / "own" / "table.md").is_file()
    assert "Could not write the parent run's result to MLflow (MlflowException: no route" in capsys.readouterr().out


@pytest.fixture
def finished_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The table of the study rates.yaml, which lacks no run."""
    monkeypatch.setattr(launch, "exit_on_signals", lambda: None)
    monkeypatch.setattr(command, "_outdated", lambda plan: [])
    monkeypatch.setattr(command, "_conclude", lambda plan: [plan.folder / "table.md"])
    (tmp_path / "rates.yaml").write_text(STUDY)
    return finished().folder.parents[1] / "table.md"


def test_mlflow_shows_the_table_of_a_study_that_lacks_no_run(tmp_path: Path, finished_table: Path) -> None:
    """Its file may have changed: the title, the figures, what was published."""
    shown = []
    for text, mode in (("old", []), ("new", []), ("of --table", ["--table"])):
        finished_table.write_text(text)
        assert command.main(["rates.yaml", "protocol=own", *mode]) == 0
        (run,) = mlflow_runs(tmp_path, "casting")
        assert run.info.status == "FINISHED"
        client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        shown.append(Path(client.download_artifacts(run.info.run_id, "table.md")).read_text())
    assert shown == ["old", "new", "new"]
    client.delete_run(run.info.run_id)
    assert command.main(["rates.yaml", "protocol=own"]) == 0
    found = parent.read(finished_table.parent / "runs")
    assert found
    assert client.get_run(found.run_id).info.lifecycle_stage == "active"
    assert [file.path for file in client.list_artifacts(found.run_id)] == ["table.md"]


def test_a_store_that_is_away_does_not_cost_the_table_of_a_study_that_lacks_no_run(
    finished_table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert command.main(["rates.yaml", "protocol=own", "tracking.uri=http://127.0.0.1:9"]) == 0
    assert "Could not write the parent run's result to MLflow (" in capsys.readouterr().out
