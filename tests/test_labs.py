"""The labs: figures that compute, driven in a real browser.

What they compute is compared with PyTorch and with the package; how they behave, with
what a reader does: mouse, keys, a narrow screen, no JavaScript, nonsense in a field.
"""

import shutil
from pathlib import Path

import pytest

LABS = Path(__file__).parents[1] / "book" / "_static" / "labs"


@pytest.fixture
def scratch(tmp_path):
    """Make a folder with lab.js, for labs that are made up."""
    for name in ("lab.js", "lab.css"):
        (tmp_path / name).write_text((LABS / name).read_text("utf-8"), "utf-8")
    return tmp_path


def test_a_lab_takes_the_place_of_its_fallback(lab, scratch):
    (scratch / "hello.js").write_text(
        'lab.define("hello", (root) => root.append(lab.make("p", {}, "here")));',
        "utf-8",
    )
    page = lab("hello", folder=scratch)
    assert page.inner_text("[data-lab]") == "here"


def test_a_lab_is_loaded_only_when_it_comes_near(lab, scratch):
    (scratch / "far.js").write_text(
        'window.loaded = true; lab.define("far", (root) => root.append("here"));',
        "utf-8",
    )
    page = lab("far", above=5_000, folder=scratch, wait=False)
    page.wait_for_timeout(300)
    assert page.evaluate("window.loaded") is None
    assert page.inner_text("[data-lab]") == "A figure."
    page.evaluate("window.scrollTo(0, 4600)")
    page.wait_for_selector("[data-lab] > .lab")


@pytest.mark.parametrize(
    "script", [None, 'lab.define("broken", () => { throw new Error("no luck"); });']
)
def test_what_a_lab_stands_for_stays_when_it_fails(lab, scratch, script):
    if script:
        (scratch / "broken.js").write_text(script, "utf-8")
    page = lab("broken", folder=scratch, wait=False)
    page.wait_for_selector(".lab-status")
    assert page.inner_text("[data-lab]").startswith("A figure.")
    assert "could not start" in page.inner_text(".lab-status")


def test_a_lab_that_opens_above_does_not_push_the_text_down(lab, scratch):
    """As in Safari, which does not hold the text in its place by itself."""
    (scratch / "tall.js").write_text(
        """lab.define("tall", (root) => { root.style.height = "900px"; });""", "utf-8"
    )
    page = lab("tall", above=5_000, below=5_000, folder=scratch, wait=False)
    page.evaluate("CSS.supports = () => false")
    page.add_style_tag(content="html { overflow-anchor: none; }")
    text = "document.querySelector('[data-lab] + div').getBoundingClientRect().top"
    page.evaluate(f"scrollBy(0, {text} + 100)")  # the lab is above, and near
    page.wait_for_selector("[data-lab] > .lab", state="attached")
    assert abs(page.evaluate(text) + 100) < 1


@pytest.mark.parametrize("name", ["slider", "activations"])
def test_a_finger_that_scrolls_the_page_changes_no_value(browser, lab, scratch, name):
    shutil.copy(LABS / "activations.js", scratch)
    (scratch / "slider.js").write_text(
        """lab.define("slider", (root) => root.append(lab.slider("score",
            { min: -10, max: 10, step: 0.1, value: -2 }, () => {})));""",
        "utf-8",
    )
    with browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    ) as context:
        page = context.new_page()
        lab(name, above=500, below=5_000, folder=scratch, page=page)
        part = {"slider": "input", "activations": ".lab-activations-plot"}[name]
        box = page.locator(part).first.bounding_box()
        before = page.locator("output").first.inner_text()
        x, y = box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2
        finger = context.new_cdp_session(page)
        for up in range(0, 300, 20):
            kind = "touchMove" if up else "touchStart"
            touch = {"type": kind, "touchPoints": [{"x": x, "y": y - up}]}
            finger.send("Input.dispatchTouchEvent", touch)
            page.wait_for_timeout(16)
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert page.evaluate("scrollY") > 100
        assert page.locator("output").first.inner_text() == before


def test_nonsense_in_a_field_is_said_and_not_used(lab, scratch):
    (scratch / "field.js").write_text(
        """window.got = [];
        lab.define("field", (root) => root.append(lab.field("stride",
            { min: 1, max: 5, whole: true, value: 2 }, (n) => window.got.push(n))));""",
        "utf-8",
    )
    page = lab("field", folder=scratch)
    for text in ("NaN", "", "1e999", "2.5", "9", "-3", "abc"):
        page.get_by_label("stride").fill(text)
        assert "Enter a whole number from 1 to 5." in page.inner_text(".lab-hint")
    assert page.evaluate("window.got") == []
    page.get_by_label("stride").fill("3")
    assert page.inner_text(".lab-hint") == "" and page.evaluate("window.got") == [3]


def test_motion_runs_only_on_screen(lab, scratch):
    (scratch / "motion.js").write_text(
        """window.frames_drawn = 0;
        lab.define("motion", (root) => {
          root.append("here");
          lab.animation(root, () => window.frames_drawn++).start();
        });""",
        "utf-8",
    )
    page = lab("motion", folder=scratch)
    page.wait_for_function("window.frames_drawn > 5")
    page.evaluate("document.body.style.paddingTop = '9000px'")
    page.wait_for_timeout(200)
    drawn = page.evaluate("window.frames_drawn")
    page.wait_for_timeout(200)
    assert page.evaluate("window.frames_drawn") == drawn


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
    lab("softmax")
    page.click("button:text-is('One step')")
    page.locator(".lab-status", has_text="After 1 step").wait_for()
    page.click("button:text-is('Run')")
    page.wait_for_function(
        "parseFloat(document.querySelector('dd').textContent) >= 0.2"
    )


def test_an_error_in_a_worker_is_the_askers(lab, page):
    lab("nothing", wait=False)
    asked = page.evaluate(
        """async () => {
          const half = lab.offload(function* ({ n }, two) {
            if (n % two.value) throw new Error("is odd");
            yield;
            return n / two.value;
          }, lab.recipe((value) => ({ value }), 2));
          const told = (n) => half({ n }).catch(({ message }) => message);
          return Promise.all([6, 7, 8].map(told));
        }"""
    )
    assert asked == [3, "is odd", 4]
