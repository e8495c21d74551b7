"""The jobs of a multirun, known and checked before the first starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from partsight import check, composing
from partsight import overrides as command_line
from partsight.config import Config
from partsight.errors import PartsightError, Problems, once

_BY_NUMBER = "${hydra.job.num}"


@dataclass(frozen=True)
class Sweep:
    """A multirun, its jobs checked."""

    configs: Sequence[Config]
    """Of every job; of some if a sweeper chooses its jobs as it goes."""
    overrides: Sequence[str]
    """What defines the jobs: hydra.sweeper.params, then the overrides of the command line, which win."""
    swept: Sequence[str]
    """Keys whose values differ between the jobs."""
    jobs: Sequence[Sequence[str]] | None = None
    """Overrides of each job, by its number; None for a sweeper that chooses its jobs as it goes."""
    study: str | None = None
    """The study in Optuna's storage that a search resumes or begins."""


def checked(config: DictConfig) -> Sweep:
    """Checks every job that Hydra's basic sweeper will launch.

    Another sweeper chooses its jobs as it goes; each is then checked again when it starts. For our search, jobs that
    cover each choice and both ends of each range are checked here; for any other sweeper, only the settings it starts
    from. What hydra.sweeper.params would sweep, but the command line sets, is taken out of `config`.

    Raises:
        Problems: of all jobs together, each problem once, with the first job that has it.
        PartsightError: the study of a search cannot be resumed, folders are not named by job number, or jobs would
            change into them.
    """
    subdir = OmegaConf.to_container(config.hydra.sweep)["subdir"]  # type: ignore[call-overload, index]
    if subdir != _BY_NUMBER:
        raise PartsightError(
            f"hydra.sweep.subdir={subdir}: a sweep finds its jobs by their numbers; leave it out (sweep.csv and the "
            "names of the runs say what sets a job apart)"
        )
    check.refuse_chdir(config.hydra)
    if problems := _unresolved(config):
        raise Problems("The sweep cannot run", problems)
    _leave_out_what_is_set(config)
    folders = [Path(source.path) for source in config.hydra.runtime.config_sources if source.schema == "file"]
    jobs = _job_overrides(config, folders)
    settings = _all_composed(jobs, folders)
    # Those with plugins last: what a plugin has made known stays known in this process, but not in another job's.
    faults = [
        (fault, " ".join(job))
        for job, one in sorted(zip(jobs, settings, strict=True), key=lambda pair: len(pair[1].plugins))
        for fault in (*_unused_rates(config, one), *(check.rules(one) or check.with_libraries(one)))
    ]
    if faults:
        raise Problems("The sweep cannot run", once(faults, "job"))
    study = None
    if _searches(config):
        from partsight.sweep.search import search

        study = search.open_study(config, settings)
    listed = jobs if is_a(config.hydra.sweeper, "BasicSweeper") else None
    return Sweep(settings, _given(config), _swept(config), listed, study)


def in_one_folder(config: DictConfig) -> None:
    """Makes the folder of the sweep an override that all its jobs inherit.

    Hydra composes it anew for each job: `sweeps/${name}/...` would be several folders where jobs differ in `usecase`
    or `name`, and neither the parent run nor the table would find them.
    """
    with read_write(config):
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={composing.quoted(config.hydra.sweep.dir)}")


def _leave_out_what_is_set(config: DictConfig) -> None:
    """The command line wins over hydra.sweeper.params, also where Hydra's own sweeper would not get so far.

    It stops at the intervals of a search's space, which the best trial's command with `-m fold=0,1` still has.
    """
    named = {composing.key_of(text) for text in config.hydra.overrides.task}
    left = {
        key: value
        for key, value in (config.hydra.sweeper.get("params") or {}).items()
        if composing.key_of(key) not in named or not _sweeps(composing.parsed(f"{key}={value}"))
    }
    if "params" in config.hydra.sweeper:
        with read_write(config):
            config.hydra.sweeper.params = left


def _sweeps(override: Override | None) -> bool:
    return override is not None and override.is_sweep_override()


def is_a(plugin: DictConfig, name: str) -> bool:
    """Whether hydra.sweeper or hydra.launcher is the class of this name."""
    return str(plugin._target_).rpartition(".")[2] == name


def _given(config: DictConfig) -> list[str]:
    params = config.hydra.sweeper.get("params") or {}
    return [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]


def _swept(config: DictConfig) -> list[str]:
    last = {override.key_or_group: override for override in _parsed(config)}
    others = [] if _is_own(config) else list(config.hydra.sweeper.get("params") or {})
    return [key for key, override in last.items() if override.is_sweep_override()] + [key.lstrip("+") for key in others]


def _parsed(config: DictConfig) -> list[Override]:
    """What is given, in order; without another sweeper's params, which may have another form."""
    lines = _given(config) if _is_own(config) else list(config.hydra.overrides.task)
    return OverridesParser.create().parse_overrides(lines)


def _is_own(config: DictConfig) -> bool:
    return _searches(config) or is_a(config.hydra.sweeper, "BasicSweeper")


def _searches(config: DictConfig) -> bool:
    return is_a(config.hydra.sweeper, "SearchSweeper")


def _job_overrides(config: DictConfig, folders: Sequence[Path]) -> list[list[str]]:
    if _searches(config):
        from partsight.sweep.search import search  # only a search needs Optuna

        return search.jobs(config, folders)
    if is_a(config.hydra.sweeper, "BasicSweeper"):
        given = _given(config)
        in_params = config.hydra.sweeper.get("params")  # the command line itself has been checked
        if in_params and (problems := command_line.problems(given, folders, multirun=True)):
            raise Problems("The sweep cannot run", problems)
        parsed = OverridesParser.create().parse_overrides(given)
        if drawn := [f"{o.input_line}: values to draw from; add hydra/sweeper=search" for o in parsed if _drawn(o)]:
            raise Problems("The sweep cannot run", drawn)
        return BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]
    parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    return [[o.input_line or "" for o in parsed if not o.is_sweep_override()]]


def _drawn(override: Override) -> bool:
    return override.is_sweep_override() and not override.is_discrete_sweep()


def _unresolved(config: DictConfig) -> list[str]:
    """Overrides whose interpolations cannot be resolved."""
    task, found = config.hydra.overrides.task, []
    for number in range(len(task)):
        try:
            task[number]
        except OmegaConfBaseException as error:
            written = task._get_node(number)._value()
            found.append(f"{written}: {composing.why_unresolved(error)}")
    return found


def _unused_rates(config: DictConfig, job: Config) -> list[str]:
    """The table would show the swept rates beside figures that nothing was trained with."""
    rates = [override for override in _parsed(config) if override.key_or_group == "training.learning_rate"]
    if not job.training.find_learning_rate or not rates or not rates[-1].is_sweep_override():
        return []
    return ["training.learning_rate: is swept, but training.find_learning_rate=true finds a rate; use one of them"]


def _all_composed(jobs: list[list[str]], folders: Sequence[Path]) -> list[Config]:
    settings: list[Config] = []
    faults: list[tuple[str, str]] = []
    for job in jobs:
        try:
            settings.append(composing.config(job, folders))
        except Problems as error:
            faults += [(problem, " ".join(job)) for problem in error.problems]
    if faults:
        raise Problems("The sweep cannot run", once(faults, "job"))
    return settings
