"""The goals and tours of the labs, followed as a reader would."""

import pytest
from test_lab_draw import Pad
from test_labs import PLACES, press

SCRIBBLE = [[(60, 60), (220, 220), (60, 220), (220, 60), (60, 140), (220, 140)]]
FIVE = [
    [(190, 60), (110, 60), (100, 130), (170, 130), (185, 180), (140, 215), (90, 190)]
]
ONE = [[(100, 100), (150, 60), (150, 230)], [(90, 230), (210, 230)]]  # on a foot
CORNER = [[(100, 60), (100, 220), (190, 220)]]


def choose(page, label, value):
    page.get_by_label(label).select_option(value)


def fill(page, label, value):
    page.get_by_label(label, exact=True).fill(str(value))


def slide(page, name, value):
    page.get_by_role("slider", name=name, exact=True).fill(str(value))


def draw(page, strokes):
    press(page, "Clear")
    Pad(page).draw(strokes)


def overlap(page):
    fill(page, "size F", 2)
    fill(page, "stride S", 1)


def keep_the_size(page):
    fill(page, "size F", 3)
    fill(page, "stride S", 1)


def edge(page):
    """Write a kernel that looks for lower edges, with the third row as it is."""
    page.locator(".lab select").first.select_option("7")
    for row, numbers in enumerate([(1, 1, 1), (0, 0, 0), (-1, -1, -1)]):
        for column, value in enumerate(numbers):
            fill(page, f"w[0, 0], row {row}, column {column}", value)


def be_sure(page):
    press(page, "Sure of 3")
    choose(page, "Label", "3")


def keep_two(page):
    for _ in range(2):
        press(page, "Keep this curve")


def warm(page):
    press(page, "Torn between 4 and 9")
    slide(page, "Temperature", 1)


def overfit(page):
    choose(page, "First weights", "he")
    choose(page, "Activation", "ReLU")
    choose(page, "Training digits", "100")
    slide(page, "Learning rate", 6)
    choose(page, "Momentum", "0.9")
    press(page, "Run 30 epochs")


def die(page):
    """Take steps so long that units lose all their inputs."""
    choose(page, "First weights", "large")
    slide(page, "Learning rate", 8)
    press(page, "One step")


def diverge(page):
    choose(page, "Activation", "Identity")
    choose(page, "Momentum", "0.99")
    press(page, "Run 30 epochs")


def learn_fast(page):
    slide(page, "Learning rate", 5)
    press(page, "Run 30 epochs")


def press_the_last_bar(page):
    page.locator(".lab-lenet-chart span").last.click()


def silence(page):
    """Go through the cells of a pooled map until one is 0."""
    page.locator(".lab-lenet-flow canvas").nth(2).click(position={"x": 40, "y": 40})
    for key in ["ArrowRight"] * 11 + ["ArrowDown"] * 11:
        if page.inner_text(".lab-lenet-open > p").endswith(": 0.0000"):
            break
        page.locator(".lab-lenet-zoom canvas").first.press(key)


def move_the_patch(page):
    """Move the mouse over LeNet's picture, until the patch changes the answer."""
    canvas = page.locator(".lab-why-models canvas").nth(2)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for place in range(169):
        row, column = divmod(place, 13)
        page.mouse.move(
            box["x"] + box["width"] * (column + 0.5) / 13,
            box["y"] + box["height"] * (row + 0.5) / 13,
        )
        if "Patch here: 0" not in page.locator(".lab-why-models p").nth(5).inner_text():
            break


WAYS = {
    "pooling": [
        ("a single output", lambda page: fill(page, "size F", 4)),
        ("windows that overlap", overlap),
        (
            "whose largest number is also its average",
            lambda page: [
                fill(page, f"x, row {row}, column {column}", 5)
                for row in (0, 1)
                for column in (0, 1)
            ],
        ),
    ],
    "convolution": [
        ("a single output", lambda page: fill(page, "size F", 7)),
        ("as large as its input", keep_the_size),
        ("an edge in a digit", edge),
    ],
    "scores": [
        ("more than 10 nats", lambda page: slide(page, "Score of 4", -10)),
        ("less than 0.01 nats", be_sure),
        ("no probability above", warm),
    ],
    "activations": [
        (
            "neither halved nor doubled",
            lambda page: choose(page, "Activation function f", "ReLU"),
        ),
        ("more than a thousand times", lambda page: slide(page, "Weight w", 3)),
        ("no gradient at all", lambda page: slide(page, "Weight w", -1)),
    ],
    "softmax": [
        ("nine in ten", learn_fast),
        ("two kept curves", keep_two),
        ("above that of guessing", lambda page: slide(page, "Learning rate", 8)),
    ],
    "perceptron": [
        ("a dead unit", die),
        ("a run that diverges", diverge),
        ("rises by a tenth", overfit),
    ],
    "draw": [
        ("looks like no digit", lambda page: draw(page, SCRIBBLE)),
        ("that all three read alike", lambda page: draw(page, FIVE)),
        ("that the models read differently", lambda page: draw(page, ONE)),
    ],
    "lenet": [
        ("speaks most against", press_the_last_bar),
        ("ReLU sets to 0", silence),
        ("less than 90 % sure", lambda page: draw(page, CORNER)),
    ],
    "why": [
        ("LeNet not", lambda page: slide(page, "step", 10)),
        ("into three others", lambda page: choose(page, "test digit", "10")),
        ("LeNet changes its answer", move_the_patch),
    ],
}


