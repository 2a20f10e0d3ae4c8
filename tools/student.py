"""Write the chapters without solutions and answers, for a class.

    python -m tools.student

They go to _build/student, with the pages that they link to. Where a solution stood is
an empty cell. Of a solution that a self-check looks at, the cell keeps the functions'
first lines and the check: it runs, and says that there is no answer yet. The questions
at a chapter's end stay, and what is to be predicted in it, but their answers go; so
does the key to them for teachers.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import nbformat
from nbformat import NotebookNode

from tools.chapters import ROOT, pages, sources
from tools.files import read_notebook, store

FOLDER = ROOT / "_build" / "student"
FOLD = r"<details>\s*<summary>\s*(?:{})\s*</summary>.*?</details>\s*"
SOLUTION = re.compile(r"\s*" + FOLD.format("Solutions?"), re.S)
ANSWER = re.compile(FOLD.format("Answers?|What happens"), re.S)
REST = re.compile("<summary>[^<]*(?:Solution|Answer)")
EMPTY = "# your solution"


def main() -> None:
    """Write the folder anew: all of it, or nothing."""
    FOLDER.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=FOLDER.parent, ignore_cleanup_errors=True) as temporary:
        write(folder := Path(temporary, "student"))
        before = Path(temporary, "before")
        try:
            if FOLDER.exists():
                FOLDER.rename(before)
            folder.rename(FOLDER)
        except OSError as error:  # on Windows, where a program has it open
            raise SystemExit(
                f"{FOLDER} cannot be replaced ({error.strerror}): close what has it "
                "open, and try again; it is as it was"
            ) from error
        finally:
            if before.exists() and not FOLDER.exists():
                before.rename(FOLDER)
    print(f"The notebooks without solutions are in {FOLDER}")


def write(folder: Path) -> None:
    """Write chapters and pages to a folder, where they lie as in the course's own."""
    for path in (path for page in pages() for path in sources(page)):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            notebook = read_notebook(path)
            cells = notebook.cells = [*without_solutions(notebook.cells)]
            store(target, notebook)
            text = "\n".join(cell.source for cell in cells)
            hidden = any("hide-cell" in c.metadata.get("tags", []) for c in cells)
        else:
            text = SOLUTION.sub("\n\n", path.read_text("utf-8"))
            text, hidden = ANSWER.sub("", text), False
            store(target, text)
        if hidden or REST.search(text):
            raise SystemExit(
                f"{path.relative_to(ROOT)}: a solution would stay in; put it below "
                "“## Exercises”, in <details><summary>Solution</summary> … </details> "
                "or in a cell tagged hide-cell"
            )


def without_solutions(cells: list[NotebookNode]) -> Iterator[NotebookNode]:
    """Give the cells of a chapter, with an empty one in each solution's place."""
    exercises, place = False, None
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            if not exercises or not {"hide-cell", "remove-cell"} & {*tags}:
                yield cell
            elif place and (checked := skeleton(cell.source)):
                place.source = checked
        # The badge opens the chapter with its solutions, as does the link below it.
        elif not cell.source.startswith("[![Open in Colab]"):
            exercises |= bool(re.search(r"^## Exercises\s*$", cell.source, re.M))
            for i, text in enumerate(SOLUTION.split(ANSWER.sub("", cell.source))):
                if i:
                    place = nbformat.v4.new_code_cell(EMPTY, id=f"{cell.id}-answer{i}")
                    yield place
                if text:
                    new = {"source": text} | ({"id": f"{cell.id}-{i}"} if i else {})
                    if pictures := cell.get("attachments"):  # a solution's go with it
                        kept = {n: p for n, p in pictures.items() if n in unquote(text)}
                        new["attachments"] = kept
                    yield NotebookNode(cell | new)


def skeleton(source: str) -> str:
    """Keep the self-checks of a solution, and the first line of what they look at."""
    body = ast.parse(source).body
    kept = [
        ast.get_source_segment(source, node)
        for node in body
        if re.search(r"\bchecks\.", ast.unparse(node))
    ]
    heads = [
        f"def {node.name}({ast.unparse(node.args)}):\n    ...  {EMPTY}"
        for node in body
        if isinstance(node, ast.FunctionDef) and f"({node.name})" in "".join(kept)
    ]
    return "\n\n\n".join([*heads, "\n".join(kept)]) if kept else ""


if __name__ == "__main__":
    main()
