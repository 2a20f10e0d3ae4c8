"""Self-checks for the exercises: call one on your own function and read the verdict.

A verdict says "Right" or gives a hint at the mistake. An exercise is a right function,
the inputs that it is tried on, and the mistakes that people make: functions, too, with
a sentence each.
"""

from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from ._judging import EXERCISES as EXERCISES
from ._judging import Verdict as Verdict
from ._judging import exercise
from .data import MEAN, STD

Array = np.ndarray

_floats = partial(torch.tensor, dtype=torch.float32, device="cpu")
_whole = partial(torch.tensor, dtype=torch.int64, device="cpu")


@exercise(
    "the training digits' mean becomes 0, their standard deviation 1",
    [(_whole([[0, 1, 33, 51], [100, 128, 200, 255]]).to(torch.uint8),)],
    {
        "this goes from 0 to 1; subtract the mean and divide by the standard deviation "
        "instead": lambda p: p / 255,
        "this goes from -1 to 1, whose mean is not 0; subtract the mean": (
            lambda p: p / 127.5 - 1
        ),
        "the mean is subtracted; now divide by the standard deviation": (
            lambda p: p - MEAN
        ),
        "divide by the standard deviation, not by 255": lambda p: (p - MEAN) / 255,
        "the mean is still there; subtract it before the division": lambda p: p / STD,
        "/ comes before -: put the difference in parentheses": lambda p: p - MEAN / STD,
        "the quotient is right, the mean was subtracted after it; subtract first": (
            lambda p: p / STD - MEAN
        ),
        "MEAN and STD are grey levels from 0 to 255; do not divide the pixels by 255 "
        "first": lambda p: (p / 255 - MEAN) / STD,
        "ink is dark and paper bright, the wrong way round; take the negative": (
            lambda p: (MEAN - p) / STD
        ),
        "divide by the standard deviation, not by its square, the variance": (
            lambda p: (p - MEAN) / STD**2
        ),
        "the grey levels between are lost; divide with / and not with //": (
            lambda p: (p - MEAN) // STD
        ),
        "bytes wrap around below 0; make floats of them before you subtract": (
            lambda p: (p - 33) / STD
        ),
        "these are the grey levels as they were; subtract the mean, divide by the "
        "standard deviation": lambda p: p,
    },
)
def scale(p: torch.Tensor) -> torch.Tensor:
    """Check a scaling: grey levels, uint8 of any shape, standardized to floats."""
    return (p - MEAN) / STD


def _centre(ink: Array) -> Array:
    means: Array = (np.indices(ink.shape) * ink).sum((1, 2)) / ink.sum()
    return means


def _middle(ink: Array) -> Array:
    rows_and_columns = np.nonzero(ink)
    return np.array([(places.min() + places.max()) / 2 for places in rows_and_columns])


_INK = np.zeros((28, 28), np.float32)
_INK[3:20, 6:9] = 200  # an L, with a faint foot
_INK[17:20, 9:22] = 50


@exercise(
    "the mean place of the ink, row first",
    [(_INK,)],
    {
        "row and column are swapped; the row comes first": (
            lambda ink: _centre(ink)[::-1]
        ),
        "this is the middle of the bounding box; weigh each pixel's place with its "
        "ink": _middle,
        "this is the middle of the bounding box's edges; weigh each pixel's place with "
        "its ink": lambda ink: _middle(ink) + 0.5,
        "every inked pixel counts alike here; weigh each with its ink": (
            lambda ink: _centre(ink > 0)
        ),
        "divide by the mass, the sum of all the ink, not by the number of pixels": (
            lambda ink: _centre(ink) * ink.sum() / ink.size
        ),
        "divide by the mass, the sum of all the ink, not by the number of inked "
        "pixels": (lambda ink: _centre(ink) * ink.sum() / (ink > 0).sum()),
        "these are whole numbers; round only when you move the picture": (
            lambda ink: _centre(ink).round()
        ),
        "rows and columns count from 0, not from 1": lambda ink: _centre(ink) + 1,
    },
)
def centre_of_mass(ink: Array) -> Array:
    """Check a centre of mass: ink, float32 (28, 28), to (row, column) from 0."""
    return _centre(ink)


