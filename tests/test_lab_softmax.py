"""The lab in which softmax regression learns, compared with PyTorch and the sample."""

import numpy as np
import pytest
import torch
from test_labs import FRAMES, LABS, number, press, slide
from torch.nn import functional as F

from mnist_lesson import load_mnist, to_input
from tools.make_lab_digits import few_levels


@pytest.fixture(scope="module")
def digits():
    mnist = load_mnist(source="sample", validation=0)
    return {"train": mnist.train, "test": mnist.test}


def test_the_digits_are_the_samples_in_four_grey_levels(lab, digits):
    found = lab("nothing", wait=False).evaluate(
        """async () => Object.entries(await lab.load("digits")).map(([part, given]) => {
            const { images, labels } = given, sums = Array.from(labels, () => 0);
            const add = (grey, k) => { sums[Math.floor(k / 784)] += grey * (k % 784); };
            images.forEach(add);
            return [part, [...images.subarray(0, 784 * 20)], sums, [...labels]];
        })"""
    )
    assert [part for part, *_ in found] == ["train", "test"]
    for part, images, sums, labels in found:
        expected = few_levels(digits[part].images).reshape(-1, 784)
        assert images == expected[:20].ravel().tolist()
        assert sums == (expected.astype(int) @ np.arange(784)).tolist()
        assert labels == digits[part].labels.tolist()
    assert (LABS / "digits.js").stat().st_size < 350_000


def test_three_steps_are_those_of_sgd(lab, digits):
    batches = torch.randint(4000, (3, 32), generator=torch.Generator().manual_seed(0))
    costs, weights, biases, held = lab("nothing", wait=False).evaluate(
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
    inputs, labels, test_inputs, test_labels = (
        part
        for d in digits.values()
        for part in (to_input(few_levels(d.images)).flatten(1), torch.tensor(d.labels))
    )
    for rows, cost in zip(batches, costs, strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(inputs[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        assert cost == pytest.approx(loss.item(), abs=1e-5)
    assert np.allclose(weights, layer.weight.detach().flatten(), rtol=0, atol=1e-5)
    assert np.allclose(biases, layer.bias.detach(), rtol=0, atol=1e-5)
    with torch.no_grad():
        logits = layer(test_inputs)
    cost = F.cross_entropy(logits, test_labels).item()
    assert held["cost"] == pytest.approx(cost, 1e-5)
    assert held["right"] == (logits.argmax(1) == test_labels).sum()


def shown(page, name):
    return number(page.inner_text(f"div:has(> dt:text-is('{name}')) dd"))


def says(page, text):
    page.get_by_role("status").get_by_text(text).wait_for()


def test_ten_epochs_with_the_default_settings_read_88_percent(lab):
    """Without motion: the pictures rest while it learns, at full speed."""
    page = lab("softmax")
    page.emulate_media(reduced_motion="reduce")
    assert shown(page, "held-out accuracy") == 10
    assert shown(page, "held-out cost") == 2.303
    page.get_by_role("img", name="Template of 0: all weights are 0.").wait_for()
    page.evaluate(
        """() => {
            window.changes = new Set();
            const epochs = document.querySelector("dd");
            new MutationObserver(() => changes.add(epochs.textContent))
                .observe(epochs, { subtree: true, childList: true });
        }"""
    )
    for epoch in range(1, 11):
        press(page, "One epoch")
        says(page, f"{epoch} complete epoch")
    assert page.evaluate("[...changes].map(Number)") == [*range(1, 11)]
    assert shown(page, "steps") == 1_250 and shown(page, "epochs") == 10
    assert shown(page, "held-out accuracy") >= 88
    assert shown(page, "held-out cost") < 0.45
    zero = page.get_by_role("img", name="Template of 0")
    assert "middle centre most against it" in zero.get_attribute("aria-label")
    page.get_by_role("img", name="Held-out cost now 0.").wait_for()


def test_training_runs_pauses_and_starts_again_the_same(lab):
    page = lab("softmax")
    step = page.get_by_role("button", name="One step")
    step.click(), step.click()
    says(page, "After 2 steps")
    assert shown(page, "steps") == 2
    first = page.inner_text("dl")
    press(page, "Run")
    page.wait_for_function("parseFloat(document.querySelector('dd').textContent) > 0.1")
    press(page, "Pause")
    says(page, "digits are read right")
    paused = page.inner_text("dl")
    page.evaluate(FRAMES, 10)
    assert page.inner_text("dl") == paused and shown(page, "steps") > 2
    press(page, "Reset")
    says(page, "All weights are 0")
    assert shown(page, "steps") == 0 and shown(page, "held-out accuracy") == 10
    step.click(), step.click()
    says(page, "After 2 steps")
    assert page.inner_text("dl") == first


def test_learning_rate_and_batch_size_take_effect(lab):
    page = lab("softmax")
    slide(page, "Batch size", "End")
    press(page, "One epoch")
    says(page, "1 complete epoch")
    assert shown(page, "steps") == 8  # 4,000 digits in batches of 512
    calm = shown(page, "held-out cost")
    press(page, "Reset")
    slide(page, "Learning rate", "End")
    press(page, "One epoch")
    says(page, "1 complete epoch")
    # One learns, better than guessing; the other is thrown about, and far worse.
    assert calm < 2.303 < 4.606 < shown(page, "held-out cost")
