"""What pictures are drawn with: figures that notebooks show, words, shapes and arrows.

In diagrams, blue is always a weight; vermilion, and dashed where it is an arrow, always
a bias.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

# Matplotlib fails to load when MPLBACKEND names nothing that it knows. So it reads the
# name here, where nonsense does no harm: a figure needs no backend to be drawn.
if "matplotlib" not in sys.modules and (backend := os.environ.get("MPLBACKEND")):
    del os.environ["MPLBACKEND"]
    try:
        import matplotlib
    finally:
        os.environ["MPLBACKEND"] = backend
    with contextlib.suppress(ValueError):
        matplotlib.rcParams["backend"] = backend

import matplotlib.figure
from matplotlib import patches
from matplotlib.backends.backend_agg import FigureCanvasAgg

from .plotting import BLUE, VERMILION

__all__ = ["Diagram", "Figure", "FigureCanvasAgg", "Point", "matplotlib"]

Point = tuple[float, float] | np.ndarray
Units = list[np.ndarray]  # the centres of a column of units

INK, WEIGHT, BIAS = "#222222", BLUE, VERMILION
STROKES: dict[str, dict[str, Any]] = {
    "weight": {"color": WEIGHT, "linewidth": 1.0},
    "bias": {"color": BIAS, "linewidth": 1.3, "linestyle": (0, (3.5, 1.5))},
    "flow": {"color": INK, "linewidth": 1.0},
}
# Fills: of the input, and of what comes before and after an activation function.
INPUT, BEFORE, AFTER = "#E3EEF7", "#F6E6F0", "#DDF2E8"
RADIUS = 0.215  # of a unit: enough for the widest label, x_783


class Figure(matplotlib.figure.Figure):
    """A figure that Jupyter shows as the last expression of a cell.

    It is not pyplot's: that would show it again at the end of the cell, and not at all
    where MPLBACKEND names another backend than Jupyter's own.
    """

    def _repr_png_(self) -> bytes:
        """Draw it as Jupyter's own backend does, which goes first where it is there."""
        from IPython.core.pylabtools import print_figure

        png: bytes = print_figure(self)
        return png


class Diagram(Figure):
    """A white drawing whose unit is one inch, so that places and font sizes agree."""

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), dpi=160, facecolor="white")
        self.ax = self.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.ax.set_axis_off()

    def __repr__(self) -> str:
        """Say in words what any figure says; notebooks store them."""
        return super().__repr__().replace("Diagram", "Figure")

    def write(self, x: float, y: float, *lines: str, **how: Any) -> None:
        """Write lines below each other, the first one's baseline at y."""
        style: dict[str, Any] = {"color": INK, "size": 12, "ha": "center"} | how
        style |= {"family": "DejaVu Sans", "math_fontfamily": "cm"}
        for i, line in enumerate(lines):
            self.ax.text(x, y - 0.21 * i, line, **style)

    def arrow(self, start: Point, end: Point, kind: str) -> None:
        """Draw an arrow whose tail and tip are exactly at these points."""
        style = {"arrowstyle": "-|>,head_length=0.45,head_width=0.18"} | STROKES[kind]
        style |= {"mutation_scale": 10, "shrinkA": 0, "shrinkB": 0}
        style |= {"joinstyle": "miter"}
        self.ax.annotate("", tuple(end), tuple(start), gid=kind, arrowprops=style)

    def square(
        self, x: float, y: float, side: float, look: dict[str, Any], **style: Any
    ) -> None:
        """Draw a square whose upper left corner is (x, y)."""
        self.ax.add_patch(patches.Rectangle((x, y), side, -side, **look | style))

    def circle(self, x: float, y: float, radius: float, **style: Any) -> None:
        """Draw a circle around (x, y)."""
        self.ax.add_patch(patches.Circle((x, y), radius, **style))

    def polygon(self, corners: np.ndarray, **style: Any) -> None:
        """Draw a polygon with these corners, (n, 2)."""
        self.ax.add_patch(patches.Polygon(corners, **style))

    def column(
        self, x: float, y: float, pitch: float, fill: str, labels: Sequence[str]
    ) -> Units:
        """Draw units downwards from (x, y); the label "..." stands for many more."""
        units = []
        for i, label in enumerate(labels):
            cy = y - i * pitch
            if label == "...":
                dots = [cy + 0.1, cy, cy - 0.1]
                self.ax.plot([x] * 3, dots, ".", color=INK, markersize=4)
                continue
            units.append(np.array([x, cy]))
            edge, face = (BIAS, "white") if label == "$+1$" else (INK, fill)
            self.circle(x, cy, RADIUS, edgecolor=edge, facecolor=face, linewidth=1.2)
            if label == "ReLU":  # its graph says what the unit does
                graph = np.add([(-0.14, -0.06), (0, -0.06), (0.13, 0.1)], (x, cy))
                self.ax.plot(*graph.T, color=INK, linewidth=1.4)
            else:
                self.write(x, cy, label, size=13, va="center_baseline")
        return units

    def connect(self, units: Units, targets: Units) -> None:
        """Join every unit to every target; the last unit is the +1, of the biases."""
        for unit, target in product(units, targets):
            kind = "bias" if unit is units[-1] else "weight"
            self.arrow(_rim(unit, target), _rim(target, unit), kind)

    def name(self, text: str, a: np.ndarray, b: np.ndarray, y: float) -> None:
        """Name the arrow from a to b: a weight from above it, a bias from below."""
        x, middle = (_rim(a, b) + _rim(b, a)) / 2
        color, gap = (WEIGHT, 0.06) if y > middle else (BIAS, -0.16)
        self.ax.plot([x, x], [y, middle], color=color, linewidth=0.8, gid="name")
        self.ax.plot(x, middle, "o", color=color, markersize=3.5)
        self.write(x, y + gap, text, color=color, size=13)

    def softmax(
        self, logits: Units, outputs: Units, width: float, text: str, **how: Any
    ) -> None:
        """Draw the softmax block midway between two columns, and arrows through it."""
        (x0, top), (x1, bottom) = logits[0], outputs[-1]
        left, right = (x0 + x1 - width) / 2, (x0 + x1 + width) / 2
        box = patches.FancyBboxPatch(
            (left, bottom - RADIUS),
            width,
            top - bottom + 2 * RADIUS,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="#FFF6DC",
            edgecolor=INK,
            linewidth=1.2,
        )
        self.ax.add_patch(box)
        self.write((x0 + x1) / 2, (top + bottom) / 2, text, va="center", **how)
        for _, y in logits:
            self.arrow((x0 + RADIUS, y), (left, y), "flow")
            self.arrow((right, y), (x1 - RADIUS, y), "flow")


def _rim(unit: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return where the arrow that joins two units touches the first one's rim."""
    dx, dy = other - unit
    # Less steep than from centre to centre, so that it stays off the neighbours.
    angle = 0.65 * np.arctan2(dy, abs(dx))
    return unit + RADIUS * np.array([np.sign(dx) * np.cos(angle), np.sin(angle)])
