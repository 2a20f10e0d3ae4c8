"""Cut the font that formulas are set in down to what a course like this needs.

    python tools/make_math_font.py stix-two-math-latin-400-normal.woff2

The full font, STIX Two Math 2.12 (ten times as large), is in the npm package
@fontsource/stix-two-math 5.3.0. Needs fonttools and brotli, and writes
book/_static/math.woff2.
"""

import subprocess
import sys
from pathlib import Path

FONT = Path(__file__).parents[1] / "book" / "_static" / "math.woff2"
CHARACTERS = [
    # Latin and Greek, upright; accents; marks.
    *["0020-007E", "00A0", "00AC", "00AF-00B1", "00B7", "00D7", "00F7", "02C6", "02D9"],
    *["00A8", "02DC", "0391-03C9", "03D1", "03D5", "03F5", "2016", "2020", "2026"],
    *["2032", "2033", "203E", "2061-2064", "210E", "2113", "2115", "211D", "2124"],
    # Arrows, operators, relations, fences, braces.
    *["2190-2194", "21A6", "21D2", "21D4", "2200", "2202-2205", "2207-2209", "220F"],
    *["2211-2213", "2216-221A", "221D", "221E", "2223", "2225", "2227-222B", "223C"],
    *["2248", "2260", "2261", "2264", "2265", "226A", "226B", "2282", "2286", "2295"],
    *["2297", "2299", "22A4", "22A5", "22C5", "22EE", "22EF", "22F1", "2308-230B"],
    *["23DE", "23DF", "27E8", "27E9"],
    # Bold and italic letters, which browsers put in the place of a variable's.
    *["1D400-1D467", "1D6A4", "1D6A5", "1D6E2-1D71B"],
]


def main() -> None:
    """Run fonttools' subsetter; what stretches keeps its parts."""
    subprocess.run(
        [
            *[sys.executable, "-m", "fontTools.subset", sys.argv[1]],
            "--unicodes=" + ",".join(f"U+{code}" for code in CHARACTERS),
            "--layout-features=ssty,dtls,flac,mark,mkmk",
            *["--flavor=woff2", "--no-hinting", "--desubroutinize"],
            f"--output-file={FONT}",
        ],
        check=True,
    )


if __name__ == "__main__":
    main()
