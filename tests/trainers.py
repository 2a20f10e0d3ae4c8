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


def record_rates(monkeypatch):
    """Give a list that grows by the learning rate of each step."""
    rates, step = [], torch.optim.SGD.step

    def record(optimizer):
        rates.append(optimizer.param_groups[0]["lr"])
        step(optimizer)

    monkeypatch.setattr(torch.optim.SGD, "step", record)
    return rates
