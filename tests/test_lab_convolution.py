"""The lab on convolution, driven in a real browser, against PyTorch."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from test_labs import FRAMES, number, press
from torch.nn import functional as F

from mnist_lesson import figures, load_mnist


def numbers(page, caption):
    """Read the one table of this name, as a reader would; an empty cell is None."""
    [table] = tables(page, caption)
    return table


def tables(page, caption):
    texts = page.get_by_label(caption, exact=True).evaluate_all(
        "(tables) => tables.map((table) => [...table.rows]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent)))"
    )
    return [[[number(text) for text in row] for row in rows] for rows in texts]


def compute(lab, expression, argument):
    """Let the page's arithmetic `m` compute, without a lab."""
    script = f"async (a) => {{ const m = await lab.load('arithmetic'); {expression} }}"
    return lab("nothing", wait=False).evaluate(script, argument)


def fractions(rng, *shape):
    return rng.normal(scale=3, size=shape).round(3)


def test_it_opens_on_the_figure_and_steps_through_it(lab):
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
        assert tables(page, "products") == layer.products(r, c)[k].tolist()
        filled = [numbers(page, f"output y[{k}]") for k in (0, 1)]
        expected = [*layer.output.flatten()[: i + 1].tolist(), *[None] * (17 - i)]
        assert np.ravel(filled).tolist() == expected
        press(page, "Step forward")
    x, w, b = (torch.from_numpy(array).double() for array in layer[:3])
    assert filled == F.conv2d(x, w, b, layer.stride, layer.padding).tolist()


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
    # The frame glides there.
    page.wait_for_function("document.getAnimations().length === 0")
    frame = table.locator("xpath=following-sibling::span").bounding_box()
    first = table.locator("tr").nth(2).locator("td").nth(4).bounding_box()
    last = table.locator("tr").nth(4).locator("td").nth(6).bounding_box()
    for side, length in ("x", "width"), ("y", "height"):
        assert frame[side] == pytest.approx(first[side], abs=2)
        end = last[side] + last[length]
        assert frame[side] + frame[length] == pytest.approx(end, abs=2)


def test_convolutions_are_those_of_pytorch(lab):
    rng, cases = np.random.default_rng(0), []
    for _ in range(60):
        K, D, size, S, P = (int(rng.integers(1, n)) for n in (5, 4, 8, 5, 4))
        P -= 1
        H, W = (int(n) for n in rng.integers(max(1, size - 2 * P), 13, size=2))
        arrays = (fractions(rng, *s) for s in [(D, H, W), (K, D, size, size), (K,)])
        cases.append([*(array.tolist() for array in arrays), S, P])
    for (x, w, b, S, P), got in zip(
        cases, compute(lab, "return a.map((c) => m.conv2d(...c));", cases), strict=True
    ):
        tensors = (torch.tensor(a, dtype=torch.float64) for a in (x, w, b))
        expected = F.conv2d(*tensors, stride=S, padding=P)
        assert np.shape(got) == expected.shape
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


def test_output_sizes_are_those_of_pytorch(lab):
    cases = list(product(range(1, 9), range(1, 8), range(1, 5), range(3)))
    sizes = compute(lab, "return a.map((c) => m.outputSize(...c));", cases)
    for (W, size, S, P), got in zip(cases, sizes, strict=True):
        if size > W + 2 * P:
            assert got <= 0
        else:
            image, kernel = torch.zeros(1, W, W), torch.zeros(1, 1, size, size)
            assert F.conv2d(image, kernel, stride=S, padding=P).shape[1] == got


@pytest.mark.parametrize(
    "case, K, size, S, P", [("figure", 2, 2, 3, 2), ("7", 3, 4, 2, 1)]
)
def test_what_a_reader_changes_is_computed(lab, case, K, size, S, P):
    """Sizes, entries and biases typed in: all outputs are those of PyTorch."""
    page, rng = lab("convolution"), random.Random(0)
    page.get_by_role("combobox", name="input").select_option(case)
    for label, value in [
        ("kernels K", K), ("size F", size), ("stride S", S), ("padding P", P)
    ]:  # fmt: skip
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
    inputs = [numbers(page, f"input x[{d}] with padding") for d in range(D)]
    maps = [numbers(page, f"output y[{k}]") for k in range(K)]
    expected = F.conv2d(torch.tensor(inputs).to(w), w, b, stride=S)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=0.0051)  # as displayed


def test_the_embedded_digits_are_those_of_the_sample(lab):
    page = lab("nothing", wait=False)
    digits = page.evaluate("lab.load('windows').then(({ digits }) => digits)")
    train = load_mnist(source="sample", validation=0).train
    for label, rows in digits.items():
        i = int(label)  # each stands in the place of its label
        image = torch.from_numpy(train.images[i]).float()[None]
        means = F.avg_pool2d(image, 2)[0] * 9 / 255
        assert train.labels[i] == i and rows == means.round().tolist()


