import contextlib
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mnist_lesson import MEAN, STD, checks


def windows(x):
    """(..., 2h, 2w) → (..., h, 2, w, 2)."""
    return x.reshape(*x.shape[:-2], x.shape[-2] // 2, 2, x.shape[-1] // 2, 2)


SOFTMAX = {
    "Right": lambda z: z.softmax(dim=1),
    "not by their maximum": lambda z: z.exp() / z.exp().amax(dim=1, keepdim=True),
    "columns sum to 1": lambda z: z.softmax(dim=0),
    "all entries together": lambda z: z.exp() / z.exp().sum(),
    "divide each row": lambda z: z.exp(),
    "exponentials of the logits before": lambda z: z / z.sum(dim=1, keepdim=True),
    "logarithms": lambda z: z.log_softmax(dim=1),
    "subtract each row's maximum": lambda z: z.exp() / z.exp().sum(dim=1, keepdim=True),
    "numbers are not": lambda z: z.softmax(dim=1) + 1,
}
CROSS_ENTROPY = {
    "Right": F.cross_entropy,
    "sign is wrong": lambda z, y: -F.cross_entropy(z, y),
    "sum over the batch": lambda z, y: F.cross_entropy(z, y, reduction="sum"),
    "softmax is taken twice": lambda z, y: F.cross_entropy(z.softmax(dim=1), y),
    "base 2": lambda z, y: -z.log_softmax(1)[range(len(y)), y].mean() / 0.6931472,
    "one minus": lambda z, y: (1 - z.softmax(1)[range(len(y)), y]).mean(),
    "logsumexp": lambda z, y: -z.softmax(1)[range(len(y)), y].log().mean(),
    "shape": lambda z, y: F.cross_entropy(z, y, reduction="none"),
}
OUTPUT_SIZE = {
    "Right": lambda w, f, s, p: (w - f + 2 * p) // s + 1,
    "add 1": lambda w, f, s, p: (w - f + 2 * p) // s,
    "both sides": lambda w, f, s, p: (w - f + p) // s + 1,
    "padding makes": lambda w, f, s, p: (w - f) // s + 1,
    "round down": lambda w, f, s, p: (w - f + 2 * p) / s + 1,
    "divide by the stride": lambda w, f, s, p: w - f + 2 * p + 1,
    "on paper": lambda w, f, s, p: 7,
}
SIGMOID_GRADIENT = {
    "Right": lambda a: a.sigmoid() * (1 - a.sigmoid()),
    "sigmoid itself": torch.sigmoid,
    "sign inside": lambda a: a.sigmoid() * (1 + a.sigmoid()),
    "derivative of tanh": lambda a: 1 - a.tanh() ** 2,
    "sign is wrong; the sigmoid rises": lambda a: -a.sigmoid() * (1 - a.sigmoid()),
    "one minus the sigmoid; multiply": lambda a: 1 - a.sigmoid(),
    "take the sigmoid first": lambda a: a * (1 - a),
    "the square": lambda a: 1 - a.sigmoid() ** 2,
    "overflows": lambda a: (-a).exp() / (1 + (-a).exp()) ** 2,
    "on paper": lambda a: a + 7,
}
SCALE = {
    "Right": lambda p: (p - MEAN) / STD,
    "from 0 to 1": lambda p: p / 255,
    "from -1 to 1": lambda p: p / 127.5 - 1,
    "now divide": lambda p: p - MEAN,
    "not by 255": lambda p: (p - MEAN) / 255,
    "mean is still there": lambda p: p / STD,
    "in parentheses": lambda p: p - MEAN / STD,
    "subtract first": lambda p: p / STD - MEAN,
    "255 first": lambda p: (p / 255 - MEAN) / STD,
    "wrong way round": lambda p: (MEAN - p) / STD,
    "the variance": lambda p: (p - MEAN) / STD**2,
    "not with //": lambda p: (p - MEAN) // STD,
    "wrap around": lambda p: (p - 33) / STD,
    "as they were": lambda p: p,
    "on paper": lambda p: p / 127.5 - 2,
}
MAX_POOL = {
    "Right": lambda x: windows(x).amax(dim=(-3, -1)),
    "average": lambda x: windows(x).mean(dim=(-3, -1)),
    "overlap": lambda x: x.unfold(-2, 2, 1).unfold(-2, 2, 1).amax(dim=(-2, -1)),
    "smallest": lambda x: windows(x).amin(dim=(-3, -1)),
    "only rows": lambda x: windows(x).amax(dim=-3).flatten(-2),
    "only columns": lambda x: windows(x).amax(dim=-1).flatten(-3, -2),
    "first value": lambda x: x[..., ::2, ::2],
    "on paper": lambda x: windows(x).amax(dim=(-3, -1)) + 1,
    "raised": lambda x: x.reshape(2, 2, 2, 2).amax(dim=(1, 3)),  # one map only
}


def centre(image):
    return (np.indices(image.shape) * image).sum((1, 2)) / image.sum()


def box(image):
    places = np.argwhere(image)
    return (places.min(0) + places.max(0)) / 2


CENTRE_OF_MASS = {
    "Right": lambda i: tuple(centre(i)),
    "swapped": lambda i: centre(i)[::-1].copy(),
    "middle of the bounding box;": box,
    "bounding box's edges": lambda i: box(i) + 0.5,
    "counts alike": lambda i: centre(i > 0),
    "number of pixels": lambda i: centre(i) * i.sum() / i.size,
    "number of inked": lambda i: centre(i) * i.sum() / (i > 0).sum(),
    "whole numbers": lambda i: centre(i).round(),
    "count from 0": lambda i: centre(i) + 1,
    "on paper": lambda i: (14, 14),
}


def confusion(labels, answers):
    return torch.bincount(10 * labels + answers, minlength=100).reshape(10, 10).float()


def rushed(labels, answers):
    M = torch.zeros(10, 10)
    M[labels, answers] += 1
    return M


CONFUSION_MATRIX = {
    "Right": confusion,
    "swapped": lambda labels, answers: confusion(answers, labels),
    "once only": rushed,
    "right answers are missing": lambda *a: confusion(*a).fill_diagonal_(0),
    "only the right answers": lambda *a: confusion(*a) * torch.eye(10),
    "shares of all": lambda *a: confusion(*a) / len(a[0]),
    "shares of each row": lambda *a: F.normalize(confusion(*a), p=1, dim=1),
    "on paper": lambda *a: confusion(*a) + 1,
    "should have (10, 10)": lambda *a: confusion(*a)[:9],
}


def patches(x, w):
    return x.unfold(0, len(w), 1).unfold(1, len(w), 1)


def convolved(x, w):
    return (patches(x, w) * w).sum((2, 3))


def looped(x, w, rows=None, columns=None, add=torch.sum, size=None):
    """As learners write it, with mistakes to order."""
    size = size or len(w)
    rows = rows or x.shape[0] - size + 1
    columns = columns or x.shape[1] - size + 1
    y = torch.empty(rows, columns)
    for r in range(rows):
        for c in range(columns):
            y[r, c] = add(x[r : r + size, c : c + size] * w)
    return y


CONVOLVE = {
    "Right": looped,
    "turned by 180": lambda x, w: convolved(x, w.flip(0, 1)),
    "the kernel's rows and columns": lambda x, w: convolved(x, w.T),
    "the map's rows and columns": lambda x, w: convolved(x, w).T,
    "this is the mean": lambda x, w: looped(x, w, add=torch.mean),
    "products are not added up; each": lambda x, w: patches(x, w) * w,
    "products of a window are not": lambda x, w: looped(x, w, add=lambda p: p),
    "downwards only": lambda x, w: (patches(x, w) * w).sum(2),
    "along rows only": lambda x, w: (patches(x, w) * w).sum(3),
    "without the kernel": lambda x, w: patches(x, w).sum((2, 3)),
    "it was padded": lambda x, w: convolved(F.pad(x, (1, 1, 1, 1)), w),
    "the last windows run": lambda x, w: convolved(F.pad(x, (0, 2, 0, 2)), w),
    "a window runs over": lambda x, w: looped(x, w, *x.shape),
    "are missing": lambda x, w: convolved(x, w)[:-1, :-1],
    "by its own size": lambda x, w: convolved(x, w)[:: len(w), :: len(w)],
    "sums below 0": lambda x, w: convolved(x, w).relu(),
    "[0, 0]": lambda x, w: F.conv2d(x[None, None], w[None, None]),
    "not when it is wide": lambda x, w: looped(x, w, columns=len(x) - len(w) + 1),
    "3 x 3 only": lambda x, w: looped(x, w, size=3),
    "on paper": lambda x, w: convolved(x, w) + 1,
}


def moved(p, g, v, eta, mu):
    """In place, as many will write it."""
    v *= mu
    v += g
    p -= eta * v
    return p, v


MOMENTUM_STEP = {
    "Right": lambda p, g, v, eta, mu: (p - eta * (mu * v + g), mu * v + g),
    "uphill": lambda p, g, v, eta, mu: (p + eta * (mu * v + g), mu * v + g),
    "gradient alone": lambda p, g, v, eta, mu: (p - eta * g, mu * v + g),
    "left out": lambda p, g, v, eta, mu: (p - eta * g, g),
    "not kept": lambda p, g, v, eta, mu: (p - eta * (mu * v + g), v),
    "moved by the old": lambda p, g, v, eta, mu: (p - eta * v, mu * v + g),
    "where it was": lambda p, g, v, eta, mu: (p, mu * v + g),
    "inside the velocity": lambda p, g, v, eta, mu: (
        p - (mu * v + eta * g),
        mu * v + eta * g,
    ),
    "in it twice": lambda p, g, v, eta, mu: moved(p, eta * g, v, eta, mu),
    "rate is not used": lambda p, g, v, eta, mu: moved(p, g, v, 1, mu),
    "1 - momentum": lambda p, g, v, eta, mu: moved(p, (1 - mu) * g, v, eta, mu),
    "kept whole": lambda p, g, v, eta, mu: moved(p, g, v, eta, 1),
    "Nesterov": lambda p, g, v, eta, mu: (
        p - eta * (g + mu * (mu * v + g)),
        mu * v + g,
    ),
    "wrong sign": lambda p, g, v, eta, mu: moved(p, -g, v, -eta, mu),
    "comes first": lambda *a: moved(*a)[::-1],
    "gives a Tensor, not two": lambda *a: moved(*a)[0],
    "the velocity has shape (3,)": lambda *a: (moved(*a)[0], moved(*a)[1][0]),
    "the parameter has shape ()": lambda *a: (a[0].sum(), moved(*a)[1]),
    "gives a tuple, not two": lambda *a: (1.0, moved(*a)[1]),
    "nothing back": lambda *a: None,
    "raised TypeError": lambda p, g: p,
    "on paper": lambda p, g, v, eta, mu: moved(p, g, v, 0.2, 0.9),
}


HIDDEN_GRADIENT = {
    "Right": lambda delta, W, H: (delta @ W) * (H > 0),
    "H >= 0 is always true": lambda delta, W, H: (delta @ W) * (H >= 0),
    "other way round": lambda delta, W, H: (delta @ W) * (H == 0),
    "not by H itself": lambda delta, W, H: (delta @ W) * H,
    "W is the wrong way round": lambda delta, W, H: (delta @ W.T) * (H > 0),
    "first back through the weights": lambda delta, W, H: (delta * (H > 0)) @ W,
    "for the sigmoid": lambda delta, W, H: (delta @ W) * H * (1 - H),
    "divide by N again": lambda delta, W, H: (delta @ W) * (H > 0) / len(delta),
    "sign is wrong": lambda delta, W, H: -(delta @ W) * (H > 0),
    "on paper": lambda delta, W, H: (delta @ W) * (H > 1),
    "has shape (3, 2)": lambda delta, W, H: ((delta @ W) * (H > 0)).T,
}
CHECKS = {
    checks.scale: SCALE,
    checks.softmax: SOFTMAX,
    checks.cross_entropy: CROSS_ENTROPY,
    checks.output_size: OUTPUT_SIZE,
    checks.sigmoid_gradient: SIGMOID_GRADIENT,
    checks.max_pool: MAX_POOL,
    checks.centre_of_mass: CENTRE_OF_MASS,
    checks.confusion_matrix: CONFUSION_MATRIX,
    checks.convolve: CONVOLVE,
    checks.momentum_step: MOMENTUM_STEP,
    checks.hidden_gradient: HIDDEN_GRADIENT,
}


@pytest.mark.parametrize(
    ("check", "hint", "function"),
    [(c, hint, f) for c, answers in CHECKS.items() for hint, f in answers.items()],
)
def test_each_mistake_has_its_hint(check, hint, function):
    verdict = check(function)
    assert hint in str(verdict)
    assert bool(verdict) == (hint == "Right")


def test_the_cases_of_the_output_size_are_right():
    for w, f, s, p in [(28, 5, 1, 0), (5, 3, 2, 1), (7, 2, 2, 0)]:
        size = F.conv2d(torch.zeros(1, 1, w, w), torch.zeros(1, 1, f, f), None, s, p)
        assert OUTPUT_SIZE["Right"](w, f, s, p) == size.shape[-1]


def test_the_gradient_of_the_hidden_sums_is_autograds():
    torch.manual_seed(0)
    A, W = torch.randn(4, 5, requires_grad=True), torch.randn(3, 5)
    H = A.relu()
    Z = H @ W.T
    Z.retain_grad()
    F.cross_entropy(Z, torch.tensor([0, 1, 2, 1])).backward()
    assert torch.allclose(HIDDEN_GRADIENT["Right"](Z.grad, W, H), A.grad)


def spoil(*arguments):
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            argument.zero_()
    return arguments[0]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (None, "hand over the function itself"),
        (3.5, "parentheses, not a float"),
        (lambda *a: None, "gives nothing back"),
        (lambda *a: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda: 1, "raised TypeError"),
        (lambda *a: "text", "gives a str"),
        (lambda *a: [[1], [2, 3]], "gives a list"),
        (lambda *a: torch.zeros(7), "Not yet"),
        (lambda *a: torch.zeros(0), "Not yet"),
        (lambda *a: float("nan"), "Not yet"),
        (spoil, "Not yet"),
    ],
)
def test_bad_input_gets_a_hint(check, function, hint):
    verdict = check(function)
    assert not verdict and hint in repr(verdict) and "\n" not in repr(verdict)


