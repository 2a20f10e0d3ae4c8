"""The measured numbers, and the pages that quote them."""

import copy
import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from torch import nn

from mnist_lesson import (
    MEAN,
    STD,
    LeNet,
    LeNet5,
    SoftmaxRegression,
    Trainer,
    inference,
    load_mnist,
)
from mnist_lesson.data import PAPER
from mnist_lesson.models import PartlyConnected
from tools import experiments
from tools import results as tool
from tools.chapters import notebooks

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "results" / "results.json").read_text("utf-8"))
RECORDS = RESULTS["models"] | RESULTS["experiments"]
EXPERIMENTS = tool.MODELS | tool.EXPERIMENTS
NOTEBOOKS = notebooks()
LEAST = {
    "softmax regression": 92.45,
    "multilayer perceptron": 98.15,
    "LeNet": 99.30,
    "LeNet, 30 epochs, augmented": 99.55,
}
# A number that somebody measured or counted: a share, a decimal, or in the thousands.
NUMBER = re.compile(
    r"(?<![\w.,])\d+(?:,\d{3})+(?:\.\d+)?|(?<![\w.,])\d+\.\d+|\d+(?= %)"
)


def test_every_experiment_has_its_seeds():
    assert RESULTS["protocol"] == tool.PROTOCOL
    assert (RESULTS["models"].keys(), RECORDS.keys()) == (
        *(tool.MODELS.keys(), EXPERIMENTS.keys()),
    )
    for name, experiment in EXPERIMENTS.items():
        known = copy.deepcopy(RECORDS)
        # Had it other settings than those that were measured, it would begin anew.
        assert tool.describe(known, name, experiment) == RECORDS[name]
        assert [*RECORDS[name]["seeds"]] == [*map(str, range(experiment.seeds))]


def test_each_rate_is_the_best_that_was_tried_on_the_held_out_digits():
    """Where others do as well, within what the seed does, the middle one is as good."""
    assert {*RESULTS["rates"]} == {n for n, e in EXPERIMENTS.items() if e.rates}
    for name, tried in RESULTS["rates"].items():
        experiment = EXPERIMENTS[name]
        assert {*tried} == {*map(str, experiment.rates)}
        assert all(len(seeds) == experiment.rate_seeds for seeds in tried.values())
        means = {rate: tool.spread(seeds)[0] for rate, seeds in tried.items()}
        assert means[str(experiment.learning_rate)] > max(means.values()) - 0.1


def test_the_models_are_as_good_as_they_should_be():
    for name, least in LEAST.items():
        assert tool.spread(tool.seeds(RECORDS[name]))[0] >= least, name


def test_mean_and_spread_by_hand():
    assert tool.spread([0.5, 0.53]) == pytest.approx((51.5, (2 * 1.5**2) ** 0.5))


def test_a_single_run_has_no_spread():
    one, two = tool.with_spread([0.9955]), tool.with_spread([0.995, 0.996])
    assert one == "99.55\N{NO-BREAK SPACE}%" and " ±\N{NO-BREAK SPACE}0.07" in two


def test_multiply_adds_by_hand():
    # each of LeNet-5's own weights times the places where it is used
    c3 = 25 * sum(map(len, PartlyConnected.INPUTS)) * 10 * 10
    s2, s4, c5, f6 = 6 * 14 * 14, 16 * 5 * 5, 16 * 25 * 120, 120 * 84
    by_hand = 6 * 25 * 28 * 28 + s2 + c3 + s4 + c5 + f6 + 84 * 10
    assert tool.multiply_adds(LeNet5()) == by_hand == 328_096
    assert tool.multiply_adds(LeNet()) == 24 * 24 * 500 + 8 * 8 * 25_000 + 8_000


def test_chapter_6_shows_the_networks_that_were_measured():
    chapter_6 = texts(ROOT / "notebooks" / "06_pooling.ipynb")
    [cell] = [text for text in chapter_6 if "\nNETWORKS = {" in text]
    chapter = {"torch": torch, "nn": nn}
    exec(cell, chapter)
    measured = {name: e.make() for name, e in experiments.POOLING.items()}
    measured["max pooling (LeNet)"] = LeNet()
    assert set(chapter["NETWORKS"]) == set(measured)
    images = torch.randn(2, 1, 28, 28)
    for name, model in measured.items():
        shown = chapter["network"](*chapter["NETWORKS"][name])
        for ours, theirs in zip(model.parameters(), shown.parameters(), strict=True):
            theirs.data = ours.data
        assert torch.equal(model(images), shown(images))


