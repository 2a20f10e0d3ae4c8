"""The self-checks' hints: each mistake, as learners write it, gets its own."""

import numpy as np
import pytest
import torch
from scipy import ndimage, signal, special
from test_checks import RIGHT, convolved, counted
from torch.autograd.functional import jacobian
from torch.nn import functional as F

from mnist_lesson import MEAN, STD, checks

centre = ndimage.center_of_mass


def box(ink):
    """Give a box's first rows and columns, and those behind its last."""
    [place] = ndimage.find_objects((ink > 0).astype(int))
    return np.array([[side.start, side.stop] for side in place])


def moments(ink):
    return np.array([np.arange(28) @ ink.sum(1), np.arange(28) @ ink.sum(0)])


def back(d, W, H):
    """Go back through weights and ReLU, rightly."""
    return RIGHT[checks.hidden_gradient](d, W, H)


def slope(function):
    return lambda a: jacobian(function, a).diagonal()


def windows(start, end, step=1):
    return len(range(start, end + 1, step))


def each(x, w, of):
    """Take products in a loop over the windows."""
    rows, columns = (side - len(w) + 1 for side in x.shape)
    return torch.stack(
        [
            torch.stack([of(x[i:, j:][: len(w), : len(w)] * w) for j in range(columns)])
            for i in range(rows)
        ]
    )


def pooled(x, *how, by=F.max_pool2d):
    return by(x[(None,) * (4 - x.ndim)], *how).squeeze()


def sgd(p, g, v, eta, mu, **form):
    """Take a step of PyTorch's, of any form; leave the arguments as they are."""
    p, v = torch.nn.Parameter(p.clone()), v.clone()
    p.grad = g
    optimizer = torch.optim.SGD([p], lr=eta, momentum=mu, **form)
    optimizer.state[p]["momentum_buffer"] = v
    optimizer.step()
    return p.detach(), v


def new(*how):
    """Give the new velocity alone."""
    return sgd(*how)[1]


def uphill(p, *how):
    moved, velocity = sgd(p, *how)
    return 2 * p - moved, velocity


def in_one_go(y, a):
    table = torch.zeros(10, 10)
    table[y, a] += 1
    return table


