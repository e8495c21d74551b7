"""Settings made into something that can run: machine, rows, folds and first weights."""

import dataclasses
from dataclasses import dataclass

import pandas as pd

from partsight import check, machine, seeds
from partsight.config import Config
from partsight.data import division
from partsight.data.datamodule import FoldData
from partsight.data.division import Division
from partsight.data.table import Examples
from partsight.data.usable import usable_examples
from partsight.errors import Problems
from partsight.fit import fitting
from partsight.machine import Machine
from partsight.model import batch_size, weights
from partsight.model.weights import Weights


@dataclass(frozen=True)
class Resolved:
    """What a run is made of."""

    config: Config
    """With the seed drawn, and a batch size that fits this machine."""
    computer: Machine
    examples: Examples
    inspected: pd.DataFrame
    """`inspection.inspect` of all pictures."""
    divided: Division
    start: Weights

    def fold_data(self) -> FoldData:
        """The loaders of the run's fold; its pictures are prepared now."""
        return FoldData(self.examples, self.divided.fold, self.config, self.inspected)


def resolve(config: Config) -> Resolved:
    """Checks what only libraries and data can tell, and sets this process up for the machine.

    Raises:
        PartsightError: anything wrong with settings or data that the user can fix.
    """
    if problems := check.with_libraries(config):
        raise Problems("The settings cannot run", problems)
    config = dataclasses.replace(config, seed=seeds.base_seed(config.seed))
    computer = machine.resolve(config.trainer)
    if problems := fitting.problems(config, computer):
        raise Problems("The settings cannot run", problems)
    machine.prepare(computer)
    examples, inspected = usable_examples(config)
    divided = division.divide(examples, inspected, config)
    config = batch_size.adjusted(config, computer, examples.info)
    return Resolved(config, computer, examples, inspected, divided, weights.find(config))
