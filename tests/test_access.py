"""Whoever reads otherwise: with older browsers, larger letters, more contrast …"""

import json

import pytest
from test_labs import MARKED, PLACES, press
from test_pages import CHAPTER, PHONE
from test_share import ANSWER, USES, rest

# What browsers have had for less than about three years; see caniuse.com.
RECENT = """for (const name of [
    "Promise.withResolvers", "Promise.try", "Object.groupBy", "Map.groupBy",
    "Array.fromAsync", "Array.prototype.toSorted", "Array.prototype.toSpliced",
    "Array.prototype.toReversed", "Array.prototype.with", "Set.prototype.union",
    "Set.prototype.intersection", "Set.prototype.difference", "RegExp.escape",
    "String.prototype.isWellFormed", "Uint8Array.fromBase64", "URL.canParse",
    "URL.parse", "AbortSignal.any", "Iterator", "scheduler",
]) {
    const [kind, ...rest] = name.split("."), own = rest.pop() ?? kind;
    let place = own === kind ? self : self[kind];
    for (const part of rest) place = place?.[part];
    if (place) delete place[own];
}
{ // what has no name of its own
    const helpers = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
    for (const name of Object.getOwnPropertyNames(helpers)) delete helpers[name];
    const typed = Object.getPrototypeOf(Uint8Array.prototype);
    for (const name of ["toSorted", "toReversed", "with"]) delete typed[name];
}"""
# Workers are made of blobs.
IN_WORKERS = f"""self.Blob = class extends Blob {{
    constructor(parts, ...rest) {{ super([{json.dumps(RECENT)}, ...parts], ...rest); }}
}};"""


@pytest.mark.parametrize("name", PLACES)
def test_a_browser_of_some_years_ago_has_it_too(lab, page, name):
    page.add_init_script(RECENT + IN_WORKERS)
    opened = rest(lab(name))
    for recent in "Promise.withResolvers", "[].toSorted", "[].values().map":
        assert page.evaluate(recent) is None
    there = page.evaluate("""lab.offload(() => function* () {
        return typeof Promise.withResolvers;
    }).then((ask) => ask())""")
    assert there == "undefined"  # a worker has it no more than the page
    USES.get(name, lambda page: page.evaluate(ANSWER))(page)
    assert rest(page) != opened
    # Where framing or the models fail, the pad says so, and has no answer.
    assert "The drawing" not in page.inner_text(".lab")
    assert "–" not in page.locator(".lab-draw-answer").all_inner_texts()


@pytest.mark.parametrize("name", PLACES)
def test_letters_may_be_twice_as_large(lab, page, name):
    """As a browser's settings make them: nothing is cut, at either width."""
    driver = page.context.new_cdp_session(page)
    driver.send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
    for width in 1280, 390:
        page.set_viewport_size({"width": width, "height": 800})
        lab(name)
        root = "getComputedStyle(document.documentElement).fontSize"
        assert page.evaluate(root) == "32px"
        for fold in page.locator(".lab summary").all():
            fold.press("Enter")
        if name == "perceptron":
            page.get_by_label("Drawing pad").wait_for()  # in one of the folds
        wide = page.locator(".lab").evaluate(
            """(lab) => [...lab.querySelectorAll("*")].filter((element) =>
                element.checkVisibility()
                && !element.closest(".lab-spoken, .lab-scroller, svg, code")
                && element.getBoundingClientRect().right
                    > lab.getBoundingClientRect().right + 1
            ).map((element) => element.outerHTML.slice(0, 99))"""
        )
        assert wide == [], width


@pytest.mark.parametrize("name", ["convolution", "lenet"])
@pytest.mark.parametrize("size", [(320, 256), (568, 320)], ids=str)
def test_what_stays_in_sight_covers_little(lab, page, name, size):
    """At 400 % zoom, or on a small phone held sideways."""
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    lab(name)
    if name == "lenet":
        press(page, "Take a tour")
    stuck = page.locator(".lab").evaluate(
        """(lab) => [...lab.querySelectorAll("*")].filter((element) =>
            getComputedStyle(element).position === "sticky" && element.checkVisibility()
        ).map((element) => element.className)"""
    )
    assert stuck == []


def test_on_a_phone_what_is_computed_stays_in_sight(lab, phone):
    """At the bottom, while the tables above it are read."""
    page = lab("convolution", page=phone())
    box = page.locator(".lab-now").bounding_box()
    buttons = page.locator(".lab-now button").all()
    assert len({button.bounding_box()["y"] for button in buttons}) == 1
    assert abs(box["y"] + box["height"] - page.viewport_size["height"]) < 1


@pytest.mark.parametrize("name", PLACES)
def test_an_iphone_does_not_zoom_in_on_a_field(lab, phone, name):
    """It does where letters have less than 16 pixels."""
    page = lab(name, page=phone())
    fields = page.locator(".lab :is(input:not([type=range], [type=checkbox]), select)")
    sizes = fields.evaluate_all(
        "(all) => all.map((field) => parseFloat(getComputedStyle(field).fontSize))"
    )
    assert all(size >= 16 for size in sizes)
    assert sizes or name == "activations"  # which has none


BARS = {
    "scores": ".lab-bar", "draw": ".lab-draw-bar",
    "lenet": ".lab-lenet-chart > :nth-child(2)", "perceptron": ".lab-learn-bar",
}  # fmt: skip


