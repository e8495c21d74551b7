"""`partsight study`: runs what a study lacks, and prints and keeps its table."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from partsight import command, console, home, launchers
from partsight.composing import key_of
from partsight.errors import PartsightError, Problems
from partsight.study import definition
from partsight.study import plan as planning
from partsight.study.plan import Plan, Run

DESCRIPTION = """\
Runs what a study still lacks and writes its table: csv, Markdown, and an html page with charts.

  partsight study                                                  lists the studies
  partsight study casting_backbone data.root=/data/casting_data    its first protocol, on your pictures
  partsight study casting_backbone protocol=paper --list           lists its runs and which are done
  partsight study kfold usecase=steel backbone=resnet18            settings for all runs, as for train

A finished run is repeated only with rerun=true, or if its data or weights have changed. Exit status 1: a run has no
result."""


def main(given: Sequence[str]) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="partsight study", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="a study of conf/study, or the path of a yaml")
    parser.add_argument("settings", nargs="*", metavar="SETTING", help="key=value; VARIANT:key=value; protocol=NAME")
    parser.add_argument("--list", action="store_true", help="show the runs and which are done; run nothing")
    parser.add_argument("--table", action="store_true", help="write the table of finished runs; run nothing")
    parser.add_argument("--repeats", type=int, metavar="N", help="runs of each variant (default: the study's)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="(default: studies/NAME/USECASE/PROTOCOL)")
    parser.add_argument("--config-dir", type=Path, metavar="FOLDER", help="your own configs, as for train")
    parsed, rest = parser.parse_known_intermixed_args(given)
    if unknown := [text for text in rest if "=" not in text or text.startswith("--")]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if parsed.config_dir is None and parsed.name:
        parsed.config_dir = _config_folder_of(Path(parsed.name))
    if parsed.config_dir and not parsed.config_dir.is_dir():
        raise PartsightError(f"--config-dir {parsed.config_dir}: there is no such folder")
    folders = command.config_folders(str(parsed.config_dir) if parsed.config_dir else None)
    if parsed.name is None:
        _show_studies(folders)
        return 0
    if parsed.repeats is not None and parsed.repeats < 1:
        raise PartsightError(f"--repeats {parsed.repeats}: must be at least 1")
    settings = [*parsed.settings, *rest]
    of_hydra = [text for text in settings if key_of(text).split(".")[0].split("/")[0] == "hydra"]
    if problems := [*_not_of_a_study(of_hydra), *_missing_launchers(of_hydra)]:
        raise Problems("The study cannot run", problems)
    study = definition.read_study(parsed.name, folders)
    if study.kind == "time" and (problem := _side_by_side(of_hydra)):
        raise PartsightError(problem)
    own = [text for text in settings if text not in of_hydra]
    name, own = planning.protocol_of(study, own)
    protocol = definition.read_protocol(name, folders)
    typed = ["partsight", "study", parsed.name, f"protocol={name}", *own, *_options(parsed)]
    runs = not (parsed.list or parsed.table)
    plan = planning.plan(study, protocol, own, folders, parsed.out, parsed.repeats, typed, paths=runs)
    if parsed.list:
        _show_runs(plan)
        return 0
    home.require()
    again = _again(plan) if runs else []
    if runs and (plan.missing or again):
        _run(plan, again, of_hydra, folders)
    else:
        paths = _conclude(plan)
        if runs:
            _renew(plan, paths)
    return 1 if plan.missing else 0


def _config_folder_of(file: Path) -> Path | None:
    """FOLDER for a study of one's own that is given as FOLDER/study/NAME.yaml: what it names may lie there too."""
    folder = file.parent.parent
    whole = (folder / "train.yaml").is_file()  # partsight's own, or a copy of it, whose files Hydra would not read
    return folder if file.is_file() and file.parent.name == "study" and not whole else None


def _not_of_a_study(of_hydra: Sequence[str]) -> list[str]:
    """Hydra settings that would move the jobs away from where the study looks for them, or have no effect."""
    return [
        f"{text}: of Hydra's settings a study takes only those of the launcher and of logging (hydra/launcher=NAME, "
        "hydra.launcher.n_jobs=2, hydra.verbose=true); the folder is --out FOLDER, your own configs --config-dir FOLDER"
        for text in of_hydra
        if not re.match(r"hydra([./](launcher|job_logging|hydra_logging)\b|\.verbose$)", key_of(text))
    ]


def _missing_launchers(of_hydra: Sequence[str]) -> list[str]:
    chosen = [text.partition("=")[2] for text in of_hydra if key_of(text) == "hydra/launcher"]
    return [problem for name in chosen if (problem := launchers.missing(name))]


