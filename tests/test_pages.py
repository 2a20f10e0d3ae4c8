"""Every page of the built book as a browser meets it: on a host, on a disk, on a phone.

A small server compresses as public hosts do and notes what it sent, the browser notes
what was asked for, and axe looks for what would keep people out.
"""

import gzip
import re
import sys
from html import escape
from importlib import resources
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pydata_sphinx_theme
import pytest
from docutils import nodes
from server import served
from test_book import BASE
from test_book import PAGES as CHAPTERS
from test_notebooks import ADDRESS, COLAB

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "book" / "_ext"))
import math_font  # noqa: E402
import pages  # noqa: E402

PAGES = [*CHAPTERS, "genindex", "search", "404"]
LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
LABS_IN = ["02_softmax_regression", "04_activations", "05_convolution", "06_pooling"]


class Site:
    """Answers as GitHub Pages does: below the book's path, compressed.

    Where nothing is, it sends 404.html. It counts the bytes, and notes what is missing.
    """

    def __init__(self, folder):
        self.folder, self.sent, self.missing = folder, {}, []
        # What a test asks for to see that it is not there.
        self.absent = set()

    def answer(self, request):
        name = request.path.partition("?")[0]
        path, status = self.folder / name.removeprefix(BASE), 200
        if not name.startswith(BASE) or not path.is_file():
            if name not in self.absent:
                self.missing.append(name)
            path, status = self.folder / "404.html", 404
        body = path.read_bytes()
        request.send_response(status)
        if path.suffix not in (".png", ".woff"):
            body = gzip.compress(body, 6)
            request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Type", request.guess_type(path))
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
        self.sent[request.path] = len(body)


@pytest.fixture(scope="module")
def site(book):
    site = Site(book)
    with served(answer=site.answer) as address:
        site.address = address.rstrip("/") + BASE.rstrip("/")
        yield site


@pytest.fixture
def visit(browser, site):
    """Open a page afresh, with an eye on what it asks for and complains of."""
    context = browser.new_context(viewport=LAPTOP, reduced_motion="reduce")
    page, complaints = context.new_page(), []

    def on_request(request):
        if not request.url.startswith((site.address, "file:", "data:", "blob:")):
            complaints.append(request.url)

    def on_failure(request):
        # Who leaves a page while its worker starts breaks that off.
        left = request.url.startswith("blob:") and request.failure == "net::ERR_ABORTED"
        if not left:
            complaints.append(request.url)

    def on_console(line):
        path = urlsplit(line.location["url"]).path
        if line.type == "error" and path not in site.absent:
            complaints.append(line.text)

    page.on("request", on_request)
    page.on("requestfailed", on_failure)
    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    site.sent.clear()
    site.missing.clear()
    site.absent.clear()
    yield page
    # What is still on its way, such as an icon, must not be cut off and look missing.
    page.wait_for_load_state("networkidle")
    context.close()
    assert not complaints + site.missing


# Pictures in a closed menu or solution may wait.
SEEN = "[...document.images].filter((image) => image.checkVisibility())"


def read_through(page):
    """Go to every lab, and ask for every picture that would come later."""
    for i in range(page.locator("[data-lab]").count()):
        page.locator("[data-lab]").nth(i).scroll_into_view_if_needed()
        page.locator("[data-lab]").nth(i).locator(".lab").first.wait_for()
    page.evaluate("for (const i of document.images) i.loading = 'eager'")
    page.wait_for_function(f"{SEEN}.every((image) => image.complete)")


def violations(page):
    """Ask axe; its preloading would look for styles in wrong places.

    (The package's own way to ask reads the script in the system's encoding.)
    """
    script = resources.files("axe_playwright_python") / "axe.min.js"
    page.evaluate(script.read_text("utf-8"))
    options = {"preload": False, "resultTypes": ["violations"]}
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light_whole_and_open_to_everyone(visit, site, name):
    visit.goto(f"{site.address}/{name}.html")
    # A lab near the top may have begun to load; the page itself is what counts.
    page = {path: size for path, size in site.sent.items() if "/labs/" not in path}
    assert 10_000 < sum(page.values()) <= 700_000, page
    read_through(visit)
    assert visit.evaluate(f"{SEEN}.every((image) => image.naturalWidth)")
    # An empty alt would be right for a decoration only: there is none.
    assert visit.evaluate("[...document.images].every((i) => i.alt.length > 3)")
    assert not violations(visit)
    visit.emulate_media(color_scheme="dark", reduced_motion="reduce")
    visit.set_viewport_size(PHONE)
    visit.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    # The theme takes 0.3 s to notice what scrolls now.
    visit.wait_for_timeout(500)
    assert visit.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert not violations(visit)


