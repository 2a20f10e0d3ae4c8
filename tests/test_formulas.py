"""Formulas are typeset in the page, in a font that has all of their characters."""

import re
import sys
from html import escape
from pathlib import Path

import pytest
from docutils import nodes
from test_book import PAGES

sys.path.append(str(Path(__file__).parents[1] / "book" / "_ext"))
import formulas


def test_every_formula_is_typeset_in_characters_that_its_font_has(book):
    font = set()
    for code in formulas.CHARACTERS:
        first, _, last = code.partition("-")
        font.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    found = 0
    for name in PAGES:
        html = (book / f"{name}.html").read_text("utf-8")
        assert "\\(" not in re.sub("<pre>.*?</pre>", "", html, flags=re.S), name
        for formula in re.findall(r"<math.*?</math>", html, re.S):
            found += 1
            shown = re.sub("(?s)<annotation.*</annotation>|<.*?>|&.*?;", "", formula)
            assert set(shown) <= font, (name, set(shown) - font)
    assert found > 250


def test_a_formula_can_be_copied_and_one_that_is_not_understood_is_a_warning(caplog):
    html = formulas.typeset(nodes.math("", "f'(a) < b"), display=False)
    assert "<mi>f</mi><mo>′</mo>" in html  # a prime is no superscript
    assert '<math class="notranslate" translate="no"' in html
    assert ">f'(a) &lt; b</annotation>" in html
    for tex in (r"\foo < 1", "{a", "x^2^3", r"\begin{cases} a", "a & b"):
        caplog.clear()
        assert (
            formulas.typeset(nodes.math("", tex), True) == f"<code>{escape(tex)}</code>"
        )
        [warning] = caplog.messages
        assert warning.startswith("formula: ") and warning.endswith(tex)


@pytest.mark.parametrize(("tex", "one"), [(r"\sqrt{0.9}", True), (r"\sqrt{ab}", False)])
def test_a_root_of_one_sign_in_a_sentence_stays_on_its_line(page, tex, one):
    formula = formulas.typeset(nodes.math("", tex), display=False)
    assert ("<msqrt>" in formula) != one
    assert "<msqrt>" in formulas.typeset(nodes.math("", tex), display=True)
    page.set_content(f"<p>a{formula}b</p>")
    parts = page.locator("mi, mn").all()
    shown = [part.text_content() for part in parts if part.bounding_box()["width"]]
    assert "".join(shown) == ("√0.9" if one else "ab")
