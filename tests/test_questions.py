"""The questions and predictions: their source, their answers, the notebooks.

What readers do with them in the page is tested in test_check.py.
"""

import json
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import nbformat
import pytest
import torch
import yaml
from torch.nn import functional as F

from tools import chapters, questions

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "book" / "questions"
SOURCES = sorted(FOLDER.glob("*.yml"))
NUMBER = re.compile(r"−?\d[\d,]*(?:\.\d+)?")


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def found(path):
    return questions.read(path)[0]


def cells(path):
    return nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4).cells


def test_each_chapter_has_its_questions():
    """One that somebody adds may do without."""
    may = {FOLDER / f"{path.stem}.yml" for path in chapters.notebooks()}
    assert {path for path in may if path.stem < "16"} <= {*SOURCES} <= may


def test_each_question_has_one_right_answer_reasons_and_a_section(path):
    """Read from the file itself, by itself."""
    headings = "\n".join(c.source for c in cells(path) if c.cell_type == "markdown")
    entries = yaml.safe_load(path.read_text("utf-8"))
    entries = [entry for entry in entries if "before" not in entry]
    places, words = [], 0
    assert [len(entry.get("options", ())) for entry in entries] == [3] * 5 + [0]
    for entry in entries:
        heading = re.escape(entry["section"])
        assert re.search(f"^##? {heading}$", headings, re.M), entry["section"]
        options = entry.get("options", [entry])
        kinds = ["right" in option for option in options]
        assert sum(kinds) == 1 or options == [entry]
        places += [i for i, right in enumerate(kinds) if right]
        for option in options:
            assert 5 < len(option["why"]) < 150
        said = [option.get("right", option.get("wrong", "")) for option in options]
        assert len({*said}) == len(said)
        texts = [entry["question"], *said, *(option["why"] for option in options)]
        words += sum(len(text.split()) for text in texts)
    assert {*places} == {0, 1, 2}, "each letter is right at least once"
    assert words <= 350, "a chapter is long enough"


def test_two_predictions_stand_before_the_cells_that_settle_them(path):
    """Read from the files themselves; of each, one answer is right, with a reason."""
    entries = yaml.safe_load(path.read_text("utf-8"))
    entries = [entry for entry in entries if "before" in entry]
    chapter, letters = cells(path), []
    ids = [cell.id for cell in chapter]
    assert len(entries) == 2 and len(chapter) <= 70
    for number, entry in enumerate(entries, 1):
        place = ids.index(f"predict-{number}")
        assert ids[place + 1] == entry["before"]
        options = entry.get("options", [])
        said = [text for option in options for text in option.values()]
        assert len({*said}) == len(said) == len(options)
        text = chapter[place].source
        result = re.findall(r"</summary>\n\n\*\*(.+?)[.:]\*\* (.+)\n\n</details>", text)
        if options:
            [right] = [i for i, option in enumerate(options) if "right" in option]
            assert result == [("abcd"[right], entry["why"])]
            letters.append(right)
        else:
            assert result == [(f"{entry['answer']} {entry['unit']}", entry["why"])]
        lettered = [f"- **{a}.** {one}" for a, one in zip("abcd", said, strict=False)]
        assert re.findall("^- .*", text, re.M) == lettered and len(said) in (0, 3, 4)
        assert f"**Predict.** {entry['question']}\n" in text
        words = " ".join([entry["question"], *said, entry["why"]]).split()
        assert len(words) <= 62, "a prediction is read in a moment"
    assert len({*letters}) == len(letters), "not the same letter twice"
    order = [ids.index(entry["before"]) for entry in entries]
    assert order == sorted(order)


def test_a_number_to_predict_is_the_one_that_was_measured():
    """Where the reader is told a number only, the cell has printed it."""
    for path in SOURCES:
        printed = {
            cell.id: "".join(output.get("text", "") for output in cell.outputs)
            for cell in cells(path)
            if cell.cell_type == "code"
        }
        for prediction in questions.read(path)[1]:
            if not prediction.options:
                assert f"{prediction.answer}\n" in printed[prediction.before]


def passed(n, w):
    """Send a gradient back through n sigmoids and weights, at the steepest place."""
    start = a = torch.zeros((), requires_grad=True)
    for _ in range(int(n)):
        a = w * (torch.sigmoid(a) - 0.5)  # 0 again
    return torch.autograd.grad(a, start)[0]