# By other means than the checks' own, where there are any.
MISTAKES = {
    "scale": [
        (lambda p: p / 255, "goes from 0 to 1"),
        (lambda p: p.div(255) * 2 - 1, "goes from -1 to 1"),
        (lambda p: p - MEAN, "now divide by the standard deviation"),
        (lambda p: (p - MEAN) / 255, "standard deviation, not by 255"),
        (lambda p: p / STD, "the mean is still there"),
        (lambda p: p - MEAN / STD, "the difference in parentheses"),
        (lambda p: p / STD - MEAN, "the mean was subtracted after it"),
        (lambda p: (p / 255 - MEAN) / STD, "do not divide the pixels by 255 first"),
        (lambda p: (MEAN - p) / STD, "the wrong way round"),
        (lambda p: (p - MEAN) / STD**2, "not by its square"),
        (lambda p: (p - MEAN) // STD, "not with //"),
        (lambda p: (p.int() - 33) % 256 / STD, "bytes wrap around"),
        (lambda p: p, "the grey levels as they were"),
    ],
    "centre_of_mass": [
        (lambda ink: centre(ink.T), "swapped"),
        (lambda ink: (box(ink) - [0, 1]).mean(1), "middle of the bounding box;"),
        (lambda ink: box(ink).mean(1), "middle of the bounding box's edges"),
        (lambda ink: centre(ink > 0), "counts alike"),
        (lambda ink: moments(ink) / 784, "the number of pixels"),
        (lambda ink: moments(ink) / (ink > 0).sum(), "the number of inked pixels"),
        (lambda ink: [*map(round, centre(ink))], "these are whole numbers"),
        (lambda ink: centre(np.pad(ink, (1, 0))), "from 0, not from 1"),
    ],
    "softmax": [
        (lambda z: (z - z.amax(1, keepdim=True)).exp(), "the largest is always 1"),
        (lambda z: special.softmax(z.numpy(), 0), "the columns sum to 1"),
        (lambda z: special.softmax(z.numpy()), "all entries together sum to 1"),
        (lambda z: np.e**z, "these are the exponentials"),
        (lambda z: z / z.sum(1)[:, None], "take the exponentials of the logits before"),
        (lambda z: z - z.logsumexp(1, keepdim=True), "these are the logarithms"),
    ],
    "cross_entropy": [
        (lambda z, y: -F.cross_entropy(z, y), "the sign is wrong"),
        (lambda z, y: F.cross_entropy(z, y, reduction="sum"), "sum over the batch"),
        (lambda z, y: F.cross_entropy(z.softmax(1), y), "a softmax is taken twice"),
        (lambda z, y: F.cross_entropy(z, y) / np.log(2), "is to base 2"),
        (lambda z, y: 1 + F.nll_loss(z.softmax(1), y), "one minus the probability"),
    ],
    "hidden_gradient": [
        (lambda d, W, H: F.linear(d, W.T), "where ReLU gave 0 nothing passes"),
        (lambda d, W, H: (d @ W).where(H == 0, 0), "this is the other way round"),
        (lambda d, W, H: back(d, W, H) * H, "not by H itself"),
        (lambda d, W, H: back(d, W.T, H), "W is the wrong way round"),
        (lambda d, W, H: F.linear(d.where(H > 0, 0), W.T), "first back through the we"),
        (lambda d, W, H: (d @ W) * (H - H**2), "H (1 - H) is for the sigmoid"),
        (lambda d, W, H: back(d / 2, W, H), "do not divide by N again"),
        (lambda d, W, H: back(-d, W, H), "the sign is wrong"),
    ],
    "sigmoid_gradient": [
        (torch.sigmoid, "this is the sigmoid itself"),
        (lambda a: torch.sigmoid(a) + torch.sigmoid(a) ** 2, "sign inside is wrong"),
        (slope(torch.tanh), "the derivative of tanh"),
        (slope(lambda a: torch.sigmoid(-a)), "the sigmoid rises"),
        (lambda a: torch.sigmoid(-a), "this is one minus the sigmoid"),
        (lambda a: a - a**2, "take the sigmoid first"),
        (lambda a: 1 - torch.sigmoid(a) ** 2, "belongs to tanh"),
    ],
    "output_size": [
        (lambda W, F, S, P: windows(F + S, W + 2 * P, S), "add 1;"),
        (lambda W, F, S, P: windows(F, W + P, S), "on both sides"),
        (lambda W, F, S, P: windows(F, W, S), "add 2P to W"),
        (lambda W, F, S, P: (W - F + 2 * P + S) / S, "does not fit is left out"),
        (lambda W, F, S, P: round((W - F + 2 * P) / S) + 1, "not to the nearest"),
        (lambda W, F, S, P: windows(F, W + 2 * P), "divide by the stride"),
    ],
    "convolve": [
        (lambda x, w: signal.convolve2d(x, w, "valid"), "in the sense of mathematics"),
        (lambda x, w: convolved(x.T, w).T, "the kernel's rows and columns are swapped"),
        (lambda x, w: convolved(x, w).T, "the map's rows and columns are swapped"),
        (lambda x, w: each(x, w, torch.mean), "the mean of the products"),
        (lambda x, w: each(x, w, torch.clone), "the products are not added up;"),
        (lambda x, w: each(x, w, lambda p: p.sum(0)), "added up downwards only"),
        (lambda x, w: each(x, w, lambda p: p.sum(1)), "added up along rows only"),
        (lambda x, w: F.avg_pool2d(x[None], 3, 1)[0] * 9, "without the kernel"),
        (lambda x, w: signal.correlate2d(x, w, "same"), "it was padded"),
        (lambda x, w: convolved(F.pad(x, (0, 2, 0, 2)), w), "run over the edge"),
        (lambda x, w: convolved(x[:-1, :-1], w), "the last row and the last column"),
        (lambda x, w: F.conv2d(x[None], w[None, None], stride=3)[0], "by its own size"),
        (lambda x, w: convolved(x, w).clamp(0), "sums below 0 are lost"),
        (lambda x, w: F.conv2d(x[None, None], w[None, None]), "take the two axes"),
    ],
    "max_pool": [
        (lambda x: pooled(x, 2, by=F.avg_pool2d), "the average of each window"),
        (lambda x: pooled(x, 2, 1), "the windows overlap"),
        (lambda x: -pooled(-x, 2), "the smallest of each window"),
        (lambda x: pooled(x, (2, 1)), "only rows are pooled"),
        (lambda x: pooled(x, (1, 2)), "only columns are pooled"),
        (lambda x: pooled(x, 1, 2), "the first value of each window"),
    ],
    "momentum_step": [
        (uphill, "the step goes uphill"),
        (lambda p, g, v, *how: (p - how[0] * g, new(p, g, v, *how)), "gradient alone"),
        (lambda p, g, v, *how: sgd(p, g, 0 * v, *how), "old velocity is left out"),
        (lambda p, g, v, *how: (sgd(p, g, v, *how)[0], v), "velocity is not kept"),
        (lambda p, g, v, *how: (p - how[0] * v, new(p, g, v, *how)), "by the old vel"),
        (lambda p, *how: (p, new(p, *how)), "the parameter has not moved"),
        (lambda p, g, v, eta, mu: sgd(p, eta * g, v, 1, mu), "is inside the velocity"),
        (lambda p, g, v, eta, mu: sgd(p, eta * g, v, eta, mu), "is in it twice"),
        (lambda p, g, v, eta, mu: sgd(p, g, v, 1, mu), "learning rate is not used"),
        (lambda *how: sgd(*how, dampening=how[-1]), "multiplied by 1 - momentum"),
        (lambda p, g, v, eta, mu: sgd(p, g, v, eta, 1), "is kept whole"),
        (lambda *how: sgd(*how, nesterov=True), "this is Nesterov's form"),
        (lambda p, g, *how: uphill(p, -g, *how), "velocity has the wrong sign"),
        (lambda *how: sgd(*how)[::-1], "the parameter comes first"),
    ],
    "confusion_matrix": [
        (lambda y, a: counted(a, y, 10), "rows and columns are swapped"),
        (in_one_go, "counted only once"),
        (lambda y, a: counted(y[y != a], a[y != a], 10), "right answers are missing"),
        (lambda y, a: counted(y[y == a], a[y == a], 10), "only the right answers"),
        (lambda y, a: counted(y, a, 10) / 10, "proportions of all images"),
        (lambda y, a: F.normalize(counted(y, a, 10) / 1, 1), "proportions of each row"),
    ],
}


@pytest.mark.parametrize("name", checks.EXERCISES)
def test_each_mistake_has_its_own_hint(name):
    """And no hint is left over that no mistake gets."""
    this = checks.EXERCISES[name]
    left = [*this.table(*this.cases[0])][1:]
    for mistake, words in MISTAKES[name]:
        [hint] = [hint for hint in left if words in hint]
        left.remove(hint)
        assert repr(getattr(checks, name)(mistake)) == f"Not yet: {hint}."
    assert left == []
