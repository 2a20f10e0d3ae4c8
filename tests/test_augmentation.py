import torch

from mnist_lesson import RandomDistortion
from mnist_lesson.data import PAPER


def test_it_happens_only_while_training():
    layer, x = RandomDistortion(), torch.rand(3, 1, 28, 28)
    assert repr(layer) == "RandomDistortion(bend=0.1, shift=1.0, wobble=1.2)"
    assert not [*layer.parameters()] and torch.equal(layer.eval()(x), x)
    torch.manual_seed(0)
    once, again = layer.train()(x), layer(x)
    assert once.shape == x.shape and once.dtype == torch.float32
    assert not torch.equal(once, x) and not torch.equal(once, again)
    torch.manual_seed(0)
    assert torch.equal(layer(x), once)
    nothing = RandomDistortion(bend=0, shift=0, wobble=0)
    assert torch.allclose(nothing(x), x, atol=1e-5)


def test_images_stay_as_they_lie_in_memory():
    """Channels last, as convolutions want it: with one channel, strides alone tell."""
    x = torch.rand(3, 1, 28, 28)
    x = torch.empty_strided(x.shape, (784, 1, 28, 1)).copy_(x)
    assert RandomDistortion().train()(x).stride() == x.stride()


def test_no_images_are_no_error():
    """One of several processes may get none of a small batch."""
    assert RandomDistortion().train()(torch.zeros(0, 1, 28, 28)).shape[0] == 0


def test_it_computes_where_its_images_are():
    x = torch.zeros(2, 1, 28, 28)
    with torch.device("meta"):
        assert RandomDistortion().train()(x).device == x.device


def test_it_moves_ink_and_brings_in_paper():
    """A dot in the middle of the paper lands at most `shift` pixels away, each way."""
    x = torch.full((500, 1, 28, 28), PAPER)
    x[:, :, 13:15, 13:15] += 2
    torch.manual_seed(0)
    moved = RandomDistortion(bend=0, shift=2, wobble=0)(x) - PAPER
    assert torch.allclose(moved[:, :, 0], torch.zeros(500, 1, 28), atol=1e-6)
    mass = moved.sum(dim=(1, 2, 3))
    assert torch.allclose(mass, torch.full((500,), 8.0), atol=1e-3)
    for places in torch.arange(28.0)[:, None], torch.arange(28.0)[None]:
        centre = (moved * places).sum(dim=(1, 2, 3)) / mass - 13.5
        assert centre.abs().max() <= 2.001
        assert centre.min() < -1.8 and centre.max() > 1.8


def test_it_bends_as_the_matrix_says():
    """With the random numbers known, each pixel is the one that A (x, y) + t names."""
    torch.manual_seed(0)
    a, b, c, d = (torch.rand(1, 2, 3)[0, :, :2] * 2 - 1).flatten() * 0.1
    x = torch.full((1, 1, 29, 29), PAPER)
    x[0, 0, 14, 24] += 2  # ten pixels to the right of the middle
    torch.manual_seed(0)
    bent = RandomDistortion(bend=0.1, shift=0, wobble=0)(x)[0, 0] - PAPER
    rows, columns = torch.meshgrid(*2 * [torch.arange(29.0)], indexing="ij")
    u, v = columns - 14, rows - 14  # where each output pixel is, from the middle
    fetched = torch.stack([(1 + a) * u + b * v, c * u + (1 + d) * v])
    far = (fetched - torch.tensor([10.0, 0.0])[:, None, None]).abs()
    expected = 2 * (1 - far).clamp(min=0).prod(dim=0)  # bilinear, of a dot of 2
    assert expected.max() > 0.5
    assert torch.allclose(bent, expected, atol=1e-3)


def test_it_wobbles_each_part_differently():
    """At the 5x5 points the moves are the random numbers, and smooth between them."""
    ramp = torch.arange(29.0).expand(1, 1, 29, 29) - 1  # a pixel's value is its column
    torch.manual_seed(0)
    torch.rand(1, 2, 3)
    drawn = 1.5 * (2 * torch.rand(1, 2, 5, 5)[0, 0] - 1)
    torch.manual_seed(0)
    moved = RandomDistortion(bend=0, shift=0, wobble=1.5)(ramp)[0, 0] - ramp[0, 0]
    points = moved[::7, ::7]  # without the outer ones, which fetch from beyond the edge
    assert torch.allclose(points[1:-1, 1:-1], drawn[1:-1, 1:-1], atol=1e-3)
    assert moved[2:-2, 2:-2].diff(dim=1).abs().max() < 1
