"""The jobs of a multirun are known before the first starts, wherever their settings are written."""

import sys
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from partsight.config import conf_folder
from partsight.errors import PartsightError, Problems
from partsight.sweep import jobs

SMALL = ("usecase=casting", "backbone=test_resnet", "model.pretrained=false", "hydra.sweep.dir=sweep")


def multirun(*given: str, **params: str) -> DictConfig:
    """The config of a multirun, its hydra section included; params: of its sweeper, as a file has them."""
    with initialize_config_dir(config_dir=str(conf_folder()), version_base="1.3"):
        config = GlobalHydra.instance().config_loader().load_configuration("train", list(given), RunMode.MULTIRUN)
    if params:
        config.hydra.sweeper.params = params
    return config


def test_jobs_of_params_are_checked_before_the_first_starts() -> None:
    with pytest.raises(Problems, match=r"fold=9: .*\[job: fold=9 training.epochs=1 usecase=casting"):
        jobs.checked(multirun(*SMALL, **{"fold": "0,9", "training.epochs": "1"}))
    config = multirun(*SMALL, "training.epochs=3", fold="0,1", backbone="resnet18")
    assert [(job.fold, job.training.epochs, job.backbone) for job in jobs.checked(config).configs] == [
        (0, 3, "test_resnet"),
        (1, 3, "test_resnet"),
    ]


def test_overrides_that_refer_to_nothing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NONE", raising=False)
    with pytest.raises(Problems) as caught:
        jobs.checked(multirun(*SMALL, "fold=0,1", "backbone=${oc.env:NONE}", "name=${nam},x"))
    assert caught.value.problems == [
        "backbone=${oc.env:NONE}: Environment variable 'NONE' not found",
        "name=${nam},x: Interpolation key 'nam' not found",
    ]


def test_what_a_plugin_of_one_job_makes_known_is_unknown_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_of_one_job.py").write_text(
        "from timm.models import register_model, test_resnet\n"
        "@register_model\ndef net_of_one_job(**given): return test_resnet(**given)\n"
    )
    monkeypatch.setattr("sys.path", [*sys.path])
    small = [text for text in SMALL if "backbone" not in text]
    with pytest.raises(Problems, match=r"1\. backbone=net_of_one_job: timm has no such model \[job: .*plugins=\[\]\]"):
        jobs.checked(multirun(*small, "backbone=net_of_one_job", "plugins=[plugin_of_one_job],[]"))


def test_folders_are_named_by_number() -> None:
    with pytest.raises(
        PartsightError, match=r"hydra\.sweep\.subdir=\$\{hydra.job.override_dirname\}: a sweep finds its"
    ):
        jobs.checked(multirun(*SMALL, "fold=0,1", "hydra.sweep.subdir=${hydra.job.override_dirname}"))


def test_jobs_of_several_use_cases_lie_in_the_folder_of_their_sweep() -> None:
    """Hydra composes hydra.sweep.dir for each job, and it begins with the use case's name."""
    config = multirun("usecase=casting,steel", "hydra.sweep.dir='it\\'s ${name}'")
    jobs.in_one_folder(config)
    loader = ConfigLoaderImpl(create_config_search_path(str(conf_folder())))
    for usecase in ("casting", "steel"):
        job = loader.load_sweep_config(config, [f"usecase={usecase}"])
        assert (job.name, job.hydra.sweep.dir) == (usecase, "it's custom")


def test_only_jobs_that_are_drawn_are_not_listed() -> None:
    listed = jobs.checked(multirun("usecase=casting", "training.epochs=3", fold="0,1"))
    assert listed.jobs == [[f"fold={fold}", "usecase=casting", "training.epochs=3"] for fold in (0, 1)]
    assert jobs.checked(multirun(*SMALL, "training.epochs=1,2", "hydra/sweeper=search")).jobs is None


def test_jobs_stay_in_the_folder_of_the_command() -> None:
    """In a folder of its own each would look for data.root=parts there, and make an mlflow.db."""
    with pytest.raises(PartsightError, match=r"hydra\.job\.chdir=true: data.root, .* leave it out"):
        jobs.checked(multirun(*SMALL, "fold=0,1", "hydra.job.chdir=true"))
    assert jobs.checked(multirun(*SMALL, "fold=0,1", "hydra.job.chdir=false"))


