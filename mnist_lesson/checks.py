"""Self-checks for the exercises: call one on your own function and read the verdict.

A verdict says "Right" or gives a hint at the mistake. Each exercise is a table: for the
inputs that a function is tried on, it says what the right function returns, with the
praise for it, and below what others return, with a sentence for each mistake.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .data import MEAN, STD
from .judging import EXERCISES as EXERCISES
from .judging import Verdict as Verdict
from .judging import exercise

Table = dict[str, Any]

_floats = partial(torch.tensor, dtype=torch.float32, device="cpu")
_whole = partial(torch.tensor, dtype=torch.int64, device="cpu")


@exercise([(_whole([[0, 1, 33, 51], [100, 128, 200, 255]]).to(torch.uint8),)])
def scale(p: Tensor) -> Table:
    """Check a scaling: grey levels, uint8 of any shape, standardized to floats."""
    centred = p - MEAN
    x = centred / STD
    late, wrapped = p / STD - MEAN, (p - 33) / STD
    return {
        "the training digits' mean becomes 0, their standard deviation 1": x,
        "this goes from 0 to 1; subtract the mean and divide by the standard deviation "
        "instead": p / 255,
        "this goes from -1 to 1, whose mean is not 0; subtract the mean": p / 127.5 - 1,
        "the mean is subtracted; now divide by the standard deviation": centred,
        "divide by the standard deviation, not by 255": centred / 255,
        "the mean is still there; subtract it before the division": p / STD,
        "/ comes before -: put the difference in parentheses": p - MEAN / STD,
        "the quotient is right, the mean was subtracted after it; subtract first": late,
        "MEAN and STD are grey levels from 0 to 255; do not divide the pixels by 255 "
        "first": (p / 255 - MEAN) / STD,
        "ink is dark and paper bright, the wrong way round; take the negative": -x,
        "divide by the standard deviation, not by its square, the variance": x / STD,
        "the grey levels between are lost; divide with / and not with //": x.floor(),
        "bytes wrap around below 0; make floats of them before you subtract": wrapped,
        "these are the grey levels as they were; subtract the mean, divide by the "
        "standard deviation": p,
    }


_INK = np.zeros((28, 28), np.float32)
_INK[3:20, 6:9] = 200  # an L, with a faint foot
_INK[17:20, 9:22] = 50


@exercise([(_INK,)])
def centre_of_mass(ink: np.ndarray) -> Table:
    """Check a centre of mass: ink, float32 (28, 28), to (row, column) from 0."""
    moments = (np.indices(ink.shape) * ink).sum((1, 2))
    centre = moments / ink.sum()
    inked = np.argwhere(ink)
    middle = (inked.min(axis=0) + inked.max(axis=0)) / 2
    return {
        "the mean position of the ink, row first": centre,
        "row and column are swapped; the row comes first": centre[::-1],
        "this is the middle of the bounding box; weight each pixel's position by its "
        "ink": middle,
        "this is the middle of the bounding box's edges; weight each pixel's position "
        "by its ink": middle + 0.5,
        "every inked pixel counts alike here; weight each by its ink": inked.mean(0),
        "divide by the mass, the sum of all the ink, not by the number of "
        "pixels": moments / ink.size,
        "divide by the mass, the sum of all the ink, not by the number of inked "
        "pixels": moments / len(inked),
        "these are whole numbers; round only when you move the picture": centre.round(),
        "rows and columns count from 0, not from 1": centre + 1,
    }


# Two images and four classes are enough to tell mistakes apart.
_LOGITS = _floats([[1, 2, 3, 0], [0.5, -1, 0, 4]])
_LABELS = _whole([1, 3])
_LARGE = "right for small logits, but not for logits in the thousands; "


@exercise(
    [(_LOGITS,)],
    extremes={
        _LARGE + "subtract each row's maximum before you take the exponentials": (
            1000 * _LOGITS,
        )
    },
)
def softmax(logits: Tensor) -> Table:
    """Check a softmax: logits, float32 (N, 10), to probabilities of the same shape."""
    powers, shares = logits.exp(), logits / logits.sum(dim=1, keepdim=True)
    return {
        "each row sums to 1, and large logits are no problem": logits.softmax(dim=1),
        "the largest is always 1; divide by the sum of the exponentials, not by their "
        "maximum": powers / powers.amax(dim=1, keepdim=True),
        "the columns sum to 1, but the rows should; sum over the digits, with dim=1 "
        "and keepdim=True": logits.softmax(dim=0),
        "all entries together sum to 1, but each row should; sum with dim=1 and "
        "keepdim=True": powers / powers.sum(),
        "these are the exponentials; divide each row by its sum": powers,
        "take the exponentials of the logits before you divide by their sum": shares,
        "these are the logarithms of the probabilities": logits.log_softmax(dim=1),
    }


@exercise(
    [(_LOGITS, _LABELS)],
    extremes={
        _LARGE + "use torch.logsumexp(logits, dim=1), or log_softmax": (
            1000 * _LOGITS,
            _LABELS,
        )
    },
)
def cross_entropy(logits: Tensor, labels: Tensor) -> Table:
    """Check a mean cross-entropy: logits (N, 10) and labels (N,) to one number."""
    cost = functional.cross_entropy(logits, labels)
    softmax = logits.softmax(dim=1)
    of_labels = softmax[range(len(labels)), labels]
    return {
        "the mean of -log p(label), for large logits too": cost,
        "the sign is wrong; a cost is -log of a probability, never negative": -cost,
        "this is the sum over the batch; take the mean, so that the cost does not "
        "depend on the batch size": cost * len(labels),
        "a softmax is taken twice; the logits go in as they "
        "are": functional.cross_entropy(softmax, labels),
        "the logarithm is to base 2; take the natural one": -of_labels.log2().mean(),
        "this is one minus the probability of the label; take -log of that "
        "probability": 1 - of_labels.mean(),
    }


@exercise(
    [
        (
            # As many units above as below: a transposed W must not give itself away.
            _floats([[0.2, -0.5, 0.3], [-0.1, 0.4, -0.3]]),
            _floats([[1.0, -2.0, 0.5], [0.5, 1.5, -1.0], [2.0, 0.25, 3.0]]),
            _floats([[1.5, 0.0, 2.0], [0.0, 0.5, 3.0]]),
        )
    ]
)
def hidden_gradient(delta: Tensor, W: Tensor, H: Tensor) -> Table:
    """Check one step of backpropagation, through the ReLU of a hidden layer.

    From the derivative of the cost with respect to the sums above, (N, K), the weights
    above, (K, M), and the hidden outputs, (N, M), to that with respect to the hidden
    sums, (N, M).
    """
    G, on, N = delta @ W, H > 0, len(delta)
    right = G * on
    return {
        "back through the weights, and only where ReLU was active": right,
        "where ReLU gave 0 nothing passes; multiply by H > 0 (H >= 0 is always true)": (
            G
        ),
        "nothing passes where ReLU gave 0, and all where it gave more; this is the "
        "other way round": G * ~on,
        "multiply by 1 where H is above 0, not by H itself": G * H,
        "W is the wrong way round; delta has a column for each row of W, so delta "
        "@ W": (delta @ W.T) * on,
        "first back through the weights, then through ReLU; H belongs to the sums "
        "below": (delta * on) @ W,
        "H (1 - H) is for the sigmoid; ReLU's derivative is 1 or 0": G * H * (1 - H),
        "delta is a mean over the batch already; do not divide by N again": right / N,
        "the sign is wrong; the step against the gradient comes later": -right,
    }


@exercise(
    [(_floats([-2.0, -0.5, 0.25, 1.0, 3.0]),)],
    extremes={
        "right for small numbers, but not for -1000 or 1000, where an exponential "
        "overflows; torch.exp(-a.abs()) does not, and the slope at -a is that at a": (
            _floats([-1000.0, 0.0, 1000.0]),
        )
    },
)
def sigmoid_gradient(a: Tensor) -> Table:
    """Check a derivative of the sigmoid: float32 (N,) to its slope at each, (N,)."""
    s, raw = a.sigmoid(), a * (1 - a)
    return {
        "s (1 - s), far from 0 too": s * (1 - s),
        "this is the sigmoid itself; multiply it by one minus itself": s,
        "the sign inside is wrong; one minus the sigmoid, not one plus": s * (1 + s),
        "this is the derivative of tanh": 1 - a.tanh() ** 2,
        "the sign is wrong; the sigmoid rises, so its slope is positive": s * (s - 1),
        "this is one minus the sigmoid; multiply it by the sigmoid": 1 - s,
        "take the sigmoid first; s (1 - s) is of its output s, not of the input": raw,
        "1 - s² belongs to tanh; the sigmoid's derivative is s - s²": 1 - s**2,
    }


@exercise([(28, 5, 1, 0), (5, 3, 2, 1), (12, 5, 1, 2), (7, 2, 2, 0), (6, 3, 2, 0)])
def output_size(W: int, F: int, S: int, P: int) -> Table:
    """Check the number of windows of a convolution, from W, F, S and P."""
    room = W - F + 2 * P
    return {
        "(W - F + 2P) / S, rounded down, plus 1": room // S + 1,
        "add 1; a window that fits exactly has one position, not none": room // S,
        "padding is added on both sides, so 2P": (W - F + P) // S + 1,
        "padding makes the input larger; add 2P to W": (W - F) // S + 1,
        "round down; a window that does not fit is left out": room / S + 1,
        "round down, not to the nearest": round(room / S) + 1,
        "divide by the stride; the window moves S pixels at a time": room + 1,
    }


def _windows(x: Tensor, size: int, stride: int = 1) -> Tensor:
    """Give the windows of a map: (…, H, W) → (…, rows, columns, size, size)."""
    return x.unfold(-2, size, stride).unfold(-2, size, stride)


def _convolve(image: Tensor, kernel: Tensor) -> Tensor:
    return (_windows(image, len(kernel)) * kernel).sum((2, 3))


_IMAGE = torch.arange(48, device="cpu").reshape(6, 8).mul(5).remainder(11).float() - 3
_KERNEL = _floats([[1, 2, 0], [-1, 0, 3], [0, -2, 4]]) / 4


@exercise(
    [(_IMAGE[:, :6].clone(), _KERNEL)],
    extremes={
        "right when the image is square, but not when it is wide; the rows are counted "
        "with image.shape[0], the columns with image.shape[1]": (_IMAGE, _KERNEL),
        "right for kernels of 3 x 3 only; take their size from kernel.shape[0]": (
            _IMAGE,
            _KERNEL[:2, :2].clone(),
        ),
    },
    errors={
        "must match": "a window runs over the edge, or has another size",
        "expand": "the products of a window are not added up",
    },
)
def convolve(x: Tensor, w: Tensor) -> Table:
    """Check a cross-correlation: image (H, W), kernel (F, F) to (H-F+1, W-F+1)."""
    size, y = len(w), _convolve(x, w)
    products = _windows(x, size) * w
    down, along = products.sum(2), products.sum(3)
    return {
        "the sum of products at every place where the kernel fits": y,
        "this is a convolution in the sense of mathematics, with the kernel turned by "
        "180 degrees; take it as it is": _convolve(x, w.flip(0, 1)),
        "the kernel's rows and columns are swapped": _convolve(x, w.T),
        "the map's rows and columns are swapped; the row index comes first": y.T,
        "this is the mean of the products; add them up, and don't divide": y / size**2,
        "the products are not added up; each window gives one number": products,
        "the products are added up downwards only; each window gives one number": down,
        "the products are added up along rows only; each window gives one number": (
            along
        ),
        "the windows are added up without the kernel": _convolve(x, torch.ones_like(w)),
        "the map is as large as the image: it was padded; keep to the places where the "
        "whole kernel fits": _convolve(functional.pad(x, (1, 1, 1, 1)), w),
        "the last windows run over the edge; there are H - F + 1 rows and W - F + 1 "
        "columns": _convolve(functional.pad(x, (0, 2, 0, 2)), w),
        "the last row and the last column are missing; there are H - F + 1 rows and "
        "W - F + 1 columns": y[:-1, :-1],
        "the kernel moves by its own size; move it by one pixel": y[::size, ::size],
        "sums below 0 are lost; an activation function comes later": y.relu(),
        "take the two axes of size 1 away, with [0, 0]": y[None, None],
    }


_MAP = _floats([[1, 7, 2, 3], [4, 6, 5, 8], [-3, -1, 1, 0], [-4, -2, 2, 4]]) / 4
_MAPS = torch.stack([_MAP, -_MAP, _MAP.T, _MAP.flip(0), 2 * _MAP, _MAP - 5])


@exercise(
    [(_MAP,), (_MAPS.reshape(2, 3, 4, 4),)],
    extremes={
        "right when the maps are square, but not when they are wide; there are H/2 "
        "rows and W/2 columns": (
            torch.cat([_MAPS, _MAPS[..., :2]], dim=-1).reshape(2, 3, 4, 6),
        )
    },
)
def max_pool(x: Tensor) -> Table:
    """Check a 2x2 max pooling of stride 2: (H, W) or (N, C, H, W), sides halved."""
    windows, overlap = _windows(x, 2, stride=2), _windows(x, 2).amax((-2, -1))
    rows, columns = (x.unfold(axis, 2, 2).amax(-1) for axis in (-2, -1))
    return {
        "the largest of each 2 x 2 window, of one map and of batches of "
        "maps": windows.amax((-2, -1)),
        "this is the average of each window; keep the largest": windows.mean((-2, -1)),
        "the windows overlap; with stride 2 the next one starts 2 pixels on": overlap,
        "this is the smallest of each window; keep the largest": windows.amin((-2, -1)),
        "only rows are pooled; take the largest of two columns, too": rows,
        "only columns are pooled; take the largest of two rows, too": columns,
        "this is the first value of each window; keep the largest": x[..., ::2, ::2],
    }


_STATE = (
    _floats([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]]),
    _floats([[0.5, 1.0, -2.0], [0.75, -0.5, 1.5]]),
    _floats([[2.0, -1.0, 0.25], [1.0, 3.0, -0.5]]),
)


@exercise(
    [(*_STATE, 0.2, 0.9), (*_STATE, 0.5, 0.25)],  # two: neither may be written in
    parts=("parameter", "velocity"),
)
def momentum_step(p: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> Table:
    """Check a step of momentum, as `torch.optim.SGD` takes it without Nesterov's form.

    The function takes a parameter, its gradient, its velocity, the learning rate and
    the momentum, and gives back the new parameter and the new velocity.
    """

    def step(velocity: Tensor) -> tuple[Tensor, Tensor]:
        return p - eta * velocity, velocity

    new, inside, damped = mu * v + g, mu * v + eta * g, mu * v + (1 - mu) * g
    right, uphill = step(new), p + eta * new
    return {
        "the velocity decays, the gradient is added, and the step follows it": right,
        "the step goes uphill; subtract the velocity, don't add it": (uphill, new),
        "the parameter follows the gradient alone; move it by the new velocity": (
            p - eta * g,
            new,
        ),
        "the old velocity is left out; the new one is momentum times the old one, plus "
        "the gradient": step(g),
        "the parameter is right, but the velocity is not kept; return the new one": (
            p - eta * new,
            v,
        ),
        "the parameter moved by the old velocity; renew it first": (p - eta * v, new),
        "the parameter has not moved; subtract learning rate times velocity": (p, new),
        "the learning rate is inside the velocity; from a velocity of 0 and while the "
        "rate stays the same that takes the same steps, but PyTorch keeps the rate out "
        "of it: v = momentum * v + g, then p - learning_rate * v": (p - inside, inside),
        "the learning rate is in it twice, in the velocity and in the step": (
            step(inside)
        ),
        "the learning rate is not used": (p - new, new),
        "the gradient is multiplied by 1 - momentum; PyTorch adds all of it": (
            step(damped)
        ),
        "the old velocity is kept whole; multiply it by the momentum": step(v + g),
        "this is Nesterov's form, which looks a step ahead; here the parameter moves "
        "by the new velocity itself": (p - eta * (g + mu * new), new),
        "the velocity has the wrong sign; it sums up gradients, and the step subtracts "
        "it": (p + eta * (mu * v - g), mu * v - g),
        "the parameter comes first, then the velocity": right[::-1],
    }


@exercise(
    [(_whole([0, 3, 3, 3, 4, 4, 9, 9, 9, 9]), _whole([0, 3, 8, 8, 4, 9, 9, 9, 4, 9]))],
    extremes={
        "right when there are nines among the labels and the answers, but not without; "
        "it is 10 x 10 in any case": (_whole([0, 3, 3]), _whole([0, 3, 8]))
    },
)
def confusion_matrix(labels: Tensor, answers: Tensor) -> Table:
    """Check a confusion matrix: labels and answers, int64 (N,), to counts (10, 10)."""
    counts = torch.bincount(10 * labels + answers, minlength=100).reshape(10, 10)
    right, rows = counts * torch.eye(10), counts.sum(dim=1, keepdim=True)
    return {
        "rows are the true digits, columns the answers, and nothing is lost": counts,
        "rows and columns are swapped; the row is the true digit, the column the "
        "answer": counts.T,
        "each pair is counted only once, however often it occurs; add 1 each time "
        "(M[labels, answers] += 1 adds once where a pair repeats)": counts.clamp(max=1),
        "the right answers are missing; they belong on the diagonal": counts - right,
        "only the right answers are counted; count the others, too": right,
        "these are proportions of all images; return the counts": counts / len(labels),
        "these are proportions of each row; return the counts": counts / rows.clamp(1),
    }
