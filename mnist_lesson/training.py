"""The trainer: stochastic gradient descent, the events it reports, and its history."""

import math
import os
import pickle
import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ._system import whole_file
from .data import Digits, to_input
from .handwriting import Picture, load_digit

WARM_UP = 0.3  # of all steps: the rate rises this long and falls to 0 in the rest
LONGEST_GRADIENT = 4.0  # longer ones come from rare bad batches, and are cut to this
EVALUATION_BATCH = 1_000  # digits; any number gives the same result
# What torch.load may raise for a file that is no checkpoint.
UNREADABLE = (
    *(OSError, EOFError, RuntimeError, LookupError, TypeError),
    pickle.UnpicklingError,
)


# Read only when asked for; see EndIteration.
Number = float | torch.Tensor | Callable[[], float | torch.Tensor]


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
        self, epoch: int, batch: int, step: int, cost: Number, accuracy: Number
    ) -> None:
        self.epoch, self.batch, self.step = epoch, batch, step
        self._cost, self._accuracy = cost, accuracy

    @property
    def cost(self) -> float:
        """Mean cross-entropy of the batch, in nats."""
        return _number(self._cost)

    @property
    def accuracy(self) -> float:
        """Correct answers / batch size."""
        return _number(self._accuracy)


@dataclass(frozen=True)
class EndEpoch:
    """All training digits were learned from once more.

    Parameters
    ----------
    epoch
        Counted from 0.
    step
        How many batches there were so far, over all epochs.
    train
        Over the digits as they were met, while the weights still moved.
    validation
        Over the held-out digits, after the epoch; None when there are none.
    """

    epoch: int
    step: int
    train: Evaluation
    validation: Evaluation | None


Handler = Callable[[EndIteration | EndEpoch], object]


class History(list[EndEpoch]):
    """The epochs of a training, in order."""

    @property
    def best(self) -> EndEpoch:
        """The epoch with the lowest validation cost, the earliest of equal ones."""
        costs = [e.validation.cost for e in self if e.validation is not None]
        if not self or len(costs) < len(self):
            raise ValueError(
                "there is no best epoch without a validation cost for each: "
                "give fit some validation digits and at least one epoch"
            )
        return self[costs.index(min(costs))]


def pick_device() -> torch.device:
    """Choose where to compute: the accelerator that PyTorch finds, else the CPU.

    ``$MNIST_LESSON_DEVICE`` ("cpu", "cuda:1", "mps" …) overrides the choice.
    """
    wanted = os.environ.get("MNIST_LESSON_DEVICE")
    if wanted:
        return _device(wanted, "$MNIST_LESSON_DEVICE")
    found = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
    return found or torch.device("cpu")


