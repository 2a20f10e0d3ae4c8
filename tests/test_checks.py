"""The self-checks: what learners write, right and wrong, gets its own verdict."""

import contextlib
from fractions import Fraction
from operator import setitem

import numpy as np
import pytest
import torch
from scipy import ndimage, special
from torch.autograd.functional import jacobian, vjp
from torch.nn import functional as F

from mnist_lesson import MEAN, STD, checks


def convolved(x, w):
    return F.conv2d(x[None, None], w[None, None])[0, 0]


def pytorchs_step(p, g, v, eta, mu):
    """Take a step of momentum, in place, as many learners will."""
    p = torch.nn.Parameter(p)
    p.grad = g
    optimizer = torch.optim.SGD([p], lr=eta, momentum=mu)
    optimizer.state[p]["momentum_buffer"] = v
    optimizer.step()
    return p, optimizer.state[p]["momentum_buffer"]


def counted(labels, answers, size):
    """Count into a table of as many rows and columns as some think there are."""
    table = torch.zeros(size, size, dtype=torch.int64)
    return table.index_put((labels, answers), torch.tensor(1), accumulate=True)


# A right function for each exercise, found by other means than the exercise's own.
RIGHT = {
    checks.scale: lambda p: (p.double() - MEAN).div(STD),
    checks.centre_of_mass: ndimage.center_of_mass,
    checks.softmax: lambda z: (z - z.logsumexp(1, keepdim=True)).exp(),
    checks.cross_entropy: lambda z, y: F.nll_loss(z - z.logsumexp(1, keepdim=True), y),
    checks.hidden_gradient: lambda d, W, H: vjp(lambda a: a.relu() @ W.T, H, d)[1],
    checks.sigmoid_gradient: lambda a: jacobian(torch.sigmoid, a).diagonal(),
    checks.output_size: lambda W, F, S, P: len(range(F, W + 2 * P + 1, S)),
    checks.convolve: convolved,
    checks.max_pool: lambda x: F.max_pool2d(x[(None,) * (4 - x.ndim)], 2).squeeze(),
    checks.momentum_step: pytorchs_step,
    checks.confusion_matrix: lambda y, a: F.one_hot(y, 10).T @ F.one_hot(a, 10),
}
# What else learners write for an exercise, and what the verdict says.
LEARNERS = [
    ("softmax", lambda z: special.softmax(z.astype(float), axis=1), "Right"),
    ("centre_of_mass", lambda ink: ndimage.center_of_mass(ink.numpy()), "Right"),
    ("softmax", lambda z: z.exp() / z.exp().sum(1)[:, None], "not for logits in the"),
    ("cross_entropy", lambda z, y: F.nll_loss(z.softmax(1).log(), y), "logsumexp"),
    ("cross_entropy", lambda z, y: z[:, 0], "has shape (2,), but should have ()"),
    ("sigmoid_gradient", lambda a: a.exp() / (1 + a.exp()) ** 2, "not for -1000 or"),
    ("convolve", lambda x, w: x[4:, 4:] * w, "a window runs over the edge, or has"),
    ("convolve", lambda x, w: setitem(x, (0, 0), x[:3, :3] * w), "are not added up; y"),
    ("convolve", lambda x, w: convolved(x, w)[:, :4], "but not when it is wide"),
    ("convolve", lambda x, w: convolved(x, w + torch.zeros(3, 3)), "3 x 3 only"),
    ("max_pool", lambda x: x.reshape(2, 2, 2, 2).amax((1, 3)), "raised RuntimeError"),
    ("convolve", lambda x, w: convolved(x, w).long(), "numbers are not"),
    ("max_pool", lambda x: RIGHT[checks.max_pool](x).int(), "numbers are not"),
    (
        "max_pool",
        lambda x: RIGHT[checks.max_pool](x)[..., : x.shape[-2] // 2],
        "they are wide",
    ),
    (
        "confusion_matrix",
        lambda y, a: counted(y, a, y.max() + 1),
        "10 x 10 in any case",
    ),
    (
        "confusion_matrix",
        lambda y, a: counted(y, a, a.max() + 1),
        "10 x 10 in any case",
    ),
    ("momentum_step", lambda p, g, v, *_: p - g, "returns Tensor, not 2 tensors"),
    ("momentum_step", lambda p, g, v, *_: (1.0, v), "returns tuple, not 2 tensors"),
    ("momentum_step", lambda p, g, v, *_: (p, v[0]), "the velocity has shape (3,)"),
    ("momentum_step", lambda p, g, v, *_: (p.sum(), v), "the parameter has shape ()"),
]


def table(check):
    """Give each sentence of an exercise, and a function that deserves it."""
    this = checks.EXERCISES[check.__name__]
    return {
        sentence: lambda *a, s=sentence: this.table(*a)[s]
        for sentence in this.table(*this.cases[0])
    }


def wrapped(wrap, function):
    """Wrap what a function returns, or each of its two parts."""

    def function_of(*arguments):
        answer = function(*arguments)
        pair = isinstance(answer, tuple) and isinstance(answer[0], torch.Tensor)
        return (*map(wrap, answer),) if pair else wrap(answer)

    return function_of


def tensor(answer):
    if not isinstance(answer, torch.Tensor):
        return torch.as_tensor(np.asarray(answer, dtype=np.float32))
    return answer.detach().float()


def rounded(answer):
    return tensor(answer).bfloat16()


def test_each_exercise_has_a_check():
    assert [check.__name__ for check in RIGHT] == [*checks.EXERCISES]
    assert all(check.__doc__ for check in RIGHT)


@pytest.mark.parametrize(("name", "function", "hint"), LEARNERS)
def test_what_learners_write_has_its_hint(name, function, hint):
    verdict = getattr(checks, name)(function)
    assert hint in repr(verdict)
    assert bool(verdict) == (hint == "Right")


@pytest.mark.parametrize("check", RIGHT)
def test_numbers_that_no_mistake_gives_are_wrong(check):
    verdict = check(wrapped(lambda answer: tensor(answer) + 7, RIGHT[check]))
    assert "numbers are not; try a case on paper" in repr(verdict)


@pytest.mark.parametrize("check", RIGHT)
def test_each_answer_has_its_own_sentence(check):
    """Numbers of little precision are told apart as well as can be."""
    (praise, right), *mistakes = table(check).items()
    for verdict in check(RIGHT[check]), check(right), check(wrapped(rounded, right)):
        assert repr(verdict) == f"Right: {praise}."
    for hint, mistake in mistakes:
        for function in mistake, wrapped(rounded, mistake):
            assert repr(check(function)) == f"Not yet: {hint}."


FORMS = {
    "a result of a graph": lambda a: tensor(a).requires_grad_() * 1,
    "an array": lambda a: tensor(a).numpy(),
    "an array of float16": lambda a: tensor(a).numpy().astype(np.float16),
    "lists": lambda a: tensor(a).tolist(),
    "a list of tensors": lambda a: [*tensor(a)] if tensor(a).ndim else [tensor(a)],
    "a tuple of arrays": lambda a: (*np.atleast_1d(tensor(a)),),
    "long doubles": lambda a: tensor(a).numpy().astype(np.longdouble),
    "fractions": lambda a: np.vectorize(Fraction, "O")(tensor(a).double().numpy()),
}


@pytest.mark.parametrize("form", FORMS)
def test_right_is_right_in_whatever_form(form):
    for check, right in RIGHT.items():
        assert check(wrapped(FORMS[form], right)), check


@contextlib.contextmanager
def default_float64():
    torch.set_default_dtype(torch.float64)
    yield
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "surroundings",
    [
        *(torch.no_grad, torch.inference_mode, default_float64),
        *(lambda: torch.device("meta"), lambda: torch.autocast("cpu")),
    ],
)
def test_right_is_right_wherever_it_is_checked(surroundings):
    for check, right in RIGHT.items():
        with surroundings():
            verdict = check(right)
        assert verdict, check


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def fail(error):
    def function(*arguments):
        raise error

    return function


