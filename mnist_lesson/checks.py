"""Self-checks for the exercises: call one on your own function and read the verdict.

A verdict says "Right" or gives a hint at the mistake. Whatever the function does, a
check never fails with an error of its own.
"""

import contextlib
import functools
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ._values import to_array, to_tensor
from .data import MEAN, STD

# Two images and four classes are enough to tell mistakes apart.
LOGITS = torch.tensor(
    [[1, 2, 3, 0], [0.5, -1, 0, 4]], dtype=torch.float32, device="cpu"
)
LABELS = torch.tensor([1, 3], device="cpu")

# What a learner hands over: a function, it is hoped, of the right arguments.
Function = Callable[..., Any]


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


def _check(judge: Callable[[Function], str]) -> Callable[[Function], Verdict]:
    """Turn a function that praises or raises a mistake into one that gives verdicts."""

    @functools.wraps(judge)
    def check(function: Function) -> Verdict:
        try:
            with _usual_settings():
                return Verdict(True, f"Right: {judge(function)}.")
        except _Mistake as mistake:
            return Verdict(False, f"Not yet: {mistake}.")

    return check


@contextlib.contextmanager
def _usual_settings() -> Iterator[None]:
    """Compute as PyTorch does when nobody has told it otherwise."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.device("cpu"),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
        ):
            yield
    finally:
        torch.set_default_dtype(dtype)


@_check
def softmax(function: Function) -> str:
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
def cross_entropy(function: Function) -> str:
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
def output_size(function: Function) -> str:
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
def sigmoid_gradient(function: Function) -> str:
    """Check a derivative of the sigmoid: float32 (N,) to its slope at each, (N,)."""
    a = torch.tensor([-2.0, -0.5, 0.25, 1.0, 3.0])
    s = a.sigmoid()
    right = s * (1 - s)
    _compare(
        _call(function, a),
        right,
        {
            "this is the sigmoid itself; multiply it by one minus itself": s,
            "the sign inside is wrong; one minus the sigmoid, not one plus": (
                s * (1 + s)
            ),
            "this is the derivative of tanh": 1 - a.tanh() ** 2,
            "the sign is wrong; the sigmoid rises, so its slope is positive": -right,
            "this is one minus the sigmoid; multiply it by the sigmoid": 1 - s,
            "take the sigmoid first; s (1 - s) is of its output s, not of the input": (
                a * (1 - a)
            ),
            "the square is of tanh's derivative; here it is s - s squared": 1 - s**2,
        },
    )
    far = torch.tensor([-1000.0, 0.0, 1000.0])
    if not _alike(_call(function, far), torch.tensor([0.0, 0.25, 0.0])):
        raise _Mistake(
            "right for small numbers, but not for -1000 or 1000, where an exponential "
            "overflows; torch.exp(-a.abs()) does not, and the slope at -a is that at a"
        )
    return "s (1 - s), far from 0 too"


@_check
def scale(function: Function) -> str:
    """Check a scaling: grey levels, uint8 of any shape, standardized to floats."""
    levels = torch.tensor([[0, 1, 33, 51], [100, 128, 200, 255]], dtype=torch.uint8)
    p = levels.float()
    _compare(
        _call(function, levels),
        (p - MEAN) / STD,
        {
            "this goes from 0 to 1; subtract the mean and divide by the standard "
            "deviation instead": p / 255,
            "this goes from -1 to 1, whose mean is not 0; subtract the mean": (
                p / 127.5 - 1
            ),
            "the mean is subtracted; now divide by the standard deviation": p - MEAN,
            "divide by the standard deviation, not by 255": (p - MEAN) / 255,
            "the mean is still there; subtract it before the division": p / STD,
            "/ comes before -: put the difference in parentheses": p - MEAN / STD,
            "the quotient is right, the mean was subtracted after it; subtract first": (
                p / STD - MEAN
            ),
            "MEAN and STD are grey levels from 0 to 255; do not divide the pixels by "
            "255 first": (p / 255 - MEAN) / STD,
            "ink is dark and paper bright, the wrong way round; take the negative": (
                (MEAN - p) / STD
            ),
            "divide by the standard deviation, not by its square, the variance": (
                (p - MEAN) / STD**2
            ),
            "the grey levels between are lost; divide with / and not with //": (
                (p - MEAN) // STD
            ),
            "bytes wrap around below 0; make floats of them before you subtract": (
                (levels - 33) / STD
            ),
            "these are the grey levels as they were; subtract the mean, divide by the "
            "standard deviation": p,
        },
    )
    return "the training digits' mean becomes 0, their standard deviation 1"


@_check
def max_pool(function: Function) -> str:
    """Check a 2x2 max pooling of stride 2: (H, W) or (N, C, H, W), sides halved."""
    flat = torch.tensor([[1.0, 7, 2, 3], [4, 6, 5, 8], [-3, -1, 1, 0], [-4, -2, 2, 4]])
    deep = torch.stack([flat, -flat, flat.T, flat.flip(0), 2 * flat, flat - 5])
    for x in (flat, deep.reshape(2, 3, 4, 4)):
        maps = x.reshape(-1, 1, 4, 4)
        rows = torch.maximum(x[..., 0::2, :], x[..., 1::2, :])
        columns = torch.maximum(x[..., 0::2], x[..., 1::2])
        mistakes = {
            "this is the average of each window; keep the largest": (
                F.avg_pool2d(maps, 2)
            ),
            "the windows overlap; with stride 2 the next one starts 2 pixels on": (
                F.max_pool2d(maps, 2, stride=1)
            ),
            "this is the smallest of each window; keep the largest": (
                -F.max_pool2d(-maps, 2)
            ),
            "only rows are pooled; take the largest of two columns, too": rows,
            "only columns are pooled; take the largest of two rows, too": columns,
            "this is the first value of each window; keep the largest": x[
                ..., ::2, ::2
            ],
        }
        right, *mistaken = (
            pooled.reshape(*x.shape[:-2], *pooled.shape[-2:])
            for pooled in (F.max_pool2d(maps, 2), *mistakes.values())
        )
        hints = dict(zip(mistakes, mistaken, strict=True))
        _compare(_call(function, x), right, hints)
    return "the largest of each 2 x 2 window, of one map and of batches of maps"


@_check
def centre_of_mass(function: Function) -> str:
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


@_check
def confusion_matrix(function: Function) -> str:
    """Check a confusion matrix: labels and answers, int64 (N,), to counts (10, 10)."""
    labels = torch.tensor([0, 3, 3, 3, 4, 4, 9, 9, 9, 9])
    answers = torch.tensor([0, 3, 8, 8, 4, 9, 9, 9, 4, 9])
    right = torch.zeros(10, 10)
    for label, answer in zip(labels, answers, strict=True):
        right[label, answer] += 1
    errors = right.clone().fill_diagonal_(0)
    _compare(
        _call(function, labels, answers),
        right,
        {
            "rows and columns are swapped; the row is the true digit, the column the "
            "answer": right.T,
            "each kind counts once only, however often it happens; add 1 each time "
            "(M[labels, answers] += 1 adds once where a pair repeats)": right.clamp(
                max=1
            ),
            "the right answers are missing; they belong on the diagonal": errors,
            "only the right answers are counted; count the others, too": right - errors,
            "these are shares of all images; give the counts": right / len(labels),
            "these are shares of each row; give the counts": (
                right / right.sum(dim=1, keepdim=True).clamp(min=1)
            ),
        },
    )
    return "rows are the true digits, columns the answers, and nothing is lost"


@_check
def convolve(function: Function) -> str:
    """Check a cross-correlation: image (H, W), kernel (F, F) to (H-F+1, W-F+1)."""
    image = torch.arange(48).reshape(6, 8).mul(5).remainder(11).float() - 3
    kernel = torch.tensor([[1.0, 2, 0], [-1, 0, 3], [0, -2, 4]])
    _compare_maps(function, image[:, :6], kernel, "")
    _compare_maps(
        function,
        image,
        kernel,
        "right when the image is square, but not when it is wide; the rows are counted "
        "with image.shape[0], the columns with image.shape[1]",
    )
    _compare_maps(
        function,
        image,
        kernel[:2, :2],
        "right for kernels of 3 x 3 only; take their size from kernel.shape[0]",
    )
    return "the sum of products at every place where the kernel fits"


def _compare_maps(
    function: Function, image: torch.Tensor, kernel: torch.Tensor, hint: str
) -> None:
    """Raise a hint unless a function gives this image's feature map."""
    size = len(kernel)
    windows = image.unfold(0, size, 1).unfold(1, size, 1)
    products = windows * kernel

    def convolved(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (x.unfold(0, size, 1).unfold(1, size, 1) * w).sum((2, 3))

    right = convolved(image, kernel)
    before = (size - 1) // 2
    edges = (before, size - 1 - before) * 2
    mistakes = {
        "this is a convolution in the sense of mathematics, with the kernel turned by "
        "180 degrees; take it as it is": convolved(image, kernel.flip(0, 1)),
        "the kernel's rows and columns are swapped": convolved(image, kernel.T),
        "the map's rows and columns are swapped; r, down, comes first": right.T,
        "this is the mean of the products; add them up, and don't divide": (
            right / kernel.numel()
        ),
        "the products are not added up; each window gives one number": products,
        "the products are added up downwards only; each window gives one number": (
            products.sum(2)
        ),
        "the products are added up along rows only; each window gives one number": (
            products.sum(3)
        ),
        "the windows are added up without the kernel": windows.sum((2, 3)),
        "the map is as large as the image: it was padded; keep to the places where "
        "the whole kernel fits": convolved(F.pad(image, edges), kernel),
        "the last windows run over the edge; there are H - F + 1 rows and W - F + 1 "
        "columns": convolved(F.pad(image, (0, size - 1) * 2), kernel),
        "the last row and the last column are missing; there are H - F + 1 rows and "
        "W - F + 1 columns": right[:-1, :-1],
        "the kernel moves by its own size; move it by one pixel": right[::size, ::size],
        "sums below 0 are lost; an activation function comes later": right.clamp(min=0),
        "take the two axes of size 1 away, with [0, 0]": right[None, None],
    }
    try:
        _compare(_call(function, image, kernel), right, mistakes)
    except _Mistake as error:
        mistake = str(error)
        # What PyTorch says of a window that is too small, and of one not added up.
        if "must match" in mistake:
            mistake = f"a window runs over the edge, or has another size; {mistake}"
        elif "expand" in mistake:
            mistake = f"the products of a window are not added up; {mistake}"
        raise _Mistake(hint or mistake) from None


@_check
def momentum_step(function: Function) -> str:
    """Check a step of momentum, as `torch.optim.SGD` takes it without Nesterov's form.

    The function takes a parameter, its gradient, its velocity, the learning rate and
    the momentum, and gives back the new parameter and the new velocity.
    """
    p = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])
    g = torch.tensor([[0.5, 1.0, -2.0], [0.75, -0.5, 1.5]])
    v = torch.tensor([[2.0, -1.0, 0.25], [1.0, 3.0, -0.5]])
    for eta, mu in ((0.2, 0.9), (0.5, 0.25)):  # two: neither may be written in
        answer = _run(function, p, g, v, eta, mu)
        if isinstance(answer, torch.Tensor | np.ndarray):
            stacked = _numbers(answer)
            parts = [*stacked] if stacked.shape == (2, *p.shape) else []
        else:
            parts = [*answer] if isinstance(answer, tuple | list) else []
        if len(parts) != 2 or not all(
            isinstance(part, torch.Tensor | np.ndarray)
            or _numbers(part).shape == p.shape
            for part in parts
        ):
            raise _Mistake(
                f"your function gives a {type(answer).__name__}, not two tensors, the "
                "new parameter and the new velocity; return parameter, velocity"
            )
        pair = [_numbers(part) for part in parts]
        for name, part in zip(("parameter", "velocity"), pair, strict=True):
            if part.shape != p.shape:
                raise _Mistake(
                    f"the {name} has shape {tuple(part.shape)}, but should have "
                    f"{tuple(p.shape)}, as before the step"
                )
        w, inside, damped = mu * v + g, mu * v + eta * g, mu * v + (1 - mu) * g
        mistakes = {
            "the step goes uphill; subtract the velocity, don't add it": (
                p + eta * w,
                w,
            ),
            "the parameter follows the gradient alone; move it by the new velocity": (
                p - eta * g,
                w,
            ),
            "the old velocity is left out; the new one is momentum times the old one, "
            "plus the gradient": (p - eta * g, g),
            "the parameter is right, but the velocity is not kept; give back the new "
            "one": (p - eta * w, v),
            "the parameter moved by the old velocity; renew it first": (p - eta * v, w),
            "the parameter is where it was; subtract learning rate times velocity": (
                p,
                w,
            ),
            "the learning rate is inside the velocity; from a velocity of 0 and while "
            "the rate stays the same that takes the same steps, but PyTorch keeps the "
            "rate out of it: v = momentum * v + g, then p - learning_rate * v": (
                p - inside,
                inside,
            ),
            "the learning rate is in it twice, in the velocity and in the step": (
                p - eta * inside,
                inside,
            ),
            "the learning rate is not used": (p - w, w),
            "the gradient is multiplied by 1 - momentum; PyTorch adds all of it": (
                p - eta * damped,
                damped,
            ),
            "the old velocity is kept whole; multiply it by the momentum": (
                p - eta * (v + g),
                v + g,
            ),
            "this is Nesterov's form, which looks a step ahead; here the parameter "
            "moves by the new velocity itself": (p - eta * (g + mu * w), w),
            "the velocity has the wrong sign; it sums up gradients, and the step "
            "subtracts it": (p + eta * (mu * v - g), mu * v - g),
            "the parameter comes first, then the velocity": (w, p - eta * w),
        }
        _compare(
            torch.stack(pair),
            torch.stack([p - eta * w, w]),
            {hint: torch.stack(mistaken) for hint, mistaken in mistakes.items()},
        )
    return "the velocity keeps its share and takes up the gradient; the step follows it"