def unit(s, v, w, d, e):
    """Differentiate a cost that has these derivatives with respect to two sums."""
    s = torch.tensor(s, requires_grad=True)
    return torch.autograd.grad(d * v * s.relu() + e * w * s.relu(), s)[0]


def seen(*sizes):
    """Count the columns on which an output depends."""
    x = torch.ones(1, 1, 80, 80, requires_grad=True)
    first, *_, second = (torch.ones(1, 1, int(n), int(n)) for n in sizes)
    y = F.conv2d(F.avg_pool2d(F.conv2d(x, first), 2), second)
    grad = torch.autograd.grad(y[0, 0, 5, 5], x)[0]
    return int((grad[0, 0].sum(dim=0) != 0).sum())


def maps(W, _, P, F_, __, S):
    x, w = torch.zeros(1, 1, int(W), int(W)), torch.zeros(1, 1, int(F_), int(F_))
    return F.conv2d(x, w, stride=int(S), padding=int(P)).shape[-1]


def read_from(k, w, *_):
    return 10 * F.max_pool2d(torch.zeros(int(k), int(w), int(w)), 2).numel()


def velocity(g, mu):
    v = 0
    for _ in range(1_000):
        v = mu * v + g
    return v


def share(first, b, last, d):
    batches = torch.arange(first) < b, torch.arange(last) < d
    return 100 * torch.cat(batches).double().mean()


def tosses(a, b):
    """Divide a difference by the spread of as many coins."""
    signs = torch.cat([torch.ones(int(a)), -torch.ones(int(b))]).double()
    return signs.sum() / (signs**2).sum().sqrt()


def roof(peak, bandwidth, o, b):
    """Let a layer take as long as the slower of processor and memory."""
    seconds = max(1e6 * o / (1e9 * peak), 1e6 * b / (1e9 * bandwidth))
    return 1e6 * o / seconds / 1e9


# What the numbers in a question make, by other means than its expression.
ORACLES = {
    "01_digits": lambda n, b: len(torch.arange(n).split(int(b))[-1]),
    "02_softmax_regression": lambda *a: torch.tensor(a).log().softmax(0)[0],
    "03_multilayer_perceptron": unit,
    "04_activations": passed,
    "05_convolution": maps,
    "06_pooling": read_from,
    "07_lenet": seen,
    "08_training": velocity,
    # The variance of one digit's gradient, and that of a mean of m.
    "09_recipe": lambda n, s, m: (s**2 * n / m) ** 0.5,
    "10_bugs": share,
    "11_your_own_digit": lambda h, w: Fraction(20, int(h)) * int(w),
    "12_trust": lambda n, c, r: abs((torch.arange(n) < r).double().mean() - c),
    "13_results": tosses,
    # The steps of all epochs but the last.
    "14_trainer": lambda n, b, e: (e - 1) * len(torch.arange(n).split(int(b))),
    "15_seconds": roof,
}


def test_each_computed_answer_is_right(path, found):
    [computed] = [q for q in found if q.variants]
    assert 12 <= len(computed.variants) <= 16
    assert len({v.question for v in computed.variants}) == len(computed.variants)
    assert len({v.answer for v in computed.variants}) >= 6
    for variant in computed.variants:
        numbers = [
            float(text.replace(",", "").replace("−", "-"))
            for text in NUMBER.findall(variant.question)
        ]
        answer = float(ORACLES[path.stem](*numbers))
        assert variant.answer == pytest.approx(answer, abs=1e-6), variant
        shown = float(NUMBER.match(variant.shown)[0].replace("−", "-"))
        assert abs(shown - answer) <= computed.tolerance + 1e-6
        # What is counted is whole: who rounds, as the course's code does, is right.
        assert answer == round(answer) or not re.search(" [a-z]", variant.shown)
        assert "{" not in variant.question + variant.why


def test_notebook_page_and_key_say_what_the_source_says(path, found):
    """If not: python tools/chapters.py."""
    [cell] = [c for c in cells(path) if c.source.startswith("## Check yourself")]
    assert cell.source == questions.markdown(path.stem, found)
    script = ROOT / f"book/_static/labs/questions/{path.stem}.js"
    text = script.read_text("utf-8")
    assert text == questions.script(path.stem, found)
    data = json.loads(re.search(r"\[.*\]", text, re.S)[0])
    assert [len(q.get("options", ())) for q in data] == [3] * 5 + [0]
    page = (ROOT / "book" / "teachers.md").read_text("utf-8")
    answers = "|".join(q.answer for q in found)
    assert f"(../notebooks/{path.stem}.ipynb#check-yourself)|{answers}|\n" in page


