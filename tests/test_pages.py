"""Every page of the built book as a browser meets it: on a host, on a disk, on a phone.

A small server compresses as public hosts do and notes what it sent, the browser notes
what was asked for, and axe looks for what would keep people out.
"""

import gzip
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lxml import html
from server import served
from test_book import BASE, EXTRA, PAGES
from test_labs import FRAMES, LABS, PLACES, violations
from test_questions import SOURCES

sys.path.append(str(Path(__file__).parents[1] / "book" / "_ext"))
import pages
import stylesheets

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
# A chapter with everything: formulas, tables, labs, solutions, plots.
CHAPTER = "notebooks/02_softmax_regression"
# Pictures in a closed menu or solution may wait.
PICTURES = "[...document.images].filter((image) => image.checkVisibility())"
DISTORTED = """[...document.images].filter((image) => {
    const { width, height, naturalWidth, naturalHeight } = image;
    return image.checkVisibility() && getComputedStyle(image).objectFit === "fill"
        && Math.abs(width / height * naturalHeight / naturalWidth - 1) > 0.03;
}).map((image) => image.alt)"""
# Tables of which a column is hidden.
CUT_OFF = """[...document.querySelectorAll(".bd-article table.table")]
    .filter((table) => table.scrollWidth > table.parentElement.clientWidth)
    .map((table) => table.innerText.slice(0, 80))"""
# Keys reach what scrolls: the theme sees to that 0.3 s after a change.
REACHABLE = """[...document.querySelectorAll("pre, [class*=scrollable]")]
    .every((part) => part.tabIndex === 0 || part.scrollWidth <= part.clientWidth)"""
# As Sphinx, its theme and the extensions put them on a page, in this order.
SHEETS = [
    *("basic.css", "styles/pydata-sphinx-theme.css", "pygments.css"),
    *("styles/sphinx-book-theme.css", "togglebutton.css", "copybutton.css"),
    *("mystnb.*.css", "sphinx-thebe.css", "sphinx-design.min.css", "course.css"),
    *(f"labs/{name}" for name in stylesheets.of_labs(LABS)),
]


class Site:
    """Answers as GitHub Pages does: below the book's path, compressed; or 404.html."""

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
        self.sent[request.path] = len(body)
        request.wfile.write(body)


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
        # Who leaves a page while something is on its way breaks that off.
        if request.failure != "net::ERR_ABORTED":
            complaints.append(request.url)

    def on_console(line):
        path = urlsplit(line.location["url"]).path
        if line.type == "error" and path not in site.absent:
            complaints.append(line.text)

    page.on("request", on_request)
    page.on("requestfailed", on_failure)
    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for noted in site.sent, site.missing, site.absent:
        noted.clear()
    yield page
    found = complaints + site.missing
    context.close()
    assert not found


def show_pictures(page):
    """Ask for every picture that would come later, and see it."""
    page.evaluate("for (const i of document.images) i.loading = 'eager'")
    page.wait_for_function(f"{PICTURES}.every((image) => image.complete)")
    assert page.evaluate(f"{PICTURES}.every((image) => image.naturalWidth)")


