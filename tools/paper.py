"""Print the built book as one PDF.

    python -m tools.paper

It goes to _build/recognize-digits.pdf, with bookmarks, and with every link within the
book leading to its place. The pages are printed by the browser that the tests use,
with the styles that they have on paper; no script runs, so that in the place of a lab
stands what readers without JavaScript see.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

from mnist_lesson.system import atomic_write
from tools.chapters import ROOT, pages

HTML = ROOT / "_build" / "html"
PDF = ROOT / "_build" / "recognize-digits.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Each window would load two menus of the address bar, which nobody sees: half of what
# opening a page takes. (The other four Playwright names itself, but one list counts.)
FEATURES = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup"]
FEATURES += ["HttpsUpgrades", "OptimizationHints", "PaintHolding", "Translate"]
STYLE = """
    article + article { break-before: page; }
    article :is(h1, h2, h3, h4, summary) { break-after: avoid; }
    article a.headerlink { display: none; }
"""
NUMBER = """<div style="width: 100%; font: 8px sans-serif; text-align: center">
    <span class="pageNumber"></span></div>"""


def main() -> None:
    """Print all pages of the book."""
    if not (HTML / "index.html").is_file():
        raise SystemExit("there is no book yet: make it first, with make book")
    with sync_playwright() as playwright:
        if not (browser := start(playwright)):
            raise SystemExit(
                "the book is printed by Chromium, Chrome or Edge: install one"
            )
        write(PDF, browser, HTML, pages())
    print(f"The book on paper is in {PDF} ({PDF.stat().st_size / 1e6:.0f} MB)")


def start(playwright: Playwright) -> Browser | None:
    """Start Chromium, Chrome or Edge, without a window, if one is installed."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    # Where no command starts them, on Windows and Macs, Playwright knows their folders.
    ways = [{"channel": "chrome"}, {"channel": "msedge"}]
    options = ["--no-sandbox", f"--disable-features={','.join(FEATURES)}"]
    for way in [{"executable_path": path}] if path else ways:
        try:
            return playwright.chromium.launch(**way, args=options)
        except Error as error:
            if "is not found at" not in str(error):
                raise
    return None


def write(pdf: Path, browser: Browser, html: Path, names: list[str]) -> None:
    """Print pages of a built book, which are named without their endings."""
    # Not in /tmp, which a browser that comes as a snap cannot see.
    with (
        TemporaryDirectory(dir=pdf.parent) as folder,
        atomic_write(pdf) as temporary,
    ):
        single = Path(folder, "book.html")
        single.write_text(joined(html, names), "utf-8")
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(single.as_uri())
        page.pdf(
            path=temporary, format="A4", scale=0.8, print_background=True,
            margin={"top": "15mm", "bottom": "17mm", "left": "18mm", "right": "18mm"},
            display_header_footer=True, header_template="<i></i>",
            footer_template=NUMBER, outline=True, tagged=True,
        )  # fmt: skip
        context.close()


def joined(html: Path, names: list[str]) -> str:
    """Write the pages one below the other, as a single one."""
    articles, styles = [], {}
    for name in names:
        path = html / f"{name}.html"
        page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        article = page.select_one("article.bd-article")
        for tag in article.select("[id]"):
            tag["id"] = place(name, tag["id"])
        article["id"] = place(name)
        for details in article.select("details"):
            details["open"] = ""
        for link in article.select("a[href]"):
            lead(link, path, html, names)
        for image in article.select("img"):
            image["src"] = address(path, image["src"])
            del image["loading"]
        for style in page.select("link[rel=stylesheet]"):
            style["href"] = address(path, style["href"])
            styles[style["href"]] = str(style)
        articles.append(str(article))
    # The book's own come after the theme's.
    head = "".join(
        styles[key] for key in sorted(styles, key=lambda key: "course." in key)
    )
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">
<title>Recognize Digits</title>{head}<style>{STYLE}</style></head>
<body><main class="bd-main">{"".join(articles)}</main></body></html>"""


def place(name: str, anchor: str = "") -> str:
    """Name a place of a page so that no other page has the same."""
    return f"{name}--{anchor}".replace("/", "-")


def address(page: Path, reference: str) -> str:
    """Give the whole address of a file that a page refers to; a whole one stays."""
    if urlsplit(reference).scheme:
        return reference
    return (page.parent / reference.partition("?")[0]).resolve().as_uri()


def lead(link: Tag, page: Path, html: Path, names: list[str]) -> None:
    """Let a link to another page lead to its place; what is not on paper has none."""
    target, _, anchor = link["href"].partition("#")
    if ":" in target:
        return
    file = (page.parent / target).resolve() if target else page.resolve()
    name = file.relative_to(html.resolve()).with_suffix("").as_posix()
    if name in names:
        link["href"] = "#" + place(name, unquote(anchor))
    else:
        del link["href"]


if __name__ == "__main__":
    main()
