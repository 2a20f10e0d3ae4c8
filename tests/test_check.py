"""The check at a chapter's end, as readers use it in the built book.

What is asked, and that the answers are right, is tested in test_questions.py.
"""

import json
import re

import pytest
from test_questions import SOURCES

from tools import questions

NAME = "02_softmax_regression"
FOUND = {path.stem: questions.read(path)[0] for path in SOURCES}
STORE = "recognize-digits-checks"
ANSWERS = "recognize-digits-answers"
KEPT = f"localStorage.getItem('{STORE}')"


def plain(text):
    """Undo what the book makes of an apostrophe, and of some spaces."""
    return text.replace("’", "'").replace("\N{NO-BREAK SPACE}", " ")


def form(page, number):
    return page.locator(".check form").nth(number)


def known_answer(page, number, name=NAME, right=True):
    """Look up what is right: an option's place, or what is to be typed.

    A number is nearly as far off as it may be; if it is to be wrong, a little more.
    """
    q = FOUND[name][number]
    if not q.variants:
        labels = form(page, number).locator("label").all_inner_texts()
        right = q.options[q.right][0].replace("`", "")
        return [plain(text[3:]).strip() for text in labels].index(right)
    asked = plain(form(page, number).locator("legend").inner_text())
    [variant] = [v for v in q.variants if asked.endswith(v.question)]
    off = 0.9 * q.tolerance if right else 3 * q.tolerance or 1
    return f"{variant.answer + off:.4f}"


def answer(page, number, right=True, name=NAME, act="click"):
    """Answer a question by mouse or by touch."""
    given, part = known_answer(page, number, name, right), form(page, number)
    if isinstance(given, str):
        part.get_by_role("textbox").fill(given)
    else:
        option = part.get_by_role("radio").nth(given if right else (given + 1) % 3)
        getattr(option, act)()
    getattr(part.get_by_role("button", name="Check"), act)()


def verdict(page, number):
    return plain(form(page, number).get_by_role("status").inner_text())


def come_again(page, text=None, key=STORE):
    """Reload a page with what is stored, or with a text that is stored before.

    A browser under load may lose what was stored just before: then once more.
    """
    if text is None:
        text = page.evaluate("(key) => localStorage.getItem(key)", key)
    assert text is not None, "nothing is stored"
    for _ in range(5):
        page.evaluate("(given) => localStorage.setItem(...given)", [key, text])
        page.reload()
        page.wait_for_selector(".check-progress")
        if page.evaluate("(key) => localStorage.getItem(key)", key) == text:
            return
    pytest.fail("what is stored does not stay")


def marks(page):
    """Read the scores in the contents as they are read out, by chapter."""
    links = page.locator(".bd-links a:has(.check-mark)")
    return {
        re.search(r"(\d\d_\w+)", link.evaluate("(a) => a.href"))[1]: int(
            re.search(r"\((\d) of 6 right\)", link.text_content())[1]
        )
        for link in links.all()
    }


def kept(page):
    return json.loads(page.evaluate(KEPT) or "null")


def test_all_is_answered_by_keys_and_the_score_stands_in_the_contents(visit):
    page = visit()
    page.get_by_role("heading", name="Check yourself").scroll_into_view_if_needed()
    form(page, 0).get_by_role("radio").first.focus()
    for number, q in enumerate(FOUND[NAME]):
        given = known_answer(page, number)
        if q.variants:
            page.keyboard.type(given)
            page.keyboard.press("Enter")
            page.keyboard.press("Tab")
        else:
            page.keyboard.press("Space")
            for _ in range(given):
                page.keyboard.press("ArrowDown")
            # Going through the options answers nothing yet.
            assert verdict(page, number) == ""
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            page.keyboard.press("Tab")
        assert verdict(page, number).startswith("✓ Right. ")
        why = q.options[given][1] if q.options else "The exponentials are "
        assert why.replace("`", "") in verdict(page, number)
    score = page.get_by_role("status").filter(has_text="right on the first try")
    assert score.inner_text() == "6 of 6 right on the first try."
    assert marks(page) == {NAME: 6}
    come_again(page)
    assert marks(visit("05_convolution")) == {NAME: 6} == kept(page)


