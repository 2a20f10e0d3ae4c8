"""The labs: figures that compute, driven in a real browser.

Here is what every lab in the book owes its readers, and what lab.js gives them all. The
numbers of one lab, and what one does with it, are in a file of its own.
"""

import re
import shutil
from importlib import resources
from pathlib import Path

import pytest
from test_book import PAGES

ROOT = Path(__file__).parents[1]
LABS = ROOT / "book" / "_static" / "labs"
# Each lab, and the first page of the book that has it.
PLACES = {
    name: page
    for page in reversed(PAGES)
    for path in ROOT.glob(f"{page}.[im]*")  # .ipynb or .md
    for name in re.findall(r'data-lab=\\?"([\w-]+)', path.read_text("utf-8"))
}
# What keys do to each kind of control; a button that asks for a file is left alone.
KEYS = {
    "summary": "Enter",
    "select": "ArrowDown",
    "[type=checkbox]": "Space",
    "[type=range]": "ArrowRight",
    "[type=text]": "1",
    "[tabindex='0']": "ArrowDown",
    "button:not([aria-label^=Upload])": "Enter",
}
MARKED = """(element) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
}"""
# What has had the focus so that one saw it, and what has moved.
WATCH = """(place) => {
    Object.assign(window, { seen: new Set(), moved: [] });
    place.addEventListener("focusin", ({ target }) => {
        if ((MARKED)(target)) seen.add(target);
    });
    for (const kind of ["transitionrun", "animationstart"]) {
        place.addEventListener(kind, ({ target }) => moved.push(target.outerHTML));
    }
    place.tabIndex = -1;
    place.focus();
}""".replace("MARKED", MARKED)
# What no key reaches visibly, or what is hard to hit; a label is part of what it names.
HARD = """(place) => {
    const controls = "button, input, select, summary, [tabindex='0']";
    return [...place.querySelectorAll(controls)].filter((control) => {
        const named = control.closest("label") ?? control;
        const { width, height } = named.getBoundingClientRect();
        const easy = seen.has(control) && width >= 24 && height >= 24;
        return control.checkVisibility() && !easy;
    }).map((control) => control.outerHTML);
}"""
# What lies over something else, or is wider than the page.
SPILLED = """const boxes = [...document.querySelectorAll(".lab svg, .lab canvas")]
  .filter((element) => !element.parentElement.closest("svg"))
  .map((element) => element.getBoundingClientRect());
const over = boxes.flatMap((a, k) => boxes.slice(k + 1).filter((b) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1).map((b) => [a, b]));
const wide = document.documentElement.scrollWidth > innerWidth;
return wide ? [...over, "too wide"] : over;"""
FRAMES = """(count) => new Promise((done) => {
    const next = () => (count-- ? requestAnimationFrame(next) : done());
    next();
})"""
# Axe looks at the colours of one text after another, most of its time: one text of each
# kind is enough. A kind is all elements around a text, with what styles may depend on;
# of a table, odd rows and even ones are two.
AXE = """async (part) => {
    const options = { preload: false, resultTypes: ["violations"] };
    const colours = { "color-contrast": { enabled: false } };
    const { violations } = await axe.run(part, { ...options, rules: colours });
    const roots = (part.include?.flat() ?? [typeof part === "string" ? part : "body"])
        .flatMap((selector) => [...document.querySelectorAll(selector)]);
    const left = (part.exclude ?? []).flat().join() || "nothing";
    const kinds = new Map(), texts = new Map();
    for (const element of document.querySelectorAll("body, body *")) {
        const { localName, parentElement } = element;
        const styled = /^(class|style|disabled|data-|aria-(?!label|describedby))/;
        const told = [...element.attributes].filter(({ name }) => styled.test(name));
        const row = localName === "tr"
            && [...parentElement.children].indexOf(element) % 2;
        const own = told.map(({ name, value }) => `${name}=${value}`);
        const kind = [kinds.get(parentElement), localName, row, ...own].join(" ");
        kinds.set(element, kind);
        const text = [...element.childNodes].some((node) =>
            node.nodeType === Node.TEXT_NODE && node.data.trim())
            || ["input", "select"].includes(localName);
        if (text && !texts.has(kind) && element.checkVisibility()
            && !element.closest(left) && roots.some((root) => root.contains(element))) {
            texts.set(kind, element);
        }
    }
    const runOnly = ["color-contrast"], include = [...texts.values()];
    const seen = await axe.run({ include }, { ...options, runOnly });
    return [...violations, ...seen.violations];
}"""


def styles(folder=LABS):
    """Link to the labs' styles as the book has them: what they share comes first."""
    sheets = sorted(folder.glob("*.css"), key=lambda path: path.name != "lab.css")
    return "".join(f'<link rel="stylesheet" href="{path.as_uri()}">' for path in sheets)


def number(text):
    """Return the last number in a text that a reader sees; None where there is none."""
    found = re.findall(r"[-−]?\d[\d,.]*", text)
    return float(found[-1].replace("−", "-").replace(",", "")) if found else None


