"""The lab on pooling, driven in a real browser, against PyTorch."""

from itertools import product

import numpy as np
import pytest
import torch
from test_lab_convolution import compute, fractions, numbers
from test_labs import press
from torch.nn import functional as F

from mnist_lesson import figures

FIGURE_5 = figures.POOLED.tolist()


def winner(page):
    """Give the place of the number in a circle; -1 where there is none."""
    cells = page.locator("td").evaluate_all("(all) => all.map((td) => td.className)")
    return next((i for i, kinds in enumerate(cells) if "lab-winner" in kinds), -1)


def test_it_opens_on_the_figure_and_steps_through_it(lab):
    page = lab("pooling")
    entries = page.locator("td input").all()
    assert [float(e.input_value()) for e in entries] == np.ravel(FIGURE_5).tolist()
    assert numbers(page, "output y") == [[6, 8], [3, 4]]
    for place in 5, 7, 8, 15:  # in the first window, 4 is the sixth number
        assert winner(page) == place
        press(page, "Step forward")
    page.get_by_role("combobox", name="pooling").select_option("average")
    assert numbers(page, "output y") == [[2.75, 4.75], [1.75, 1.75]]
    assert winner(page) == -1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_full_ink_stands_out_from_paper(lab, theme):
    """As far as the numbers on it stay legible, which axe sees to."""
    page = lab("pooling")
    page.evaluate("(name) => document.documentElement.dataset.theme = name", theme)
    page.get_by_role("combobox", name="input").select_option("5")
    cells = page.get_by_label("input x").locator("td").filter(has_text="9")
    share = cells.first.evaluate(
        """(cell) => getComputedStyle(cell).backgroundColor.match(/[0-9.]+/g).at(-1)"""
    )
    assert float(share) == pytest.approx({"light": 0.45, "dark": 0.27}[theme])


def test_poolings_are_those_of_pytorch(lab):
    rng, cases = np.random.default_rng(0), []
    for _ in range(60):
        size, S = (int(n) for n in rng.integers(1, 6, size=2))
        x = fractions(rng, *rng.integers(size, 15, size=2))
        cases.append([x.tolist(), size, S])
    pools = "return a.map((c) => [m.maxPool(...c), m.avgPool(...c)]);"
    for (x, size, S), (largest, average) in zip(
        cases, compute(lab, pools, cases), strict=True
    ):
        x = torch.tensor(x, dtype=torch.float64)[None]
        assert largest == F.max_pool2d(x, size, S)[0].tolist()
        expected = F.avg_pool2d(x, size, S)[0]
        np.testing.assert_allclose(average, expected, rtol=0, atol=1e-12)


def test_pooling_of_what_a_reader_types(lab):
    page, x = lab("pooling"), torch.tensor(FIGURE_5).double()
    for place, value in [((0, 1), 4), ((1, 1), 4), ((2, 3), 9), ((0, 0), 0.25)]:
        x[place] = value
        page.get_by_label("x, row {}, column {}".format(*place)).fill(str(value))
    # In a tie the first wins.
    _, places = F.max_pool2d(x[None], 2, return_indices=True)
    assert winner(page) == places[0, 0, 0]
    page.get_by_label("x, row 1, column 1").fill("-7.5")
    x[1, 1] = -7.5
    for size, stride in product((1, 2, 3, 4), (1, 2, 3)):
        page.get_by_label("size F").fill(str(size))
        page.get_by_label("stride S").fill(str(stride))
        for kind, pool in [("max", F.max_pool2d), ("average", F.avg_pool2d)]:
            page.get_by_role("combobox", name="pooling").select_option(kind)
            expected, shown = pool(x[None], size, stride)[0], numbers(page, "output y")
            np.testing.assert_allclose(shown, expected, rtol=0, atol=0.0051)
    # 4 x 4 by windows of 1 with a stride of 3: only the corners are looked at.
    page.get_by_label("size F").fill("1")
    assert page.locator("td.lab-padding").count() == 12
    assert page.get_by_text("Hatched numbers are in no window").is_visible()
    page.get_by_label("size F").fill("6")
    assert "No window fits" in page.inner_text(".lab > [role=status]")


def test_it_follows_the_pointer_and_the_arrows(lab):
    page = lab("pooling")
    page.get_by_role("combobox", name="input").select_option("7")
    cells = page.get_by_label("output y").locator("td")
    cells.nth(16).hover()
    assert page.inner_text(".lab-equation").startswith("y[2, 2]: the largest of")
    assert cells.nth(16).get_attribute("aria-current") == "true"
    cells.nth(16).press("ArrowDown")
    assert page.inner_text(".lab-equation").startswith("y[3, 2]")
    assert page.evaluate("document.activeElement.getAttribute('aria-current')")
