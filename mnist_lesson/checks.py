"""Self-checks for the exercises: call one on your own function and read the verdict.

A verdict says "Right" or gives a hint at the mistake. Whatever the function does, a
check never fails with an error of its own.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

# Two images and four classes are enough to tell mistakes apart.
LOGITS = torch.tensor([[1.0, 2.0, 3.0, 0.0], [0.5, -1.0, 0.0, 4.0]])
LABELS = torch.tensor([1, 3])


@dataclass(frozen=True, repr=False)
class Verdict:
    """The outcome of a check: true when passed; its text is what a learner reads."""

    passed: bool
    text: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.text


class _Mistake(Exception):
    """What is wrong with an answer, and a hint."""


def _check(judge: Callable[[Callable], str]) -> Callable[[Callable], Verdict]:
    """Turn a function that praises or raises a mistake into one that gives verdicts."""

    @functools.wraps(judge)
    def check(function: Callable) -> Verdict:
        try:
            return Verdict(True, f"Right: {judge(function)}.")
        except _Mistake as mistake:
            return Verdict(False, f"Not yet: {mistake}.")

    return check


@_check
def softmax(function: Callable) -> str:
    """Check a softmax: logits, float32 (N, 10), to probabilities of the same shape."""
    exponentials, right = LOGITS.exp(), LOGITS.softmax(dim=1)
    _compare(
        _call(function, LOGITS),
        right,
        {
            "the largest is always 1; divide by the sum of the exponentials, not by "
            "their maximum": exponentials / exponentials.amax(dim=1, keepdim=True),
            "the columns sum to 1, but the rows should; sum over the digits, with "
            "dim=1 and keepdim=True": LOGITS.softmax(dim=0),
            "all entries together sum to 1, but each row should; sum with dim=1 and "
            "keepdim=True": exponentials / exponentials.sum(),
            "these are the exponentials; divide each row by its sum": exponentials,
            "take the exponentials of the logits before you divide by their sum": (
                LOGITS / LOGITS.sum(dim=1, keepdim=True)
            ),
            "these are the logarithms of the probabilities": right.log(),
        },
    )
    _compare_large(
        function,
        [1000 * LOGITS],
        (1000 * LOGITS).softmax(dim=1),
        "subtract each row's maximum before you take the exponentials",
    )
    return "each row sums to 1, and large logits are no problem"


@_check
def cross_entropy(function: Callable) -> str:
    """Check a mean cross-entropy: logits (N, 10) and labels (N,) to one number."""
    right = F.cross_entropy(LOGITS, LABELS)
    probabilities = LOGITS.softmax(dim=1)
    _compare(
        _call(function, LOGITS, LABELS),
        right,
        {
            "the sign is wrong; a cost is -log of a probability, never negative": (
                -right
            ),
            "this is the sum over the batch; take the mean, so that the cost does not "
            "depend on the batch size": len(LABELS) * right,
            "a softmax is taken twice; the logits go in as they are": (
                F.cross_entropy(probabilities, LABELS)
            ),
            "the logarithm is to base 2; take the natural one": (
                right / torch.tensor(2.0).log()
            ),
            "this is one minus the probability of the label; take -log of that "
            "probability": (1 - probabilities[[0, 1], LABELS]).mean(),
        },
    )
    _compare_large(
        function,
        [1000 * LOGITS, LABELS],
        F.cross_entropy(1000 * LOGITS, LABELS),
        "use torch.logsumexp(logits, dim=1), or log_softmax",
    )
    return "the mean of -log p(label), for large logits too"


@_check
def output_size(function: Callable) -> str:
    """Check the number of windows of a convolution, from W, F, S and P."""
    cases = torch.tensor([[28, 5, 1, 0], [5, 3, 2, 1], [12, 5, 1, 2], [7, 2, 2, 0]])
    w, f, s, p = cases.T
    right = (w - f + 2 * p) // s + 1
    answers = [_call(function, *case) for case in cases.tolist()]
    if any(answer.numel() != 1 for answer in answers):
        raise _Mistake("give back one number")
    _compare(
        torch.stack([answer.reshape(()) for answer in answers]),
        right,
        {
            "add 1; a window that fits exactly has one position, not none": right - 1,
            "padding is added on both sides, so 2P": (w - f + p) // s + 1,
            "padding makes the input larger; add 2P to W": (w - f) // s + 1,
            "round down; a window that does not fit is left out": (
                (w - f + 2 * p) / s + 1
            ),
            "divide by the stride; the window moves S pixels at a time": (
                w - f + 2 * p + 1
            ),
        },
    )
    return "(W - F + 2P) / S, rounded down, plus 1"


@_check
def centre_of_mass(function: Callable) -> str:
    """Check a centre of mass: ink, float32 (28, 28), to (row, column) from 0."""
    image = np.zeros((28, 28), np.float32)
    image[3:20, 6:9] = 200  # an L, with a faint foot
    image[17:20, 9:22] = 50
    ink = torch.from_numpy(image.copy())
    places = torch.nonzero(ink).float()
    moments = (places * ink[ink > 0][:, None]).sum(0)
    right = moments / ink.sum()
    box = (places.amin(0) + places.amax(0)) / 2
    _compare(
        _call(function, image),
        right,
        {
            "row and column are swapped; the row comes first": right.flip(0),
            "this is the middle of the bounding box; weigh each pixel's place with its "
            "ink": box,
            "this is the middle of the bounding box's edges; weigh each pixel's place "
            "with its ink": box + 0.5,
            "every inked pixel counts alike here; weigh each with its ink": (
                places.mean(0)
            ),
            "divide by the mass, the sum of all the ink, not by the number of pixels": (
                moments / ink.numel()
            ),
            "divide by the mass, the sum of all the ink, not by the number of inked "
            "pixels": moments / len(places),
            "these are whole numbers; round only when you move the picture": (
                right.round()
            ),
            "rows and columns count from 0, not from 1": right + 1,
        },
    )
    return "the mean place of the ink, row first"


def _call(function: Callable, *arguments) -> torch.Tensor:
    """Call a learner's function; whatever goes wrong becomes a hint."""
    if not callable(function):
        raise _Mistake(
            "hand over the function itself, its name without parentheses, "
            f"not a {type(function).__name__}"
        )
    # Copies: a function that changes its arguments must not spoil the comparison.
    copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
    try:
        answer = function(*copies)
    except Exception as error:
        message = " ".join(str(error).split())
        raise _Mistake(
            f"your function raised {type(error).__name__}: {message}"
        ) from error
    if answer is None:
        raise _Mistake("your function gives nothing back; does it end in return?")
    try:
        return torch.as_tensor(answer).detach().to(torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _Mistake(
            f"your function gives a {type(answer).__name__}, not numbers"
        ) from error


def _compare(answer: torch.Tensor, right: torch.Tensor, mistakes: dict) -> None:
    """Raise the hint for what an answer is mistaken for, unless it is right."""
    if answer.shape != right.shape:
        raise _Mistake(
            f"the answer has shape {tuple(answer.shape)}, but should have "
            f"{tuple(right.shape)}"
        )
    if torch.allclose(answer, right.float(), atol=1e-5):
        return
    for hint, mistaken in mistakes.items():
        if torch.allclose(answer, mistaken.float(), atol=1e-5):
            raise _Mistake(hint)
    raise _Mistake("the shape is right, but the numbers are not; try a case on paper")


def _compare_large(function: Callable, arguments, right, hint: str) -> None:
    """Raise a hint when large logits, in the thousands, are too much."""
    answer = _call(function, *arguments)
    if answer.shape != right.shape or not torch.allclose(answer, right):
        raise _Mistake(
            f"right for small logits, but not for logits in the thousands; {hint}"
        )
