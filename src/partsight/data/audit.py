"""What a data set holds and what is wrong with it, as tables: no model, no drawing.

examples, audited, notes = audit_of(config)
audited.findings, audited.counts, audited.copies, ...
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.config import Config
from partsight.data import bad_pictures, division, findings, fold_checks, folds, inspection, leaks, table
from partsight.data.findings import Finding, Level
from partsight.data.leaks import Alike
from partsight.data.messages import label_text
from partsight.data.table import Examples
from partsight.errors import PartsightError

_DOUBTFUL = ("similar_classes", "unread_folders")
"""Notes on the rows that are findings: a class may be missing, or be two."""

_ONCE = ("holdout", "custom")
"""Strategies of one division: fold 0 validates, fold 1 trains."""


@dataclass(frozen=True)
class Audit:
    """The tables of `audit`. Empty tables keep their columns."""

    rows: pd.DataFrame
    """One row per example: `Examples.frame`, `part` (text: `fold 0`, ..., `train`, `validation`, `test`) and the
    columns of `inspection.inspect`."""
    counts: pd.DataFrame
    """class, rows, share (of all rows, %), and a column of rows for each split and fold."""
    sizes: pd.DataFrame
    """width, height (pixels), pictures; the commonest first."""
    formats: pd.DataFrame
    """suffix, channels, dtype, pictures, megabytes; the commonest first."""
    brightness: pd.DataFrame
    """class, pictures, and the mean brightness of a picture (0 to 1) at 5, 25, 50, 75 and 95 % of them."""
    copies: pd.DataFrame
    """One row per set of byte-identical pictures: pictures (list), parts (list), labels (list of texts, one per
    picture), across (they are in several parts), conflict (they are labelled differently)."""
    look_alikes: pd.DataFrame
    """One row per pair of pictures in different parts that show the same thing but are not copies, most similar first:
    image, part, label, other, other_part, other_label, similarity (1: the same)."""
    repeated: pd.DataFrame
    """One row per picture with several rows: image, rows, labels (text such as `1 + 3`), parts (list)."""
    broken: pd.DataFrame
    """split, row, image, problem: rows whose picture cannot be used."""
    suspicious: pd.DataFrame
    """image, warning: pictures that can be used but have a defect."""
    findings: tuple[Finding, ...]
    """Most severe first."""

    @property
    def level(self) -> Level | None:
        """The most severe level found; notes do not count."""
        return next((f.level for f in self.findings if f.level != "note"), None)


def audit_of(config: Config) -> tuple[Examples, Audit, list[str]]:
    """The rows that a run of `config` would read, the audit of them, and what is to be known of the table itself.

    Rows that cannot be divided as `config` says are a finding. Raises PartsightError if they cannot be read.
    """
    examples = table.read(config, audit=True)
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    same = leaks.alike(examples, inspected)
    broken = examples.frame["image"].isin(bad_pictures.reasons(inspected, config.image.channels)).to_numpy()
    row_parts, divided = _divided(examples, broken, same, config)
    doubtful = [Finding("look", key, text) for key, text in examples.notes.items() if key in _DOUBTFUL]
    skip, also = config.data.on_bad_image == "skip", [*divided, *doubtful]
    audited = audit(examples, inspected, same, row_parts, config.image.channels, skip, also)
    notes = [f"{key.replace('_', ' ')}: {text}" for key, text in examples.notes.items() if key not in _DOUBTFUL]
    return examples, audited, notes


def _divided(
    examples: Examples, broken: NDArray[np.bool_], same: Alike, config: Config
) -> tuple[list[str] | None, list[Finding]]:
    """The part of each row and what the division lacks or leaves; or None and why the rows cannot be divided."""
    # As in training: rows that it leaves out are in no fold, and the others are divided without them.
    kept = ~broken if config.data.on_bad_image == "skip" else np.ones(len(examples), dtype=np.bool_)
    used = replace(examples.subset(kept), skipped=examples.frame[~kept])
    fold = np.full(len(examples), -1, dtype=np.int64)
    try:
        fold[kept] = folds.assign(used, config.data, same.together[kept] if config.data.on_leak == "group" else None)
        fold_checks.refuse(used, fold[kept], config)
    except PartsightError as error:
        return None, [Finding("unusable", "division", str(error))]
    notices = fold_checks.notices(used, fold[kept], config)
    notices.pop("groups_torn", None)  # of this fold; the audit finds them across all parts itself
    found = [Finding("note", key, text) for key, text in notices.items()]
    found += findings.of_sides(_lacking(examples, np.where(broken, -1, fold), config))
    try:
        division.kept(used, same.of_rows(kept), fold[kept], config)
    except PartsightError as error:  # the rows are divided all the same, and can be shown so
        found.append(Finding("unusable", "refused", str(error)))
    return parts(examples, fold, config.data.validation_strategy), found


def _lacking(examples: Examples, fold: NDArray[np.int64], config: Config) -> dict[int, tuple[list[str], list[str]]]:
    """Of each fold that can validate, the classes without validation rows and those without training rows."""
    numbers = [0] if config.data.validation_strategy in _ONCE else np.unique(fold[fold >= 0]).tolist()
    return {
        number: (
            fold_checks.lacking(examples, fold == number),
            fold_checks.lacking(examples, (fold >= 0) & (fold != number)),
        )
        for number in numbers
    }


def audit(
    examples: Examples,
    inspected: pd.DataFrame,
    same: Alike,
    row_parts: Sequence[str] | None = None,
    channels: int = 3,
    skip_broken: bool = False,
    also: Sequence[Finding] = (),
) -> Audit:
    """All tables and findings of a data set.

    Args:
        examples: its rows.
        inspected: `inspection.inspect` of their pictures.
        same: `leaks.alike` of the same rows and pictures.
        row_parts: the part of each row, from `parts`. None: rows are not divided, and their splits are the parts.
        channels: image.channels, which pictures must fit.
        skip_broken: training leaves broken pictures out (data.on_bad_image=skip) instead of refusing them.
        also: what was found before; of equal severity, it comes first.
    """
    rows = examples.frame.merge(inspected, on="image", how="left", validate="many_to_one")
    rows = rows.assign(part=examples.frame["split"].tolist() if row_parts is None else row_parts)
    rows["problem"] = rows["image"].map(bad_pictures.reasons(inspected, channels))
    usable = rows[rows["problem"].isna()]
    once = usable.drop_duplicates("image")
    copies, repeated = _copies(usable), _repeated(usable)
    pairs = _look_alikes(usable, inspected, same.pairs)
    broken = rows.loc[rows["problem"].notna(), ["split", "row", "image", "problem"]].reset_index(drop=True)
    suspicious = once.loc[once["warning"].notna(), ["image", "warning"]].reset_index(drop=True)
    counts, trained = _counts(usable, examples.info.classes), usable.loc[usable["split"] == "train", "label"].explode()
    found = [
        *also,
        *findings.of_broken(broken, skip_broken),
        *findings.of_copies(copies),
        *findings.of_look_alikes(pairs, once),
        *findings.of_incomplete(same),
        *findings.of_groups(usable),
        *findings.of_repeated(repeated),
        *findings.of_suspicious(suspicious),
        *findings.of_classes(counts, _per_class(trained, examples.info.classes)),
        *findings.of_unlabelled(usable),
        *findings.of_sizes(once),
    ]
    return Audit(
        rows=rows,
        counts=counts,
        sizes=_tally(once, ["width", "height"]),
        formats=_formats(once),
        brightness=_brightness(usable),
        copies=copies,
        look_alikes=pairs,
        repeated=repeated,
        broken=broken,
        suspicious=suspicious,
        findings=tuple(sorted(found, key=lambda finding: findings.ORDER.index(finding.level))),
    )


def parts(examples: Examples, fold: NDArray[np.int64], strategy: str = "kfold") -> list[str]:
    """The part of each row: `fold 0`, ... if the strategy divides into folds, else the name of its split.

    Args:
        examples: the rows.
        fold: (rows,) from `folds.assign`.
        strategy: data.validation_strategy. Under holdout and custom, fold 0 validates and fold 1 trains.
    """
    two = {0: "validation", 1: "train"} if strategy in _ONCE else {}
    splits = examples.frame["split"].tolist()
    pairs = zip(splits, fold.tolist(), strict=True)
    return [two.get(number, f"fold {number}") if number >= 0 else split for split, number in pairs]


def _counts(rows: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    single = rows[["part", "split", "label"]].explode("label")
    named = pd.DataFrame({"class": list(classes)})
    table = named.assign(rows=_per_class(single["label"], classes))
    table = table.assign(share=(100 * table["rows"] / max(len(rows), 1)).round(1))
    names = [*dict.fromkeys(s for s in ("train", "validation", "test") if s in set(rows["split"]))]
    folds = sorted({part for part in rows["part"] if part.startswith("fold ")}, key=lambda part: int(part[5:]))
    for name in names if len(names) > 1 else []:
        table[name] = _per_class(single.loc[single["split"] == name, "label"], classes)
    for name in folds:
        table[name] = _per_class(single.loc[single["part"] == name, "label"], classes)
    return table


def _per_class(labels: pd.Series, classes: Sequence[str]) -> list[int]:
    found = labels.value_counts()
    return [int(found.get(name, 0)) for name in classes]


def _tally(pictures: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    tally = pictures.groupby(columns, sort=True).size().rename("pictures").reset_index()
    return tally.sort_values("pictures", ascending=False, kind="stable", ignore_index=True)


def _formats(pictures: pd.DataFrame) -> pd.DataFrame:
    suffix = pictures["image"].str.extract(r"(\.[^./]+)$", expand=False).fillna("").str.lower()
    grouped = pictures.assign(suffix=suffix).groupby(["suffix", "channels", "dtype"])["bytes"]
    table = pd.DataFrame({"pictures": grouped.size(), "megabytes": grouped.sum() / 1e6}).reset_index()
    return table.sort_values("pictures", ascending=False, kind="stable", ignore_index=True)


_POINTS = {"5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}


def _brightness(rows: pd.DataFrame) -> pd.DataFrame:
    single = rows[["image", "label", "brightness"]].explode("label").drop_duplicates(["image", "label"])
    grouped = single.groupby("label", sort=False)["brightness"]
    table = pd.DataFrame({"pictures": grouped.size(), **{n: grouped.quantile(q) for n, q in _POINTS.items()}})
    return table.reset_index(names="class").sort_values("class", ignore_index=True)


def _copies(rows: pd.DataFrame) -> pd.DataFrame:
    pictures = _labelled(rows)
    # Loops only over hashes that occur twice: among a million pictures there may be none.
    twice = pictures[pictures.duplicated("hash", keep=False)]
    found = []
    for _, same in twice.groupby("hash", sort=False):
        labels = same["label"].tolist()
        parts = sorted({part for several in same["parts"] for part in several})
        found.append((same["image"].tolist(), parts, labels, len(parts) > 1, len({x for x in labels if x}) > 1))
    return pd.DataFrame(found, columns=["pictures", "parts", "labels", "across", "conflict"])


def _look_alikes(rows: pd.DataFrame, inspected: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    pictures = _labelled(rows).set_index("image")
    near = pairs.sort_values("similarity", ascending=False, kind="stable")
    images, other = (inspected["image"].iloc[near[side].to_numpy(np.int64)].tolist() for side in ("first", "second"))
    here, there = pictures.reindex(images), pictures.reindex(other)
    table = pd.DataFrame(
        {
            "image": images,
            "part": here["parts"].map(" ".join, na_action="ignore").tolist(),
            "label": here["label"].tolist(),
            "other": other,
            "other_part": there["parts"].map(" ".join, na_action="ignore").tolist(),
            "other_label": there["label"].tolist(),
            "similarity": near["similarity"].to_numpy(np.float64),
        }
    ).dropna()
    return table[table["part"] != table["other_part"]].reset_index(drop=True)


def _repeated(rows: pd.DataFrame) -> pd.DataFrame:
    several = rows[rows.duplicated("image", keep=False)]
    pictures = _labelled(several)
    sizes = several.groupby("image", sort=False).size()
    table = pictures.assign(rows=sizes.reindex(pictures["image"]).to_numpy()).rename(columns={"label": "labels"})
    return table[["image", "rows", "labels", "parts"]]


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per picture: image, hash, label (text; from several rows `1 + 3`), parts (list)."""
    texts = rows[["image", "hash", "part"]].assign(label=[label_text(label, absent="") for label in rows["label"]])
    once = texts.drop_duplicates("image")
    again = texts[texts.duplicated("image", keep=False)].groupby("image", sort=False)
    labels = {image: " + ".join(sorted({one for one in same if one})) for image, same in again["label"]}
    parts = {image: sorted(set(same)) for image, same in again["part"]}
    return pd.DataFrame(
        {
            "image": once["image"],
            "hash": once["hash"],
            "label": [labels.get(image, label) for image, label in zip(once["image"], once["label"], strict=True)],
            "parts": [parts.get(image, [part]) for image, part in zip(once["image"], once["part"], strict=True)],
        }
    ).reset_index(drop=True)
