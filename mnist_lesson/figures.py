"""Explanatory diagrams of the three networks, and of convolution and pooling.

One unit of every drawing is one inch, so that positions and font sizes agree.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from ._figure import Figure  # before all else of Matplotlib: it sees to MPLBACKEND

# isort: split
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, Polygon

from ._drawing import (
    AFTER,
    BEFORE,
    BIAS,
    INK,
    INPUT,
    STROKES,
    WEIGHT,
    Style,
    arrow,
    canvas,
    write,
)
from ._window_figures import CONVOLVED, POOLED, draw_convolution, draw_pooling

__all__ = [
    "CONVOLVED",
    "POOLED",
    "draw_convolution",
    "draw_lenet",
    "draw_multilayer_perceptron",
    "draw_pooling",
    "draw_softmax_regression",
]

RADIUS = 0.215  # of a unit: enough for the widest label, x_783
MORE = "..."  # in a column of units: and so on
PIXELS = ("$x_0$", "$x_1$", "$x_2$", MORE, "$x_{783}$", "$+1$")
RELUS = ("ReLU", "ReLU", "ReLU", MORE, "ReLU", "$+1$")


def _column(
    ax: Axes, x: float, y: float, pitch: float, fill: str, labels: Sequence[str]
) -> list[Circle]:
    """Draw units downwards from (x, y); return their circles."""
    units: list[Circle] = []
    for i, label in enumerate(labels):
        cy = y - i * pitch
        if label == MORE:
            ax.plot([x] * 3, [cy + 0.1, cy, cy - 0.1], ".", color=INK, markersize=4)
            continue
        edge, face = (BIAS, "white") if label == "$+1$" else (INK, fill)
        style: Style = {"edgecolor": edge, "facecolor": face, "linewidth": 1.2}
        units.append(Circle((x, cy), RADIUS, **style))
        ax.add_patch(units[-1])
        if label == "ReLU":  # its graph says what the unit does
            graph = np.add([(-0.14, -0.06), (0, -0.06), (0.13, 0.1)], (x, cy))
            ax.plot(*graph.T, color=INK, linewidth=1.4)
        else:
            write(ax, x, cy, label, size=13, va="center_baseline")
    return units


def _digits(letter: str) -> list[str]:
    """Return the labels of a column of ten units, one for each digit."""
    return [f"${letter}_0$", f"${letter}_1$", MORE, f"${letter}_9$"]


def _rim(unit: Circle, other: Circle) -> np.ndarray:
    """Return where the arrow that joins two units touches the first one's rim."""
    dx, dy = np.subtract(other.center, unit.center)
    # Less steep than from centre to centre, so that it stays off the neighbours.
    angle = 0.65 * np.arctan2(dy, abs(dx))
    direction = np.array([np.sign(dx) * np.cos(angle), np.sin(angle)])
    rim: np.ndarray = unit.center + RADIUS * direction
    return rim


def _connect(ax: Axes, units: list[Circle], targets: list[Circle]) -> None:
    """Join every unit to every target; the biases come from the last unit, the +1."""
    for unit, target in product(units, targets):
        kind = "bias" if unit is units[-1] else "weight"
        arrow(ax, _rim(unit, target), _rim(target, unit), kind)


def _name(ax: Axes, text: str, a: Circle, b: Circle, y: float, color: str) -> None:
    """Name the arrow from a to b, with a line from the name, at height y, to it."""
    x, middle = (_rim(a, b) + _rim(b, a)) / 2
    ax.plot([x, x], [y, middle], color=color, linewidth=0.8, gid="name")
    ax.plot(x, middle, "o", color=color, markersize=3.5)
    write(ax, x, y + (0.06 if y > middle else -0.16), text, color=color, size=13)


def _softmax(
    ax: Axes,
    logits: list[Circle],
    outputs: list[Circle],
    width: float,
    text: str,
    **how: Any,
) -> None:
    """Draw the softmax block midway between two columns, and the arrows through it."""
    (x0, top), (x1, bottom) = logits[0].center, outputs[-1].center
    left, right = (x0 + x1 - width) / 2, (x0 + x1 + width) / 2
    style: Style = {"facecolor": "#FFF6DC", "edgecolor": INK, "linewidth": 1.2}
    style |= {"boxstyle": "round,pad=0,rounding_size=0.06"}
    box = (left, bottom - RADIUS), width, top - bottom + 2 * RADIUS
    ax.add_patch(FancyBboxPatch(*box, **style))
    write(ax, (x0 + x1) / 2, (top + bottom) / 2, text, va="center", **how)
    for _, y in (unit.center for unit in logits):
        arrow(ax, (x0 + RADIUS, y), (left, y), "flow")
        arrow(ax, (right, y), (x1 - RADIUS, y), "flow")