def test_digits_are_moved_and_permuted():
    """To the right, where paper comes in; their pixels in one order for all."""
    digits = load_mnist(source="sample").test[:3]
    moved = tool.moved(digits, 4).images
    assert np.array_equal(moved[:, :, 4:], digits.images[:, :, :-4])
    assert not moved[:, :, :4].any()
    permuted = tool.prepare(digits, experiments.PERMUTED["LeNet, permuted"])
    order = torch.randperm(784, generator=torch.Generator().manual_seed(0)).numpy()
    flat = digits.images.reshape(3, 784)
    assert (permuted.images.reshape(3, 784) == flat[:, order]).all()
    assert (permuted.labels == digits.labels).all()
    assert tool.prepare(digits, tool.MODELS["LeNet"]) is digits


def test_several_networks_answer_together_and_are_trained_once(tmp_path, monkeypatch):
    """Each with a seed of its own; the mean of their probabilities is the answer."""
    monkeypatch.setattr(tool, "RUNS", tmp_path)
    digits = load_mnist(source="sample").train[:256]
    two = experiments.Experiment(SoftmaxRegression, epochs=1, kept=True, together=2)
    trainer = tool.train(two, digits, 1)
    assert {path.name for path in tmp_path.iterdir()} == {
        "SoftmaxRegression-0.1-1-60000-2", "SoftmaxRegression-0.1-1-60000-3",
    }  # fmt: skip
    one = replace(two, together=1, kept=False)
    alone = [tool.train(one, digits, seed).predict(digits.images) for seed in (2, 3)]
    together = trainer.predict(digits.images)
    assert torch.allclose(together, torch.stack(alone).mean(0), atol=1e-6)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    assert tool.multiply_adds(trainer.model) == 2 * 7_840
    monkeypatch.setattr(inference, "diverged", None)  # what every epoch ends with
    assert torch.equal(tool.train(two, digits, 1).predict(digits.images), together)


def texts(path):
    """What a page says: its Markdown, and the code cells that results are filled in."""
    if path.suffix == ".md":
        return [path.read_text("utf-8")]
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


@pytest.mark.parametrize("page", tool.PAGES, ids=lambda page: page.name)
def test_pages_quote_what_was_measured(page):
    changed = copy.deepcopy(RESULTS)
    for record in (changed["models"] | changed["experiments"]).values():
        record["seeds"]["0"]["accuracy"] = 0.5
    changed["rates"]["LeNet"]["0.1"] = [0.5, 0.5]
    changed["ladder"]["whole batches from memory"]["epochs"] = 0.5
    changed["machines"]["seconds"]["LeNet"] = {"one process": 0.5}
    said = texts(page)
    assert [tool.filled(text, RESULTS) for text in said] == said
    assert [tool.filled(text, changed) for text in said] != said


def numbers(text):
    """Find the numbers in a text; 60,000 and 60_000 are 60000."""
    return {n.replace(",", "") for n in NUMBER.findall(text.replace("_", ","))}


def printed(text):
    """Find the numbers in code or its output, and what they are when rounded."""
    found = numbers(text) | set(re.findall(r"\d{4,}", text))
    for number in [n for n in found if "." in n]:
        digits = len(number.split(".")[1])
        found |= {f"{float(number):.{fewer}f}" for fewer in range(digits)}
    return found


def quotable():
    """Find what any chapter may quote: results, MNIST's counts, trainer's defaults."""
    found = {"70000", "60000", "55000", "10000", "5000"}
    found |= {str(MEAN), str(STD), f"{-PAPER:.2f}", f"{(255 - MEAN) / STD:.2f}"}
    found |= {str(p.default) for p in inspect.signature(Trainer).parameters.values()}
    for record in RECORDS.values():
        found |= printed(f"{tool.spread(tool.seeds(record))[0]:.2f}")
        found |= {str(record[key]) for key in ("parameters", "multiply_adds", "digits")}
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_numbers_in_the_prose_were_measured(path):
    """Each stands in a stored output, the code or the results, or names its source."""
    known, prose = quotable(), ""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            known |= printed(cell.source)
            for output in cell.outputs:
                data = output.get("data", {})
                known |= printed(output.get("text") or data.get("text/plain", ""))
        elif cell.cell_type == "markdown":
            prose += f"{cell.source}\n\n"
    prose = re.sub(r"<!-- results.*?end of results -->", "", prose, flags=re.S)
    prose = re.sub(r"<div data-lab[^>]*>", "", prose)  # the height of its place
    ours = [p for p in prose.split("\n\n") if "https://doi.org/" not in p]
    assert numbers("\n\n".join(ours)) <= known


def test_a_number_nobody_measured_is_found():
    found = numbers("about 101.3 % of 12,345 digits in 3 epochs, or 88 %")
    assert found == {"101.3", "12345", "88"}
    assert "101.3" not in quotable() and {"33580", "0.9", "92.6"} <= quotable()
    assert printed("accuracy 97.35 %") >= {"97.35", "97.3", "97"}
