"""A small network and a recipe that together reach 99 % within seconds on a laptop."""

from collections.abc import Sequence

import torch
from torch import nn

from .data import Digits
from .devices import random_numbers
from .events import Handler
from .models import Layers
from .training import Trainer
from .values import whole_number

__all__ = ["QuickNet", "train_quickly"]


class QuickNet(Layers):
    """A convolutional network for training in one epoch; 24,058 parameters.

    The two outermost pixels on each side, nearly always paper, are cut off. Batch
    normalization (Ioffe and Szegedy 2015, https://doi.org/10.48550/arXiv.1502.03167)
    bears a learning rate twice LeNet's. It has a shift of its own, so the convolutions
    need no bias; and it stands behind the pooling, where a quarter of the numbers is
    left.
    """

    def __init__(self) -> None:
        super().__init__(
            nn.ZeroPad2d(-2),  # (N, 1, 28, 28) → (N, 1, 24, 24)
            nn.Conv2d(1, 16, kernel_size=5, bias=False),  # → (N, 16, 20, 20)
            nn.MaxPool2d(2),  # → (N, 16, 10, 10)
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 48, kernel_size=5, bias=False),  # → (N, 48, 6, 6)
            nn.MaxPool2d(2),  # → (N, 48, 3, 3)
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.Flatten(),  # → (N, 432)
            nn.Linear(432, 10),
        )


def train_quickly(
    train: Digits,
    validation: Digits | None = None,
    *,
    event_handler: Handler | Sequence[Handler] | None = None,
    device: torch.device | str | None = None,
    seed: int = 0,
) -> Trainer:
    """Train a `QuickNet` for one epoch, at a rate chosen on the validation digits.

    Parameters
    ----------
    train
        The digits to learn from.
    validation
        Held-out digits, to judge the epoch by.
    event_handler
        As `Trainer.fit` takes it.
    device
        Where to compute; by default what `pick_device` says.
    seed
        Decides the first weights and the order of the digits.

    Returns
    -------
    Trainer
        Its `model` is trained, and it can `evaluate` and `predict`.
    """
    seed = whole_number("seed", seed)
    cpu = torch.device("cpu")
    with random_numbers(seed, cpu), cpu:  # the caller's own go on
        model = QuickNet()
    trainer = Trainer(model, learning_rate=0.2, device=device)
    trainer.fit(train, validation, epochs=1, event_handler=event_handler, seed=seed)
    return trainer