# Two images and four classes are enough to tell mistakes apart.
_LOGITS = _floats([[1, 2, 3, 0], [0.5, -1, 0, 4]])
_LABELS = _whole([1, 3])
_LARGE = "right for small logits, but not for logits in the thousands; "


@exercise(
    "each row sums to 1, and large logits are no problem",
    [(_LOGITS,)],
    {
        "the largest is always 1; divide by the sum of the exponentials, not by their "
        "maximum": lambda z: z.exp() / z.exp().amax(dim=1, keepdim=True),
        "the columns sum to 1, but the rows should; sum over the digits, with dim=1 "
        "and keepdim=True": lambda z: z.softmax(dim=0),
        "all entries together sum to 1, but each row should; sum with dim=1 and "
        "keepdim=True": lambda z: z.exp() / z.exp().sum(),
        "these are the exponentials; divide each row by its sum": torch.exp,
        "take the exponentials of the logits before you divide by their sum": (
            lambda z: z / z.sum(dim=1, keepdim=True)
        ),
        "these are the logarithms of the probabilities": lambda z: z.log_softmax(dim=1),
    },
    extremes={
        _LARGE + "subtract each row's maximum before you take the exponentials": (
            1000 * _LOGITS,
        )
    },
)
def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Check a softmax: logits, float32 (N, 10), to probabilities of the same shape."""
    return logits.softmax(dim=1)


def _of_labels(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return probabilities[range(len(labels)), labels]


@exercise(
    "the mean of -log p(label), for large logits too",
    [(_LOGITS, _LABELS)],
    {
        "the sign is wrong; a cost is -log of a probability, never negative": (
            lambda z, labels: -F.cross_entropy(z, labels)
        ),
        "this is the sum over the batch; take the mean, so that the cost does not "
        "depend on the batch size": partial(F.cross_entropy, reduction="sum"),
        "a softmax is taken twice; the logits go in as they are": (
            lambda z, labels: F.cross_entropy(z.softmax(dim=1), labels)
        ),
        "the logarithm is to base 2; take the natural one": (
            lambda z, labels: -_of_labels(z.softmax(dim=1).log2(), labels).mean()
        ),
        "this is one minus the probability of the label; take -log of that "
        "probability": lambda z, y: (1 - _of_labels(z.softmax(dim=1), y)).mean(),
    },
    extremes={
        _LARGE + "use torch.logsumexp(logits, dim=1), or log_softmax": (
            1000 * _LOGITS,
            _LABELS,
        )
    },
)
def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Check a mean cross-entropy: logits (N, 10) and labels (N,) to one number."""
    return F.cross_entropy(logits, labels)


@exercise(
    "back through the weights, and on where ReLU let something pass",
    [
        (
            # As many units above as below: a transposed W must not give itself away.
            _floats([[0.2, -0.5, 0.3], [-0.1, 0.4, -0.3]]),
            _floats([[1.0, -2.0, 0.5], [0.5, 1.5, -1.0], [2.0, 0.25, 3.0]]),
            _floats([[1.5, 0.0, 2.0], [0.0, 0.5, 3.0]]),
        )
    ],
    {
        "where ReLU gave 0 nothing passes; multiply by H > 0 (H >= 0 is always true)": (
            lambda delta, W, H: delta @ W
        ),
        "nothing passes where ReLU gave 0, and all where it gave more; this is the "
        "other way round": lambda delta, W, H: (delta @ W) * (H == 0),
        "multiply by 1 where H is above 0, not by H itself": (
            lambda delta, W, H: (delta @ W) * H
        ),
        "W is the wrong way round; delta has a column for each row of W, so delta "
        "@ W": (lambda delta, W, H: (delta @ W.T) * (H > 0)),
        "first back through the weights, then through ReLU; H belongs to the sums "
        "below": lambda delta, W, H: (delta * (H > 0)) @ W,
        "H (1 - H) is for the sigmoid; ReLU's derivative is 1 or 0": (
            lambda delta, W, H: (delta @ W) * H * (1 - H)
        ),
        "delta is a mean over the batch already; do not divide by N again": (
            lambda delta, W, H: (delta @ W) * (H > 0) / len(delta)
        ),
        "the sign is wrong; the step against the gradient comes later": (
            lambda delta, W, H: -(delta @ W) * (H > 0)
        ),
    },
)
def hidden_gradient(
    delta: torch.Tensor, W: torch.Tensor, H: torch.Tensor
) -> torch.Tensor:
    """Check one step of backpropagation, through the ReLU of a hidden layer.

    From the derivative of the cost by the sums above, (N, K), the weights above,
    (K, M), and the hidden outputs, (N, M), to that by the hidden sums, (N, M).
    """
    return (delta @ W) * (H > 0)