@_check
def hidden_gradient(function: Function) -> str:
    """Check one step of backpropagation, through the ReLU of a hidden layer.

    From the derivative of the cost by the sums above, (N, K), the weights above,
    (K, M), and the hidden outputs, (N, M), to that by the hidden sums, (N, M).
    """
    # As many units above as below: a transposed W must not give itself away.
    delta = torch.tensor([[0.2, -0.5, 0.3], [-0.1, 0.4, -0.3]])
    W = torch.tensor([[1.0, -2.0, 0.5], [0.5, 1.5, -1.0], [2.0, 0.25, 3.0]])
    H = torch.tensor([[1.5, 0.0, 2.0], [0.0, 0.5, 3.0]])
    arriving, active = delta @ W, (H > 0).float()
    right = arriving * active
    _compare(
        _call(function, delta, W, H),
        right,
        {
            "where ReLU gave 0 nothing passes; multiply by H > 0 (H >= 0 is always "
            "true)": arriving,
            "nothing passes where ReLU gave 0, and all where it gave more; this is the "
            "other way round": arriving * (1 - active),
            "multiply by 1 where H is above 0, not by H itself": arriving * H,
            "W is the wrong way round; delta has a column for each row of W, so delta "
            "@ W": (delta @ W.T) * active,
            "first back through the weights, then through ReLU; H belongs to the sums "
            "below": (delta * active) @ W,
            "H (1 - H) is for the sigmoid; ReLU's derivative is 1 or 0": (
                arriving * H * (1 - H)
            ),
            "delta is a mean over the batch already; do not divide by N again": (
                right / len(delta)
            ),
            "the sign is wrong; the step against the gradient comes later": -right,
        },
    )
    return "back through the weights, and on where ReLU let something pass"


