"""The book as `make book` builds it: its pages, links and pictures."""

import doctest
import itertools
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import torch
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from torch import nn

from mnist_lesson import LeNet, LeNet5, MultilayerPerceptron, SoftmaxRegression
from tools import chapters
from tools.experiments import POOLING
from tools.results import multiply_adds

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
HOME = CONFIG["html"]["baseurl"]
BASE = urlsplit(HOME).path
PAGES = chapters.pages()
EXTRA = ["search", "404"]
CHAPTERS = chapters.notebooks()
OURS = [path for path in CHAPTERS if path.stem < "16"]  # the others somebody has added
COLAB = "https://colab.research.google.com"


def prose(path):
    """Give what a chapter says in words and formulas."""
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def program(path):
    """Give a chapter's code."""
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@pytest.fixture(scope="module")
def pages(book):
    """Every page of the built book, parsed, by its name."""
    return {
        name: BeautifulSoup((book / f"{name}.html").read_text("utf-8"), "html.parser")
        for name in [*PAGES, *EXTRA]
    }


def test_every_page_is_there_and_no_other(book, pages):
    made = {
        path.relative_to(book).with_suffix("").as_posix()
        for path in book.rglob("*.html")
        if "_static" not in path.parts
    }
    alone = {
        f"{name.rpartition('/')[0]}/figure-{place['data-lab']}"
        for name, page in pages.items()
        for place in page.select("[data-lab]")
    }
    assert made == {*pages, *alone, "index"}
    # The address that people send leads to the first page, and has its preview.
    index = BeautifulSoup((book / "index.html").read_text("utf-8"), "html.parser")
    assert index.a["href"] == f"{PAGES[0]}.html"
    assert index.find_all("meta", property=True) == pages[PAGES[0]].find_all(
        "meta", property=True
    )
    # Where a branch is published, folders whose names begin with _ are, too.
    assert (book / ".nojekyll").is_file()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_its_content(book, pages, name):
    page = pages[name]
    words = page.get_text()
    assert len(words) > 1_000
    for bad in "Traceback", "nbval-", "-m pip", "{bibliography}":
        assert bad not in words
    # Pictures keep their places, and those below the first come later.
    images = page.select(".bd-article img")
    assert all(int(image["width"]) > 50 for image in images)
    assert {image.get("loading") for image in images[1:]} <= {"lazy"}
    for link in page.select(".btn-download-source-button"):
        assert link.has_attr("download")  # a browser would show a notebook as text
    levels = [
        int(head.name[1]) for head in page.article.find_all(re.compile("^h[1-6]$"))
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))

    chapter = "notebooks/" in name
    pictures = page.select("img[src*=_images]")
    assert len(pictures) >= 3 or not chapter, "a chapter has at least three pictures"
    for picture in pictures:
        assert (book / name).parent.joinpath(picture["src"]).resolve().is_file()
        assert len(picture["alt"]) > 40, picture
    in_colab = f"{COLAB}/github{urlsplit(CONFIG['repository']['url']).path}/blob/main"
    buttons = {link["href"] for link in page.select(f"a[href^='{COLAB}']")}
    assert buttons == ({f"{in_colab}/{name}.ipynb"} if chapter else set())


def test_links_within_the_book_lead_somewhere(book, pages):
    ids = {
        name: {tag["id"] for tag in page.select("[id]")} for name, page in pages.items()
    }
    for name, page in pages.items():
        for link in {tag["href"] for tag in page.select("a[href]")}:
            # The list of chapters marks the page that is open.
            if "://" in link or link.startswith("mailto:") or link == "#":
                continue
            target, _, anchor = link.partition("#")
            path = book / f"{name}.html"
            if name == "404" and target:
                # It is shown at any address, so its links begin at the host.
                assert target.startswith(BASE), link
                path = book / target.removeprefix(BASE)
            elif target:
                path = (path.parent / target).resolve()
            assert path.is_file(), (name, link)
            if anchor and path.suffix == ".html":
                linked = path.relative_to(book).with_suffix("").as_posix()
                assert unquote(anchor) in ids[linked], (name, link)


