"""A study as data: what is varied, how often it is repeated, and how the result is tabulated."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partsight.config import METRICS
from partsight.errors import Problems, did_you_mean
from partsight.study.yaml_reader import Reader

FIGURES = (*METRICS, "escape_rate", "overkill_rate")
NO_LIMIT = float("inf")
RANGES = dict.fromkeys(FIGURES, (0.0, 1.0)) | {"MCC": (-1.0, 1.0), "LogLoss": (0.0, NO_LIMIT)}
"""Lowest and highest value of each figure."""


@dataclass(frozen=True)
class Published:
    """A figure that somebody else reports."""

    value: float
    sd: float | None = None


@dataclass(frozen=True)
class Variant:
    """One line of the table."""

    settings: tuple[str, ...] = ()
    """Overrides, as on the command line of train."""
    protocols: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """More overrides by protocol, for what must differ between protocols, such as twice its batch size."""
    published: dict[str, Published] = field(default_factory=dict)
    """By figure."""


@dataclass(frozen=True)
class Study:
    """Many runs and their table."""

    name: str
    title: str
    about: str = ""
    """The question, for the table and the page."""
    kind: str = "train"
    """train: each run trains and is scored. time: each run is timed, on pictures of noise."""
    settings: tuple[str, ...] = ()
    """Overrides of every run."""
    variants: dict[str, Variant] = field(default_factory=dict)
    protocols: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The protocols it knows (conf/study/protocol), the first by default, each with what this study adds to it."""
    repeats: int = 1
    """Runs of each variant, each with its own seed."""
    folds: bool = False
    """One run per fold, drawn (data.folds) or given (column, file); their validation rows are put together."""
    batch_sizes: tuple[int, ...] = ()
    """One run per batch size; only for kind: time."""
    rows: str = "test"
    """What is tabulated: test (validation if a data set has no labelled test rows), or validation."""
    thresholds: tuple[float, ...] = ()
    """Probabilities of the positive class at which a run's predictions are decided again; none: as the run decided."""
    figures: tuple[str, ...] = ("Accuracy", "F1")
    """Columns of the table."""
    published_by: str = "published"
    """Heading of the published figures."""
    published_at: dict[float, dict[str, Published]] = field(default_factory=dict)
    """By threshold and figure."""


@dataclass(frozen=True)
class Protocol:
    """How big and how long: settings that every study can be run under."""

    name: str
    about: str
    settings: tuple[str, ...] = ()


def study_files(folders: Sequence[Path]) -> dict[str, Path]:
    """The studies of these config folders by name; a user's own win over partsight's."""
    return {path.stem: path for folder in folders for path in sorted((folder / "study").glob("*.yaml"))}


def read_study(name: str, folders: Sequence[Path]) -> Study:
    """A study by name, or by the path of its yaml.

    Raises:
        Problems: no such study, or everything that is wrong in its file.
    """
    files = study_files(folders)
    path = Path(name) if name.endswith((".yaml", ".yml")) else files.get(name)
    if path is None or not path.is_file():
        beside = sorted(path.parent.glob("*.yaml")) if path else []
        names = [*files, *(one.stem for one in beside)]
        # Names may be short: `tow` and `two` share two letters of three.
        hint = did_you_mean(path.stem if path else name, names, cutoff=0.6)
        there = ", ".join([*map(str, beside), *sorted(files)])
        raise Problems("There is no such study", [f"{name}{hint}; there are {there}"])
    reader = Reader(path)
    content = reader.content
    study = Study(
        name=path.stem,
        title=reader.text(content, "title", path.stem),
        about=reader.text(content, "about", ""),
        kind=reader.choice(content, "kind", ("train", "time")),
        settings=reader.texts(content, "settings"),
        variants={key: _variant(reader, key, value) for key, value in reader.mapping(content, "variants").items()},
        protocols={
            key: reader.texts({f"protocols.{key}": value}, f"protocols.{key}")
            for key, value in reader.mapping(content, "protocols").items()
        },
        repeats=reader.count(content, "repeats", 1),
        folds=reader.flag(content, "folds"),
        batch_sizes=tuple(int(n) for n in reader.numbers(content, "batch_sizes", at_least=1, whole=True)),
        rows=reader.choice(content, "rows", ("test", "validation")),
        thresholds=reader.numbers(content, "thresholds", at_least=0, at_most=1),
        figures=reader.texts(content, "figures") or Study.figures,
        published_by=reader.text(content, "published_by", Study.published_by),
        published_at={
            float(key): _published(reader, f"published_at.{key}", value)
            for key, value in reader.mapping(content, "published_at").items()
            if reader.is_number(f"published_at.{key}", key)
        },
    )
    reader.unknown(content, [f.name for f in dataclasses.fields(Study) if f.name != "name"], "")
    problems = [f"{path}: {text}" for text in [*reader.problems, *_contradictions(study, folders)]]
    if problems:
        raise Problems("The study cannot be read", problems)
    return study


