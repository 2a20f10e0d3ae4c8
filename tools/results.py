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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import numpy as np
import torch
from torch import nn

from mnist_lesson import Digits, RandomDistortion, Trainer, load_mnist, models
from mnist_lesson.system import atomic_write

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "results.json"
PAGES = [
    ROOT / "README.md",
    *(ROOT / "book" / f"{name}.md" for name in ("index", "questions", "machines")),
    *(ROOT / "notebooks" / f"{name}.ipynb" for name in ("06_pooling", "13_results")),
]
PROTOCOL = {
    "digits": 60_000,
    "epochs": 5,
    "batch_size": 128,
    "judged": "last epoch, 10,000 test digits",
}


@dataclass(frozen=True)
class Experiment:
    """One way to train, and how often: a run for each seed.

    Of `rates`, tried on the held-out digits with `rate_seeds` seeds, none is clearly
    better than the learning rate. `digits` of the training digits are drawn by the
    seed; `permuted` puts the pixels of all images, test images too, in one random
    order.
    """

    make: Callable[[], nn.Module]
    learning_rate: float = 0.1
    rates: tuple[float, ...] = ()
    rate_seeds: int = 1
    digits: int = PROTOCOL["digits"]
    epochs: int = PROTOCOL["epochs"]
    permuted: bool = False
    seeds: int = 5


def convolutional(
    *pools: nn.Module, stride: int = 1, features: int = 800
) -> nn.Sequential:
    """Make a network like LeNet whose maps shrink in other ways, or not at all."""
    first, second = pools or (nn.Identity(), nn.Identity())
    return nn.Sequential(
        *(nn.Conv2d(1, 20, kernel_size=5, stride=stride), nn.ReLU(), first),
        *(nn.Conv2d(20, 50, kernel_size=5, stride=stride), nn.ReLU(), second),
        nn.Flatten(),
        nn.Linear(features, 10),
    )


COARSE = (0.05, 0.1, 0.2, 0.3)
MODELS = {
    "softmax regression": Experiment(
        models.SoftmaxRegression, 0.05, (0.02, 0.05, 0.07, 0.1, 0.14, 0.2), rate_seeds=5
    ),
    "multilayer perceptron": Experiment(
        models.MultilayerPerceptron, 0.14, (0.05, 0.07, 0.1, 0.14, 0.2), rate_seeds=5
    ),
    "LeNet": Experiment(models.LeNet, 0.1, (0.05, 0.07, 0.1, 0.14), rate_seeds=2),
}
VARIANTS = {
    "LeNet-5 of 1998": Experiment(models.LeNet5, 0.2, COARSE, seeds=3),
    "LeNet, 30 epochs": Experiment(models.LeNet, epochs=30, seeds=2),
    "LeNet, 30 epochs, augmented": Experiment(
        lambda: nn.Sequential(RandomDistortion(), models.LeNet()), epochs=30, seeds=2
    ),
}
POOLING = {
    "no pooling": Experiment(
        lambda: convolutional(features=20_000), 0.05, COARSE, seeds=3
    ),
    "strided convolutions": Experiment(
        lambda: convolutional(stride=2), 0.1, COARSE, seeds=3
    ),
    "average pooling": Experiment(
        lambda: convolutional(nn.AvgPool2d(2), nn.AvgPool2d(2)), 0.2, COARSE, seeds=3
    ),
    "global max pooling": Experiment(
        lambda: convolutional(nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(1), features=50),
        *(0.1, COARSE),
        seeds=3,
    ),
}
SIZES = (200, 600, 2_000, 6_000, 20_000)
# Few digits are met more often, so that every model takes at least 1,000 steps.
FEWER = {
    f"{name}, {size} digits": replace(
        model,
        rates=(),
        digits=size,
        epochs=max(5, 1_000 // -(-size // PROTOCOL["batch_size"])),
    )
    for size in SIZES
    for name, model in MODELS.items()
}
PERMUTED = {
    f"{name}, permuted": replace(model, rates=(), permuted=True)
    for name, model in MODELS.items()
}
EXPERIMENTS = VARIANTS | FEWER | PERMUTED | POOLING
# What reads the test digits once more, moved to the right.
SHIFTED = ["multilayer perceptron", *POOLING]
SHIFTED.insert(-1, "LeNet")
SHIFTS = (2, 4)  # pixels


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
    """Train with each seed, and at each rate, that is not known yet; time an epoch."""
    results = {"protocol": PROTOCOL, "torch": torch.__version__}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text("utf-8"))
    mnist = load_mnist(source="full", validation=0)
    for kind, experiments in ("models", MODELS), ("experiments", EXPERIMENTS):
        for name, experiment in experiments.items():
            seeds = describe(results.setdefault(kind, {}), name, experiment)["seeds"]
            for seed in map(str, range(experiment.seeds)):
                if seed not in seeds:
                    trainer = train(experiment, mnist.train, int(seed))
                    seeds[seed] = judge(trainer, mnist.test, name, experiment)
                    accuracy = seeds[seed]["accuracy"]
                    print(f"{name}, seed {seed}: {100 * accuracy:.2f} %", flush=True)
                    save(results)
    split = load_mnist(source="full")
    for name, experiment in (MODELS | EXPERIMENTS).items():
        for rate in experiment.rates:
            known = results.setdefault("rates", {}).setdefault(name, {})
            accuracies = known.setdefault(str(rate), [])
            for seed in range(len(accuracies), experiment.rate_seeds):
                trial = replace(experiment, learning_rate=rate)
                trainer = train(trial, split.train, seed)
                accuracies.append(trainer.evaluate(split.validation).accuracy)
                print(f"{name} at {rate}: {100 * accuracies[-1]:.2f} %", flush=True)
                save(results)
    if not results.get("seconds", {}).keys() >= MODELS.keys():
        results["seconds"] = time_epochs(mnist.train)  # side by side, or not comparable
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
    seeds = known.get(name, {}).get("seeds", {})
    if known.get(name) != {**settings, "seeds": seeds}:
        known[name] = {**settings, "seeds": {}}
    return known[name]


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


