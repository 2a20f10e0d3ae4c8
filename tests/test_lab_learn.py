"""The labs in which networks learn, compared with PyTorch and the sample."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from test_lab_draw import Pad
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


def network(hidden, activation):
    layers = [torch.nn.Flatten()]
    for inputs, outputs in pairwise([784, *hidden, 10]):
        layers += [torch.nn.Linear(inputs, outputs), getattr(torch.nn, activation)()]
    return torch.nn.Sequential(*layers[:-1])


LEARN = """async ([settings, start, batches, options]) => {
    const { inked, Network } = await lab.load("training");
    const [train, held] = await lab.load("digits").then(({ train, test }) =>
        [train, test].map(inked));
    const network = new Network(settings), each = (f) => network.layers.map(f);
    each((layer, k) => {
        start[k][0].forEach((w, n) => { layer.weights[n] = w; });
        start[k][1].forEach((b, n) => { layer.biases[n] = b; });
        layer.addGround();
    });
    const now = () => each(({ weights, biases }) => [[...weights], [...biases]]);
    const costs = [], parameters = [];
    batches.forEach((rows, n) => {
        costs.push(network.step(train, rows, options).cost);
        if ([0, 2, batches.length - 1].includes(n)) parameters.push(now());
    });
    return [costs, parameters, network.evaluate(held)];
}"""


@pytest.mark.parametrize(
    ("hidden", "activation", "options"),
    [
        ([], "ReLU", {"rate": 0.1}),
        ([64], "ReLU", {"rate": 0.03, "momentum": 0.9, "decay": 0.01}),
        ([16, 8], "Tanh", {"rate": 0.1, "momentum": 0.5}),
        ([8, 8, 8], "Sigmoid", {"rate": 0.3, "decay": 0.001}),
        ([8], "Identity", {"rate": 0.03}),
    ],
)
def test_a_hundred_steps_are_those_of_sgd(lab, digits, hidden, activation, options):
    torch.manual_seed(0)
    model = network(hidden, activation)
    layers = [*model[1::2]]
    batches = torch.randint(4000, (100, 32))

    def parameters():
        return [(layer.weight.detach().T.flatten().tolist(), layer.bias.tolist())
                for layer in layers]  # fmt: skip

    settings = {"hidden": hidden, "activation": activation}
    given = [settings, parameters(), batches.tolist(), options]
    costs, told, held = lab("nothing", wait=False).evaluate(LEARN, given)
    optimizer = torch.optim.SGD(
        model.parameters(), options["rate"], options.get("momentum", 0),
        weight_decay=options.get("decay", 0),
    )  # fmt: skip
    inputs, labels, test_inputs, test_labels = (
        part
        for d in digits.values()
        for part in (to_input(few_levels(d.images)), torch.tensor(d.labels))
    )
    for n, rows in enumerate(batches):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        if n not in (0, 2, 99):
            continue
        near = {"rtol": 0, "atol": 1e-3 if n == 99 else 1e-5}
        assert np.allclose(costs[n], loss.item(), **near)
        for ours, theirs in zip(told.pop(0), parameters(), strict=True):
            for numbers, expected in zip(ours, theirs, strict=True):
                assert np.allclose(numbers, expected, **near)
    with torch.no_grad():
        logits = model(test_inputs)
    assert held["cost"] == pytest.approx(
        F.cross_entropy(logits, test_labels).item(), 1e-3
    )
    assert abs(held["right"] - (logits.argmax(1) == test_labels).sum()) <= 1


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


@pytest.fixture
def learner(lab):
    """Open the perceptron's lab, at rest; pictures change only when training rests."""

    class Learner:
        def __init__(self):
            self.page = lab("perceptron")
            self.page.emulate_media(reduced_motion="reduce")

        def choose(self, **options):
            for name, value in options.items():
                label = name.replace("_", " ").capitalize()
                self.page.get_by_label(label).select_option(value)
            self.rest()

        def rest(self):
            self.page.wait_for_function("!document.querySelector('[aria-busy=true]')")

        def learn(self, epochs=1):
            for _ in range(epochs):
                press(self.page, "One epoch")
                self.rest()

        @property
        def said(self):
            return self.page.locator(".lab > .lab-status").first.inner_text()

    return Learner()


