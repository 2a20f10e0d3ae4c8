"""Draw the book's logo and its icon: a four, as a classifier sees it.

    python tools/make_logo.py

Writes logo.svg and favicon.png to book/_static/.
"""

from pathlib import Path

import numpy as np
from PIL import Image

STATIC = Path(__file__).parents[1] / "book" / "_static"
PAPER = "#0072B2"
# Ink from 0 to 9 in 10 x 10 pixels.
FOUR = """
..........
..28...48.
..59...78.
..79...96.
..97..295.
..9999999.
..48899952
......794.
......973.
......85..
"""


def main() -> None:
    """Draw the same pixels as vectors and as a bitmap."""
    rows = FOUR.replace(".", "0").split()
    ink = np.pad([[int(level) for level in row] for row in rows], 1) / 9
    pixels = "".join(
        f'<rect x="{x}" y="{y}" width="1" height="1" opacity="{ink[y, x]:.2f}"/>'
        for y, x in np.argwhere(ink)
    )
    (STATIC / "logo.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 12 12" width="96" '
        f'height="96"><rect width="12" height="12" rx="2" fill="{PAPER}"/>'
        f'<g fill="#fff" shape-rendering="crispEdges">{pixels}</g></svg>\n',
        "utf-8",
    )
    paper = np.array([int(PAPER[i : i + 2], 16) for i in (1, 3, 5)])
    bitmap = (paper + (255 - paper) * ink[..., None]).round().astype("uint8")
    icon = Image.fromarray(bitmap).resize((48, 48), Image.Resampling.NEAREST)
    icon.save(STATIC / "favicon.png", optimize=True)


if __name__ == "__main__":
    main()