@exercise(
    "s (1 - s), far from 0 too",
    [(_floats([-2.0, -0.5, 0.25, 1.0, 3.0]),)],
    {
        "this is the sigmoid itself; multiply it by one minus itself": torch.sigmoid,
        "the sign inside is wrong; one minus the sigmoid, not one plus": (
            lambda a: a.sigmoid() * (1 + a.sigmoid())
        ),
        "this is the derivative of tanh": lambda a: 1 - a.tanh() ** 2,
        "the sign is wrong; the sigmoid rises, so its slope is positive": (
            lambda a: -a.sigmoid() * (1 - a.sigmoid())
        ),
        "this is one minus the sigmoid; multiply it by the sigmoid": (
            lambda a: 1 - a.sigmoid()
        ),
        "take the sigmoid first; s (1 - s) is of its output s, not of the input": (
            lambda a: a * (1 - a)
        ),
        "the square is of tanh's derivative; here it is s - s squared": (
            lambda a: 1 - a.sigmoid() ** 2
        ),
    },
    extremes={
        "right for small numbers, but not for -1000 or 1000, where an exponential "
        "overflows; torch.exp(-a.abs()) does not, and the slope at -a is that at a": (
            _floats([-1000.0, 0.0, 1000.0]),
        )
    },
)
def sigmoid_gradient(a: torch.Tensor) -> torch.Tensor:
    """Check a derivative of the sigmoid: float32 (N,) to its slope at each, (N,)."""
    return a.sigmoid() * (1 - a.sigmoid())


@exercise(
    "(W - F + 2P) / S, rounded down, plus 1",
    [(28, 5, 1, 0), (5, 3, 2, 1), (12, 5, 1, 2), (7, 2, 2, 0)],
    {
        "add 1; a window that fits exactly has one position, not none": (
            lambda W, F, S, P: (W - F + 2 * P) // S
        ),
        "padding is added on both sides, so 2P": lambda W, F, S, P: (
            (W - F + P) // S + 1
        ),
        "padding makes the input larger; add 2P to W": (
            lambda W, F, S, P: (W - F) // S + 1
        ),
        "round down; a window that does not fit is left out": (
            lambda W, F, S, P: (W - F + 2 * P) / S + 1
        ),
        "divide by the stride; the window moves S pixels at a time": (
            lambda W, F, S, P: W - F + 2 * P + 1
        ),
    },
)
def output_size(W: int, F: int, S: int, P: int) -> int:
    """Check the number of windows of a convolution, from W, F, S and P."""
    return (W - F + 2 * P) // S + 1


def _windows(x: torch.Tensor, size: int, stride: int = 1) -> torch.Tensor:
    """Give the windows of a map: (…, H, W) → (…, rows, columns, size, size)."""
    return x.unfold(-2, size, stride).unfold(-2, size, stride)


