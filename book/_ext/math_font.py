"""The font for formulas, cut down to the characters that a course like this needs.

STIX Two Math comes with the package ziamath; phones have no such font of their own. It
is under the SIL Open Font License 1.1, as its own names say, which stay in it.
"""

from importlib.util import find_spec
from pathlib import Path

from fontTools import subset

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
