"""The lab on activation functions, and on gradients in a chain, against autograd."""

import numpy as np
import pytest
import torch
from test_labs import number, slide
from torch.nn import functional as F

FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": F.relu,
    "leaky ReLU": F.leaky_relu,
    "SiLU": F.silu,
    "GELU": F.gelu,
}


def test_functions_slopes_and_chains_agree_with_autograd(lab):
    points = [*np.linspace(-8, 8, 49).tolist(), -40, -12, 12, 40]  # 0 is among them
    settings = [(1, 1, 10), (-2.5, 0.3, 7), (4, 0, 1), (5, -5, 10), (0, 2, 3)]
    found = lab("nothing", wait=False).evaluate(
        """async ([points, settings]) => {
            const { FUNCTIONS, chain } = await lab.load("activations");
            return Object.entries(FUNCTIONS).map(([name, { f, slope }]) =>
                [name, [points.map(f), points.map(slope)],
                    settings.map((setting) => chain({ f, slope }, ...setting))]);
        }""",
        [points, settings],
    )
    assert [name for name, *_ in found] == list(FUNCTIONS)
    for name, curves, chains in found:
        f = FUNCTIONS[name]
        a = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        values = f(a)
        values.sum().backward()
        expected = torch.stack([values, a.grad]).detach()
        assert np.allclose(curves, expected, rtol=0, atol=1e-6), name
        for (weight, x, count), layers in zip(settings, chains, strict=True):
            h = torch.tensor(x, dtype=torch.float64, requires_grad=True)
            inputs, sums = [], []
            for _ in range(count):
                inputs.append(h)
                sums.append(weight * h)
                h = f(sums[-1])
            expected = torch.stack(torch.autograd.grad(h, inputs))
            sums = torch.stack(sums).detach()
            assert np.allclose([layer["a"] for layer in layers], sums)
            gradients = [layer["gradient"] for layer in layers]
            assert np.allclose(gradients, expected, rtol=1e-6, atol=1e-15), name


def test_a_point_moves_by_pointer_and_by_keys(lab):
    page = lab("activations")
    values = page.locator(".lab-activations-values strong")
    slider = page.get_by_role("slider", name="a", exact=True)
    for name, f in FUNCTIONS.items():
        page.get_by_label("Activation function f").select_option(name)
        plot = page.locator(".lab-activations-plot").first
        box = plot.bounding_box()
        plot.hover(position={"x": box["width"] * 0.75, "y": 40})
        a = torch.tensor(number(slider.get_attribute("aria-valuetext")))
        assert 2.5 < a < 4
        slide(page, "a", "ArrowRight")
        a = (a.double() + 0.1).requires_grad_()
        f(a).backward()
        shown = [number(text) for text in values.all_inner_texts()]
        assert shown == pytest.approx([f(a).item(), a.grad.item()], abs=1e-4)
        assert f"The curve of {name} " in plot.get_attribute("aria-label")


def test_the_gradient_vanishes_with_sigmoid_and_not_with_relu(lab):
    page = lab("activations")
    rows = page.locator("tbody tr")
    last = rows.last.locator("td").last
    assert rows.count() == 10
    assert "10⁻" in last.inner_text()
    page.get_by_label("Activation function f").select_option("ReLU")
    assert last.inner_text() == "1.00"
    slide(page, "Input x", "Home")
    assert last.inner_text() == "0"
    page.get_by_role("status").get_by_text("no gradient reaches layer 1").wait_for()
    slide(page, "Layers", "Home")
    assert rows.count() == 1
