"""Write the chapters' questions and predictions wherever they are shown.

tools/chapters.py calls `fill`. book/questions/01_digits.yml holds the questions of
notebooks/01_digits.ipynb, and says how they are edited. From it come the notebook's
last but one section, what the page asks (book/_static/labs/questions/01_digits.js), and
a row in the key for teachers; and in front of the cells that show a result, what the
reader may predict of it. This the page finds in its own text.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import yaml

from tools.computed import Fault, Variant, shown, variants
from tools.files import read_notebook, store

CELL = "check-yourself"  # the notebook's cell, by its id
READING = "## Further reading"  # they stand before it
PREDICT = "predict-"  # how the ids of the predictions' cells begin
QUESTIONS = 6
KEYS = {
    "options": {"section", "question", "options"},
    "numbers": {"section", "question", "numbers", "answer", "unit", "tolerance", "why"},
    "prediction": {"before", "question", "options", "why"},
    "number to predict": {"before", "question", "answer", "unit", "why"},
}
OPTIONAL = {"unit", "tolerance"}


class Question(NamedTuple):
    """Options as pairs of a text and its reason, or variants; one of both is empty."""

    section: str
    question: str
    options: list[tuple[str, str]]
    right: int | None
    variants: list[Variant]
    tolerance: float

    @property
    def answer(self) -> str:
        """The letter of the right option, or the first variant's answer."""
        return self.variants[0].shown if self.variants else "abcd"[self.right or 0]


class Prediction(NamedTuple):
    """What to predict before a cell: one of some options, or else a number."""

    before: str
    question: str
    options: list[str]
    answer: str
    why: str


def options(entries: Any, reasons: bool = True) -> tuple[list[tuple[str, str]], int]:
    """Read the options of a question, and which of them is right."""
    found, right = [], []
    for entry in entries if isinstance(entries, list) else []:
        kind = next(iter(entry), "") if isinstance(entry, dict) else ""
        wanted = {kind, "why"} if reasons else {kind}
        if kind not in ("right", "wrong") or {*entry} != wanted:
            also = ", and “why”" if reasons else ""
            raise Fault(f"each option needs “right” or “wrong”{also}: no more")
        if kind == "right":
            right.append(len(found))
        found.append((text(entry, kind), text(entry, "why") if reasons else ""))
    if len(found) not in (3, 4) or len(right) != 1:
        raise Fault(
            f"it has {len(found)} options, {len(right)} of them right; give three or "
            "four, one of them right"
        )
    return found, right[0]


def text(entry: dict[str, Any], key: str) -> str:
    """Read a text, in which `code` is all the markup there is."""
    found = entry[key]
    if not isinstance(found, str) or not found.strip():
        raise Fault(f"“{key}” must be a text; put it in quotation marks")
    plain = re.sub("`.*?`|{.*?}", "", found)
    if re.search(r"[<>$*`\[\]]", plain):
        raise Fault(
            f"“{key}” may hold `code` in backticks and no other markup, such as * or $"
        )
    return found.strip()


def need(entry: Any, kind: str) -> None:
    """See that an entry has the keys of its kind, and no others."""
    keys = {*entry} if isinstance(entry, dict) else set()
    if wrong := (KEYS[kind] - OPTIONAL - keys) | (keys - KEYS[kind]):
        verb = "lacks" if wrong - keys else "has no use for"
        raise Fault(
            f"it {verb} “{min(wrong - keys or wrong, key=str)}”; see the top of "
            "01_digits.yml"
        )


def question(entry: Any) -> Question:
    """Read one question of a check."""
    kind = "numbers" if isinstance(entry, dict) and "numbers" in entry else "options"
    need(entry, kind)
    section, asked = text(entry, "section"), text(entry, "question")
    if kind == "options":
        return Question(section, asked, *options(entry["options"]), [], 0)
    text(entry, "why")
    tolerance = entry.get("tolerance", 0)
    if not isinstance(tolerance, int | float) or tolerance < 0:
        raise Fault("“tolerance” must be a number that is not negative")
    return Question(section, asked, [], None, variants(entry), tolerance)


