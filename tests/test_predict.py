"""What readers predict within a chapter: what happens to it in the built book.

Where they stand, and that one answer is right, is tested in test_questions.py.
"""

import json

import pytest
import test_check
from test_check import REFUSE, plain
from test_labs import violations
from test_questions import SOURCES

from tools import questions

NAME, OTHER = "02_softmax_regression", "01_digits"
FOUND = {path.stem: questions.read(path)[1] for path in SOURCES}
STORE = "recognize-digits-guesses"
KEPT = f"localStorage.getItem('{STORE}')"
FOCUSED = "(element) => element === document.activeElement"


def place(page, number):
    return page.locator(".predict").nth(number)


def commit(page, number, option, act="click"):
    radio = place(page, number).get_by_role("radio").nth(option)
    getattr(radio, act)()
    getattr(place(page, number).get_by_role("button", name="Commit"), act)()


def verdict(page, number):
    return plain(place(page, number).get_by_role("status").inner_text())


def come_again(page, text=None):
    test_check.come_again(page, text, STORE)


def words(name, number, option):
    """Say what stands beside a guess."""
    p = FOUND[name][number]
    guess = "abcd"[option]
    end = ", and so it is" if guess == p.answer else f"; it is {p.answer}"
    mark = "✓" if guess == p.answer else "✗"
    return f"{mark} You said {guess}{end}: {p.why}".replace("`", "")


def kept(page):
    return json.loads(page.evaluate(KEPT) or "null")


def test_a_guess_stays_beside_what_happens_until_it_is_forgotten(visit):
    page = visit()
    right = "abcd".index(FOUND[NAME][1].answer)
    for number, option in (0, 0), (1, right):
        assert verdict(page, number) == ""
        commit(page, number, option)
    come_again(page)
    for number, option in (0, 0), (1, right):
        assert verdict(page, number) == words(NAME, number, option)
        radios = place(page, number).get_by_role("radio")
        for i in range(radios.count()):
            assert radios.nth(i).is_disabled()
            assert radios.nth(i).is_checked() == (i == option)
        assert place(page, number).get_by_role("button").count() == 0
    cells = [p.before for p in FOUND[NAME]]
    assert kept(page) == {f"{NAME}/{cells[0]}": 0, f"{NAME}/{cells[1]}": right}
    assert page.evaluate("localStorage.getItem('recognize-digits-checks')") is None
    page.locator("summary", has_text="Your progress").click()
    page.get_by_role("button", name="Forget my scores").click()
    page.get_by_role("button", name="Forget them").click()
    for _ in range(2):
        assert kept(page) == {} and verdict(page, 0) == ""
        assert place(page, 0).get_by_role("radio", checked=True).count() == 0
        assert place(page, 0).get_by_role("button", name="Commit").is_enabled()
        come_again(page)
    commit(page, 0, 2)
    assert verdict(page, 0) == words(NAME, 0, 2)


def test_a_number_by_keys_and_what_is_none(visit):
    page, [p, _] = visit(OTHER), FOUND[OTHER]
    field = place(page, 0).get_by_role("textbox", name="Your guess, in %")
    field.focus()
    page.keyboard.press("Enter")
    assert verdict(page, 0) == "Give an answer first."
    page.keyboard.type("many")
    page.keyboard.press("Enter")
    hint = "Enter a number from 0 to 999."
    assert verdict(page, 0) == hint and kept(page) is None
    place(page, 0).get_by_role("alert").filter(has_text=hint).wait_for()
    field.fill("")
    page.keyboard.type("60,5")
    page.keyboard.press("Enter")
    said = f"You said 60.5 %; it is {p.answer}: {p.why}"
    assert verdict(page, 0) == said
    # Keys go on from what was said.
    assert place(page, 0).get_by_role("status").evaluate(FOCUSED)
    page.keyboard.press("Tab")
    assert page.evaluate(
        """!!(document.querySelector(".predict").compareDocumentPosition(
            document.activeElement) & Node.DOCUMENT_POSITION_FOLLOWING)"""
    )
    come_again(page)
    assert verdict(page, 0) == said and field.input_value() == "60.5"


def test_options_by_keys(visit):
    page = visit()
    place(page, 0).get_by_role("radio").first.focus()
    for key in "Space", "ArrowDown", "Tab", "Enter":
        assert verdict(page, 0) == ""
        page.keyboard.press(key)
    assert verdict(page, 0) == words(NAME, 0, 1)
    assert place(page, 0).get_by_role("status").evaluate(FOCUSED)


HEIGHTS = "(all) => all.map((one) => one.getBoundingClientRect().height)"
ASKING = [".predict"], ["#check-yourself"], [".bd-sidebar-primary"]


def check_places(name, page, plain):
    """A form is as high as the text that it replaces: nothing moves when it comes."""
    for width in 1280, 390:
        forms, texts = [], []
        for one, heights in (page, forms), (plain, texts):
            one.set_viewport_size({"width": width, "height": 844})
            heights += one.locator(".predict").evaluate_all(HEIGHTS)
        assert len(forms) == len(texts) == len(FOUND[name])
        for form, text in zip(forms, texts, strict=True):
            assert abs(form - text) < 8, (width, forms, texts)


def predict_all(name, page, act):
    for number, p in enumerate(FOUND[name]):
        asked = plain(place(page, number).locator("legend").inner_text())
        assert asked == f"Predict. {p.question}".replace("`", "")
        if p.options:
            commit(page, number, number, act)
            assert verdict(page, number) == words(name, number, number)
        else:
            place(page, number).get_by_role("textbox").fill("7")
            place(page, number).get_by_role("button").press("Enter")


