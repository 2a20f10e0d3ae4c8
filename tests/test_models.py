import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mnist_lesson import (
    LeNet,
    LeNet5,
    MultilayerPerceptron,
    SoftmaxRegression,
    models,
)


def images(count=3):
    return 2 * torch.rand(count, 1, 28, 28, generator=torch.manual_seed(0)) - 1


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (SoftmaxRegression, 784 * 10 + 10),
        (
            MultilayerPerceptron,
            784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10,
        ),
        (LeNet, 20 * (25 + 1) + 50 * (20 * 25 + 1) + 800 * 10 + 10),
        # C1, S2, C3, S4, C5, F6 as the paper counts them, and ten linear outputs
        (LeNet5, 156 + 12 + 1516 + 32 + 48_120 + 10_164 + 850),
    ],
)
def test_parameters_and_logits(make, parameters):
    torch.manual_seed(0)
    model = make()
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert parameters in (7_850, 109_386, 33_580, 60_850)
    logits = model(images())
    assert logits.shape == (3, 10) and logits.dtype == torch.float32
    # logits, not probabilities or their logarithms
    assert not torch.allclose(logits.exp().sum(dim=1), torch.ones(3), atol=1e-2)
    assert logits.min() < 0
    F.cross_entropy(logits, torch.tensor([1, 2, 3])).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize(
    "make", [SoftmaxRegression, MultilayerPerceptron, LeNet, LeNet5]
)
def test_a_slice_of_a_model_is_a_part_of_it(make):
    model = make()
    first, rest = model[:2], model[2:]
    assert type(first) is nn.Sequential
    assert list(first) + list(rest) == list(model)  # the same layers, not copies
    assert torch.equal(rest(first(images())), model(images()))
    assert list(model[::-1]) == list(model)[::-1]
    assert model[0] is next(iter(model)) and model[-1] is list(model)[-1]
    with pytest.raises(IndexError):
        model[99]


def test_softmax_regression_is_one_linear_layer():
    model = SoftmaxRegression()
    weight, bias = model.parameters()
    expected = images().reshape(3, 784) @ weight.T + bias
    assert torch.allclose(model(images()), expected, atol=1e-5)


def test_multilayer_perceptron_by_hand():
    model = MultilayerPerceptron()
    w1, b1, w2, b2, w3, b3 = model.parameters()
    h1 = (images().reshape(3, 784) @ w1.T + b1).clamp(min=0)
    h2 = (h1 @ w2.T + b2).clamp(min=0)
    assert torch.allclose(model(images()), h2 @ w3.T + b3, atol=1e-5)


def test_hidden_layers_and_activation_are_free():
    model = MultilayerPerceptron(hidden=(30, 20, 5), activation=nn.Tanh)
    widths = [layer.out_features for layer in model if isinstance(layer, nn.Linear)]
    assert widths == [30, 20, 5, 10]
    assert sum(isinstance(layer, nn.Tanh) for layer in model) == 3
    assert MultilayerPerceptron(hidden=())(images()).shape == (3, 10)


def test_lenet_is_the_usual_network():
    """Convolution, ReLU, pooling, twice: pooling first is the same function."""
    model = LeNet()
    w1, b1, w2, b2, w3, b3 = model.parameters()
    x = F.max_pool2d(F.conv2d(images(), w1, b1).relu(), 2)
    x = F.max_pool2d(F.conv2d(x, w2, b2).relu(), 2)
    expected = x.flatten(1) @ w3.T + b3
    assert torch.allclose(model(images()), expected, atol=1e-5)


def test_lenet5_is_the_network_of_1998():
    shapes = []
    model = LeNet5()
    for layer in model:
        layer.register_forward_hook(
            lambda *args: shapes.append(tuple(args[2].shape[1:]))
        )
    model(images())
    assert list(dict.fromkeys(shapes)) == [
        (1, 32, 32),
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (120, 1, 1),
        (120,),
        (84,),
        (10,),
    ]
    # "Units in layers up to F6" squash their sums (the paper, section II.B).
    squashing = [type(layer) for layer in model.modules()].count(models.ScaledTanh)
    assert squashing == 6  # C1, S2, C3, S4, C5, F6
    # "f(1) = 1 and f(-1) = -1" (the paper, appendix A)
    squash = models.ScaledTanh()
    assert torch.allclose(
        squash(torch.tensor([1.0, -1.0])), torch.tensor([1.0, -1.0]), atol=1e-4
    )


def test_c3_sees_the_maps_of_the_papers_table():
    c3 = next(m for m in LeNet5() if isinstance(m, models.PartlyConnected))
    connections = torch.zeros(16, 6, dtype=torch.int)
    for map_ in range(6):
        x = torch.zeros(1, 6, 14, 14)
        x[:, map_] = 1
        changed = (c3(x) - c3(torch.zeros_like(x))).abs().amax(dim=(0, 2, 3)) > 0
        connections[:, map_] = changed.int()
    assert connections.sum() == 60  # 60 kernels of 25 weights, and 16 biases: 1,516
    assert connections.sum(dim=1).tolist() == [3] * 6 + [4] * 9 + [6]
    assert connections.sum(dim=0).tolist() == [10] * 6  # each map is used ten times