def prediction(entry: dict[str, Any]) -> Prediction:
    """Read one prediction."""
    need(entry, "number to predict" if "answer" in entry else "prediction")
    texts = text(entry, "before"), text(entry, "question")
    if "answer" in entry:
        given = entry["answer"]
        if not isinstance(given, int | float) or not 0 <= given < math.inf:
            raise Fault("“answer” must be a number that is not negative")
        answer = f"{shown(given)} {entry.get('unit', '')}".strip()
        return Prediction(*texts, [], answer, text(entry, "why"))
    offered, right = options(entry["options"], reasons=False)
    said = [option for option, _ in offered]
    return Prediction(*texts, said, "abcd"[right], text(entry, "why"))


def read(path: Path) -> tuple[list[Question], list[Prediction]]:
    """Read a chapter's file; what is wrong with it is said in a sentence."""
    name = f"book/questions/{path.name}"
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SystemExit(
            f"{name}{line}: this is no YAML; put texts with a colon in quotation marks"
        ) from error
    found: list[Question] = []
    predictions: list[Prediction] = []
    for entry in entries if isinstance(entries, list) else []:
        early = isinstance(entry, dict) and "before" in entry
        try:
            if early:
                predictions.append(prediction(entry))
            else:
                found.append(question(entry))
        except Fault as fault:
            what = "prediction" if early else "question"
            number = len(predictions if early else found) + 1
            raise SystemExit(f"{name}, {what} {number}: {fault}") from fault
    computed = sum(bool(q.variants) for q in found)
    if (len(found), computed) != (QUESTIONS, 1):
        raise SystemExit(
            f"{name}: it has {len(found)} questions, {computed} of them computed; a "
            f"check needs {QUESTIONS}, one of them computed"
        )
    return found, predictions


def anchor(heading: str) -> str:
    """Name a heading as links do."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def lettered(question: str, options: list[str]) -> str:
    """Write a question above its options."""
    lines = [f"- **{a}.** {text}" for a, text in zip("abcd", options, strict=False)]
    return "\n".join([question, "", *lines])


def origin(name: str) -> str:
    """Say in a notebook where its questions are edited."""
    return f"<!-- from book/questions/{name}.yml; filled in by tools/chapters.py -->"


def markdown(name: str, questions: list[Question]) -> str:
    """Write a chapter's questions for its notebook."""
    parts = ["## Check yourself", origin(name)]
    for number, q in enumerate(questions, 1):
        if q.variants:
            first = q.variants[0]
            asked, answer = first.question, f"**{first.shown}:** {first.why}"
        else:
            asked = lettered(q.question, [option for option, _ in q.options])
            reasons = [(a, why) for a, (_, why) in zip("abcd", q.options, strict=False)]
            # The right one first.
            reasons.sort(key=lambda pair: pair[0] != q.answer)
            answer = " ".join(f"**{a}.** {why}" for a, why in reasons)
        link = f"[{q.section}]({name}.ipynb#{anchor(q.section)})"
        parts += [f"**{number}.** {asked}", "<details><summary>Answer</summary>"]
        parts += [f"{answer} ({link})", "</details>"]
    return "\n\n".join(parts)


def foretold(name: str, p: Prediction) -> str:
    """Write a prediction for its notebook; labs/check.js asks for it in this form."""
    asked = lettered(p.question, p.options) if p.options else p.question
    dot = "." if p.options else ":"
    parts = [f'<div class="predict" data-before="{p.before}">', origin(name)]
    parts += [f"**Predict.** {asked}", "<details><summary>What happens</summary>"]
    parts += [f"**{p.answer}{dot}** {p.why}", "</details>", "</div>"]
    return "\n\n".join(parts)


def script(name: str, questions: list[Question]) -> str:
    """Write a chapter's questions for its page, with apostrophes as Sphinx has them."""
    data = [
        {"tolerance": q.tolerance, "variants": [v._asdict() for v in q.variants]}
        if q.variants
        else {"question": q.question, "options": q.options, "right": q.right}
        for q in questions
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in data)
    lines = re.sub(r"(`.*?`)|'", lambda found: found[1] or "’", lines)
    return (
        f"// From book/questions/{name}.yml, by tools/chapters.py.\n"
        f'lab.define("questions/{name}", [\n{lines}\n]);\n'
    )


