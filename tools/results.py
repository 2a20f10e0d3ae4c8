"""Measure what the book quotes, and fill it in.

    python tools/results.py [--fill]

Trains each model with five seeds on all 60,000 training digits (5 epochs, batches of
128, momentum and weight decay as the trainer has them), evaluates the last epoch on
the 10,000 test digits, and keeps every seed in results/results.json as soon as it is
known, so that it can be stopped and started again. Remove an entry to measure it anew.
Then the table in the README and on the first page is written from that file; with
--fill, only that is done.
"""

import json
import re
import statistics
import sys
from pathlib import Path

import torch

from mnist_lesson import (
    LeNet,
    MultilayerPerceptron,
    SoftmaxRegression,
    Trainer,
    load_mnist,
)
from mnist_lesson._system import whole_file

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "results.json"
PAGES = [ROOT / "README.md", ROOT / "book" / "index.md"]
# Each with the learning rate that did best on held-out training digits.
MODELS = {
    "softmax regression": (SoftmaxRegression, 0.1),
    "multilayer perceptron": (MultilayerPerceptron, 0.07),
    "LeNet": (LeNet, 0.1),
}
SEEDS = range(5)
PROTOCOL = {
    "digits": 60_000,
    "epochs": 5,
    "batch_size": 128,
    "judged": "last epoch, 10,000 test digits",
}


def main(arguments: list[str]) -> None:
    """Measure what is missing, then fill in."""
    if arguments not in ([], ["--fill"]):
        raise SystemExit(__doc__)
    if not arguments:
        measure()
    for page in PAGES:
        text = filled(page.read_text("utf-8"), json.loads(RESULTS.read_text("utf-8")))
        with whole_file(page) as temporary:
            temporary.write_text(text, "utf-8")


def measure() -> None:
    """Train each model with each seed that is not known yet."""
    results = {"protocol": PROTOCOL, "torch": torch.__version__, "models": {}}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text("utf-8"))
    mnist = load_mnist(source="full", validation=0)
    for name, (make, rate) in MODELS.items():
        parameters = sum(p.numel() for p in make().parameters())
        model = results["models"].setdefault(
            name, {"parameters": parameters, "learning_rate": rate, "seeds": {}}
        )
        for seed in SEEDS:
            if str(seed) in model["seeds"]:
                continue
            torch.manual_seed(seed)
            trainer = Trainer(make(), learning_rate=rate)
            trainer.fit(mnist.train, epochs=PROTOCOL["epochs"], seed=seed)
            test = trainer.evaluate(mnist.test)
            model["seeds"][str(seed)] = {"accuracy": test.accuracy, "cost": test.cost}
            print(f"{name}, seed {seed}: {100 * test.accuracy:.2f} %", flush=True)
            RESULTS.parent.mkdir(exist_ok=True)
            with whole_file(RESULTS) as temporary:
                temporary.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def table(results: dict) -> str:
    """Write the results as a Markdown table: means over the seeds, with the spread."""
    lines = [
        "| model | parameters | test accuracy | test cost, nats |",
        "|---|---:|---:|---:|",
    ]
    for name, model in results["models"].items():
        accuracies = [100 * seed["accuracy"] for seed in model["seeds"].values()]
        costs = [seed["cost"] for seed in model["seeds"].values()]
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        lines.append(
            f"| {name} | {model['parameters']:,} | {mean:.2f} ± {spread:.2f} % "
            f"| {statistics.mean(costs):.4f} |"
        )
    return "\n".join(lines)


def filled(text: str, results: dict) -> str:
    """Put the table between the marks of a page."""
    marked = r"(<!-- results -->\n)(?:.*\n)*?(<!-- end of results -->)"
    text, count = re.subn(marked, lambda m: f"{m[1]}\n{table(results)}\n\n{m[2]}", text)
    if count != 1:
        raise SystemExit("the page has no place for the results: <!-- results --> …")
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
