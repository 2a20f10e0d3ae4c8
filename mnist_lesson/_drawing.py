"""What all diagrams are drawn with: a canvas in inches, words and arrows.

Blue is always a weight; vermilion, and dashed where it is an arrow, always a bias.
"""

from typing import Any

from ._figure import Figure  # before all else of Matplotlib: it sees to MPLBACKEND

# isort: split
import numpy as np
from matplotlib.axes import Axes

Style = dict[str, Any]  # what an artist of Matplotlib takes by name
Point = tuple[float, float]

# Okabe and Ito's blue and vermilion, which the colour-blind can tell apart.
INK, WEIGHT, BIAS = "#222222", "#0072B2", "#D55E00"
STROKES: dict[str, Style] = {
    "weight": {"color": WEIGHT, "linewidth": 1.0},
    "bias": {"color": BIAS, "linewidth": 1.3, "linestyle": (0, (3.5, 1.5))},
    "flow": {"color": INK, "linewidth": 1.0},
}
# Fills: of the input, and of what comes before and after an activation function.
INPUT, BEFORE, AFTER = "#E3EEF7", "#F6E6F0", "#DDF2E8"


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size in inches, and its empty white axes."""
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    return figure, ax


def write(
    ax: Axes,
    x: float,
    y: float,
    *lines: str,
    color: str = INK,
    size: float = 12,
    **how: Any,
) -> None:
    """Write lines below each other, the first one's baseline at y."""
    style: Style = {"ha": "center", "va": "baseline", "family": "DejaVu Sans"} | how
    style |= {"color": color, "size": size, "math_fontfamily": "cm"}
    for i, line in enumerate(lines):
        ax.text(x, y - 0.21 * i, line, **style)


def arrow(
    ax: Axes, start: Point | np.ndarray, end: Point | np.ndarray, kind: str
) -> None:
    """Draw an arrow whose tail and tip are exactly at these points."""
    style: Style = {"arrowstyle": "-|>,head_length=0.45,head_width=0.18"}
    style |= {"mutation_scale": 10, "shrinkA": 0, "shrinkB": 0, "joinstyle": "miter"}
    style |= STROKES[kind]
    (x0, y0), (x1, y1) = start, end
    ax.annotate("", (x1, y1), (x0, y0), gid=kind, arrowprops=style)
