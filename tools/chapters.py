"""List the chapters on the book's first page and in the README, and fill in questions.

    python tools/chapters.py

_toc.yml says which there are, and in which order. A chapter's first cell has its title,
and in a comment its line in the list. What it asks is in book/questions.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import yaml

sys.path.append(str(Path(__file__).parents[1]))
from tools import questions
from tools.files import read_notebook, store

ROOT = Path(__file__).parents[1]
COLAB = "https://colab.research.google.com"


class Chapter(NamedTuple):
    """A chapter: its file, from the root; its title; what it is about."""

    file: str
    title: str
    line: str


def pages(root: Path = ROOT) -> list[str]:
    """List the pages of a copy of the book, in order, without their endings."""
    contents = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    return [contents["root"], *files(contents)]


def files(part: dict) -> Iterator[str]:
    """Give the files below a part of the contents; what is elsewhere has none."""
    for below in ("parts", "chapters", "sections"):
        for entry in part.get(below, []):
            if "file" in entry:
                yield entry["file"].removesuffix(".ipynb").removesuffix(".md")
            yield from files(entry)


def sources(page: str, root: Path = ROOT) -> list[Path]:
    """List the files of a page, with its papers, and nothing else that lies there."""
    files = [root / f"{page}{suffix}" for suffix in (".ipynb", ".md", ".bib")]
    return [path for path in files if path.is_file()]


def notebooks(root: Path = ROOT) -> list[Path]:
    """List the chapters' files, in order."""
    return [root / f"{page}.ipynb" for page in pages(root) if "notebooks/" in page]


def chapters(root: Path = ROOT) -> Iterator[Chapter]:
    """Read the chapters of a copy of the book, in order."""
    for path in notebooks(root):
        file = path.relative_to(root).as_posix()
        first = read_notebook(path).cells[0].source
        title = re.match(r"# (.+)", first)
        line = re.search(r"<!-- in the list of chapters: (.+) -->", first)
        if not (title and line):
            raise SystemExit(
                f"{file}: its first cell must have a title, “# …”, and its line, "
                "“<!-- in the list of chapters: … -->”"
            )
        yield Chapter(file, title[1], line[1])


def listed(root: Path) -> str:
    """Write the list for the first page."""
    return "\n".join(
        f"- **[{title}](../{file})**: {line}." for file, title, line in chapters(root)
    )


def badges(root: Path) -> str:
    """Write the table for the README: each chapter with the button that opens it."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    repository = urlsplit(project["urls"]["Repository"]).path
    badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]"
    rows = [
        f"| {title} | {badge}({COLAB}/github{repository}/blob/main/{file}) |"
        for file, title, _ in chapters(root)
    ]
    return "\n".join(["| chapter | |", "|---|---|", *rows])


PAGES = {"book/index.md": listed, "README.md": badges}


def fill(root: Path = ROOT) -> None:
    """Write both anew, between their marks."""
    if forgotten := {*(root / "notebooks").glob("*.ipynb")} - {*notebooks(root)}:
        names = ", ".join(sorted(path.name for path in forgotten))
        raise SystemExit(f"_toc.yml does not list {names}: the book would lack it")
    for name, write in PAGES.items():
        page = root / name
        text = re.sub(
            r"(<!-- chapters;.*-->\n\n)(?:.*\n)*?(\n<!-- end of chapters -->)",
            lambda marks, write=write: f"{marks[1]}{write(root)}\n{marks[2]}",
            page.read_text("utf-8"),
        )
        store(page, text)


if __name__ == "__main__":
    fill()
    questions.fill(ROOT)