def _call(function: Function, *arguments: Any) -> torch.Tensor:
    """Call a learner's function that gives numbers."""
    return _numbers(_run(function, *arguments))


def _run(function: Function, *arguments: Any) -> Any:
    """Call a learner's function; whatever goes wrong becomes a hint."""
    if not callable(function):
        raise _Mistake(
            "hand over the function itself, its name without parentheses, "
            f"not a {type(function).__name__}"
        )
    if isinstance(function, type):
        raise _Mistake(f"hand over a function, not the class {function.__name__}")
    try:
        answer = function(*map(_copy, arguments))
    except KeyboardInterrupt:  # from who waits, not from the function
        raise
    except BaseException as error:
        try:
            # Some work on arrays only, or on tensors only: right is right.
            answer = function(*map(_translate, arguments))
        except KeyboardInterrupt:
            raise
        except BaseException:
            raise _Mistake(f"your function raised {_told(error)}") from error
    if answer is None:
        raise _Mistake("your function gives nothing back; let it end in return")
    return answer


def _copy(argument: Any) -> Any:
    """Copy: a function that changes its arguments must not spoil the comparison."""
    if isinstance(argument, torch.Tensor):
        return argument.clone()
    return argument.copy() if isinstance(argument, np.ndarray) else argument


def _translate(argument: Any) -> Any:
    """Copy a tensor as an array, and an array as a tensor."""
    argument = _copy(argument)
    if isinstance(argument, torch.Tensor):
        return argument.numpy()
    return torch.from_numpy(argument) if isinstance(argument, np.ndarray) else argument


