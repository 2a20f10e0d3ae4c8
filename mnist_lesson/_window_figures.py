"""Diagrams of a window that moves: pooling, and convolution number by number."""

from typing import NamedTuple

from ._figure import Figure  # before all else of Matplotlib: it sees to MPLBACKEND

# isort: split
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle

from ._drawing import (
    AFTER,
    BEFORE,
    BIAS,
    INK,
    INPUT,
    WEIGHT,
    Point,
    Style,
    arrow,
    canvas,
    write,
)
from ._values import whole_number

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
    figure, ax = canvas(5.4, 3.3)
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
        write(ax, x + side, (y + 0.09, y - 2 * side - 0.24)[row], f"window {letter}")
        write(ax, out[0] + side / 2, (out[1] + 0.09, out[1] - side - 0.24)[row], letter)
    write(ax, 0.62 + 2 * side, 3.06, "columns, to the right")
    write(ax, 0.4, top - 2 * side, "rows, downwards", rotation=90, va="center")
    arrow(ax, (2.98, top - 2 * side), (3.86, top - 2 * side), "flow")
    write(ax, 3.41, top - 2 * side + 0.32, "largest", "of each")
    write(ax, 3.98 + side, 3.06, "output")
    return figure


def _cell(ax: Axes, corner: Point, side: float, value: int, largest: bool) -> None:
    """Write a value into a square whose upper left corner is given; circle a winner."""
    x, y = corner[0] + side / 2, corner[1] - side / 2
    outline: Style = {"fill": False, "edgecolor": "#999999", "linewidth": 0.8}
    ax.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, **outline))
    rim: Style = {"edgecolor": INK if largest else "none", "linewidth": 1.4}
    ax.add_patch(Circle((x, y), 0.17, facecolor="white", **rim))
    write(ax, x, y, str(value), size=14, va="center_baseline")


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
    figure, ax = canvas(5.4, 9.2)
    for x, *lines in [
        (1.0875, "input x", "with padding"),
        (2.8375, "kernels w", "0 and 1"),
        (4.0875, "window", "× kernel"),
        (4.98, "sum of", "these"),
    ]:
        write(ax, x, 8.96, *lines)
    for d, padded in enumerate(layer.padded):
        y0 = 8.2625 - 2.3 * d
        pixels = np.pad(np.ones_like(layer.x[d]), layer.padding)
        looks = np.where(pixels, "input", "padding")
        _numbers(ax, (0.125, y0), side, padded, looks)
        _outline(ax, (0.125 + left * side, y0 - top * side), size * side)
        write(ax, 1.0875, y0 + 0.07, f"x[{d}]")
        for k, name in enumerate(("kernel 0", "kernel 1")):
            at = y0 - k * (len(padded) - size) * side
            _numbers(ax, (2.425, at), side, layer.w[k, d], name)
            _numbers(ax, (3.675, at), side, products[k, d], "products")
            write(ax, 2.8375, at + 0.07, f"w[{k}, {d}]")
            middle = at - size * side / 2
            arrow(ax, (3.31, middle), (3.61, middle), "flow")
            how: Style = {"va": "center_baseline", "gid": "sum"}
            write(ax, 4.98, middle, _signed(sums[k, d]), **how)
    for k, x0 in enumerate((0.125, 2.8375)):
        y0 = 1.0
        _numbers(ax, (x0, y0), side, y[k], f"map {k}")
        _outline(ax, (x0 + column * side, y0 - row * side), side)
        write(ax, x0, y0 + 0.07, f"output y[{k}]", ha="left")
        total = " ".join([_signed(sums[k, 0]), *(_added(n) for n in sums[k, 1:])])
        write(ax, x0 + 2.44, y0 - 0.2, total, ha="right")
        bias = f"bias b[{k}]:  {_added(layer.b[k])}"
        write(ax, x0 + 2.44, y0 - 0.48, bias, ha="right", color=BIAS)
        result = f"y[{k}, {row}, {column}] = {_signed(y[k, row, column])}"
        write(ax, x0 + 2.44, y0 - 0.76, result, ha="right")
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
        write(ax, x + side / 2, y + side / 2, _signed(int(values[r, c])), **how)


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