def _launcher(of_hydra: Sequence[str]) -> str:
    """The last that is given, else that of conf/train.yaml."""
    chosen = [text.partition("=")[2] for text in of_hydra if key_of(text) == "hydra/launcher"]
    return chosen[-1] if chosen else "isolated"


def _side_by_side(of_hydra: Sequence[str]) -> str | None:
    """Why runs that measure time would not have machine and process for themselves."""
    given = {key_of(text): text.partition("=")[2] for text in of_hydra}
    why = "runs of kind: time must not share a machine, or a process; leave it out"
    jobs, launcher = given.get("hydra.launcher.n_jobs", "1"), _launcher(of_hydra)
    if jobs != "1":
        return f"hydra.launcher.n_jobs={jobs}: {why}"
    return None if launcher == "isolated" else f"hydra/launcher={launcher}: {why}"


def _again(plan: Plan) -> list[Run]:
    """Finished runs to repeat: with `rerun=true`, or because their data or first weights have changed."""
    return [*(run for run in plan.runs if run.config.rerun and run.done), *_outdated(plan)]


def _outdated(plan: Plan) -> list[Run]:
    """Finished runs whose data or first weights have changed; says which, and what cannot be read."""
    if plan.study.kind == "time" or len(plan.missing) == len(plan.runs):  # the next lines take a while to import
        return []
    from partsight.study import inputs

    found, problems = inputs.outdated(plan)
    for what, runs in found.items():
        console.say(f"Will be run again because {what} changed: {inputs.some([run.title for run in runs])}")
    for problem in problems:
        console.say(f"Cannot check whether finished runs used the current data and weights: {problem}")
    return [run for runs in found.values() for run in runs]


def _options(parsed: argparse.Namespace) -> list[str]:
    """The typed options that shape the table."""
    given = {"--repeats": parsed.repeats, "--out": parsed.out, "--config-dir": parsed.config_dir}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def _run(plan: Plan, again: Sequence[Run], hydra: Sequence[str], folders: Sequence[Path]) -> None:
    from partsight.study import launch
    from partsight.sweep import isolation, parent

    count = len({run.folder for run in (*plan.missing, *again)})
    console.say(f"{plan.study.name}: running {count} of {len(plan.runs)} runs in {plan.folder}")
    if _launcher(hydra) == "isolated":
        isolation.start_server()  # it imports while the variants are checked
    launch.check_names(plan)
    launch.check_launcher(plan, hydra, folders)
    with launch.parent_run(plan) as (client, run_id):
        plan.forget(again)  # only now: a study that cannot start must keep its finished runs
        launch.run_missing(plan, [*hydra, *(f"--config-dir={folder}" for folder in folders[1:])])
        paths = _conclude(plan)
        with parent.store_errors_reported(plan.folder):
            for path in paths:
                client.log_artifact(run_id, str(path))


def _renew(plan: Plan, paths: Sequence[Path]) -> None:
    """Puts the table of a study that lacks no run into MLflow: its file may have changed, or its parent run be gone."""
    from partsight.study import launch
    from partsight.sweep import parent

    reported = parent.store_errors_reported
    with reported(plan.folder), launch.parent_run(plan) as (client, run_id), reported(plan.folder):
        for path in paths:
            client.log_artifact(run_id, str(path))


def _conclude(plan: Plan) -> list[Path]:
    from partsight.study import results, writing

    result = writing.result(plan)
    try:
        paths = writing.write(plan, result)
    except OSError as error:
        reason = f"cannot be written: {error.strerror}; name another folder with --out"
        raise PartsightError(f"{plan.folder}: {reason}") from None
    for part in result.parts:
        console.table(part.table, f"{plan.study.title}: {part.heading}")
    for note in result.notes:
        console.say(f"- {note}")
    for run in plan.missing:
        console.say(f"No result: {run.title}: {results.status(run)}; {run.folder}")
    console.say(f"Everything is in {plan.folder}; open {plan.folder / 'study.html'}")
    return paths


def _show_studies(folders: Sequence[Path]) -> None:
    for name in sorted(definition.study_files(folders)):
        try:
            study = definition.read_study(name, folders)
        except Problems as wrong:  # the others can be run
            print(f"{name:22} {' '.join(str(wrong).split())}")
            continue
        count = len(study.variants) * study.repeats * max(1, len(study.batch_sizes))
        runs = f"{count} runs" if not study.folds else "one run per fold"
        print(f"{name:22} {study.title}: {runs}; protocol={'|'.join(study.protocols)}")


def _show_runs(plan: Plan) -> None:
    old = {run.folder for run in _again(plan)}
    for run in plan.runs:
        state = "old" if run.folder in old else "done" if run.done else "-"
        print(f"{state:5} {run.title:40} {' '.join(run.overrides)}")
    print(f"{len(plan.runs) - len(plan.missing) - len(old)} of {len(plan.runs)} runs are done, in {plan.folder}")