def check_all(name, page, act, right):
    """Each question of the check is there, and a wrong answer's link leads."""
    for number, q in enumerate(test_check.FOUND[name]):
        test_check.answer(page, number, right, name, act)
        assert test_check.verdict(page, number).startswith("✓" if right else "✗")
        link = test_check.form(page, number).get_by_role("link")
        assert link.count() == (not right)
        if not right:
            target = link.get_attribute("href").rpartition("#")[2]
            for found in link, page.locator(f"[id='{target}']"):
                assert plain(found.inner_text()).startswith(q.section)


@pytest.mark.parametrize("name", FOUND)
def test_every_question_is_open_to_everyone(visit, phone, browser, book, name):
    """By turns wide, light and by mouse, or narrow, dark and by touch.

    (What axe says before there is an answer is in test_pages.py.)
    """
    page, act, wide = visit(name), "click", int(name[:2]) % 2
    with browser.new_context(java_script_enabled=False) as context:
        text = context.new_page()
        text.goto((book / f"notebooks/{name}.html").as_uri())
        check_places(name, page, text)
    page.set_viewport_size({"width": 1280, "height": 800})
    if not wide:
        page, act = visit(name, page=phone()), "tap"
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
    predict_all(name, page, act)
    check_all(name, page, act, right=not wide)
    page.get_by_role("button", name="Try again").press("Enter")
    check_all(name, page, act, right=wide)
    page.locator("summary", has_text="Your progress").click()
    page.get_by_role("button", name="Forget my scores").click()
    assert violations(page, {"include": ASKING}) == []
    assert test_check.kept(page) == {name: 6}
    for width in 1280, 390:
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 390])
def test_the_place_of_a_remembered_result_is_kept(visit, page, book, width):
    """By the text, which shows its own until the form comes."""
    guesses = {f"{name}/{p.before}": 0 for name in FOUND for p in FOUND[name]}
    keep = json.dumps([STORE, json.dumps(guesses)])
    page.add_init_script(f"localStorage.setItem(...{keep})")
    page.set_viewport_size({"width": width, "height": 800})
    for name in OTHER, NAME:
        forms = visit(name).locator(".predict").evaluate_all(HEIGHTS)
        assert len(forms) == len(FOUND[name])
        assert page.locator(".predict .check-verdict:not(:empty)").count() == len(forms)
        page.route("**/check.js*", lambda route: route.abort())
        page.goto((book / f"notebooks/{name}.html").as_uri())
        texts = page.locator(".predict").evaluate_all(HEIGHTS)
        page.unroute("**/check.js*")
        for form, text in zip(forms, texts, strict=True):
            assert abs(form - text) < 27, (name, forms, texts)  # a line


def test_on_paper_stands_the_text_with_the_results(visit):
    page = visit()
    commit(page, 0, 0)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # as printing does
    # (A figure, which may have come by now, is printed with its settings.)
    asking = page.locator(":is(form, input):not([data-lab] *):visible")
    assert asking.evaluate_all("(all) => all.map((x) => x.outerHTML)") == []
    for number, p in enumerate(FOUND[NAME]):
        text = plain(place(page, number).inner_text())
        assert all(part in text for part in (p.question, *p.options))
        assert f"{p.answer}. {p.why}" in text
    page.emulate_media(media="screen")
    assert verdict(page, 0) == words(NAME, 0, 0)


CORRUPT = ["{", "7", '{"x": 1}', f'{{"{NAME}/538ecc03": 7}}',
           f'{{"{NAME}/538ecc03": "b"}}', f'{{"{NAME}/538ecc03": null}}',
           f'{{"{NAME}/538ecc03": -1}}', f'{{"{NAME}/538ecc03": 0.5}}']  # fmt: skip


@pytest.mark.parametrize("text", CORRUPT)
def test_what_is_no_guess_is_ignored(visit, page, text):
    come_again(visit(), text)
    assert verdict(page, 0) == ""
    commit(page, 0, 1)
    come_again(page)
    assert verdict(page, 0) == words(NAME, 0, 1)
    assert kept(page) == {f"{NAME}/538ecc03": 1}


def test_a_browser_that_refuses_to_store_still_says_what_happens(visit, page):
    refuse = REFUSE.replace("STORE", json.dumps(STORE))
    page.add_init_script(f"({refuse})(['getItem', 'setItem'])")
    visit()
    for number in 0, 1:
        commit(page, number, 0)
        assert verdict(page, number) == words(NAME, number, 0)


def test_without_scripts_the_text_is_there_and_the_result_in_a_fold(book, browser):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((book / f"notebooks/{NAME}.html").as_uri())
        for number, p in enumerate(FOUND[NAME]):
            text = plain(place(page, number).inner_text())
            assert f"Predict. {p.question}" in text and p.why not in text
            assert all(option in text for option in p.options)
            place(page, number).locator("summary").click()
            text = plain(place(page, number).inner_text())
            assert f"{p.answer}. {p.why}" in text


def test_predictions_need_no_questions(visit, page, book):
    """They are made of what stands in the page."""
    page.route("**/questions/*.js*", lambda route: route.abort())
    page.goto((book / f"notebooks/{NAME}.html").as_uri())
    page.wait_for_selector(".predict form")
    commit(page, 0, 0)
    assert verdict(page, 0) == words(NAME, 0, 0)
    page.get_by_text("Your progress").wait_for()  # nor does that
