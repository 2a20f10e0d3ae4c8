"""What an address tells of a lab, in a real browser: see book/_static/labs/share.js."""

import re

import pytest
from test_labs import PLACES

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
    for (const said of copy.querySelectorAll("[role=status], .lab-share, .lab-hint")) {
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
    pad = page.locator(".lab-draw-pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    x, y = box["x"], box["y"]
    page.mouse.move(x + 0.6 * box["width"], y + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(x + 0.4 * box["width"], y + 0.8 * box["height"], steps=5)
    page.mouse.up()


def forth(page):
    """Go two windows on."""
    for _ in range(2):
        page.get_by_text("Step forward").click()


def open_cell(page):
    """Draw, and open a cell of another map of the first layer."""
    draw(page)
    page.wait_for_timeout(500)
    page.locator(".lab-lenet-flow canvas").nth(1).click(position={"x": 40, "y": 40})
    page.locator(".lab-lenet-zoom canvas").first.press("ArrowDown")


USES = {"draw": draw, "lenet": open_cell, "pooling": forth, "convolution": forth}


def rest(page):
    """Wait until the lab has nothing left to do; give what it shows."""
    before = None
    for _ in range(40):
        page.wait_for_timeout(250)
        page.wait_for_function(RESTS)
        seen = page.evaluate(SEEN)
        if seen == before:
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
    page.wait_for_function("location.hash")
    assert re.fullmatch(rf".*#{name}=[\w-]+", page.url) and len(page.url) < 2_000
    assert page.locator(".lab-share [role=status]").inner_text()
    other = browser.new_page(viewport=page.viewport_size)
    other.goto(page.url)
    other.wait_for_selector("[data-lab] > .lab")
    assert rest(other) == seen
    other.close()


@pytest.mark.parametrize("name", PLACES)
def test_an_address_that_was_not_copied_here_changes_nothing(lab, page, name):
    opened = rest(lab(name))
    address = page.url
    # No base64, nothing compressed, no JSON; and states of something else.
    states = ["1", '"x"', '{"controls":7,"own":{"digit":[1,2],"layer":9.5,"places":3}}']
    states += ['{"controls":[{},"x",null,[]],"own":[0.5,"x"]}', "null"]
    packed = page.evaluate(
        """async (states) => {
            const { address } = await lab.load("share");
            const all = states.map((state) => address("", "", JSON.parse(state)));
            return (await Promise.all(all)).map((link) => link.slice(2));
        }""",
        states,
    )
    for state in ["%%%", "abc", "", *packed]:
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
    assert rest(page) == seen


def test_a_figure_stands_alone_with_its_controls_and_without(page, book):
    page.goto((book / "notebooks" / "06_pooling.html").as_uri())
    page.locator("[data-lab]").scroll_into_view_if_needed()
    page.get_by_text("This figure alone").click()
    page.wait_for_url("**/figure-pooling.html")
    page.wait_for_selector("[data-lab] > .lab")
    assert page.locator(".bd-sidebar").count() == 0
    forward = page.get_by_text("Step forward")
    assert forward.is_visible()
    page.get_by_text("Hide the controls").click()
    page.wait_for_selector(".lab-plain")
    assert not forward.is_visible() and page.get_by_text("output y").is_visible()
    assert not page.get_by_text("Copy link").is_visible()
    page.get_by_text("Show the controls").click()
    forward.wait_for()
    page.click("a:text('Pooling')")
    assert page.inner_text("h1:visible").startswith("Pooling")