def _told(error: BaseException) -> str:
    """Give an error's name and message, on one line; even that may fail."""
    try:
        message = textwrap.shorten(str(error), 300, placeholder=" …").rstrip(".")
    except Exception:
        message = ""
    return f"{type(error).__name__}: {message}".removesuffix(": ")


def _numbers(answer: Any) -> torch.Tensor:
    """Turn what a function gave back into a tensor on the CPU, or say why not.

    Its type stays as it is: it tells how precise the numbers are.
    """
    kind = f"your function gives a {type(answer).__name__}"
    if isinstance(answer, torch.Tensor) and answer.is_meta:
        raise _Mistake(f'{kind} on the device "meta", where there are no numbers')
    try:
        if not isinstance(answer, torch.Tensor):
            answer = to_array(answer)
            if answer.dtype.kind not in "biufOc":  # text, say
                raise TypeError
            if answer.dtype.kind == "O":  # fractions, say
                answer = np.vectorize(float, [np.float64])(answer)
            elif answer.dtype.kind != "c" and answer.dtype != np.float16:
                answer = answer.astype(np.float64)
        numbers = to_tensor(answer).cpu()
        numbers.reshape(numbers.shape)  # a nested tensor has none
    except Exception as error:
        raise _Mistake(f"{kind}, not numbers") from error
    if numbers.is_complex():
        raise _Mistake(f"{kind} of complex numbers; give real ones")
    return numbers if numbers.is_floating_point() else numbers.double()


