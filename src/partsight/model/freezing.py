"""The backbone stands still for the first epochs, while the head learns to use it."""

from pytorch_lightning import Callback, LightningModule, Trainer


class FrozenBackbone(Callback):
    """No gradients for the backbone, no steps of its BatchNorm statistics and no dropout in it, for `epochs` epochs.

    Its parameters stay in the optimizer, which passes over those without gradient: when they thaw, the schedule is
    where it would have been.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freezes, or thaws."""
        learns = trainer.current_epoch >= self.epochs
        backbone = pl_module.get_submodule("backbone")
        backbone.requires_grad_(learns)
        backbone.train(learns)
