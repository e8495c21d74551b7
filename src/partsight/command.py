"""`train`: from the command line to a checked config to a run."""

import argparse
import io
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from partsight import check, composing, config, failure, home, importing, output, overrides
from partsight.errors import PartsightError, Problems, Pruned
from partsight.sweep import callback

USAGE = """\
partsight trains an image classifier for visual inspection.

  python train.py usecase=casting backbone=efficientnet_b4
  python train.py usecase=casting data.root=/data/casting training.epochs=10
  python train.py -m usecase=casting fold=0,1,2,3,4     a run for each value, one table
  python train.py hydrogen_torch=exported.yaml data.root=/data/casting    a Hydrogen Torch yaml, unchanged
  python train.py usecase=casting --cfg job             the settings of a command, without running it
  python train.py --hydra-help                          what Hydra itself offers
"""


@output.ends_with_reader()
def train(arguments: Sequence[str] | None = None) -> None:
    """Runs a command line (default: the process's); mistakes are shown all together, and exit with status 2."""
    output.prepare()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if {"--help", "-h"} & set(given):
        print(help_text())
        return
    try:
        given = _with_use_case(given)
        args = _parsed(given)
        _refuse_several_modes(args)
        flags = [text for text in given if text != "--" and text not in args.overrides]
        given = [*args.overrides, *flags]  # Hydra wants settings together, and --info would swallow one behind it
        shows = args.cfg is not None or args.info is not None or args.hydra_help
        if not (args.hydra_help or args.shell_completion):
            folders = _refuse_mistakes(args.config_dir, args.overrides, args.multirun)
            if not args.multirun and not shows and (found := overrides.unresolved(args.overrides, folders)):
                raise Problems("The command cannot run", found)
        if not shows:
            home.require()
    except PartsightError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if shows:
        _show(given)
    else:
        launch(given, train_one)


