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

from mnist_lesson import pick_device


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
        [sys.executable, "-c", code], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{kind}:0\n", "")
