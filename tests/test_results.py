"""The measured numbers, and the pages that quote them."""

import json
import re
import statistics
from pathlib import Path

import pytest

import mnist_lesson
from tools import results as tool

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "results" / "results.json").read_text("utf-8"))
LEAST = {"softmax regression": 92.45, "multilayer perceptron": 97.70, "LeNet": 99.28}


@pytest.mark.parametrize("name", LEAST)
def test_five_seeds_on_all_training_digits(name):
    model = RESULTS["models"][name]
    assert RESULTS["protocol"] == tool.PROTOCOL
    assert list(model["seeds"]) == ["0", "1", "2", "3", "4"]
    accuracies = [100 * seed["accuracy"] for seed in model["seeds"].values()]
    assert statistics.mean(accuracies) >= LEAST[name]
    parameters = tool.MODELS[name][0]().parameters()
    assert model["parameters"] == sum(p.numel() for p in parameters)


@pytest.mark.parametrize("page", tool.PAGES, ids=lambda page: page.name)
def test_pages_quote_what_was_measured(page):
    text = page.read_text("utf-8")
    assert tool.filled(text, RESULTS) == text
    changed = json.loads(json.dumps(RESULTS))
    changed["models"]["LeNet"]["seeds"]["0"]["accuracy"] = 0.5
    assert tool.filled(text, changed) != text


def test_accuracies_in_the_prose_agree():
    """Wherever a chapter or page names a percentage, it is one that was measured."""
    measured = [
        statistics.mean(100 * seed["accuracy"] for seed in model["seeds"].values())
        for model in RESULTS["models"].values()
    ]
    for path in [*(ROOT / "notebooks").glob("*.ipynb"), ROOT / "book" / "index.md"]:
        source = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(source)["cells"]
            source = "".join(
                line
                for c in cells
                if c["cell_type"] == "markdown"
                for line in c["source"]
            )
        for number in re.findall(r"about (9\d\.\d+) %", source):
            digits = len(number.split(".")[1])
            assert number in [f"{value:.{digits}f}" for value in measured], path.name


def test_a_page_without_a_place_is_refused():
    with pytest.raises(SystemExit, match="no place for the results"):
        tool.filled("# A page", RESULTS)


def test_the_package_says_what_it_measures():
    assert set(RESULTS["models"]) == set(tool.MODELS)
    assert all(hasattr(mnist_lesson, make.__name__) for make, _ in tool.MODELS.values())
