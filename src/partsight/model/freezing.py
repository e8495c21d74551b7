"""Freezes the backbone for the first epochs, while the head learns to use it."""

from pytorch_lightning import Callback, LightningModule, Trainer


class FrozenBackbone(Callback):
    """For `epochs` epochs the backbone has no gradients, fixed BatchNorm statistics and no dropout.

    Its parameters stay in the optimizer, which skips those without a gradient: when they thaw, the schedule is where
    it would have been.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freezes or thaws."""
        learns = trainer.current_epoch >= self.epochs
        backbone = pl_module.get_submodule("backbone")
        backbone.requires_grad_(learns)
        backbone.train(learns)
