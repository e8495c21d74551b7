"""How pixel values 0..255 become the model's input. Part of the model, so that an exported graph includes it."""

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalization(nn.Module):
    """Normalises a batch (N, C, H, W) of 0..255 to float32.

    simple: x/255. inception: (x/255 - 0.5)/0.5. imagenet: (x/255 - mean)/std of ImageNet; other channel counts
    take the mean of the three. none: x. From each picture itself, after augmentation:
    channel: (x - mean)/(std + 1e-6) per channel, clipped to +-20; image: the same over all channels at once;
    min_max: (x - min)/(max - min + 1e-6). These follow Hydrogen Torch's Simple, Inception, ImageNet, No, Channel, Image
    and Min_Max.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        self.kind = kind
        mean = torch.tensor(IMAGENET_MEAN)
        std = torch.tensor(IMAGENET_STD)
        if channels != 3:
            mean, std = mean.mean().expand(channels), std.mean().expand(channels)
        # Buffers, to move with the module; not persistent, because they are constants and not weights.
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1).clone(), persistent=False)
        self.register_buffer("std", std.reshape(1, -1, 1, 1).clone(), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) of any numeric dtype, 0..255, to float32."""
        x = pictures.float()
        if self.kind == "simple":
            return x / 255
        if self.kind == "inception":
            return x / 127.5 - 1
        if self.kind == "imagenet":
            return (x / 255 - self.mean) / self.std
        if self.kind == "channel":
            return _standardised(x, (2, 3))
        if self.kind == "image":
            return _standardised(x, (1, 2, 3))
        if self.kind == "min_max":
            low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
            return (x - low) / (high - low + 1e-6)
        return x


def _standardised(x: Tensor, over: tuple[int, ...]) -> Tensor:
    """Population deviation, as NumPy's std."""
    mean = x.mean(over, keepdim=True)
    std = x.std(over, keepdim=True, correction=0)
    return ((x - mean) / (std + 1e-6)).clamp(-20, 20)