def parts(wrap):
    """Wrap an answer, or each of its two parts."""
    return lambda answer: (
        tuple(map(wrap, answer))
        if isinstance(answer, tuple) and isinstance(answer[0], torch.Tensor)
        else wrap(answer)
    )


def tensor(answer):
    """Any right answer as one tensor."""
    return torch.as_tensor(np.asarray(answer, dtype=np.float32))


def backwards(answer):
    """The same numbers in an array whose strides are all negative."""
    flipped = np.flip(tensor(answer).numpy()).copy()
    return np.flip(flipped)


def leaf(answer):
    return tensor(answer).requires_grad_()


WRAPPINGS = {
    "a tensor that wants a gradient": leaf,
    "a parameter": lambda a: torch.nn.Parameter(tensor(a)),
    "a result of a graph": lambda a: leaf(a) * 1,
    "float64": lambda a: tensor(a).double(),
    "float16": lambda a: tensor(a).half(),
    "bfloat16": lambda a: tensor(a).bfloat16(),
    "sparse": lambda a: tensor(a).to_sparse(),
    "a view of negated numbers": lambda a: torch._neg_view(-tensor(a)),
    "not contiguous": lambda a: torch.stack([tensor(a)] * 2, -1)[..., 0],
    "an array": lambda a: tensor(a).numpy(),
    "an array of float16": lambda a: tensor(a).numpy().astype(np.float16),
    "an array that runs backwards": backwards,
    "big-endian": lambda a: tensor(a).numpy().astype(">f4"),
    "read-only": lambda a: np.broadcast_to(tensor(a), tensor(a).shape),
    "lists": lambda a: tensor(a).tolist(),
    "a list of tensors": lambda a: [*leaf(a)] if tensor(a).ndim else leaf(a),
    "a tuple of arrays": lambda a: (*tensor(a).numpy(),) if tensor(a).ndim else a,
    "long doubles": lambda a: tensor(a).numpy().astype(np.longdouble),
    "fractions": lambda a: np.vectorize(Fraction, "O")(tensor(a).double().numpy()),
}


