"""What a model makes of digits: evaluate, predict, recognize.

Pixels are scaled on the model's own device, batch by batch; what comes out is float32,
whatever the model computes with.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .data import Digits, grey_levels, to_input
from .devices import autocast, device_of, input_format
from .events import Evaluation

if TYPE_CHECKING:
    from ._picture import Picture

EVALUATION_BATCH = 1_000  # digits; any number gives the same result


class Recognition(NamedTuple):
    """What a model sees in a picture.

    `label` is its answer; `probabilities`, float32 (10,), how likely each digit is to
    it; `image`, uint8 (28, 28), what it was shown.
    """

    label: int
    probabilities: torch.Tensor
    image: np.ndarray


def evaluate(model: nn.Module, digits: Digits) -> Evaluation:
    """Measure cost and accuracy, each over all digits at once.

    (The mean of the batches' means would give the digits of a smaller last batch too
    much weight.)

    Parameters
    ----------
    model
        Any module from (N, 1, 28, 28) to logits (N, 10), wherever it is.
    digits
        What to judge it by.

    Raises
    ------
    ValueError
        If there are no digits, or the model does not return such logits.
    """
    want_digits("evaluate", digits)
    if len(digits) == 0:
        raise ValueError("there are no digits to evaluate")
    logits = compute_logits(model, digits.images)
    return judge(logits, torch.from_numpy(digits.labels).to(logits.device))


def predict(model: nn.Module, images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Give the probability of each digit.

    Parameters
    ----------
    model
        Any module from (N, 1, 28, 28) to logits (N, 10), wherever it is.
    images
        uint8 (N, 28, 28), or one image (28, 28).

    Returns
    -------
    torch.Tensor
        float32 (N, 10), on the CPU; each row sums to 1.

    Raises
    ------
    ValueError
        If these are not such images, or the model does not return such logits.
    """
    return compute_logits(model, images).softmax(dim=1).cpu()


def recognize(model: nn.Module, file: "Picture") -> Recognition:
    """Recognize the digit in a picture of handwriting.

    Parameters
    ----------
    model
        A trained model, wherever it is.
    file
        Anything that `load_digit` takes: a path, a file object or a PIL image.

    Raises
    ------
    HandwritingError
        If there is not one digit in the picture; see `load_digit`.
    FloatingPointError
        If the model's answer is not a number: it has no opinion to report.
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
    """Compute logits in evaluation mode, and leave every layer's mode as it was.

    Parameters
    ----------
    model
        Any module from (N, 1, 28, 28) to logits (N, 10).
    images
        uint8 (N, 28, 28), or one image (28, 28).

    Returns
    -------
    torch.Tensor
        float32 (N, 10), on the model's device.
    """
    images = grey_levels(images)
    device, wanted = device_of(model), input_format(model)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), autocast(device):
            return torch.cat(
                [
                    checked(model(to_input(batch.to(device)).to(**wanted)), len(batch))
                    for batch in images.split(EVALUATION_BATCH)
                ]
            )
    finally:
        model.train(modes[model])
        for module, mode in modes.items():  # some may be kept in evaluation mode
            module.training = mode


def checked(logits: torch.Tensor, images: int) -> torch.Tensor:
    """Give logits as float32, or say that they are none."""
    if not isinstance(logits, torch.Tensor) or logits.shape != (images, 10):
        found = (
            tuple(logits.shape)
            if isinstance(logits, torch.Tensor)
            else f"a {type(logits).__name__}"
        )
        raise ValueError(
            f"the model must return logits of shape {(images, 10)} for {images} "
            f"images, but it returned {found}"
        )
    return logits.float()


def judge(logits: torch.Tensor, labels: torch.Tensor) -> Evaluation:
    """Compare logits (N, 10) with labels (N,)."""
    cost = F.cross_entropy(logits, labels)
    return Evaluation(float(cost), accuracy(logits, labels))


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Compute correct / N; counted on the device, divided here.

    (For an exact mean there it would need float64, which Apple's GPUs do not have.)
    """
    return int((logits.argmax(dim=1) == labels).sum()) / len(labels)


def want_module(who: str, model: object) -> None:
    """Refuse what is no model; a class is not an instance of it."""
    if isinstance(model, type):
        name = model.__name__
        raise TypeError(f"{who} takes a model, not its class: write {name}()")
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{who} takes a torch.nn.Module as its model, not a {type(model).__name__}"
        )


def want_digits(who: str, digits: object) -> None:
    """Refuse what is no Digits."""
    if not isinstance(digits, Digits):
        what = digits.__name__ if isinstance(digits, type) else type(digits).__name__
        raise TypeError(
            f"{who} takes Digits, images together with their labels, not {what}: "
            "make them with Digits(images, labels), or take mnist.train"
        )