class _Maps(NamedTuple):
    """A stack of square feature maps: where its front one is, and how large."""

    x: float
    top: float
    pixel: float  # in inches
    depth: float  # how far back, in inches, the last map is

    def corners(self, row: int, col: int, size: int, back: float = 0) -> np.ndarray:
        """Return the corners of a square of pixels, clockwise from the upper left."""
        square = np.array([(0, 0), (1, 0), (1, -1), (0, -1)]) * size + (col, -row)
        return square * self.pixel + (self.x + back, self.top + back)


def _stack(
    ax: Axes, x: float, top: float, count: int, side: int, pixel: float, fill: str
) -> _Maps:
    """Draw a stack of side x side maps, each of them, the first one in front."""
    maps = _Maps(x, top, pixel, 0.0125 * (count - 1))  # 2 dots a map: an even grey
    style: Style = {"facecolor": fill, "edgecolor": "#999999", "linewidth": 0.4}
    for back in np.linspace(maps.depth, 0, count):
        square = maps.corners(0, 0, side, back)
        ax.add_patch(Polygon(square, gid=f"map {side}", **style))
    return maps


def _field(
    ax: Axes, maps: _Maps, to: _Maps, at: tuple[int, int], size: int, kind: str
) -> None:
    """Join one output, at (row, col), to the pixels that it sees.

    A convolution ("weight") looks through all maps, pooling ("flow") at one of them.
    """
    row, col = at if kind == "weight" else np.multiply(at, size)
    front, back = (maps.corners(row, col, size, z) for z in (0, maps.depth))
    output = to.corners(*at, 1)
    lines = [(front[1], output[0]), (front[2], output[3])]
    if kind == "weight":
        lines += [*zip(front, back, strict=True), (*back, back[0])]
    for line in lines:
        ax.plot(*np.transpose(line), color=STROKES[kind]["color"], linewidth=0.8)
    for square, gid in [(front, f"field {kind}"), (output, "output")]:
        ax.add_patch(Polygon(square, fill=False, gid=gid, **STROKES[kind]))


def _seven() -> np.ndarray:
    """Return a 28 x 28 drawing of a 7, from 0 (paper) to 1 (ink): two thick strokes."""
    pixels, ink = np.moveaxis(np.indices((28, 28)), 0, -1), np.zeros((28, 28))
    for start, end in [((7, 7), (7, 20)), ((7, 20), (22, 12))]:
        stroke = np.subtract(end, start)
        along = np.clip((pixels - start) @ stroke / (stroke @ stroke), 0, 1)[..., None]
        distance = np.linalg.norm(pixels - start - along * stroke, axis=-1)
        ink = np.maximum(ink, np.clip(2 - distance, 0, 1))
    return ink


def _layer(ax: Axes, x: float, y: float, name: str, weights: int, biases: int) -> None:
    """Name a layer that learns, with how many weights and biases it has."""
    write(ax, x, y, name)
    write(ax, x, y - 0.21, f"{weights:,} weights ", color=WEIGHT, ha="right")
    write(ax, x, y - 0.21, f"+ {biases} biases", color=BIAS, ha="left")


def draw_softmax_regression() -> Figure:
    """Draw softmax regression: 784 pixels, 10 logits, softmax, 10 probabilities.

    After Fig. 2 of the source chapter, redrawn. Each pixel and the constant +1 reach
    each logit: the blue arrows are the weights W, the dashed red ones the biases b.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 4.5 inches; as a cell's last expression, Jupyter shows it once.
    """
    figure, ax = canvas(5.4, 4.5)
    x = _column(ax, 0.66, 3.4, 0.6, INPUT, PIXELS)
    z = _column(ax, 2.6, 3.1, 0.7, BEFORE, _digits("z"))
    y = _column(ax, 4.9, 3.1, 0.7, AFTER, _digits("y"))
    _connect(ax, x, z)
    formula = r"$\dfrac{\exp\,z_i}{\sum_j\,\exp\,z_j}$"
    _softmax(ax, z, y, 1.1, formula, size=15)
    _name(ax, "weights $W$", x[0], z[0], 3.56, WEIGHT)
    _name(ax, "biases $b$", x[-1], z[-1], 0.3, BIAS)
    write(ax, 0.66, 4.26, "input layer $X$")
    write(ax, 2.6, 4.26, "logits $Z$", "(before softmax)")
    write(ax, 3.75, 4.26, "softmax")
    write(ax, 4.9, 4.26, "output $Y$")
    return figure