class Trainer:
    """Trains a model by stochastic gradient descent with momentum, and judges it.

    Parameters
    ----------
    model
        Any module from float32 (N, 1, 28, 28) to logits (N, 10). It is trained where
        it stands; nothing is copied.
    learning_rate
        The highest rate, for the mean (not the sum) of a batch's gradients.
    momentum
        The share of the last step that the next one keeps, in Nesterov's form, which
        looks one step ahead.
    weight_decay
        L2 regularization: this times each parameter is added to its gradient.
    schedule
        "one-cycle" raises the rate from 0 to `learning_rate` in the first three tenths
        of all steps and lowers it to 0 in the rest, both linearly; "constant" holds it.
    device
        Where to compute; by default what `pick_device` says.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        schedule: str = "one-cycle",
        device: torch.device | str | None = None,
    ):
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {learning_rate}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {momentum}")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay must be 0 or more, not {weight_decay}")
        if schedule not in ("one-cycle", "constant"):
            raise ValueError(
                f'schedule must be "one-cycle" or "constant", not {schedule!r}'
            )
        self.device = pick_device() if device is None else _device(device, "device")
        self.model = model.to(self.device)
        self.learning_rate = float(learning_rate)
        self.momentum = float(momentum)
        self.weight_decay = float(weight_decay)
        self.schedule = schedule
        if self.device.type == "cpu" and any(
            isinstance(module, nn.Conv2d) for module in model.modules()
        ):
            # Channels innermost in memory: the CPU's convolutions are faster so.
            # (The overloads that PyTorch declares leave this documented one out.)
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def fit(
        self,
        train: Digits,
        validation: Digits | None = None,
        *,
        epochs: int = 5,
        batch_size: int = 128,
        event_handler: Handler | Sequence[Handler] | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume: bool = False,
        seed: int = 0,
    ) -> History:
        """Train for some epochs; every digit is met once in each, in a new order.

        Interrupting (Ctrl-C, or the stop button) ends the training, and what is known
        of the finished epochs is returned.

        Parameters
        ----------
        train
            The digits to learn from.
        validation
            Held-out digits, to judge each epoch by.
        epochs
            How often to go through the training digits.
        batch_size
            How many digits a step learns from; the last batch may be smaller.
        event_handler
            Called with an `EndIteration` after each batch and an `EndEpoch` after each
            epoch; a list of handlers is called in order.
        checkpoint_dir
            Where to save each epoch, as ``epoch_0.pt`` and so on; made if need be.
            Checkpoints of an earlier training in it are replaced.
        resume
            Go on after the last epoch in `checkpoint_dir`, as if never interrupted.
        seed
            Decides the order of the digits, and what dropout drops. The first weights
            are the model's own affair: call `torch.manual_seed` before making it.

        Returns
        -------
        History
            One `EndEpoch` for each finished epoch.

        Raises
        ------
        FloatingPointError
            If the cost becomes infinite or not a number.
        ValueError
            If an argument makes no sense, or a checkpoint belongs to another training.
        """
        for name, value in ("epochs", epochs), ("batch_size", batch_size):
            if not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
        # Python's own numbers: torch and checkpoints do not take NumPy's.
        epochs, batch_size, seed = int(epochs), int(batch_size), int(seed)
        if len(train) == 0:
            raise ValueError("there are no training digits")
        if resume and checkpoint_dir is None:
            raise ValueError("to resume, name the checkpoint_dir to resume from")
        if event_handler is None:
            event_handler = []
        elif not isinstance(event_handler, Sequence):
            event_handler = [event_handler]

        optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),  # one kernel for all parameters
        )
        settings = {
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "schedule": self.schedule,
            "digits": len(train),
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": seed,
        }
        history = History()
        if checkpoint_dir is not None:
            Path(checkpoint_dir).mkdir(parents=True, exist_ok=True)
            if resume:
                history = self._resume(Path(checkpoint_dir), settings, optimizer)

        # All data goes to the device once; batches are then cut out there.
        images = torch.from_numpy(train.images).to(self.device)
        labels = torch.from_numpy(train.labels).to(self.device)
        batches = -(-len(train) // batch_size)
        try:
            for epoch in range(len(history), epochs):
                rate = partial(self._rate, steps=epochs * batches)
                # Each epoch starts from its own seed, so that a resumed training
                # meets the random numbers of an uninterrupted one. The caller's
                # generator is left as it was.
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed * 1_000_003 + epoch)
                    learned = self._learn(
                        images,
                        labels,
                        optimizer,
                        rate,
                        batch_size,
                        epoch,
                        event_handler,
                    )
                judged = self.evaluate(validation) if validation else None
                event = EndEpoch(epoch, (epoch + 1) * batches, learned, judged)
                history.append(event)
                if checkpoint_dir is not None:
                    self._save(Path(checkpoint_dir), settings, optimizer, history)
                for handler in event_handler:
                    handler(event)
        except KeyboardInterrupt:
            warnings.warn(
                f"the training was interrupted after {len(history)} of {epochs} epochs",
                stacklevel=2,
            )
        return history

    def evaluate(self, digits: Digits) -> Evaluation:
        """Measure cost and accuracy, each over all digits at once.

        (The mean of the batches' means would give the digits of a smaller last batch
        too much weight.)
        """
        if len(digits) == 0:
            raise ValueError("there are no digits to evaluate")
        labels = torch.from_numpy(digits.labels).to(self.device)
        return _judge(_logits(self.model, digits.images, self.device), labels)

    def predict(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Give the probability of each digit.

        Parameters
        ----------
        images
            uint8 (N, 28, 28), or one image (28, 28).

        Returns
        -------
        torch.Tensor
            float32 (N, 10), on the CPU; each row sums to 1.
        """
        return _logits(self.model, images, self.device).softmax(dim=1).cpu()

    def restore(self, checkpoint_dir: str | os.PathLike[str], epoch: int) -> None:
        """Give the model back the weights it had after an epoch."""
        self._load(Path(checkpoint_dir) / f"epoch_{epoch}.pt")

    def _learn(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        optimizer: torch.optim.Optimizer,
        rate: Callable[[int], float],
        batch_size: int,
        epoch: int,
        handlers: Sequence[Handler],
    ) -> Evaluation:
        """Learn from every digit once."""
        batches = -(-len(labels) // batch_size)
        order = torch.randperm(len(labels)).to(self.device)
        labels = labels[order]
        # Every batch's logits, as it was met, read only when all are there. One block
        # for them all: small ones kept by the hundred would riddle the memory that the
        # next batch is to use again.
        logits = torch.empty(len(labels), 10, device=self.device)
        parameters = list(self.model.parameters())
        autocast = _autocast(self.device)
        self.model.train()
        for batch, (chosen, targets, seen) in enumerate(
            zip(*(x.split(batch_size) for x in (order, labels, logits)), strict=True)
        ):
            step = epoch * batches + batch
            optimizer.param_groups[0]["lr"] = rate(step)
            inputs = to_input(images.index_select(0, chosen))
            with autocast:
                scores = self.model(inputs)
            if scores.shape != seen.shape:
                raise ValueError(
                    f"the model must return logits of shape {tuple(seen.shape)} for "
                    f"{len(seen)} images, but it returned {tuple(scores.shape)}"
                )
            scores = scores.float()
            cost = F.cross_entropy(scores, targets)
            for parameter in parameters:
                parameter.grad = None  # backward adds to what it finds
            cost.backward()
            _clip([p.grad for p in parameters if p.grad is not None])
            optimizer.step()

            seen.copy_(scores.detach())
            if handlers:
                accuracy = partial(_accuracy, seen, targets)
                event = EndIteration(epoch, batch, step, cost.detach(), accuracy)
                for handler in handlers:
                    handler(event)

        learned = _judge(logits, labels)
        if not math.isfinite(learned.cost):
            costs = F.cross_entropy(logits, labels, reduction="none")
            first = int(costs.isfinite().int().argmin()) // batch_size
            raise FloatingPointError(
                f"the cost is no longer finite in epoch {epoch}, batch {first}: try a "
                f"smaller learning_rate than {self.learning_rate:g}, or look for wrong "
                "values in the images or the model"
            )
        return learned

    def _rate(self, step: int, steps: int) -> float:
        """Give the learning rate of a step, one of `steps`."""
        if self.schedule == "constant":
            return self.learning_rate
        rise = (step + 1) / (WARM_UP * steps)
        fall = (steps - step) / ((1 - WARM_UP) * steps)
        return self.learning_rate * min(rise, fall, 1)

    def _save(
        self,
        folder: Path,
        settings: dict[str, Any],
        optimizer: torch.optim.Optimizer,
        history: History,
    ) -> None:
        """Write the checkpoint of the epoch that just ended."""
        if (
            len(history) == 1
        ):  # a new training: an older one's epochs don't belong to it
            for path in _checkpoints(folder):
                path.unlink()
        checkpoint = {
            "settings": settings,
            "history": [asdict(event) for event in history],
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        with whole_file(folder / f"epoch_{history[-1].epoch}.pt") as temporary:
            torch.save(checkpoint, temporary)

    def _load(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint, and give the model its weights."""
        try:
            checkpoint: dict[str, Any] = torch.load(
                path, map_location=self.device, weights_only=True
            )
            weights = checkpoint["model"]
        except FileNotFoundError:
            raise
        except UNREADABLE as error:
            raise ValueError(
                f"{path}: expected a checkpoint of Trainer.fit, but it cannot be read "
                "as one; remove it"
            ) from error
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(
                f"{path}: expected the weights of a {type(self.model).__name__}, "
                "but this checkpoint is of another model"
            ) from error
        return checkpoint

    def _resume(
        self, folder: Path, settings: dict[str, Any], optimizer: torch.optim.Optimizer
    ) -> History:
        """Go back to the newest checkpoint, if there is one."""
        paths = _checkpoints(folder)
        if not paths:
            return History()
        checkpoint = self._load(paths[-1])
        for name, value in settings.items():
            if checkpoint["settings"][name] != value:
                raise ValueError(
                    f"{paths[-1]}: expected a training with {name} = {value}, but this "
                    f"one had {checkpoint['settings'][name]}; resume with the same "
                    "settings, or choose another checkpoint_dir"
                )
        optimizer.load_state_dict(checkpoint["optimizer"])
        history = History()
        for event in checkpoint["history"]:
            train, validation = event["train"], event["validation"]
            event["train"] = Evaluation(**train)
            event["validation"] = Evaluation(**validation) if validation else None
            history.append(EndEpoch(**event))
        return history


class Recognition(NamedTuple):
    """What a model sees in a picture.

    `label` is its answer; `probabilities`, float32 (10,), how likely each digit is to
    it; `image`, uint8 (28, 28), what it was shown.
    """

    label: int
    probabilities: torch.Tensor
    image: np.ndarray


def recognize(model: nn.Module, file: Picture) -> Recognition:
    """Recognize the digit in a picture of handwriting.

    Parameters
    ----------
    model
        A trained model.
    file
        Anything that `load_digit` takes: a path, a file object or a PIL image.
    """
    image = load_digit(file)
    device = next(model.parameters()).device
    probabilities = _logits(model, image, device).softmax(dim=1).cpu()[0]
    return Recognition(int(probabilities.argmax()), probabilities, image)


def _logits(
    model: nn.Module, images: np.ndarray | torch.Tensor, device: torch.device
) -> torch.Tensor:
    """Compute float32 (N, 10) on the device; the model's mode is left as it was."""
    inputs = to_input(images)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), _autocast(device):
            batches = [
                model(batch.to(device)) for batch in inputs.split(EVALUATION_BATCH)
            ]
            return torch.cat(batches).float()
    finally:
        model.train(was_training)


def _clip(gradients: list[torch.Tensor]) -> None:
    """Shorten all gradients alike if together they are longer than they may be.

    The same as torch.nn.utils.clip_grad_norm_, in a third of its time for few tensors.
    """
    length = torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))
    factor = length.div_(LONGEST_GRADIENT).clamp_(min=1).reciprocal_()
    for gradient in gradients:
        gradient.mul_(factor)


def _judge(logits: torch.Tensor, labels: torch.Tensor) -> Evaluation:
    """Compare logits (N, 10) with labels (N,)."""
    cost = F.cross_entropy(logits, labels)
    return Evaluation(float(cost), float(_accuracy(logits, labels)))


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute correct / N."""
    return (logits.argmax(dim=1) == labels).double().mean()


def _number(value: Number) -> float:
    """Read a number, a tensor of one number, or a function that gives either."""
    return float(value() if callable(value) else value)


def _device(name: torch.device | str, source: str) -> torch.device:
    """Turn a name into a device that is really there."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"{source} names {name!r}, which PyTorch cannot use on this machine "
            f'({str(error).splitlines()[0]}); try "cpu"'
        ) from error
    return device


def _autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in bfloat16 where the hardware does, which is faster there."""
    if device.type == "xpu" or (
        device.type == "cuda"
        and torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _checkpoints(folder: Path) -> list[Path]:
    """Find the checkpoints in a folder, the oldest epoch first."""
    found = {}
    for path in folder.glob("epoch_*.pt"):
        if match := re.fullmatch(r"epoch_(\d+)\.pt", path.name):
            found[int(match[1])] = path
    return [found[epoch] for epoch in sorted(found)]
