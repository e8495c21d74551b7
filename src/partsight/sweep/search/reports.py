"""A training reports each evaluation to its trial, and ends early if the trial is hopeless."""

from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning import Callback, LightningModule, Trainer

from partsight import console, ranks
from partsight.config import Config
from partsight.errors import Pruned
from partsight.fit.curves import Curves
from partsight.fit.validation_schedule import ordinal
from partsight.sweep.search import trial

if TYPE_CHECKING:
    from optuna.trial import Trial


def callbacks(folder: Path, config: Config) -> list[Callback]:
    """The callbacks that report a training to its trial, in every process of the job; none outside a search."""
    found = trial.of_run(folder)
    if found is None:
        return []
    return [Reports(found if ranks.is_first_process() else None, folder, config)]


class Reports(Callback):
    """Reports prediction.metric of each evaluation, and ends the training when the study's pruner says so.

    A resumed training reports those before the stop too, even if there are no others: its trial is a new one.

    Args:
        announced: the trial, for the first process, the only one that reports; None for the others, which get its
        verdict.
        folder: of the run.
        config: of the run.

    Raises:
        Pruned: in every process of the job. Never after the last batch: a complete training is kept.
    """

    def __init__(self, announced: trial.TrialInfo | None, folder: Path, config: Config) -> None:
        self._announced, self._folder = announced, folder
        self._metric, self._every = config.prediction.metric, config.training.evaluation_epochs
        self._trial: Trial | None = None
        self._cut_off = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluations count from 1; the one before training does not count."""
        if trainer.state.fn != "fit":
            return
        batches, seen = int(trainer.num_training_batches), trainer.fit_loop.total_batch_idx + 1
        step, value = ordinal(seen, batches, self._every), float(trainer.callback_metrics[self._metric])
        complete = seen >= batches * (trainer.max_epochs or 0)
        hopeless = self._lags(trainer, {step: value})
        if complete or not trainer.strategy.broadcast(hopeless):
            return
        said = f"pruned at evaluation {step}, {self._metric} {value:.5f}"
        if self._announced is not None:
            trial.record_pruned(self._folder, said)
        raise Pruned(said)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A training that was stopped after its last evaluation has none when it is resumed."""
        if self._trial is None:
            self._lags(trainer, {})

    def _lags(self, trainer: Trainer, values: dict[int, float]) -> bool:
        """Reports values by evaluation, the first time all that are noted; whether the pruner finds them hopeless."""
        announced = self._announced
        if announced is None or self._cut_off:
            return False
        import optuna  # only a search needs it
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        from partsight.sweep.search import studies

        try:
            if self._trial is None:
                study = optuna.load_study(
                    study_name=announced.study,
                    storage=studies.storage(announced.storage),
                    pruner=studies.pruner(announced.pruner),
                )
                self._trial = optuna.trial.Trial(study, announced.id)
                values = self._noted(trainer) | values
            for step, value in values.items():
                self._trial.report(value, step)
            return self._trial.should_prune()
        except (OptunaError, SQLAlchemyError, ImportError, KeyError, OSError) as error:
            # The trial was taken back by another worker, or the database cannot be reached, has no module here, or has
            # lost the study: no reason to lose a training.
            self._cut_off = True
            console.say(
                f"Evaluations from {min(values, default=1)} on could not be reported to the search "
                f"({type(error).__name__}: {error}). The training continues, and will not be pruned"
            )
            return False

    def _noted(self, trainer: Trainer) -> dict[int, float]:
        """The value of each evaluation until now: those before a stop were reported to another trial."""
        (curves,) = (one for one in trainer.callbacks if isinstance(one, Curves))  # type: ignore[attr-defined]
        batches, series = int(trainer.num_training_batches), f"validation_{self._metric}"
        noted = [point for point in curves.points if point.series == series and point.step]
        return {ordinal(point.step, batches, self._every): point.value for point in noted}
