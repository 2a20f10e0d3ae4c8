"""The make-believe accelerator refuses what real ones do, and is trained on."""

import copy
import io

import numpy as np
import pytest
import torch
from accelerator import emulated
from torch import nn
from torch.nn import functional as F

from mnist_lesson import (
    CostLogger,
    CostPlotter,
    Digits,
    EndIteration,
    LeNet,
    LeNet5,
    MultilayerPerceptron,
    RandomDistortion,
    SoftmaxRegression,
    Trainer,
    checks,
    example_picture,
    pick_device,
    recognize,
    show_digits,
    show_maps,
    show_recognition,
    to_input,
)
from mnist_lesson.devices import autocast


@pytest.fixture(params=["mps", "cuda"])
def device(request, monkeypatch):
    monkeypatch.delenv("MNIST_LESSON_DEVICE", raising=False)
    with emulated(request.param) as device:
        yield device


def test_it_is_found_and_computes_as_the_cpu_does(device):
    assert pick_device() == torch.device(device.type)
    model, x = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), torch.randn(5, 4)
    there = copy.deepcopy(copy.deepcopy(model).to(device))
    for network, inputs in (model, x), (there, x.to(device)):
        labels = torch.zeros(5, dtype=torch.int64, device=inputs.device)
        F.cross_entropy(network(inputs), labels).backward()
        torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9).step()
    for here, moved in zip(model.parameters(), there.parameters(), strict=True):
        assert moved.device == moved.grad.device == device and here.is_cpu
        assert torch.equal(here, moved.cpu())


HERE = torch.ones(3)
MIXED = {
    "a sum": lambda there: HERE + there,
    "in place": lambda there: there.mul_(HERE),
    "a list": lambda there: torch.cat([HERE, there]),
    "a layer": lambda there: F.linear(HERE[None], there[None]),
    "a choice": lambda there: there.index_select(0, torch.tensor([0])),
    "an index": lambda there: HERE[(there > 0).nonzero()],
    "labels": lambda there: F.cross_entropy(there[None], torch.tensor([0])),
    "numpy": lambda there: np.cos(there),
    "a generator": lambda there: there.normal_(generator=torch.Generator()),
    "float64": lambda there: there.double(),
    "float64 moved": lambda there: HERE.double().to(there.device),
    "float64 made": lambda there: torch.ones(
        3, dtype=torch.double, device=there.device
    ),
    "a mean": lambda there: there.mean(dtype=torch.float64),
}


@pytest.mark.parametrize("mix", MIXED.values(), ids=MIXED)
def test_it_refuses(mix):
    words = "same device|to numpy|device type for generator|doesn't support float64"
    with (
        emulated("mps") as device,
        pytest.raises((RuntimeError, TypeError), match=words),
    ):
        mix(torch.ones(3, device=device))


# The package on it


NETWORKS = {
    "softmax": SoftmaxRegression,
    "perceptron": MultilayerPerceptron,
    "LeNet": LeNet,
    "LeNet5": LeNet5,
    "augmented": lambda: nn.Sequential(RandomDistortion(), LeNet()),
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(784, 10)),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_training_there(device, make, few, tmp_path):
    """Every way through the trainer, on the device that PyTorch finds."""
    seen = []

    def look(event):
        if isinstance(event, EndIteration):
            seen.append((event.cost, event.accuracy))

    torch.manual_seed(0)
    trainer, module = Trainer(make()), getattr(torch, device.type)
    assert trainer.device.type == device.type
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    handlers = [look, CostPlotter(), CostLogger(io.StringIO())]
    state = module.get_rng_state()
    history = trainer.fit(few, few[:50], event_handler=handlers, **settings)
    assert torch.equal(module.get_rng_state(), state)  # the device's, as the caller's
    assert len(seen) == 6 and all(0 <= accuracy <= 1 for _, accuracy in seen)
    assert history[-1].validation == trainer.evaluate(few[:50])

    again = Trainer(make())
    assert again.fit(few, few[:50], resume=True, **settings) == history
    assert again.evaluate(few) == trainer.evaluate(few)
    trainer.restore(tmp_path, 0)
    assert trainer.evaluate(few[:50]) == history[0].validation


@pytest.mark.parametrize("native", [True, False])
def test_mixed_precision_is_that_of_the_hardware(monkeypatch, native):
    """An older GPU only emulates bfloat16, slowly: PyTorch calls that supported."""

    def is_supported(including_emulation=True):
        return including_emulation or native

    with emulated("cuda") as device:
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
        with autocast(device) as mixed:
            assert torch.is_autocast_enabled("cuda") == native
            if native:
                assert mixed.fast_dtype is torch.bfloat16
                assert not torch.is_autocast_cache_enabled()


def test_answers_come_to_the_cpu(device, few):
    trainer = Trainer(LeNet())
    there = torch.from_numpy(few.images).to(device)
    probabilities = trainer.predict(few.images)
    assert probabilities.is_cpu and torch.equal(trainer.predict(there), probabilities)
    assert to_input(there).device == device
    seen = recognize(trainer.model, example_picture("five"))
    assert seen.probabilities.is_cpu
    show_recognition(seen)
    show_maps(trainer.model[0].weight[:, 0])
    show_digits(there[:3])
    digits = Digits(there, torch.from_numpy(few.labels).to(device))
    assert np.array_equal(digits.images, few.images)
    assert len(digits[torch.tensor([0, 2], device=device)]) == 2
    assert checks.softmax(lambda z: z.to(device).softmax(dim=1))


def test_a_model_that_was_moved_meanwhile(device, few):
    """It answers where it is, and is trained where the trainer is."""
    trainer = Trainer(LeNet())
    before = trainer.predict(few.images)
    trainer.model.cpu()
    assert torch.allclose(trainer.predict(few.images), before, atol=1e-5)
    trainer.fit(few, epochs=1)
    assert {p.device for p in trainer.model.parameters()} == {device}


def test_the_same_training_run_as_on_the_cpu(device, few):
    def run(where):
        torch.manual_seed(0)
        return Trainer(MultilayerPerceptron(), device=where).fit(few, few, epochs=2)

    for there, here in zip(run(device), run("cpu"), strict=True):
        assert there.train.cost == pytest.approx(here.train.cost, rel=1e-4)
        accuracy = here.validation.accuracy
        assert there.validation.accuracy == pytest.approx(accuracy, abs=0.02)