def deep(*arguments):
    return deep(*arguments)


def spoil(*arguments):
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            argument.zero_()
    return arguments[0]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (3.5, "the function itself, its name without parentheses, not 3.5"),
        (torch.nn.Softmax, "hand over a function, not the class Softmax"),
        (lambda: 1, "raised TypeError"),
        (deep, "raised RecursionError"),
        (fail(ZeroDivisionError("a\nb.")), "function raised ZeroDivisionError: a b."),
        (fail(Mute()), "raised Mute."),
        (fail(SystemExit(2)), "raised SystemExit: 2"),
        (fail(ValueError("long " * 1000)), "raised ValueError: long long"),
        (lambda *a: None, "returns None; end it with a return statement"),
        (lambda *a: "text", "returns str"),
        (lambda *a: [[1], [2, 3]], "returns list"),
        (lambda *a: np.array(["1", "2"]), "returns ndarray"),
        (lambda *a: {"a": 1}, "returns dict"),
        (lambda *a: [None, None], "not numbers"),
        (lambda *a: torch.nested.nested_tensor([torch.ones(1)]), "returns Tensor"),
        (lambda *a: torch.ones(3, device="meta"), 'on the device "meta"'),
        (lambda *a: torch.ones(3) * 1j, "complex"),
        (lambda *a: 1j, "complex"),
        (lambda *a: torch.zeros(7), "Not yet"),
        (lambda *a: float("nan"), "Not yet"),
        (spoil, "Not yet"),
    ],
)
def test_whatever_a_function_does_there_is_a_hint(function, hint):
    for check in RIGHT:
        verdict = check(function)
        assert not verdict and hint in str(verdict)
        assert "\n" not in str(verdict) and len(str(verdict)) < 500


def test_the_stop_button_stops():
    with pytest.raises(KeyboardInterrupt):
        checks.softmax(fail(KeyboardInterrupt()))
