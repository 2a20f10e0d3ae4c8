"""The book as `make book` builds it: its pages, links and pictures."""

import html.parser
import itertools
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from mnist_lesson import LeNet, LeNet5, MultilayerPerceptron, SoftmaxRegression
from tools.results import POOLING, multiply_adds

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
BASE = urlsplit(CONFIG["html"]["baseurl"]).path
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
PAGES = [TOC["root"]] + [
    chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]
]

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def prose(path):
    """Give what a chapter says in words and formulas."""
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def program(path):
    """Give a chapter's code."""
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


class Page(html.parser.HTMLParser):
    """What a page links to, and what it shows."""

    def __init__(self, path):
        super().__init__()
        self.links, self.images, self.ids, self.headings = [], [], set(), 0
        self.words, self.canonical, self.about = "", [], {}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)
        if tag == "link" and attrs.get("rel") == "canonical":
            self.canonical.append(attrs["href"])
        if tag == "meta" and "content" in attrs:
            self.about[attrs.get("property") or attrs.get("name")] = attrs["content"]
        self.headings += tag == "h1"

    def handle_data(self, data):
        self.words += data


def test_every_page_is_there_and_no_other(book):
    made = {
        path.relative_to(book).with_suffix("").as_posix()
        for path in book.rglob("*.html")
        if "_static" not in path.parts
    }
    assert made == {*PAGES, "index", "genindex", "search", "404"}
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


@pytest.mark.parametrize("name", [*PAGES, "genindex", "search", "404"])
def test_links_within_the_book_lead_somewhere(book, name):
    path = book / f"{name}.html"
    for link in Page(path).links:
        # The list of chapters marks the page that is open.
        if "://" in link or link.startswith("mailto:") or link == "#":
            continue
        target, _, anchor = link.partition("#")
        if name == "404" and target:
            # It is shown at any address, so its links begin at the host.
            assert target.startswith(BASE), link
            target = book / target.removeprefix(BASE)
        target = (path.parent / target).resolve() if target else path
        assert target.is_file(), link
        if anchor and target.suffix == ".html":
            assert unquote(anchor) in Page(target).ids, link


def test_the_sitemap_has_every_page_by_the_name_that_it_gives_itself(book):
    sitemap = (book / "sitemap.xml").read_text("utf-8")
    home = CONFIG["html"]["baseurl"]
    listed = set(re.findall("<loc>(.*?)</loc>", sitemap))
    assert listed == {f"{home}{name}.html" for name in PAGES}
    for name in PAGES:
        page = Page(book / f"{name}.html")
        assert page.canonical == [f"{home}{name}.html"]
        assert page.about["og:url"] == f"{home}{name}.html"


def test_a_shared_link_shows_a_title_a_sentence_and_a_card(book):
    pages = {name: Page(book / f"{name}.html") for name in PAGES}
    for name, page in pages.items():
        about = page.about
        sentence = about["description"]
        assert about["og:description"] == about["og:image:alt"] == sentence
        assert 60 <= len(sentence) <= 200 and sentence[-1] in ".?!", (name, sentence)
        # Whole sentences of the page, without a formula.
        assert sentence in " ".join(page.words.split()), name
        assert not re.search(r"\.\.\.|[\\^{}$]", sentence), (name, sentence)
        assert about["og:site_name"] == CONFIG["title"]
        assert about["twitter:card"] == "summary_large_image"
        home, _, path = about["og:image"].partition("_images/")
        assert home == CONFIG["html"]["baseurl"]
        with Image.open(book / "_images" / path) as card:
            size = about["og:image:width"], about["og:image:height"]
            assert tuple(map(str, card.size)) == size
    for key in "description", "og:title", "og:image":
        assert len({page.about[key] for page in pages.values()}) == len(PAGES)


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


MODELS = (SoftmaxRegression, MultilayerPerceptron, LeNet, LeNet5)


@pytest.mark.parametrize("make", [*MODELS, *(e.make for e in POOLING.values())])
def test_a_multiply_add_is_counted_alike_in_lenets_chapter_and_in_the_results(make):
    notebook = nbformat.read(ROOT / "notebooks" / "07_lenet.ipynb", as_version=4)
    [source] = [c.source for c in notebook.cells if "def follow(" in c.source]
    names = {"torch": torch, "nn": nn}
    exec(source, names)
    assert sum(work for _, _, work, _ in names["follow"](make())) == multiply_adds(
        make()
    )


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


def entries(bibliography):
    """Give each reference's key, and its fields as text."""
    return re.findall(r"^@\w+\{(\w+),(.*?)^\}", bibliography, re.M | re.S)


