"""`partsight data check`: the audit of a data set, in the terminal, as a page, and as an exit status for CI."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from partsight import command, console, whole_file
from partsight.composing import quoted, values_of
from partsight.config import Config
from partsight.errors import PartsightError

DESCRIPTION = """\
Looks at a whole data set, every picture decoded once, and writes what it found as one html page.

  partsight data check /data/parts                                 a folder tree, one folder a class
  partsight data check usecase=casting data.root=/data/casting     settings as `partsight train` takes them
  partsight data check /data/parts data.table=labels.csv           both

Exit status: 0 nothing that spoils a score; 1 usable, but look at the page first (identical or similar pictures across
splits or folds, identical pictures with different labels, pictures that end early, are nearly black at 16 bits or are
left out, rows of one picture or of one group that are divided, a class that has no validation rows, or none in some
fold, or all in one, class names that differ only in blanks, case or .0, class folders without pictures);
2 training would refuse it (a class that no training row has, for instance), or the command is wrong."""

EXIT = {None: 0, "look": 1, "unusable": 2}


def main(given: Sequence[str]) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="partsight data check", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="+", metavar="FOLDER_OR_SETTING", help="a folder, or settings such as usecase=")
    parser.add_argument("--out", type=Path, default=Path("data_check.html"), help="the page (default: %(default)s)")
    parser.add_argument("--config-dir", type=Path, metavar="FOLDER", help="your own configs, as for train")
    parsed, rest = parser.parse_known_intermixed_args(given)
    own = [f"--config-dir={parsed.config_dir}"] if parsed.config_dir else []
    config = command.settings([*_as_settings(parsed.what), *rest, *own])
    whole_file.try_writing(parsed.out)
    title = f"Data check: {config.name}"
    from partsight.data import sources
    from partsight.insight import audit_page

    where = str(sources.root(config.data))
    try:
        page, status = _audited(config, title, where)
    except PartsightError as error:
        console.say(str(error))
        page, status = audit_page.refused_page(str(error), title, where), EXIT["unusable"]
    try:
        whole_file.write(parsed.out, page)
    except OSError as error:
        raise PartsightError(f"--out {parsed.out}: cannot be written: {error.strerror or error}") from None
    console.say(f"The whole audit with its pictures: {parsed.out}")
    return status


def _as_settings(what: Sequence[str]) -> list[str]:
    """A folder as data.root, of the use case custom unless one is named; settings unchanged."""
    settings: list[str] = []
    folders: list[str] = []
    for text in what:
        there = os.path.isdir(text)  # noqa: PTH112 - Path raises of a text that is too long for a name
        if "=" in text and not there:
            settings.append(text)
            continue
        if not there:
            raise PartsightError(f"{text}: there is no such folder; settings are of the form key=value")
        folders.append(text)
    named = [*folders, *(f"data.root={value}" for value in values_of("data.root", settings))]
    if folders and len(named) > 1:  # as settings, only the last would count
        raise PartsightError(f"{' and '.join(named)}: one data set at a time; name one folder")
    settings += [f"data.root={quoted(str(Path(text).resolve()))}" for text in folders]
    if not values_of("usecase", settings) and not values_of("hydrogen_torch", settings):
        settings.insert(0, "usecase=custom")
    return settings


def _audited(config: Config, title: str, where: str) -> tuple[str, int]:
    from partsight.data.audit import audit_of
    from partsight.insight import audit_page

    examples, audited, notes = audit_of(config)
    counts = audited.counts.assign(share=audited.counts["share"].map("{:.1f} %".format))
    console.table(counts, f"{config.name}: rows")
    for finding in audited.findings:
        console.say(f"{_MARKS[finding.level]} {finding.text}")
    for note in notes:
        console.say(f"{_MARKS['note']} {note}")
    console.say(audit_page.verdict_text(audited))
    subtitle = f"{where} · {config.data.validation_strategy}"
    return audit_page.audit_page(audited, examples.folder, title, subtitle, notes), EXIT[audited.level]


_MARKS = {"unusable": "x", "look": "!", "note": "-"}
