"""What every stored notebook must be; nbval runs them, in the same test run."""

import copy
import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from tools.adopt import home
from tools.chapters import notebooks
from tools.execute import TAGS, clean

ROOT = Path(__file__).parents[1]
NOTEBOOKS = notebooks()
TOML = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ADDRESS = TOML["project"]["urls"]["Repository"]
COLAB = "https://colab.research.google.com"
TRAINING = {"02_softmax_regression", "03_multilayer_perceptron", "07_lenet"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture
def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def text(notebook):
    """Give the chapter's own words, without the badge."""
    cells = [c for c in notebook.cells if c.metadata.get("tags") != ["remove-cell"]]
    return "\n".join(c.source for c in cells if c.cell_type == "markdown")


def test_is_stored_clean(notebook):
    """Cleaning what is stored changes nothing: no timings, no editor's metadata."""
    assert clean(copy.deepcopy(notebook)) == notebook
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert all(set(cell.metadata.get("tags", [])) <= TAGS for cell in notebook.cells)


def test_ran_on_full_mnist_from_top_to_bottom_without_errors(code):
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
    stored = json.dumps([cell.outputs for cell in code])
    assert "full MNIST: 55,000 digits to learn from,\\n" in stored
    assert "5,000 to choose with, 10,000 to judge by" in stored
    assert "sample MNIST" not in stored


def test_first_cells(path, notebook, code):
    """The title and its promise, the badge, the Colab cell, the imports."""
    title, badge, colab, imports = notebook.cells[:4]
    assert re.match(r"# .+\n\n.+", title.source)
    itself = f"{ADDRESS}/blob/main/notebooks/{path.name}"
    page = f"{home(urlsplit(ADDRESS).path[1:])}notebooks/{path.stem}.html"
    assert badge.source == (
        f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]"
        f"({itself.replace('https://github.com', f'{COLAB}/github')})\n\n"
        f"[Read this chapter on the web]({page})"
    )
    assert badge.metadata.tags == colab.metadata.tags == ["remove-cell"]
    assert f'address = "{ADDRESS}"' in colab.source
    assert colab.source == nbformat.read(NOTEBOOKS[0], as_version=4).cells[2].source
    assert "from mnist_lesson import" in imports.source
    for cell in code[2:]:
        assert not re.search(r"^(import|from) ", cell.source, re.M)


def test_follows_the_skeleton(path, text):
    headings = re.findall(r"^## (.+)$", text, re.M)
    last = ["Summary", "Exercises", "Further reading"]
    if (ROOT / "book" / "questions" / f"{path.stem}.yml").is_file():
        last.insert(2, "Check yourself")
    assert headings[-len(last) :] == last
    summary = text.split("## Summary")[1].split("## Exercises")[0]
    points = len(re.findall(r"^- ", summary, re.M))
    assert 3 <= points <= 5, "a summary has three to five points"
    exercises = re.findall(r"^\*\*(\d)\. (?:Predict|Change|Build)", text, re.M)
    assert exercises in (["1", "2", "3"], ["1", "2", "3", "4"])


def test_reads_well_everywhere(path, code, text):
    """No MyST syntax, no picture files, short cells, links that lead somewhere."""
    assert not re.search(r"^:::|^```\{|\{[a-z]+\}`", text, re.M)
    assert not re.search(r"!\[|<img", text)
    for cell in code:
        lines = cell.source.splitlines()
        assert all(len(line) <= 88 for line in lines)
        if not re.match(r"import|try|from", cell.source):
            assert len(lines) <= 15, cell.source
        # Each cell that draws says in its metadata what is to be seen.
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 40, f"no alt text for what this draws:\n{cell.source}"
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            assert target.startswith("https://doi.org/"), target
        else:
            assert (path.parent / target.split("#")[0]).resolve().is_file(), target


def test_what_varies_is_asserted_next(path, code):
    """After a cell whose output is not compared, a cell that is comes and asserts."""
    said = ["test accuracy: " in json.dumps(cell.outputs) for cell in code]
    assert any(said) or path.stem not in TRAINING
    for cell, following in (
        (code[i], code[i + 1]) for i, is_ in enumerate(said) if is_
    ):
        assert "nbval-ignore-output" in cell.metadata.tags
        assert "assert test.accuracy >" in following.source
        assert "nbval-ignore-output" not in following.metadata.get("tags", [])
