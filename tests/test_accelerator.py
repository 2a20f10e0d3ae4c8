"""The make-believe accelerator refuses what real ones refuse, and computes the rest."""

import copy
import io
import os
import subprocess
import sys
from pathlib import Path

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


@pytest.fixture(params=["mps", "cuda"])
def device(request, monkeypatch):
    monkeypatch.delenv("MNIST_LESSON_DEVICE", raising=False)
    with emulated(request.param) as device:
        yield device


def test_it_is_found_and_named(device):
    assert pick_device() == torch.device(device.type)
    x = torch.ones(2, 3).to(device)
    assert x.device == device and x.get_device() == 0 and not x.is_cpu
    assert (x.is_mps, x.is_cuda) == (device.type == "mps", device.type == "cuda")
    assert x.T.device == (x + 1).device == torch.empty_like(x).device == device
    assert torch.zeros(3, device=device.type).device == device
    assert torch.ones(2, 3).device == x.cpu().device == x.to("cpu").device
    assert x.to(device) is x and x.to(torch.ones(1)).is_cpu


def test_nothing_is_left_of_it():
    with emulated("mps"):
        pass
    assert not torch.backends.mps.is_available() or sys.platform == "darwin"
    assert torch.ones(1).is_cpu and torch.Generator().device.type == "cpu"


def test_it_computes_as_the_cpu_does(device):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), torch.randn(5, 4)
    there = copy.deepcopy(model).to(device)
    assert {p.device for p in (*there.parameters(), *there.buffers())} == {device}
    again = copy.deepcopy(there)
    assert {p.device for p in (*again.parameters(), *again.buffers())} == {device}
    for network, inputs in (model, x), (there, x.to(device)):
        labels = torch.zeros(5, dtype=torch.int64, device=inputs.device)
        F.cross_entropy(network(inputs), labels).backward()
        torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9).step()
    for here, moved in zip(model.parameters(), there.parameters(), strict=True):
        assert moved.grad.device == device and torch.equal(here, moved.cpu())


def test_tensors_of_both_sides_are_not_mixed(device):
    here, there = torch.ones(3), torch.ones(3, device=device)
    two = pytest.raises(RuntimeError, match="on the same device")
    for mix in (
        lambda: here + there,
        lambda: there.mul_(here),
        lambda: torch.equal(here, there),
        lambda: torch.cat([here, there]),
        lambda: F.linear(here[None], there[None]),
        lambda: nn.Linear(3, 2).to(device)(here),
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: here[torch.tensor([0], device=device)],
        lambda: F.cross_entropy(there[None], torch.tensor([0])),
        lambda: there.__setitem__(torch.arange(3), here),
    ):
        with two:
            mix()


def test_what_may_be_mixed(device):
    there = torch.ones(3, device=device)
    assert (there + torch.tensor(1.0)).tolist() == [2, 2, 2]
    assert there[torch.tensor([0, 1])].device == device
    here = torch.zeros(3)
    assert here.copy_(there).is_cpu and there.copy_(here).device == device
    assert (there.sum().item(), float(there[0]), bool(there.any())) == (3, 1, True)


def test_it_gives_no_arrays(device):
    there = torch.ones(3, device=device)
    for convert in torch.Tensor.numpy, np.asarray, np.cos, lambda x: np.stack([x]):
        with pytest.raises(TypeError, match="to numpy"):
            convert(there)
    assert there.cpu().numpy().tolist() == [1, 1, 1]


def test_only_a_macs_has_no_float64(device):
    there = torch.ones(3, device=device)
    for make in (
        lambda: there.double(),
        lambda: there.to(torch.float64),
        lambda: torch.ones(3).double().to(device),
        lambda: torch.ones(3, dtype=torch.float64, device=device),
        lambda: torch.from_numpy(np.ones(3)).to(device),
        lambda: there.mean(dtype=torch.float64),
        lambda: nn.Linear(2, 2).double().to(device),
    ):
        if device.type == "mps":
            with pytest.raises(TypeError, match="doesn't support float64"):
                make()
        else:
            make()