def test_a_wrong_answer_by_touch_says_why_and_leads_back(visit, phone):
    page = visit(page=phone())
    answer(page, 0, right=False, act="tap")
    q, said = FOUND[NAME][0], verdict(page, 0)
    assert said.startswith("✗ Not right. ") and said.endswith(f"again: {q.section}.")
    assert q.options[(q.right + 1) % 3][1] in said
    # Trying on is fine, but the first answer counts. What was said is not of the next.
    form(page, 0).get_by_role("radio").nth(known_answer(page, 0)).tap()
    assert verdict(page, 0) == ""
    answer(page, 0, act="tap")
    assert verdict(page, 0).startswith("✓ Right. ")
    for number in range(1, 6):
        assert page.get_by_text("right on the first try").count() == 0
        answer(page, number, right=number not in (3, 5), act="tap")
    assert verdict(page, 3).endswith(" Read again: Why this cost?")  # and no full stop
    assert "Read again" in verdict(page, 5) and kept(page) == {NAME: 3}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    form(page, 5).get_by_role("link", name=q.section).tap()
    assert 0 <= page.get_by_role("heading", name=q.section).bounding_box()["y"] < 300


def test_a_next_try_has_other_numbers_and_the_better_score_stays(visit):
    page, asked, orders = visit(), set(), set()
    for right in 6, 3, 5:
        asked.add(form(page, 5).locator("legend").inner_text())
        orders.add(known_answer(page, 0))
        for number in range(6):
            answer(page, number, right=number < right)
            if number < 5:
                assert page.get_by_text(f"{5 - number} more to answer.").is_visible()
        assert page.get_by_text(f"{right} of 6 right on the first try").is_visible()
        page.get_by_role("button", name="Try again").press("Enter")
        radio = form(page, 0).get_by_role("radio").first
        assert radio.evaluate("(it) => it === document.activeElement && !it.checked")
        assert verdict(page, 0) == ""
    assert len(asked) == len(orders) == 3 and kept(page) == {NAME: 6}
    come_again(page)
    page.get_by_text("Your best: 6 of 6.").wait_for()


def test_a_check_left_half_done_goes_on_where_it_was(visit):
    """With the same numbers, and the first answers, of which one may be wrong."""
    page = visit()
    for number, right in (0, False), (0, True), (5, True), (2, True):
        answer(page, number, right=right)
    legend = form(page, 5).locator("legend").inner_text()
    come_again(page, key=ANSWERS)
    assert form(page, 5).locator("legend").inner_text() == legend
    page.get_by_text("3 more to answer.").wait_for()
    assert verdict(page, 0).startswith("✗ Not right. ") and kept(page) is None
    assert all(verdict(page, n).startswith("✓ Right. ") for n in (2, 5))
    wrong = (known_answer(page, 0) + 1) % 3
    assert form(page, 0).get_by_role("radio").nth(wrong).is_checked()
    assert [verdict(page, n) for n in (1, 3, 4)] == [""] * 3
    for number in 1, 3, 4:
        answer(page, number)
    page.get_by_text("5 of 6 right on the first try").wait_for()
    assert kept(page) == {NAME: 5}
    come_again(page, key=ANSWERS)  # what is finished is asked anew
    page.get_by_text("Your best: 5 of 6.").wait_for()
    assert [verdict(page, number) for number in range(6)] == [""] * 6


@pytest.mark.parametrize("turn, some", [('"x"', 0), ("1.5", 0), ("-7", 0), ("999", 1)])
def test_what_is_no_answer_is_asked(visit, turn, some):
    """Nor is an option whose place in the list nobody can tell any more."""
    parts = [*enumerate([7, -1, 0.5, '"x"', 0, -999]), ("turn", turn), ("start", 0)]
    text = ", ".join(f'"{NAME}/{part}": {kept}' for part, kept in parts)
    come_again(page := visit(), f"{{{text}}}", ANSWERS)
    page.wait_for_timeout(600)  # what a field refuses, it says after half a second
    assert form(page, 5).get_by_role("textbox").input_value() == ""
    assert form(page, 5).get_by_role("alert").inner_text() == ""
    given = [bool(verdict(page, number)) for number in range(6)]
    assert given == [False] * 4 + [bool(some), False]
    for number in range(6):
        answer(page, number)
    page.get_by_text("right on the first try").wait_for()


