"""Look-alikes on both sides of a split: a model can remember the one instead of understanding the other."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.data import lookalikes
from partsight.data.messages import counted, label_text
from partsight.data.table import Examples

COLUMNS = ["kind", "similarity", "split", "row", "image", "label", "train_row", "train_image", "train_label"]

KINDS = ("same picture", "same bytes", "look-alike")
"""Rows that name the same file, files with the same content, pictures that are alike: the most certain first."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Alike:
    """Which rows show the same thing."""

    picture: Numbers
    """(rows,) number of each row's picture."""
    content: Numbers
    """(rows,) number of each row's content: the number of the first picture with these bytes."""
    pairs: pd.DataFrame
    """Contents that are alike: first, second, similarity; of very many, those that `lookalikes.search` keeps."""
    complete: bool
    """Whether pictures were few enough to search for more than copies."""
    every_pair: bool = True
    """Whether pairs were few enough to keep them all."""

    @property
    def known(self) -> bool:
        """Whether every look-alike is in `pairs`, so that leaks can be ruled out."""
        return self.complete and self.every_pair

    def of_rows(self, keep: NDArray[np.bool_]) -> "Alike":
        """The same of the rows where `keep`, (rows,), is true."""
        return replace(self, picture=self.picture[keep], content=self.content[keep])

    @property
    def together(self) -> Numbers:
        """(rows,) numbers of groups of rows that are alike, directly or through others."""
        pairs = self.pairs
        last = max(int(self.content.max()), int(pairs["second"].max()) if len(pairs) else 0)  # maybe of unused pictures
        return lookalikes.groups(pairs["first"].to_numpy(), pairs["second"].to_numpy(), last + 1)[self.content]


def alike(examples: Examples, inspected: pd.DataFrame) -> Alike:
    """Compares all pictures of the rows; `inspected` is `inspection.inspect` of them."""
    key = inspected["hash"].where(inspected["hash"] != "", inspected["image"])  # files that cannot be read
    content = pd.Series(np.arange(len(inspected))).groupby(key.to_numpy()).transform("first").to_numpy()
    speaks = (content == np.arange(len(inspected))) & (inspected["signature"].str.len() > 0).to_numpy()
    first_of = np.flatnonzero(speaks)
    complete = len(first_of) <= lookalikes.MOST_PICTURES
    found = lookalikes.search(inspected["signature"].iloc[first_of].tolist() if complete else [])
    near = found.pairs.assign(**{end: first_of[found.pairs[end].to_numpy()] for end in ("first", "second")})
    picture = pd.Index(inspected["image"]).get_indexer(examples.frame["image"]).astype(np.int64)
    return Alike(picture, content[picture].astype(np.int64), near, complete, found.every_pair)


def find(examples: Examples, same: Alike, fold: Numbers, number: int) -> pd.DataFrame:
    """Rows that validate in fold `number`, or test, and look like a training row; the nearest one is named.

    Columns: `COLUMNS`; validation before test, then the most certain first.
    """
    test = (examples.frame["split"] == "test").to_numpy()
    trains, seen = np.flatnonzero((fold >= 0) & (fold != number)), np.flatnonzero((fold == number) | test)
    by_picture, by_content = _first_row(same.picture[trains], trains), _first_row(same.content[trains], trains)
    turned = same.pairs.rename(columns={"first": "second", "second": "first"})
    near = pd.concat([same.pairs, turned]).sort_values("similarity", ascending=False, kind="stable")
    near = near[near["second"].isin(by_content.index)].drop_duplicates("first").set_index("first")
    found = pd.DataFrame({"at": seen, "test": test[seen]})
    picture, content = same.picture[seen], same.content[seen]
    steps = (
        by_picture.reindex(picture),
        by_content.reindex(content),
        by_content.reindex(near["second"].reindex(content)),
    )
    kind = np.select([step.notna().to_numpy() for step in steps], range(len(KINDS)), default=len(KINDS))
    train = np.select([kind == k for k in range(len(KINDS))], [step.to_numpy() for step in steps], default=-1)
    alike_by = near["similarity"].reindex(content).to_numpy(dtype=np.float64)
    found = found.assign(kind=kind, train=train.astype(np.int64), similarity=np.where(kind < 2, 1.0, alike_by))
    found = found[found["kind"] < len(KINDS)].sort_values(
        ["test", "kind", "similarity", "at"], ascending=[True, True, False, True]
    )
    here, there = examples.frame.iloc[found["at"]], examples.frame.iloc[found["train"]]
    return pd.DataFrame(
        {
            "kind": [KINDS[k] for k in found["kind"]],
            "similarity": found["similarity"].to_numpy().round(4),
            "split": np.where(found["test"], "test", "validation"),
            **{name: here[name].to_numpy() for name in ("row", "image", "label")},
            **{f"train_{name}": there[name].to_numpy() for name in ("row", "image", "label")},
        },
        columns=COLUMNS,
    )


def of_test_rows(examples: Examples, same: Alike) -> pd.DataFrame:
    """Each test row that has a look-alike among all other rows, whichever fold they are in; columns as in `find`."""
    test = (examples.frame["split"] == "test").to_numpy()
    return find(examples, same, np.where(test, -1, 0).astype(np.int64), -1)


def _first_row(keys: Numbers, rows: Numbers) -> "pd.Series[int]":
    return pd.Series(rows, index=keys)[~pd.Index(keys).duplicated()]


def tags(leaks: pd.DataFrame) -> dict[str, str]:
    """Tags of a run: rows that leak, validation and test."""
    return {f"leaks_{split}": str(int((leaks["split"] == split).sum())) for split in ("validation", "test")}


def summary(leaks: pd.DataFrame) -> str:
    """What was found, in a sentence."""
    said = []
    for split, found in leaks.groupby("split", sort=False):
        kinds = ", ".join(f"{count} {kind}" for kind in KINDS if (count := int((found["kind"] == kind).sum())))
        said.append(f"{counted(len(found), f'{split} row')} ({kinds})")
    return " and ".join(said) + " with a look-alike among the training rows"


def named(leaks: pd.DataFrame, number: int = 8) -> list[str]:
    """The first leaks as lines `validation row 3 a.png (good) = training row 9 b.png (good): same bytes`."""
    lines = [
        f"{leak['split']} row {leak['row']} {leak['image']} ({label_text(leak['label'])}) = "
        f"training row {leak['train_row']} {leak['train_image']} ({label_text(leak['train_label'])}): "
        f"{leak['kind']}, {leak['similarity']:.3f}"
        for leak in leaks.head(number).to_dict("records")
    ]
    return lines + ([f"... and {len(leaks) - number} more"] if len(leaks) > number else [])


def conflicts(examples: Examples, same: Alike) -> list[str]:
    """Files with the same content whose rows have different labels: `a.png (good) = b.png (bad)`."""
    frame = pd.DataFrame({"content": same.content, "image": examples.frame["image"]})
    frame["label"] = [None if label is None else label_text(label) for label in examples.frame["label"]]
    frame = frame.dropna().drop_duplicates(["image", "label"])
    frame = frame[frame["content"].duplicated(keep=False)]
    return [
        " = ".join(f"{image} ({label})" for image, label in zip(one["image"], one["label"], strict=True))
        for _, one in frame.groupby("content", sort=False)
        if len(set(one["image"])) > 1 and len(set(one["label"])) > 1
    ]