@pytest.mark.parametrize("name", BARS)
def test_bars_are_seen_in_windows_contrast_themes(lab, page, name):
    page.emulate_media(forced_colors="active", color_scheme="dark")
    lab(name)
    page.locator(".lab:not(:has([aria-busy=true]))").wait_for()
    colour = page.locator(BARS[name]).first.evaluate(
        """(bar) => [bar, null].map((part) => getComputedStyle(
            part ?? document.body).forcedColorAdjust)"""
    )
    assert colour == ["none", "auto"]


def test_a_click_that_is_no_pointers_counts_in_a_tour(lab, page):
    """As some screen readers press; a label passes it on."""
    lab("perceptron")
    for number, name in enumerate(("Take a tour", "One step"), 1):
        page.get_by_role("button", name=name).evaluate(
            """(button) => {
                const label = document.createElement("label");
                Object.assign(label, { htmlFor: "pressed", textContent: "press" });
                document.getElementById("pressed")?.removeAttribute("id");
                button.id = "pressed";
                document.body.prepend(label);
            }"""
        )
        page.locator("body > label").first.click()
        page.get_by_text(f"{number} of 6: ").wait_for()


REFUSED = """for (const store of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, store, { configurable: true, get() {
        throw new DOMException("refused", "SecurityError");
    } });
}"""


def test_menus_work_where_nothing_may_be_stored(page, book):
    """As where all cookies are blocked."""
    page.add_init_script(REFUSED)
    page.set_viewport_size(PHONE)
    page.goto((book / f"{CHAPTER}.html").as_uri())
    page.locator("button.primary-toggle").click()
    page.locator("dialog[open]").get_by_role("link", name="Pooling").wait_for()
    page.keyboard.press("Escape")
    theme = "document.documentElement.dataset.theme"
    before = page.evaluate(theme)
    for _ in range(3):
        page.locator(".theme-switch-button:visible").first.click()
    assert before == page.evaluate(theme)
    page.locator(".theme-switch-button:visible").first.click()
    page.locator(".theme-switch-button:visible").first.click()
    assert page.evaluate("document.documentElement.dataset.mode") != "auto"


@pytest.mark.parametrize("name", ["03_multilayer_perceptron", "15_seconds"])
def test_at_four_times_the_size_nothing_is_cut(page, book, name):
    """Which leaves 320 pixels of 1,280."""
    page.set_viewport_size({"width": 320, "height": 256})
    page.goto((book / f"notebooks/{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_theme_can_be_switched_and_stays(page, book):
    page.goto((book / "book" / "setup.html").as_uri())
    button = page.locator(".theme-switch-button").first
    seen = []
    while seen[-1:] != ["dark"] or len(seen) < 3:
        button.click()
        seen.append(page.evaluate("document.documentElement.dataset.mode"))
        assert button.locator("svg:visible").count() == 1
        assert len(seen) < 6
    assert {*seen} == {"auto", "light", "dark"}
    page.add_init_script(  # before there is anything to paint
        """new MutationObserver(() => { if (document.body)
            window.first ??= document.documentElement.dataset.theme ?? "none";
        }).observe(document, { childList: true, subtree: true });"""
    )
    page.goto((book / "book" / "notation.html").as_uri())
    assert page.evaluate("first") == "dark"


BAR = ".bd-header-article .btn:visible"
CONTENTS = ".bd-links a:visible, .toc-entry a:visible, .search-button-field:visible"


@pytest.mark.parametrize("colors", ["none", "active"])
def test_keys_show_where_they_are(page, book, colors):
    """In the bar at the top; where colours are forced, in the contents, too."""
    page.emulate_media(forced_colors=colors)
    page.goto((book / f"{CHAPTER}.html").as_uri())
    found = page.locator(BAR if colors == "none" else f"{BAR}, {CONTENTS}").all()
    assert len(found) > (20 if colors == "active" else 4)
    for element in found:
        element.evaluate("(element) => element.focus({ focusVisible: true })")
        assert element.evaluate(MARKED), element.inner_text()


def test_a_figures_own_page_follows_the_systems_theme(page, book):
    page.goto((book / "book" / "figure-draw.html").as_uri())
    for theme in "dark", "light":
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")


def test_paper_has_no_buttons(page, book):
    """Whoever has just scrolled up has one more, which a script shows."""
    page.set_viewport_size({"width": 800, "height": 800})
    page.goto((book / f"{CHAPTER}.html").as_uri())
    up = page.locator("#pst-back-to-top")
    up.evaluate("(button) => { button.style.display = 'block'; }")
    assert up.is_visible()
    page.locator(".copybtn").first.wait_for()
    page.locator("[data-lab] > .lab button:visible").first.wait_for()
    page.emulate_media(media="print")
    for button in "#pst-back-to-top", ".copybtn", ".lab button":
        assert not any(one.is_visible() for one in page.locator(button).all())


def test_without_scripts_no_button_does_nothing(browser, book):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((book / f"{CHAPTER}.html").as_uri())
        assert page.locator(".bd-header-article").is_visible()
        page.locator(".dropdown-download-buttons > .btn").hover()
        assert page.locator(".btn-download-source-button").is_visible()
        for name in "fullscreen", "download-pdf":
            button = page.locator(f".btn-{name}-button")
            assert button.count() == 1 and not button.is_visible()
