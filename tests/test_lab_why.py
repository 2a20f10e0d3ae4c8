"""Why this answer: a patch of paper, steps on purpose, and each pixel's share."""

import re

import numpy as np
import pytest
import torch
from test_lab_draw import SEVEN, Pad
from test_labs import press, slide

from mnist_lesson import to_input
from tools.make_lab_weights import MODELS, unpack

NAMES = list(MODELS)
PATCH, PITCH, PLACES, MOST = 4, 2, 13, 64


@pytest.fixture(scope="module")
def models():
    return [unpack(name)[0] for name in MODELS]


@pytest.fixture
def why(lab):
    page = lab("why", below=3_000)
    rest(page)
    return page


def rest(page):
    page.wait_for_selector("[aria-busy=false]:has(> .lab-why-models)")


def texts(page, row, part="> p"):
    figures = page.locator(".lab-why-models").nth(row).locator("figure")
    return [figure.locator(part).inner_text() for figure in figures.all()]


def logits(model, images):
    with torch.no_grad():
        return model(to_input(np.stack(images))).numpy()


def said(z):
    """An answer as the page writes it."""
    shares = torch.from_numpy(z).softmax(0).numpy()
    return f"{z.argmax()} ({100 * shares.max():.1f}\u00a0%)"


def covered(image):
    """The digit under each place of the patch."""
    images = np.repeat(image[None], PLACES**2, axis=0)
    for at in range(PLACES**2):
        row, column = PITCH * (at // PLACES), PITCH * (at % PLACES)
        images[at, row : row + PATCH, column : column + PATCH] = 0
    return images


def signs(model, image):
    """Where each pixel must go for the runner-up to gain on the answer."""
    x = to_input(image[None]).requires_grad_()
    first, second = model(x)[0].topk(2).values
    (second - first).backward()
    return x.grad[0, 0].sign().numpy()


def moved(image, sign, step):
    return np.clip(image + step * sign, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("key", [4, 15])
def test_the_patch_and_the_steps_are_pytorchs(why, models, examples, key):
    why.get_by_label("test digit").select_option(str(key))
    why.wait_for_function("!document.querySelector('[aria-busy=true]')")
    rest(why)
    image, told = examples[key], why.evaluate(STUDY, examples[key].flatten().tolist())
    for m, model in enumerate(models):
        now, z = logits(model, [image])[0], logits(model, covered(image))
        assert texts(why, 0, ".lab-why-answer")[m] == said(now)
        answer = now.argmax()
        rivals = np.delete(z, answer, axis=1).max(1)
        lead = now[answer] - np.delete(now, answer).max()
        losses = np.array([at[m]["loss"] for at in told["covered"]])
        assert np.abs(losses - (lead - (z[:, answer] - rivals))).max() < 1e-3
        assert [at[m]["digit"] for at in told["covered"]] == z.argmax(1).tolist()
        others = sorted({*z.argmax(1).tolist()} - {int(answer)})
        list_ = re.sub(", (.)$", r" or \1", ", ".join(map(str, others)))
        end = f". In some places the patch makes it a {list_}."
        if not others:
            end = ". No place of the patch changes the answer."
        assert texts(why, 0)[m].endswith(end)

        for whose, along in (("first", models[0]), ("own", model)):
            sign = signs(along, image)
            z = logits(model, [moved(image, sign, n) for n in range(MOST + 1)])
            found = [answers[m]["digit"] for answers in told["pushed"][whose]]
            assert found == z.argmax(1).tolist()
            why.get_by_label("against").select_option(whose)
            changes = np.flatnonzero(z.argmax(1) != answer)
            limit = f"The same answer up to a step of {MOST}."
            if len(changes):
                limit = f"The answer changes at a step of {changes[0]}."
            assert texts(why, 1)[m] == f"Now {said(z[18])}. {limit}"


STUDY = """async (greys) => {
    const [{ work }, models] = await Promise.all(["why", "models"].map(lab.load));
    const study = work(models, lab), levels = Uint8Array.from(greys);
    const found = {};
    for (const task of ["cover", "push"]) {
        const sizes = { patch: 4, pitch: 2, places: 13, most: 64 };
        const steps = study({ task, levels, ...sizes });
        let step = steps.next();
        while (!step.done) step = steps.next();
        Object.assign(found, step.value);
    }
    return found;
}"""


def test_the_first_ten_test_digits_mislead_softmax_regression_alone(models, full_mnist):
    """Steps against it that the two others hardly notice."""
    from mnist_lesson import load_mnist

    images = load_mnist(source="full").test.images[:10]
    first = []
    for image in images:
        sign = signs(models[0], image)
        z = logits(models[0], [moved(image, sign, n) for n in range(MOST + 1)])
        first.append(int(np.flatnonzero(z.argmax(1) != z[0].argmax())[0]))
        for model in models[1:]:
            before, after = logits(model, [image, moved(image, sign, first[-1])])
            assert before.argmax() == after.argmax()
    assert min(first) >= 5 and max(first) <= 30


def numbers(text):
    """The numbers with decimals in a sentence."""
    found = re.findall(r"[−-]?\d+\.\d+", text)
    return [float(number.replace("−", "-")) for number in found]


@pytest.mark.parametrize("pair", [None, ("4", "7")])
def test_the_pixels_shares_make_up_the_difference(why, models, examples, pair):
    if pair:
        why.get_by_label("Why").select_option(pair[0])
        why.get_by_label("and not").select_option(pair[1])
    sums, share = why.locator(".lab-why-pixels p:not(.lab-why-head)").all_inner_texts()
    a, b = (int(digit) for digit in re.findall(r"[Ss]core of (\d)", sums))
    z, paper = logits(models[0], [examples[4], np.zeros((28, 28), np.uint8)])
    difference, page, total = numbers(sums)
    assert "Without any ink it would be" in sums and "; the 784 pixels add" in sums
    assert abs(difference - (z[a] - z[b])) < 0.0051
    assert abs(page - (paper[a] - paper[b])) < 0.0051
    assert abs(page + total - difference) < 0.016
    if pair:
        assert (a, b) == (4, 7)
    # One pixel: at first the one that says most for the answer, then its neighbour.
    weights = models[0][-1].weight.detach().numpy().reshape(10, 28, 28)
    added = (weights[a] - weights[b]) * examples[4] / 78.57
    best = np.unravel_index(added.argmax(), added.shape)
    pixels = why.get_by_label("The share of each pixel: arrow keys choose one")
    for down in 0, 1:
        share = why.locator(".lab-why-pixels p").last.inner_text()
        row, column, level = (int(n) for n in re.findall(r"\d+", share)[:3])
        assert (row, column) == (best[0] + down, best[1])
        assert level == examples[4][row, column]
        ink, weight, product = numbers(share)
        assert abs(ink - level / 78.57) < 1e-3
        assert abs(ink * weight - product) < 3e-3
        assert abs(product - added[row, column]) < 1e-3
        pixels.press("ArrowDown")
    # With another digit, what the reader has chosen stays.
    why.get_by_label("test digit").select_option("3")
    rest(why)
    share = why.locator(".lab-why-pixels p").last.inner_text()
    assert share.startswith(f"Row {best[0] + 2}, column {best[1]}, ")


def test_keys_and_the_mouse_move_the_patch(why):
    first = why.locator(".lab-why-models canvas").first
    first.click(position={"x": 1, "y": 1})
    said = why.locator(".lab-status")
    first.press("ArrowDown")
    first.press("ArrowRight")
    first.press("ArrowRight")
    said.get_by_text("Row 1, column 2: Patch here").wait_for()
    for _ in range(20):
        first.press("ArrowUp")
    said.get_by_text("Row 0, column 2").wait_for()
    assert texts(why, 0)[0].startswith(
        f"Patch here: {texts(why, 0, '.lab-why-answer')[0]}"
    )


def test_a_step_fools_the_first_model_but_not_the_third(why):
    """What a reader is asked to try, with a digit of their own."""
    press(why, "Clear")
    pad = Pad(why)
    pad.draw(SEVEN)
    why.wait_for_function(
        "document.querySelectorAll('.lab-why-answer')[2].textContent.startsWith('7')"
    )
    rest(why)
    # At first the steps are against each model itself, and LeNet gives way, too.
    slide(why, "step", "End")
    assert not any(text.startswith("Now 7") for text in texts(why, 1))
    why.get_by_label("against").select_option("softmax regression")
    first, _, third = texts(why, 1)
    assert not first.startswith("Now 7") and third.startswith("Now 7")
    slide(why, "step", "Home")
    assert all(text.startswith("Now 7") for text in texts(why, 1))


def test_it_says_that_it_computes(why):
    """Another digit is chosen: what was said of the last one is gone at once."""
    seen = why.evaluate(
        """async () => {
            const list = document.querySelector(".lab select");
            list.value = "3";
            list.dispatchEvent(new Event("change"));
            const texts = [...document.querySelectorAll("figure > canvas + p")];
            const all = () => texts.map((text) => text.textContent);
            const before = all().join();
            while (all().join() === before) {
                await new Promise((next) => setTimeout(next));
            }
            return all();
        }"""
    )
    assert seen == ["computing…"] * 6


def test_a_blank_pad_has_answers_too(why):
    press(why, "Clear")
    rest(why)
    why.wait_for_function(
        "!document.querySelector('.lab-why-answer').textContent.startsWith('4')"
    )
    rest(why)
    sums = why.locator(".lab-why-pixels p").nth(1).inner_text()
    difference, page, total = numbers(sums)
    assert difference == page and total == 0


def test_a_drawing_that_is_refused_is_refused_in_sight(why):
    press(why, "Clear")
    Pad(why).draw([[(60, 60), (60, 220)], [(220, 60), (220, 220)]])
    line = why.locator(".lab-why-top .lab-status")
    line.filter(has_text="The drawing shows more than one digit").wait_for()
    assert line.bounding_box()["height"] > 10
    press(why, "Undo")
    line.filter(has_text=re.compile("^$")).wait_for()