def test_a_small_network_reads_ninety_percent_and_shows_how(learner):
    page = learner.page
    assert "A network of 784–64–10, with its first weights." in learner.said
    first = page.locator(".lab-tiles-many canvas").first
    noise = first.evaluate("(canvas) => canvas.toDataURL()")
    learner.learn(3)
    assert shown(page, "held-out accuracy") > 90
    assert shown(page, "training cost") < shown(page, "held-out cost") < 0.4
    assert page.locator(".lab-tiles-many canvas").count() == 64
    assert first.evaluate("(canvas) => canvas.toDataURL()") != noise
    read = page.locator(".lab-tiles [aria-label^='A ']").all()
    labels = [part.get_attribute("aria-label") for part in read]
    assert len(labels) == 10
    right = sum(number(label.split(",")[0]) == number(label) for label in labels)
    assert right == page.inner_text(".lab-tiles:not(.lab-tiles-many)").count("✓") >= 8
    assert "% of the outputs are 0. No unit is dead" in page.inner_text(".lab")
    learner.choose(momentum="0.5")
    assert learner.said.startswith("This holds from the next step on.")
    learner.choose(hidden_layers="3")
    assert "784–64–64–64–10" in learner.said and shown(page, "steps") == 0
    assert page.get_by_role("img", name="outputs from").count() == 3
    assert page.get_by_role("img", name="sizes of the gradient").count() == 4


def test_a_slow_machine_draws_the_units_in_turns(learner):
    """With a clock that runs fast, a frame has time for few of them; all get theirs."""
    page = learner.page
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate("() => { let t = 0; performance.now = () => (t += 1); }")
    press(page, "Run 30 epochs")
    most, left = page.evaluate("""async () => {
        const look = () => [...document.querySelectorAll(".lab-tiles-many canvas")]
            .map((canvas) => canvas.toDataURL());
        const count = (now, then, same) =>
            now.filter((url, k) => (url === then[k]) === same).length;
        const start = look();
        let before = start, most = 0, left = start.length;
        for (let frame = 0; frame < 600 && left; frame += 1) {
            await new Promise(requestAnimationFrame);
            const now = look();
            [most, left] = [Math.max(most, count(now, before, false)),
                count(now, start, true)];
            before = now;
        }
        return [most, left];
    }""")
    assert 0 < most < 16 and left == 0
    press(page, "Pause")
    learner.rest()


def test_dead_units_are_counted(learner):
    slide(learner.page, "Learning rate", "End")
    learner.learn()
    dead = number(re.search(r"([\d,]+) units are dead", learner.said)[0])
    assert 10 < dead < 64
    words = learner.page.inner_text(".lab")
    assert f"{dead:.0f} of 64 units are dead: 0 for all of the 200" in words
    assert learner.page.locator(".lab-learn-dead").count() == dead


def test_what_goes_wrong_is_said(learner):
    learner.choose(first_weights="zero")
    learner.learn()
    assert shown(learner.page, "held-out accuracy") == 10  # all units are alike
    learner.choose(activation="Identity", momentum="0.99", first_weights="large")
    slide(learner.page, "Learning rate", "End")
    learner.learn(2)
    assert "this run has diverged. Reset, and try a lower learning rate" in learner.said
    pictures = learner.page.locator(".lab-tiles, .lab-learn-scale")
    assert not {"NaN", "-1"} & {*" ".join(pictures.all_inner_texts()).split()}
    press(learner.page, "Reset")
    learner.rest()
    assert "with its first weights" in learner.said


