"""The events that a training run sends to its handlers, and the history of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, overload

import torch

# Fetched from the device only when asked for; see EndIteration.
LazyNumber = float | torch.Tensor | Callable[[], float | torch.Tensor]


@dataclass(frozen=True)
class Evaluation:
    """How well a model does: mean cost (nats) and correct / N, over all N digits."""

    cost: float
    accuracy: float


class EndIteration:
    """Sent after each step of the optimizer, on one batch.

    Parameters
    ----------
    epoch, batch, step
        Counted from 0; `batch` within the epoch, `step` over all epochs.
    cost, accuracy
        Of this batch, before the step it led to. Numbers, or tensors, or functions
        that give them: they are read from the device only when asked for, because
        reading one makes the CPU wait for all work queued on the GPU.
    """

    def __init__(
        self, epoch: int, batch: int, step: int, cost: LazyNumber, accuracy: LazyNumber
    ) -> None:
        self.epoch, self.batch, self.step = epoch, batch, step
        self._cost, self._accuracy = cost, accuracy

    def __repr__(self) -> str:
        return f"EndIteration(epoch={self.epoch}, batch={self.batch}, step={self.step})"

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
    """Sent after each epoch: one pass over the training digits.

    `epoch` is counted from 0; `step` is the number of batches so far, over all epochs.
    `train` is over the digits as each batch was processed, while the weights were still
    changing; `validation` over the held-out digits, after the epoch, or None.
    """

    epoch: int
    step: int
    train: Evaluation
    validation: Evaluation | None


Handler = Callable[[EndIteration | EndEpoch], object]


def listeners(given: Handler | Sequence[Handler] | None) -> Sequence[Handler]:
    """Make a list of what listens to a training run."""
    if given is None:
        return []
    handlers: Sequence[Any] = [given]  # a handler may itself be a list
    if isinstance(given, Sequence) and not callable(given):
        handlers = given  # no copy: a handler may leave it, or add another
    for handler in handlers:
        if isinstance(handler, type):
            raise TypeError(
                "event_handler must be an instance, not a class: write "
                f"{handler.__name__}()"
            )
        if not callable(handler):
            raise TypeError(
                "event_handler must be a function of one event, or a list of such, "
                f"not {handler!r}"
            )
    return handlers


def emit(event: EndIteration | EndEpoch, handlers: Sequence[Handler]) -> None:
    """Call the handlers in order; one may leave their list meanwhile."""
    for handler in [*handlers]:
        handler(event)


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
