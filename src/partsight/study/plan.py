"""The runs of a study under a protocol: each with its own overrides, composed and checked before the first starts."""

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partsight import RESULTS_VERSION, check, composing, overrides
from partsight.composing import key_of
from partsight.config import Config, transforms_in_order
from partsight.errors import PartsightError, Problems, did_you_mean, once
from partsight.study import folds
from partsight.study.definition import Protocol, Study, Variant

LEFT_OUT = ("name", "tracking", "report", "resume", "rerun", "data.workers", "data.cache", "data.cache_limit")
"""Settings that do not make it another run, and so have no part in its folder's name."""
FINISHED = "finished.json"
"""In the folder of a finished run."""
ONE_VALUE = (
    "a study takes one value for each setting; for several, write variants into its file, or `folds: true` for folds; "
    "for seeds, give --repeats N (docs/studies.md)"
)


@dataclass(frozen=True)
class Run:
    """One run of a study."""

    variant: str
    fold: int
    repeat: int
    batch_size: int | None
    """Of a timed run; None for one that trains."""
    overrides: tuple[str, ...]
    """All of them; of several with the same key only the last."""
    config: Config
    folder: Path

    @property
    def title(self) -> str:
        """Its name in MLflow and in lists."""
        parts = [self.variant]
        parts += [f"batch {self.batch_size}"] if self.batch_size else []
        parts += [f"fold {self.fold}"] if self.fold else []
        parts += [f"repeat {self.repeat}"] if self.repeat else []
        return ", ".join(parts)

    @property
    def done(self) -> bool:
        """Whether it is finished, and would give the same result if it ran now."""
        return self.results_version == RESULTS_VERSION

    @property
    def results_version(self) -> int | None:
        """RESULTS_VERSION of the code that finished it; None if it is not finished."""
        try:
            told = json.loads((self.folder / FINISHED).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # not there, or cut off while it was written
            return None
        version: int | None = told.get("results_version")
        return version


@dataclass(frozen=True)
class Plan:
    """A study under a protocol, ready to run."""

    study: Study
    protocol: Protocol
    command: tuple[str, ...]
    """What repeats it."""
    folder: Path
    """The table's; the runs are in folder/runs."""
    runs: tuple[Run, ...]

    @property
    def missing(self) -> list[Run]:
        """Runs that are not done yet."""
        return [run for run in self.runs if not run.done]

    def forget(self, again: Sequence[Run]) -> None:
        """Marks these finished runs as missing."""
        for run in again:
            (run.folder / FINISHED).unlink(missing_ok=True)


def plan(
    study: Study,
    protocol: Protocol,
    given: Sequence[str],
    folders: Sequence[Path],
    out: Path | None = None,
    repeats: int | None = None,
    command: Sequence[str] = (),
    paths: bool = True,
) -> Plan:
    """All runs of a study, checked as far as that is possible without the heavy libraries.

    Args:
        study: what is asked.
        protocol: how big and how long; one that the study knows.
        given: settings for all runs, which win over the study's; `VARIANT:key=value` for one variant's.
        folders: of configs, the first is partsight's own.
        out: folder of the table. None: studies/<study>/<use case>/<protocol>.
        repeats: instead of the study's own number.
        command: what repeats it, for the table.
        paths: whether pictures and weights must exist; finished runs are listed and tabulated without them.

    Raises:
        Problems: every mistake of every variant, each once.
    """
    refused = _refused(study, protocol, given)
    own, common = _of_variants(study, [text for text in given if text not in refused])
    lines = {name: _line(study, protocol, variant, [*common, *own[name]]) for name, variant in study.variants.items()}
    problems = list(refused.values())
    if study.kind == "time" and repeats is not None and repeats > 1:
        problems.append(f"--repeats {repeats}: runs of kind: time are not repeated; leave it out")
    for line in lines.values():
        problems += [p for p in overrides.problems(line, folders, several=ONE_VALUE) if p not in problems]
    if problems:
        raise Problems("The study cannot run", problems)
    configs = {}
    found: list[tuple[str, str]] = []
    for name, line in lines.items():
        try:
            configs[name] = composing.config(line, folders)
        except Problems as error:
            found += [(problem, name) for problem in error.problems]
    for name, config in configs.items():
        found += [(fault, name) for fault in (*check.rules(config, paths), *_run_problems(study, config))]
    if problems := [*once(found, "variant"), *_of_unused_rates(configs)]:
        raise Problems("The study cannot run", problems)
    first = next(iter(configs.values()))
    folder = out or Path("studies") / study.name / first.name / protocol.name
    of = _folds(study, configs)
    wanted = repeats or study.repeats
    runs = [run for name in lines for run in _runs(study, name, lines[name], configs[name], folder, of[name], wanted)]
    shared = [one for one, count in Counter(run.folder for run in runs).items() if count > 1]
    if shared:
        same = ", ".join(dict.fromkeys(run.variant for run in runs if run.folder == shared[0]))
        raise Problems("The study cannot run", [f"variants {same}: the same settings, and names that make one folder"])
    return Plan(study, protocol, tuple(command), folder, tuple(runs))


def _line(study: Study, protocol: Protocol, variant: Variant, given: Sequence[str]) -> list[str]:
    """The overrides of a variant: of each key the last one, at the place of the first."""
    name = protocol.name
    layers = [study.settings, protocol.settings, study.protocols[name], variant.settings]
    layers += [variant.protocols.get(name, ()), tuple(given)]
    by_key: dict[str, str] = {}
    for text in (text for layer in layers for text in layer):
        by_key[key_of(text)] = text
    return list(by_key.values())


def _of_variants(study: Study, given: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Settings for one variant, `MobileNetV2:model.weights=FILE`, by variant, and those for all."""
    own: dict[str, list[str]] = {name: [] for name in study.variants}
    common = []
    for text in given:
        name = max((name for name in own if text.startswith(f"{name}:")), key=len, default=None)
        if name is None:
            common.append(text)
        else:
            own[name].append(text[len(name) + 1 :])
    return own, common


def _refused(study: Study, protocol: Protocol, given: Sequence[str]) -> dict[str, str]:
    """What cannot be given, and why: settings of a variant that is not there, and those that the study itself sets,
    within each variant or from one to the next."""
    own, common = _of_variants(study, given)
    within = {"repeat"}
    within |= {"fold"} if study.folds else set()
    within |= {"training.batch_size"} if study.batch_sizes else set()
    layers = [part for v in study.variants.values() for part in (v.settings, v.protocols.get(protocol.name, ()))]
    varied = within.union(key_of(text) for layer in layers for text in layer)
    set_here = {text: key_of(text) for text in common if key_of(text) in varied}
    for name, texts in own.items():
        set_here |= {f"{name}:{text}": key_of(text) for text in texts if key_of(text) in within}
    refused = {text: f"{text}: {key} is what the study varies" for text, key in set_here.items()}
    for text in common:
        name, colon, _ = key_of(text).rpartition(":")
        if colon:  # no key has one
            hint = did_you_mean(name, own)
            refused[text] = f"{text}: {study.name} has no variant {name}{hint}; it has {', '.join(own)}"
    return refused


def _run_problems(study: Study, config: Config) -> Iterator[str]:
    if config.seed < 0:
        yield "seed=-1: runs of a study must be repeatable from their settings; give a seed, e.g. seed=1"
    if study.thresholds and config.model.output == "softmax":
        yield "model.output=softmax: has no threshold, and the study has thresholds; use sigmoid"
    strategy = config.data.validation_strategy
    if study.folds and strategy in ("holdout", "custom"):
        yield (
            f"data.validation_strategy={strategy}: divides once; a study over folds needs one that draws folds (kfold, "
            "stratified, grouped, stratified_grouped) or is given them (column, file)"
        )


def _of_unused_rates(configs: Mapping[str, Config]) -> Iterator[str]:
    """Variants that only their rates tell apart, while each trains with the rate that it finds."""
    alike: dict[str, dict[str, float]] = {}
    for name, config in configs.items():
        if config.training.find_learning_rate:
            others = dataclasses.replace(config.training, learning_rate=1.0)
            rates = alike.setdefault(repr(dataclasses.replace(config, training=others)), {})
            rates[name] = config.training.learning_rate
    for rates in alike.values():
        if len(set(rates.values())) > 1:
            yield (
                f"variants {', '.join(rates)}: differ only in training.learning_rate, but "
                "training.find_learning_rate=true finds a rate; use one of them"
            )


def _folds(study: Study, configs: Mapping[str, Config]) -> dict[str, Sequence[int]]:
    """The folds of each variant.

    Raises:
        Problems: given divisions that cannot be read, of all variants.
    """
    if not study.folds:
        return {name: [config.fold] for name, config in configs.items()}
    found: dict[str, Sequence[int]] = {}
    problems: list[tuple[str, str]] = []
    for name, config in configs.items():
        try:
            found[name] = folds.of(config.data)
        except PartsightError as error:
            problems.append((str(error), name))
    if problems:
        raise Problems("The study cannot run", once(problems, "variant"))
    return found


def _runs(
    study: Study, variant: str, line: Sequence[str], config: Config, folder: Path, of: Sequence[int], repeats: int
) -> Iterator[Run]:
    for size in study.batch_sizes or [None]:
        for repeat in range(repeats):
            for fold in of:
                own = {"fold": fold, "repeat": repeat} | ({"training.batch_size": size} if size else {})
                kept = [text for text in line if key_of(text) not in own]
                training = dataclasses.replace(config.training, batch_size=size or config.training.batch_size)
                one = dataclasses.replace(config, fold=fold, repeat=repeat, training=training)
                given = (*kept, *(f"{key}={value}" for key, value in own.items()))
                yield Run(variant, fold, repeat, size, given, one, folder / "runs" / _key(variant, one, size))


def _key(variant: str, config: Config, size: int | None) -> str:
    """A folder's name that people can read, and that changes with the settings."""
    told = [re.sub(r"[^A-Za-z0-9]+", "-", variant).strip("-").lower()[:60], f"b{size}" if size else ""]
    told += [f"f{config.fold}", f"r{config.repeat}", digest(config)]
    return "_".join(part for part in told if part)


def digest(config: Config) -> str:
    """8 hex digits, a hash of the settings that make it this run, as written: nothing is looked up."""
    settings: dict[str, Any] = dataclasses.asdict(config)
    for key in LEFT_OUT:
        section = settings
        *path, last = key.split(".")
        for name in path:
            section = section[name]
        del section[last]
    settings["order"] = transforms_in_order(config)  # keys are sorted below
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=4).hexdigest()


def protocol_of(study: Study, given: Sequence[str]) -> tuple[str, list[str]]:
    """The protocol that settings choose, `protocol=cpu`, else the study's first; and the other settings.

    Raises:
        PartsightError: one that the study does not know.
    """
    chosen = [text.partition("=")[2] for text in given if text.startswith("protocol=")]
    name = chosen[-1] if chosen else next(iter(study.protocols))
    if name not in study.protocols:
        raise PartsightError(
            f"protocol={name}: {study.name} has no such protocol{did_you_mean(name, study.protocols)}; it has "
            f"{', '.join(study.protocols)}"
        )
    return name, [text for text in given if not text.startswith("protocol=")]