def judge(trainer: Trainer, test: Digits, name: str, experiment: Experiment) -> dict:
    """Read the test digits, and for some networks, the moved ones."""
    evaluation = trainer.evaluate(prepare(test, experiment))
    record = {"accuracy": evaluation.accuracy, "cost": evaluation.cost}
    if name in SHIFTED:
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


def time_epochs(digits: Digits) -> dict:
    """Time an epoch of each model: they take turns, and the median of five counts."""
    seconds = {name: [] for name in MODELS}
    for seed in range(5):
        for name, experiment in MODELS.items():
            trainer = Trainer(experiment.make())
            start = time.perf_counter()
            trainer.fit(digits, epochs=1, seed=seed)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {"threads": torch.get_num_threads(), **medians}


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
    block = blocks(results)
    return re.sub(marks, lambda m: f"{m[1]}{block[m[2]]}\n{m[3]}", text)


def spread(accuracies: list[float]) -> tuple[float, float]:
    """Give mean and standard deviation in per cent; one alone has no spread."""
    per_cent = [100 * accuracy for accuracy in accuracies]
    deviation = statistics.stdev(per_cent) if len(per_cent) > 1 else 0.0
    return statistics.mean(per_cent), deviation


def with_spread(accuracies: list[float], digits: int = 2) -> str:
    """Write both in per cent; a narrow table breaks the line before ± or not at all."""
    mean, deviation = spread(accuracies)
    space = "\N{NO-BREAK SPACE}"
    return f"{mean:.{digits}f} ±{space}{deviation:.{digits}f}{space}%"


def seeds(record: dict, key: str = "accuracy") -> list:
    """Give what was found with each seed."""
    return [seed[key] for seed in record["seeds"].values()]


def blocks(results: dict) -> dict[str, str]:
    """Write what stands between marks, by the name in them."""
    records = results["models"] | results["experiments"]
    cells = {}  # of each row of a table, by the column
    for name, record in records.items():
        accuracy = with_spread(seeds(record))
        cells[name] = {
            "parameters": f"{record['parameters']:,}",
            "multiply-adds": f"{record['multiply_adds']:,}",
            **dict.fromkeys(
                ("test accuracy", "pixels in place", "not moved"), accuracy
            ),
            "test cost, nats": f"{statistics.mean(seeds(record, 'cost')):.4f}",
        }
    for name in MODELS:
        cells[name]["seconds for an epoch of 60,000 digits"] = (
            f"{results['seconds'][name]:.1f}"
        )
        there = cells[f"{name}, permuted"]["test accuracy"]
        cells[name]["pixels permuted"] = there
    for name in SHIFTED:
        for pixels in SHIFTS:
            shifted = [s[str(pixels)] for s in seeds(records[name], "shifted")]
            cells[name][f"{pixels} pixels"] = with_spread(shifted, digits=1)
    rates = {name: e.rates for name, e in (MODELS | EXPERIMENTS).items() if e.rates}
    for name in rates:
        for rate, accuracies in results["rates"][name].items():
            cells[name][rate] = f"{spread(accuracies)[0]:.2f}"
    for name, times in results["machines"]["seconds"].items():
        for way, seconds in times.items():
            cells[name][way] = f"{seconds:.1f} s"
    cells["LeNet, 5 epochs"] = cells["max pooling (LeNet)"] = cells["LeNet"]

    def table(head: str, rows: Iterable[str]) -> str:
        """Write a Markdown table: text in the first column, numbers in the others."""
        columns = head.split(" | ")[1:]
        lines = [f"| {head} |", "|---" + "|---:" * len(columns) + "|"]
        for row in rows:
            found = [cells[row].get(column, "") for column in columns]
            lines.append(f"| {row} | {' | '.join(found)} |")
        return "\n".join(["", *lines, ""])

    compared = "parameters | multiply-adds | test accuracy | test cost, nats"
    shifts = " | ".join(f"{pixels} pixels" for pixels in SHIFTS)
    ways = " | ".join(results["machines"]["seconds"]["LeNet"])
    every = sorted({rate for tried in rates.values() for rate in tried})
    return {
        "models": table(f"model | {compared}", MODELS),
        "variants": table(f"network | {compared}", ["LeNet, 5 epochs", *VARIANTS]),
        "seconds": table("model | seconds for an epoch of 60,000 digits", MODELS),
        "machines": table(f"model | {ways}", results["machines"]["seconds"]),
        "permuted": table("model | pixels in place | pixels permuted", MODELS),
        "shifts": table(
            f"network | multiply-adds | not moved | {shifts}",
            [name.replace("LeNet", "max pooling (LeNet)") for name in SHIFTED],
        ),
        "rates": table(f"network | {' | '.join(map(str, every))}", rates),
        "fewer": "\n".join(fewer_digits(records)),
    }


def fewer_digits(records: dict) -> Iterator[str]:
    """Write the accuracies with fewer digits as Python: means and spreads."""
    yield f"SIZES = {[*SIZES, PROTOCOL['digits']]}"
    for title, part in ("MEANS", 0), ("SPREADS", 1):
        yield f"{title} = {{"
        for name in MODELS:
            names = [*(f"{name}, {size} digits" for size in SIZES), name]
            numbers = [round(spread(seeds(records[n]))[part], 2) for n in names]
            yield f'    "{name}": {numbers},'
        yield "}"


if __name__ == "__main__":
    main(sys.argv[1:])
