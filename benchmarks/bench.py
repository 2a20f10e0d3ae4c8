"""Compare the package with what a reader would otherwise use, in one run, as ratios.

    python benchmarks/bench.py [importing] [idx] [softmax] [plot] [lenet]

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
from torch.utils.data import DataLoader

from mnist_lesson import LeNet, SoftmaxRegression, Trainer, load_mnist, to_input
from mnist_lesson.idx import read_idx, write_idx
from mnist_lesson.plotting import CostPlotter

BATCH = 128
EPOCHS = 5


def timed(work) -> float:
    """Give the seconds that a function takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(name: str, values: list[float], wanted: str) -> None:
    """Print the median of what was measured, and how far it spreads."""
    middle, least, most = statistics.median(values), min(values), max(values)
    print(f"{name}: {middle:.3f} ({least:.3f}-{most:.3f}; {wanted})", flush=True)


def compare(name: str, ours, theirs, limit: float, runs: int) -> None:
    """Time both in turn and print the ratio; unless one run is all, warm up before."""
    if runs > 1:
        ours(), theirs()
    ratios = []
    for run in range(runs):
        works = (ours, theirs) if run % 2 else (theirs, ours)
        seconds = {work: timed(work) for work in works}
        ratios.append(seconds[ours] / seconds[theirs])
    report(name, ratios, f"at most {limit} is wanted")


def importing() -> None:
    """Measure what importing the package adds to importing torch and NumPy."""
    code = (
        "import time, numpy, torch; start = time.perf_counter(); import mnist_lesson; "
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    # The first process may find files that are not in memory yet.
    seconds = [float(subprocess.check_output(command)) for _ in range(10)][1:]
    report("importing, after torch and NumPy, s", seconds, "at most 0.15 are wanted")


def idx() -> None:
    """Read full MNIST: `read_idx` beside bare NumPy."""
    mnist = load_mnist(source="full", validation=0)
    with tempfile.TemporaryDirectory() as folder:
        plain = [Path(folder) / f"{i}" for i in range(4)]
        zipped = [Path(folder) / f"{i}.gz" for i in range(4)]
        for i, digits in enumerate((mnist.train, mnist.test)):
            for paths in plain, zipped:
                write_idx(paths[2 * i], digits.images)
                write_idx(paths[2 * i + 1], digits.labels.astype(np.uint8))

        def unzip(path: Path) -> np.ndarray:
            return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)

        compare(
            "reading gzipped MNIST / np.frombuffer(gzip.decompress)",
            lambda: [*map(read_idx, zipped)],
            lambda: [*map(unzip, zipped)],
            limit=1.2,
            runs=9,
        )
        compare(
            "reading plain MNIST / np.fromfile",
            lambda: [*map(read_idx, plain)],
            lambda: [np.fromfile(path, np.uint8) for path in plain],
            limit=1.2,
            runs=9,
        )


def descend(model: nn.Module, batches, steps: int | None = None) -> None:
    """Train in a bare loop; with the number of steps, at a one-cycle rate."""
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4
    )
    schedule = steps and torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, steps, cycle_momentum=False
    )
    for images, labels in batches:
        cost = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        if schedule:
            schedule.step()


def softmax() -> None:
    """One epoch of softmax regression: the trainer beside a bare loop."""
    train = load_mnist(source="full", validation=0).train
    images, labels = to_input(train.images), torch.from_numpy(train.labels)

    def bare() -> None:
        order = torch.randperm(len(labels)).split(BATCH)
        descend(SoftmaxRegression(), ((images[i], labels[i]) for i in order))

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


class Transformed:
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


def lenet() -> None:
    """Five epochs of LeNet: the trainer beside a DataLoader with transforms."""
    train = load_mnist(source="full", validation=0).train

    def usual() -> None:
        model = nn.Sequential(  # ReLU before pooling, as it is usually written
            *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(800, 10)),
        )
        loader = DataLoader(Transformed(train), BATCH, shuffle=True)
        batches = (batch for _ in range(EPOCHS) for batch in loader)
        descend(model, batches, steps=EPOCHS * len(loader))

    compare(
        "LeNet's five epochs / with transforms in a DataLoader",
        lambda: Trainer(LeNet(), device="cpu").fit(train, epochs=EPOCHS),
        usual,
        limit=0.6,
        runs=1,
    )


def plot() -> None:
    """Measure the share of LeNet's training time that drawing takes."""
    train = load_mnist(source="full", validation=0).train
    plotter, spent = CostPlotter(), []
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "costs.png"
        to_file = plotter.plot
        # Draws as in a notebook, where there is none.
        plotter.plot = lambda: spent.append(timed(lambda: to_file(picture)))
        seconds = timed(
            lambda: Trainer(LeNet(), device="cpu").fit(
                train, epochs=2, event_handler=plotter
            )
        )
    report("drawing a picture, s", spent, f"{len(spent)} pictures")
    report("drawing, share of LeNet's time", [sum(spent) / seconds], "at most 0.05")


if __name__ == "__main__":
    benchmarks = {f.__name__: f for f in (importing, idx, softmax, plot, lenet)}
    wanted = sys.argv[1:] or benchmarks
    if not {*wanted} <= {*benchmarks}:
        raise SystemExit(__doc__)
    for name in wanted:
        benchmarks[name]()
