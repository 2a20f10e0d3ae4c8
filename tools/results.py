"""Measure what the book quotes, and fill it in.

    python tools/results.py [--fill]

Tries learning rates on held-out digits; trains each model, and what else is in
EXPERIMENTS, at the rate named there, with five seeds or, where it takes long, with
fewer; evaluates the last epoch on the 10,000 test digits; and keeps every seed in
results/results.json as soon as it is known, so that it can be stopped and started
again. Remove an entry to measure it anew. Then whatever stands between the marks of a
page or chapter is written from that file; with --fill, only that is done.
"""

import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import numpy as np
import torch
from torch import nn

from mnist_lesson import (
    Digits,
    LeNet,
    LeNet5,
    MultilayerPerceptron,
    RandomDistortion,
    SoftmaxRegression,
    Trainer,
    load_mnist,
)
from mnist_lesson._system import atomic_write

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "results.json"
PAGES = [
    ROOT / "README.md",
    ROOT / "book" / "index.md",
    ROOT / "notebooks" / "06_pooling.ipynb",
    ROOT / "notebooks" / "10_results.ipynb",
]
PROTOCOL = {
    "digits": 60_000,
    "epochs": 5,
    "batch_size": 128,
    "judged": "last epoch, 10,000 test digits",
}
SIZES = (200, 600, 2_000, 6_000, 20_000)


@dataclass(frozen=True)
class Experiment:
    """One way to train, at a learning rate that no other in RATES clearly beats.

    `digits` of the training digits are drawn by the seed; `permuted` puts the pixels
    of all images, test images too, in one random order; with `shifts`, the test digits
    are read once more after each has been moved; `seeds` is how many runs there are.
    """

    make: Callable[[], nn.Module]
    learning_rate: float = 0.1
    digits: int = PROTOCOL["digits"]
    epochs: int = PROTOCOL["epochs"]
    permuted: bool = False
    shifts: bool = False
    seeds: int = 5


