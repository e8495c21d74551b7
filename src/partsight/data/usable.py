"""The rows that a run can use."""

import pandas as pd

from partsight.config import Config
from partsight.data import bad_pictures, inspection, table
from partsight.data.table import Examples


def usable_examples(config: Config) -> tuple[Examples, pd.DataFrame]:
    """Reads the tables, looks at every picture, and refuses or leaves out (data.on_bad_image) unusable ones.

    Returns:
        the examples, and `inspection.inspect` of all pictures, those left out too.

    Raises:
        PartsightError: everything that is wrong with rows or pictures, together.
    """
    examples = table.read(config)
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    return bad_pictures.usable(examples, inspected, config), inspected