def test_a_network_that_knows_its_digits_by_heart(learner):
    page = learner.page
    learner.choose(training_digits="100", momentum="0.9")
    learner.learn(2)
    early = shown(page, "held-out cost")
    press(page, "Run")  # pauses by itself
    learner.rest()
    assert shown(page, "epochs") == 32 and shown(page, "training accuracy") == 100
    assert shown(page, "training cost") < 0.01 and shown(page, "held-out cost") > early
    low = re.search(r"; at its lowest, during epoch (\d+), it was", learner.said)
    assert 1 <= int(low[1]) < 32
    press(page, "Reset")
    slide(page, "Learning rate", "Home")  # a high cost, but falling
    learner.choose(first_weights="large")
    press(page, "One step")
    learner.rest()
    assert (
        shown(page, "held-out cost") > 10 and "worse than guessing" not in learner.said
    )
    press(page, "Reset")
    press(page, "Run")  # at once
    learner.rest()
    assert shown(page, "epochs") == 30


def test_the_first_costs_leave_the_plot_at_its_top(learner):
    """Once later ones set its scale; a line along the top would look like a plateau."""
    learner.learn(5)
    plot = learner.page.locator(".lab-plots > svg").first
    inside = plot.locator("svg:has(polyline)")  # cuts off what is above the frame
    assert inside.evaluate("(svg) => getComputedStyle(svg).overflow") == "hidden"
    line = inside.locator("polyline[stroke='var(--lab-orange)']")
    points = line.get_attribute("points").split()
    first, second, *_, last = (float(point.split(",")[1]) for point in points)
    assert first < second < 26 == float(inside.get_attribute("y")) < last


def test_curves_are_kept_and_removed(learner):
    page = learner.page
    learner.learn()
    curve = page.locator(".lab-plots polyline[stroke='var(--lab-orange)']").first
    points = curve.get_attribute("points")
    for _ in range(4):
        press(page, "Keep this curve")
    assert learner.said == "Three curves are kept: remove one first."
    kept = page.locator(".lab-learn-kept li").all_inner_texts()
    assert [text[0] for text in kept] == ["A", "B", "C"]
    assert "A: 64 ReLU, rate 0.03, batch 32 (" in kept[0]
    lines = page.locator("g[stroke=currentcolor] polyline")
    assert {line.get_attribute("points") for line in lines.all()[:3]} == {points}
    assert len({line.get_attribute("stroke-dasharray") for line in lines.all()}) == 3
    page.get_by_role("button", name="Remove B").click()
    assert lines.count() == 4  # in two plots
    press(page, "Reset")
    learner.rest()
    learner.learn()
    assert curve.get_attribute("points") == points  # from the same first weights


def test_a_digit_of_ones_own_is_learned_from_too(learner):
    page = learner.page
    page.get_by_text("Add digits of your own").click()
    add = page.get_by_role("button", name="Add to the training digits")
    add.click()
    says(page, "The pad is empty: draw a digit first.")
    Pad(page).draw([[(140, 60), (140, 220)]])
    add.click()
    says(page, "Choose which digit it is.")
    page.get_by_label("It is a").select_option("1")
    add.evaluate("(button) => [button.click(), button.click()]")  # or twice, in haste
    says(page, "Added as a 1. It is read as")
    assert page.get_by_role("img", name="A 1, read as").count() == 2
    assert "4,001 digits to learn from" in learner.said
    press(page, "One step")
    learner.rest()
    press(page, "Reset")
    learner.rest()
    assert "4,001 digits to learn from" in learner.said


def test_a_link_repeats_a_run_with_pauses_and_digits_of_ones_own(learner, browser):
    page = learner.page
    learner.choose(training_digits="1000")
    learner.learn()
    page.get_by_text("Add digits of your own").click()
    Pad(page).draw([[(140, 60), (140, 220)]])
    page.get_by_label("It is a").select_option("1")
    page.get_by_role("button", name="Add to the training digits").click()
    says(page, "Added as a 1")
    press(page, "One step")
    learner.rest()
    learner.learn()
    numbers = page.inner_text("dl")
    press(page, "Copy link")
    page.wait_for_function("location.hash")
    other = browser.new_page()
    other.goto(page.url)
    same = "(said) => document.querySelector('dl')?.innerText === said"
    other.wait_for_function(same, arg=numbers)
    other.get_by_text("Add digits of your own").click()
    other.get_by_role("img", name="A 1, read as").nth(1).wait_for()
    other.close()
