"""Formulas: MathML, written while the book is built, and the font that they need.

STIX Two Math, cut down to the characters that a course like this needs, comes with the
package ziamath; phones have no such font of their own. It is under the SIL Open Font
License 1.1, as its own names say, which stay in it.
"""

import re
from html import escape
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from fontTools import subset
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
FORMULAS = LatexToMathML(annotation=True, fancy_error=False)
ROOT_OF_ONE = re.compile(r"<msqrt>(<m[in]>[^<]*</m[in]>)</msqrt>")
# Latin and Greek, upright; accents and marks; arrows, operators, relations, fences and
# braces; bold and italic letters, which browsers put in the place of a variable's.
CHARACTERS = """
    0020-007E 00A0 00A8 00AC 00AF-00B1 00B7 00D7 00F7 02C6 02D9 02DC 0391-03C9 03D1 03D5
    03F5 2016 2020 2026 2032 2033 203E 2061-2064 210E 2113 2115 211D 2124
    2190-2194 21A6 21D2 21D4 2200 2202-2205 2207-2209 220F 2211-2213 2216-221A 221D 221E
    2223 2225 2227-222B 223C 2248 2260 2261 2264 2265 226A 226B 2282 2286 2295 2297 2299
    22A4 22A5 22C5 22EE 22EF 22F1 2308-230B 23DE 23DF 27E8 27E9
    1D400-1D467 1D6A4 1D6A5 1D6E2-1D71B
""".split()


def typeset(node, display):
    """Turn a formula's node into MathML; what is not understood is a warning."""
    tex = node.astext()
    # The font draws a prime small and high already: it is no superscript.
    primed = tex.replace("'", r"{\prime}")
    try:
        html = FORMULAS.convert_with_local_state(primed, displaystyle=display)
    except LatexError as error:
        logger.warning("formula: %s: %s", error, tex, location=node)
        return f"<code>{escape(tex)}</code>"
    html = html.replace(escape(primed, quote=False), escape(tex, quote=False))
    if not display:
        # Chromium hangs the root of a single sign below the line, and leaves a gap.
        html = ROOT_OF_ONE.sub(r"<mrow><mi>√</mi>\1</mrow>", html)
    # A browser that translates the page would translate the names of functions, too.
    return html.replace("<math", '<math class="notranslate" translate="no"', 1)


def visit_inline(self, node):
    """Write a formula within a sentence."""
    self.body.append(typeset(node, display=False))
    raise nodes.SkipNode


def visit_block(self, node):
    """Write a formula on a line of its own, with its number if it has one."""
    # The theme's container for what may be too wide: keys reach it where it scrolls.
    classes = "math pst-scrollable-table-container"
    self.body.append(self.starttag(node, "div", CLASS=classes))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(typeset(node, display=True) + "</div>\n")
    raise nodes.SkipNode


def write_font(path):
    """Write the font as WOFF; what stretches keeps its parts."""
    full = Path(find_spec("ziamath").origin).parent / "fonts/STIXTwoMath-Regular.ttf"
    subset.main(
        [
            *[str(full), f"--output-file={path}", "--flavor=woff"],
            "--unicodes=" + ",".join(f"U+{code}" for code in CHARACTERS),
            "--layout-features=ssty,dtls,flac,mark,mkmk",
            *["--name-IDs=*", "--no-hinting", "--desubroutinize"],
        ]
    )