@pytest.mark.parametrize("name", ["book/notation", "notebooks/05_convolution"])
def test_a_page_works_from_the_disk(visit, book, name):
    visit.goto((book / f"{name}.html").as_uri())
    read_through(visit)
    assert visit.evaluate("document.fonts.check('16px \"Book Math\"')")
    assert visit.evaluate(f"{SEEN}.every((image) => image.naturalWidth)")


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("name", ["book/index", *(f"notebooks/{n}" for n in LABS_IN)])
def test_nothing_moves_while_a_page_loads_and_is_read(visit, site, name, size):
    visit.add_init_script(
        """window.moved = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
            window.moved += entry.value;
        })).observe({ type: "layout-shift", buffered: true });"""
    )
    visit.set_viewport_size(size)
    visit.goto(f"{site.address}/{name}.html")
    for _ in range(visit.evaluate("document.body.scrollHeight / 600 + 1 | 0")):
        visit.mouse.wheel(0, 600)
        visit.wait_for_timeout(30)
    visit.wait_for_function(  # its labs have come
        "!document.querySelector('[data-lab]:not(:has(> .lab))')"
    )
    assert visit.evaluate("window.moved") < 0.02
    sizes = visit.evaluate(
        "[...document.querySelectorAll('.bd-article img')].map((image) =>"
        " [image.getAttribute('width'), image.loading])"
    )
    assert all(int(width) > 50 for width, _ in sizes)
    assert {loading for _, loading in sizes[1:]} <= {"lazy"}


@pytest.mark.parametrize("path", ["nowhere.html", "notebooks/99/", "a/b/c/d.html"])
def test_an_address_without_a_page_shows_the_way(visit, site, path):
    site.absent.add(f"{BASE}{path}")
    assert visit.goto(f"{site.address}/{path}").status == 404
    assert visit.inner_text("h1:visible") == "Page not found"
    assert visit.locator(".bd-article a", has_text="Pooling").is_visible()
    # It looks like every other page.
    assert visit.evaluate("document.querySelector('.bd-sidebar-primary').offsetWidth")
    visit.fill(".bd-article input[name=q]", "softmax")
    visit.press(".bd-article input[name=q]", "Enter")
    visit.wait_for_url("**/search.html?q=softmax")
    visit.wait_for_load_state("networkidle")
    visit.go_back()
    visit.click(".bd-article a:text('Pooling')")
    assert visit.inner_text("h1:visible").startswith("Pooling")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("learning rate", ["notebooks/08_training", "book/glossary#learning-rate"]),
        ("pooling", ["notebooks/06_pooling", "book/glossary#pooling"]),
    ],
)
def test_search_finds_the_pages_one_expects(visit, site, words, expected):
    visit.goto(f"{site.address}/book/index.html")
    visit.click(".search-button__button:visible")
    visit.fill("#pst-search-dialog input", words)
    visit.press("#pst-search-dialog input", "Enter")
    visit.wait_for_selector(".search-summary:has-text('found')")
    found = visit.locator("#search-results li a")
    links = [link.get_attribute("href").replace(".html", "") for link in found.all()]
    assert set(expected) <= set(links[:4])
    visit.wait_for_function(
        "[...document.querySelectorAll('#search-results li')]"
        ".every((item) => item.querySelector('p.context'))"
    )
    for excerpt in visit.locator("#search-results .context").all_inner_texts():
        # The text as it is read: no button, no contents, no formula's source.
        assert len(excerpt) > 40 and ".ipynb" not in excerpt and "\\" not in excerpt
        assert any(word in excerpt.lower() for word in words.split())


def test_search_works_from_the_disk(browser, book):
    # Excerpts need a host: the theme's script complains, and shows titles alone.
    page = browser.new_page()
    page.goto((book / "search.html").as_uri() + "?q=backpropagation")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() >= 2
    page.close()


