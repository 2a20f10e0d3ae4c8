"""The book on paper: some of its pages, printed from the book that was built."""

import re
import tempfile
import types
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from test_book import PAGES
from test_pages import pages as extension

from tools import paper

# A lab, formulas and pictures; tables and links to the other two; solutions in a page.
SOME = ["notebooks/04_activations", "book/notation", "book/tensors"]
# As wide as a sheet of A4 between its margins, at the size that it is printed in.
SHEET = {"width": round((210 - 2 * 18) / 25.4 * 96 / 0.8), "height": 1200}


@pytest.fixture(scope="module")
def single(book, tmp_path_factory):
    """Give the page that is printed, with the pages named in it."""

    def single(names):
        path = tmp_path_factory.mktemp("paper") / "book.html"
        path.write_text(paper.joined(book, names), "utf-8")
        return path

    return single


@pytest.fixture(scope="module")
def whole(single):
    return single(PAGES)


@pytest.fixture(scope="module")
def printed(whole):
    return parse(whole)


def parse(path):
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def test_the_whole_book_is_there_with_every_picture_and_formula(book, printed):
    pages = [parse(book / f"{name}.html").article for name in PAGES]
    for kind in "img", "math", "table", "pre", "h2", "details":
        there = sum(len(page.select(kind)) for page in pages)
        assert len(printed.select(kind)) == there > 0, kind
    titles = [page.h1.get_text() for page in pages]
    assert [title.get_text() for title in printed.select("h1")] == titles
    assert not printed.select("script, details:not([open])")


def test_links_within_the_book_lead_to_their_places(printed):
    ids = [tag["id"] for tag in printed.select("[id]")]
    assert len({*ids}) == len(ids)
    links = [link["href"] for link in printed.select("a[href]")]
    within = [link[1:] for link in links if link.startswith("#")]
    assert len(within) > 300 and {*within} <= {*ids}
    assert all(link.startswith(("#", "http", "mailto:")) for link in links)


def test_nothing_is_cut_off_on_the_sheet(browser, whole):
    with browser.new_context(java_script_enabled=False, viewport=SHEET) as context:
        page = context.new_page()
        page.emulate_media(media="print")
        page.goto(whole.as_uri())
        state = """[...document.images].filter(
            (i) => !i.complete || !i.naturalWidth || !i.checkVisibility()).length"""
        assert page.evaluate(state) == 0
        wide = f"""[...document.querySelectorAll("article, article *:not(math *)")]
            .filter((part) => part.getBoundingClientRect().right > {SHEET["width"]} + 1
                || /auto|hidden|scroll/.test(getComputedStyle(part).overflowX)
                && part.scrollWidth > part.clientWidth + 1)
            .map((part) => part.outerHTML.slice(0, 200))"""
        assert page.evaluate(wide) == []
        # What folds in the page stands open: its handle would say “Hide”.
        assert not page.locator("summary:visible", has_text="Hide").count()
        place = page.locator("[data-lab]").first
        assert "needs JavaScript" in place.inner_text()


def test_some_pages_are_printed_with_pictures_and_bookmarks(
    browser, book, single, tmp_path, monkeypatch
):
    # As for a browser from a snap, which sees nothing there.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not" / "there"))
    pdf = tmp_path / "some.pdf"
    paper.write(pdf, browser, book, SOME)
    content = pdf.read_bytes()
    # And no other: a shadow would be one.
    pictures = {image["src"] for image in parse(single(SOME)).select("img")}
    assert content.count(b"/Subtype /Image") == len(pictures) > 2
    assert len(re.findall(rb"/Type /Page\b", content)) > 10
    assert b"/Outlines" in content and b"/Dest" in content
    assert b"STIXTwoMath" in content
    assert [*tmp_path.iterdir()] == [pdf]


def test_a_picture_from_elsewhere_keeps_its_address():
    for whole in "https://example.org/7.png", "data:image/png;base64,iVBO":
        assert paper.address(Path("/html/page.html"), whole) == whole
    relative = paper.address(Path("/html/page.html"), "_images/7.png?v=1")
    assert relative.startswith("file://") and relative.endswith("/html/_images/7.png")


def test_without_a_book_there_is_nothing_to_print(monkeypatch, tmp_path):
    monkeypatch.setattr(paper, "HTML", tmp_path)
    with pytest.raises(SystemExit, match="make it first, with make book"):
        paper.main()


@pytest.mark.parametrize("name", ["dirhtml", "singlehtml", "epub"])
def test_a_builder_with_other_files_is_turned_away_in_a_sentence(name):
    builder = types.SimpleNamespace(name=name, format="html")
    with pytest.raises(extension.ExtensionError, match=f"cannot be built as {name}: "):
        extension.want_files(types.SimpleNamespace(builder=builder))
    for name, format in ("html", "html"), ("linkcheck", ""):
        builder = types.SimpleNamespace(name=name, format=format)
        extension.want_files(types.SimpleNamespace(builder=builder))
