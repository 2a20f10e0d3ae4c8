"""The classifiers of the course, each one readable list of layers.

All take images as `to_input` makes them, float32 (N, 1, 28, 28), and return logits,
(N, 10): the softmax belongs to the cost while training and to `predict` afterwards.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from numbers import Integral

import torch
from torch import nn

from .data import PAPER
from .values import short, whole_number

__all__ = ["LeNet", "LeNet5", "MultilayerPerceptron", "SoftmaxRegression"]


class Layers(nn.Sequential):
    """A list of layers; a slice of it, such as `model[:3]`, is a plain `nn.Sequential`.

    (PyTorch would hand the layers of a slice to the constructor of the model's own
    class, and those below take none.)
    """

    def __getitem__(self, index: slice | int) -> nn.Module:
        if isinstance(index, slice):
            return nn.Sequential(*list(self)[index])
        return super().__getitem__(index)


class SoftmaxRegression(Layers):
    """Softmax regression: ten linear scores, one for each digit; 7,850 parameters."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(),  # (N, 1, 28, 28) → (N, 784)
            nn.Linear(784, 10),
        )


class MultilayerPerceptron(Layers):
    """Fully connected layers with an activation between them; 109,386 parameters.

    ReLU stops half of what comes. The weights start at a size that makes up for it, so
    that signals stay as large from layer to layer (He, Zhang, Ren and Sun 2015,
    https://doi.org/10.1109/ICCV.2015.123).

    Parameters
    ----------
    hidden
        The number of units of each hidden layer.
    activation
        Makes the module that follows each hidden layer, `torch.nn.ReLU` for example.

    Raises
    ------
    ValueError, TypeError
        If these are no such numbers, or the activation is a module already.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128, 64),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ):
        if isinstance(hidden, Integral):
            raise TypeError(f"hidden must be a list of sizes: write ({hidden},)")
        if not isinstance(hidden, Iterable):
            raise TypeError(
                "hidden must be a list of sizes, such as (128, 64), not "
                f"{short(hidden)}"
            )
        if isinstance(activation, nn.Module):
            name = type(activation).__name__
            raise TypeError(
                f"activation must make a layer each time: write nn.{name}, "
                f"not nn.{name}()"
            )
        sizes = [784, *(whole_number("hidden", units, 1) for units in hidden)]
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), _layer(activation)]
        super().__init__(*layers, nn.Linear(sizes[-1], 10))
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)


def _layer(activation: Callable[[], nn.Module]) -> nn.Module:
    """Make a layer; a function of tensors makes none, nor does a name."""
    reason = None
    try:
        layer = activation()
        if isinstance(layer, nn.Module):
            return layer
    except TypeError as error:
        reason = error
    raise TypeError(
        "activation must make a layer each time: write nn.ReLU, for example, not "
        f"{short(activation)}"
    ) from reason


class LeNet(Layers):
    """The source chapter's convolutional network; 33,580 parameters.

    It calls this network LeNet-5; `LeNet5` is the one of 1998.
    """

    def __init__(self) -> None:
        # Max pooling and ReLU commute, because ReLU is non-decreasing:
        # max(relu(a), relu(b)) = relu(max(a, b)). Pooling first leaves ReLU a quarter
        # of the work.
        super().__init__(
            nn.Conv2d(1, 20, kernel_size=5),  # (N, 1, 28, 28) → (N, 20, 24, 24)
            nn.MaxPool2d(2),  # → (N, 20, 12, 12)
            nn.ReLU(),
            nn.Conv2d(20, 50, kernel_size=5),  # → (N, 50, 8, 8)
            nn.MaxPool2d(2),  # → (N, 50, 4, 4)
            nn.ReLU(),
            nn.Flatten(),  # → (N, 800)
            nn.Linear(800, 10),
        )


class LeNet5(Layers):
    """LeNet-5 as published, but for its two ends; 60,850 parameters.

    The published output layer compares 84 units with fixed pictures of the characters
    (60,000 parameters in all); here ten linear units give logits instead. And images
    come as `to_input` scales them; the publication chose -0.1 for paper and 1.175 for
    ink, meant to bring the mean near 0 and the variance near 1.

    Source: LeCun, Bottou, Bengio and Haffner, *Gradient-Based Learning Applied to
    Document Recognition*, 1998, section II.B, https://doi.org/10.1109/5.726791.
    """

    def __init__(self) -> None:
        super().__init__(
            nn.ConstantPad2d(2, PAPER),  # paper all round: (N, 1, 32, 32)
            nn.Conv2d(1, 6, kernel_size=5),  # C1 → (N, 6, 28, 28)
            ScaledTanh(),
            Subsampling(6),  # S2 → (N, 6, 14, 14)
            PartlyConnected(),  # C3 → (N, 16, 10, 10)
            ScaledTanh(),
            Subsampling(16),  # S4 → (N, 16, 5, 5)
            nn.Conv2d(16, 120, kernel_size=5),  # C5 → (N, 120, 1, 1)
            ScaledTanh(),
            nn.Flatten(),
            nn.Linear(120, 84),  # F6
            ScaledTanh(),
            nn.Linear(84, 10),
        )


class ScaledTanh(nn.Module):
    """LeNet-5's squashing function, 1.7159 tanh(2/3 x): it keeps 1 at 1, -1 at -1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Squash each element; any shape."""
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsampling(ScaledTanh):
    """LeNet-5's pooling: the mean of each 2x2 block, times a weight, plus a bias.

    Weight and bias are learned, one pair for each of the `maps`; the sum is squashed.
    """

    def __init__(self, maps: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(maps, 1, 1))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, maps, H, W) → (N, maps, H/2, W/2)."""
        means = nn.functional.avg_pool2d(x, 2)
        return super().forward(self.weight * means + self.bias)


class PartlyConnected(nn.Module):
    """LeNet-5's layer C3: each of 16 maps looks at some of the six below it.

    Different inputs make different maps learn different things, with fewer weights.
    """

    # Table I of the paper: the inputs of each map.
    INPUTS = (
        *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
        *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5)),
        *((0, 1, 2, 5), (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
        (0, 1, 2, 3, 4, 5),
    )

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            nn.Conv2d(len(inputs), 1, kernel_size=5) for inputs in self.INPUTS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 6, 14, 14) → (N, 16, 10, 10)."""
        pairs = zip(self.maps, self.INPUTS, strict=True)
        return torch.cat([conv(x[:, inputs]) for conv, inputs in pairs], dim=1)
