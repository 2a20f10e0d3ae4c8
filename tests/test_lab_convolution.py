"""The labs on convolution and pooling, driven in a real browser, against PyTorch."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mnist_lesson import figures, load_mnist

FIGURE_5 = figures.POOLED.tolist()


def press(page, name):
    page.get_by_role("button", name=name).press("Enter")


def read(page, caption):
    """Read the tables of this name, as a reader would; an empty cell is None."""
    tables = page.get_by_label(caption, exact=True).evaluate_all(
        "(tables) => tables.map((table) => [...table.rows]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent)))"
    )
    return [[[number(text) for text in row] for row in rows] for rows in tables]


def numbers(page, caption):
    """Read the one table of this name."""
    (table,) = read(page, caption)
    return table


def number(text):
    return float(text.replace("−", "-")) if text.strip() else None


def compute(page, expression, argument):
    script = f'async (a) => {{ const m = await lab.load("arithmetic"); {expression} }}'
    return page.evaluate(script, argument)


def fractions(rng, *shape):
    return rng.normal(scale=3, size=shape).round(3)


def test_convolution_opens_on_the_figure_and_steps_through_it(lab):
    page, layer = lab("convolution"), figures.CONVOLVED
    for d, slice_ in enumerate(layer.padded):
        assert numbers(page, f"input x[{d}] with padding") == slice_.tolist()
    assert "⌊(5 − 3 + 2 · 1) / 2⌋ + 1 = 3" in page.inner_text(".lab-formula")
    order = list(product(range(2), range(3), range(3)))
    for i, (k, r, c) in enumerate(order):
        y = layer.output[k, r, c]
        equation = page.inner_text(".lab-equation").replace("−", "-")
        assert equation.startswith(f"y[{k}, {r}, {c}] = ")
        assert equation.endswith(f"(bias) = {y}")
        assert read(page, "products") == layer.products(r, c)[k].tolist()
        filled = [*numbers(page, "output y[0]"), *numbers(page, "output y[1]")]
        expected = [*layer.output.flatten()[: i + 1].tolist(), *[None] * (17 - i)]
        assert np.ravel(filled).tolist() == expected
        press(page, "Step forward")
    maps = [numbers(page, f"output y[{k}]") for k in (0, 1)]
    x, w, b = (torch.from_numpy(array).double() for array in layer[:3])
    assert maps == F.conv2d(x, w, b, layer.stride, layer.padding).tolist()


def test_the_window_is_framed_where_it_stands(lab):
    page = lab("convolution")
    for _ in range(5):
        press(page, "Step forward")
    table = page.get_by_label("input x[1] with padding")
    seen = table.evaluate(
        "(t) => [...t.querySelectorAll('[aria-current=true]')]"
        ".map((cell) => [cell.parentNode.rowIndex, cell.cellIndex])"
    )
    assert seen == [[r, c] for r in (2, 3, 4) for c in (4, 5, 6)]
    page.wait_for_timeout(200)  # the frame glides there
    frame = table.locator("xpath=following-sibling::span").bounding_box()
    first = table.locator("tr").nth(2).locator("td").nth(4).bounding_box()
    last = table.locator("tr").nth(4).locator("td").nth(6).bounding_box()
    assert frame["x"] == pytest.approx(first["x"], abs=2)
    assert frame["y"] == pytest.approx(first["y"], abs=2)
    right, bottom = last["x"] + last["width"], last["y"] + last["height"]
    assert frame["x"] + frame["width"] == pytest.approx(right, abs=2)
    assert frame["y"] + frame["height"] == pytest.approx(bottom, abs=2)


def test_convolutions_are_those_of_pytorch(lab):
    page, rng = lab("convolution"), np.random.default_rng(0)
    for _ in range(60):
        K, D, size, S, P = (int(rng.integers(1, n)) for n in (5, 4, 8, 5, 4))
        P -= 1
        H, W = (int(n) for n in rng.integers(max(1, size - 2 * P), 13, size=2))
        x, w, b = (fractions(rng, *s) for s in [(D, H, W), (K, D, size, size), (K,)])
        given = [x.tolist(), w.tolist(), b.tolist(), S, P]
        got = compute(page, "return m.conv2d(...a);", given)
        tensors = (torch.from_numpy(array) for array in (x, w, b))
        expected = F.conv2d(*tensors, stride=S, padding=P)
        assert np.shape(got) == expected.shape
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


def test_output_sizes_are_those_of_pytorch(lab):
    page = lab("convolution")
    cases = list(product(range(1, 9), range(1, 8), range(1, 5), range(3)))
    sizes = compute(page, "return a.map((c) => m.outputSize(...c));", cases)
    for (W, size, S, P), got in zip(cases, sizes, strict=True):
        if size > W + 2 * P:
            assert got <= 0
        else:
            image, kernel = torch.zeros(1, W, W), torch.zeros(1, 1, size, size)
            assert F.conv2d(image, kernel, stride=S, padding=P).shape[1] == got


@pytest.mark.parametrize("seed", range(3))
def test_what_a_reader_changes_is_computed(lab, seed):
    """Sizes, entries and biases typed in: all outputs are those of PyTorch."""
    page, rng = lab("convolution"), random.Random(seed)
    case = rng.choice(["figure", "4", "5", "7"]) if seed else "figure"
    page.get_by_role("combobox", name="input").select_option(case)
    K, size, S, P = rng.randint(1, 3), rng.randint(1, 4), rng.randint(2, 4), seed % 3
    for label, value in zip(
        ["kernels K", "size F", "stride S", "padding P"], [K, size, S, P], strict=True
    ):
        page.get_by_label(label).fill(str(value))
    D = 3 if case == "figure" else 1
    w, b = torch.zeros(K, D, size, size).double(), torch.zeros(K).double()
    for k in range(K):
        page.get_by_role("combobox", name="kernel").select_option(str(k))
        b[k] = rng.choice([-1.5, 0, 2])
        page.get_by_label(f"bias b[{k}]").fill(str(b[k].item()))
        for d, u, v in product(range(D), range(size), range(size)):
            w[k, d, u, v] = rng.choice([-2, -0.5, 0, 0.25, 1, 3])
            name = f"w[{k}, {d}], row {u}, column {v}"
            page.get_by_label(name, exact=True).fill(f"{w[k, d, u, v].item():g}")
    page.get_by_label(f"output y[{K - 1}]").locator("td").last.click()
    captions = page.locator("figcaption").all_inner_texts()
    inputs = [caption for caption in captions if caption.startswith("input")]
    padded = torch.tensor([numbers(page, caption) for caption in inputs]).double()
    maps = [numbers(page, f"output y[{k}]") for k in range(K)]
    expected = F.conv2d(padded, w, b, stride=S)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=0.0051)  # as displayed


def test_the_embedded_digits_are_those_of_the_sample(lab):
    page = lab("convolution")
    digits = page.evaluate('lab.load("windows").then((m) => m.digits)')
    train = load_mnist(source="sample", validation=0).train
    for label, rows in digits.items():
        i = int(label)  # each stands in the place of its label
        image = torch.from_numpy(train.images[i]).float()[None]
        means = F.avg_pool2d(image, 2)[0] * 9 / 255
        assert train.labels[i] == i and rows == means.round().tolist()


def test_when_no_window_fits_a_sentence_says_so(lab):
    page = lab("convolution")
    page.get_by_label("size F").fill("7")
    page.get_by_label("padding P").fill("0")
    assert "No window fits: the kernel is 7 wide" in page.inner_text(
        ".lab > [role=status]"
    )
    assert "(5 − 7 + 2 · 0) / 2⌋ + 1 = 0" in page.inner_text(".lab-formula")
    assert not page.get_by_role("button", name="Play").is_visible()
    page.get_by_label("padding P").fill("1")
    assert page.get_by_role("button", name="Play").is_visible()
    assert np.shape(numbers(page, "output y[1]")) == (1, 1)


def test_nonsense_leaves_the_last_good_numbers(lab):
    page = lab("convolution")
    entry = page.get_by_label("w[0, 0], row 0, column 0", exact=True)
    before = page.inner_text(".lab-equation")
    for text in ("NaN", "", "abc", "1e9", "100"):
        entry.fill(text)
        assert "Enter a number from -99 to 99." in page.inner_text(".lab-hints")
        assert entry.get_attribute("aria-invalid") == "true"
        assert page.inner_text(".lab-equation") == before
    page.get_by_label("stride S").fill("0")
    assert "Enter a whole number from 1 to 4." in page.inner_text(".lab-sizes")
    assert page.inner_text(".lab-equation") == before
    press(page, "Reset all numbers")
    assert page.inner_text(".lab-hints") == ""
    assert page.get_by_label("stride S").input_value() == "2"


def test_the_keyboard_alone_plays_pauses_and_steps(lab):
    page = lab("convolution")
    equation = page.locator(".lab-equation")
    for key, button in [("Enter", "Step forward"), ("Space", "Step back")]:
        page.get_by_role("button", name=button).focus()
        page.keyboard.press(key)
        place = "y[0, 0, 1]" if button == "Step forward" else "y[0, 0, 0]"
        assert equation.inner_text().startswith(place)
    page.get_by_label("speed").focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function(
        "document.querySelector('.lab-equation').textContent.startsWith('y[0, 1')"
    )
    page.get_by_role("button", name="Pause").press("Enter")
    stopped = equation.inner_text()
    assert "Output" in page.inner_text(".lab > [role=status]")
    page.wait_for_timeout(150)
    assert equation.inner_text() == stopped
    page.get_by_role("button", name="Play").press("Enter")
    page.get_by_role("button", name="Play").wait_for()  # at the end it is Play again
    assert equation.inner_text().startswith("y[1, 2, 2]")
    press(page, "To the start")
    assert equation.inner_text().startswith("y[0, 0, 0]")
    # Into the map of outputs with Tab, and through it with the arrows.
    page.get_by_label("output y[0]").locator("td[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert equation.inner_text().startswith("y[0, 0, 2]")


@pytest.mark.parametrize("name", ["convolution", "pooling"])
def test_nothing_moves_by_itself_where_less_motion_is_asked_for(lab, page, name):
    page.emulate_media(reduced_motion="reduce")
    lab(name)
    assert not page.get_by_role("button", name="Play").is_visible()
    assert "step by step" in page.inner_text(".lab")
    before = page.inner_text(".lab-equation")
    press(page, "Step forward")
    assert page.inner_text(".lab-equation") != before


@pytest.mark.parametrize("name", ["convolution", "pooling"])
@pytest.mark.parametrize("case", ["figure", "4"])
def test_a_narrow_page_does_not_scroll_sideways(lab, page, name, case):
    page.set_viewport_size({"width": 360, "height": 700})
    lab(name).get_by_role("combobox", name="input").select_option(case)
    if name == "convolution":
        page.get_by_label("padding P").fill("2")
        page.get_by_label("size F").fill("5")
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator(".lab-numbers input, .lab-row input").last.fill("-2.375")


def test_pooling_opens_on_the_figure_and_steps_through_it(lab):
    page = lab("pooling")
    entries = page.locator("td input").all()
    assert [float(e.input_value()) for e in entries] == np.ravel(FIGURE_5).tolist()
    assert numbers(page, "output y") == [[6, 8], [3, 4]]
    # In the first window, 4 is the sixth number; a circle marks each winner.
    winners = []
    for _ in range(4):
        circled = (
            "[...document.querySelectorAll('td')].findIndex((cell) => cell.matches"
        )
        winners.append(page.evaluate(f"{circled}('.lab-winner'))"))
        press(page, "Step forward")
    assert winners == [5, 7, 8, 15]
    page.get_by_role("combobox", name="keep").select_option("average")
    assert numbers(page, "output y") == [[2.75, 4.75], [1.75, 1.75]]
    assert page.locator(".lab-winner").count() == 0


def test_poolings_are_those_of_pytorch(lab):
    page, rng = lab("pooling"), np.random.default_rng(0)
    for _ in range(60):
        size, S = (int(n) for n in rng.integers(1, 6, size=2))
        x = fractions(rng, *rng.integers(size, 15, size=2))
        given, tensor = [x.tolist(), size, S], torch.from_numpy(x)[None]
        largest, average = compute(
            page, "return [m.maxPool(...a), m.avgPool(...a)];", given
        )
        assert largest == F.max_pool2d(tensor, size, S)[0].tolist()
        expected = F.avg_pool2d(tensor, size, S)[0]
        np.testing.assert_allclose(average, expected, rtol=0, atol=1e-12)


def test_pooling_of_what_a_reader_types(lab):
    page, x = lab("pooling"), torch.tensor(FIGURE_5).double()
    for place, value in [((1, 1), -7.5), ((2, 3), 9), ((0, 0), 0.25)]:
        x[place] = value
        page.get_by_label("x, row {}, column {}".format(*place)).fill(str(value))
    for size, stride in product((1, 2, 3, 4), (1, 2, 3)):
        page.get_by_label("size F").fill(str(size))
        page.get_by_label("stride S").fill(str(stride))
        for kind, pool in [("max", F.max_pool2d), ("average", F.avg_pool2d)]:
            page.get_by_role("combobox", name="keep").select_option(kind)
            expected = pool(x[None], size, stride)[0]
            np.testing.assert_allclose(
                numbers(page, "output y"), expected, rtol=0, atol=0.0051
            )
    # 4 x 4 by windows of 1 with a stride of 3: only the corners are looked at.
    page.get_by_label("size F").fill("1")
    assert page.locator("td.lab-padding").count() == 12
    assert page.get_by_text("Hatched numbers are in no window").is_visible()
    page.get_by_label("size F").fill("6")
    assert "No window fits" in page.inner_text(".lab > [role=status]")


def test_pooling_follows_the_pointer_and_the_arrows(lab):
    page = lab("pooling")
    page.get_by_role("combobox", name="input").select_option("7")
    cells = page.get_by_label("output y").locator("td")
    cells.nth(16).hover()
    assert page.inner_text(".lab-equation").startswith("y[2, 2]: the largest of")
    assert cells.nth(16).get_attribute("aria-current") == "true"
    cells.nth(16).focus()
    page.keyboard.press("ArrowDown")
    assert page.inner_text(".lab-equation").startswith("y[3, 2]")
    assert page.evaluate("document.activeElement.getAttribute('aria-current')")


def test_in_a_tie_the_first_wins_as_in_pytorch(lab):
    page, x = lab("pooling"), torch.tensor(FIGURE_5).double()
    page.get_by_label("x, row 0, column 1").fill("4")
    x[0, 1] = 4
    page.get_by_label("x, row 1, column 1").fill("4")
    x[1, 1] = 4
    _, places = F.max_pool2d(x[None], 2, return_indices=True)
    winner = places[0, 0, 0].item()
    assert page.locator("td").nth(winner).get_attribute("class") == "lab-winner"


def test_a_map_too_wide_for_the_page_scrolls_to_its_window(lab, page):
    page.set_viewport_size({"width": 360, "height": 700})
    lab("convolution").get_by_role("combobox", name="input").select_option("4")
    page.get_by_label("bias b[0]").fill("-2.375")
    cells = page.get_by_label("output y[0]").locator("td")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for column in range(12):
        box = cells.nth(column).bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= 360
        press(page, "Step forward")


def test_a_digit_takes_half_a_minute_and_not_two(lab):
    page = lab("convolution")
    speed = page.locator("label", has_text="speed").locator("output")
    assert speed.inner_text() == "2 a second"
    page.get_by_role("combobox", name="input").select_option("7")
    assert speed.inner_text() == "10 a second"