def _compare(
    answer: torch.Tensor, right: torch.Tensor, mistakes: Mapping[str, torch.Tensor]
) -> None:
    """Raise the hint for what an answer is mistaken for, unless it is right."""
    # Of numbers that are not precise, more than one candidate may be near enough.
    distances = {
        hint: float((answer.double() - candidate.double()).norm())
        for hint, candidate in [("", right), *mistakes.items()]
        if _alike(answer, candidate)
    }
    if distances:
        nearest = min(distances, key=distances.__getitem__)
        if nearest:
            raise _Mistake(nearest)
    elif answer.shape != right.shape:
        raise _Mistake(
            f"the answer has shape {tuple(answer.shape)}, but should have "
            f"{tuple(right.shape)}"
        )
    else:
        raise _Mistake(
            "the shape is right, but the numbers are not; try a case on paper"
        )


def _compare_large(
    function: Function,
    arguments: Sequence[torch.Tensor],
    right: torch.Tensor,
    hint: str,
) -> None:
    """Raise a hint when large logits, in the thousands, are too much."""
    if not _alike(_call(function, *arguments), right):
        raise _Mistake(
            f"right for small logits, but not for logits in the thousands; {hint}"
        )


def _alike(answer: torch.Tensor, candidate: torch.Tensor) -> bool:
    """Tell whether numbers agree, as far as their type is precise."""
    near = max(1e-5, 4 * torch.finfo(answer.dtype).eps)
    return answer.shape == candidate.shape and torch.allclose(
        answer.double(), candidate.double(), rtol=near, atol=near
    )