def test_it_has_a_generator_of_its_own(device):
    torch.manual_seed(0)
    here = torch.rand(3)
    torch.manual_seed(0)
    there = torch.rand(3, device=device)
    F.dropout(there)
    assert torch.equal(torch.rand(3), here)
    module = getattr(torch, device.type)
    state = module.get_rng_state()
    first = torch.rand_like(there)
    module.set_rng_state(state)
    assert torch.equal(torch.rand_like(there), first)
    with pytest.raises(RuntimeError, match="device type for generator"):
        torch.randn(3, device=device, generator=torch.Generator())
    with pytest.raises(RuntimeError, match="device type for generator"):
        torch.randn(3, generator=torch.Generator(device))
    torch.randn(3, device=device, generator=torch.Generator(device).manual_seed(0))


def test_what_is_saved_comes_back_to_it(device):
    file = io.BytesIO()
    torch.save({"weights": torch.ones(3, device=device)}, file)
    for where, expected in (None, device), ("cpu", torch.device("cpu")):
        file.seek(0)
        loaded = torch.load(file, map_location=where, weights_only=True)
        assert loaded["weights"].device == expected


@pytest.mark.parametrize("kind", ["mps", "cuda"])
def test_it_plays_in_another_process(kind):
    code = f"import accelerator, torch\naccelerator.play({kind!r})\n"
    code += f"print(torch.ones(1).to({kind!r}).device)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{kind}:0\n", "")


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
def test_training_there(device, make, few, sample, tmp_path):
    """Every way through the trainer, on the device that PyTorch finds."""
    seen = []

    def look(event):
        if isinstance(event, EndIteration):
            seen.append((event.cost, event.accuracy))

    torch.manual_seed(0)
    trainer = Trainer(make())
    assert trainer.device.type == device.type
    settings = {"epochs": 2, "checkpoint_dir": tmp_path}
    handlers = [look, CostPlotter(), CostLogger(io.StringIO())]
    history = trainer.fit(few, few[:50], event_handler=handlers, **settings)
    assert len(seen) == 6 and all(0 <= accuracy <= 1 for _, accuracy in seen)
    assert history[-1].validation == trainer.evaluate(few[:50])

    again = Trainer(make())
    assert again.fit(few, few[:50], resume=True, **settings) == history
    assert again.evaluate(few) == trainer.evaluate(few)
    trainer.restore(tmp_path, 0)
    assert trainer.evaluate(few[:50]) == history[0].validation


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


def test_a_model_that_was_moved_meanwhile(device, few):
    """It answers where it is, and is trained where the trainer is."""
    trainer = Trainer(LeNet())
    before = trainer.predict(few.images)
    trainer.model.cpu()
    assert torch.allclose(trainer.predict(few.images), before, atol=1e-5)
    trainer.fit(few, epochs=1)
    assert {p.device for p in trainer.model.parameters()} == {device}


def test_the_same_training_run_as_on_the_cpu(device, few):
    """And its random numbers are drawn from sequences of its own, there as well."""

    def run(where):
        torch.manual_seed(0)
        return Trainer(MultilayerPerceptron(), device=where).fit(few, few, epochs=2)

    there, here = run(device), run("cpu")
    for ours, theirs in zip(there, here, strict=True):
        assert ours.train.cost == pytest.approx(theirs.train.cost, rel=1e-4)
        assert ours.validation.accuracy == pytest.approx(
            theirs.validation.accuracy, abs=0.02
        )


def test_its_generator_is_the_callers(device, few):
    module = getattr(torch, device.type)
    trainer = Trainer(NETWORKS["dropout"]())
    torch.manual_seed(7)
    state = module.get_rng_state()
    trainer.fit(few, epochs=1)
    assert torch.equal(module.get_rng_state(), state)


def test_checks_take_answers_from_there(device):
    assert checks.softmax(lambda z: z.to(device).softmax(dim=1))