@pytest.mark.parametrize("name", [*PAGES, *EXTRA])
def test_a_page_is_light_whole_and_open_to_everyone(visit, site, name):
    visit.goto(f"{site.address}/{name}.html")
    # A lab near the top may have begun to load; the page itself is what counts.
    page = {path: size for path, size in [*site.sent.items()] if "/labs/" not in path}
    assert 10_000 < sum(page.values()) <= 700_000, page
    show_pictures(visit)
    asks = name.removeprefix("notebooks/") in {path.stem for path in SOURCES}
    if asks:
        visit.wait_for_selector(".check form")
    # One sheet has all styles, and nothing else loads questions.
    assert sum(path.endswith(".css") for path in [*site.sent]) == 1
    assert asks == sum("labs/questions/" in path for path in [*site.sent])
    # An empty alt would be right for a decoration only: there is none.
    assert visit.evaluate("[...document.images].every((i) => i.alt.length > 3)")
    # Icons are as large as letters.
    assert visit.locator("i[class*=fa-]").count() == 0
    icons = visit.locator("svg.svg-inline--fa:visible").all()
    assert icons
    for icon in icons:
        box = icon.bounding_box()
        assert 8 <= box["height"] <= 30 and 5 <= box["width"] <= 40
    visit.emulate_media(color_scheme="dark")
    visit.set_viewport_size(PHONE)
    visit.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    visit.wait_for_function(REACHABLE)
    assert visit.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert visit.evaluate(CUT_OFF) == []
    assert visit.evaluate(DISTORTED) == []
    # (Labs have a test of their own.)
    rest = {"exclude": [["[data-lab]"]]}
    assert not violations(visit, rest)
    visit.emulate_media(color_scheme="light")
    visit.set_viewport_size(LAPTOP)
    visit.wait_for_function("document.documentElement.dataset.theme === 'light'")
    visit.wait_for_function(REACHABLE)
    assert not violations(visit, rest)


def test_a_page_works_from_the_disk(visit, book):
    visit.goto((book / f"{CHAPTER}.html").as_uri())
    show_pictures(visit)
    visit.evaluate("document.fonts.ready.then(() => true)")
    assert visit.evaluate("document.fonts.check('16px \"Book Math\"')")


def test_of_a_session_what_is_typed_is_copied_and_what_is_answered_is_not(visit, book):
    visit.goto((book / "book/tensors.html").as_uri())
    visit.evaluate(
        """() => addEventListener("copy",
            () => { window.copied = document.activeElement.value; }, true)"""
    )
    block = visit.locator("div.highlight", has_text="class Stack")
    block.hover()
    block.locator("button.copybtn").click()
    visit.wait_for_function("window.copied")
    typed = visit.evaluate("copied").strip().splitlines()
    assert (typed[0], typed[-1]) == (
        "class Stack(nn.Module):",
        "[len(list(stack.parameters())) for stack in stacks]",
    )
    assert "    def __init__(self, layers):" in typed


def test_every_lab_has_its_place(book):
    found = set()
    for name in PAGES:
        html = (book / f"{name}.html").read_text("utf-8")
        found.update(re.findall('data-lab="([^"]+)"', html))
    assert found == {*PLACES}


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("name", sorted({*PLACES.values()}))
def test_nothing_moves_while_a_page_loads_and_is_read(visit, site, name, size):
    visit.add_init_script(
        """window.moved = [];
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
            const what = entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 99));
            window.moved.push([entry.value, what]);
        })).observe({ type: "layout-shift", buffered: true });"""
    )
    visit.set_viewport_size(size)
    visit.goto(f"{site.address}/{name}.html")
    for _ in range(visit.evaluate("document.body.scrollHeight / 600 + 1 | 0")):
        visit.mouse.wheel(0, 600)
        visit.evaluate(FRAMES, 2)
    visit.wait_for_function(  # its labs have come
        "!document.querySelector('[data-lab]:not(:has(> .lab))')"
    )
    places = visit.evaluate(
        """[...document.querySelectorAll('[data-lab]')].map((place) => [
            place.dataset.lab, parseFloat(getComputedStyle(place).minHeight) / 16,
            place.querySelector('.lab').offsetHeight / 16])"""
    )
    for lab, kept, high in places:
        said = f"{lab} is {high:.1f}rem high, but its place keeps {kept:.1f}rem"
        assert abs(kept - high) < high / 10, f"{said} ({size['width']} pixels wide)"
    visit.evaluate(FRAMES, 2)  # what moved is told after a frame
    moved = visit.evaluate("window.moved")
    assert sum(value for value, _ in moved) < 0.02, "\n".join(map(str, moved))