def convolutional(
    first: Callable[[], nn.Module] = nn.Identity,
    second: Callable[[], nn.Module] = nn.Identity,
    *,
    stride: int = 1,
    features: int = 800,
) -> nn.Sequential:
    """Make a network like LeNet whose maps shrink in other ways, or not at all."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, kernel_size=5, stride=stride), nn.ReLU(), first()),
        *(nn.Conv2d(20, 50, kernel_size=5, stride=stride), nn.ReLU(), second()),
        nn.Flatten(),
        nn.Linear(features, 10),
    )


MODELS = {
    "softmax regression": Experiment(SoftmaxRegression, 0.05),
    "multilayer perceptron": Experiment(MultilayerPerceptron, 0.14, shifts=True),
    "LeNet": Experiment(LeNet, shifts=True),
}
POOLING = {
    "no pooling": Experiment(
        lambda: convolutional(features=20_000), 0.05, shifts=True, seeds=3
    ),
    "strided convolutions": Experiment(
        lambda: convolutional(stride=2), shifts=True, seeds=3
    ),
    "average pooling": Experiment(
        lambda: convolutional(lambda: nn.AvgPool2d(2), lambda: nn.AvgPool2d(2)),
        0.2,
        shifts=True,
        seeds=3,
    ),
    "global max pooling": Experiment(
        lambda: convolutional(
            lambda: nn.MaxPool2d(2), lambda: nn.AdaptiveMaxPool2d(1), features=50
        ),
        shifts=True,
        seeds=3,
    ),
}
SHIFTS = (2, 4)  # pixels to the right
SHIFTED = (
    *("multilayer perceptron", "no pooling", "strided convolutions"),
    *("average pooling", "LeNet", "global max pooling"),
)
VARIANTS = {
    "LeNet-5 of 1998": Experiment(LeNet5, 0.2, seeds=3),
    "LeNet, 30 epochs": Experiment(LeNet, epochs=30, seeds=2),
    "LeNet, 30 epochs, augmented": Experiment(
        lambda: nn.Sequential(RandomDistortion(), LeNet()), epochs=30, seeds=2
    ),
}
# Few digits are met more often, so that every model takes at least 1,000 steps.
FEWER = {
    f"{name}, {size} digits": Experiment(
        model.make,
        model.learning_rate,
        digits=size,
        epochs=max(5, 1_000 // -(-size // PROTOCOL["batch_size"])),
    )
    for size in SIZES
    for name, model in MODELS.items()
}
PERMUTED = {
    f"{name}, permuted": Experiment(model.make, model.learning_rate, permuted=True)
    for name, model in MODELS.items()
}
EXPERIMENTS = VARIANTS | FEWER | PERMUTED | POOLING
# What is tried on the held-out digits: learning rates, and how many seeds.
RATES = {
    "softmax regression": ((0.02, 0.05, 0.07, 0.1, 0.14, 0.2), 5),
    "multilayer perceptron": ((0.05, 0.07, 0.1, 0.14, 0.2), 5),
    "LeNet": ((0.05, 0.07, 0.1, 0.14), 2),
    **dict.fromkeys(["LeNet-5 of 1998", *POOLING], ((0.05, 0.1, 0.2, 0.3), 1)),
}


def main(arguments: list[str]) -> None:
    """Measure what is missing, then fill in."""
    if arguments not in ([], ["--fill"]):
        raise SystemExit(__doc__)
    if not arguments:
        measure()
    results = json.loads(RESULTS.read_text("utf-8"))
    for page in PAGES:
        fill(page, results)


def measure() -> None:
    """Train with each seed that is not known yet."""
    results = {"protocol": PROTOCOL, "torch": torch.__version__}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text("utf-8"))
    mnist = load_mnist(source="full", validation=0)
    for kind, experiments in ("models", MODELS), ("experiments", EXPERIMENTS):
        for name, experiment in experiments.items():
            seeds = describe(results.setdefault(kind, {}), name, experiment)["seeds"]
            for seed in range(experiment.seeds):
                if str(seed) not in seeds:
                    trainer = train(experiment, mnist.train, seed)
                    seeds[str(seed)] = judge(trainer, mnist.test, experiment)
                    accuracy = seeds[str(seed)]["accuracy"]
                    print(f"{name}, seed {seed}: {100 * accuracy:.2f} %", flush=True)
                    save(results)
    try_rates(results)
    if "seconds" not in results:
        results["seconds"] = time_epochs(mnist)
        save(results)


def describe(known: dict, name: str, experiment: Experiment) -> dict:
    """Find the entry of an experiment, or make one; other settings begin anew."""
    model = experiment.make()
    settings = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "multiply_adds": multiply_adds(model),
        "learning_rate": experiment.learning_rate,
        "digits": experiment.digits,
        "epochs": experiment.epochs,
    }
    entry = known.get(name, {})
    if {**entry, "seeds": None} != {**settings, "seeds": None}:
        entry = known[name] = {**settings, "seeds": {}}
    return entry


def multiply_adds(model: nn.Module) -> int:
    """Count the multiply-adds for one image: each weight, at each place it is used.

    Biases are added, not multiplied, and do not count.
    """
    count = 0

    def add(layer: nn.Module, _, output: torch.Tensor) -> None:
        nonlocal count
        places = output[0, 0].numel() if output.ndim == 4 else 1
        count += layer.weight.numel() * places

    for layer in model.modules():
        if hasattr(layer, "weight"):
            layer.register_forward_hook(add)
    model.eval()(torch.zeros(1, 1, 28, 28))
    return count


def try_rates(results: dict) -> None:
    """Train at each rate that is not known yet, and read the held-out digits."""
    mnist = load_mnist(source="full")
    known = results.setdefault("rates", {})
    for name, (rates, seeds) in RATES.items():
        experiment = (MODELS | EXPERIMENTS)[name]
        for rate in rates:
            accuracies = known.setdefault(name, {}).setdefault(str(rate), [])
            for seed in range(len(accuracies), seeds):
                trial = replace(experiment, learning_rate=rate)
                trainer = train(trial, mnist.train, seed)
                accuracies.append(trainer.evaluate(mnist.validation).accuracy)
                print(f"{name} at {rate}: {100 * accuracies[-1]:.2f} %", flush=True)
                save(results)


def train(experiment: Experiment, digits: Digits, seed: int) -> Trainer:
    """Train as the experiment says."""
    torch.manual_seed(seed)
    trainer = Trainer(experiment.make(), learning_rate=experiment.learning_rate)
    if experiment.digits < len(digits):
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(digits), generator=generator)[: experiment.digits]
        digits = digits[chosen.numpy()]
    trainer.fit(prepare(digits, experiment), epochs=experiment.epochs, seed=seed)
    return trainer


def judge(trainer: Trainer, test: Digits, experiment: Experiment) -> dict:
    """Read the test digits, and where the experiment wants it, the moved ones."""
    evaluation = trainer.evaluate(prepare(test, experiment))
    record = {"accuracy": evaluation.accuracy, "cost": evaluation.cost}
    if experiment.shifts:
        record["shifted"] = {
            str(pixels): trainer.evaluate(moved(test, pixels)).accuracy
            for pixels in SHIFTS
        }
    return record


def moved(digits: Digits, pixels: int) -> Digits:
    """Move each digit to the right; paper comes in, and what leaves is lost."""
    images = np.zeros_like(digits.images)
    images[:, :, pixels:] = digits.images[:, :, :-pixels]
    return Digits(images, digits.labels)


def prepare(digits: Digits, experiment: Experiment) -> Digits:
    """Permute the pixels where the experiment wants it, always in the same way."""
    if not experiment.permuted:
        return digits
    order = torch.randperm(784, generator=torch.Generator().manual_seed(0)).numpy()
    images = digits.images.reshape(-1, 784)[:, order].reshape(-1, 28, 28)
    return Digits(images, digits.labels)


def time_epochs(mnist) -> dict:
    """Time an epoch of each model: they take turns, and the median of five counts."""
    seconds = {name: [] for name in MODELS}
    for seed in range(5):
        for name, experiment in MODELS.items():
            trainer = Trainer(experiment.make())
            start = time.perf_counter()
            trainer.fit(mnist.train, epochs=1, seed=seed)
            seconds[name].append(time.perf_counter() - start)
    return {
        "threads": torch.get_num_threads(),
        **{name: statistics.median(values) for name, values in seconds.items()},
    }


def save(results: dict) -> None:
    """Write what is known so far."""
    RESULTS.parent.mkdir(exist_ok=True)
    with atomic_write(RESULTS) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def fill(page: Path, results: dict) -> None:
    """Write the tables of a page or a chapter anew."""
    with atomic_write(page) as temporary:
        if page.suffix == ".md":
            temporary.write_text(filled(page.read_text("utf-8"), results), "utf-8")
        else:
            notebook = nbformat.read(page, as_version=4)
            for cell in notebook.cells:
                cell.source = filled(cell.source, results)
            nbformat.write(notebook, temporary)


def filled(text: str, results: dict) -> str:
    """Put tables between the marks of a Markdown text, or numbers in those of code."""
    marks = r"((?:<!--|#) results: (\w+).*\n)(?:.*\n)*?((?:<!--|#) end of results)"

    def replaced(match: re.Match) -> str:
        return f"{match[1]}{BLOCKS[match[2]](results)}\n{match[3]}"

    return re.sub(marks, replaced, text)


def row(name: str, record: dict) -> str:
    """Write a table's row: what it takes, and what it reaches, mean and spread."""
    costs = [seed["cost"] for seed in record["seeds"].values()]
    return (
        f"| {name} | {record['parameters']:,} | {record['multiply_adds']:,} "
        f"| {accuracy(record)} | {statistics.mean(costs):.4f} |"
    )