def launch(given: Sequence[str], task: Callable[[DictConfig], float]) -> None:
    """Hydra's run or multirun of a checked command line; `task` is what a job does."""
    main = hydra.main(config_path=str(config.conf_folder()), config_name="train", version_base="1.3")(task)
    typed, sys.argv = sys.argv, [sys.argv[0], *given]  # Hydra reads sys.argv
    try:
        main()
    except KeyboardInterrupt:  # what runs has said how to go on
        print("Stopped.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except SystemExit as left:
        if not _by_signal(left):  # an error, which Hydra has shown, or a job's exit that ends its launcher
            callback.conclude_lost()
        raise
    except Exception:  # with HYDRA_FULL_ERROR=1
        callback.conclude_lost()
        raise
    finally:
        sys.argv = typed


def _show(given: Sequence[str]) -> None:
    """What Hydra tells of a command line; by way of a text, because at a closed pipe it would print a traceback."""
    shown = io.StringIO()
    try:
        with redirect_stdout(shown):
            launch(given, train_one)
    finally:  # Hydra may leave by sys.exit
        print(shown.getvalue(), end="")


def settings(arguments: Sequence[str]) -> config.Config:
    """The checked settings of a command line of `train`, without a run and without Hydra's output folder.

    Raises:
        PartsightError: every mistake, together; or a sweep; or there is no home folder.
    """
    home.require()
    # --cfg says that nothing runs: folds that a Hydrogen Torch yaml names do not become a sweep.
    args = _parsed(_with_use_case([*arguments, "--cfg=job"]))
    if args.multirun:
        raise PartsightError("One command at a time: leave --multirun (-m) out")
    folders = _refuse_mistakes(args.config_dir, args.overrides)
    settings = composing.config(args.overrides, folders)
    if problems := check.rules(settings):
        raise Problems("The settings cannot run", problems)
    return settings


def help_text() -> str:
    """Usage, the groups with their options, and conf/train.yaml itself: every setting, its default and its reason.

    Hydra's own --help composes a config first and shows it without the reasons, in twice the time.
    """
    folder = config.conf_folder()
    groups = "\n".join(
        f"  {group.name}={'|'.join(sorted(option.stem for option in group.glob('*.yaml')))}"
        for group in sorted(folder.iterdir())
        if group.is_dir() and group.name != "study"  # it has its own command
    )
    settings = (folder / "train.yaml").read_text(encoding="utf-8").partition("\nhydra:")[0]
    return f"{USAGE}\nGroups, each option a file in conf/:\n{groups}\n\n{settings}"


def _parsed(given: Sequence[str]) -> argparse.Namespace:
    """A command line as Hydra reads it.

    Raises:
        PartsightError: it names files to be read in the place of partsight's own.
    """
    args = get_args_parser().parse_intermixed_args(given)
    if args.config_path is not None:
        raise PartsightError(
            f"--config-path {args.config_path}: would replace partsight's own files; add yours to them with "
            f"--config-dir {args.config_path}"
        )
    if args.config_name is not None:
        raise PartsightError(
            f"--config-name {args.config_name}: every run begins with partsight's train.yaml; put your settings into "
            "FOLDER/usecase/NAME.yaml: --config-dir FOLDER usecase=NAME"
        )
    return args


def _refuse_several_modes(args: argparse.Namespace) -> None:
    """Raises PartsightError for flags that Hydra refuses together, with a traceback."""
    modes = {"--run": args.run, "--multirun": args.multirun, "--cfg": args.cfg, "--info": args.info}
    modes["--shell-completion"] = args.shell_completion
    named = [flag for flag, given in modes.items() if given]
    if len(named) > 1:
        single = "leave --multirun (-m) out, and give each setting one value"
        remedy = single if args.multirun and not args.run else "give one of them"
        raise PartsightError(f"{' and '.join(named)} do not go together: {remedy}")


def _with_use_case(given: list[str]) -> list[str]:
    """The command as it is, or with a Hydrogen Torch yaml as its use case."""
    if not composing.values_of("hydrogen_torch", given):
        return given
    from partsight.interop.hydrogen_torch import override

    return override.translated(given)


def _refuse_mistakes(own: str | None, given: Sequence[str], multirun: bool = False) -> list[Path]:
    """As `config_folders`, if the overrides and the files they choose are in order."""
    folders = config_folders(own, given)
    if problems := overrides.problems(given, folders, multirun):
        raise Problems("The command cannot run", problems)
    return folders


def config_folders(own: str | None, given: Sequence[str] = ()) -> list[Path]:
    """The folders of configs, in the order in which Hydra looks into them: partsight's, then the user's own.

    Args:
        own: --config-dir.
        given: overrides; the folders of a `hydra.searchpath=` among them are the user's own too.

    Raises:
        PartsightError: there is no such folder.
    """
    if own and not Path(own).is_dir():
        raise PartsightError(f"--config-dir {own}: there is no such folder")
    named = [Path(own).resolve()] if own else []
    return [config.conf_folder(), *named, *composing.searched_folders(given)]


def train_one(composed: DictConfig) -> float:
    """One job: returns the validation metric of the resulting checkpoint, for sweepers to optimise.

    A job of a sweep that fails returns nan, so that the others run; the sweep's table and parent run report it.
    """
    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    if in_sweep:  # a job may be started again, under any launcher; processes that DDP adds are not jobs
        failure.forget(Path(hydra.runtime.output_dir))
    try:
        check.refuse_chdir(hydra)
        settings = composing.to_config(composed)
        if problems := check.rules(settings):
            raise Problems("The settings cannot run", problems)
        with importing.for_good():  # torch and Lightning are imported only for settings that are right
            from partsight import experiment

        return experiment.run(settings)
    except Pruned as reason:
        print(f"Ended early by the search: {reason}")
    except SystemExit as left:  # of a user's code, for instance; some launchers would end with it
        if not in_sweep or _by_signal(left) or left.code == -1:  # submitit requeues a job and leaves with it
            raise
        print(f"The job exited with status {left.code}", file=sys.stderr)
        failure.record(Path(hydra.runtime.output_dir), f"exited with status {left.code}")
    except PartsightError as error:
        print(error, file=sys.stderr)
        if not in_sweep:
            sys.exit(2)
        failure.record(Path(hydra.runtime.output_dir), str(error))
    except Exception as error:
        if not in_sweep:
            raise
        traceback.print_exc()
        failure.record(Path(hydra.runtime.output_dir), f"{type(error).__name__}: {error}")
    return float("nan")


def _by_signal(left: SystemExit) -> bool:
    """Whether a signal's handler raised it: ours, with 128 and the signal's number, or submitit's, with 144."""
    return isinstance(left.code, int) and 128 < left.code <= 128 + signal.NSIG
