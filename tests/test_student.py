"""The chapters for a class: all of each exercise, and nothing of its solution."""

import ast
import copy
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mnist_lesson import checks
from tools import chapters, student

ROOT = Path(__file__).parents[1]
NOTEBOOKS = chapters.notebooks()
TAKEN = "Solution|Answer|What happens"  # the folds that a class does not get
CHECK = r"\bchecks\.(\w+)\("
BADGE = re.compile(r"\[!\[Open in Colab|\[Read this chapter on the web")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    student.write(folder)
    return folder


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def both(request, folder):
    """A chapter's cells, and those that a class gets."""
    path = folder / request.param.relative_to(ROOT)
    return [nbformat.read(p, as_version=4).cells for p in (request.param, path)]


def words(cells, kind):
    return "\n".join(cell.source for cell in cells if cell.cell_type == kind)


def test_chapters_mark_solutions_in_the_ways_that_are_known(both):
    """A third way would stay in: whoever invents it changes tools/student.py, too."""
    cells, _ = both
    text = words(cells, "markdown")
    folds = re.findall("<summary>(.*?)</summary>", text)
    assert {*folds} <= {"Hint", *TAKEN.split("|")} and "Solution" in folds
    assert len(folds) == text.count("<details") == text.count("</details>")
    [start] = [i for i, cell in enumerate(cells) if "## Exercises" in cell.source]
    for i, cell in enumerate(cells):
        if "hide-cell" in cell.metadata.get("tags", []) or "# Solution" in cell.source:
            assert i > start and "hide-cell" in cell.metadata.tags


def test_no_solution_remains(both):
    cells, given = both
    shown = "\n".join(cell.source for cell in given)
    assert "Solution" not in shown and not re.search(f"<summary>({TAKEN})", shown)
    text = words(cells, "markdown")
    for solution in re.split(f"<summary>(?:{TAKEN})</summary>", text)[1:]:
        for line in solution.split("</details>")[0].split("\n\n"):
            assert not line.strip() or line.strip() not in shown
    [start] = [i for i, cell in enumerate(cells) if "## Exercises" in cell.source]
    before = words(cells[:start], "code")
    for cell in cells[start:]:
        if cell.cell_type == "code" and cell.metadata.get("tags"):
            for line in cell.source.splitlines():
                frame = re.match(r"def |print\(checks\.|\s*$", line)
                assert frame or line in before or line not in shown
    assert all(not cell.outputs for cell in given if "-answer" in cell.id)
    # The badge would open the chapter with its solutions; its page has them, too.
    assert "colab.research" not in words(given, "markdown")
    assert "on the web" not in words(given, "markdown")


def test_all_else_remains(both):
    """The text, each exercise with its hint, the code with its outputs, the checks."""
    cells, given = both
    text = re.sub(
        f"<details><summary>({TAKEN})(?s:.*?)</details>",
        "",
        words(cells, "markdown"),
    )
    kept = [line for line in text.splitlines() if line and not BADGE.match(line)]
    assert kept == [line for line in words(given, "markdown").splitlines() if line]
    numbers = re.findall(r"^\*\*(\d)\. ", words(given, "markdown"), re.M)
    assert numbers in (["1", "2", "3"], ["1", "2", "3", "4"])
    [start] = [i for i, cell in enumerate(cells) if "## Exercises" in cell.source]
    code = [cell for cell in cells[:start] if cell.cell_type == "code"]
    assert code == [cell for cell in given if cell.cell_type == "code"][: len(code)]
    solutions = [cell for cell in cells if "<summary>Solution" in cell.source]
    places = [cell for cell in given if "-answer" in cell.id]
    assert len(places) == sum(c.source.count("<summary>Sol") for c in solutions) > 1
    used = re.findall(CHECK, words(cells, "code"))
    assert re.findall(CHECK, words(given, "code")) == used
    assert len({cell.id for cell in given}) == len(given)


def test_every_self_check_waits_for_a_class(folder):
    code = [words(nbformat.read(path, 4).cells, "code")
            for path in sorted(folder.glob("notebooks/*.ipynb"))]  # fmt: skip
    assert {*re.findall(CHECK, "\n".join(code))} == {*checks.EXERCISES}


