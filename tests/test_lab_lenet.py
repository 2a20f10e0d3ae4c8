"""LeNet, looked into: what its figure shows, as readers use it."""

import re

import numpy as np
import pytest
from test_lab_draw import SEVEN, Pad
from test_lab_stages import LAYERS, outputs
from test_labs import press


def numbers(text):
    """Give the numbers with a decimal point that a reader sees."""
    found = re.findall(r"[-−]?\d+\.\d+", text)
    return [float(number.replace("−", "-")) for number in found]


@pytest.fixture
def opened(lab):
    """The figure, when it has read the digit that it opens with."""
    page = lab("lenet", below=3_000)
    ready(page)
    return page


def ready(page):
    page.wait_for_selector(".lab-lenet-scores[aria-busy=false]")


def choose(page, digit):
    page.get_by_label("test digit").select_option(str(digit))
    ready(page)


def shown(page):
    """Give the layer, the map, row and column, and the value of what is open."""
    title = page.inner_text(".lab-lenet-open > p")
    name, *place, value = re.fullmatch(
        r"(.+), map (\d+), row (\d+), column (\d+): (\S+)", title
    ).groups()
    return name, *map(int, place), float(value.replace("−", "-"))


def table(page, caption):
    """Give the numbers of a table."""
    rows = page.get_by_label(caption).locator("tr").all()
    texts = [[*row.locator("td").all_inner_texts()] for row in rows]
    return np.array([[float(t.replace("−", "-")) for t in row] for row in texts])