def test_of_two_tabs_the_answers_of_one_are_kept(visit, browser):
    """Never a mixture, since each may have asked with other numbers."""
    with browser.new_context() as context:
        page, other = (visit(page=context.new_page()) for _ in range(2))
        answer(page, 0)
        answer(other, 2, right=False)
        said = verdict(other, 2)
        stored = "(key) => localStorage.getItem(key).includes('/2')"
        page.wait_for_function(stored, arg=ANSWERS)  # between two processes
        come_again(page, key=ANSWERS)
        assert [verdict(page, n) for n in range(6)] == ["", "", said, "", "", ""]


@pytest.mark.parametrize(
    "name, typed, asked", [(NAME, "a tenth", "a "), ("07_lenet", "1,5", "a whole ")]
)
def test_no_answer_and_nonsense_are_said_and_do_not_count(visit, name, typed, asked):
    page, hint = visit(name), f"Enter {asked}number from 0 to 999."
    for number in 0, 5:
        form(page, number).get_by_role("button", name="Check").click()
        assert verdict(page, number) == "Give an answer first."
    field = form(page, 5).get_by_role("textbox")
    for text in "1", typed:
        field.fill(text)
    form(page, 5).get_by_role("button", name="Check").click()
    assert verdict(page, 5) == hint
    form(page, 5).get_by_role("alert").filter(has_text=hint).wait_for()
    # As on paper in other countries.
    field.fill(known_answer(page, 5, name).replace(".", ","))
    field.press("Enter")
    assert verdict(page, 5).startswith("✓ Right. ")
    assert kept(page) is None and marks(page) == {}


def copied(page):
    """Copy the link with all scores."""
    page.evaluate(
        "() => { navigator.clipboard.writeText = async (x) => { window.copied = x; }; }"
    )
    page.locator("summary", has_text="Your progress").click()
    page.get_by_role("button", name="Copy link with scores").click()
    page.get_by_role("status").filter(has_text="Copied.").wait_for()
    return page.evaluate("copied")


def store(page, scores):
    """Store what stays after a reload."""
    come_again(page, scores if isinstance(scores, str) else json.dumps(scores))


def test_scores_travel_in_a_link_and_the_better_ones_stay(visit, browser):
    page = visit()
    store(page, {"01_digits": 2, NAME: 5, "07_lenet": 0})
    assert marks(page) == {"01_digits": 2, NAME: 5, "07_lenet": 0}
    link = copied(page)
    assert "Checks finished: 3. Right answers: 7 of 18." in page.inner_text(
        ".check-progress"
    )
    with browser.new_context() as context:
        other = visit(page=context.new_page())
        store(other, {"01_digits": 6, NAME: 1})
        other.goto("about:blank")
        other.goto(link)
        other.get_by_text("Scores in the link: 3.").wait_for()
        assert marks(other) == kept(other) == {"01_digits": 6, NAME: 5, "07_lenet": 0}
        assert "progress&" not in other.url  # what is forgotten now stays so
        # In an open page, too.
        other.evaluate("location.hash = 'progress&07_lenet=4&08_training=x&x=3'")
        other.get_by_text("Scores in the link: 1.").wait_for()
        assert kept(other) == {"01_digits": 6, NAME: 5, "07_lenet": 4}
        # Whatever a mail program makes of it.
        other.evaluate("location.hash = 'progress&07_lenet%3D5&08_training=2).'")
        other.get_by_text("Scores in the link: 2.").wait_for()
        assert kept(other)["07_lenet"] == 5 and kept(other)["08_training"] == 2


def test_where_nothing_can_be_copied_the_link_is_shown(visit):
    page = visit()
    store(page, {NAME: 3})
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    page.locator("summary", has_text="Your progress").click()
    page.get_by_role("button", name="Copy link with scores").click()
    shown = page.get_by_text("Open this in another browser").inner_text()
    assert shown.endswith(f"{page.url}#progress&{NAME}=3")


