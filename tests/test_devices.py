"""Which device is taken, and which are refused."""

import pytest
import torch
from torch import nn
from trainers import make, same, weights

from mnist_lesson import LeNet, SoftmaxRegression, Trainer, pick_device, to_input
from mnist_lesson.devices import input_format


def test_pick_device(monkeypatch):
    monkeypatch.setenv("MNIST_LESSON_DEVICE", "")
    found = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
    assert pick_device() == (found or torch.device("cpu"))
    monkeypatch.setenv("MNIST_LESSON_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu") == Trainer(SoftmaxRegression()).device


def test_a_gpu_that_this_pytorch_cannot_compute_on(monkeypatch):
    """Such as Kaggle's P100: it has memory, but nothing is compiled for it any more."""
    message = "CUDA error: no kernel image is available for execution on the device"

    said = message

    def ones(*_, device):
        raise RuntimeError(f"{said}\nFor debugging consider passing …")

    monkeypatch.delenv("MNIST_LESSON_DEVICE", raising=False)
    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: gpu)
    with pytest.warns(UserWarning, match=rf"the cuda device .* \({message}\), so the"):
        assert pick_device() == torch.device("cpu")
    with pytest.raises(ValueError, match=rf"^device names 'cuda'.* \({message}\); try"):
        Trainer(SoftmaxRegression(), device="cuda")
    said = "CUDA out of memory"  # that is no reason to be slow without a word
    with pytest.raises(RuntimeError, match=said):
        pick_device()


@pytest.mark.parametrize(
    "name", ["toaster", "hpu", "cuda:99", "cuda:-1", "", "meta", 3.5]
)
def test_what_is_no_device(name, monkeypatch):
    message = rf'names {name!r}, which PyTorch cannot use .* \([^\n]+\); try "cpu"$'
    with pytest.raises(ValueError, match=f"^device {message}"):
        Trainer(SoftmaxRegression(), device=name)
    if name and isinstance(name, str):
        monkeypatch.setenv("MNIST_LESSON_DEVICE", name)
        with pytest.raises(ValueError, match=rf"^\$MNIST_LESSON_DEVICE {message}"):
            pick_device()


def test_a_compiled_model_takes_its_inputs_as_it_would_itself():
    compiled = torch.compile(LeNet(), backend="eager")
    assert input_format(compiled) == input_format(LeNet())
    assert input_format(compiled)["memory_format"] == torch.channels_last


def test_weights_may_be_a_part_of_a_larger_tensor(few):
    """What lies beside them in memory is not theirs."""
    large, own = torch.zeros(10, 800), torch.zeros(10, 784)
    for weight in large[:, :784], own:
        layer = nn.Linear(784, 10)
        layer.weight = nn.Parameter(weight)
        nn.init.zeros_(layer.bias)
        Trainer(nn.Sequential(nn.Flatten(), layer), device="cpu").fit(few, epochs=2)
    assert own.any() and not large[:, 784:].any()
    assert torch.allclose(large[:, :784], own, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_weights_of_16_bits_learn_too(few, kind):
    """PyTorch's fused kernel would leave most of them as they are."""
    expected = make().fit(few, epochs=2)[-1].train.cost
    short = make(lambda: SoftmaxRegression().to(kind))
    assert short.fit(few, epochs=2)[-1].train.cost == pytest.approx(expected, rel=0.02)


def test_within_the_callers_autocast_each_step_has_the_weights_of_the_last(few):
    """PyTorch would go on with those of the first step, until the block ends."""
    alone, within = make(LeNet), make(LeNet)
    expected = alone.fit(few, few, epochs=2)
    x = to_input(few.images)
    with torch.autocast("cpu", torch.bfloat16):
        before = within.model(x)
        assert within.fit(few, few, epochs=2) == expected
        assert within.evaluate(few) == expected[-1].validation
        assert not torch.equal(within.model(x), before)  # the caller's, in 16 bits
    assert same(weights(alone), weights(within))


def test_a_device_that_this_pytorch_lacks_is_refused_in_a_sentence():
    """Its own message names every device that there is, and its makers' tools."""
    with pytest.raises(ValueError, match=r"device names 'xla', .* try") as error:
        Trainer(SoftmaxRegression(), device="xla")
    assert len(str(error.value)) < 250
