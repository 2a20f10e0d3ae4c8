"""A model's answers: evaluate, predict, recognize.

Pixels are scaled on the model's own device, batch by batch; what comes out is float32,
whatever the model computes with.
"""

import math
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .data import Digits, grey_levels, to_input
from .devices import autocast, input_format
from .events import Evaluation
from .ranks import Ranks
from .values import short, to_array

if TYPE_CHECKING:
    from .picture import Picture

ALONE = Ranks()
# One at a time: whoever finishes would put back the mode that another is computing in.
# A step of training takes it, too, for its forward pass.
ANSWERING = threading.RLock()
# Digits at a time; the result is the same, but for rounding. LeNet's first maps of more
# would be blocks too large to be kept (system.LARGEST_BLOCK), and take longer.
EVALUATION_BATCH = 500


class Recognition(NamedTuple):
    """What a model sees in a picture.

    `label` is its answer; `probabilities`, float32 (10,), how likely each digit is to
    it; `image`, uint8 (28, 28), what it was shown; `outlier`, whether that is unlike
    any digit, so that the answer means nothing.
    """

    label: int
    probabilities: torch.Tensor
    image: np.ndarray

    @property
    def outlier(self) -> bool:
        """Whether the image is unlike any digit; see `outliers.outlier_scores`."""
        from .outliers import outlier_scores  # here: its network is seldom needed

        return bool(outlier_scores(to_array(self.image).astype(np.uint8)) > 0)


def evaluate(model: nn.Module, digits: Digits, ranks: Ranks = ALONE) -> Evaluation:
    """Measure cost and accuracy over all digits; see `Trainer.evaluate`.

    Several ranks must call it together, and each computes its part.
    """
    want_digits("evaluate", digits)
    if len(digits) == 0:
        raise ValueError("there are no digits to evaluate")
    [images] = ranks.part([torch.from_numpy(digits.images)])
    logits = ranks.whole(compute_logits(model, images), len(digits))
    return judge(logits, torch.from_numpy(digits.labels).to(logits.device))


def predict(model: nn.Module, images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Give the probability of each digit; see `Trainer.predict`."""
    return compute_logits(model, images).softmax(dim=1).cpu()


def recognize(model: nn.Module, file: "Picture") -> Recognition:
    """Recognize the digit in a picture of handwriting.

    Parameters
    ----------
    model
        Any module from float32 (N, 1, 28, 28) to logits (N, 10), wherever it is;
        a trained one, if the answer is to mean something.
    file
        Anything that `load_digit` takes: a path, a file object or a PIL image.

    Returns
    -------
    Recognition
        The answer, how sure the model is of it, and the digit in MNIST's frame. Its
        `outlier` is true of a picture unlike any digit: a letter, or a scribble.

    Raises
    ------
    HandwritingError
        If there is not one digit in the picture; see `load_digit`.
    OSError
        If the file cannot be opened; see `load_digit`.
    TypeError
        If `model` isn't a module, but its class, for example; or `file` is no picture.
    ValueError
        If the model does not return such logits.
    FloatingPointError
        If a probability is NaN: the model's weights have diverged.
    """
    from .handwriting import load_digit  # here: the lesson can be read without it

    want_module("recognize", model)
    image = load_digit(file)
    probabilities = predict(model, image)[0]
    if not probabilities.isfinite().all():
        raise FloatingPointError(
            "the model's answer is not a number: its weights are no longer finite; "
            "train it again, with a smaller learning_rate"
        )
    return Recognition(int(probabilities.argmax()), probabilities, image)


def compute_logits(model: nn.Module, images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Compute logits in evaluation mode, and leave every layer's mode as it was."""
    images, wanted = grey_levels(images), input_format(model)
    device = wanted["device"]
    with ANSWERING:
        modes = [(m, m.training) for m in model.modules()]
        model.eval()
        try:
            with torch.no_grad(), autocast(device):
                return torch.cat(
                    [
                        checked(model(to_input(x.to(device)).to(**wanted)), len(x))
                        for x in images.split(EVALUATION_BATCH)
                    ]
                )
        finally:
            for module, training in modes:  # some may be kept in evaluation mode
                module.training = training


def checked(logits: torch.Tensor, images: int, *, learns: bool = False) -> torch.Tensor:
    """Give logits as float32, or say that they are none, or nothing to learn from."""
    if isinstance(logits, torch.Tensor):
        if logits.shape == (images, 10) and not logits.is_complex():
            if learns and not logits.requires_grad:
                raise ValueError(
                    "the logits don't depend on anything that the model can learn: "
                    "look for no_grad, detach, numpy or torch.tensor in its forward, "
                    "or for frozen layers"
                )
            return logits.float()
        found = f"{'complex ' * logits.is_complex()}{tuple(logits.shape)}"
    else:
        found = f"a {type(logits).__name__}"
    count = "1 image" if images == 1 else f"{images} images"
    raise ValueError(
        f"the model must return logits of shape {(images, 10)} for {count}, but it "
        f"returned {found}"
    )


def judge(logits: torch.Tensor, labels: torch.Tensor) -> Evaluation:
    """Compare logits (N, 10) with labels (N,)."""
    cost = F.cross_entropy(logits, labels)
    return Evaluation(float(cost), accuracy(logits, labels))


def diverged(
    model: nn.Module, epoch: int, trained: Evaluation, batches: Iterable[Any]
) -> str:
    """Say where in an epoch a training run diverged; if it didn't, nothing.

    Each of the batches has indices, labels and logits.
    """
    learned = (p for p in model.parameters() if p.requires_grad)  # not masks
    if not math.isfinite(trained.cost):
        costs = [F.cross_entropy(logits, labels) for _, labels, logits in batches]
        batch = int(torch.stack(costs).isfinite().int().argmin())
        return f"the cost is no longer finite in epoch {epoch}, batch {batch}"
    if not all(p.isfinite().all() for p in learned):
        return f"the weights are no longer finite at the end of epoch {epoch}"
    return ""


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Compute correct / N; counted on the device, divided here.

    (An exact mean on the device would need float64, which Apple's GPUs lack.)
    """
    return int((logits.argmax(dim=1) == labels).sum()) / len(labels)


def want_module(who: str, model: object) -> None:
    """Refuse what is no model; a class is not an instance of it."""
    if isinstance(model, type):
        name = model.__name__
        raise TypeError(f"{who} takes a model, not its class: write {name}()")
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{who} takes a torch.nn.Module as its model, not {short(model)}"
        )


def want_digits(who: str, digits: object) -> None:
    """Refuse what is no Digits."""
    if not isinstance(digits, Digits):
        what = digits.__name__ if isinstance(digits, type) else type(digits).__name__
        raise TypeError(
            f"{who} takes Digits, images together with their labels, not {what}: "
            "make them with Digits(images, labels), or take mnist.train"
        )
