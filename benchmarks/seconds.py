"""Measure the way from the classic script to 99 % in seconds, a change at a time.

    python benchmarks/seconds.py

Rungs of the ladder train on the 60,000 digits with a few seeds until they read 99 % of
the test digits at the end of an epoch; nothing was chosen by these. A rung that sees
the same images with the same network as another has its number of epochs. Then all are
timed in turns on a part of the digits. Writes to results/results.json, and continues
with what is missing there; `python tools/results.py --fill` writes the chapter.
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from bench import Transformed, timed
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

sys.path.append(str(Path(__file__).parents[1]))
from mnist_lesson import Digits, QuickNet, load_mnist, to_input, train_quickly
from mnist_lesson.inference import evaluate
from mnist_lesson.system import keep_freed_memory
from tools.results import RESULTS, save

GOAL = 0.99
TIMED = 12_800  # digits
TURNS = 5
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def classic(pool_first: bool = False) -> nn.Sequential:
    """Make the network of PyTorch's MNIST example; 1,199,882 parameters.

    Described at https://github.com/pytorch/examples/tree/main/mnist.
    """
    relu, pool = nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3)),
        *((pool, relu) if pool_first else (relu, pool)),
        *(nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU()),
        *(nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def one_by_one(digits: Digits, size: int) -> Batches:
    """Give shuffled batches as torchvision and a DataLoader do, image by image."""
    return iter(DataLoader(Transformed(digits), size, shuffle=True))


def from_memory(digits: Digits, size: int, last: bool = False) -> Batches:
    """Cut shuffled batches out of one tensor; perhaps with the channels last."""
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    layout = torch.channels_last if last else torch.contiguous_format
    for indices in torch.randperm(len(labels)).split(size):
        inputs = to_input(images.index_select(0, indices))
        yield inputs.to(memory_format=layout), labels[indices]


@dataclass(frozen=True)
class Rung:
    """One way to train with the classic's optimizer, or ours if there is no network.

    `like` names a rung whose number of epochs it has.
    """

    make: Callable[[], nn.Module] | None
    batches: Callable[..., Batches] = from_memory
    size: int = 64
    seeds: int = 5
    like: str = ""


POOLED = "pooling first, channels last"
LADDER = {
    "the classic script": Rung(classic, one_by_one, like=POOLED),
    "whole batches from memory": Rung(classic, like=POOLED),
    POOLED: Rung(partial(classic, True), partial(from_memory, last=True), seeds=2),
    "a small network": Rung(QuickNet, partial(from_memory, last=True)),
    "batches of 128": Rung(QuickNet, partial(from_memory, last=True), 128),
    "one cycle, Nesterov": Rung(None),
}


def epochs(rung: Rung, digits: Digits, seed: int) -> Iterator[nn.Module]:
    """Train by Adadelta, at a rate that falls by 0.7 an epoch; give each epoch's."""
    torch.manual_seed(seed)
    model = rung.make()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.7)
    while True:
        model.train()
        for images, labels in rung.batches(digits, rung.size):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        schedule.step()
        yield model


def climb(rung: Rung, train: Digits, test: Digits, seed: int) -> list[float]:
    """Give the test accuracy after each epoch, up to the goal."""
    if rung.make is None:
        accuracy = train_quickly(train, seed=seed).evaluate(test).accuracy
        if accuracy < GOAL:
            print(f"seed {seed} does not reach the goal in its one epoch", flush=True)
        return [accuracy]
    accuracies = []
    for model in epochs(rung, train, seed):
        accuracies.append(evaluate(model, test).accuracy)
        if accuracies[-1] >= GOAL:
            return accuracies


def time_rungs(train: Digits) -> dict[str, list[float]]:
    """Time all in turns; the seconds for an epoch of 60,000 digits."""
    part, seconds = train[:TIMED], {name: [] for name in LADDER}
    for turn in range(TURNS):
        for name, rung in LADDER.items():
            if rung.make is None:
                spent = timed(lambda: train_quickly(part))
            else:
                run = epochs(rung, part, turn)
                spent = timed(lambda run=run: next(run))
            seconds[name].append(spent * len(train) / TIMED)
            print(f"{name}: {seconds[name][-1]:.1f} s an epoch", flush=True)
    return seconds


def main() -> None:
    """Measure what is missing, and save it."""
    keep_freed_memory()  # for all: our trainer does so, and it holds for the process
    mnist = load_mnist(source="full", validation=0)
    results = json.loads(RESULTS.read_text("utf-8"))
    known = results.setdefault("ladder", {})
    for name, rung in LADDER.items():
        runs = known.setdefault(name, {}).setdefault("accuracies", [])
        for seed in range(len(runs), 0 if rung.like else rung.seeds):
            runs.append(climb(rung, mnist.train, mnist.test, seed))
            percent = ", ".join(f"{100 * accuracy:.2f}" for accuracy in runs[-1])
            print(f"{name}, seed {seed}: {percent} %", flush=True)
            save(results)
    for name, seconds in time_rungs(mnist.train).items():
        runs = known[LADDER[name].like or name]["accuracies"]
        known[name] |= {
            "epochs": statistics.mean(map(len, runs)),
            "seconds": statistics.median(seconds),
        }
    save(results)


if __name__ == "__main__":
    main()