@pytest.mark.filterwarnings("ignore:Sparse invariant")
@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("check", CHECKS)
def test_right_is_right_in_whatever_form(check, wrapping):
    wrap, right = parts(WRAPPINGS[wrapping]), CHECKS[check]["Right"]
    assert str(check(lambda *a: wrap(right(*a)))).startswith("Right")


@pytest.mark.parametrize("check", CHECKS)
def test_numbers_of_little_precision_are_told_apart_as_well_as_can_be(check):
    """A mistake in half precision is not taken for the right answer beside it."""
    for hint, function in CHECKS[check].items():
        verdict = check(lambda *a, f=function: parts(lambda x: tensor(x).half())(f(*a)))
        assert bool(verdict) == (hint == "Right"), (hint, verdict)


@contextlib.contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "no gradient": torch.no_grad,
    "inference": torch.inference_mode,
    "float64": default_dtype,
    "another device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu"),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
@pytest.mark.parametrize("check", CHECKS)
def test_right_is_right_wherever_it_is_checked(check, surroundings):
    with SURROUNDINGS[surroundings]():
        verdict = check(CHECKS[check]["Right"])
    assert verdict, verdict


def test_an_answer_may_come_from_autograd_where_there_is_none():
    def slope(a):
        a.requires_grad_()
        a.sigmoid().sum().backward()
        return a.grad

    with torch.no_grad():
        assert checks.sigmoid_gradient(slope)
        assert not torch.is_grad_enabled()