def test_a_page_comes_with_the_scripts_of_the_lab_that_it_begins_with(page, site):
    page.goto(f"{site.address}/book/index.html")
    page.wait_for_selector("[data-lab] > .lab")
    scripts = page.evaluate(
        "[...document.scripts].map(({ src }) => src.match(/[^/]+(?=[.]js)/)?.[0])"
    )
    scripts = [name for name in scripts if name]
    assert scripts[:6] == ["lab", "draw", "share", "pad", "pixels", "examples"]
    assert len(scripts) == len({*scripts})  # nothing is loaded twice
    # All have the version that they have together: an earlier book's don't fit.
    sources = page.evaluate("[...document.scripts].map(({ src }) => src)")
    [version] = {src.partition("?v=")[2] for src in sources if "/labs/" in src}
    assert len(version) == 8
    # So does a figure's own page, with the parts' parts; what is long comes later.
    alone = (site.folder / "notebooks" / "figure-lenet.html").read_text("utf-8")
    own = re.findall(rf"labs/(\w+)[.]js[?]v={version}", alone)
    assert own[:3] == ["lab", "lenet", "share"] and len(own) == len({*own})
    assert {"models", "windows", "means"} < {*own} and "weights" not in own


def test_safari_has_all_pictures_to_print_and_iphones_no_full_screen(page, site):
    page.goto(f"{site.address}/{CHAPTER}.html")
    page.wait_for_function(f"{PICTURES}.every((image) => image.complete)")
    assert page.locator(".btn-fullscreen-button").count() == 1
    for name in "fullscreenEnabled", "webkitFullscreenEnabled":
        page.add_init_script(f"Object.defineProperty(document, '{name}', {{}})")
    page.reload()
    assert page.locator(".btn-fullscreen-button").count() == 0


def test_an_address_without_a_page_shows_the_way(visit, site):
    for path in "nowhere.html", "notebooks/99/", "a/b/c/d.html":
        site.absent.add(f"{BASE}{path}")
        assert visit.goto(f"{site.address}/{path}").status == 404
        assert visit.inner_text("h1:visible") == "Page not found"
        assert visit.locator(".bd-article a", has_text="Pooling").is_visible()
        # It looks like every other page.
        assert visit.locator(".bd-sidebar-primary").bounding_box()["width"] > 0
    visit.fill(".bd-article input[name=q]", "softmax")
    visit.press(".bd-article input[name=q]", "Enter")
    visit.wait_for_url("**/search.html?q=softmax")
    visit.go_back()
    visit.click(".bd-article a:text('Pooling')")
    visit.wait_for_url("**/06_pooling.html")
    assert visit.inner_text("h1:visible").startswith("Pooling")


def test_search_finds_the_pages_one_expects(visit, site):
    visit.goto(f"{site.address}/book/setup.html")
    visit.click(".search-button__button:visible")
    visit.fill("#pst-search-dialog input", "learning rate")
    visit.press("#pst-search-dialog input", "Enter")
    visit.wait_for_selector(".search-summary:has-text('found')")
    found = visit.locator("#search-results li a")
    links = [link.get_attribute("href").replace(".html", "") for link in found.all()]
    assert {"notebooks/08_training", "book/glossary#learning-rate"} <= set(links[:4])
    visit.wait_for_function(
        "[...document.querySelectorAll('#search-results li')]"
        ".every((item) => item.querySelector('p.context'))"
    )
    for excerpt in visit.locator("#search-results .context").all_inner_texts():
        # The text as it is read: no button, no contents, no formula's source.
        assert len(excerpt) > 40 and ".ipynb" not in excerpt and "\\" not in excerpt
        assert re.search("learning|rate", excerpt, re.I)