@pytest.mark.parametrize("where", ["notebooks/03_multilayer_perceptron", "book/index"])
def test_scores_are_forgotten_but_not_by_accident(visit, book, where):
    page = visit()
    page.goto((book / f"{where}.html").as_uri())
    best = {NAME: 3, "03_multilayer_perceptron": 2}
    store(page, best)
    if "notebooks" in where:
        page.get_by_text("Your best: 2 of 6.").wait_for()
        answer(page, 0, name="03_multilayer_perceptron")
        assert verdict(page, 0).startswith("✓ Right. ")
    page.locator("summary", has_text="Your progress").click()
    forget = page.get_by_role("button", name="Forget my scores")
    forget.dblclick()
    assert kept(page) == best
    keep = page.get_by_role("button", name="Keep them")
    keep.click()
    forget.press("Enter")
    assert keep.evaluate("(button) => button === document.activeElement")
    page.keyboard.press("Enter")
    assert forget.evaluate("(button) => button === document.activeElement")
    assert forget.is_visible() and kept(page) == best
    forget.click()
    page.get_by_role("button", name="Forget them").click()
    page.get_by_text("Forgotten.").wait_for()
    assert page.evaluate("(key) => localStorage.getItem(key)", ANSWERS) == "{}"
    assert page.locator(".check [data-right]").count() == 0
    assert page.get_by_text("Your best").count() == 0
    assert kept(page) == {} == marks(page)
    assert "Checks finished: 0." in page.inner_text(".check-progress")
    assert "0 of 0" not in page.inner_text(".check-progress")
    come_again(page)
    assert marks(page) == {}


CORRUPT = [
    "", "{", "null", "7", '"x"', "[6]", '{"x": 6}', '{"02_softmax_regression": 7}',
    '{"02_softmax_regression": -1}', '{"02_softmax_regression": "6 of 6"}',
    '{"02_softmax_regression": {}}', '{"../02_softmax_regression": 6}',
]  # fmt: skip


def test_what_is_no_score_is_ignored(visit):
    page = visit()
    for text in CORRUPT:
        store(page, text)
        assert marks(page) == {}, text
        for number in range(6):
            answer(page, number)
        assert marks(page) == kept(page) == {NAME: 6}, text


# (The theme has things of its own to store, and trusts that it may.)
REFUSE = """(kinds) => {
    for (const kind of kinds) {
        const whole = Storage.prototype[kind];
        Storage.prototype[kind] = function (key, ...rest) {
            if (!key.startsWith(STORE)) return whole.call(this, key, ...rest);
            throw new DOMException("refused", "SecurityError");
        };
    }
}"""


@pytest.mark.parametrize("kinds", [["setItem"], ["getItem", "setItem"]])
def test_a_browser_that_refuses_to_store_still_asks_and_counts(visit, page, kinds):
    refuse = REFUSE.replace("STORE", json.dumps("recognize-digits-"))
    page.add_init_script(f"({refuse})({json.dumps(kinds)})")
    visit()
    for right in 0, 1:
        for number in range(6):
            answer(page, number, right=number > right)
        page.get_by_text(f"{5 - right} of 6 right on the first try").wait_for()
        page.get_by_role("button", name="Try again").press("Enter")
        assert verdict(page, 0) == ""
    page.get_by_text("Your best: 5 of 6.").wait_for()
    assert marks(page) == {NAME: 5}
    assert copied(page).endswith(f"#progress&{NAME}=5")


def test_without_scripts_the_text_is_there(book, browser):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((book / f"notebooks/{NAME}.html").as_uri())
        section = page.locator("#check-yourself")
        for q in FOUND[NAME]:
            asked = q.variants[0].question if q.variants else q.question
            assert asked.replace("`", "") in plain(section.inner_text())
        fold = section.locator("details").first
        assert FOUND[NAME][0].options[0][1] not in plain(section.inner_text())
        fold.locator("summary").click()
        assert FOUND[NAME][0].options[0][1] in plain(fold.inner_text())


def test_on_paper_stands_the_text_with_the_answers(visit):
    page = visit()
    answer(page, 0)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # as printing does
    section = page.locator("#check-yourself")
    assert not section.locator(":is(form, .check-progress):visible").count()
    for q in FOUND[NAME]:
        asked, why = q.question, q.options and q.options[q.right][1]
        if q.variants:
            asked, why = q.variants[0].question, q.variants[0].why
        for part in asked, why:
            assert part.replace("`", "") in plain(section.inner_text())


def test_the_text_stays_when_the_questions_cannot_be_loaded(visit, page, book):
    page.route("**/questions/*.js*", lambda route: route.abort())
    page.goto((book / f"notebooks/{NAME}.html").as_uri())
    page.wait_for_function("document.readyState === 'complete'")
    assert page.locator("#check-yourself details:not(.check-progress)").count() == 6
    assert page.locator(".check form").count() == 0