def test_it_opens_on_the_map_that_speaks_most_for_the_answer(opened, lenet, examples):
    assert "LeNet reads 5" in opened.inner_text(".lab-lenet-answer")
    *_, maps, _, scores = outputs(lenet, examples[15:16])
    *_, paper, _, blank = outputs(lenet, np.zeros((1, 28, 28), np.uint8))
    b, a = scores[0].argsort()[-2:].tolist()
    weight = lenet[-1].weight.detach().reshape(10, 50, 16)
    each = ((weight[a] - weight[b]) * (maps - paper).reshape(50, 16)).numpy()
    map = each.sum(1).argmax()
    cell = np.abs(each[map]).argmax()
    value = maps[0, map, cell // 4, cell % 4].item()
    place = ("Second pooling", map, cell // 4, cell % 4)
    assert shown(opened) == (*place, pytest.approx(value, abs=1e-4))
    text = opened.inner_text(".lab-lenet-why > p")
    assert text.startswith(f"Score of {a} − score of {b} = ")
    own = (blank[0, a] - blank[0, b]).item()
    difference = (scores[0, a] - scores[0, b]).item()
    assert "Without any ink it would be" in text and "; the digit adds" in text
    expected = [difference, own, difference - own]
    assert numbers(text) == pytest.approx(expected, abs=0.0051)
    found = table(opened, f"map {map}, for {a} against {b}")
    assert np.abs(found - each[map].reshape(4, 4)).max() < 0.0051
    # The bars, from the highest to the lowest, are as high as they should be.
    heights = opened.locator(".lab-lenet-chart > span").evaluate_all(
        """(bars) => bars.map((bar) => getComputedStyle(bar, "::after").height)
            .map(parseFloat)"""
    )
    shares = np.sort(each.sum(1))[::-1]
    expected = np.abs(shares) * heights[0] / shares[0]
    assert len(heights) == 50 and np.abs(heights - expected).max() < 1


@pytest.mark.parametrize("width", [1280, 390])
def test_columns_are_level_and_numbers_apart(visit, page, width):
    page.set_viewport_size({"width": width, "height": 900})
    visit("07_lenet")
    page.locator("[data-lab=lenet]").scroll_into_view_if_needed()
    ready(page)
    boxes = [box.bounding_box() for box in page.locator(".lab-lenet-flow canvas").all()]
    rows = {round(box["y"]) for box in boxes[:5]}
    assert len(rows) == (1 if width == 1280 else 2)
    for digit in 15, 2:  # whose scores are the widest
        choose(page, digit)
        gaps = page.locator(".lab-lenet-scores").evaluate(GAPS)
        assert min(gaps) >= 6
        level = page.locator(".lab-lenet-scores").bounding_box()["y"]
        first = page.locator(".lab-lenet-flow figure").first.bounding_box()["y"]
        assert (level == first) == (width == 1280)  # beside the maps
    # What is chosen has a frame, and nothing that could be taken for a bar.
    colour, frame = page.locator(".lab-lenet-chosen").evaluate(
        """(bar) => [getComputedStyle(bar).backgroundColor,
            getComputedStyle(bar).outlineWidth]"""
    )
    assert colour == "rgba(0, 0, 0, 0)" and frame == "2px"
    # The digit is as dark on its paper as on the pad.
    for canvas in page.locator(".lab-draw-pad, .lab-lenet-flow canvas").all()[:2]:
        assert canvas.evaluate(CORNER) == [255, 255, 255]


GAPS = """(table) => [...table.querySelectorAll("tr")].map((row) => {
    const [score, share] = [...row.querySelectorAll("td")].map((cell) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return range.getBoundingClientRect();
    });
    return share.left - score.right;
})"""
CORNER = """(canvas) =>
    [...canvas.getContext("2d").getImageData(4, 4, 1, 1).data].slice(0, 3)"""


def test_keys_alone_lead_from_the_scores_to_a_product_and_back(opened, lenet, examples):
    """Every value on the way is the model's, and its parts make it up."""
    layers = outputs(lenet, examples[15:16])

    def check(name):
        found, *place, value = shown(opened)
        assert found == name
        layer = layers[LAYERS[name]][0]
        assert value == pytest.approx(layer[tuple(place)].item(), abs=1e-4)
        text = opened.inner_text(".lab-lenet-open > div:last-child > p")
        said = numbers(text.replace("− ", "−"))
        assert said[-1] == value
        if "convolution" in name:
            assert sum(said[:-1]) == pytest.approx(value, abs=2e-4)
        else:
            assert max(0, said[0]) == value
        return place

    first = check("Second pooling")
    opened.get_by_label("Evidence of the 50 maps").press("ArrowRight")
    assert check("Second pooling")[0] != first[0]
    opened.get_by_label("Evidence of the 50 maps").press("ArrowLeft")
    assert check("Second pooling") == first
    press(opened, "Open the circled number")
    map, row, column = check("Second convolution")
    assert map == first[0] and (row // 2, column // 2) == (first[1], first[2])
    # Another of the twenty partial sums, and of its products.
    sums = table(opened, "partial sums, maps 0 to 19")
    chosen = opened.locator("[role=grid] [tabindex='0']")
    chosen.press("Home")
    chosen.press("ArrowRight")
    assert chosen.evaluate("(cell) => cell === document.activeElement")
    column = chosen.evaluate("(cell) => cell.cellIndex")
    d = 5 * chosen.evaluate("(cell) => cell.parentElement.rowIndex") + column
    parts = [
        table(opened, caption)
        for caption in (f"window on map {d}", f"kernel {map}, for map {d}", "products")
    ]
    assert np.abs(parts[0] * parts[1] - parts[2]).max() < 0.05
    assert parts[2].sum() == pytest.approx(sums.flat[d], abs=0.13)
    press(opened, "Open the circled number")
    assert check("First pooling")[0] == d
    press(opened, "Open the circled number")
    check("First convolution")
    deepest = opened.get_by_role("button", name="Open the circled number")
    assert deepest.get_attribute("aria-disabled") == "true"
    press(opened, "Open the circled number")
    # To a corner, and to another map.
    cells = opened.get_by_label("The open map")
    for key in ["ArrowUp", "ArrowLeft"] * 24:
        cells.press(key)
    assert check("First convolution")[1:] == [0, 0]
    opened.locator(".lab-status", has_text="row 0, column 0").wait_for()
    opened.get_by_label("First convolution").press("ArrowRight")
    check("First convolution")
    for name in "First pooling", "Second convolution", "Second pooling":
        press(opened, "Back")
        check(name)
    back = opened.get_by_role("button", name="Back")
    assert back.get_attribute("aria-disabled") == "true"
    assert check("Second pooling") == first
    assert opened.evaluate("scrollX") == 0


def test_the_mouse_opens_any_cell_and_looks_ahead(opened, lenet, examples):
    layers = outputs(lenet, examples[15:16])
    sizes = {"First convolution": 24, "First pooling": 12, "Second convolution": 8}
    for name, side in sizes.items():
        picture = opened.get_by_label(f"{name},")
        picture.click(position={"x": 1 + 26 + 19, "y": 1 + 2 * 26 + 4})
        *place, value = shown(opened)
        _, map, row, column = place
        assert place[:2] == [name, 11 if side == 8 else 7]
        # A click's place is in whole pixels, and so small are some of the cells.
        assert abs((row + 0.5) * 24 / side - 4) <= 2
        assert abs((column + 0.5) * 24 / side - 19) <= 2
        expected = layers[LAYERS[name]][0, map, row, column].item()
        assert value == pytest.approx(expected, abs=1e-4)
        enlarged = opened.get_by_label("The open map")
        enlarged.scroll_into_view_if_needed()
        box = enlarged.bounding_box()
        opened.mouse.move(box["x"] + 3, box["y"] + 213)
        assert shown(opened)[:4] == (name, map, side - 1, 0)
        opened.mouse.move(box["x"] - 12, box["y"] + 213)
        assert [*shown(opened)[:4]] == place
    said = opened.locator(".lab-status")
    words = f"Second convolution, map 11, row {row}, column {column}"
    said.filter(has_text=words).wait_for()
    opened.mouse.move(box["x"] + 40, box["y"] + 90)
    opened.wait_for_timeout(700)
    assert words in said.inner_text()  # what one only passes is not read out


def test_two_digits_are_compared_as_one_chooses(opened, lenet, examples):
    *_, scores = outputs(lenet, examples[15:16])
    for a, b in (8, 5), (5, 8), (5, 5):
        opened.get_by_label("Why").select_option(str(a))
        opened.get_by_label("and not").select_option(str(b))
        text = opened.inner_text(".lab-lenet-why > p")
        assert text.startswith(f"Score of {a} − score of {b} = ")
        difference, page, added = numbers(text)
        expected = (scores[0, a] - scores[0, b]).item()
        assert difference == pytest.approx(expected, abs=0.0051)
        assert page + added == pytest.approx(difference, abs=0.016)
    # They stay with the next digit, until the figure is to follow the answer again.
    choose(opened, 7)
    assert "Score of 5 − score of 5" in opened.inner_text(".lab-lenet-why > p")
    for label in "Why", "and not":
        opened.get_by_label(label).select_option("")
    assert "Score of 7 − " in opened.inner_text(".lab-lenet-why > p")


def test_what_one_draws_is_framed_and_looked_into(opened):
    pad = Pad(opened)
    assert opened.get_by_label("test digit").input_value() == "15"
    pad.draw(SEVEN)
    pad.says("LeNet reads 7")
    ready(opened)
    assert "LeNet reads 7" in opened.inner_text(".lab-lenet-answer")
    assert "Score of 7 − " in opened.inner_text(".lab-lenet-why > p")
    press(opened, "Undo")
    pad.says("The pad is blank")
    # A blank page has all of the evidence that it can have.
    *_, page, added = numbers(opened.inner_text(".lab-lenet-why > p"))
    assert added == 0 and page != 0
    choose(opened, 3)
    pad.says("LeNet reads 3")


def test_a_finger_opens_a_map_a_cell_and_a_bar(phone, lab):
    page = lab("lenet", below=1_000, page=phone())
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("Second convolution,").tap(
        position={"x": 1 + 3 * 26 + 12, "y": 1 + 2 * 26 + 12}
    )
    assert shown(page)[:2] == ("Second convolution", 13)
    page.get_by_label("The open map").tap(position={"x": 210, "y": 5})
    assert shown(page)[1:4] == (13, 0, 7)
    page.get_by_role("button", name="Down, by a cell").tap()
    page.get_by_role("button", name="Left, by a cell").tap()
    assert shown(page)[1:4] == (13, 1, 6)
    page.locator("[role=grid] td").nth(19).tap()
    page.get_by_label("window on map 19").wait_for()
    chart = page.get_by_label("Evidence of the 50 maps")
    width = chart.bounding_box()["width"]
    chart.tap(position={"x": width - 2, "y": 60})
    last = shown(page)
    assert last[0] == "Second pooling"
    added = numbers(page.inner_text(".lab-lenet-why .lab-lenet-numbers > p"))[0]
    assert added < 0
    # A finger that scrolls over a map opens nothing.
    box = page.get_by_label("The open map").bounding_box()
    finger = page.context.new_cdp_session(page)
    before = page.evaluate("scrollY")
    for up in range(0, 300, 20):
        point = {"x": box["x"] + 100, "y": box["y"] + 150 - up / 4}
        kind = "touchMove" if up else "touchStart"
        touch = {"type": kind, "touchPoints": [point]}
        finger.send("Input.dispatchTouchEvent", touch)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function(f"Math.abs(scrollY - {before}) > 20")
    assert shown(page) == last
