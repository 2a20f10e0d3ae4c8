"""Write the questions at the chapters' ends wherever they are shown.

tools/chapters.py calls `fill`. book/questions/01_digits.yml holds the questions of
notebooks/01_digits.ipynb, and says how they are edited. From it come the notebook's
last but one section, what the page asks (book/_static/labs/questions/01_digits.js), and
a row in the key for teachers. What a number is computed from is drawn here, so that the
page needs no arithmetic.
"""

import ast
import itertools
import json
import math
import operator
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import yaml

from mnist_lesson.system import atomic_write

CELL = "check-yourself"  # the notebook's cell, by its id
QUESTIONS = 6
FEWEST, MOST = 12, 16  # variants of a computed question
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{"abs": abs, "max": max, "min": min, "round": round},
    **{f.__name__: f for f in (math.ceil, math.exp, math.floor, math.log, math.sqrt)},
}
OPERATORS: dict[type, Callable[..., Any]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv},
    **{ast.Mod: operator.mod, ast.Pow: operator.pow, ast.USub: operator.neg},
    **{ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt},
    **{ast.LtE: operator.le, ast.Eq: operator.eq, ast.NotEq: operator.ne},
}
KEYS = {
    "options": {"section", "question", "options"},
    "numbers": {"section", "question", "numbers", "answer", "unit", "tolerance", "why"},
}
OPTIONAL = {"unit", "tolerance"}


class Fault(Exception):
    """What is wrong with a question, and what to do about it."""


class Variant(NamedTuple):
    """A computed question with its numbers, and its answer: as a number, as shown."""

    question: str
    answer: float
    shown: str
    why: str


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


