"""Compare the package with what a reader would otherwise use, in one run, as ratios.

    python benchmarks/bench.py [import] [idx] [softmax] [lenet] [plot]

The machine's speed drifts, so the two sides take turns, and the median of the ratios is
what counts. Below 1 the package is faster.
"""

import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from mnist_lesson import (
    CostPlotter,
    LeNet,
    SoftmaxRegression,
    Trainer,
    load_mnist,
    read_idx,
    to_input,
    write_idx,
)

BATCH = 128


def compare(name: str, ours, theirs, limit: float, runs: int, warm_up=True) -> None:
    """Time both in turn and print the ratio."""
    if warm_up:
        ours(), theirs()
    ratios = []
    for run in range(runs):
        seconds = {}
        for work in (ours, theirs) if run % 2 else (theirs, ours):
            start = time.perf_counter()
            work()
            seconds[work] = time.perf_counter() - start
        ratios.append(seconds[ours] / seconds[theirs])
    print(
        f"{name}: {statistics.median(ratios):.2f} x "
        f"({min(ratios):.2f}-{max(ratios):.2f}; at most {limit} is wanted)",
        flush=True,
    )


def importing() -> None:
    """Measure what importing the package adds to importing torch and NumPy."""
    code = (
        "import time, numpy, torch; start = time.perf_counter(); import mnist_lesson; "
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    # The first process may find files that are not in memory yet.
    seconds = [float(subprocess.check_output(command)) for _ in range(10)][1:]
    print(
        f"importing, after torch and NumPy: {statistics.median(seconds):.3f} s "
        f"({min(seconds):.3f}-{max(seconds):.3f}; at most 0.15 are wanted)",
        flush=True,
    )


def idx() -> None:
    """Read full MNIST: `read_idx` beside bare NumPy."""
    mnist = load_mnist(source="full", validation=0)
    arrays = [
        part
        for digits in (mnist.train, mnist.test)
        for part in (digits.images, digits.labels.astype(np.uint8))
    ]
    with tempfile.TemporaryDirectory() as folder:
        plain = [Path(folder) / f"{i}" for i in range(4)]
        zipped = [Path(folder) / f"{i}.gz" for i in range(4)]
        for array, *paths in zip(arrays, plain, zipped, strict=True):
            for path in paths:
                write_idx(path, array)
        compare(
            "reading gzipped MNIST / np.frombuffer(gzip.decompress)",
            lambda: [read_idx(path) for path in zipped],
            lambda: [
                np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)
                for path in zipped
            ],
            limit=1.2,
            runs=9,
        )
        compare(
            "reading plain MNIST / np.fromfile",
            lambda: [read_idx(path) for path in plain],
            lambda: [np.fromfile(path, np.uint8) for path in plain],
            limit=1.2,
            runs=9,
        )


def softmax() -> None:
    """One epoch of softmax regression: the trainer beside a bare loop."""
    train = load_mnist(source="full", validation=0).train
    images, labels = to_input(train.images), torch.from_numpy(train.labels)

    def bare():
        model = SoftmaxRegression()
        optimizer = torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4
        )
        for chosen in torch.randperm(len(labels)).split(BATCH):
            cost = F.cross_entropy(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()

    seen = []
    compare(
        "softmax epoch with history and events / bare loop over tensors",
        lambda: Trainer(SoftmaxRegression(), device="cpu").fit(
            train, epochs=1, event_handler=seen.append
        ),
        bare,
        limit=1.15,
        runs=15,
    )


class Transformed(Dataset):
    """MNIST as torchvision gives it: each image on its own, through PIL, every time."""

    def __init__(self, digits):
        self.images, self.labels = digits.images, digits.labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        picture = Image.fromarray(self.images[index])
        # transforms.ToTensor() and transforms.Normalize((0.5,), (0.5,))
        pixels = torch.from_numpy(np.array(picture, copy=True)).view(28, 28, 1)
        tensor = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, std = torch.as_tensor([0.5]), torch.as_tensor([0.5])
        normalized = tensor.clone().sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))
        return normalized, int(self.labels[index])


def usual_lenet() -> nn.Module:
    """LeNet as usually written: ReLU before pooling."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 10)),
    )


def lenet() -> None:
    """Five epochs of LeNet: the trainer beside a DataLoader with transforms."""
    train = load_mnist(source="full", validation=0).train

    def usual():
        model = usual_lenet()
        optimizer = torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.1, epochs=5, steps_per_epoch=469, cycle_momentum=False
        )
        for _ in range(5):
            for images, labels in DataLoader(Transformed(train), BATCH, shuffle=True):
                cost = F.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                cost.backward()
                optimizer.step()
                schedule.step()

    compare(
        "LeNet's five epochs / with transforms in a DataLoader",
        lambda: Trainer(LeNet(), device="cpu").fit(train),
        usual,
        limit=0.6,
        runs=1,
        warm_up=False,
    )


def plot() -> None:
    """Measure the share of LeNet's training time that drawing takes."""
    train = load_mnist(source="full", validation=0).train
    plotter = CostPlotter()
    spent = []

    def draw(path=None):
        start = time.perf_counter()
        plotter._draw()
        spent.append(time.perf_counter() - start)

    plotter.plot = draw  # draws as in a notebook, where there is none
    start = time.perf_counter()
    Trainer(LeNet(), device="cpu").fit(train, epochs=2, event_handler=plotter)
    share = sum(spent) / (time.perf_counter() - start)
    print(
        f"drawing: {len(spent)} pictures of {1000 * statistics.median(spent):.0f} ms, "
        f"{100 * share:.1f} % of LeNet's training time (at most 5 are wanted)"
    )


if __name__ == "__main__":
    benchmarks = {
        "import": importing,
        "idx": idx,
        "softmax": softmax,
        "plot": plot,
        "lenet": lenet,
    }
    wanted = sys.argv[1:] or benchmarks
    for name in wanted:
        if name not in benchmarks:
            raise SystemExit(__doc__)
        benchmarks[name]()
