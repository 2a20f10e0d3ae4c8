"""Compare the package with what a reader would otherwise use, in one run, as ratios.

    python benchmarks/bench.py [importing] [idx] [trainer] [plot] [memory] [growth]

The machine's speed drifts, so the two sides take turns, and the median of the ratios is
what counts. Below 1 the package is faster. seconds.py measures the time to 99 %,
peers.py an epoch beside other libraries, machines.py two processes beside one. Readers
of IDX that are not installed are left out, and with them their rows (pip install
idx2numpy torchvision python-mnist). `growth` needs 5 GB of disk for a moment.
"""

import gzip
import json
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

sys.path.append(str(Path(__file__).parents[1]))
from mnist_lesson import Digits, LeNet, SoftmaxRegression, Trainer, load_mnist, to_input
from mnist_lesson.devices import input_format
from mnist_lesson.idx import read_idx, write_idx
from mnist_lesson.plotting import CostPlotter
from mnist_lesson.training import _clip
from tools.results import RESULTS, save

BATCH = 128


def timed(work) -> float:
    """Give the seconds that a function takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


reports = {}


def report(name: str, values: list[float], wanted: str) -> None:
    """Print the median of what was measured, and how far it spreads."""
    reports[name] = statistics.median(values), min(values), max(values)
    middle, least, most = reports[name]
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


def by_idx2numpy(paths: list[Path]) -> list:
    """Read images and labels as idx2numpy does."""
    import idx2numpy

    return [idx2numpy.convert_from_file(str(path)) for path in paths]


def by_torchvision(paths: list[Path]) -> list:
    """Read them as torchvision does, once it has downloaded them."""
    from torchvision.datasets import mnist

    return [mnist.read_sn3_pascalvincent_tensor(str(path)) for path in paths]


def by_python_mnist(paths: list[Path]) -> list:
    """Read them as python-mnist does: into lists."""
    from mnist import MNIST

    return [MNIST().load(*paths[:2]), MNIST().load(*paths[2:])]


READERS = {
    "idx2numpy": by_idx2numpy,
    "torchvision": by_torchvision,
    "python-mnist": by_python_mnist,
}


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
            limit=1.1,
            runs=9,
        )
        for name, theirs in READERS.items():
            try:
                theirs(plain)
            except (ImportError, RuntimeError) as error:  # it isn't there, or is broken
                print(f"{name} is left out: {error}", flush=True)
                continue
            compare(
                f"reading plain MNIST / {name}",
                lambda: [*map(read_idx, plain)],
                lambda theirs=theirs: theirs(plain),
                limit=1,
                runs=9,
            )
        compare(
            "reading plain MNIST / np.fromfile",
            lambda: [*map(read_idx, plain)],
            lambda: [np.fromfile(path, np.uint8) for path in plain],
            limit=1.1,
            runs=9,
        )


def bare(model: nn.Module, digits: Digits) -> None:
    """Compute what the trainer does in an epoch, in a bare loop."""
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    layout, parameters = input_format(model), [*model.parameters()]
    same = Trainer(model, device="cpu")
    optimizer, batches = same._optimizer(), torch.randperm(len(labels)).split(BATCH)
    model.train()
    for step, indices in enumerate(batches):
        optimizer.param_groups[0]["lr"] = same.rate(step, len(batches))
        inputs = to_input(images.index_select(0, indices)).to(**layout)
        cost = F.cross_entropy(model(inputs), labels[indices])
        for parameter in parameters:
            parameter.grad = None
        cost.backward()
        _clip([parameter.grad for parameter in parameters])
        optimizer.step()


def trainer() -> None:
    """Train softmax regression and LeNet for an epoch, with history and events."""
    train = load_mnist(source="full", validation=0).train
    for make, limit, runs in (SoftmaxRegression, 1.10, 15), (LeNet, 1.02, 3):
        seen = []
        compare(
            f"{make.__name__}, epoch with history and events / bare loop",
            lambda make=make, seen=seen: Trainer(make(), device="cpu").fit(
                train, epochs=1, event_handler=seen.append
            ),
            lambda make=make: bare(make(), train),
            limit,
            runs,
        )


class Transformed:
    """MNIST as torchvision gives it: each image on its own, through PIL, every time."""

    def __init__(self, digits):
        self.images, self.labels = digits.images, digits.labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        picture = Image.fromarray(self.images[index])
        # transforms.ToTensor() and transforms.Normalize((0.1307,), (0.3081,))
        pixels = torch.from_numpy(np.array(picture, copy=True)).view(28, 28, 1)
        tensor = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, std = torch.as_tensor([0.1307]), torch.as_tensor([0.3081])
        normalized = tensor.clone().sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))
        return normalized, int(self.labels[index])


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


def memory() -> None:
    """Measure the most memory that training LeNet on full MNIST takes."""
    if sys.platform != "linux":
        print("memory is left out: only Linux tells it", flush=True)
        return
    code = """if True:
        from mnist_lesson import LeNet, Trainer, load_mnist
        mnist = load_mnist(source="full")
        Trainer(LeNet(), device="cpu").fit(mnist.train, mnist.validation, epochs=1)
        # (getrusage's ru_maxrss is never less than what the parent had used.)
        print(next(line for line in open("/proc/self/status") if "VmHWM" in line))
    """
    line = subprocess.check_output([sys.executable, "-c", code], encoding="ascii")
    used = [int(line.split()[1]) / 1024]
    report("peak memory of training LeNet, MB", used, "at most 700 are wanted")


def growth() -> None:
    """Train softmax regression on 1, 10 and 100 times as many digits, from a file."""
    train = load_mnist(source="full", validation=0).train
    build = RESULTS.parents[1] / "_build"  # /tmp is often in memory
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        for times in (1, 10, 100):
            shape = (times * len(train), 28, 28)
            images = np.memmap(Path(folder) / f"{times}", np.uint8, "w+", shape=shape)
            for start in range(0, len(images), len(train)):
                images[start : start + len(train)] = train.images
            more = Digits(images, np.tile(train.labels, times))
            seconds = timed(
                lambda more=more: Trainer(SoftmaxRegression(), device="cpu").fit(
                    more, epochs=1
                )
            )
            name = f"softmax epoch of {len(more):,} digits in a file, s"
            report(name, [seconds], "memory-mapped")
            del images, more  # Windows removes no file that is open


if __name__ == "__main__":
    benchmarks = {
        f.__name__: f for f in (importing, idx, trainer, plot, memory, growth)
    }
    wanted = sys.argv[1:] or benchmarks
    if not {*wanted} <= {*benchmarks}:
        raise SystemExit(__doc__)
    for name in wanted:
        benchmarks[name]()
        results = json.loads(RESULTS.read_text("utf-8"))  # others may have written
        results["bench"] = results.get("bench", {}) | reports
        save(results)
    if not sys.argv[1:]:  # what could not be measured now has no row
        results["bench"] = reports
        save(results)