def draw_multilayer_perceptron() -> Figure:
    """Draw the multilayer perceptron: two hidden layers of ReLU units, then softmax.

    After Fig. 3 of the source chapter, redrawn. The chapter's text gives the second
    hidden layer a softmax; its code, and this drawing, a ReLU.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 4.5 inches; as a cell's last expression, Jupyter shows it once.
    """
    figure, ax = canvas(5.4, 4.5)
    x = _column(ax, 0.42, 3.4, 0.58, INPUT, PIXELS)
    h1 = _column(ax, 1.5, 3.4, 0.58, AFTER, RELUS)
    h2 = _column(ax, 2.58, 3.4, 0.58, AFTER, RELUS)
    z = _column(ax, 3.66, 3.2, 0.65, BEFORE, _digits("z"))
    y = _column(ax, 4.95, 3.2, 0.65, AFTER, _digits("y"))
    layers = [(x, h1[:-1]), (h1, h2[:-1]), (h2, z)]
    for i, (units, targets) in enumerate(layers, start=1):
        _connect(ax, units, targets)
        _name(ax, f"$W_{i}$", units[0], targets[0], 3.66, WEIGHT)
        _name(ax, f"$b_{i}$", units[-1], targets[-1], 0.3, BIAS)
    _softmax(ax, z, y, 0.34, "softmax", rotation=90)
    for x_heading, *lines in [
        (0.42, "input $X$", "784"),
        (1.5, "hidden $H_1$", "128, ReLU"),
        (2.58, "hidden $H_2$", "64, ReLU"),
        (3.66, "logits $Z$", "10"),
        (4.95, "output $Y$", "10"),
    ]:
        write(ax, x_heading, 4.26, *lines, size=13)  # a subscript is 0.7 of it
    return figure


def draw_lenet() -> Figure:
    """Draw LeNet as the source chapter's code has it: every map, to scale.

    After Fig. 6 of the source chapter, redrawn without the second fully connected
    layer, which its code does not have. One output of each layer is joined to the
    pixels that it sees. Each row starts with the last maps of the row above it, drawn
    twice as large.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 7.1 inches; as a cell's last expression, Jupyter shows it once.
    """
    figure, ax = canvas(5.4, 7.1)
    _layer(ax, 1.8, 6.86, "5×5 convolution", 500, 20)
    write(ax, 3.9, 6.86, "2×2 max pooling", "+ ReLU")
    image = _stack(ax, 0.25, 6.45, 1, 28, 0.045, "none")
    ax.imshow(_seven(), cmap="gray_r", extent=(0.25, 1.51, 5.19, 6.45), aspect="auto")
    c1 = _stack(ax, 2.1, 6.25, 20, 24, 0.045, BEFORE)
    p1 = _stack(ax, 4.2, 5.98, 20, 12, 0.045, AFTER)
    _field(ax, image, c1, (12, 13), 5, "weight")
    _field(ax, c1, p1, (5, 9), 2, "flow")
    write(ax, 0.88, 4.94, "image, 28×28")
    write(ax, 2.75, 4.94, "20 maps, 24×24")
    write(ax, 4.55, 4.94, "20 maps, 12×12")

    _layer(ax, 1.8, 4.5, "5×5 convolution", 25_000, 50)
    write(ax, 3.9, 4.5, "2×2 max pooling", "+ ReLU")
    p1 = _stack(ax, 0.25, 3.91, 20, 12, 0.09, AFTER)
    c2 = _stack(ax, 2.1, 3.54, 50, 8, 0.09, BEFORE)
    p2 = _stack(ax, 4.2, 3.36, 50, 4, 0.09, AFTER)
    _field(ax, p1, c2, (4, 2), 5, "weight")
    _field(ax, c2, p2, (2, 2), 2, "flow")
    write(ax, 0.9, 2.58, "the same 20 maps")
    write(ax, 2.75, 2.58, "50 maps, 8×8")
    write(ax, 4.65, 2.58, "50 maps, 4×4")

    write(ax, 1.2, 2.22, "flatten", "to 800")
    _layer(ax, 2.95, 2.22, "fully connected", 8_000, 10)
    p2 = _stack(ax, 0.25, 1.15, 50, 4, 0.18, AFTER)
    h = _column(ax, 2.15, 1.7, 0.465, AFTER, ["$h_0$", MORE, "$h_{799}$", "$+1$"])
    z = _column(ax, 3.55, 1.53, 0.465, BEFORE, ["$z_0$", MORE, "$z_9$"])
    y = _column(ax, 4.9, 1.53, 0.465, AFTER, ["$y_0$", MORE, "$y_9$"])
    for unit in h[:-1]:
        arrow(ax, (0.97 + p2.depth, 1.21), unit.center - np.array([RADIUS, 0]), "flow")
    _connect(ax, h, z)
    _softmax(ax, z, y, 0.34, "softmax", rotation=90)
    write(ax, 0.9, 0.14, "the same 50 maps")
    write(ax, 3.55, 0.14, "10 logits")
    write(ax, 4.9, 0.14, "output $Y$")
    return figure
