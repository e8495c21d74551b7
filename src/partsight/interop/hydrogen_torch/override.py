"""`hydrogen_torch=FILE` on a command line: turned into a use case before Hydra reads it."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs
from hydra._internal.utils import get_args_parser

from partsight import __version__, whole_file
from partsight.composing import search_path, values_of
from partsight.errors import PartsightError, Problems
from partsight.interop.hydrogen_torch import report, usecase
from partsight.interop.hydrogen_torch.convert import Import, imported
from partsight.interop.hydrogen_torch.translate import Status

KEY = "hydrogen_torch"


def translated(given: Sequence[str]) -> list[str]:
    """The command with `hydrogen_torch=FILE` replaced by `usecase=imported_NAME`, from a config folder in the cache.

    The file's settings are in that use case, so the command line overrides them. Several folds or seeds become a
    multirun, unless the command line names some or is a search. The folder is named after its content, so that a
    resumed run, a job of a sweep and a DDP child find it again. Differences are printed on stderr.

    Raises:
        PartsightError: the file cannot be imported, or the command contradicts itself.
    """
    args = get_args_parser().parse_intermixed_args(list(given))
    file = _file(args.overrides)
    found = imported(file, _root(args.overrides))
    option = f"imported_{usecase.option(found.name)}"
    folder = _kept(found, option)
    several = [] if args.cfg or args.info else _several(found, args.overrides)
    overrides, flags = _search(args, folder)
    flags += ["--multirun"] if several and not args.multirun else []
    in_its_place = [f"usecase={option}", *several, *overrides]
    place = given.index(_argument(args.overrides))
    print(_told(found, folder / "usecase" / f"{option}{report.SUFFIX}"), file=sys.stderr)
    return [*given[:place], *in_its_place, *given[place + 1 :], *flags]


def _argument(overrides: Sequence[str]) -> str:
    return next(text for text in overrides if text.lstrip("+").startswith(f"{KEY}="))


def _file(overrides: Sequence[str]) -> Path:
    files = values_of(KEY, overrides)
    path = Path(files[0].strip("'\"")).expanduser()
    problems = []
    if len(files) > 1:
        problems.append(f"{KEY}={files[1]}: one file per command")
    if "," in files[0] and not path.exists():
        problems.append(f"{KEY}={files[0]}: one file per command; for each of several, a command of its own")
    if values_of("usecase", overrides):
        problems.append(f"{KEY}={files[0]}: is itself a use case; leave usecase= out")
    if problems:
        raise Problems("The command cannot run", problems)
    return path


def _root(overrides: Sequence[str]) -> Path | None:
    given = values_of("data.root", overrides)
    return Path(given[-1].strip("'\"")).expanduser() if given else None


def _kept(found: Import, option: str) -> Path:
    """The config folder, written once; each file appears complete, because other processes may be reading."""
    content = usecase.files(found, option) | {f"usecase/{option}{report.SUFFIX}": report.as_csv(found.rows)}
    told = repr((sorted(content.items()), __version__))
    name = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    folder = platformdirs.user_cache_path("partsight") / "hydrogen_torch" / name
    try:
        for path, text in content.items():
            if not (folder / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                whole_file.write(folder / path, text)
    except OSError as error:
        raise PartsightError(f"{folder}: the imported use case cannot be written there: {error}") from None
    return folder


def _search(args: argparse.Namespace, folder: Path) -> tuple[list[str], list[str]]:
    """Overrides and flags by which Hydra finds the folder as well as a config folder of the user."""
    if args.config_dir is None:
        return [], ["--config-dir", str(folder)]
    if any(text.startswith("hydra.searchpath=") for text in args.overrides):
        raise PartsightError(f"{_argument(args.overrides)}: give --config-dir or hydra.searchpath with it, not both")
    return search_path([f"file://{folder}"]), []


def _several(found: Import, overrides: Sequence[str]) -> list[str]:
    """The folds or repeats that the file names, unless the command names some or searches, which uses one of each."""
    if values_of("hydra/sweeper", overrides)[-1:] == ["search"]:
        return []
    return [
        f"{key}={','.join(map(str, values))}" for key, values in found.sweep.items() if not values_of(key, overrides)
    ]


def _told(found: Import, kept: Path) -> str:
    """What the user should know before the run: counts, and every key that is not fully honoured."""
    rows = [row for row in found.rows if row.status in (Status.DIFFERENT, Status.NOT_APPLICABLE, Status.UNKNOWN)]
    return f"{found.source}: {report.counts(found.rows)}\n{report.text(rows)}\nEvery key: {kept}"