def test_what_remains_needs_nothing_that_was_taken_out(folder):
    """Ruff sees names that no cell defines; each answer runs, and none is right yet."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F821,E9",
         "--no-respect-gitignore", "--quiet", "notebooks"],
        cwd=folder, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    tried = 0
    for path in folder.glob("notebooks/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if "-answer" in cell.id and re.search(CHECK, cell.source):
                for line in ast.parse(cell.source).body:
                    if isinstance(line, ast.Expr):
                        verdict = ast.unparse(line.value.args[0])
                        names = {"checks": checks}
                        exec(cell.source.split("print(")[0], names)
                        said = str(eval(verdict, names))
                        assert said.startswith("Not yet: "), said
                        tried += 1
    assert tried == len(checks.EXERCISES) - 3  # three are tried within the chapters


def test_a_chapter_runs_from_top_to_bottom(folder):
    path = folder / "notebooks" / "05_convolution.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("load_mnist()", 'load_mnist(source="sample")')
    there = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, resources=there).execute()
    said = [output.text for cell in notebook.cells if "-answer" in cell.id
            for output in cell.outputs]  # fmt: skip
    assert said == [
        "Not yet: your function returns None; end it with a return statement.\n"
    ]


def test_links_lead_somewhere_and_pages_hold_no_solution(folder):
    for path in folder.glob("notebooks/*.ipynb"):
        text = words(nbformat.read(path, as_version=4).cells, "markdown")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (path.parent / target).resolve().is_file(), target
    for path in folder.glob("book/*.md"):
        assert not re.search(f"<summary>({TAKEN})", path.read_text("utf-8"))
    assert "**1." in (folder / "book" / "tensors.md").read_text("utf-8")


def test_what_a_class_has_is_replaced_whole_or_not_at_all(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(student, "FOLDER", tmp_path / "build" / "student")
    student.main()
    assert str(student.FOLDER) in capsys.readouterr().out
    (student.FOLDER / "notebooks" / "99_old.ipynb").touch()
    before = {*student.FOLDER.rglob("*")}

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(student, "without_solutions", stop)
        with pytest.raises(KeyboardInterrupt):
            student.main()
    assert {*student.FOLDER.rglob("*")} == before
    assert [*student.FOLDER.parent.iterdir()] == [student.FOLDER]
    student.main()
    assert not (student.FOLDER / "notebooks" / "99_old.ipynb").exists()


@pytest.mark.parametrize("step", [1, 2])
def test_on_windows_a_folder_that_is_open_stays_whole(tmp_path, monkeypatch, step):
    """Whether the old one cannot be moved away, or the new one to its place."""
    monkeypatch.setattr(student, "FOLDER", tmp_path / "build" / "student")
    monkeypatch.setattr(student, "pages", lambda: ["book/tensors"])
    student.FOLDER.mkdir(parents=True)
    (student.FOLDER / "open.ipynb").touch()
    rename, steps = Path.rename, []

    def refuse(path, target):
        steps.append(path)
        if len(steps) == step:
            raise PermissionError(13, "It is being used by another process")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(SystemExit, match=r"cannot be replaced \(It is .*as it was$"):
        student.main()
    assert [*student.FOLDER.iterdir()] == [student.FOLDER / "open.ipynb"]
    assert [*student.FOLDER.parent.iterdir()] == [student.FOLDER]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """What a class gets of a course that has one chapter, with these cells."""
    monkeypatch.setattr(student, "ROOT", tmp_path)
    monkeypatch.setattr(student, "pages", lambda: ["notebooks/01_own"])
    monkeypatch.setattr(student, "sources", lambda page: [path])
    path = tmp_path / "notebooks" / "01_own.ipynb"
    path.parent.mkdir()

    def write(*cells, ids=True):
        notebook = nbformat.v4.new_notebook(cells=copy.deepcopy([*cells]))
        if not ids:  # as Colab and VS Code save it
            notebook.nbformat_minor = 0
            for cell in notebook.cells:
                del cell["id"]
        nbformat.write(notebook, path)
        student.write(tmp_path / "class")
        written = tmp_path / "class" / "notebooks" / "01_own.ipynb"
        return nbformat.read(written, as_version=4).cells

    return write


EXERCISES = nbformat.v4.new_markdown_cell("## Exercises ")
HIDDEN = nbformat.v4.new_code_cell("print(42)", metadata={"tags": ["hide-cell"]})


@pytest.mark.parametrize("summary", ["<summary>Solution", "\n <summary> Solutions "])
def test_a_solution_goes_with_its_pictures_however_it_is_written(course, summary):
    fold = f"<details>{summary}</summary>\n\n![](attachment:two.png) 42 </details>"
    text = f"![](attachment:one.png) Guess.\n\n{fold}\n\n**2.** And now?"
    pictures = {name: {"image/png": "iVBO"} for name in ("one.png", "two.png")}
    cell = nbformat.v4.new_markdown_cell(text, attachments=pictures)
    _, asked, place, more = course(EXERCISES, cell, HIDDEN)
    assert asked.source == "![](attachment:one.png) Guess."
    assert place.source == student.EMPTY and more.source == "**2.** And now?"
    assert [*asked.attachments] == ["one.png"] and not more.attachments


def test_another_programs_notebook_is_taken_as_it_is(course):
    fold = "Guess.\n\n<details><summary>Solution</summary> 42 </details>"
    cells = EXERCISES, nbformat.v4.new_markdown_cell(fold), HIDDEN
    _, asked, place = course(*cells, ids=False)
    assert (asked.source, place.source) == ("Guess.", student.EMPTY)


def test_a_solution_that_it_does_not_know_is_named(course):
    fold = "<details><summary>Show the Solution</summary> 42 </details>"
    for cells in [EXERCISES, nbformat.v4.new_markdown_cell(fold)], [HIDDEN, EXERCISES]:
        with pytest.raises(SystemExit, match=r"^notebooks.01_own\.ipynb: a solution"):
            course(*cells)
