"""The lab from scores to probabilities, cost and gradient, against PyTorch."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from test_labs import number, press, slide
from torch.nn import functional as F


def test_scores_agree_with_pytorch_for_extreme_logits_too(lab):
    generator = torch.Generator().manual_seed(0)
    cases = [3 * torch.randn(10, generator=generator).double() for _ in range(20)]
    cases += [1e3 * case for case in cases[:5]] + [torch.zeros(10).double()]
    cases += [torch.full((10,), v).double() for v in (1e5, -1e5)]
    cases.append(torch.linspace(-1e4, 1e4, 10).double())
    labels = [n % 10 for n in range(len(cases))]
    found = lab("nothing", wait=False).evaluate(
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
    cells = [[number(text) for text in r.locator("td").all_inner_texts()] for r in rows]
    return np.array(cells)


def test_what_the_scores_show_follows_what_is_moved(lab):
    page = lab("scores")
    press(page, "All equal")
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
    cost = number(page.inner_text(".lab-scores-cost"))
    assert cost == pytest.approx(-np.log(expected[3]), abs=1e-4)
    page.get_by_role("status").get_by_text("3 is the most probable digit").wait_for()


def test_steps_against_the_gradient_lower_the_cost(lab):
    page = lab("scores")
    page.get_by_label("Label").select_option("9")
    costs = []
    for _ in range(12):
        costs.append(number(page.inner_text(".lab-scores-cost strong")))
        press(page, "Step against the gradient")
    assert all(after < before for before, after in pairwise(costs))
    assert costs[-1] < 0.15


def test_the_verdict_is_seen_at_once_and_spoken_when_the_hand_rests(lab):
    page = lab("scores")
    spoken = page.locator(".lab-spoken[role=status]")
    spoken.get_by_text("0.53").wait_for(state="attached")
    page.clock.install()
    for _ in range(3):
        press(page, "Step against the gradient")
        page.clock.run_for(400)
    cost = number(page.inner_text(".lab-scores-cost strong"))
    verdict = page.locator(".lab > p:not([role])").last
    assert f"which costs {cost:.2f} nats" in verdict.inner_text()
    assert "0.53" in spoken.text_content()
    page.clock.run_for(200)
    assert spoken.text_content() == verdict.inner_text()


def test_a_small_number_has_no_sign_where_it_is_shown_as_0(lab):
    page = lab("scores")
    press(page, "Sure of 3")
    page.get_by_label("Label").select_option("3")
    slide(page, "Temperature", "Home", *["PageUp"] * 3, *["ArrowRight"] * 2)
    assert "0.0000" in page.inner_text("tbody")
    assert "−0.0000" not in page.inner_text("tbody")


def shared(page):
    """Copy the figure's link."""
    press(page, "Copy link")
    page.locator(".lab-share [role=status]:not(:empty)").wait_for()
    return page.url


def test_a_link_has_more_than_the_sliders_show(lab, browser):
    page = lab("scores")
    press(page, "Step against the gradient")
    cost = page.inner_text(".lab-scores-cost strong")
    other = browser.new_page()
    other.goto(shared(page))
    other.locator(".lab-scores-cost").filter(has_text=cost).wait_for()
    other.close()


def test_who_comes_back_to_a_link_finds_the_figure_as_it_was_left(lab):
    page = lab("scores")
    press(page, "Sure of 3")
    shared(page)
    press(page, "All equal")
    page.evaluate("location.hash = 'elsewhere'")
    page.go_back()
    page.wait_for_url("**#scores=*")
    page.evaluate("new Promise((go) => setTimeout(go, 300))")
    assert "2.3026" in page.inner_text(".lab-scores-cost")


@pytest.mark.parametrize(
    "refuse", ["", "navigator.clipboard.write = () => { throw 1 }"]
)
def test_a_browser_that_cannot_make_links_says_so(lab, page, refuse):
    """Whether it asks for what it is to copy, or refuses at once."""
    page.add_init_script(f"delete window.CompressionStream; {refuse}")
    press(lab("scores"), "Copy link")
    page.get_by_text("This browser cannot do that.").wait_for()