def accuracy(record: dict) -> str:
    """Say the accuracy over the seeds: its mean and its standard deviation."""
    return with_spread(*summary(record), digits=2)


def with_spread(mean: float, deviation: float, digits: int) -> str:
    """Write both in per cent; a narrow table breaks the line before ± or not at all."""
    space = "\N{NO-BREAK SPACE}"
    return f"{mean:.{digits}f} ±{space}{deviation:.{digits}f}{space}%"


def summary(record: dict) -> tuple[float, float]:
    """Give the mean and the standard deviation of the accuracies, in per cent."""
    return spread([seed["accuracy"] for seed in record["seeds"].values()])


def spread(accuracies: list[float]) -> tuple[float, float]:
    """Give mean and standard deviation in per cent; one alone has no spread."""
    per_cent = [100 * accuracy for accuracy in accuracies]
    return statistics.mean(per_cent), (
        statistics.stdev(per_cent) if len(per_cent) > 1 else 0.0
    )


def table(head: str, rows: list[str]) -> str:
    """Write a Markdown table: text in the first column, numbers in the others."""
    rule = "|---" + "|---:" * (head.count("|") - 2) + "|"
    return "\n".join(["", head, rule, *rows, ""])


def models(results: dict) -> str:
    """Write the table of the three models."""
    return table(
        "| model | parameters | multiply-adds | test accuracy | test cost, nats |",
        [row(name, results["models"][name]) for name in MODELS],
    )


