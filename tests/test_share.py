"""What an address tells of a lab, in a real browser: see book/_static/labs/share.js."""

import contextlib
import re

import pytest
from test_lab_draw import Pad
from test_labs import PLACES, press, slide

# Answer every control otherwise than it is; a list has a last entry, a slider an end.
ANSWER = """() => {
    for (const control of document.querySelectorAll(".lab :is(select, input)")) {
        if (!control.isConnected || control.type === "file") continue;
        if (control.type === "checkbox") control.checked = !control.checked;
        else if (control.options) control.selectedIndex = control.options.length - 1;
        else control.value = control.type === "range" ? control.max : "2";
        const kind = control.type.match("select|checkbox") ? "change" : "input";
        control.dispatchEvent(new Event(kind));
    }
}"""
# All that is to be seen, but for what is only said; and the pad itself, which then has
# what the models saw of a drawing.
SEEN = """() => {
    const lab = document.querySelector(".lab"), copy = lab.cloneNode(true);
    const apart = "[role=status], .lab-share, .lab-hint, .lab-goals";
    for (const said of copy.querySelectorAll(apart)) {
        said.remove();
    }
    const values = [...lab.querySelectorAll("select, input:not([type=file])")]
        .map(({ value, checked }) => `${value} ${checked}`);
    const pixels = [...lab.querySelectorAll("canvas:not(.lab-draw-pad)")]
        .map((canvas) => canvas.toDataURL());
    return [copy.textContent, values, pixels];
}"""
RESTS = """() => !document.querySelector(".lab [aria-busy=true]")"""


def draw(page):
    """Draw a slanted line on the pad."""
    Pad(page).draw([[(168, 56), (112, 224)]])


def forth(page):
    """Go two windows on."""
    for _ in range(2):
        page.get_by_text("Step forward").click()


def open_cell(page):
    """Draw, and open a cell of another map of the first layer."""
    draw(page)
    page.wait_for_function(RESTS)
    page.locator(".lab-lenet-flow canvas").nth(1).click(position={"x": 40, "y": 40})
    page.locator(".lab-lenet-zoom canvas").first.press("ArrowDown")


def learn(page):
    """Take a step, change the batch, learn for an epoch, and one more step."""
    press(page, "Reset")
    for name in "One step", "One epoch", "One step":
        press(page, name)
        rest(page)
        slide(page, "Batch size", "ArrowLeft")
    slide(page, "Learning rate", "Home", "ArrowRight")


def look_elsewhere(page):
    """Move the patch, and choose another pixel."""
    page.locator(".lab-why-models canvas").first.press("ArrowDown")
    page.get_by_label("The share of each pixel").press("ArrowDown")


USES = {"softmax": learn, "perceptron": learn, "why": look_elsewhere}
USES |= {"draw": draw, "lenet": open_cell, "pooling": forth, "convolution": forth}


def rest(page):
    """Wait until the lab has nothing left to do; give what it shows."""
    before, same = None, 0
    for _ in range(100):
        page.wait_for_timeout(100)
        page.wait_for_function(RESTS)
        seen = page.evaluate(SEEN)
        same = same + 1 if seen == before else 0
        if same == 2:
            return seen
        before = seen
    raise AssertionError("the lab doesn't come to rest")


@pytest.mark.parametrize("name", PLACES)
def test_a_copied_address_shows_the_same_elsewhere(lab, browser, name):
    page = lab(name)
    opened = rest(page)
    page.evaluate(ANSWER)
    USES.get(name, lambda page: None)(page)
    seen = rest(page)
    assert seen != opened
    page.get_by_text("Copy link").click()
    page.locator(".lab-share [role=status]:not(:empty)").wait_for()
    assert re.fullmatch(rf".*#{name}=[\w-]+", page.url) and len(page.url) < 2_000
    other = browser.new_page(viewport=page.viewport_size)
    other.goto(page.url)
    other.wait_for_selector("[data-lab] > .lab")
    assert rest(other) == seen
    other.close()


