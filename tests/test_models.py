import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mnist_lesson import LeNet, LeNet5, MultilayerPerceptron, SoftmaxRegression, models
from mnist_lesson.data import PAPER

# The maps that each map of LeNet-5's layer C3 looks at: Table I of the paper.
C3 = """
    012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345
""".split()


def softmax_regression(x, w, b):
    return x.flatten(1) @ w.T + b


def perceptron(x, w1, b1, w2, b2, w3, b3):
    h1 = (x.flatten(1) @ w1.T + b1).clamp(min=0)
    return (h1 @ w2.T + b2).clamp(min=0) @ w3.T + b3


def lenet(x, w1, b1, w2, b2, w3, b3):
    """Convolution, ReLU, pooling, twice: pooling first is the same function."""
    x = F.max_pool2d(F.conv2d(x, w1, b1).relu(), 2)
    x = F.max_pool2d(F.conv2d(x, w2, b2).relu(), 2)
    return x.flatten(1) @ w3.T + b3


def squash(x):
    return 1.7159 * torch.tanh(2 / 3 * x)


def lenet5(x, w1, b1, s2, t2, *rest):
    """All units up to F6 squash their sums (the paper, section II.B)."""
    (w3, b3), (s4, t4, w5, b5, w6, b6, w, b) = (rest[:32:2], rest[1:32:2]), rest[32:]
    x = squash(F.conv2d(F.pad(x, [2] * 4, value=PAPER), w1, b1))
    x = squash(s2 * F.avg_pool2d(x, 2) + t2)
    inputs = [x[:, [*map(int, maps)]] for maps in C3]
    x = squash(torch.cat([*map(F.conv2d, inputs, w3, b3)], dim=1))
    x = squash(s4 * F.avg_pool2d(x, 2) + t4)
    x = squash(F.conv2d(x, w5, b5).flatten(1))
    return squash(x @ w6.T + b6) @ w.T + b


@pytest.mark.parametrize(
    "make, count, by_hand",
    [
        (SoftmaxRegression, 7_850, softmax_regression),
        (MultilayerPerceptron, 109_386, perceptron),
        (LeNet, 33_580, lenet),
        # C1, S2, C3, S4, C5, F6 as the paper counts them, and ten linear outputs
        (LeNet5, 156 + 12 + 1516 + 32 + 48_120 + 10_164 + 850, lenet5),
    ],
)
def test_a_model_is_its_formula_and_a_list_of_layers(make, count, by_hand):
    assert make.__name__ in models.__all__
    torch.manual_seed(0)
    model, x = make(), 3 * torch.rand(3, 1, 28, 28) - 0.4
    parameters = [*model.parameters()]
    assert sum(p.numel() for p in parameters) == count
    for p in parameters:  # also of LeNet-5's poolings, which start at 1 and 0
        p.data += 0.1 * torch.randn_like(p)
    logits = model(x)
    assert torch.allclose(logits, by_hand(x, *parameters), atol=1e-5)
    F.cross_entropy(logits, torch.tensor([1, 2, 3])).backward()
    assert all(p.grad.any() for p in parameters)
    first, rest = model[:2], model[2:]
    assert type(first) is nn.Sequential
    assert [*first, *rest] == [*model]  # the same layers, not copies
    assert torch.equal(rest(first(x)), logits) and model[-1] is [*model][-1]
    with pytest.raises(IndexError):
        model[99]


def test_the_papers_table():
    assert sum(map(len, C3)) == 60  # 60 kernels of 25 weights, and 16 biases: 1,516
    assert {"".join(C3).count(map_) for map_ in "012345"} == {10}


def test_hidden_layers_and_activation_are_free():
    torch.manual_seed(0)
    model = MultilayerPerceptron(hidden=(30, 20, 5), activation=nn.Tanh)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [30, 20, 5, 10]
    assert sum(isinstance(layer, nn.Tanh) for layer in model) == 3
    assert MultilayerPerceptron(hidden=())(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    # He et al. 2015: a standard deviation of √(2 / inputs), and no bias
    assert linear[0].weight.std().item() == pytest.approx((2 / 784) ** 0.5, rel=0.03)
    assert not any(layer.bias.any() for layer in linear)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"hidden": 5}, TypeError, "hidden must be a list of sizes: write (5,)"),
        (
            {"activation": nn.ReLU()},
            TypeError,
            "activation must make a layer each time: write nn.ReLU, not nn.ReLU()",
        ),
        (
            {"hidden": None},
            TypeError,
            "hidden must be a list of sizes, such as (128, 64), not None",
        ),
        *(
            (
                {"activation": given},
                TypeError,
                "activation must make a layer each time: write nn.ReLU, for example, "
                f"not {shown}",
            )
            for given, shown in [("relu", "'relu'"), (abs, "<built-in function abs>")]
        ),
        ({"hidden": (0,)}, ValueError, "hidden must be a whole number from 1, not 0"),
    ],
)
def test_what_makes_no_perceptron(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        MultilayerPerceptron(**arguments)