@pytest.mark.parametrize("sweeper", ["basic", "search"])
def test_params_are_looked_at_as_a_command_line_is(sweeper: str) -> None:
    config = multirun(*SMALL, f"hydra/sweeper={sweeper}", **{"training.epoch": "1,2"})
    with initialize_config_dir(config_dir=str(conf_folder()), version_base="1.3"):  # a command's Hydra is at work
        running = GlobalHydra.instance().hydra
        with pytest.raises(Problems, match=r"training\.epoch: there is no such setting; did you mean training\.epochs"):
            jobs.checked(config)
        assert GlobalHydra.instance().hydra is running


@pytest.mark.parametrize("sweeper", ["basic", "search"])
def test_of_two_files_of_one_name_the_one_that_hydra_reads_is_checked(tmp_path: Path, sweeper: str) -> None:
    mine = "# @package _global_\nname: mine\ndata: {sample: casting}\n"
    for folder, content in {"first": mine, "second": f"{mine}epochs: 3\n"}.items():
        (tmp_path / folder / "usecase").mkdir(parents=True)
        (tmp_path / folder / "usecase" / "mine.yaml").write_text(content)
    places = f"hydra.searchpath=[{tmp_path / 'first'},{tmp_path / 'second'}]"
    small = [text for text in SMALL if "usecase" not in text]
    config = multirun("usecase=mine", places, f"hydra/sweeper={sweeper}", *small, **{"training.epochs": "1,2"})
    assert [job.training.epochs for job in jobs.checked(config).configs] == [1, 2]


def test_a_sweep_is_made_by_params_and_overrides() -> None:
    sweep = jobs.checked(multirun("usecase=casting", "training.epochs=range(1,3)", fold="0,1"))
    assert sweep.overrides == ["fold=0,1", "usecase=casting", "training.epochs=range(1,3)"]
    assert sweep.swept == ["fold", "training.epochs"]
    assert sweep.study is None


def test_a_setting_of_params_that_the_command_line_fixes_is_not_swept() -> None:
    assert jobs.checked(multirun("usecase=casting", "++fold=1", "repeat=0,1", fold="0,1")).swept == ["repeat"]


def test_the_best_trial_of_a_space_in_a_file_runs_in_a_sweep() -> None:
    space = {"training.learning_rate": "tag(log, interval(1e-4, 1e-2))", "training.epochs": "choice(1, 2)"}
    config = multirun(*SMALL, "training.learning_rate=0.002", "++training.epochs=2", "fold=0,1", **space)
    settings = [(job.training.learning_rate, job.training.epochs, job.fold) for job in jobs.checked(config).configs]
    assert settings == [(0.002, 2, 0), (0.002, 2, 1)]
    assert config.hydra.sweeper.params == {}  # from which Hydra's sweeper makes the jobs again
    with pytest.raises(Problems, match=r"interval\(1e-4, 1e-2\)\): values to draw from; add hydra/sweeper=search"):
        jobs.checked(multirun(*SMALL, "fold=0,1", **space))


def test_a_search_has_a_study() -> None:
    searching = [*SMALL, "hydra/sweeper=search", "training.epochs=1,2"]
    assert jobs.checked(multirun(*searching, "hydra.sweeper.study_name=rates")).study == "rates"
    assert jobs.checked(multirun(*searching)).study == "casting_sweep"


def test_rates_that_no_job_would_train_with_are_not_swept() -> None:
    rates, found = "training.learning_rate=1e-3,1e-2", "training.find_learning_rate=true"
    said = r"1\. training\.learning_rate: is swept, but training\.find_learning_rate=true finds a rate; .* \[job: "
    with pytest.raises(Problems, match=said):
        jobs.checked(multirun(*SMALL, rates, "training.find_learning_rate=false,true"))
    with pytest.raises(Problems, match=said):
        jobs.checked(multirun(*SMALL, found, **{"training.learning_rate": "1e-3,1e-2"}))
    assert jobs.checked(multirun(*SMALL, rates))
    assert jobs.checked(multirun(*SMALL, found, "training.learning_rate=1e-3", "fold=0,1"))
    fixed = {"training.learning_rate": "1e-3,1e-2"}  # which the command line overrides
    assert jobs.checked(multirun(*SMALL, found, "training.learning_rate=1e-3", "fold=0,1", **fixed))