def read_protocol(name: str, folders: Sequence[Path]) -> Protocol:
    """A protocol by name. Raises Problems with everything wrong in its file."""
    path = _protocol_files(folders)[name]
    reader = Reader(path)
    protocol = Protocol(name, reader.text(reader.content, "about", ""), reader.texts(reader.content, "settings"))
    reader.unknown(reader.content, ["about", "settings"], "")
    if reader.problems:
        raise Problems("The protocol cannot be read", [f"{path}: {text}" for text in reader.problems])
    return protocol


def _protocol_files(folders: Sequence[Path]) -> dict[str, Path]:
    return {p.stem: p for folder in folders for p in sorted((folder / "study" / "protocol").glob("*.yaml"))}


def _variant(reader: Reader, name: str, given: Any) -> Variant:
    if given is None:
        return Variant()
    if not isinstance(given, dict):
        reader.problems.append(f"variants.{name}: should be a mapping with settings, found {given!r}")
        return Variant()
    reader.unknown(given, [f.name for f in dataclasses.fields(Variant)], f"variants.{name}.")
    return Variant(
        settings=reader.texts(given, "settings", f"variants.{name}."),
        protocols={
            key: reader.texts({key: value}, key, f"variants.{name}.protocols.")
            for key, value in reader.mapping(given, "protocols", f"variants.{name}.").items()
        },
        published=_published(reader, f"variants.{name}.published", given.get("published")),
    )


def _published(reader: Reader, where: str, given: Any) -> dict[str, Published]:
    """{Accuracy: 0.99} or, with its standard deviation, {Accuracy: [0.99, 0.01]}."""
    found = {}
    for figure, value in (given or {}).items() if isinstance(given, dict | None) else [("", given)]:
        pair = value if isinstance(value, list) else [value]
        if not 1 <= len(pair) <= 2 or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in pair):
            reader.problems.append(f"{where}.{figure}: should be a number, or [mean, sd]; found {value!r}")
            continue
        low, high = RANGES.get(str(figure), (0.0, NO_LIMIT))  # what is not a figure is a time, or noted elsewhere
        mean, *sd = pair
        if not low <= mean <= high or any(not 0 <= n <= high for n in sd):
            reader.problems.append(f"{where}.{figure}: {_out_of_range(pair, low, high)}")
        found[str(figure)] = Published(*(float(n) for n in pair))
    return found


def _out_of_range(pair: list[float], low: float, high: float) -> str:
    """Which values would do; and the same as a share, where it seems to be in per cent."""
    within = f"from {low:g}" + (f" to {high:g}" if high < NO_LIMIT else "")
    spread = f", its sd from 0{f' to {high:g}' if high < NO_LIMIT else ''}" if pair[1:] else ""
    shares = ", ".join(f"{n / 100:g}" for n in pair)
    in_percent = high == 1 < pair[0] <= 100 and all(0 <= n <= 100 for n in pair)
    hint = f"; did you mean {f'[{shares}]' if pair[1:] else shares}?" if in_percent else ""
    return f"should be {within}{spread}; found {', '.join(f'{n:g}' for n in pair)}{hint}"


def _contradictions(study: Study, folders: Sequence[Path]) -> Iterator[str]:
    known = sorted(_protocol_files(folders))
    if not study.variants:
        yield "variants: name at least one"
    if not study.protocols:
        yield f"protocols: name at least one of {', '.join(known)}, for example protocols: {{cpu: []}}"
    for name in study.protocols:
        if name not in known:
            own = f"one of your own is FOLDER/study/protocol/{name}.yaml, found with --config-dir FOLDER"
            yield f"protocols.{name}: there is no such file in study/protocol{did_you_mean(name, known)}; {own}"
    for label, variant in study.variants.items():
        for name in variant.protocols:
            if name not in study.protocols:
                hint = did_you_mean(name, study.protocols)
                yield f"variants.{label}.protocols.{name}: is not among the protocols of the study{hint}"
    timed = study.kind == "time"
    if timed != bool(study.batch_sizes):
        yield "batch_sizes: belong to kind: time, which needs them"
    if timed and (study.folds or study.repeats > 1 or study.thresholds):
        yield "kind: time has no folds, repeats or thresholds"
    if study.folds and study.rows == "test":
        yield "folds: put validation rows together; set rows: validation"
    named = [("figures", study.figures)]
    named += [(f"variants.{label}.published", tuple(v.published)) for label, v in study.variants.items() if not timed]
    named += [(f"published_at.{threshold:g}", tuple(said)) for threshold, said in study.published_at.items()]
    for where, figures in named:
        for figure in figures:
            if figure not in FIGURES:
                yield f"{where}: {figure} is not a figure{did_you_mean(figure, FIGURES)}; use {', '.join(FIGURES)}"
    for label, variant in study.variants.items():
        if study.thresholds and variant.published:
            yield f"variants.{label}.published: at which of the thresholds? A study of one variant has published_at"
    if study.published_at and len(study.variants) > 1:
        yield "published_at: of which variant? Give each a study of its own, or leave it out"
    for threshold in study.published_at:
        if threshold not in study.thresholds:
            yield f"published_at.{threshold:g}: is not among the thresholds"
