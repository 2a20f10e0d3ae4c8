"""Explanatory diagrams of the book's three networks, drawn by code alone.

One unit of every drawing is one inch, so that positions and font sizes agree.
Blue is always a weight; vermilion, and dashed where it is an arrow, always a bias.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from ._figure import Figure  # before all else of Matplotlib: it sees to MPLBACKEND

# isort: split
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle

from ._values import whole_number

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
RADIUS = 0.215  # of a unit: enough for the widest label, x_783
MORE = "..."  # in a column of units: and so on
PIXELS = ("$x_0$", "$x_1$", "$x_2$", MORE, "$x_{783}$", "$+1$")
RELUS = ("ReLU", "ReLU", "ReLU", MORE, "ReLU", "$+1$")


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size in inches, and its empty white axes."""
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    return figure, ax


def _write(
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
            _write(ax, x, cy, label, size=13, va="center_baseline")
    return units


def _digits(letter: str) -> list[str]:
    """Return the labels of a column of ten units, one for each digit."""
    return [f"${letter}_0$", f"${letter}_1$", MORE, f"${letter}_9$"]


def _arrow(
    ax: Axes, start: Point | np.ndarray, end: Point | np.ndarray, kind: str
) -> None:
    """Draw an arrow whose tail and tip are exactly at these points."""
    style: Style = {"arrowstyle": "-|>,head_length=0.45,head_width=0.18"}
    style |= {"mutation_scale": 10, "shrinkA": 0, "shrinkB": 0, "joinstyle": "miter"}
    style |= STROKES[kind]
    (x0, y0), (x1, y1) = start, end
    ax.annotate("", (x1, y1), (x0, y0), gid=kind, arrowprops=style)


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
        _arrow(ax, _rim(unit, target), _rim(target, unit), kind)


def _name(ax: Axes, text: str, a: Circle, b: Circle, y: float, color: str) -> None:
    """Name the arrow from a to b, with a line from the name, at height y, to it."""
    x, middle = (_rim(a, b) + _rim(b, a)) / 2
    ax.plot([x, x], [y, middle], color=color, linewidth=0.8, gid="name")
    ax.plot(x, middle, "o", color=color, markersize=3.5)
    _write(ax, x, y + (0.06 if y > middle else -0.16), text, color=color, size=13)


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
    _write(ax, (x0 + x1) / 2, (top + bottom) / 2, text, va="center", **how)
    for _, y in (unit.center for unit in logits):
        _arrow(ax, (x0 + RADIUS, y), (left, y), "flow")
        _arrow(ax, (right, y), (x1 - RADIUS, y), "flow")


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
    _write(ax, x, y, name)
    _write(ax, x, y - 0.21, f"{weights:,} weights ", color=WEIGHT, ha="right")
    _write(ax, x, y - 0.21, f"+ {biases} biases", color=BIAS, ha="left")


def draw_softmax_regression() -> Figure:
    """Draw softmax regression: 784 pixels, 10 logits, softmax, 10 probabilities.

    After Fig. 2 of the source chapter, redrawn. Each pixel and the constant +1 reach
    each logit: the blue arrows are the weights W, the dashed red ones the biases b.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 4.5 inches; as a cell's last expression, Jupyter shows it once.
    """
    figure, ax = _canvas(5.4, 4.5)
    x = _column(ax, 0.66, 3.4, 0.6, INPUT, PIXELS)
    z = _column(ax, 2.6, 3.1, 0.7, BEFORE, _digits("z"))
    y = _column(ax, 4.9, 3.1, 0.7, AFTER, _digits("y"))
    _connect(ax, x, z)
    formula = r"$\dfrac{\exp\,z_i}{\sum_j\,\exp\,z_j}$"
    _softmax(ax, z, y, 1.1, formula, size=15)
    _name(ax, "weights $W$", x[0], z[0], 3.56, WEIGHT)
    _name(ax, "biases $b$", x[-1], z[-1], 0.3, BIAS)
    _write(ax, 0.66, 4.26, "input layer $X$")
    _write(ax, 2.6, 4.26, "logits $Z$", "(before softmax)")
    _write(ax, 3.75, 4.26, "softmax")
    _write(ax, 4.9, 4.26, "output $Y$")
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
    figure, ax = _canvas(5.4, 4.5)
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
        _write(ax, x_heading, 4.26, *lines, size=13)  # a subscript is 0.7 of it
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
    figure, ax = _canvas(5.4, 7.1)
    _layer(ax, 1.8, 6.86, "5×5 convolution", 500, 20)
    _write(ax, 3.9, 6.86, "2×2 max pooling", "+ ReLU")
    image = _stack(ax, 0.25, 6.45, 1, 28, 0.045, "none")
    ax.imshow(_seven(), cmap="gray_r", extent=(0.25, 1.51, 5.19, 6.45), aspect="auto")
    c1 = _stack(ax, 2.1, 6.25, 20, 24, 0.045, BEFORE)
    p1 = _stack(ax, 4.2, 5.98, 20, 12, 0.045, AFTER)
    _field(ax, image, c1, (12, 13), 5, "weight")
    _field(ax, c1, p1, (5, 9), 2, "flow")
    _write(ax, 0.88, 4.94, "image, 28×28")
    _write(ax, 2.75, 4.94, "20 maps, 24×24")
    _write(ax, 4.55, 4.94, "20 maps, 12×12")

    _layer(ax, 1.8, 4.5, "5×5 convolution", 25_000, 50)
    _write(ax, 3.9, 4.5, "2×2 max pooling", "+ ReLU")
    p1 = _stack(ax, 0.25, 3.91, 20, 12, 0.09, AFTER)
    c2 = _stack(ax, 2.1, 3.54, 50, 8, 0.09, BEFORE)
    p2 = _stack(ax, 4.2, 3.36, 50, 4, 0.09, AFTER)
    _field(ax, p1, c2, (4, 2), 5, "weight")
    _field(ax, c2, p2, (2, 2), 2, "flow")
    _write(ax, 0.9, 2.58, "the same 20 maps")
    _write(ax, 2.75, 2.58, "50 maps, 8×8")
    _write(ax, 4.65, 2.58, "50 maps, 4×4")

    _write(ax, 1.2, 2.22, "flatten", "to 800")
    _layer(ax, 2.95, 2.22, "fully connected", 8_000, 10)
    p2 = _stack(ax, 0.25, 1.15, 50, 4, 0.18, AFTER)
    h = _column(ax, 2.15, 1.7, 0.465, AFTER, ["$h_0$", MORE, "$h_{799}$", "$+1$"])
    z = _column(ax, 3.55, 1.53, 0.465, BEFORE, ["$z_0$", MORE, "$z_9$"])
    y = _column(ax, 4.9, 1.53, 0.465, AFTER, ["$y_0$", MORE, "$y_9$"])
    for unit in h[:-1]:
        _arrow(ax, (0.97 + p2.depth, 1.21), unit.center - np.array([RADIUS, 0]), "flow")
    _connect(ax, h, z)
    _softmax(ax, z, y, 0.34, "softmax", rotation=90)
    _write(ax, 0.9, 0.14, "the same 50 maps")
    _write(ax, 3.55, 0.14, "10 logits")
    _write(ax, 4.9, 0.14, "output $Y$")
    return figure


# The map of the source chapter's Fig. 5, and how its four windows look.
POOLED = np.array([[1, 0, 2, 3], [4, 6, 6, 8], [3, 1, 1, 0], [1, 2, 2, 4]])
WINDOWS = [("#FBE3D3", ""), ("#F6E6F0", "//"), (INPUT, ".."), (AFTER, "\\\\")]


def draw_pooling() -> Figure:
    """Draw 2 x 2 max pooling: a map of 4 x 4, four windows, a map of 2 x 2.

    After Fig. 5 of the source chapter, redrawn with rows counted downwards and columns
    to the right. A window and its output share a letter, a colour and a hatching; the
    largest value of each window has a circle around it.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 3.3 inches; as a cell's last expression, Jupyter shows it once.
    """
    figure, ax = _canvas(5.4, 3.3)
    side, top = 0.56, 2.62
    for i, (letter, (fill, hatch)) in enumerate(zip("abcd", WINDOWS, strict=True)):
        row, col = divmod(i, 2)
        x, y = 0.62 + 2 * col * side, top - 2 * row * side
        window = POOLED[2 * row : 2 * row + 2, 2 * col : 2 * col + 2]
        style: Style = {"facecolor": fill, "edgecolor": "#C9C9C9", "hatch": hatch}
        style |= {"linewidth": 0, "gid": "fill"}
        ax.add_patch(Rectangle((x, y), 2 * side, -2 * side, **style))
        out = 3.98 + col * side, top - (row + 1) * side
        ax.add_patch(Rectangle(out, side, -side, **style))
        for (r, c), value in np.ndenumerate(window):
            _cell(ax, (x + c * side, y - r * side), side, value, value == window.max())
        _cell(ax, out, side, window.max(), True)
        rim: Style = {"fill": False, "edgecolor": INK, "linewidth": 2, "gid": "window"}
        ax.add_patch(Rectangle((x, y), 2 * side, -2 * side, **rim))
        ax.add_patch(Rectangle(out, side, -side, **rim))
        _write(ax, x + side, (y + 0.09, y - 2 * side - 0.24)[row], f"window {letter}")
        _write(
            ax, out[0] + side / 2, (out[1] + 0.09, out[1] - side - 0.24)[row], letter
        )
    _write(ax, 0.62 + 2 * side, 3.06, "columns, to the right")
    _write(ax, 0.4, top - 2 * side, "rows, downwards", rotation=90, va="center")
    _arrow(ax, (2.98, top - 2 * side), (3.86, top - 2 * side), "flow")
    _write(ax, 3.41, top - 2 * side + 0.32, "largest", "of each")
    _write(ax, 3.98 + side, 3.06, "output")
    return figure


def _cell(ax: Axes, corner: Point, side: float, value: int, largest: bool) -> None:
    """Write a value into a square whose upper left corner is given; circle a winner."""
    x, y = corner[0] + side / 2, corner[1] - side / 2
    outline: Style = {"fill": False, "edgecolor": "#999999", "linewidth": 0.8}
    ax.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, **outline))
    rim: Style = {"edgecolor": INK if largest else "none", "linewidth": 1.4}
    ax.add_patch(Circle((x, y), 0.17, facecolor="white", **rim))
    _write(ax, x, y, str(value), size=14, va="center_baseline")