def test_the_notebook_reads_by_itself(path, found):
    [cell] = [c for c in cells(path) if c.source.startswith("## Check yourself")]
    text = cell.source
    assert re.findall(r"^\*\*(\d)\.\*\* ", text, re.M) == list("123456")
    folds = re.findall(r"<summary>Answer</summary>\n\n(.*?)\n\n</details>", text)
    assert len(folds) == 6 == text.count("<details>")
    for q, fold in zip(found, folds, strict=True):
        assert fold.startswith(f"**{q.answer}{':' if q.variants else '.'}** ")
        assert f"[{q.section}]({path.stem}.ipynb#" in fold
        assert all(why in fold for _, why in q.options)


@pytest.fixture
def course(tmp_path):
    """Copy what is written when the questions are, to a folder of its own."""
    for name in "book/questions", "book/_static/labs/questions", "notebooks", "tools":
        shutil.copytree(ROOT / name, tmp_path / name)
    files = "_toc.yml", "pyproject.toml", "README.md", "book/index.md"
    for name in (*files, "book/teachers.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_a_teacher_edits_one_file_and_runs_one_command(course):
    def written():
        kinds = ".ipynb", ".js", ".md"
        files = [path for path in course.rglob("*") if path.suffix in kinds]
        return {path: path.read_bytes() for path in files}

    source = course / "book" / "questions" / "07_lenet.yml"
    text = source.read_text("utf-8")
    old, new = "That digits are centred.", "That digits are black."
    source.write_text(text.replace(old, new), "utf-8")
    before = written()
    subprocess.run([sys.executable, "tools/chapters.py"], cwd=course, check=True)
    changed = {p.name for p, text in written().items() if before[p] != text}
    assert changed == {"07_lenet.ipynb", "07_lenet.js"}
    # What has no source any more is not asked any more.
    before = written()
    source.rename(course / "source.yml")
    questions.fill(course)
    gone = course / "book" / "_static" / "labs" / "questions" / "07_lenet.js"
    assert {*before} - {*written()} == {gone}
    notebook = course / "notebooks" / "07_lenet.ipynb"
    assert "check-yourself" not in notebook.read_text("utf-8")
    page = course / "book" / "teachers.md"
    assert "07_lenet.ipynb#check-yourself" not in page.read_text("utf-8")
    assert "predict-" not in notebook.read_text("utf-8")
    # And a chapter that gets questions gets a section for them.
    (course / "source.yml").rename(source)
    questions.fill(course)
    assert written() == before
    page.write_text("no marks", "utf-8")
    with pytest.raises(
        SystemExit, match=r"book/teachers\.md: the marks of the key are"
    ):
        questions.fill(course)


DAMAGE = {
    "no YAML": ("- section: The network", "- section: [", ", line \\d+: .* no YAML"),
    "a colon": ("Layer by layer", "Layer: by layer", ", line \\d+: .* no YAML"),
    "no section": ("section: The network\n", "section: Nowhere\n", "no section “Now"),
    "lacks": ("- section: The network\n ", "-", "2: it lacks “section”"),
    "no use for": ("  question: Why does R", "  hint: x\n  question: Why does R",
                   "2: it has no use for “hint”"),
    "two kinds of key": ("  question: Why does R", "  1: x\n  hint: x\n  question: R",
                         "2: it has no use for “1”"),
    "two right": ("wrong: That digits", "right: That digits", "1: .* 2 of them right"),
    "no why": ("      why: It learns that; all kernels begin as random numbers.\n", "",
               "1: each option needs"),
    "markup": ("No, far more.", "No, *far* more.", "3: “right” may hold"),
    "no text": ("No, far more.", "1", "3: “right” must be a text"),
    "a name": ("F + 1 + 2 *", "E + 1 + 2 *", "6: .* holds “E”, which is none of its"),
    "no expression": ("F + 1 + 2 *", "F + 1 + +* 2 *", "6: .* is no expression"),
    "a program": ("F + 1 + 2 * (G - 1)\n", "open('x')\n", "6: .* nothing it may comp"),
    "by 0": ("F + 1 + 2 *", "F / (G - G) +", "6: .* take other numbers"),
    "too large": ("F + 1 + 2 *", "1000 * F +", "6: .*keep it below 1,000"),
    "too few": ("F: [3, 7, 9, 11]", "F: [3]", "6: .* make 4 variants"),
    "no list": ("F: [3, 7, 9, 11]", "F: 3", "6: “numbers” must have a list"),
    "a format": ("{F} × {F}", "{F:2 cm} × {F}", "6: .*2 cm.* cannot be written"),
    "a root": ("F + 1 + 2 *", "(0 - F) ** 0.5 + 2 *", "6: .*root of a negative number"),
    "a brace": ("{F} × {F}", "{H} × {F}", "6: .* holds “H”"),
    "tolerance": ("  unit: pixels", "  tolerance: much", "6: “tolerance” must be"),
    "no cell": ("before: 9a5de914", "before: 9a5", "prediction 1: .* no cell “9a5”"),
    "itself": ("before: 9a5de914", "before: predict-1", "prediction 1: .* no cell"),
    "no reason": ("  why: 60,850", "  # 60,850", "prediction 1: it lacks “why”"),
    "reasons": ("    - wrong: About 80 of 100.\n",
                "    - wrong: About 80 of 100.\n      why: x\n",
                "prediction 2: each option needs “right” or “wrong”: no more"),
    "none right": ("right: About 98", "wrong: About 98", "2: .* 0 of them right"),
    "much": ("  options:\n    - wrong: About 80 of 100.\n"
             "    - right: About 98 of 100.\n    - wrong: About 91 of 100.\n",
             "  answer: much\n", "prediction 2: “answer” must be a number"),
    "too much": ("  options:\n    - wrong: About 80 of 100.\n"
                 "    - right: About 98 of 100.\n    - wrong: About 91 of 100.\n",
                 "  answer: .inf\n", "prediction 2: “answer” must be a number"),
    "no number": ("why: 60,850", "answer: x\n  why: 60,850", "1: .* use for “options”"),
}  # fmt: skip


@pytest.fixture
def alone(tmp_path):
    """Give one chapter's questions, without the files that are written from them."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book" / "questions").mkdir(parents=True)
    for name in "notebooks/07_lenet.ipynb", "book/questions/07_lenet.yml":
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_source_gets_its_sentence(alone, damage):
    old, new, sentence = DAMAGE[damage]
    source = alone / "book" / "questions" / "07_lenet.yml"
    text = source.read_text("utf-8")
    assert old in text
    source.write_text(text.replace(old, new, 1), "utf-8")
    before = [*alone.rglob("*")]
    with pytest.raises(SystemExit) as caught:
        questions.fill(alone)
    said = str(caught.value)
    assert re.match(rf"book/questions/07_lenet\.yml.*{sentence}", said), said
    assert "\n" not in said and said[-1] not in ".:"
    assert [*alone.rglob("*")] == before


@pytest.mark.parametrize("damage", ["## Read further", "## Further reading\n\n" * 2])
def test_a_chapter_without_the_place_for_its_questions_is_named(alone, damage):
    path = alone / "notebooks" / "07_lenet.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(questions.READING, damage)
    nbformat.write(notebook, path)
    with pytest.raises(SystemExit, match=r"^notebooks/07_lenet\.ipynb must have one"):
        questions.fill(alone)


def test_a_source_without_a_chapter_or_with_too_few_questions_is_named(alone):
    folder = alone / "book" / "questions"
    text = (folder / "07_lenet.yml").read_text("utf-8")
    (folder / "99_lenet.yml").write_text(text, "utf-8")
    with pytest.raises(
        SystemExit, match=r"99_lenet\.yml: there is no notebooks/99_len"
    ):
        questions.fill(alone)
    (folder / "99_lenet.yml").write_text(text.rpartition("\n- ")[0], "utf-8")
    with pytest.raises(SystemExit, match="5 questions, 0 of them computed; a check ne"):
        questions.fill(alone)
    (folder / "99_lenet.yml").write_text("", "utf-8")
    with pytest.raises(SystemExit, match="it has 0 questions"):
        questions.fill(alone)
