"""The programs that labs show: they are run, and give what the labs say."""

import contextlib
import io
import re

import pytest
import test_lab_learn
import torch
from test_lab_draw import Pad
from test_labs import press, slide
from test_share import draw, rest

learner = test_lab_learn.learner


def run(program, names=None):
    """Run what a lab shows, with these names; give what it prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(program, {} if names is None else names)
    return said.getvalue()


def shown(page):
    """The lab's program, unfolded."""
    code = page.locator(".lab-code code")
    if not code.is_visible():
        page.get_by_text("The same in PyTorch").click()
    page.wait_for_function("document.querySelector('.lab-code code').textContent")
    return code.inner_text().replace("\u00a0", " ")


def numbers(text):
    """All numbers of a text."""
    found = re.findall(r"[−-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)
    return [float(number.replace("−", "-")) for number in found]


@pytest.mark.parametrize("name", ["pooling", "convolution"])
@pytest.mark.parametrize("changed", [False, True])
def test_the_program_gives_the_outputs_number(lab, name, changed):
    page = lab(name)
    if changed:
        page.get_by_label("input").first.select_option("7")
        page.get_by_label("size F").fill("3")
        page.get_by_label("stride S").fill("1")
        if name == "pooling":
            page.get_by_label("pooling").select_option("average")
        # In row 4 of 12, where there is ink.
        page.get_by_label("output y").first.locator("td").nth(55).click()
    program = shown(page)
    assert len(program.splitlines()) <= 15
    place, value = re.fullmatch(r"(y\[.*\]) = (.*)\n", run(program)).groups()
    equation = page.inner_text(".lab-equation")
    assert equation.startswith(place)
    last = equation.partition(", in row")[0]
    assert abs(numbers(last)[-1] - float(value)) < 1e-3
    page.get_by_text("Step forward").click()  # it follows
    assert page.inner_text(".lab-equation").startswith(run(shown(page)).split(" =")[0])


def test_the_program_gives_the_cost_and_the_gradient(lab):
    page = lab("scores")
    page.get_by_text("Sure of 3").click()
    page.get_by_label("Label").select_option("8")
    page.get_by_role("slider", name="Temperature").press("ArrowRight")
    program = shown(page)
    assert len(program.splitlines()) <= 15
    said = run(program)
    cost = re.search(r"C = ([\d.]+) nats", said)[1]
    assert f"= {cost} nats" in page.inner_text(".lab-scores-cost")
    rows = page.locator(".lab-scores-table tbody tr").all()
    lists = [numbers(text) for text in re.findall(r"\[(.*?)\]", said, re.DOTALL)]
    for row, y, slope in zip(rows, *lists, strict=True):
        cells = row.locator("td").all_inner_texts()
        assert abs(numbers(cells[1])[0] - y) < 1e-4
        assert abs(numbers(cells[2])[0] - slope) < 1e-4


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "leaky ReLU", "SiLU", "GELU"])
def test_the_program_gives_the_slope_and_what_comes_back(lab, function):
    page = lab("activations")
    page.get_by_label("Activation function f").select_option(function)
    page.get_by_role("slider", name="a", exact=True).press("ArrowRight")
    for name in "Weight w", "Input x", "Layers":
        page.get_by_role("slider", name=name).press("ArrowLeft")
    program = shown(page)
    assert len(program.splitlines()) <= 15
    value, slope, passed = numbers(run(program).replace("f'(a)", ""))
    assert numbers(page.inner_text(".lab-activations-values"))[1::2] == [value, slope]
    first = page.locator(".lab-activations-chain tbody tr").last
    text = first.locator("td").last.inner_text().strip()
    powers = text.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    there = float(text.translate(powers).replace(" × 10", "e").replace("−", "-"))
    assert abs(there - passed) <= 0.05 * abs(passed)


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_the_program_gives_the_open_cell(lab, layer):
    page = lab("lenet")
    rest(page)
    page.locator(".lab-lenet-flow canvas").nth(layer).click(position={"x": 30, "y": 30})
    program = shown(page)
    assert len(program.splitlines()) <= 15
    title = page.locator(".lab-lenet-open > p").first.inner_text()
    assert abs(float(run(program)) - numbers(title)[-1]) < 2e-4


