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


def test_own_random_numbers(monkeypatch):
    """A sequence that goes on where it was left, on every generator there is."""
    ours, accelerators = torch.default_generator, torch.Generator()
    monkeypatch.setattr(devices, "_generators", lambda device: [ours, accelerators])

    def draw():
        return [float(torch.rand((), generator=g)) for g in (ours, accelerators)]

    def seeded(seed):
        for generator in ours, accelerators:
            generator.manual_seed(seed)

    seeded(3)
    first, second = draw(), draw()
    seeded(5)
    callers = [draw(), draw(), draw()]
    seeded(5)
    numbers = devices.RandomNumbers(3, torch.device("cpu"))
    assert draw() == callers[0]
    with numbers.drawn():
        assert draw() == first
    assert draw() == callers[1]
    with pytest.raises(ZeroDivisionError), numbers.drawn():
        assert draw() == second
        _ = 1 / 0
    assert draw() == callers[2]


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="needs an accelerator")
def test_an_accelerators_generator_is_left_alone(few):
    device = torch.accelerator.current_accelerator()
    torch.manual_seed(7)
    expected = torch.rand(3, device=device)
    trainer = Trainer(MultilayerPerceptron(), device=device)
    torch.manual_seed(7)
    trainer.fit(few, epochs=1)
    assert torch.equal(torch.rand(3, device=device), expected)