def test_search_engines_and_shared_links_find_every_page(book, pages):
    sitemap = (book / "sitemap.xml").read_text("utf-8")
    listed = set(re.findall("<loc>(.*?)</loc>", sitemap))
    assert listed == {f"{HOME}{name}.html" for name in PAGES}
    seen = []
    for name in PAGES:
        page = pages[name]
        about = {
            tag.get("property") or tag.get("name"): tag["content"]
            for tag in page.select("meta[content]")
        }
        [canonical] = page.select("link[rel=canonical]")
        assert canonical["href"] == about["og:url"] == f"{HOME}{name}.html"
        sentence = about["description"]
        assert about["og:description"] == about["og:image:alt"] == sentence
        assert 60 <= len(sentence) <= 200 and sentence[-1] in ".?!", (name, sentence)
        # Whole sentences of the page, without a formula.
        assert sentence in " ".join(page.get_text().split()), name
        assert not re.search(r"\.\.\.|[\\^{}$]", sentence), (name, sentence)
        assert about["og:site_name"] == CONFIG["title"]
        assert about["twitter:card"] == "summary_large_image"
        home, _, path = about["og:image"].partition("_images/")
        assert home == HOME
        with Image.open(book / "_images" / path) as card:
            size = about["og:image:width"], about["og:image:height"]
            assert tuple(map(str, card.size)) == size
        seen += [sentence, about["og:title"], about["og:image"]]
    assert len(set(seen)) == len(seen) == 3 * len(PAGES)


def test_everything_of_the_source_chapter_has_its_place():
    """Each link in the tables of CONTRIBUTING.md names a heading that is there."""
    tables = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("| in the source |")
    assert [len(re.findall(r"^\| (?!where)", t, re.M)) for t in tables[1:]] == [23, 14]
    links = re.findall(r"\[([^]]+)\]\(([^)]+\.(?:ipynb|md))\)", "".join(tables[1:]))
    # A chapter on something that the source doesn't have need not be in them.
    theirs = {path.stem for path in OURS} - {"12_trust", "15_seconds"}
    assert {Path(file).stem for _, file in links} >= theirs
    for heading, file in links:
        path = ROOT / file
        text = prose(path) if file.endswith(".ipynb") else path.read_text("utf-8")
        assert re.search(rf"^##? {re.escape(heading)}$", text, re.M), (heading, file)


def test_the_page_for_teachers_has_every_chapter_in_its_table_and_in_its_list():
    """One that somebody adds may come later."""
    page = (ROOT / "book" / "teachers.md").read_text("utf-8")
    entries = re.findall(r"^- \*\*\[(.+?)\]\(\.\./(.+?)\)\*\*.+", page, re.M)
    timed = re.findall(r"^\| (.+?) \| \d+ min \| \d+ min \|$", page, re.M)
    assert timed == [title for title, _ in entries]
    every = [(c.title, c.file) for c in chapters.chapters()]
    ours = {f"notebooks/{path.name}" for path in OURS}
    assert entries == [c for c in every if c[1] in ours or c in entries]
    for line in re.findall(r"^- \*\*.+", page, re.M):
        # Each misconception has the place that mends it.
        assert line.count("*“") == line.count("”*") == line.count(".ipynb#") > 0
    assert len(page.split()) <= 80 * len(entries)


def test_the_path_shows_each_chapters_picture_the_first_or_the_one_it_names(pages):
    mark = "<!-- the next picture stands in the list of chapters -->"
    shown = {
        Path(entry.a["href"]).stem: entry.img["alt"]
        for entry in pages[PAGES[0]].select(".path > li")
    }
    assert sorted(shown) == sorted(path.stem for path in CHAPTERS)
    for path in CHAPTERS:
        cells = nbformat.read(path, as_version=4).cells
        [at] = [i for i, c in enumerate(cells) if mark in c.source] or [0]
        described = (c.metadata.get("mystnb", {}).get("image", {}) for c in cells[at:])
        assert shown[path.stem] == next(filter(None, described))["alt"]


MODELS = (SoftmaxRegression, MultilayerPerceptron, LeNet, LeNet5)


def test_commands_can_be_pasted():
    """The shell of a Mac takes a comment behind a command for arguments. And Jupyter
    follows no link out of the folder that it is started in."""
    start = ROOT / "tools" / "START-HERE.html"
    for path in (*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), start):
        text = path.read_text("utf-8")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
        blocks += [("sh", block) for block in re.findall(r"(?s)<pre>(.*?)</pre>", text)]
        for language, block in blocks:
            if language in ("", "sh"):
                assert not re.search(r"(?m)(^|\s)#", block), f"{path.name}: {block}"
        assert not re.search(r"jupyter lab \w", text), path.name