def test_functions_of_arrays_and_of_tensors_are_both_right():
    """Whichever the check hands over: it is the numbers that count."""

    def softmax(logits):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def centre(ink):
        places = torch.nonzero(ink).float()
        return (places * ink[ink > 0][:, None]).sum(dim=0) / ink.sum()

    assert checks.softmax(softmax)
    assert checks.centre_of_mass(centre)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def fail(error):
    def function(*arguments):
        raise error

    return function


def deep(*arguments):
    return deep(*arguments)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (fail(Mute()), "raised Mute."),
        (fail(SystemExit(2)), "raised SystemExit: 2"),
        (fail(ValueError("long " * 1000)), "raised ValueError: long long"),
        (lambda *a: sys.exit(), "raised SystemExit."),
        (deep, "raised RecursionError"),
        (lambda *a: torch.ones(3, device="meta"), 'on the device "meta"'),
        (lambda *a: torch.ones(3) * 1j, "complex"),
        (lambda *a: 1j, "complex"),
        (lambda *a: torch.nested.nested_tensor([torch.ones(1)]), "gives a Tensor"),
        (lambda *a: np.array(["1", "2"]), "gives a ndarray"),
        (lambda *a: {"a": 1}, "gives a dict"),
        (lambda *a: {1, 2}, "gives a set"),
        (lambda *a: (x for x in (1, 2)), "gives a generator"),
        (lambda *a: object(), "gives a object"),
        (lambda *a: torch.nn.ReLU, "gives a type"),
        (lambda *a: torch.nn.ReLU(), "gives a ReLU"),
        (lambda *a: [None, None], "not numbers"),
        (lambda *a: ["a", "b"], "not numbers"),
        (lambda *a: True, "Not yet"),
        (lambda *a: torch.tensor(float("inf")), "Not yet"),
        (lambda *a: [], "Not yet"),
        (torch.nn.Softmax, "hand over a function, not the class Softmax"),
        (torch.nn.Linear(3, 3), "raised"),
    ],
)
def test_whatever_a_function_does_there_is_a_hint(check, function, hint):
    verdict = check(function)
    assert not verdict and hint in str(verdict)
    assert "\n" not in str(verdict) and len(str(verdict)) < 500


@pytest.mark.parametrize("check", CHECKS)
def test_the_stop_button_stops(check):
    with pytest.raises(KeyboardInterrupt):
        check(fail(KeyboardInterrupt()))


def numpys():
    """The state of NumPy's global generator, which tutorials still use."""
    return np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_leaves_all_as_it_was(check):
    before = torch.get_rng_state(), numpys()
    with default_dtype():
        check(CHECKS[check]["Right"])
        assert torch.get_default_dtype() == torch.float64
    check(fail(ValueError()))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert numpys() == before[1]