@pytest.mark.parametrize("name", PLACES)
def test_each_is_reached_and_noticed(lab, name):
    page = lab(name)
    page.wait_for_selector(".lab:not(:has([aria-busy=true]))")
    # Nothing is reached before the reader does something, nor by opening the list.
    summary = page.locator(".lab-goals summary")
    assert summary.inner_text() == "Goals: 0 of 3"
    summary.press("Enter")
    page.wait_for_timeout(500)
    assert summary.inner_text() == "Goals: 0 of 3"
    for count, (goal, reach) in enumerate(WAYS[name], 1):
        reach(page)
        page.locator(".lab-reached", has_text=goal).wait_for()
        assert summary.inner_text() == f"Goals: {count} of 3"
        said = page.locator(".lab-folds > [role=status]").inner_text()
        assert said.startswith("Goal reached: ") and goal in said
    assert len(WAYS[name]) == 3


def test_guessing_is_no_overfitting(lab):
    """At a rate of 1: costs go up and down, but neither is ever a good one."""
    page = lab("perceptron")
    page.emulate_media(reduced_motion="reduce")
    slide(page, "Learning rate", 8)
    for _ in range(3):
        press(page, "One epoch")
        page.wait_for_function("!document.querySelector('[aria-busy=true]')")
        page.wait_for_timeout(300)  # a goal is noticed within 200 ms
    reached = page.locator(".lab-reached").all_text_contents()
    assert not any("rises by a tenth" in text for text in reached)
    assert any("a dead unit" in text for text in reached)


def hard(page):
    """Softmax regression misreads these, and LeNet does not."""
    press(page, "Another hard one")


def without_framing(page):
    draw(page, [[(200, 200), (240, 200), (215, 260)]])
    page.get_by_label("centre and scale").uncheck()


def open_map(number):
    def click(page):
        page.locator(".lab-lenet-flow canvas").nth(number).click(
            position={"x": 40, "y": 40}
        )

    return click


def run_a_while(page):
    press(page, "Run 30 epochs")
    page.wait_for_function(
        """() => parseFloat(document.querySelector(".lab-learn-numbers dd").textContent)
            >= 5"""
    )
    press(page, "Pause")


def add_own(page):
    page.get_by_text("Add digits of your own").click()
    canvas = page.get_by_label("Drawing pad")
    canvas.evaluate("(pad) => pad.scrollIntoView({ block: 'center' })")
    Pad(page).draw(ONE)
    choose(page, "It is a", "1")
    press(page, "Add to the training digits")


TOURS = {
    "draw": [
        lambda page: draw(page, FIVE),
        hard,
        lambda page: Pad(page).unfold(),
        without_framing,
        lambda page: page.get_by_label("centre and scale").check(),
    ],
    "lenet": [
        lambda page: choose(page, "test digit", "3"),
        open_map(1),
        lambda page: page.locator(".lab-lenet-zoom canvas").first.press("ArrowDown"),
        open_map(3),
        lambda page: press(page, "Open the circled number"),
        press_the_last_bar,
    ],
    "perceptron": [
        lambda page: press(page, "One step"),
        lambda page: press(page, "One epoch"),
        lambda page: press(page, "Keep this curve"),
        lambda page: choose(page, "Hidden layers", "3"),
        run_a_while,
        add_own,
    ],
}


@pytest.mark.parametrize("name", TOURS)
def test_a_tour_goes_on_when_a_step_is_done(lab, name):
    page = lab(name)
    page.wait_for_selector(".lab:not(:has([aria-busy=true]))")
    press(page, "Take a tour")
    steps = TOURS[name]
    for number, do in enumerate(steps, 1):
        page.get_by_text(f"{number} of {len(steps)}: ").wait_for()
        # What is to be done is in sight.
        box = page.locator(".lab-tour").bounding_box()
        assert 0 <= box["y"] and box["y"] + box["height"] <= 800
        do(page)
    page.get_by_text("That was the tour.").wait_for()
    press(page, "End the tour")
    assert not page.locator(".lab-tour").is_visible()


def test_a_step_may_be_skipped_on_a_phone_too(lab, phone):
    page = lab("draw", page=phone())
    page.get_by_role("button", name="Take a tour").tap()
    page.get_by_text("1 of 5: ").wait_for()
    page.get_by_role("button", name="Skip this step").tap()
    page.get_by_text("2 of 5: ").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="End the tour").tap()
    assert not page.locator(".lab-tour").is_visible()
