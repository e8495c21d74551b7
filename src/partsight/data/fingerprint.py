"""What the data is, regardless of where it is stored: a hash of the table and of every picture's content.

A copy of the data on another machine has the same fingerprint.
"""

import hashlib

import pandas as pd

from partsight.data.table import Examples


def fingerprint(examples: Examples, inspected: pd.DataFrame) -> str:
    """16 hex digits over (split, row, image, group, label) and the content of the pictures that the rows use.

    Args:
        examples: the rows.
        inspected: `inspection.inspect` of their pictures.
    """
    total = hashlib.blake2b(digest_size=8)
    hashes = dict(zip(inspected["image"], inspected["hash"], strict=True))
    for split, row, image, group, label in examples.frame.itertuples(index=False, name=None):
        total.update(repr((split, row, image, None if group is None else str(group), label, hashes[image])).encode())
    return total.hexdigest()