def test_what_cannot_be_is_said(lab):
    """Nonsense leaves the last good numbers, and a window must fit in."""
    page = lab("convolution")
    entry = page.get_by_label("w[0, 0], row 0, column 0", exact=True)
    before = page.inner_text(".lab-equation")
    for text in ("NaN", "", "abc", "1e9", "100"):
        entry.fill(text)
        hints = page.locator(".lab-hints")
        hints.get_by_text("Enter a number from -99 to 99.").wait_for()
        assert entry.get_attribute("aria-invalid") == "true"
        assert page.inner_text(".lab-equation") == before
    page.get_by_label("stride S").fill("0")
    sizes = page.locator(".lab-sizes")
    sizes.get_by_text("Enter a whole number from 1 to 4.").wait_for()
    assert page.inner_text(".lab-equation") == before
    press(page, "Reset all numbers")
    assert page.inner_text(".lab-hints") == ""
    assert page.get_by_label("stride S").input_value() == "2"

    page.get_by_label("size F").fill("7")
    page.get_by_label("padding P").fill("0")
    said = page.inner_text(".lab > [role=status]")
    assert "No window fits: the kernel is 7 wide" in said
    assert "(5 − 7 + 2 · 0) / 2⌋ + 1 = 0" in page.inner_text(".lab-formula")
    assert not page.get_by_role("button", name="Play").is_visible()
    page.get_by_label("padding P").fill("1")
    assert page.get_by_role("button", name="Play").is_visible()
    assert np.shape(numbers(page, "output y[1]")) == (1, 1)


def test_the_keyboard_alone_plays_pauses_and_steps(lab):
    page = lab("convolution")
    equation = page.locator(".lab-equation")
    press(page, "Step forward")
    assert equation.inner_text().startswith("y[0, 0, 1]")
    page.get_by_role("button", name="Step back").press("Space")
    assert equation.inner_text().startswith("y[0, 0, 0]")
    press(page, "Play")
    page.wait_for_function(
        "document.querySelector('.lab-equation').textContent.startsWith('y[0, 0, 2')"
    )
    press(page, "Pause")
    stopped = equation.inner_text()
    assert "Output" in page.inner_text(".lab > [role=status]")
    page.evaluate(FRAMES, 10)
    assert equation.inner_text() == stopped
    page.get_by_label("speed").press("End")
    press(page, "Play")
    page.get_by_role("button", name="Play").wait_for()  # at the end it is Play again
    assert equation.inner_text().startswith("y[1, 2, 2]")
    press(page, "To the start")
    assert equation.inner_text().startswith("y[0, 0, 0]")
    # Into the map of outputs with Tab, and through it with the arrows.
    page.get_by_label("output y[0]").locator("td[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert equation.inner_text().startswith("y[0, 0, 2]")


def test_nothing_moves_by_itself_where_less_motion_is_asked_for(lab, page):
    page.emulate_media(reduced_motion="reduce")
    lab("convolution")
    assert not page.get_by_role("button", name="Play").is_visible()
    assert "step by step" in page.inner_text(".lab")
    before = page.inner_text(".lab-equation")
    press(page, "Step forward")
    assert page.inner_text(".lab-equation") != before


def test_a_digit_scrolls_to_its_window_and_takes_half_a_minute(lab, page):
    """Its map is too wide for a phone, and has too many windows for two a second."""
    page.set_viewport_size({"width": 360, "height": 700})
    lab("convolution")
    speed = page.locator("label", has_text="speed").locator("output")
    assert speed.inner_text() == "2 a second"
    page.get_by_role("combobox", name="input").select_option("4")
    assert speed.inner_text() == "10 a second"
    page.get_by_label("bias b[0]").fill("-2.375")
    cells = page.get_by_label("output y[0]").locator("td")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for column in range(12):
        box = cells.nth(column).bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= 360
        press(page, "Step forward")


def test_one_output_is_not_always_from_the_whole_input(lab):
    """The goal is not reached by a stride that leaves most of the input out."""
    page = lab("convolution")
    goal = page.locator(".lab-goals li").first
    for stride, padding, size, reached in (4, 0, 3, False), (1, 1, 7, True):
        for name, value in ("F", size), ("padding P", padding), ("stride S", stride):
            page.get_by_label(name).fill(str(value))
        assert np.shape(numbers(page, "output y[0]")) == (1, 1)
        if reached:
            page.get_by_text("Goal reached: a single output").wait_for()
        else:
            page.wait_for_timeout(400)  # goals are looked at five times a second
        assert goal.text_content().startswith("Reached") is reached
