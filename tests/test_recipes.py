"""CONTRIBUTING's recipes, followed: a throw-away model, lab and chapter.

Each is made in a copy of the course, of the files that its recipe names and no others;
then the course's own tests are run there.
"""

import os
import re
import subprocess
import sys

import nbformat
import pytest

from mnist_lesson import load_mnist

MODEL = '''

class ThrownAway(Layers):
    """Eight hidden units."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 8), nn.Tanh(), nn.Linear(8, 10))
'''
BY_HAND = "lambda x, w, b, v, c: (x.flatten(1) @ w.T + b).tanh() @ v.T + c"
LAB = """lab.define("thrown", (root) => {
  const shown = lab.make("output", "2");
  root.append(lab.button("Double", () => {
    shown.textContent = String(2 * Number(shown.textContent));
  }), shown);
});
"""
LAB_TEST = """from test_labs import press

def test_doubling(lab):
    page = lab("thrown")
    press(page, "Double")
    assert page.inner_text("output") == str(2 + 2)
"""
PLACE = '<div data-lab="thrown" style="--wide: 3rem; --phone: 3rem">A number.</div>'
PICTURE = "A bar for each of the ten digits, as high as its probability."
ENDING = """## Summary

- It is a list of layers.
- It has eight hidden units.
- It goes.

## Exercises

**1. Predict** its parameters.

**2. Change** its units.

**3. Build** another.

## Further reading

[LeCun and others](https://doi.org/10.1109/5.726791) went further."""
# A model as the page has it, beside PyTorch.
IN_THE_PAGE = """
import json, torch
from mnist_lesson import ThrownAway, load_mnist, to_input
from tools import make_lab_weights, results

experiment = make_lab_weights.MODELS["thrown away"]
digits = load_mnist(source="sample").test
assert results.train(experiment, digits, 0).evaluate(digits).accuracy > 0.5
torch.manual_seed(0)
model = ThrownAway().half().float()
packed = make_lab_weights.read(make_lab_weights.WEIGHTS)
layers = make_lab_weights.pack(model)
packed["thrown away"] = {"accuracy": 0.5, "layers": layers}
make_lab_weights.write(make_lab_weights.WEIGHTS, "Weights.", packed)
with torch.no_grad():
    print(json.dumps(model(to_input(digits.images[:1]))[0].tolist()))
"""


@pytest.fixture(scope="module")
def course(checkout, full_mnist):
    """Follow the three recipes; chapters are stored on full MNIST only."""
    course = checkout(repository=True)

    def edit(name, old, new):
        text = (course / name).read_text("utf-8")
        assert text.count(old) == 1, (name, old)
        (course / name).write_text(text.replace(old, new), "utf-8")

    edit("mnist_lesson/models.py", "__all__ = [", '__all__ = ["ThrownAway", ')
    with open(course / "mnist_lesson" / "models.py", "a", encoding="utf-8") as file:
        file.write(MODEL)
    row = f"(models.ThrownAway, 785 * 8 + 9 * 10, {BY_HAND}),"
    edit(
        "tests/test_models.py",
        "(LeNet, 33_580, lenet),",
        f"(LeNet, 33_580, lenet), {row}",
    )
    row = '"thrown away": Experiment(models.ThrownAway, 0.1),'
    edit("tools/experiments.py", "MODELS = {\n", f"MODELS = {{\n    {row}\n")

    labs = course / "book" / "_static" / "labs"
    (labs / "thrown.js").write_text(LAB, "utf-8")
    (labs / "thrown.css").write_text(".lab-thrown { padding: 0.5rem; }", "utf-8")
    (course / "tests" / "test_lab_thrown.py").write_text(LAB_TEST, "utf-8")

    chapter = nbformat.read(course / "notebooks" / "07_lenet.ipynb", as_version=4)
    title, badge, install, imports, load = chapter.cells[:5]
    title.source = (
        "# Thrown away\n\n" + 20 * "In this chapter we look at a model that goes. "
        + "\n\n<!-- in the list of chapters: a model that goes -->"
    )  # fmt: skip
    badge.source = badge.source.replace("07_lenet", "99_thrown_away")
    imports.source = (
        "import torch\n\nfrom mnist_lesson import ThrownAway, load_mnist, "
        "show_digits, show_maps, to_input"
    )
    code, words = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    draw = [
        "show_digits(mnist.test.images[:3])",
        "show_maps(model[1].weight.detach().reshape(8, 28, 28))",
        "show_digits(mnist.train.images[:5])",
    ]
    make = "torch.manual_seed(0)\nmodel = ThrownAway()\nprint(model(x).shape)"
    chapter.cells = [
        *(title, badge, install, imports, load, words(PLACE)),
        code(f"x = to_input(mnist.test.images[:7])\n{make}"),
        *(code(c, metadata={"mystnb": {"image": {"alt": PICTURE}}}) for c in draw),
        words(ENDING),
    ]
    nbformat.write(chapter, course / "notebooks" / "99_thrown_away.ipynb")
    last = "      - file: notebooks/13_results\n"
    edit("_toc.yml", last, f"{last}{last.replace('13_results', '99_thrown_away')}")
    return course


@pytest.fixture(scope="module")
def run(course):
    """Run Python in the course; give what it says."""

    def run(*arguments):
        environment = os.environ | {"PYTHONPATH": str(course)}
        for name in [name for name in environment if "XDIST" in name]:
            del environment[name]
        done = subprocess.run(
            [sys.executable, *arguments], cwd=course, env=environment,
            capture_output=True, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout

    return run


def test_a_model(run, course, page):
    found = run("-m", "pytest", "-q", "tests/test_models.py", "-k", "ThrownAway")
    assert "1 passed" in found
    *_, logits = run("-c", IN_THE_PAGE).splitlines()
    address = (course / "book" / "_static" / "labs" / "lab.js").as_uri()
    page.goto((course / "book" / "_static" / "favicon.png").as_uri())
    page.add_script_tag(url=address)
    image = load_mnist(source="sample").test.images[0]
    computed = page.evaluate(
        """async (image) => {
          const { models } = await lab.load("models");
          const made = models.find(({ name }) => name === "thrown away");
          return [...made.logits(lab.toInput(image))];
        }""",
        image.ravel().tolist(),
    )
    assert computed == pytest.approx(eval(logits), abs=1e-4)


def test_a_lab_in_a_chapter(run, course, git):
    run("tools/execute.py", "99")
    run("tools/chapters.py")
    listed = git(course, "status", "--short", "--untracked-files=all")
    weights = "book/_static/labs/weights.js"  # of the model, if that came first
    assert {line[3:] for line in listed.splitlines()} - {weights} == {
        *("mnist_lesson/models.py", "tests/test_models.py", "tools/experiments.py"),
        *("book/_static/labs/thrown.js", "book/_static/labs/thrown.css"),
        *("tests/test_lab_thrown.py", "notebooks/99_thrown_away.ipynb", "_toc.yml"),
        *("book/index.md", "README.md"),
    }
    for page in "README.md", "book/index.md":
        assert re.search(
            "Thrown away.*99_thrown_away", (course / page).read_text("utf-8")
        )
    tests = [f"tests/test_{name}.py" for name in ("notebooks", "labs", "lab_thrown")]
    tests += ["tests/test_book.py", "tests/test_questions.py"]
    run(
        *("-m", "pytest", "-q", "--nbval", "notebooks/99_thrown_away.ipynb", *tests),
        *("-k", "thrown or source_chapter or for_teachers or chapter_has"),
    )