def unlinked(bibliography, chapters):
    """Find the references that no chapter links to or, without a DOI, names."""
    missing = []
    for key, fields in entries(bibliography):
        doi = re.search(r"\bdoi = \{([^}]+)\}", fields)
        title = re.search(r"\btitle = \{(.+)\},?$", fields, re.M)[1]
        wanted = f"](https://doi.org/{doi[1]})" if doi else title
        if wanted.lower() not in unquote(chapters).lower():
            missing.append(key)
    return missing


def test_each_reference_is_linked_from_a_chapter():
    bibliography = (ROOT / "book" / "references.bib").read_text("utf-8")
    chapters = "\n".join(prose(path) for path in CHAPTERS)
    assert len(entries(bibliography)) == bibliography.count("\n@") + 1 > 30
    assert unlinked(bibliography, chapters) == []


def test_a_reference_that_no_chapter_links_to_is_found():
    reference = "@book{key,\n  title = {A title},\n  doi = {10.1/x}\n}\n"
    assert unlinked(reference, "[A title](https://doi.org/10.1/y)") == ["key"]
    assert unlinked(reference, "[1958](https://doi.org/10.1/X)") == []
    without = reference.replace("doi = {10.1/x}", "year = {1958}")
    assert unlinked(without, "A. Body, *Another*") == ["key"]
    assert unlinked(without, "A. Body, *A title* (1958)") == []


def same_word(first, second):
    """Tell whether one word of the glossary is the other, or its last words."""
    first, second = first.lower(), second.lower()
    return f" {first}".endswith(f" {second}") or f" {second}".endswith(f" {first}")


# The first is a kind of the second: what it says would be false of the other.
KINDS = {
    *(("average pooling", "pooling"), ("max pooling", "pooling")),
    *(("Nesterov momentum", "momentum"), ("vanishing gradient", "gradient")),
    ("dead ReLU", "ReLU"),
}


def twice(words):
    """Find the pairs of words that could be one word."""
    pairs = itertools.combinations(words, 2)
    return [
        pair for pair in pairs if same_word(*pair) and not {pair, pair[::-1]} & KINDS
    ]


def test_each_glossary_word_has_one_entry():
    glossary = (ROOT / "book" / "glossary.md").read_text("utf-8")
    words = re.findall("^## (.+)$", glossary, re.M)
    assert len(words) > 60 and words == sorted(words, key=str.lower)
    assert twice(words) == []
    assert all(same_word(*pair) and set(pair) <= set(words) for pair in KINDS)
    assert twice(["clipping", "gradient clipping"]) and twice(["batch", "Batch"])


def test_links_to_glossary_words_find_them():
    glossary = (ROOT / "book" / "glossary.md").read_text("utf-8")
    words = re.findall("^## (.+)$", glossary, re.M)
    known = {word.lower().replace(" ", "-") for word in words}
    for path in CHAPTERS:
        used = set(re.findall(r"glossary\.md#([\w-]+)", prose(path)))
        assert used <= known, path.name


def symbols(notation):
    """Give each symbol and each name in the code, with the chapter it comes from."""
    for part in notation.split("\n## ")[1:]:
        name = re.match(r"From \[[^]]+\]\(\.\./notebooks/(\w+)\.ipynb\)\n", part)[1]
        for row in re.findall(r"^\| (\$.*)$", part, re.M):
            left, code, *_ = re.split(r" ?\| ?", row)
            yield name, re.findall(r"\$(.+?)\$", left), re.findall("`(.+?)`", code)


def absent(notation, chapters):
    """Find symbols and names that do not occur where the page says they do."""
    missing = []
    for name, signs, names in symbols(notation):
        words, code = chapters[name]
        formulas = re.findall(r"(\$\$?)(.+?)\1", words, re.S)
        formulas = " ".join(formula for _, formula in formulas)
        for sign in signs:  # an index k or i stands for any
            pattern = re.escape(sign).replace("_k", "_(k|[1-9])")
            if not re.search(rf"(?<![\\A-Za-z]){pattern}(?![A-Za-z])", formulas):
                missing.append((name, sign))
        for word in names:
            if not re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", f" {code} "):
                missing.append((name, word))
    return missing


def test_symbols_occur_in_the_chapters_that_notation_names():
    notation = (ROOT / "book" / "notation.md").read_text("utf-8")
    chapters = {path.stem: (prose(path), program(path)) for path in CHAPTERS}
    assert len(list(symbols(notation))) > 45
    assert absent(notation, chapters) == []


def test_a_symbol_that_does_not_occur_is_found():
    notation = "\n## From [Digits](../notebooks/01_digits.ipynb)\n\n"
    notation += "| $A_k$ | `A1` … | sums |\n"
    given = absent(notation, {"01_digits": ("Write $A_1$.", "A1 = 2")})
    assert given == []
    given = absent(notation, {"01_digits": ("Write $AA_1$, A_1.", "A11 = 2")})
    assert given == [("01_digits", "A_k"), ("01_digits", "A1")]
