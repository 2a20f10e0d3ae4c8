"""Measure what the book quotes, and fill it in.

    python tools/results.py [--fill]

Tries learning rates on held-out digits; trains each model, and what else is in
EXPERIMENTS, at the rate named there, with five seeds or, where it takes long, with
fewer; evaluates the last epoch on the 10,000 test digits; and keeps every seed in
results/results.json as soon as it is known, so that it can be stopped and started
again. Remove an entry to measure it anew, and its runs in _build/runs, if any are
there. Then whatever stands between the marks of a page or chapter is written from that
file; with --fill, only that is done.
"""

import json
import re
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.append(str(Path(__file__).parents[1]))
from mnist_lesson import Digits, Trainer, load_mnist
from tools.experiments import (
    COARSE,
    EXPERIMENTS,
    MODELS,
    PROTOCOL,
    QUICK,
    SHIFTED,
    SHIFTS,
    SIZES,
    VARIANTS,
    Experiment,
    Together,
)
from tools.files import read_notebook, store

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "results.json"
RUNS = ROOT / "_build" / "runs"  # epochs of networks that are used again
CHAPTERS = "06_pooling", "13_results", "15_seconds"
PAGES = [
    ROOT / "README.md",
    *(ROOT / "book" / f"{name}.md" for name in ("index", "questions", "machines")),
    *(ROOT / "notebooks" / f"{name}.ipynb" for name in CHAPTERS),
]


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
    model = Together(experiment.make() for _ in range(experiment.together))
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
    """Train as the experiment says; several networks have seeds of their own."""
    if experiment.together > 1:
        first, one = seed * experiment.together, replace(experiment, together=1)
        members = range(first, first + experiment.together)
        return Trainer(Together(train(one, digits, member).model for member in members))
    torch.manual_seed(seed)
    trainer = Trainer(experiment.make(), learning_rate=experiment.learning_rate)
    if experiment.digits < len(digits):
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(digits), generator=generator)[: experiment.digits]
        digits = digits[chosen.numpy()]
    settings = experiment.learning_rate, experiment.epochs, experiment.digits, seed
    folder = RUNS / "-".join(map(str, (experiment.make.__name__, *settings)))
    keep = {"checkpoint_dir": folder, "resume": True} if experiment.kept else {}
    prepared = prepare(digits, experiment)
    trainer.fit(prepared, epochs=experiment.epochs, seed=seed, **keep)
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
    store(RESULTS, json.dumps(results, indent=2) + "\n")


def fill(page: Path, results: dict) -> None:
    """Write the tables of a page or a chapter anew."""
    if page.suffix == ".md":
        store(page, filled(page.read_text("utf-8"), results))
    else:
        notebook = read_notebook(page)
        for cell in notebook.cells:
            cell.source = filled(cell.source, results)
        store(page, notebook)


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
    around = f" ±{space}{deviation:.{digits}f}" if len(accuracies) > 1 else ""
    return f"{mean:.{digits}f}{around}{space}%"


def seeds(record: dict, key: str = "accuracy") -> list:
    """Give what was found with each seed."""
    return [seed[key] for seed in record["seeds"].values()]


def blocks(results: dict) -> dict[str, str]:
    """Write what stands between marks, by the name in them."""
    records = results["models"] | results["experiments"]
    cells = {}  # of each row of a table, by the column
    for name, record in records.items():
        accuracy, runs = with_spread(seeds(record)), len(record["seeds"])
        cells[name] = {
            "runs": f"{runs} run{'s' if runs > 1 else ''}",
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
    for name, numbers in results["bench"].items():
        titles = "median", "least", "most"
        cells[name] = {t: f"{n:.3g}" for t, n in zip(titles, numbers, strict=True)}
    for way, times in results["peers"].items():
        cells[way] = {name: f"{seconds:.1f} s" for name, seconds in times.items()}
    limits = results["limits"]
    for way, seconds in (limits["loop"] | limits["trainer"]).items():
        cells[way] = {"seconds for 60,000 digits": f"{seconds:.1f}"}
    for name, times in results["machines"]["seconds"].items():
        for way, seconds in times.items():
            cells[name][way] = f"{seconds:.1f} s"
    cells["LeNet, 5 epochs"] = cells["max pooling (LeNet)"] = cells["LeNet"]

    def table(head: str, rows: Iterable[str], runs: bool = False) -> str:
        """Write a Markdown table: text in the first column, numbers in the others.

        Where it differs from row to row, the text says how many runs there were.
        """
        columns = head.split(" | ")[1:]
        lines = [f"| {head} |", "|---" + "|---:" * len(columns) + "|"]
        for row in rows:
            found = [cells[row].get(column, "") for column in columns]
            title = f"{row} ({cells[row]['runs']})" if runs else row
            lines.append(f"| {title} | {' | '.join(found)} |")
        return "\n".join(["", *lines, ""])

    compared = "parameters | multiply-adds | test accuracy | test cost, nats"
    shifts = " | ".join(f"{pixels} pixels" for pixels in SHIFTS)
    ways = " | ".join(results["machines"]["seconds"]["LeNet"])
    steps = (
        f'    "{name}": ({step["seconds"]:.2f}, {step["epochs"]:.1f}),'
        for name, step in results["ladder"].items()
    )
    every = sorted({rate for tried in rates.values() for rate in tried})
    return {
        "models": table(f"model | {compared}", MODELS),
        "variants": table(
            f"network | {compared}", ["LeNet, 5 epochs", *VARIANTS], runs=True
        ),
        "seconds": table("model | seconds for an epoch of 60,000 digits", MODELS),
        "machines": table(f"model | {ways}", results["machines"]["seconds"]),
        "permuted": table("model | pixels in place | pixels permuted", MODELS),
        "shifts": table(
            f"network | multiply-adds | not moved | {shifts}",
            [name.replace("LeNet", "max pooling (LeNet)") for name in SHIFTED],
        ),
        "rates": table(f"network | {' | '.join(map(str, every))}", rates),
        "fewer": "\n".join(fewer_digits(records)),
        "peers": table(f"trained with | {' | '.join(MODELS)}", results["peers"]),
        "bench": table("measured | median | least | most", results["bench"]),
        "loop": table("a bare loop | seconds for 60,000 digits", limits["loop"]),
        "trainer": table("the trainer | seconds for 60,000 digits", limits["trainer"]),
        "quick": table(f"network | {' | '.join(map(str, COARSE))}", QUICK),
        "ladder": "\n".join(["LADDER = {", *steps, "}"]),
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