def test_the_program_reads_the_digit_as_the_pad_does(lab):
    page = lab("draw")
    pad = Pad(page)
    pad.says("A real 5")
    pad.unfold()
    for act in (lambda: None, lambda: draw(page)):
        act()
        rest(page)
        program = shown(page)
        assert len(program.splitlines()) <= 15
        said = run(program)
        cells = page.locator(".lab-draw-table tbody td:nth-child(2)")
        expected = [numbers(text)[0] / 100 for text in cells.all_inner_texts()]
        found = numbers(said[said.index("[") : said.index("]")])
        assert len(found) == 10
        assert all(abs(a - b) < 6e-4 for a, b in zip(expected, found, strict=True))
        answer = page.locator(".lab-draw-answers dd").first.inner_text().split()
        assert f"reads {answer[0]} ({answer[1]} %)" in said
    press(page, "Clear")
    pad.says("The pad is blank")
    assert "# The pad is blank" in shown(page)


@pytest.mark.parametrize("pair", [None, ("3", "8")])
def test_the_program_gives_the_pixels_shares(lab, pair):
    page = lab("why")
    rest(page)
    if pair:
        page.get_by_label("Why").select_option(pair[0])
        page.get_by_label("and not").select_option(pair[1])
    for chosen in False, True:
        if chosen:
            page.get_by_label("The share of each pixel").press("ArrowUp")
        program = shown(page)
        assert len(program.splitlines()) <= 15
        difference, added, share = numbers(run(program))
        texts = page.locator(".lab-why-pixels p:not(.lab-why-head)").all_inner_texts()
        found = re.findall(r"[−-]?\d+\.\d+", " ".join(texts))
        there = [float(number.replace("−", "-")) for number in found]
        assert (share or chosen) and abs(difference - there[0]) < 0.0052
        assert abs(added - there[2]) < 0.0052 and abs(share - there[-1]) < 6e-4


def test_the_program_is_copied_and_said_so_for_a_while(lab, page):
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', { value: { writeText: (text) =>"
        " { window.copied = text; return Promise.resolve(); } } });"
    )
    page.clock.install()
    program = shown(lab("pooling"))
    press(page, "Copy the code")
    said = page.locator(".lab-code [role=status]")
    said.get_by_text("Copied.").wait_for()
    assert page.evaluate("copied") == program
    page.clock.run_for(10_000)
    assert said.inner_text() == ""


def test_code_is_not_for_translators(lab):
    """What a translator writes into it, the figure would write back, for ever."""
    assert lab("pooling").locator(".lab-code code").get_attribute("translate") == "no"


@pytest.mark.parametrize("start", ["he", "zero"])
def test_the_program_learns_as_well(learner, start):
    """Or as badly: from weights of 0, with biases of 0, nothing but guessing."""
    learner.choose(first_weights=start, weight_decay="0.001", hidden_layers="2")
    learner.learn(2)
    program = shown(learner.page)
    assert len(program.splitlines()) <= 15 and "range(2)" in program
    torch.manual_seed(0)
    accuracy = 100 * float(run(program))
    there = test_lab_learn.shown(learner.page, "held-out accuracy")
    assert abs(accuracy - there) < 4


def test_the_program_has_what_was_chosen(learner):
    """Before the first step: its weights are still the first ones."""
    page, names = learner.page, {}
    learner.choose(
        hidden_layers="3", units_in_each="8", activation="Tanh", momentum="0.5",
        weight_decay="0.01", training_digits="1000",
    )  # fmt: skip
    slide(page, "Learning rate", "ArrowLeft")
    slide(page, "Batch size", "ArrowRight")
    for start, spread in ("small", 0.01), ("large", 1), ("he", (2 / 784) ** 0.5):
        learner.choose(first_weights=start)
        run(shown(page), names)
        layers = [*names["model"]][1:]
        assert layers[0].weight.std().item() == pytest.approx(spread, 0.1)
    sizes = [(layer.in_features, layer.out_features) for layer in layers[::2]]
    assert sizes == [(784, 8), (8, 8), (8, 8), (8, 10)]
    assert all(isinstance(layer, torch.nn.Tanh) for layer in layers[1::2])
    assert not any(layer.bias.any() for layer in layers[::2])
    options = names["sgd"].defaults
    chosen = [options[name] for name in ("lr", "momentum", "weight_decay")]
    assert chosen == [0.01, 0.5, 0.01]
    assert "randperm(1000).split(64)" in shown(page)
