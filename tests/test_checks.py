import contextlib
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mnist_lesson import MEAN, STD, checks


def pooled(x):
    return F.max_pool2d(x.reshape(-1, 1, 4, 4), 2).reshape(*x.shape[:-2], 2, 2)


def centre(image):
    return (np.indices(image.shape) * image).sum((1, 2)) / image.sum()


def confusion(labels, answers):
    counts = torch.zeros(10, 10)
    for label, answer in zip(labels, answers, strict=True):
        counts[label, answer] += 1
    return counts


def rushed(labels, answers):
    M = torch.zeros(10, 10)
    M[labels, answers] += 1
    return M


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


def moved(p, g, v, eta, mu):
    """In place, as many will write it."""
    v *= mu
    v += g
    p -= eta * v
    return p, v


# What learners may write, right and wrong, besides the mistakes that a check knows.
CHECKS = {
    checks.scale: {
        "Right": lambda p: (p - MEAN) / STD,
        "on paper": lambda p: p / 127.5 - 2,
    },
    checks.softmax: {
        "Right": lambda z: (z - z.logsumexp(1, keepdim=True)).exp(),
        "subtract each row's maximum": lambda z: z.exp() / z.exp().sum(1)[:, None],
        "numbers are not": lambda z: z.softmax(dim=1) + 1,
    },
    checks.cross_entropy: {
        "Right": lambda z, y: (z.logsumexp(1) - z[range(len(y)), y]).mean(),
        "logsumexp": lambda z, y: -z.softmax(1)[range(len(y)), y].log().mean(),
        "shape": lambda z, y: F.cross_entropy(z, y, reduction="none"),
    },
    checks.output_size: {
        "Right": lambda w, f, s, p: len(range(f, w + 2 * p + 1, s)),
        "on paper": lambda w, f, s, p: 7,
    },
    checks.sigmoid_gradient: {
        "Right": lambda a: a.sigmoid() * (-a).sigmoid(),
        "overflows": lambda a: (-a).exp() / (1 + (-a).exp()) ** 2,
        "on paper": lambda a: a + 7,
    },
    checks.max_pool: {
        "Right": pooled,
        "on paper": lambda x: pooled(x) + 1,
        "raised": lambda x: x.reshape(2, 2, 2, 2).amax(dim=(1, 3)),  # one map only
    },
    checks.centre_of_mass: {
        "Right": lambda i: tuple(centre(i)),
        "on paper": lambda i: (14, 14),
    },
    checks.confusion_matrix: {
        "Right": confusion,
        "once only": rushed,
        "on paper": lambda *a: confusion(*a) + 1,
        "should have (10, 10)": lambda *a: confusion(*a)[:9],
    },
    checks.convolve: {
        "Right": looped,
        "this is the mean": lambda x, w: looped(x, w, add=torch.mean),
        "products of a window are not": lambda x, w: looped(x, w, add=lambda p: p),
        "a window runs over": lambda x, w: looped(x, w, *x.shape),
        "[0, 0]": lambda x, w: F.conv2d(x[None, None], w[None, None]),
        "not when it is wide": lambda x, w: looped(x, w, columns=len(x) - len(w) + 1),
        "3 x 3 only": lambda x, w: looped(x, w, size=3),
        "on paper": lambda x, w: looped(x, w) + 1,
    },
    checks.momentum_step: {
        "Right": moved,
        "comes first": lambda *a: moved(*a)[::-1],
        "gives a Tensor, not two": lambda *a: moved(*a)[0],
        "the velocity has shape (3,)": lambda *a: (moved(*a)[0], moved(*a)[1][0]),
        "the parameter has shape ()": lambda *a: (a[0].sum(), moved(*a)[1]),
        "gives a tuple, not two": lambda *a: (1.0, moved(*a)[1]),
        "nothing back": lambda *a: None,
        "raised TypeError": lambda p, g: p,
        "on paper": lambda p, g, v, eta, mu: moved(p, g, v, 0.2, 0.9),
    },
    checks.hidden_gradient: {
        "Right": lambda delta, W, H: torch.einsum("nk,km->nm", delta, W) * (H > 0),
        "H >= 0 is always true": lambda delta, W, H: (delta @ W) * (H >= 0),
        "on paper": lambda delta, W, H: (delta @ W) * (H > 1),
        "has shape (3, 2)": lambda delta, W, H: ((delta @ W) * (H > 0)).T,
    },
}


def test_each_exercise_is_tested():
    assert {check.__name__ for check in CHECKS} == {*checks.EXERCISES}


@pytest.mark.parametrize(
    ("check", "hint", "function"),
    [(c, hint, f) for c, answers in CHECKS.items() for hint, f in answers.items()],
)
def test_what_learners_write_has_its_hint(check, hint, function):
    verdict = check(function)
    assert hint in str(verdict)
    assert bool(verdict) == (hint == "Right")


@pytest.mark.parametrize(
    ("check", "hint"),
    [(c, hint) for c in CHECKS for hint in checks.EXERCISES[c.__name__].mistakes],
)
def test_each_mistake_is_told_from_all_others(check, hint):
    mistake = checks.EXERCISES[check.__name__].mistakes[hint]
    assert str(check(mistake)) == f"Not yet: {hint}."


def test_the_cases_of_the_output_size_are_right():
    for w, f, s, p in [(28, 5, 1, 0), (5, 3, 2, 1), (7, 2, 2, 0)]:
        size = F.conv2d(torch.zeros(1, 1, w, w), torch.zeros(1, 1, f, f), None, s, p)
        assert checks.EXERCISES["output_size"].right(w, f, s, p) == size.shape[-1]


def test_the_gradient_of_the_hidden_sums_is_autograds():
    torch.manual_seed(0)
    A, W = torch.randn(4, 5, requires_grad=True), torch.randn(3, 5)
    H = A.relu()
    Z = H @ W.T
    Z.retain_grad()
    F.cross_entropy(Z, torch.tensor([0, 1, 2, 1])).backward()
    right = checks.EXERCISES["hidden_gradient"].right
    assert torch.allclose(right(Z.grad, W, H), A.grad)


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
    known = CHECKS[check] | checks.EXERCISES[check.__name__].mistakes
    for hint, function in known.items():
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