def evaluate(expression: str, numbers: dict[str, float]) -> float:
    """Compute an expression in these numbers; it can do nothing else."""

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name) if name in numbers:
                return numbers[name]
            case ast.BinOp(op=op) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(node.left), value(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return -value(node.operand)
            case ast.Compare(ops=[op], comparators=[other]) if type(op) in OPERATORS:
                return int(OPERATORS[type(op)](value(node.left), value(other)))
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                return FUNCTIONS[name](*map(value, node.args))
        raise Fault(
            f"“{expression}” holds “{ast.unparse(node)}”, which is none of its "
            f"numbers ({', '.join(numbers)}) and nothing it may compute; see the top "
            "of 01_digits.yml"
        )

    try:
        return value(ast.parse(expression, mode="eval").body)
    except SyntaxError as error:
        raise Fault(f"“{expression}” is no expression; write it as Python") from error
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Fault(
            f"“{expression}” cannot be computed from {numbers} ({error}); take other "
            "numbers"
        ) from error


def shown(number: float) -> str:
    """Write a number as a text has it: 1,000, 0.25, −2."""
    near = round(number, 4)
    text = f"{int(near):,}" if near == int(near) else f"{near:g}"
    return text.replace("-", "−")


def filled(text: str, numbers: dict[str, float]) -> str:
    """Put numbers, or what is computed from them, into the braces of a text."""

    def number(brace: re.Match[str]) -> str:
        expression, _, form = brace[1].partition(":")
        found = evaluate(expression, numbers)
        return f"{found:{form}}".replace("-", "−") if form else shown(found)

    return re.sub(r"\{([^{}]*)\}", number, text)


def variants(entry: dict[str, Any]) -> list[Variant]:
    """Draw numbers for a computed question, the first of each list first."""
    lists = entry["numbers"]
    if not isinstance(lists, dict) or not all(
        isinstance(given, list) and all(isinstance(n, int | float) for n in given)
        for given in lists.values()
    ):
        raise Fault("“numbers” must have a list of numbers for each letter")
    first, *rest = [
        dict(zip(lists, mixture, strict=True))
        for mixture in itertools.product(*lists.values())
    ] or [{}]
    if len(rest) + 1 < FEWEST:
        raise Fault(
            f"its numbers make {len(rest) + 1} variants; give more numbers, for at "
            f"least {FEWEST}"
        )
    random.Random(0).shuffle(rest)
    found = []
    for numbers in [first, *rest[: MOST - 1]]:
        answer = evaluate(str(entry["answer"]), numbers)
        # So that a comma in what is typed is a decimal one.
        if not abs(answer) < 1_000:
            raise Fault(f"the answer is {answer:g} for {numbers}; keep it below 1,000")
        unit = entry.get("unit", "")
        known = numbers | {"answer": answer}
        texts = [filled(entry[key], known) for key in ("question", "why")]
        digits = re.search(r"\{answer:(.*?)\}", entry["why"])
        number = filled(digits[0] if digits else "{answer}", known)
        found.append(Variant(texts[0], answer, f"{number} {unit}".strip(), texts[1]))
    return found


def options(entries: Any) -> tuple[list[tuple[str, str]], int]:
    """Read the options of a question, and which of them is right."""
    found, right = [], []
    for entry in entries if isinstance(entries, list) else []:
        kind = next(iter(entry), "") if isinstance(entry, dict) else ""
        if kind not in ("right", "wrong") or {*entry} != {kind, "why"}:
            raise Fault("each option needs “right” or “wrong”, and “why”: no more")
        if kind == "right":
            right.append(len(found))
        found.append((text(entry, kind), text(entry, "why")))
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


def question(entry: Any) -> Question:
    """Read one question."""
    kind = "numbers" if isinstance(entry, dict) and "numbers" in entry else "options"
    keys = {*entry} if isinstance(entry, dict) else set()
    if wrong := (KEYS[kind] - OPTIONAL - keys) | (keys - KEYS[kind]):
        verb = "lacks" if wrong - keys else "has no use for"
        raise Fault(
            f"it {verb} “{min(wrong - keys or wrong)}”; see the top of 01_digits.yml"
        )
    section, asked = text(entry, "section"), text(entry, "question")
    if kind == "options":
        return Question(section, asked, *options(entry["options"]), [], 0)
    text(entry, "why")
    tolerance = entry.get("tolerance", 0)
    if not isinstance(tolerance, int | float) or tolerance < 0:
        raise Fault("“tolerance” must be a number that is not negative")
    return Question(section, asked, [], None, variants(entry), tolerance)


def read(path: Path) -> list[Question]:
    """Read a chapter's questions; what is wrong with them is said in a sentence."""
    name = f"book/questions/{path.name}"
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SystemExit(
            f"{name}{line}: this is no YAML; put texts with a colon in quotation marks"
        ) from error
    found = []
    for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
        try:
            found.append(question(entry))
        except Fault as fault:
            raise SystemExit(f"{name}, question {number}: {fault}") from fault
    computed = sum(bool(q.variants) for q in found)
    if (len(found), computed) != (QUESTIONS, 1):
        raise SystemExit(
            f"{name}: it has {len(found)} questions, {computed} of them computed; a "
            f"check needs {QUESTIONS}, one of them computed"
        )
    return found


def anchor(heading: str) -> str:
    """Name a heading as links do."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def markdown(name: str, questions: list[Question]) -> str:
    """Write a chapter's questions for its notebook."""
    parts = [
        "## Check yourself",
        f"<!-- from book/questions/{name}.yml; filled in by tools/chapters.py -->",
    ]
    for number, q in enumerate(questions, 1):
        if q.variants:
            first = q.variants[0]
            asked, answer = first.question, f"**{first.shown}:** {first.why}"
        else:
            lettered = [*zip("abcd", q.options, strict=False)]
            asked = "\n".join(
                [q.question, "", *(f"- **{a}.** {text}" for a, (text, _) in lettered)]
            )
            # The right one first.
            lettered.sort(key=lambda pair: pair[0] != q.answer)
            answer = " ".join(f"**{a}.** {why}" for a, (_, why) in lettered)
        link = f"[{q.section}]({name}.ipynb#{anchor(q.section)})"
        parts += [f"**{number}.** {asked}", "<details><summary>Answer</summary>"]
        parts += [f"{answer} ({link})", "</details>"]
    return "\n\n".join(parts)


def script(name: str, questions: list[Question]) -> str:
    """Write a chapter's questions for its page."""
    data = [
        {"tolerance": q.tolerance, "variants": [v._asdict() for v in q.variants]}
        if q.variants
        else {"question": q.question, "options": q.options, "right": q.right}
        for q in questions
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in data)
    return (
        f"// From book/questions/{name}.yml, by tools/chapters.py.\n"
        f'lab.define("questions/{name}", [\n{lines}\n]);\n'
    )


def put(notebook: nbformat.NotebookNode, source: str | None) -> None:
    """Put a chapter's questions, if any, before its last section, Further reading."""
    cells, reading = notebook.cells, "## Further reading"
    cells[:] = [cell for cell in cells if cell.id != CELL]
    if not source:
        return
    [place] = [i for i, cell in enumerate(cells) if reading in cell.source]
    before, _, after = cells[place].source.partition(reading)
    made = nbformat.v4.new_markdown_cell
    if before.strip():
        cells[place].source = before.strip()
        place += 1
        cells.insert(place, made(reading + after, id="further-reading"))
    cells.insert(place, made(source, id=CELL))


def key(root: Path, found: dict[str, list[Question]]) -> Iterator[str]:
    """Write the key for teachers, a row a chapter; blanks would count as words."""
    yield "|chapter|" + "|".join(map(str, range(1, QUESTIONS + 1))) + "|"
    yield "|---" * (QUESTIONS + 1) + "|"
    for name, questions in found.items():
        notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
        title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
        answers = "|".join(q.answer for q in questions)
        yield f"|[{title}](../notebooks/{name}.ipynb#{CELL})|{answers}|"


def look_up(root: Path, name: str, questions: list[Question]) -> None:
    """See that a chapter has the sections that its questions name."""
    path = root / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise SystemExit(
            f"book/questions/{name}.yml: there is no notebooks/{name}.ipynb; give the "
            "file a chapter's name"
        )
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for number, q in enumerate(questions, 1):
        if not re.search(rf"^##? {re.escape(q.section)}$", text, re.M):
            raise SystemExit(
                f"book/questions/{name}.yml, question {number}: the chapter has no "
                f"section “{q.section}”; name one of its headings"
            )


def fill(root: Path) -> None:
    """Write all that comes from the questions anew, once all of them are good."""
    sources = sorted(root.glob("book/questions/*.yml"))
    found = {path.stem: read(path) for path in sources}
    for name, questions in found.items():
        look_up(root, name, questions)
    scripts = root / "book" / "_static" / "labs" / "questions"
    scripts.mkdir(exist_ok=True)
    for path in scripts.glob("*.js"):
        if path.stem not in found:
            path.unlink()
    for name, questions in found.items():
        with atomic_write(scripts / f"{name}.js") as temporary:
            temporary.write_text(script(name, questions), "utf-8")
    for path in sorted(root.glob("notebooks/*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        asked = found.get(path.stem)
        put(notebook, asked and markdown(path.stem, asked))
        with atomic_write(path) as temporary:
            nbformat.write(notebook, temporary)
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
    with atomic_write(page) as temporary:
        temporary.write_text(text, "utf-8")
