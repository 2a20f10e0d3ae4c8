"""The labs softmax, scores and activations, in a real browser.

PyTorch and the sample are the oracles for what they compute; the rest does with them
what a reader would do.
"""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from test_labs import LABS
from torch.nn import functional as F

from mnist_lesson import load_mnist, to_input
from tools.make_lab_digits import few_levels

NAMES = ("softmax", "scores", "activations")
FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": F.relu,
    "leaky ReLU": F.leaky_relu,
    "SiLU": F.silu,
    "GELU": F.gelu,
}


def slide(page, name, *keys):
    for key in keys:
        page.get_by_role("slider", name=name, exact=True).press(key)


PLAIN = str.maketrans("−", "-", ",")


def number(text):
    """Return the last number in a text that a reader sees."""
    return float(re.findall(r"[-−]?\d[\d,.]*", text)[-1].translate(PLAIN))


# softmax: learning as you watch


@pytest.fixture(scope="module")
def digits():
    mnist = load_mnist(source="sample", validation=0)
    return {"train": mnist.train, "test": mnist.test}


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_digits_are_the_samples_in_four_grey_levels(lab, digits, part):
    images, sums, labels = lab("softmax").evaluate(
        """async (part) => {
            const { images, labels } = (await lab.load("digits"))[part];
            const sums = Array.from(labels, () => 0);
            const add = (grey, k) => { sums[Math.floor(k / 784)] += grey * (k % 784); };
            images.forEach(add);
            return [Array.from(images.subarray(0, 784 * 20)), sums, Array.from(labels)];
        }""",
        part,
    )
    expected = few_levels(digits[part].images).reshape(-1, 784)
    assert images == expected[:20].ravel().tolist()
    assert sums == (expected.astype(int) @ np.arange(784)).tolist()
    assert labels == digits[part].labels.tolist()
    assert (LABS / "digits.js").stat().st_size < 350_000


def test_three_steps_are_those_of_sgd(lab, digits):
    batches = torch.randint(4000, (3, 32), generator=torch.Generator().manual_seed(0))
    costs, weights, biases, held = lab("softmax").evaluate(
        """async (batches) => {
            const { SoftmaxRegression } = await lab.load("softmax");
            const { train, test } = await lab.load("digits");
            const model = new SoftmaxRegression();
            const inputs = lab.toInput(train.images);
            const step = (rows) => model.step(inputs, train.labels, rows, 0.1);
            return [batches.map(step), [...model.weights], [...model.biases],
                model.evaluate(lab.toInput(test.images), test.labels)];
        }""",
        batches.tolist(),
    )
    layer = torch.nn.Linear(784, 10)
    torch.nn.init.zeros_(layer.weight), torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    train, test = ((few_levels(d.images), d.labels) for d in digits.values())
    for rows, cost in zip(batches, costs, strict=True):
        inputs, labels = to_input(train[0][rows]).flatten(1), train[1][rows]
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(inputs), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        assert cost == pytest.approx(loss.item(), abs=1e-5)
    assert np.allclose(weights, layer.weight.detach().flatten(), rtol=0, atol=1e-5)
    assert np.allclose(biases, layer.bias.detach(), rtol=0, atol=1e-5)
    with torch.no_grad():
        logits, labels = layer(to_input(test[0]).flatten(1)), torch.from_numpy(test[1])
    assert held["cost"] == pytest.approx(F.cross_entropy(logits, labels).item(), 1e-5)
    assert held["right"] == (logits.argmax(1) == labels).sum()


def shown(page, name):
    return number(page.inner_text(f"div:has(> dt:text-is('{name}')) dd"))


def test_ten_epochs_with_the_default_settings_read_88_percent(lab):
    page = lab("softmax")
    page.emulate_media(reduced_motion="reduce")  # nothing to watch: at full speed
    assert shown(page, "held-out accuracy") == 10
    assert shown(page, "held-out cost") == 2.303
    page.get_by_role("img", name="Template of 0: all weights are 0.").wait_for()
    for epoch in range(1, 11):
        page.get_by_role("button", name="One epoch").press("Enter")
        page.get_by_role("status").get_by_text(f"{epoch} complete epoch").wait_for()
    assert shown(page, "steps") == 1_250 and shown(page, "epochs") == 10
    assert shown(page, "held-out accuracy") >= 88
    assert shown(page, "held-out cost") < 0.45
    zero = page.get_by_role("img", name="Template of 0")
    assert "middle centre most against it" in zero.get_attribute("aria-label")
    page.get_by_role("img", name="Held-out cost now 0.").wait_for()