# What is nearly as a lab tells of itself: too many steps, a rate that is not offered …
TRAINED = [
    [[1e12, 0.03, 32, 0, 0]], [[5, 7, 32, 0, 0]], [[0.5, 0.03, 32, 0, 0]],
    [{"levels": [1], "label": 3}], [{"levels": 784 * [0], "label": "x"}],
]  # fmt: skip
SHOWN = [{"digit": 784 * [256], "layer": -1, "patch": [13, 1], "pixel": [0, 28]}]
NEARLY = {
    "softmax": TRAINED, "perceptron": TRAINED, "scores": [10 * ["1"], 9 * [1]],
    "draw": [784 * [256], 783 * [1]], "lenet": SHOWN, "why": SHOWN,
    "pooling": ["1"], "convolution": ["1"],
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_an_address_that_was_not_copied_here_changes_nothing(lab, page, name):
    opened = rest(lab(name))
    address = page.url
    # No base64, nothing compressed, no state; and the state of something else.
    own = {"digit": [1, 2], "layer": 9.5, "places": 3, "patch": [13, "x"], "pixel": 1}
    states = [None, {"controls": [{}, "x", None, [], "1e9", -1], "own": own}]
    states += [{"own": nearly} for nearly in NEARLY.get(name, [])]
    packed = page.evaluate(
        """async (states) => {
            const { address } = await lab.load("share");
            const all = states.map((state) => address("", "", state));
            return (await Promise.all(all)).map((link) => link.slice(2));
        }""",
        states,
    )
    for number, state in enumerate(["%%%", "abc", *packed]):
        if number < 4:  # the others come while the page is open
            page.goto("about:blank")
        page.goto(f"{address}#{name}={state}")
        page.wait_for_selector("[data-lab] > .lab")
        assert rest(page) == opened, state


def test_more_than_fits_into_an_address_is_said(lab):
    page = lab("pooling")
    page.evaluate(
        """() => document.querySelector(".lab").prepend(...Array.from({ length: 999 },
            () => Object.assign(document.createElement("input"),
                { value: String(Math.random()) })))"""
    )
    page.get_by_text("Copy link").click()
    page.get_by_text("There is more in this figure than fits into a link.").wait_for()
    assert "#" not in page.url


def test_an_address_is_followed_on_its_own_page_too(lab):
    page = lab("scores")
    page.get_by_text("Sure of 3").click()
    page.get_by_text("Copy link").click()
    page.wait_for_function("location.hash")
    seen, link = rest(page), page.url
    page.get_by_text("All equal").click()
    assert rest(page) != seen
    page.evaluate("history.replaceState(null, '', location.pathname)")
    page.goto(link)
    page.wait_for_function("document.querySelectorAll('td input')[3].value === '8'")
    assert rest(page) == seen


def test_a_figure_stands_alone_as_it_is_with_its_controls_and_without(page, book):
    page.goto((book / "notebooks" / "06_pooling.html").as_uri())
    page.locator("[data-lab]").scroll_into_view_if_needed()
    forth(page)
    said = page.inner_text(".lab-equation")
    page.get_by_text("This figure alone").click()
    page.wait_for_url("**/figure-pooling.html#*")
    page.get_by_text(said).wait_for()
    assert page.locator(".bd-sidebar").count() == 0
    forward = page.get_by_text("Step forward")
    assert forward.is_visible()
    page.evaluate("window.same = true")
    page.get_by_text("Hide the controls").click()
    page.wait_for_url("**/figure-pooling.html?plain#*")
    page.get_by_text(said).wait_for()
    assert page.evaluate("same")  # the page was not loaded anew
    assert not forward.is_visible() and page.get_by_text("output y").is_visible()
    assert not page.get_by_text("Copy link").is_visible()
    page.reload()
    page.wait_for_selector(".lab-plain")
    page.get_by_text(said).wait_for()
    page.get_by_text("Show the controls").click()
    forward.wait_for()
    assert "?plain" not in page.url
    page.click("a:text('Pooling')")
    page.wait_for_url("**/06_pooling.html*")
    assert page.inner_text("h1:visible").startswith("Pooling")


@pytest.mark.parametrize("width", [1280, 1920])
def test_a_figure_alone_is_larger_and_the_mouse_finds_its_places(page, book, width):
    page.set_viewport_size({"width": width, "height": 720 * width // 1280})
    page.goto((book / "notebooks" / "figure-lenet.html").as_uri())
    maps = page.get_by_label("Second convolution,")
    maps.wait_for()
    box = maps.bounding_box()
    large = box["width"] / maps.evaluate("(canvas) => canvas.width")
    assert large > 1.19 * width / 1280
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    maps.scroll_into_view_if_needed()
    box = maps.bounding_box()
    x, y = (large * (1 + 26 * n + 13.5) for n in (3, 2))  # just beyond a map's middle
    page.mouse.click(box["x"] + x, box["y"] + y)
    title = page.inner_text(".lab-lenet-open > p")
    assert title.startswith("Second convolution, map 13, row 4, column 4: ")


NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


def test_where_nothing_may_be_copied_the_address_has_it(lab):
    page = lab("scores")
    page.evaluate(NO_CLIPBOARD)
    page.get_by_text("Copy link").click()
    page.get_by_text("The link is in your browser’s address bar.").wait_for()
    assert "#scores=" in page.url


@pytest.mark.parametrize("behind", [".", ")", "%20", "&fbclid=x", "=", ">"])
def test_what_others_put_behind_a_link_is_ignored(lab, browser, behind):
    page = lab("scores")
    page.evaluate(ANSWER)
    seen = rest(page)
    page.get_by_text("Copy link").click()
    page.wait_for_function("location.hash")
    for link in page.url + behind, page.url.replace("=", "%3D"):
        with contextlib.closing(browser.new_page(viewport=page.viewport_size)) as other:
            other.goto(link)
            other.wait_for_selector("[data-lab] > .lab")
            assert rest(other) == seen


def test_within_another_page_the_link_itself_is_shown(lab, browser, tmp_path):
    """Whose address is not the figure's."""
    outer = tmp_path / "outer.html"
    address = lab("scores").url
    frame = f'<iframe src="{address}" width="900" height="900"></iframe>'
    outer.write_text(frame, "utf-8")
    with contextlib.closing(browser.new_page()) as page:
        page.add_init_script(NO_CLIPBOARD)
        page.goto(outer.as_uri())
        frame = page.frame_locator("iframe")
        frame.get_by_text("Copy link").click()
        said = frame.get_by_text("Here is the link: ")
        said.wait_for()
        assert re.search(r"scores\.html#scores=[\w-]+$", said.inner_text())


def test_whoever_comes_back_finds_the_figure_as_it_was(visit, page):
    """Also where the browser did not keep the page."""
    page = visit("06_pooling")
    page.locator("[data-lab=pooling]").scroll_into_view_if_needed()
    page.locator("[data-lab] > .lab").wait_for()
    forth(page)
    seen = rest(page)
    page.get_by_text("This figure alone").click()
    page.wait_for_url("**/figure-pooling.html*")
    page.go_back()
    page.locator("[data-lab] > .lab").wait_for()
    assert rest(page) == seen


@pytest.mark.parametrize("allowed", [True, False])
def test_safari_is_given_a_promise_at_once(lab, page, allowed):
    """When the link is ready, it is too late there; elsewhere it is not."""
    page.add_init_script(
        f"""Object.defineProperty(navigator, "clipboard", {{ value: {{
            write: async ([item]) => {{
                if (!{str(allowed).lower()} || !event) throw new DOMException("no");
                window.copied = await (await item.getType("text/plain")).text();
            }},
            writeText: async (text) => {{
                if ({str(allowed).lower()}) throw new DOMException("too late");
                window.copied = text;
            }},
        }} }});"""
    )
    lab("scores")
    page.get_by_text("Copy link").click()
    page.get_by_text("Copied: whoever opens it").wait_for()
    assert page.evaluate("copied") == page.url