@pytest.mark.parametrize("make", [*MODELS, *(e.make for e in POOLING.values())])
def test_a_multiply_add_is_counted_alike_in_lenets_chapter_and_in_the_results(make):
    notebook = nbformat.read(ROOT / "notebooks" / "07_lenet.ipynb", as_version=4)
    [source] = [c.source for c in notebook.cells if "def follow(" in c.source]
    names = {"torch": torch, "nn": nn}
    exec(source, names)
    work = sum(work for _, _, work, _ in names["follow"](make()))
    assert work == multiply_adds(make())


def test_what_the_page_on_tensors_shows_is_what_pytorch_answers():
    failed, tried = doctest.testfile(
        str(ROOT / "book" / "tensors.md"), module_relative=False, encoding="utf-8"
    )
    assert tried > 20 and not failed


def test_chapters_and_references_name_each_other(pages):
    """Each paper that the book cites is listed, and each listed is cited."""
    bibliography = (ROOT / "book" / "references.bib").read_text("utf-8")
    entries = re.findall(r"^@\w+\{(\w+),(.*?)^\}", bibliography, re.M | re.S)
    assert len(dict(entries)) == bibliography.count("\n@") + 1 > 30
    listed = {link["href"] for link in pages["book/references"].select("a[href]")}
    files = [ROOT / "book" / f"{name}.md" for name in ("outlook", "questions")]
    others = [path.read_text("utf-8") for path in files]
    links = "\n".join([*map(prose, CHAPTERS), *others]).lower()
    chapters, known = unquote(links), set()
    for key, fields in entries:
        title = re.search(r"\btitle = \{(.+)\},?$", fields, re.M)[1]
        if doi := re.search(r"\bdoi = \{([^}]+)\}", fields):
            address = f"https://doi.org/{doi[1]}"
            known.add(address.lower())
            assert address in listed, key
            assert f"]({address})".lower() in chapters, key
        else:
            assert title.lower() in chapters, key
    for address in re.findall(r"https://doi\.org/[^)\s\"]+", links):
        assert unquote(address) in known


def same_word(first, second):
    """Tell whether one word of the glossary is the other, or its last words."""
    first, second = first.lower(), second.lower()
    return f" {first}".endswith(f" {second}") or f" {second}".endswith(f" {first}")


# The first is a kind of the second: what it says would be false of the other.
KINDS = {
    *(("average pooling", "pooling"), ("max pooling", "pooling")),
    *(("Nesterov momentum", "momentum"), ("vanishing gradient", "gradient")),
    ("dead ReLU", "ReLU"),
    *(("fully connected layer", "layer"), ("hidden layer", "layer")),
}


def test_each_glossary_word_has_one_entry_and_links_find_it():
    glossary = (ROOT / "book" / "glossary.md").read_text("utf-8")
    words = re.findall("^## (.+)$", glossary, re.M)
    assert len(words) > 60 and words == sorted(words, key=str.lower)
    for pair in itertools.combinations(words, 2):
        assert not same_word(*pair) or {pair, pair[::-1]} & KINDS, pair
    assert all(set(pair) <= set(words) for pair in KINDS)
    known = {word.lower().replace(" ", "-") for word in words}
    for path in CHAPTERS:
        used = set(re.findall(r"glossary\.md#([\w-]+)", prose(path)))
        assert used <= known, path.name


def test_symbols_occur_in_the_chapters_that_notation_names():
    notation = (ROOT / "book" / "notation.md").read_text("utf-8")
    rows = 0
    *parts, twice = notation.split("\n## ")[1:]
    assert twice.startswith("Letters with several meanings\n")
    for part in parts:
        name = re.match(r"From \[[^]]+\]\(\.\./notebooks/(\w+)\.ipynb\)\n", part)[1]
        path = ROOT / "notebooks" / f"{name}.ipynb"
        formulas = re.findall(r"(\$\$?)(.+?)\1", prose(path), re.S)
        formulas, code = " ".join(text for _, text in formulas), program(path)
        for row in re.findall(r"^\| (\$.*)$", part, re.M):
            rows += 1
            signs, names, *_ = re.split(r" ?\| ?", row)
            for sign in re.findall(r"\$(.+?)\$", signs):  # an index k or i is any
                pattern = re.escape(sign).replace("_k", "_(k|[1-9])")
                pattern = rf"(?<![\\A-Za-z]){pattern}(?![A-Za-z])"
                assert re.search(pattern, formulas), (name, sign)
            for word in re.findall("`(.+?)`", names):
                pattern = rf"(?<![\w.]){re.escape(word)}(?!\w)"
                assert re.search(pattern, f" {code} "), (name, word)
    assert rows > 45
