"""Train: python train.py usecase=casting backbone=efficientnet_b4. The same as `partsight train`."""

from partsight.command import train

if __name__ == "__main__":
    train()
