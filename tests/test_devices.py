import pytest
import torch

from mnist_lesson import (
    MultilayerPerceptron,
    SoftmaxRegression,
    Trainer,
    devices,
    pick_device,
)


def test_devices(monkeypatch):
    monkeypatch.delenv("MNIST_LESSON_DEVICE", raising=False)
    found = (
        torch.accelerator.current_accelerator()
        if torch.accelerator.is_available()
        else None
    )
    assert pick_device() == (found or torch.device("cpu"))
    monkeypatch.setenv("MNIST_LESSON_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu") == Trainer(SoftmaxRegression()).device
    for wrong in "toaster", "cuda:99":
        monkeypatch.setenv("MNIST_LESSON_DEVICE", wrong)
        with pytest.raises(
            ValueError, match=f"MNIST_LESSON_DEVICE names '{wrong}'.*cpu"
        ):
            pick_device()
    with pytest.raises(ValueError, match="device names 'toaster'"):
        Trainer(SoftmaxRegression(), device="toaster")


def test_meta_holds_no_numbers():
    with pytest.raises(ValueError, match="device names 'meta', which PyTorch cannot"):
        Trainer(SoftmaxRegression(), device="meta")


@pytest.mark.parametrize("name", [3.5, None, "cuda:-1", ""])
def test_what_is_no_device(name):
    with pytest.raises(ValueError, match=r'device names .*; try "cpu"'):
        devices.find_device(name, "device")


def test_own_random_numbers():
    """A sequence that goes on where it was left, while the caller's goes on, too."""

    def draw(seed, count):
        generator = torch.Generator().manual_seed(seed)
        return [float(torch.rand((), generator=generator)) for _ in range(count)]

    own, callers = draw(3, 2), draw(5, 3)
    torch.manual_seed(5)
    numbers = devices.RandomNumbers(3, torch.device("cpu"))
    assert float(torch.rand(())) == callers[0]
    with numbers.drawn():
        assert float(torch.rand(())) == own[0]
    assert float(torch.rand(())) == callers[1]
    with pytest.raises(ZeroDivisionError), numbers.drawn():
        assert float(torch.rand(())) == own[1]
        _ = 1 / 0
    assert float(torch.rand(())) == callers[2]


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="needs an accelerator")
def test_an_accelerators_generator_is_left_alone(few):
    device = torch.accelerator.current_accelerator()
    torch.manual_seed(7)
    expected = torch.rand(3, device=device)
    trainer = Trainer(MultilayerPerceptron(), device=device)
    torch.manual_seed(7)
    trainer.fit(few, epochs=1)
    assert torch.equal(torch.rand(3, device=device), expected)
