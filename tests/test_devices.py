"""Which device is taken, and which are refused."""

import pytest
import torch

from mnist_lesson import LeNet, SoftmaxRegression, Trainer, pick_device
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


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "cuda:-1", "", "meta", 3.5])
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
