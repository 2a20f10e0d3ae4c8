"""How the tools read and write the course's files: whole, and alike everywhere."""

from pathlib import Path

import nbformat

from mnist_lesson.system import atomic_write


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook; cells without ids, as Colab stores them, get some."""
    notebook = nbformat.read(path, as_version=4)
    if not all("id" in cell for cell in notebook.cells):
        notebook = nbformat.v4.upgrade(notebook)
    return notebook


def store(path: Path, content: str | nbformat.NotebookNode) -> None:
    """Write a text or a notebook: all of it or nothing, and on Windows as elsewhere."""
    text = content if isinstance(content, str) else nbformat.writes(content) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, "utf-8", newline="\n")