def put_predictions(
    notebook: nbformat.NotebookNode, name: str, predictions: list[Prediction]
) -> None:
    """Put each prediction before its cell, and no others anywhere."""
    cells, made = notebook.cells, nbformat.v4.new_markdown_cell
    cells[:] = [cell for cell in cells if not cell.id.startswith(PREDICT)]
    for number, p in enumerate(predictions, 1):
        [place] = [i for i, cell in enumerate(cells) if cell.id == p.before]
        cells.insert(place, made(foretold(name, p), id=f"{PREDICT}{number}"))


def put(notebook: nbformat.NotebookNode, source: str | None) -> None:
    """Put a chapter's questions, if any, before its last section, Further reading."""
    cells = notebook.cells
    cells[:] = [cell for cell in cells if cell.id != CELL]
    if not source:
        return
    [place] = [
        i for i, cell in enumerate(cells)
        if cell.cell_type == "markdown" and READING in cell.source
    ]  # fmt: skip
    before, _, after = cells[place].source.partition(READING)
    made = nbformat.v4.new_markdown_cell
    if before.strip():
        cells[place].source = before.strip()
        place += 1
        cells.insert(place, made(READING + after, id="further-reading"))
    cells.insert(place, made(source, id=CELL))


def key(root: Path, found: dict[str, list[Question]]) -> Iterator[str]:
    """Write the key for teachers, a row a chapter; blanks would count as words."""
    yield "|chapter|" + "|".join(map(str, range(1, QUESTIONS + 1))) + "|"
    yield "|---" * (QUESTIONS + 1) + "|"
    for name, questions in found.items():
        notebook = read_notebook(root / "notebooks" / f"{name}.ipynb")
        title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
        answers = "|".join(q.answer for q in questions)
        yield f"|[{title}](../notebooks/{name}.ipynb#{CELL})|{answers}|"


def look_up(
    root: Path, name: str, questions: list[Question], predictions: list[Prediction]
) -> None:
    """See that a chapter has the sections and cells that its questions name."""
    path = root / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise SystemExit(
            f"book/questions/{name}.yml: there is no notebooks/{name}.ipynb; give the "
            "file a chapter's name"
        )
    cells = read_notebook(path).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for number, q in enumerate(questions, 1):
        if not re.search(rf"^##? {re.escape(q.section)}$", text, re.M):
            raise SystemExit(
                f"book/questions/{name}.yml, question {number}: the chapter has no "
                f"section “{q.section}”; name one of its headings"
            )
    if len(re.findall(rf"^{READING}$", text, re.M)) != 1:
        raise SystemExit(
            f"notebooks/{name}.ipynb must have one section “{READING}”: its questions "
            "stand before it"
        )
    ids = {cell.id for cell in cells if not cell.id.startswith((PREDICT, CELL))}
    for number, p in enumerate(predictions, 1):
        if p.before not in ids:
            raise SystemExit(
                f"book/questions/{name}.yml, prediction {number}: the chapter has no "
                f"cell “{p.before}”; give a cell's “id”, as the notebook's file has it"
            )


def fill(root: Path) -> None:
    """Write all that comes from the questions anew, once all of them are good."""
    sources = sorted(root.glob("book/questions/*.yml"))
    both = {path.stem: read(path) for path in sources}
    for name, (questions, predictions) in both.items():
        look_up(root, name, questions, predictions)
    found = {name: questions for name, (questions, _) in both.items()}
    scripts = root / "book" / "_static" / "labs" / "questions"
    scripts.mkdir(exist_ok=True)
    for path in scripts.glob("*.js"):
        if path.stem not in found:
            path.unlink()
    for name, questions in found.items():
        store(scripts / f"{name}.js", script(name, questions))
    for path in sorted(root.glob("notebooks/*.ipynb")):
        notebook = read_notebook(path)
        asked, early = both.get(path.stem, ([], []))
        put(notebook, markdown(path.stem, asked) if asked else None)
        put_predictions(notebook, path.stem, early)
        store(path, notebook)
    page = root / "book" / "teachers.md"
    table = "\n".join(key(root, found))
    text, marked = re.subn(
        r"(<!-- key;.*-->\n)(?:.*\n)*?(<!-- end of key -->)",
        lambda marks: f"{marks[1]}\n{table}\n\n{marks[2]}",
        page.read_text("utf-8"),
    )
    if not marked:
        raise SystemExit(
            "book/teachers.md: the marks of the key are gone; put back a line "
            "“<!-- key; … -->” and one “<!-- end of key -->”"
        )
    store(page, text)