def _convolved(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return (_windows(image, len(kernel)) * kernel).sum((2, 3))


_IMAGE = torch.arange(48, device="cpu").reshape(6, 8).mul(5).remainder(11).float() - 3
_KERNEL = _floats([[1, 2, 0], [-1, 0, 3], [0, -2, 4]])


@exercise(
    "the sum of products at every place where the kernel fits",
    [(_IMAGE[:, :6], _KERNEL)],
    {
        "this is a convolution in the sense of mathematics, with the kernel turned by "
        "180 degrees; take it as it is": lambda x, w: _convolved(x, w.flip(0, 1)),
        "the kernel's rows and columns are swapped": lambda x, w: _convolved(x, w.T),
        "the map's rows and columns are swapped; r, down, comes first": (
            lambda x, w: _convolved(x, w).T
        ),
        "this is the mean of the products; add them up, and don't divide": (
            lambda x, w: _convolved(x, w) / w.numel()
        ),
        "the products are not added up; each window gives one number": (
            lambda x, w: _windows(x, len(w)) * w
        ),
        "the products are added up downwards only; each window gives one number": (
            lambda x, w: (_windows(x, len(w)) * w).sum(2)
        ),
        "the products are added up along rows only; each window gives one number": (
            lambda x, w: (_windows(x, len(w)) * w).sum(3)
        ),
        "the windows are added up without the kernel": (
            lambda x, w: _windows(x, len(w)).sum((2, 3))
        ),
        "the map is as large as the image: it was padded; keep to the places where the "
        "whole kernel fits": lambda x, w: _convolved(F.pad(x, (1, 1, 1, 1)), w),
        "the last windows run over the edge; there are H - F + 1 rows and W - F + 1 "
        "columns": lambda x, w: _convolved(F.pad(x, (0, 2, 0, 2)), w),
        "the last row and the last column are missing; there are H - F + 1 rows and "
        "W - F + 1 columns": lambda x, w: _convolved(x, w)[:-1, :-1],
        "the kernel moves by its own size; move it by one pixel": (
            lambda x, w: _convolved(x, w)[:: len(w), :: len(w)]
        ),
        "sums below 0 are lost; an activation function comes later": (
            lambda x, w: _convolved(x, w).relu()
        ),
        "take the two axes of size 1 away, with [0, 0]": (
            lambda x, w: _convolved(x, w)[None, None]
        ),
    },
    extremes={
        "right when the image is square, but not when it is wide; the rows are counted "
        "with image.shape[0], the columns with image.shape[1]": (_IMAGE, _KERNEL),
        "right for kernels of 3 x 3 only; take their size from kernel.shape[0]": (
            _IMAGE,
            _KERNEL[:2, :2],
        ),
    },
    errors={
        "must match": "a window runs over the edge, or has another size",
        "expand": "the products of a window are not added up",
    },
)
def convolve(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Check a cross-correlation: image (H, W), kernel (F, F) to (H-F+1, W-F+1)."""
    return _convolved(image, kernel)


_MAP = _floats([[1, 7, 2, 3], [4, 6, 5, 8], [-3, -1, 1, 0], [-4, -2, 2, 4]])
_MAPS = torch.stack([_MAP, -_MAP, _MAP.T, _MAP.flip(0), 2 * _MAP, _MAP - 5])


@exercise(
    "the largest of each 2 x 2 window, of one map and of batches of maps",
    [(_MAP,), (_MAPS.reshape(2, 3, 4, 4),)],
    {
        "this is the average of each window; keep the largest": (
            lambda x: _windows(x, 2, 2).mean((-2, -1))
        ),
        "the windows overlap; with stride 2 the next one starts 2 pixels on": (
            lambda x: _windows(x, 2).amax((-2, -1))
        ),
        "this is the smallest of each window; keep the largest": (
            lambda x: _windows(x, 2, 2).amin((-2, -1))
        ),
        "only rows are pooled; take the largest of two columns, too": (
            lambda x: torch.maximum(x[..., 0::2, :], x[..., 1::2, :])
        ),
        "only columns are pooled; take the largest of two rows, too": (
            lambda x: torch.maximum(x[..., 0::2], x[..., 1::2])
        ),
        "this is the first value of each window; keep the largest": (
            lambda x: x[..., ::2, ::2]
        ),
    },
)
def max_pool(x: torch.Tensor) -> torch.Tensor:
    """Check a 2x2 max pooling of stride 2: (H, W) or (N, C, H, W), sides halved."""
    return _windows(x, 2, 2).amax((-2, -1))


def _moved(
    p: torch.Tensor, g: torch.Tensor, v: torch.Tensor, eta: float, mu: float
) -> tuple[torch.Tensor, torch.Tensor]:
    velocity = mu * v + g
    return p - eta * velocity, velocity


_STATE = (
    _floats([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]]),
    _floats([[0.5, 1.0, -2.0], [0.75, -0.5, 1.5]]),
    _floats([[2.0, -1.0, 0.25], [1.0, 3.0, -0.5]]),
)


@exercise(
    "the velocity keeps its share and takes up the gradient; the step follows it",
    [(*_STATE, 0.2, 0.9), (*_STATE, 0.5, 0.25)],  # two: neither may be written in
    {
        "the step goes uphill; subtract the velocity, don't add it": (
            lambda p, g, v, eta, mu: _moved(p, g, v, -eta, mu)
        ),
        "the parameter follows the gradient alone; move it by the new velocity": (
            lambda p, g, v, eta, mu: (p - eta * g, mu * v + g)
        ),
        "the old velocity is left out; the new one is momentum times the old one, plus "
        "the gradient": lambda p, g, v, eta, mu: _moved(p, g, v, eta, 0),
        "the parameter is right, but the velocity is not kept; give back the new one": (
            lambda p, g, v, eta, mu: (_moved(p, g, v, eta, mu)[0], v)
        ),
        "the parameter moved by the old velocity; renew it first": (
            lambda p, g, v, eta, mu: (p - eta * v, mu * v + g)
        ),
        "the parameter is where it was; subtract learning rate times velocity": (
            lambda p, g, v, eta, mu: (p, mu * v + g)
        ),
        "the learning rate is inside the velocity; from a velocity of 0 and while the "
        "rate stays the same that takes the same steps, but PyTorch keeps the rate out "
        "of it: v = momentum * v + g, then p - learning_rate * v": (
            lambda p, g, v, eta, mu: _moved(p, eta * g, v, 1, mu)
        ),
        "the learning rate is in it twice, in the velocity and in the step": (
            lambda p, g, v, eta, mu: _moved(p, eta * g, v, eta, mu)
        ),
        "the learning rate is not used": (
            lambda p, g, v, eta, mu: _moved(p, g, v, 1, mu)
        ),
        "the gradient is multiplied by 1 - momentum; PyTorch adds all of it": (
            lambda p, g, v, eta, mu: _moved(p, (1 - mu) * g, v, eta, mu)
        ),
        "the old velocity is kept whole; multiply it by the momentum": (
            lambda p, g, v, eta, mu: _moved(p, g, v, eta, 1)
        ),
        "this is Nesterov's form, which looks a step ahead; here the parameter moves "
        "by the new velocity itself": (
            lambda p, g, v, eta, mu: (p - eta * (g + mu * (mu * v + g)), mu * v + g)
        ),
        "the velocity has the wrong sign; it sums up gradients, and the step subtracts "
        "it": lambda p, g, v, eta, mu: _moved(p, -g, v, -eta, mu),
        "the parameter comes first, then the velocity": (
            lambda p, g, v, eta, mu: _moved(p, g, v, eta, mu)[::-1]
        ),
    },
    parts=("parameter", "velocity"),
)
def momentum_step(
    p: torch.Tensor, g: torch.Tensor, v: torch.Tensor, eta: float, mu: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check a step of momentum, as `torch.optim.SGD` takes it without Nesterov's form.

    The function takes a parameter, its gradient, its velocity, the learning rate and
    the momentum, and gives back the new parameter and the new velocity.
    """
    return _moved(p, g, v, eta, mu)


def _confusion(labels: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    return torch.bincount(10 * labels + answers, minlength=100).reshape(10, 10)


@exercise(
    "rows are the true digits, columns the answers, and nothing is lost",
    [(_whole([0, 3, 3, 3, 4, 4, 9, 9, 9, 9]), _whole([0, 3, 8, 8, 4, 9, 9, 9, 4, 9]))],
    {
        "rows and columns are swapped; the row is the true digit, the column the "
        "answer": lambda labels, answers: _confusion(answers, labels),
        "each kind counts once only, however often it happens; add 1 each time "
        "(M[labels, answers] += 1 adds once where a pair repeats)": (
            lambda labels, answers: _confusion(labels, answers).clamp(max=1)
        ),
        "the right answers are missing; they belong on the diagonal": (
            lambda labels, answers: _confusion(labels, answers).fill_diagonal_(0)
        ),
        "only the right answers are counted; count the others, too": (
            lambda labels, answers: _confusion(labels, answers) * torch.eye(10)
        ),
        "these are shares of all images; give the counts": (
            lambda labels, answers: _confusion(labels, answers) / len(labels)
        ),
        "these are shares of each row; give the counts": lambda labels, answers: (
            F.normalize(_confusion(labels, answers).float(), p=1, dim=1)
        ),
    },
)
def confusion_matrix(labels: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Check a confusion matrix: labels and answers, int64 (N,), to counts (10, 10)."""
    return _confusion(labels, answers)
