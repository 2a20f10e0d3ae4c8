"""What `tools/results.py` trains: the models, and variants of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from mnist_lesson import QuickNet, RandomDistortion, models

PROTOCOL = {
    "digits": 60_000,
    "epochs": 5,
    "batch_size": 128,
    "judged": "last epoch, 10,000 test digits",
}


@dataclass(frozen=True)
class Experiment:
    """One way to train, and how often: a run for each seed.

    Of `rates`, tried on the held-out digits with `rate_seeds` seeds, none is clearly
    better than the learning rate. `digits` of the training digits are drawn by the
    seed; `permuted` puts the pixels of all images, test images too, in one random
    order. The epochs of runs that are `kept` stay on the disk, and as many of them as
    `together` says make one network.
    """

    make: Callable[[], nn.Module]
    learning_rate: float = 0.1
    rates: tuple[float, ...] = ()
    rate_seeds: int = 1
    digits: int = PROTOCOL["digits"]
    epochs: int = PROTOCOL["epochs"]
    permuted: bool = False
    seeds: int = 5
    kept: bool = False
    together: int = 1


def convolutional(
    *pools: nn.Module, stride: int = 1, features: int = 800
) -> nn.Sequential:
    """Make a network like LeNet whose maps shrink in other ways, or not at all."""
    first, second = pools or (nn.Identity(), nn.Identity())
    return nn.Sequential(
        *(nn.Conv2d(1, 20, kernel_size=5, stride=stride), nn.ReLU(), first),
        *(nn.Conv2d(20, 50, kernel_size=5, stride=stride), nn.ReLU(), second),
        nn.Flatten(),
        nn.Linear(features, 10),
    )


def wider() -> nn.Sequential:
    """Make two wider, normalized convolutions and a linear layer, for distorted digits.

    Three smaller convolutions were no better on the held-out digits, and slower.
    """
    return nn.Sequential(
        RandomDistortion(),
        *(nn.Conv2d(1, 32, kernel_size=5, bias=False), nn.MaxPool2d(2)),
        *(nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, kernel_size=5, bias=False), nn.MaxPool2d(2)),
        *(nn.BatchNorm2d(64), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 10),
    )


class Together(nn.Module):
    """Several networks that answer as one: the mean of their probabilities."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the logarithm of their sum; softmax makes the mean of it."""
        answers = [member(x).log_softmax(dim=1) for member in self.members]
        return torch.stack(answers).logsumexp(dim=0)


COARSE = (0.05, 0.1, 0.2, 0.3)
MODELS = {
    "softmax regression": Experiment(
        models.SoftmaxRegression, 0.05, (0.02, 0.05, 0.07, 0.1, 0.14, 0.2), rate_seeds=5
    ),
    "multilayer perceptron": Experiment(
        models.MultilayerPerceptron, 0.14, (0.05, 0.07, 0.1, 0.14, 0.2), rate_seeds=5
    ),
    "LeNet": Experiment(models.LeNet, 0.1, (0.05, 0.07, 0.1, 0.14), rate_seeds=2),
}
WIDER = Experiment(wider, epochs=12, seeds=15, kept=True)
VARIANTS = {
    "LeNet-5 of 1998": Experiment(models.LeNet5, 0.2, COARSE, seeds=3),
    "LeNet, 30 epochs": Experiment(models.LeNet, epochs=30, seeds=2),
    "LeNet, 30 epochs, augmented": Experiment(
        lambda: nn.Sequential(RandomDistortion(), models.LeNet()), epochs=30, seeds=2
    ),
    "32 and 64 maps, 12 epochs, augmented": WIDER,
    "five of these together": replace(WIDER, seeds=3, together=5),
    "32 and 64 maps, 30 epochs, augmented": Experiment(wider, epochs=30, seeds=1),
}
POOLING = {
    "no pooling": Experiment(
        lambda: convolutional(features=20_000), 0.05, COARSE, seeds=3
    ),
    "strided convolutions": Experiment(
        lambda: convolutional(stride=2), 0.1, COARSE, seeds=3
    ),
    "average pooling": Experiment(
        lambda: convolutional(nn.AvgPool2d(2), nn.AvgPool2d(2)), 0.2, COARSE, seeds=3
    ),
    "global max pooling": Experiment(
        lambda: convolutional(nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(1), features=50),
        *(0.1, COARSE),
        seeds=3,
    ),
}
QUICK = {
    "QuickNet": Experiment(QuickNet, 0.2, COARSE, rate_seeds=3, epochs=1),
    "QuickNet without normalization": Experiment(
        lambda: nn.Sequential(*(x for x in QuickNet() if "Norm" not in str(x))),
        *(0.1, COARSE, 3),
        epochs=1,
    ),
}
SIZES = (200, 600, 2_000, 6_000, 20_000)
# Few digits are met more often, so that every model takes about 1,000 steps at least.
FEWER = {
    f"{name}, {size} digits": replace(
        model,
        rates=(),
        digits=size,
        epochs=max(5, 1_000 // -(-size // PROTOCOL["batch_size"])),
    )
    for size in SIZES
    for name, model in MODELS.items()
}
PERMUTED = {
    f"{name}, permuted": replace(model, rates=(), permuted=True)
    for name, model in MODELS.items()
}
EXPERIMENTS = VARIANTS | FEWER | PERMUTED | POOLING | QUICK
# What reads the test digits once more, moved to the right.
SHIFTED = ["multilayer perceptron", *POOLING]
SHIFTED.insert(-1, "LeNet")
SHIFTS = (2, 4)  # pixels