def test_the_theme_can_be_switched_and_stays(page, site):
    page.goto(f"{site.address}/book/setup.html")
    button = page.locator(".theme-switch-button").first
    seen = set()
    for _ in range(3):
        seen.add(page.evaluate("document.documentElement.dataset.mode"))
        assert button.locator("svg:visible").count() == 1
        button.click()
    assert seen == {"auto", "light", "dark"}
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        button.click()
    page.goto(f"{site.address}/book/notation.html", wait_until="commit")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_menus_open_and_a_chapter_opens_in_colab(page, site):
    page.goto(f"{site.address}/notebooks/02_softmax_regression.html")
    link = page.locator("a[title='Launch on Colab'], a[href*='colab.research']").first
    assert not link.is_visible()
    page.click(".dropdown-launch-buttons > button")
    link.wait_for(state="visible")
    assert link.get_attribute("href").endswith("/notebooks/02_softmax_regression.ipynb")


def test_every_chapter_has_a_button_that_opens_it_in_colab(book):
    for name in CHAPTERS:
        html = (book / f"{name}.html").read_text("utf-8")
        place = ADDRESS.replace("https://github.com", f"{COLAB}/github")
        expected = (
            {f"{place}/blob/main/{name}.ipynb"} if "notebooks/" in name else set()
        )
        assert set(re.findall(f'"({COLAB}[^"]*)"', html)) == expected


def test_the_sidebar_opens_on_a_phone(page, site):
    page.set_viewport_size(PHONE)
    page.goto(f"{site.address}/notebooks/02_softmax_regression.html")
    page.wait_for_load_state("networkidle")
    entry = page.locator("#pst-primary-sidebar-modal a", has_text="Pooling")
    page.click(".bd-header-article .primary-toggle")
    entry.wait_for(state="visible")
    entry.click()
    page.wait_for_url("**/06_pooling.html")


def test_the_contents_close_when_a_heading_was_chosen_on_a_phone(page, site):
    page.set_viewport_size(PHONE)
    page.goto(f"{site.address}/notebooks/02_softmax_regression.html")
    page.wait_for_load_state("networkidle")
    page.click(".bd-header-article .secondary-toggle")
    page.click("#pst-secondary-sidebar-modal a[href='#the-gradient']")
    page.wait_for_selector("#pst-secondary-sidebar-modal", state="hidden")
    heading = page.locator("#the-gradient > h2").bounding_box()
    assert 0 < heading["y"] < 200


@pytest.mark.parametrize("name", PAGES)
def test_no_table_hides_a_column_on_a_phone(page, site, name):
    page.set_viewport_size(PHONE)
    page.goto(f"{site.address}/{name}.html")
    wide = "(table) => table.scrollWidth > table.parentElement.clientWidth"
    for table in page.locator(".bd-article table.table").all():
        assert not table.evaluate(wide), table.inner_text()[:80]


def test_a_page_printed_from_the_dark_is_light_and_whole(page, site):
    page.goto(f"{site.address}/notebooks/02_softmax_regression.html")
    state = """() => [document.documentElement.dataset.theme,
        document.querySelectorAll("details:not([open])").length]"""
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    before = page.evaluate(state)
    assert before[0] == "dark" and before[1] > 0
    page.evaluate(f"addEventListener('beforeprint', () => window.seen = ({state})())")
    page.pdf()
    assert page.evaluate("window.seen") == ["light", 0]
    assert page.evaluate(state) == before
    # Code wraps rather than run off the sheet.
    page.emulate_media(media="print")
    cut = "(e) => e.filter((code) => code.scrollWidth > code.clientWidth + 1).length"
    assert page.locator(".bd-article pre:visible").evaluate_all(cut) == 0


def test_a_lab_is_printed_in_the_state_it_is_in(page, site):
    page.goto(f"{site.address}/book/index.html")
    page.wait_for_selector(".lab details:not([open])")
    state = "() => document.querySelectorAll('.lab details[open]').length"
    page.evaluate(f"addEventListener('beforeprint', () => window.seen = ({state})())")
    page.pdf()
    assert page.evaluate("window.seen") == 0