def test_menus_open_on_a_laptop_and_on_a_phone(visit, site):
    visit.goto(f"{site.address}/{CHAPTER}.html")
    link = visit.locator("a[href*='colab.research']").first
    assert not link.is_visible()
    visit.click(".dropdown-launch-buttons > button")
    link.wait_for(state="visible")
    visit.set_viewport_size(PHONE)
    visit.reload()
    # The contents close when a heading was chosen.
    visit.click(".bd-header-article .secondary-toggle")
    visit.click("#pst-secondary-sidebar-modal a[href='#the-gradient']")
    visit.wait_for_selector("#pst-secondary-sidebar-modal", state="hidden")
    heading = visit.locator("#the-gradient > h2").bounding_box()
    assert 0 < heading["y"] < 200
    visit.click(".bd-header-article .primary-toggle")
    visit.locator("#pst-primary-sidebar-modal a", has_text="Pooling").click()
    visit.wait_for_url("**/06_pooling.html")


def test_a_page_printed_from_the_dark_is_light_and_whole(visit, site):
    visit.goto(f"{site.address}/{CHAPTER}.html")
    # (Labs, which may open meanwhile, are printed as they are.)
    state = """() => [document.documentElement.dataset.theme,
        document.querySelectorAll("details:not([open], .lab *)").length]"""
    visit.evaluate("document.documentElement.dataset.theme = 'dark'")
    before = visit.evaluate(state)
    assert before[0] == "dark" and before[1] > 0
    visit.evaluate(f"addEventListener('beforeprint', () => window.seen = ({state})())")
    visit.pdf()
    assert visit.evaluate("window.seen") == ["light", 0]
    assert visit.evaluate(state) == before
    # Code wraps rather than run off the sheet.
    visit.emulate_media(media="print")
    cut = "(e) => e.filter((code) => code.scrollWidth > code.clientWidth + 1).length"
    assert visit.locator(".bd-article pre:visible").evaluate_all(cut) == 0


def test_a_lab_is_printed_in_the_state_it_is_in(visit, site):
    visit.goto(f"{site.address}/{PLACES['draw']}.html")
    visit.locator("[data-lab]").scroll_into_view_if_needed()
    visit.wait_for_selector(".lab details:not([open])")
    state = "() => document.querySelectorAll('.lab details[open]').length"
    visit.evaluate(f"addEventListener('beforeprint', () => window.seen = ({state})())")
    visit.pdf()
    assert visit.evaluate("window.seen") == 0


def test_no_line_breaks_within_a_product_or_before_a_percent_sign():
    text = (
        "<p>5 × 5 pixels, 50 · <b>20</b> · 25, 98 % <code>5 × 5</code> (3) · (−1)</p>"
    )
    page = html.document_fromstring(f"<article>{text}</article>")
    pages.hold_together(page)
    joined = page.text_content().replace("\N{NO-BREAK SPACE}", "_")
    assert joined == "5_×_5 pixels, 50_· 20 ·_25, 98_% 5 × 5 (3)_·_(−1)"


def styles(page, name, css):
    """Give what a browser computes by these styles for a page's elements, one of each
    kind, and for what stands before and after them."""
    page.route("**/lab.js*", lambda route: route.abort())  # labs come when they come
    page.route(
        "**/book-*.css",
        lambda route: route.fulfill(body=css, content_type="text/css"),
    )
    page.goto(name)
    page.evaluate("document.fonts.ready.then(() => true)")
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
    ("name", "theme"), [("book/index", "light"), (CHAPTER, "dark")]
)
def test_what_styles_leave_out_no_page_misses(book, browser, name, theme):
    [path] = book.glob("_static/book-*.css")
    shrunk = path.read_text("utf-8")
    whole = "".join(
        sheet.read_text("utf-8")
        for name in SHEETS
        for sheet in (book / "_static").glob(name)
    )
    assert 3 * len(shrunk) < len(whole) and "@import" not in shrunk
    address = (book / f"{name}.html").as_uri()
    with browser.new_context(viewport=LAPTOP, color_scheme=theme) as context:
        assert styles(context.new_page(), address, shrunk) == styles(
            context.new_page(), address, whole
        )
