"""The book as `make book` builds it: its pages, links and pictures."""

import html.parser
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[1]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
PAGES = [TOC["root"]] + [
    chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]
]


class Page(html.parser.HTMLParser):
    """What a page links to, and what it shows."""

    def __init__(self, path):
        super().__init__()
        self.links, self.images, self.ids, self.headings = [], [], set(), 0
        self.words = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)
        self.headings += tag == "h1"

    def handle_data(self, data):
        self.words += data


def test_every_page_is_there_and_no_other(book):
    assert len(PAGES) == 16
    made = {
        str(path.relative_to(book).with_suffix(""))
        for path in book.rglob("*.html")
        if "_static" not in path.parts
    }
    assert made == {*PAGES, "index", "genindex", "search"}
    assert "book/index.html" in (book / "index.html").read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_its_content(book, name):
    page = Page(book / f"{name}.html")
    assert page.headings >= 1 and len(page.words) > 1_000
    for bad in "Traceback", "nbval-", "-m pip", "{bibliography}":
        assert bad not in page.words


@pytest.mark.parametrize("name", [page for page in PAGES if "notebooks" in page])
def test_a_chapter_shows_its_pictures_with_words(book, name):
    page = Page(book / f"{name}.html")
    pictures = [image for image in page.images if "_images/" in image.get("src", "")]
    assert len(pictures) >= 3
    for image in pictures:
        assert (book / name).parent.joinpath(image["src"]).resolve().is_file()
        assert len(image["alt"]) > 40, image


@pytest.mark.parametrize("name", PAGES)
def test_links_within_the_book_lead_somewhere(book, name):
    path = book / f"{name}.html"
    for link in Page(path).links:
        if "://" in link or link.startswith(("mailto:", "#")):
            continue
        target, _, anchor = link.partition("#")
        target = (path.parent / target).resolve()
        assert target.is_file(), link
        if anchor and target.suffix == ".html":
            assert anchor in Page(target).ids, link


def test_everything_of_the_source_chapter_has_its_place():
    """Each link in the tables of CONTRIBUTING.md names a heading that is there."""
    tables = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("| in the source |")
    assert [len(re.findall(r"^\| (?!where)", t, re.M)) for t in tables[1:]] == [23, 14]
    links = re.findall(r"\[([^]]+)\]\(([^)]+\.(?:ipynb|md))\)", "".join(tables[1:]))
    assert len({file for _, file in links if "notebooks" in file}) == 10
    for heading, file in links:
        text = (ROOT / file).read_text("utf-8")
        if file.endswith(".ipynb"):
            cells = nbformat.reads(text, as_version=4).cells
            text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
        assert re.search(rf"^##? {re.escape(heading)}$", text, re.M), (heading, file)


def test_papers_that_chapters_cite_are_among_the_references():
    known = (ROOT / "book" / "references.bib").read_text("utf-8").lower()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for doi in re.findall(r"https://doi\.org/([^)\s\"]+)", path.read_text("utf-8")):
            assert f"doi = {{{unquote(doi).lower()}}}" in known, (path.name, doi)


def test_references_come_from_bibtex(book):
    page = Page(book / "book" / "references.html")
    keys = [
        line.split("{")[1].split(",")[0]
        for line in (ROOT / "book" / "references.bib").read_text("utf-8").splitlines()
        if line.startswith("@")
    ]
    assert len(keys) > 5 and len(set(keys)) == len(keys)
    text = (ROOT / "book" / "references.bib").read_text("utf-8")
    for doi in re.findall(r"doi = \{([^}]+)\}", text):
        assert f"https://doi.org/{doi}" in page.links, doi