def test_icons_are_drawn_as_large_as_letters(page, site):
    page.goto(f"{site.address}/notebooks/02_softmax_regression.html")
    icons = page.locator("svg.svg-inline--fa:visible")
    boxes = [icon.bounding_box() for icon in icons.all()]
    assert len(boxes) > 7
    assert all(8 <= box["height"] <= 30 and 5 <= box["width"] <= 40 for box in boxes)
    assert page.locator("i[class*=fa-]").count() == 0


def formulas(html):
    return re.findall(r"<math.*?</math>", html, re.S)


def test_every_formula_is_typeset_in_characters_that_its_font_has(book):
    font = set()
    for code in math_font.CHARACTERS:
        first, _, last = code.partition("-")
        font.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    found = 0
    for name in PAGES:
        html = (book / f"{name}.html").read_text("utf-8")
        assert "\\(" not in re.sub("<pre>.*?</pre>", "", html, flags=re.S), name
        for formula in formulas(html):
            found += 1
            shown = re.sub("(?s)<annotation.*</annotation>|<.*?>|&.*?;", "", formula)
            assert set(shown) <= font, (name, set(shown) - font)
    assert found > 250


def test_a_prime_is_no_superscript_and_the_formula_can_be_copied():
    html = pages.typeset(nodes.math("", "f'(a) < b"), display=False)
    assert "<mi>f</mi><mo>′</mo>" in html
    assert ">f'(a) &lt; b</annotation>" in html


@pytest.mark.parametrize(
    "tex",
    [
        r"\foo < 1", "{a", "a}", "x^2^3", r"\left( a", r"\begin{foo} a \end{foo}",
        r"\begin{cases} a", r"\frac{1}", "x^", r"\text{a", r"a \end{cases}", "a & b",
    ],
)  # fmt: skip
def test_a_formula_that_is_not_understood_is_a_warning(tex, monkeypatch):
    warnings = []
    monkeypatch.setattr(
        pages.logger, "warning", lambda text, *rest, **_: warnings.append(text % rest)
    )
    node = nodes.math("", tex)
    assert pages.typeset(node, display=True) == f"<code>{escape(tex)}</code>"
    [warning] = warnings
    assert warning.startswith("formula: ") and warning.endswith(tex)


def styles_of(page):
    """Give what a browser computes for a page's elements, one of each kind, and for
    what stands before and after them."""
    return page.evaluate("""() => {
        const kind = (element) => element.tagName + element.className;
        const elements = document.querySelectorAll("body *:not(math *)");
        const kinds = new Map([...elements].map((element) =>
            [kind(element.parentElement) + kind(element), element]));
        const computed = (element, part) => {
            const style = getComputedStyle(element, part);
            return [...style].sort().map((name) => style.getPropertyValue(name)).join();
        };
        return [...kinds].map(([name, element]) => [
            name, ...[null, "::before", "::after"].map((p) => computed(element, p))]);
    }""")


@pytest.mark.parametrize(
    ("name", "theme"),
    [("book/index", "light"), ("notebooks/02_softmax_regression", "dark")],
)
def test_what_styles_leave_out_no_page_misses(book, browser, name, theme):
    whole = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme"
    whole = (whole / "static/styles/pydata-sphinx-theme.css").read_text("utf-8")
    styles = book / "_static" / "styles" / "pydata-sphinx-theme.css"
    assert 3 * styles.stat().st_size < len(whole)
    seen = []
    for routed in (False, True):
        page = browser.new_page(viewport=LAPTOP, color_scheme=theme)
        # Labs come when they come.
        page.route("**/lab.js*", lambda route: route.abort())
        if routed:
            page.route(
                "**/pydata-sphinx-theme.css*",
                lambda route: route.fulfill(body=whole, content_type="text/css"),
            )
        page.goto((book / f"{name}.html").as_uri())
        page.wait_for_load_state("networkidle")
        seen.append(styles_of(page))
        page.close()
    assert seen[0] == seen[1]


def test_headings_go_down_one_level_at_a_time(book):
    for name in CHAPTERS:
        html = (book / f"{name}.html").read_text("utf-8")
        article = html[html.index("<article") : html.index("</article>")]
        levels = [int(level) for level in re.findall(r"<h([1-6])", article)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), name