def press(page, name):
    """Press a button by its name, with a key."""
    page.get_by_role("button", name=name).press("Enter")


def slide(page, name, *keys):
    """Move a slider with keys."""
    for key in keys:
        page.get_by_role("slider", name=name, exact=True).press(key)


def violations(page, part="html"):
    """Ask axe what would keep people out; its preloading looks in wrong places.

    (The package's own way to ask reads the script in the system's encoding.)
    """
    if not page.evaluate("window.axe !== undefined"):
        script = resources.files("axe_playwright_python") / "axe.min.js"
        page.evaluate(script.read_text("utf-8"))
    return [
        (rule["id"], [node["html"] for node in rule["nodes"]])
        for rule in page.evaluate(AXE, part)
    ]


@pytest.mark.parametrize("name", PLACES)
def test_every_lab_is_open_to_everyone(page, book, name):
    """By keys, without motion, from the disk; wide and narrow, light and dark."""
    complaints = []

    def on_request(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(request.url)

    page.on("request", on_request)
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.emulate_media(reduced_motion="reduce")
    page.goto((book / f"{PLACES[name]}.html").as_uri())
    place = page.locator(f"[data-lab={name}]")
    place.scroll_into_view_if_needed()
    place.locator(".lab").wait_for()

    place.evaluate(WATCH)
    for _ in range(300):
        page.keyboard.press("Tab")
        if not place.evaluate("(place) => place.contains(document.activeElement)"):
            break
    else:
        pytest.fail("the Tab key does not lead out of it")
    assert place.evaluate(HARD) == []
    for control, key in KEYS.items():
        for element in place.locator(control).all():
            if element.is_visible():
                element.press(key)
    page.evaluate(FRAMES, 2)  # what moves is told after a frame
    assert page.evaluate("moved") == []

    for theme, width in ("light", 1280), ("dark", 390):
        page.evaluate("(name) => document.documentElement.dataset.theme = name", theme)
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(FRAMES, 2)  # tables see that they are too wide
        assert page.evaluate(f"() => {{ {SPILLED} }}") == []
        assert violations(page, f"[data-lab={name}]") == []
    assert complaints == []


@pytest.fixture
def invent(lab, tmp_path):
    """Make up a lab that does this, and open a page with it."""
    for name in "lab.js", "lab.css", "share.js":
        shutil.copy(LABS / name, tmp_path)

    def invent(does, **options):
        script = f'lab.define("invented", (root) => {{ {does} }});'
        (tmp_path / "invented.js").write_text(script, "utf-8")
        return lab("invented", folder=tmp_path, **options)

    return invent


def test_a_text_that_is_hard_to_read_is_found(invent):
    pale = '<p style="color: #ccc">pale</p><input value="pale" style="color: #ccc">'
    page = invent(f"root.innerHTML = '<p>dark</p>' + `{pale}` + '<p>dark</p>';")
    found = dict(violations(page, "[data-lab]"))
    assert [html.split()[0] for html in found["color-contrast"]] == ["<p", "<input"]


def test_a_lab_is_loaded_only_when_it_comes_near(invent):
    page = invent('window.loaded = true; root.append("here");', above=5_000, wait=False)
    page.evaluate(FRAMES, 10)
    assert page.evaluate("window.loaded") is None
    assert page.inner_text("[data-lab]") == "A figure."
    page.evaluate("window.scrollTo(0, 4600)")
    page.wait_for_selector("[data-lab] > .lab")
    assert page.inner_text("[data-lab]").startswith("here")


@pytest.mark.parametrize("missing", [True, False])
def test_what_a_lab_stands_for_stays_when_it_fails(lab, invent, missing):
    if missing:
        page = lab("nothing", wait=False)
    else:
        page = invent('throw new Error("no luck");', wait=False)
    page.wait_for_selector(".lab-status")
    assert page.inner_text("[data-lab]").startswith("A figure.")
    assert "could not start" in page.inner_text(".lab-status")


def test_a_lab_that_opens_above_does_not_push_the_text_down(invent):
    """As in Safari, which does not hold the text in its place by itself."""
    page = invent('root.style.height = "900px";', above=5_000, below=5_000, wait=False)
    page.evaluate("CSS.supports = () => false")
    page.add_style_tag(content="html { overflow-anchor: none; }")
    text = "document.querySelector('[data-lab] + div').getBoundingClientRect().top"
    page.evaluate(f"scrollBy(0, {text} + 100)")  # the lab is above, and near
    page.wait_for_selector("[data-lab] > .lab", state="attached")
    assert abs(page.evaluate(text) + 100) < 1


@pytest.mark.parametrize(
    ("name", "part"), [("scores", "input"), ("activations", ".lab-activations-plot")]
)
def test_a_finger_that_scrolls_the_page_changes_no_value(phone, lab, name, part):
    page = lab(name, above=500, below=5_000, page=phone())
    box = page.locator(part).first.bounding_box()
    before = page.locator("output").all_inner_texts()
    assert before
    x, y = box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    for up in range(0, 300, 20):
        kind = "touchMove" if up else "touchStart"
        touch = {"type": kind, "touchPoints": [{"x": x, "y": y - up}]}
        finger.send("Input.dispatchTouchEvent", touch)
        page.evaluate(FRAMES, 1)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.evaluate("scrollY") > 100
    assert page.locator("output").all_inner_texts() == before


def test_nonsense_in_a_field_is_said_and_not_used(invent):
    page = invent(
        """window.got = [];
        root.append(lab.field("stride", { min: 1, max: 5, whole: true, value: 2 },
            (number) => window.got.push(number)));"""
    )
    for text in ("NaN", "", "1e999", "2.5", "9", "-3", "abc"):
        page.get_by_label("stride").fill(text)
        hint = page.locator(".lab-hint")
        hint.filter(has_text="Enter a whole number from 1 to 5.").wait_for()
        assert page.get_by_label("stride").get_attribute("aria-invalid") == "true"
    assert page.evaluate("window.got") == []
    for text, got in ("3", [3]), ("2,0", [3, 2]):
        page.get_by_label("stride").fill(text)
        page.wait_for_function("!document.querySelector('.lab-hint').textContent")
        assert page.evaluate("window.got") == got


def test_what_is_still_being_typed_is_not_called_nonsense(invent):
    """A minus sign alone is none; screen readers would interrupt whoever types."""
    page = invent(
        """window.said = [];
        root.append(lab.field("x", { min: -9, max: 9, value: 2 }, () => {}));
        new MutationObserver(() => said.push(root.querySelector("[role=alert]")
            .textContent)).observe(root, { subtree: true, childList: true });"""
    )
    page.clock.install()
    for value in "", "-", "-1", "-1.", "-1.5":
        page.get_by_label("x").fill(value)
        page.clock.run_for(200)
    page.clock.run_for(700)
    assert not any(page.evaluate("said"))
    page.get_by_label("x").fill("-")
    page.clock.run_for(700)
    assert any(page.evaluate("said"))


def test_motion_runs_only_on_screen(invent):
    page = invent(
        """window.drawn = 0;
        root.append("here");
        lab.animation(root, () => window.drawn++).start();"""
    )
    page.wait_for_function("window.drawn > 5")
    page.evaluate("document.body.style.paddingTop = '9000px'")
    page.evaluate(FRAMES, 10)
    drawn = page.evaluate("window.drawn")
    page.evaluate(FRAMES, 10)
    assert page.evaluate("window.drawn") == drawn


NO_WORKERS = {
    "none": "delete window.Worker",
    "refused": """window.Worker = class {
      constructor() { setTimeout(() => this.onerror?.(new Event("error")), 50); }
      postMessage() {}
    }""",
    "forbidden": "window.Worker = class { constructor() { throw new Error(); } }",
}


@pytest.mark.parametrize("kind", NO_WORKERS)
def test_without_workers_the_page_computes_itself(lab, page, kind):
    page.add_init_script(NO_WORKERS[kind])
    press(lab("softmax"), "One step")
    page.locator(".lab-status", has_text="After 1 step").wait_for()
    press(page, "Run")
    page.wait_for_function(
        "parseFloat(document.querySelector('dd').textContent) >= 0.2"
    )


def test_an_error_in_a_worker_is_the_askers(lab):
    asked = lab("nothing", wait=False).evaluate(
        """async () => {
          lab.define("divisor", [], () => ({ value: 2 }));
          const half = await lab.offload((divisor) => function* ({ n }) {
            if (n % divisor.value) throw new Error("is odd");
            yield;
            return n / divisor.value;
          }, "divisor");
          const told = (n) => half({ n }).catch(({ message }) => message);
          return Promise.all([6, 7, 8].map(told));
        }"""
    )
    assert asked == [3, "is odd", 4]


@pytest.mark.parametrize("name", ["draw", "lenet", "why"])
def test_the_weights_are_asked_for_before_the_models_are_here(lab, page, name):
    """They are the largest file: on a slow network, that is what one waits for."""
    page.route("**/models.js*", lambda route: route.abort())  # it cannot ask
    with page.expect_request("**/weights.js*"):
        lab(name, wait=False)


@pytest.mark.parametrize("name", ["draw.js", "share.js", "pixels.js"])
@pytest.mark.parametrize("body", [None, "// of another host"])
def test_what_a_page_brings_may_not_come(page, book, name, body):
    """A figure in the first section, whose scripts the page itself asks for."""
    page.route(
        f"**/{name}*", lambda route: route.fulfill(body=body) if body else route.abort()
    )
    page.goto((book / "book" / "index.html").as_uri())
    page.get_by_text(f"could not start ({name} could not be loaded)").wait_for()
    assert page.locator("[data-lab]").bounding_box()["height"] < 200  # no hole