class _Layer(NamedTuple):
    """A convolutional layer with an input: all of it whole numbers."""

    x: np.ndarray  # (D, H, W)
    w: np.ndarray  # (K, D, F, F)
    b: np.ndarray  # (K,)
    stride: int
    padding: int

    @property
    def padded(self) -> np.ndarray:
        """Return the input with zeros around each slice."""
        return np.pad(self.x, [(0, 0)] + 2 * [(self.padding, self.padding)])

    def products(self, row: int, col: int) -> np.ndarray:
        """Return each kernel times the window below it, (K, D, F, F)."""
        size = self.w.shape[-1]
        top, left = self.stride * row, self.stride * col
        window = self.padded[:, top : top + size, left : left + size]
        products: np.ndarray = self.w * window
        return products

    @property
    def output(self) -> np.ndarray:
        """Return the maps, (K, rows, columns)."""
        *_, size = self.w.shape
        height, width = ((n - size) // self.stride + 1 for n in self.padded[0].shape)
        y = np.zeros((len(self.w), height, width), int)
        for r, c in np.ndindex(height, width):
            y[:, r, c] = self.products(r, c).sum((1, 2, 3)) + self.b
        return y


def _slices(*rows: str) -> np.ndarray:
    """Read square slices side by side: a line is one row of each of them."""
    lines = np.array([[part.split() for part in row.split("|")] for row in rows], int)
    return lines.swapaxes(0, 1)


# The case of the source chapter's Fig. 4: an input of three slices, and two kernels.
CONVOLVED = _Layer(
    x=_slices(
        "1 0 2 2 2 | 1 0 1 0 1 | 0 2 2 0 0",
        "0 0 0 0 0 | 0 0 0 0 1 | 0 0 0 0 1",
        "2 0 2 2 2 | 0 0 2 0 0 | 1 1 2 0 2",
        "1 0 0 0 0 | 2 0 0 0 0 | 2 0 0 0 0",
        "1 0 0 2 1 | 0 0 1 0 0 | 0 1 1 0 1",
    ),
    w=np.stack(
        [
            _slices(
                " 1  0 0 | -1 -1 0 | 1  1 0",
                "-1  0 0 | -1 -1 1 | 0 -1 1",
                " 0 -1 1 |  1  0 0 | 1  1 1",
            ),
            _slices(
                " 1 -1  0 | 0 1 -1 |  0 -1  0",
                "-1  0  0 | 0 0  0 |  1  1 -1",
                " 0  1 -1 | 0 1  1 | -1  0  1",
            ),
        ]
    ),
    b=np.array([1, 0]),
    stride=2,
    padding=1,
)


def draw_convolution(row: int = 1, column: int = 2) -> Figure:
    """Draw a convolutional layer with numbers: three slices, two kernels, two maps.

    After Fig. 4 of the source chapter, redrawn. Each kernel has a slice for each slice
    of the input. One window is outlined; its products with both kernels, and their
    sums, are written out.

    Parameters
    ----------
    row, column
        Which output to spell out: each 0, 1 or 2.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 9.2 inches; as a cell's last expression, Jupyter shows it once.
    """
    layer, side = CONVOLVED, 0.275  # 44 dots, so that equal cells are equal dot by dot
    y = layer.output
    row, column = whole_number("row", row), whole_number("column", column)
    if row >= y.shape[1] or column >= y.shape[2]:
        raise ValueError(f"row and column must be 0, 1 or 2, not {row} and {column}")
    products = layer.products(row, column)
    sums, size = products.sum((2, 3)), layer.w.shape[-1]
    top, left = layer.stride * row, layer.stride * column
    figure, ax = _canvas(5.4, 9.2)
    for x, *lines in [
        (1.0875, "input x", "with padding"),
        (2.8375, "kernels w", "0 and 1"),
        (4.0875, "window", "× kernel"),
        (4.98, "sum of", "these"),
    ]:
        _write(ax, x, 8.96, *lines)
    for d, padded in enumerate(layer.padded):
        y0 = 8.2625 - 2.3 * d
        pixels = np.pad(np.ones_like(layer.x[d]), layer.padding)
        looks = np.where(pixels, "input", "padding")
        _numbers(ax, (0.125, y0), side, padded, looks)
        _outline(ax, (0.125 + left * side, y0 - top * side), size * side)
        _write(ax, 1.0875, y0 + 0.07, f"x[{d}]")
        for k, name in enumerate(("kernel 0", "kernel 1")):
            at = y0 - k * (len(padded) - size) * side
            _numbers(ax, (2.425, at), side, layer.w[k, d], name)
            _numbers(ax, (3.675, at), side, products[k, d], "products")
            _write(ax, 2.8375, at + 0.07, f"w[{k}, {d}]")
            middle = at - size * side / 2
            _arrow(ax, (3.31, middle), (3.61, middle), "flow")
            how: Style = {"va": "center_baseline", "gid": "sum"}
            _write(ax, 4.98, middle, _signed(sums[k, d]), **how)
    for k, x0 in enumerate((0.125, 2.8375)):
        y0 = 1.0
        _numbers(ax, (x0, y0), side, y[k], f"map {k}")
        _outline(ax, (x0 + column * side, y0 - row * side), side)
        _write(ax, x0, y0 + 0.07, f"output y[{k}]", ha="left")
        total = " ".join([_signed(sums[k, 0]), *(_added(n) for n in sums[k, 1:])])
        _write(ax, x0 + 2.44, y0 - 0.2, total, ha="right")
        bias = f"bias b[{k}]:  {_added(layer.b[k])}"
        _write(ax, x0 + 2.44, y0 - 0.48, bias, ha="right", color=BIAS)
        result = f"y[{k}, {row}, {column}] = {_signed(y[k, row, column])}"
        _write(ax, x0 + 2.44, y0 - 0.76, result, ha="right")
    return figure


# Fill, rim and hatching of the numbers of a convolution. A kernel and its map agree.
CELLS = {
    "input": (INPUT, "#777777", ""),
    "padding": ("#F4F4F4", "#777777", "//"),
    "kernel 0": (BEFORE, WEIGHT, ""),
    "kernel 1": (AFTER, WEIGHT, ".."),
    "map 0": (BEFORE, "#777777", ""),
    "map 1": (AFTER, "#777777", ".."),
    "products": ("white", "#999999", ""),
}


def _numbers(
    ax: Axes, corner: Point, side: float, values: np.ndarray, looks: str | np.ndarray
) -> None:
    """Write whole numbers, in a square each, downwards from an upper left corner."""
    for (r, c), look in np.ndenumerate(np.broadcast_to(looks, values.shape)):
        fill, edge, hatch = CELLS[look]
        x, y = corner[0] + c * side, corner[1] - (r + 1) * side
        # A hatching has the colour of the edge: one square for each of the two.
        style: Style = {"facecolor": fill, "hatch": hatch, "edgecolor": "#CCCCCC"}
        ax.add_patch(Rectangle((x, y), side, side, linewidth=0, gid=look, **style))
        style = {"fill": False, "edgecolor": edge, "linewidth": 0.8}
        ax.add_patch(Rectangle((x, y), side, side, **style))
        how: Style = {"size": 11.5, "va": "center_baseline", "gid": look}
        if look == "products":
            how |= {"weight": "bold"} if values[r, c] else {"color": "#666666"}
        _write(ax, x + side / 2, y + side / 2, _signed(int(values[r, c])), **how)


def _outline(ax: Axes, corner: Point, side: float) -> None:
    """Draw the thick square around a window, or around its output."""
    style: Style = {"fill": False, "edgecolor": INK, "linewidth": 2.2, "gid": "window"}
    ax.add_patch(Rectangle(corner, side, -side, **style))


def _signed(number: int) -> str:
    """Return a number with a true minus sign."""
    return str(number).replace("-", "−")


def _added(number: int) -> str:
    """Return a number as what is added to a sum."""
    return f"{'−' if number < 0 else '+'} {abs(number)}"
