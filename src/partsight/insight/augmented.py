"""What augmentation does to a picture."""

from matplotlib.figure import Figure

from partsight import seeds
from partsight.config import Config
from partsight.data import augmentation, pictures
from partsight.data.table import Examples
from partsight.errors import PartsightError
from partsight.insight.contact import Panels, panel_sheet, spread


def augmentation_sheet(examples: Examples, config: Config, number: int = 3, epochs: int = 5) -> Figure:
    """One line per picture: as it is stored, then as training sees it in each of `epochs` epochs.

    Args:
        examples: training rows from all over the table are shown.
        config: augmentation.train, image.channels, seed and repeat.
        number: of pictures.
        epochs: of each.
    """
    compose = augmentation.pipeline(config.augmentation.train)
    seed = seeds.run_seed(config) if config.seed >= 0 else 0  # of a seed still to be drawn nothing is known
    lines = []
    trained = examples.frame[examples.frame["split"] == "train"]
    for position in spread(len(trained), number):
        row = trained.iloc[position]
        try:
            stored = pictures.read(examples.folder / row["image"], config.image.channels)
        except PartsightError as error:
            lines.append(Panels(f"{row['label']}: {row['image']}", [(str(error), "as stored")]))
            continue
        keys = [(seed, epoch, int(row["row"])) for epoch in range(epochs)]
        seen = [(augmentation.apply(compose, stored, key), f"epoch {key[1]}") for key in keys]
        lines.append(Panels(f"{row['label']}: {row['image']}", [(stored, "as stored"), *seen]))
    return panel_sheet(lines, columns=epochs + 1)
