"""The trainer: stochastic gradient descent, in one loop."""

import math
import os
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import devices, events, inference
from .checkpoints import Checkpoints, fingerprint, restore
from .data import Digits, to_input
from .devices import autocast, find_device, input_format, pick_device, random_numbers
from .events import EndEpoch, EndIteration, Evaluation, Handler, History
from .ranks import join
from .system import keep_freed_memory
from .values import home_path, real_number, whole_number

WARMUP_FRACTION = 0.3  # of all steps: the rate rises so long and falls to 0 in the rest
MAX_GRAD_NORM = 4.0  # longer gradients, mostly of the first batches, are cut to this


class Trainer:
    """Trains a model by stochastic gradient descent with momentum, and evaluates it.

    Parameters
    ----------
    model
        Any module from float32 (N, 1, 28, 28) to logits (N, 10). It is trained in
        place.
    learning_rate
        The highest rate, for the mean (not the sum) of a batch's gradients.
    momentum
        The share of the velocity that each step keeps, in Nesterov's form, which
        looks one step ahead (https://proceedings.mlr.press/v28/sutskever13.html).
    weight_decay
        L2 regularization: this times each parameter is added to its gradient.
    schedule
        "one-cycle" raises the rate to `learning_rate` in the first three tenths
        of all steps and lowers it to 0 in the rest, both linearly, a simple form of
        Smith's (https://doi.org/10.48550/arXiv.1803.09820); "constant" holds it.
    device
        Where to compute; by default what `pick_device` says.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid, or PyTorch cannot use the device.

    Notes
    -----
    Gradients are clipped (https://doi.org/10.48550/arXiv.1211.5063): where all of them
    together are longer than 4, they are shortened to that. On a GPU that computes with
    bfloat16 the model does (`torch.autocast`); weights, cost and step keep their 32
    bits. On a CPU, convolutions get their inputs with the channels last in memory, if
    all layers are PyTorch's or this package's: faster, in the same shapes. On Linux the
    process keeps what a step frees, for the next. A layer whose parameters are all
    frozen keeps its mode, as batch normalization needs it.

    Several processes that `torchrun` started train one model together: each computes
    its part of every batch, and gets the same weights, events and history. Handlers are
    called in each; those that print or write files should do so in one alone.
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
    ) -> None:
        inference.want_module("Trainer", model)
        self.learning_rate, self.momentum = learning_rate, momentum
        self.weight_decay, self.schedule = weight_decay, schedule
        self.device = pick_device() if device is None else find_device(device, "device")
        self._settings()
        self.model = model.to(self.device)

    def rate(self, step: int, steps: int) -> float:
        """Give the learning rate of a step; override it to try another schedule.

        Parameters
        ----------
        step
            Which one, counted from 0 over all epochs.
        steps
            How many there are in all.

        Returns
        -------
        float
            The rate of the schedule; see the class.
        """
        if self.schedule == "constant":
            return self.learning_rate
        rise = (step + 1) / (WARMUP_FRACTION * steps)
        fall = (steps - step) / ((1 - WARMUP_FRACTION) * steps)
        return self.learning_rate * min(rise, fall, 1)

    @devices.undisturbed
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

        What is learned is settled at the start: after unfreezing, call `fit` again. The
        model is left in training mode. `evaluate` and `predict` see to that themselves;
        before you call the model directly, call its `eval()`.

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
            Those of an earlier training run in it are removed after the first step.
        resume
            Continue after the last epoch saved in `checkpoint_dir`, with the result of
            an uninterrupted run; start anew if there is none.
        seed
            Decides the order of the digits, and what dropout drops. The first weights
            are drawn when the model is made: call `torch.manual_seed` before that.

        Returns
        -------
        History
            One `EndEpoch` for each finished epoch.

        Raises
        ------
        FloatingPointError
            If the cost or a weight becomes infinite or not a number.
        ValueError, TypeError
            If an argument is invalid, or the checkpoints are of a training run with
            other settings, digits or layers. The model is left unchanged.
        OSError
            If a checkpoint cannot be written; those before are as they were. A
            ConnectionError: if another process of several is gone.
        RuntimeError
            If another training run has begun in `checkpoint_dir` meanwhile.

        Warns
        -----
        UserWarning
            If it is interrupted (Ctrl-C, or the stop button): that ends the training
            run, and what is known of the finished epochs is returned.
        """
        epochs = whole_number("epochs", epochs, 1)
        batch_size = whole_number("batch_size", batch_size, 1)
        seed = whole_number("seed", seed)
        inference.want_digits("fit", train)
        if len(train) == 0:
            raise ValueError("there are no training digits")
        if validation is not None:
            inference.want_digits("fit", validation)
        if resume and not checkpoint_dir:
            raise ValueError("to resume, name the checkpoint_dir to resume from")
        handlers = events.listeners(event_handler)
        settings = self._settings()
        keep_freed_memory()
        self.model.to(self.device)  # the caller may have moved it
        folder = home_path(checkpoint_dir).absolute() if checkpoint_dir else None
        if any(map(nn.parameter.is_lazy, self.model.parameters())):
            self.predict(train.images[:2])  # now they have sizes
        optimizer, history, ranks = self._optimizer(), History(), join(self.device)
        if folder or ranks.count > 1:
            settings |= {"epochs": epochs, "batch_size": batch_size, "seed": seed}
            settings["training digits"] = fingerprint(train)
            settings["validation digits"] = fingerprint(validation)
            ranks.agree(settings | {"a checkpoint_dir": folder is not None})
        if folder:
            run = Checkpoints(folder, self.model, optimizer, settings)
            history = run.start(resume, ranks)
        ranks.share(self.model)

        [group] = optimizer.param_groups  # not before start(): resuming replaces it
        learned = group["params"]
        frozen = [
            (layer, layer.training)
            for layer in self.model.modules()
            if {p.requires_grad for p in layer.parameters(recurse=False)} == {False}
        ]
        # All data goes to the device once; batches are then cut out there.
        images = torch.from_numpy(train.images).to(self.device)
        labels = torch.from_numpy(train.labels).to(self.device)
        input_kwargs, mixed = input_format(self.model), autocast(self.device)
        steps = epochs * math.ceil(len(train) / batch_size)
        step = len(history) * steps // epochs
        try:
            for epoch in range(len(history), epochs):
                # A seed for each epoch, far from those of other seeds, so that what is
                # resumed draws the same; and for each rank: they share the order only.
                own = seed * 1_000_003 + 10_007 * ranks.rank + epoch
                with random_numbers(own, self.device) as lend:
                    draw = partial(torch.randperm, len(train), device="cpu")
                    order = ranks.first(draw).to(self.device)
                    targets = labels[order]
                    # One block: hundreds of small ones would fragment the memory.
                    all_logits = images.new_zeros((len(train), 10), dtype=torch.float32)
                    pieces = (x.split(batch_size) for x in (order, targets, all_logits))
                    batches = [*zip(*pieces, strict=True)]
                    for batch, whole in enumerate(batches):
                        indices, target, seen = ranks.part(whole)
                        group["lr"] = float(self.rate(step, steps))
                        # 20 times as fast as images[indices] on a CPU:
                        inputs = to_input(images.index_select(0, indices))
                        with inference.ANSWERING, mixed:
                            if batch == 0 or not self.model.training:  # by a handler
                                self.model.train()
                                for layer, training in frozen:
                                    layer.training = training
                            logits = self.model(inputs.to(**input_kwargs))
                        logits = inference.checked(logits, len(indices), learns=True)
                        cost = F.cross_entropy(logits, target)
                        for parameter in learned:
                            parameter.grad = None  # zero_grad() would take 20 µs more
                        cost.backward()
                        gradients = [p.grad for p in learned if p.grad is not None]
                        seen.copy_(logits.detach())
                        paid = cost.detach()
                        if ranks.count > 1:
                            share = len(indices) / len(whole[0])
                            ranks.merge([*gradients, paid], share, whole[2])
                        _clip(gradients)
                        optimizer.step()
                        if folder and step == 0:  # what cannot learn replaces nothing
                            ranks.first(run.remove_earlier)
                        if handlers:
                            accuracy = partial(inference.accuracy, whole[2], whole[1])
                            event = EndIteration(epoch, batch, step, paid, accuracy)
                            with lend():
                                events.emit(event, handlers)
                        step += 1

                trained = inference.judge(all_logits, targets)
                if found := inference.diverged(self.model, epoch, trained, batches):
                    raise FloatingPointError(
                        f"{found}: try a smaller learning_rate than "
                        f"{self.learning_rate:g}, or look for NaN or huge values in "
                        "the model's weights"
                    )
                ranks.share(self.model)
                validated = None
                if validation:
                    validated = inference.evaluate(self.model, validation, ranks)
                history.append(EndEpoch(epoch, step, trained, validated))
                if folder:
                    ranks.first(partial(run.save, history))
                events.emit(history[-1], handlers)
        except KeyboardInterrupt:
            said = f"the training run was interrupted after {len(history)} of {epochs}"
            warnings.warn(f"{said} epochs", stacklevel=3)  # the decorator is between
        except Exception:
            if folder:
                run.give_back()
            raise
        finally:
            for parameter in {*learned, *self.model.parameters()}:
                parameter.grad = None  # a backward of the caller's would add to it
        return history

    def evaluate(self, digits: Digits) -> Evaluation:
        """Measure cost and accuracy, each over all digits at once.

        (The mean of the batches' means would give the digits of a smaller last batch
        too much weight.)

        Parameters
        ----------
        digits
            What to judge the model by, where it is now and as it is now.

        Returns
        -------
        Evaluation
            The mean cross-entropy in nats, and correct / N.

        Raises
        ------
        ValueError, TypeError
            If these are no digits, or none, or the model returns no logits (N, 10).
        """
        return inference.evaluate(self.model, digits)

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

        Raises
        ------
        ValueError
            If these are not such images, or the model returns no logits (N, 10).
        """
        return inference.predict(self.model, images)

    def restore(self, checkpoint_dir: str | os.PathLike[str], epoch: int) -> None:
        """Give the model back the weights it had after an epoch.

        Parameters
        ----------
        checkpoint_dir
            The folder that `fit` saved its epochs in.
        epoch
            Which one, counted from 0.

        Raises
        ------
        FileNotFoundError
            If there is no such epoch.
        ValueError
            If its file is not a checkpoint, or one of another model or another
            training run, or `epoch` is no whole number. The model is left unchanged.
        """
        epoch = whole_number("epoch", epoch)
        restore(home_path(checkpoint_dir), epoch, self.model)

    def _settings(self) -> dict[str, Any]:
        """Check the settings, which may have been set anew, and give them by name."""
        names = "learning_rate", "momentum", "weight_decay"
        rate, momentum, decay = (real_number(n, getattr(self, n)) for n in names)
        if not 0 < rate < math.inf:
            raise ValueError(f"learning_rate must be above 0 and finite, not {rate}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {momentum}")
        if not 0 <= decay < math.inf:
            raise ValueError(f"weight_decay must be 0 or more, and finite, not {decay}")
        if self.schedule not in ("one-cycle", "constant"):
            raise ValueError(
                f'schedule must be "one-cycle" or "constant", not {self.schedule!r}'
            )
        self.learning_rate, self.momentum, self.weight_decay = rate, momentum, decay
        self.schedule = str(self.schedule)  # not NumPy's, which no checkpoint may hold
        return {name: getattr(self, name) for name in (*names, "schedule")}

    def _optimizer(self) -> torch.optim.SGD:
        """Make the optimizer, of what there is to learn."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(
                f"the model, a {type(self.model).__name__}, has no parameters to "
                "learn: give it some, with requires_grad=True"
            )
        optimizer = torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=self.device.type in ("cpu", "cuda") and devices.fusible(parameters),
        )
        for p in parameters if self.momentum else ():
            # The fused kernel wants it of all, also where a first gradient comes late.
            optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
        return optimizer


def _clip(gradients: list[torch.Tensor]) -> None:
    """Shorten all gradients alike if together they are longer than they may be.

    As torch.nn.utils.clip_grad_norm_ does, in less than half its time for few tensors.
    """
    length = torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))
    factor = length.div_(MAX_GRAD_NORM).clamp_(min=1).reciprocal_()
    for gradient in gradients:
        gradient.mul_(factor)
