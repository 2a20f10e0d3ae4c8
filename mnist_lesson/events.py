"""What a training run tells those who listen: its events, and the history of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsIndex, overload

import torch

# Read only when asked for; see EndIteration.
LazyNumber = float | torch.Tensor | Callable[[], float | torch.Tensor]


@dataclass(frozen=True)
class Evaluation:
    """How well a model does: mean cost (nats) and correct / N, over all N digits."""

    cost: float
    accuracy: float


class EndIteration:
    """One batch was learned from.

    Parameters
    ----------
    epoch, batch, step
        Counted from 0; `batch` within the epoch, `step` over all epochs.
    cost, accuracy
        Of this batch, before the step it led to. Numbers, or tensors, or functions
        that give them: they are read from the device only when asked for, because
        reading one makes a GPU finish all it was told to do.
    """

    def __init__(
        self, epoch: int, batch: int, step: int, cost: LazyNumber, accuracy: LazyNumber
    ) -> None:
        self.epoch, self.batch, self.step = epoch, batch, step
        self._cost, self._accuracy = cost, accuracy

    @property
    def cost(self) -> float:
        """Mean cross-entropy of the batch, in nats."""
        return float(self._cost() if callable(self._cost) else self._cost)

    @property
    def accuracy(self) -> float:
        """Correct answers / batch size."""
        return float(self._accuracy() if callable(self._accuracy) else self._accuracy)


@dataclass(frozen=True)
class EndEpoch:
    """All training digits were learned from once more.

    `epoch` is counted from 0; `step` is the number of batches so far, over all epochs.
    `train` is over the digits as they were met, while the weights still moved;
    `validation` over the held-out digits, after the epoch, or None without any.
    """

    epoch: int
    step: int
    train: Evaluation
    validation: Evaluation | None


Handler = Callable[[EndIteration | EndEpoch], object]


class History(list[EndEpoch]):
    """The epochs of a training run, in order; a slice of it is a History, too."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> EndEpoch: ...
    @overload
    def __getitem__(self, index: slice) -> "History": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "EndEpoch | History":
        found = super().__getitem__(index)
        return History(found) if isinstance(found, list) else found

    @property
    def best(self) -> EndEpoch:
        """The epoch with the lowest validation cost, the earliest of equal ones.

        A cost that is not a number is passed over.

        Raises
        ------
        ValueError
            If there is no epoch, one was not validated, or no cost is a number.
        """
        costs = [e.validation.cost for e in self if e.validation is not None]
        if not costs or len(costs) < len(self):
            raise ValueError(
                "there is no best epoch without a validation cost for each: "
                "give fit some validation digits and at least one epoch"
            )
        numbers = [cost for cost in costs if not math.isnan(cost)]
        if not numbers:
            raise ValueError("there is no best epoch: no validation cost is a number")
        return self[costs.index(min(numbers))]
