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
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbformat import NotebookNode

from tools.chapters import ROOT, pages

FOLDER = ROOT / "_build" / "student"
SOLUTION = re.compile(r"\s*<details><summary>Solution</summary>.*?</details>\s*", re.S)
ANSWER = re.compile(
    r"<details><summary>(?:Answers?|What happens)</summary>.*?</details>\s*", re.S
)
EMPTY = "# your solution"


def main() -> None:
    """Write the folder anew: all of it, or nothing."""
    FOLDER.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=FOLDER.parent) as temporary:
        write(folder := Path(temporary, "student"))
        shutil.rmtree(FOLDER, ignore_errors=True)
        folder.rename(FOLDER)
    print(f"The notebooks without solutions are in {FOLDER}")


def write(folder: Path) -> None:
    """Write chapters and pages to a folder, where they lie as in the course's own."""
    for name in pages():
        for path in ROOT.glob(f"{name}.*"):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".ipynb":
                notebook = nbformat.read(path, as_version=4)
                notebook.cells = [*without_solutions(notebook.cells)]
                nbformat.write(notebook, target)
            else:
                text = SOLUTION.sub("\n\n", path.read_text("utf-8"))
                target.write_text(ANSWER.sub("", text), "utf-8")


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
        # The badge opens the chapter with its solutions.
        elif not cell.source.startswith("[![Open in Colab]"):
            exercises |= bool(re.search("^## Exercises$", cell.source, re.M))
            for i, text in enumerate(SOLUTION.split(ANSWER.sub("", cell.source))):
                if i:
                    place = nbformat.v4.new_code_cell(EMPTY, id=f"{cell.id}-answer{i}")
                    yield place
                if text:
                    new = {"source": text} | ({"id": f"{cell.id}-{i}"} if i else {})
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