def test_training_runs_pauses_and_starts_again_the_same(lab):
    page = lab("softmax")
    said = page.get_by_role("status")
    step = page.get_by_role("button", name="One step")
    step.click(), step.click()
    said.get_by_text("After 2 steps").wait_for()
    assert shown(page, "steps") == 2
    first = page.inner_text("dl")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("parseFloat(document.querySelector('dd').textContent) > 0.1")
    page.get_by_role("button", name="Pause").click()
    said.get_by_text("digits are read right").wait_for()
    paused = page.inner_text("dl")
    page.wait_for_timeout(100)
    assert page.inner_text("dl") == paused and shown(page, "steps") > 2
    page.get_by_role("button", name="Reset").click()
    said.get_by_text("All weights are 0").wait_for()
    assert shown(page, "steps") == 0 and shown(page, "held-out accuracy") == 10
    step.click(), step.click()
    said.get_by_text("After 2 steps").wait_for()
    assert page.inner_text("dl") == first


def test_learning_rate_and_batch_size_take_effect(lab):
    page = lab("softmax")
    slide(page, "Batch size", "End")
    page.get_by_role("button", name="One epoch").click()
    page.get_by_role("status").get_by_text("1 complete epoch").wait_for()
    assert shown(page, "steps") == 8  # 4,000 digits in batches of 512
    calm = shown(page, "held-out cost")
    page.get_by_role("button", name="Reset").click()
    slide(page, "Learning rate", "End")
    page.get_by_role("button", name="One epoch").click()
    page.get_by_role("status").get_by_text("1 complete epoch").wait_for()
    # One learns, better than guessing; the other is thrown about, and far worse.
    assert calm < 2.303 < 4.606 < shown(page, "held-out cost")


def test_without_motion_the_pictures_rest_while_it_learns(lab):
    page = lab("softmax")
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(
        """() => {
            window.changes = new Set();
            const epochs = document.querySelector("dd");
            new MutationObserver(() => changes.add(epochs.textContent))
                .observe(epochs, { subtree: true, childList: true });
        }"""
    )
    page.get_by_role("button", name="One epoch").click()
    page.get_by_role("status").get_by_text("1 complete epoch").wait_for()
    assert page.evaluate("[...changes]") == ["1.00"]


# scores: softmax, cross-entropy, gradient


def test_scores_agree_with_pytorch_for_extreme_logits_too(lab):
    generator = torch.Generator().manual_seed(0)
    cases = [3 * torch.randn(10, generator=generator).double() for _ in range(20)]
    cases += [1e3 * case for case in cases[:5]] + [torch.zeros(10).double()]
    cases += [torch.full((10,), v).double() for v in (1e5, -1e5)]
    cases.append(torch.linspace(-1e4, 1e4, 10).double())
    labels = [n % 10 for n in range(len(cases))]
    found = lab("scores").evaluate(
        """async ([cases, labels]) => {
            const { softmax, crossEntropy, gradient } = await lab.load("scores");
            return cases.map((z, n) =>
                [softmax(z), crossEntropy(z, labels[n]), gradient(z, labels[n])]);
        }""",
        [[case.tolist() for case in cases], labels],
    )
    for z, label, (y, cost, slope) in zip(cases, labels, found, strict=True):
        z.requires_grad_()
        expected = F.cross_entropy(z, torch.tensor(label))
        expected.backward()
        assert np.allclose(y, z.softmax(0).detach(), rtol=0, atol=1e-6)
        assert cost == pytest.approx(expected.item(), abs=1e-6)
        assert np.allclose(slope, z.grad, rtol=0, atol=1e-6)


def table(page):
    rows = page.locator("tbody tr").all()
    return np.array(
        [[number(c.inner_text()) for c in r.locator("td").all()] for r in rows]
    )


def test_what_the_scores_show_follows_what_is_moved(lab):
    page = lab("scores")
    page.get_by_role("button", name="All equal").press("Enter")
    assert (table(page) == [[0, 0.1, -0.9 if n == 4 else 0.1] for n in range(10)]).all()
    assert "2.3026 nats" in page.inner_text(".lab-scores-cost")

    page.get_by_label("Label").select_option("3")
    slide(page, "Score of 3", "End")  # 10
    slide(page, "Score of 8", "PageUp", "ArrowLeft")
    slide(page, "Temperature", *["ArrowRight"] * 6)
    z, y, slope = table(page).T
    temperature = 10**0.3
    assert z[3] == 10 and 0 < z[8] < 10
    expected = (torch.from_numpy(z) / temperature).softmax(0).numpy()
    assert np.allclose(y, expected, atol=1e-4)
    assert np.allclose(slope, expected - np.eye(10)[3], atol=1e-4)
    assert number(page.inner_text(".lab-scores-cost")) == pytest.approx(
        -np.log(expected[3]), abs=1e-4
    )
    page.get_by_role("status").get_by_text("3 is the most probable digit").wait_for()


