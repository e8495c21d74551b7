"""Pictures that appear in several rows: a mistake, separate examples, or one example with several classes."""

import pandas as pd

from partsight.data.messages import counted, named_rows


def contradictions(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """Pictures whose rows have different labels. Rows without a label contradict nothing.

    Args:
        frame: split, row, image and the label columns.
        columns: the label columns.
    """
    labelled = frame.dropna(subset=columns)
    labelled = labelled[labelled.duplicated("image", keep=False)]
    differing = labelled.drop_duplicates(["image", *columns])
    differing = differing[differing.duplicated("image", keep=False)]
    pictures = list(dict.fromkeys(differing["image"]))
    if not pictures:
        return []
    first = differing[differing["image"] == pictures[0]].head(2)
    told = " and ".join(
        f"{_label(line, columns)} in {'' if line['split'] == 'train' else line['split'] + ' '}row {line['row']}"
        for _, line in first.iterrows()
    )
    others = labelled[labelled["image"].isin(pictures)]["row"]
    several = f"{len(pictures)} pictures have rows" if len(pictures) > 1 else "a picture has rows"
    return [
        f"{several} with different labels: {named_rows(others)}, first {pictures[0]!r}, {told}. Correct them, or say "
        "what they mean: data.several_rows=separate (each row is an example) or multi_hot (one example per picture, "
        "with all its classes)"
    ]


def repeated(frame: pd.DataFrame) -> str | None:
    """A note about pictures that appear in more than one row of a split; None if there are none."""
    again = frame[frame.duplicated(["split", "image"])]
    if again.empty:
        return None
    return (
        f"{counted(again['image'].nunique(), 'picture')} with more than one row; repeats in "
        f"{named_rows(again['row'])}, first {again['image'].iloc[0]!r}. Each row is an example, and rows of one "
        "picture may both train and validate"
    )


def merged(frame: pd.DataFrame, column: str, labelled: frozenset[str]) -> tuple[pd.DataFrame, list[str]]:
    """One row per picture, in order of first appearance: its first row, with the list of the classes of all its rows.

    An empty cell says that the picture is of none of the classes.

    Args:
        frame: split, row, image, group and the label column.
        column: the label column.
        labelled: splits whose table has the label column; rows of others get null.

    Returns:
        The rows, and problems: pictures with both an empty class cell and a class, or with two groups.
    """
    number = frame.groupby(["split", "image"], sort=False, dropna=False).ngroup()  # an empty name is told elsewhere
    first = frame[~frame.duplicated(["split", "image"])].copy()
    classes: list[list[str]] = [[] for _ in range(len(first))]
    for picture, label in zip(number, frame[column], strict=True):
        if not pd.isna(label) and label not in classes[picture]:
            classes[picture].append(label)
    first[column] = pd.Series(
        [sorted(names) if split in labelled else None for names, split in zip(classes, first["split"], strict=True)],
        index=first.index,
        dtype=object,
    )
    empty = frame[column].isna().groupby(number)
    groups = frame["group"].groupby(number).agg(lambda names: len(set(names.dropna())))
    problems = []
    for broken, what in (
        (empty.any() & ~empty.all(), "with an empty class cell in one row and a class in another"),
        (groups > 1, "with rows of different groups"),
    ):
        if broken.any():
            found = first[broken.to_numpy()]
            problems.append(
                f"{counted(len(found), 'picture')} {what}: {named_rows(found['row'])}, first {found['image'].iloc[0]!r}"
            )
    return first, problems


def _label(line: pd.Series, columns: list[str]) -> str:
    return repr(line[columns[0]]) if len(columns) == 1 else repr([name for name in columns if line[name] == "1"])
