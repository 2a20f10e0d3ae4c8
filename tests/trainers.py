"""What several tests train, and how they compare what came out."""

import torch
from torch import nn

from mnist_lesson import SoftmaxRegression, Trainer


class Dropping(nn.Sequential):
    """A model that needs random numbers while it trains."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Dropout(0.2), nn.Linear(784, 10))


def make(model=SoftmaxRegression, seed=0, **settings):
    """Make a trainer on the CPU of a model with these first weights."""
    torch.manual_seed(seed)
    return Trainer(model(), device="cpu", **settings)


def weights(trainer):
    """Copy a model's weights."""
    return [p.detach().clone() for p in trainer.model.parameters()]


def same(a, b):
    """Compare weights to the bit."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