def seconds(results: dict) -> str:
    """Write the table of times."""
    return table(
        "| model | seconds for an epoch of 60,000 digits |",
        [f"| {name} | {results['seconds'][name]:.1f} |" for name in MODELS],
    )


def variants(results: dict) -> str:
    """Write the table of LeNet and its variants."""
    return table(
        "| network | parameters | multiply-adds | test accuracy | test cost, nats |",
        [
            row("LeNet, 5 epochs", results["models"]["LeNet"]),
            *(row(name, results["experiments"][name]) for name in VARIANTS),
        ],
    )


def permuted(results: dict) -> str:
    """Write the table of accuracies with the pixels in place and permuted."""
    rows = []
    for name in MODELS:
        there = accuracy(results["models"][name])
        away = accuracy(results["experiments"][f"{name}, permuted"])
        rows.append(f"| {name} | {there} | {away} |")
    return table("| model | pixels in place | pixels permuted |", rows)


def shifts(results: dict) -> str:
    """Write the table of networks that pool in several ways, and digits that moved."""
    rows = []
    known = results["models"] | results["experiments"]
    for name in SHIFTED:
        seeds = known[name]["seeds"].values()
        cells = [accuracy(known[name])]
        for pixels in map(str, SHIFTS):
            accuracies = [seed["shifted"][pixels] for seed in seeds]
            cells.append(with_spread(*spread(accuracies), digits=1))
        title = "max pooling (LeNet)" if name == "LeNet" else name
        rows.append(
            f"| {title} | {known[name]['multiply_adds']:,} | {' | '.join(cells)} |"
        )
    head = "| network | multiply-adds | not moved |"
    return table(head + "".join(f" {p} pixels |" for p in SHIFTS), rows)


def rates(results: dict) -> str:
    """Write the table of accuracies on held-out digits at several learning rates."""
    every = sorted({rate for rates, _ in RATES.values() for rate in rates})
    rows = []
    for name, (tried, _) in RATES.items():
        known = results["rates"][name]
        cells = [
            f"{spread(known[str(rate)])[0]:.2f}" if rate in tried else ""
            for rate in every
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return table("| network |" + "".join(f" {rate} |" for rate in every), rows)


def fewer(results: dict) -> str:
    """Write the accuracies with fewer digits as Python: means and spreads."""
    lines = [f"SIZES = {[*SIZES, PROTOCOL['digits']]}"]
    for title, part in ("MEANS", 0), ("SPREADS", 1):
        lines.append(f"{title} = {{")
        for name in MODELS:
            records = [
                *(results["experiments"][f"{name}, {size} digits"] for size in SIZES),
                results["models"][name],
            ]
            numbers = [round(summary(record)[part], 2) for record in records]
            lines.append(f'    "{name}": {numbers},')
        lines.append("}")
    return "\n".join(lines)


BLOCKS = {
    f.__name__: f for f in (models, seconds, variants, permuted, fewer, shifts, rates)
}


if __name__ == "__main__":
    main(sys.argv[1:])