def test_steps_against_the_gradient_lower_the_cost(lab):
    page = lab("scores")
    page.get_by_label("Label").select_option("9")
    costs = []
    for _ in range(12):
        costs.append(number(page.inner_text(".lab-scores-cost strong")))
        page.get_by_role("button", name="Step against the gradient").click()
    assert all(after < before for before, after in pairwise(costs))
    assert costs[-1] < 0.15


# activations: f, its derivative, a chain of layers


def test_functions_and_slopes_agree_with_autograd(lab):
    points = [*np.linspace(-8, 8, 49).tolist(), -40, -12, 12, 40]  # 0 is among them
    found = lab("activations").evaluate(
        """async (points) => {
            const { FUNCTIONS } = await lab.load("activations");
            return Object.fromEntries(Object.entries(FUNCTIONS).map(
                ([name, { f, slope }]) => [name, [points.map(f), points.map(slope)]]));
        }""",
        points,
    )
    assert list(found) == list(FUNCTIONS)
    for name, f in FUNCTIONS.items():
        a = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        values = f(a)
        values.sum().backward()
        expected = torch.stack([values, a.grad]).detach()
        assert np.allclose(found[name], expected, rtol=0, atol=1e-6), name


def test_the_chain_agrees_with_autograd(lab):
    settings = [(1, 1, 10), (-2.5, 0.3, 7), (4, 0, 1), (5, -5, 10), (0, 2, 3)]
    cases = [(name, *setting) for name in FUNCTIONS for setting in settings]
    found = lab("activations").evaluate(
        """async (cases) => {
            const { FUNCTIONS, chain } = await lab.load("activations");
            return cases.map(([name, ...rest]) => chain(FUNCTIONS[name], ...rest));
        }""",
        cases,
    )
    for (name, weight, x, count), layers in zip(cases, found, strict=True):
        h = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        inputs, sums = [], []
        for _ in range(count):
            inputs.append(h)
            sums.append(weight * h)
            h = FUNCTIONS[name](sums[-1])
        expected = torch.stack(torch.autograd.grad(h, inputs))
        assert np.allclose([layer["a"] for layer in layers], torch.stack(sums).detach())
        gradients = [layer["gradient"] for layer in layers]
        assert np.allclose(gradients, expected, rtol=1e-6, atol=1e-15), name


def test_a_point_moves_by_pointer_and_by_keys(lab):
    page = lab("activations")
    values = page.locator(".lab-activations-values")
    for name, f in FUNCTIONS.items():
        page.get_by_label("Activation function f").select_option(name)
        plot = page.locator(".lab-activations-plot").first
        box = plot.bounding_box()
        plot.hover(position={"x": box["width"] * 0.75, "y": 40})
        a = torch.tensor(
            number(
                page.get_by_role("slider", name="a", exact=True).get_attribute(
                    "aria-valuetext"
                )
            )
        )
        assert 2.5 < a < 4
        slide(page, "a", "ArrowRight")
        numbers = [number(text) for text in values.locator("strong").all_inner_texts()]
        a = (a.double() + 0.1).requires_grad_()
        f(a).backward()
        assert numbers == pytest.approx([f(a).item(), a.grad.item()], abs=1e-4)
        assert f"The curve of {name} " in plot.get_attribute("aria-label")


def test_the_gradient_vanishes_with_sigmoid_and_not_with_relu(lab):
    page = lab("activations")
    rows = page.locator("tbody tr")
    assert rows.count() == 10
    assert "10⁻" in rows.last.locator("td").last.inner_text()
    page.get_by_label("Activation function f").select_option("ReLU")
    assert rows.last.locator("td").last.inner_text() == "1.00"
    slide(page, "Input x", "Home")
    assert rows.last.locator("td").last.inner_text() == "0"
    page.get_by_role("status").get_by_text("no gradient reaches layer 1").wait_for()
    slide(page, "Layers", "Home")
    assert rows.count() == 1


# all three


@pytest.mark.parametrize("name", NAMES)
def test_fits_on_a_narrow_screen(lab, page, name):
    page.set_viewport_size({"width": 360, "height": 740})
    lab(name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for control in page.locator("button, select, input").all():
        assert control.bounding_box()["height"] >= 24
