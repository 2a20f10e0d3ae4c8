"""What settles a prediction is covered in the built book, until a reader commits.

How one predicts, and what is said then, is tested in test_predict.py.
"""

import pytest
from test_labs import MARKED, violations
from test_predict import FOCUSED, FOUND, NAME, come_again, commit, place

LINE, COVERED = ".check-cover", "[hidden=until-found]"
RESULT = "[role=group][aria-label='The result']"
POOLING = "06_pooling"
# Words of what is covered, by chapter: what a cell prints or draws as a table, also one
# after cells that only define something, and a table that the text has.
SETTLED = {
    "01_digits": ("of the nearest mean: ", "even places: "),
    NAME: ("squared error: slope", "of validation right"),
    "03_multilayer_perceptron": ("a second softmax", "hidden units"),
    "05_convolution": ("a kernel for each place", "[-2, 0, 2]"),
    POOLING: ("with pooling: 1,600,000", "global max pooling"),
    "13_results": ("training digits", "pixels permuted"),
}


def seen(page):
    """Tell of each prediction whether one sees what settles it, and not a line."""
    found = []
    for part in page.locator(f".predict, {RESULT}").all():
        if part.get_attribute("role") is None:
            found.append(set())
        else:
            found[-1].add(part.locator("> *").first.is_visible())
    assert all(len(parts) == 1 for parts in found)  # all of it, or nothing
    assert page.locator(LINE).count() == found.count({False})
    return [True in parts for parts in found]


def anyway(page, number=0):
    return page.locator(LINE).nth(number).get_by_role("button", name="Show it anyway")


@pytest.mark.parametrize("name", FOUND)
def test_what_settles_a_prediction_is_covered(visit, name):
    page = visit(name)
    assert seen(page) == [False, False]
    parts = page.locator(f".predict, {LINE}, {COVERED}")
    kinds = parts.evaluate_all(
        "(all) => all.map((part) => part.hidden || part.className.split(' ')[1])"
    )
    # Of some, a picture or a table in the next cell is covered as well.
    kinds = " ".join(kinds).replace("until-found until-found", "until-found").split()
    assert kinds == ["check-asked", "check-cover", "until-found"] * 2
    for number in range(2):
        line = page.locator(LINE).nth(number)
        covered = page.locator(f"{LINE} + {COVERED}").nth(number)
        assert line.inner_text().startswith("Covered until you commit to a guess.")
        assert SETTLED.get(name, ("", ""))[number] in covered.text_content()
    heights = "(all) => all.map((part) => part.getBoundingClientRect().height)"
    assert not any(page.locator(COVERED).evaluate_all(heights))


@pytest.mark.parametrize(
    ("name", "number", "later", "stays"),
    [
        ("01_digits", 1, "every twelfth: ", "Four files"),
        (NAME, 0, "the harder the cross-entropy pushes", "Choose the label 9"),
        ("04_activations", 0, "On the way forward", "Dead ReLUs"),
        ("04_activations", 1, "come last", "Summary"),
        ("11_your_own_digit", 1, "of the 1s are read as", "Your own picture"),
        ("12_trust", 1, "The grey speckles", "Try it."),
    ],
)
def test_what_comes_later_does_not_tell_it_and_a_figure_keeps_its_words(
    visit, name, number, later, stays
):
    """What is said below a result tells it as well, up to a figure or a heading."""
    page = visit(name)
    article = page.locator("article")
    told, kept = article.get_by_text(later).first, article.get_by_text(stays).first
    assert not told.is_visible() and kept.is_visible()
    commit(page, number, 0)
    assert told.is_visible() and kept.is_visible()


def test_a_guess_uncovers_it_for_good_and_forgetting_covers_it_anew(visit):
    page = visit()
    commit(page, 1, 0)
    assert seen(page) == [False, True]
    # What was said has the focus, and says it all.
    assert place(page, 1).get_by_role("status").evaluate(FOCUSED)
    come_again(page)
    assert seen(page) == [False, True]
    page.locator("summary", has_text="Your progress").click()
    page.get_by_role("button", name="Forget my scores").click()
    page.get_by_role("button", name="Forget them").click()
    for _ in range(2):
        assert seen(page) == [False, False]
        come_again(page)
    commit(page, 0, 0)
    assert seen(page) == [True, False]


def test_keys_show_it_without_a_guess_and_go_on_from_there(visit):
    page = visit(POOLING)
    anyway(page, 1).focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert anyway(page, 1).evaluate(FOCUSED) and anyway(page, 1).evaluate(MARKED)
    above = page.locator(LINE).nth(1).bounding_box()["y"]
    page.keyboard.press("Enter")
    assert seen(page) == [False, True]
    result = page.locator(f"{RESULT}:focus")
    assert result.evaluate(FOCUSED) and result.locator("table").is_visible()
    assert abs(result.bounding_box()["y"] - above) < 8  # where the line was
    # One may still guess; what one only looked at is covered the next time.
    assert place(page, 1).get_by_role("button", name="Commit").is_enabled()
    page.reload()
    page.wait_for_selector(LINE)
    assert seen(page) == [False, False]


def test_a_link_and_a_search_lead_to_it(visit):
    """A browser tells of both in the same way, before it shows what was hidden."""
    page = visit(POOLING)
    page.locator(f"{COVERED} td").last.evaluate("(cell) => { cell.id = 'inside'; }")
    page.evaluate("location.hash = 'inside'")
    page.wait_for_selector("#inside")
    assert seen(page) == [False, True]
    assert 0 <= page.locator("#inside").bounding_box()["y"] < 300
    page.goto(f"{page.url.partition('#')[0]}?#:~:text=1%2C600%2C000")
    page.locator(RESULT).first.locator("pre").wait_for()
    assert seen(page) == [True, False]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_line_and_the_result_are_open_to_everyone(visit, phone, theme):
    page = visit(POOLING, page=phone())
    page.evaluate(
        "(theme) => { document.documentElement.dataset.theme = theme; }", theme
    )
    assert violations(page, {"include": [[LINE], [RESULT]]}) == []
    box = anyway(page).bounding_box()
    assert min(box["height"], box["width"]) >= 24
    anyway(page).tap()
    anyway(page).tap()
    assert seen(page) == [True, True]
    assert violations(page, {"include": [[RESULT]]}) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_paper_and_without_scripts_nothing_is_covered(visit, book, browser):
    page = visit(POOLING)
    with browser.new_context(java_script_enabled=False) as context:
        text = context.new_page()
        text.goto((book / f"notebooks/{POOLING}.html").as_uri())
        page.emulate_media(media="print")
        for one in page, text:
            assert one.locator(f"{LINE}:visible").count() == 0
            for words in SETTLED[POOLING]:
                found = one.locator(".cell_output pre, table").filter(has_text=words)
                assert found.first.is_visible()
    page.emulate_media(media="screen")
    assert seen(page) == [False, False]
