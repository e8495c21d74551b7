"""The rows that a run can use."""

import dataclasses

import pandas as pd

from partsight.config import Config
from partsight.data import bad_pictures, inspection, row_checks, table
from partsight.data.table import Examples
from partsight.errors import Problems


def usable_examples(config: Config) -> tuple[Examples, pd.DataFrame]:
    """Reads the tables, looks at every picture, and refuses or leaves out (data.on_bad_image) unusable ones.

    Returns:
        the examples, and `inspection.inspect` of all pictures, those left out too.

    Raises:
        PartsightError: everything that is wrong with rows or pictures, together.
    """
    examples = table.read(config)
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    return without_bad(examples, inspected, config), inspected


def without_bad(examples: Examples, inspected: pd.DataFrame, config: Config) -> Examples:
    """The examples whose pictures can be used; `skipped` and `notes` list what was left out and what is doubtful.

    Args:
        examples: all rows.
        inspected: `inspection.inspect` of their pictures.
        config: on_bad_image, channels.

    Raises:
        Problems: under on_bad_image=error, all pictures that cannot be used; else classes that have none left.
    """
    frame, notes = examples.frame, dict(examples.notes)
    warned = inspected[inspected["warning"].notna()]
    doubtful = dict(zip(warned["image"], warned["warning"], strict=True))
    if doubtful:
        notes["picture_warnings"] = "; ".join(bad_pictures.grouped(frame, doubtful))
    bad = bad_pictures.reasons(inspected, config.image.channels)
    if bad and config.data.on_bad_image == "error":
        raise Problems(str(examples.folder), bad_pictures.messages(frame, bad))
    kept = examples
    if bad:
        keep = ~frame["image"].isin(list(bad)).to_numpy(dtype=bool)
        skipped = frame.loc[~keep, ["split", "row", "image"]].reset_index(drop=True)
        skipped["reason"] = skipped["image"].map(bad)
        kept = dataclasses.replace(examples.subset(keep), skipped=skipped)
        first = ", ".join(skipped["image"].head(8))
        notes["skipped_pictures"] = f"{len(skipped)} of {len(kept) + len(skipped)} rows are left out, first {first}"
        gone = [name for name, count in zip(kept.info.classes, kept.info.counts, strict=True) if count == 0]
        if gone:
            trained = frame[frame["split"] == "train"]
            lost = trained[trained["label"].explode().isin(gone).groupby(level=0).any()]
            text = f"no picture of class {', '.join(map(repr, gone))} can be used; repair some, or leave the class out"
            images = lost.set_index("row")["image"]
            absent = row_checks.find_pictures(images, examples.folder).absent
            why = row_checks.absent_problem(images, absent, examples.folder)
            why += bad_pictures.messages(lost.drop(lost.index[absent]), bad, "repair or replace some")
            raise Problems(str(examples.folder), [text, *why])
        if config.data.unlabeled_table and not (kept.frame["split"] == "unlabeled").any():
            text = f"data.unlabeled_table={config.data.unlabeled_table}: none of its pictures can be used; leave it out"
            raise Problems(str(examples.folder), [text])
    return dataclasses.replace(kept, notes=notes)
