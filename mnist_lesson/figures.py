"""Explanatory diagrams of the three networks, and of convolution and pooling."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .drawing import AFTER, BEFORE, BIAS, INK, INPUT, RADIUS, WEIGHT, Diagram
from .values import whole_number

PIXELS = ("$x_0$", "$x_1$", "$x_2$", "...", "$x_{783}$", "$+1$")
RELUS = ("ReLU", "ReLU", "ReLU", "...", "ReLU", "$+1$")
LOGITS = ("$z_0$", "$z_1$", "...", "$z_9$")
OUTPUTS = ("$y_0$", "$y_1$", "...", "$y_9$")


def draw_softmax_regression() -> Diagram:
    """Draw softmax regression: 784 pixels, 10 logits, softmax, 10 probabilities.

    After Fig. 2 of the source chapter, redrawn. Each pixel and the constant +1 reach
    each logit: the blue arrows are the weights W, the dashed red ones the biases b.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 4.5 inches; as a cell's last expression, Jupyter shows it once.
    """
    fig = Diagram(5.4, 4.5)
    x = fig.column(0.66, 3.4, 0.6, INPUT, PIXELS)
    z = fig.column(2.6, 3.1, 0.7, BEFORE, LOGITS)
    y = fig.column(4.9, 3.1, 0.7, AFTER, OUTPUTS)
    fig.connect(x, z)
    fig.softmax(z, y, 1.1, r"$\dfrac{\exp\,z_i}{\sum_k\,\exp\,z_k}$", size=15)
    fig.name("weights $W$", x[0], z[0], 3.56)
    fig.name("biases $b$", x[-1], z[-1], 0.3)
    fig.write(0.66, 4.26, "input layer $X$")
    fig.write(2.6, 4.26, "logits $Z$", "(before softmax)")
    fig.write(3.75, 4.26, "softmax")
    fig.write(4.9, 4.26, "output $Y$")
    return fig


def draw_multilayer_perceptron() -> Diagram:
    """Draw the multilayer perceptron: two hidden layers of ReLU units, then softmax.

    After Fig. 3 of the source chapter, redrawn. The chapter's text gives the second
    hidden layer a softmax; its code, and this drawing, a ReLU.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 4.5 inches; as a cell's last expression, Jupyter shows it once.
    """
    fig = Diagram(5.4, 4.5)
    x = fig.column(0.42, 3.4, 0.58, INPUT, PIXELS)
    h1 = fig.column(1.5, 3.4, 0.58, AFTER, RELUS)
    h2 = fig.column(2.58, 3.4, 0.58, AFTER, RELUS)
    z = fig.column(3.66, 3.2, 0.65, BEFORE, LOGITS)
    y = fig.column(4.95, 3.2, 0.65, AFTER, OUTPUTS)
    for i, units, targets in [(1, x, h1[:-1]), (2, h1, h2[:-1]), (3, h2, z)]:
        fig.connect(units, targets)
        fig.name(f"$W_{i}$", units[0], targets[0], 3.66)
        fig.name(f"$b_{i}$", units[-1], targets[-1], 0.3)
    fig.softmax(z, y, 0.34, "softmax", rotation=90)
    for middle, *lines in [
        (0.42, "input $X$", "784"),
        (1.5, "hidden $H_1$", "128, ReLU"),
        (2.58, "hidden $H_2$", "64, ReLU"),
        (3.66, "logits $Z$", "10"),
        (4.95, "output $Y$", "10"),
    ]:
        fig.write(middle, 4.26, *lines, size=13)  # a subscript is 0.7 of it
    return fig


def draw_lenet() -> Diagram:
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
    fig = Diagram(5.4, 7.1)
    _layer(fig, 1.8, 6.86, "5×5 convolution", 500, 20)
    fig.write(3.9, 6.86, "2×2 max pooling", "+ ReLU")
    image = _stack(fig, 0.25, 6.45, 1, 28, 0.045, "none")
    place = (0.25, 1.51, 5.19, 6.45)
    fig.ax.imshow(_seven(), cmap="gray_r", extent=place, aspect="auto", origin="upper")
    c1 = _stack(fig, 2.1, 6.25, 20, 24, 0.045, BEFORE)
    p1 = _stack(fig, 4.2, 5.98, 20, 12, 0.045, AFTER)
    _field(fig, image, c1, (12, 13), 5, "weight")
    _field(fig, c1, p1, (5, 9), 2, "flow")
    fig.write(0.88, 4.94, "image, 28×28")
    fig.write(2.75, 4.94, "20 maps, 24×24")
    fig.write(4.55, 4.94, "20 maps, 12×12")

    _layer(fig, 1.8, 4.5, "5×5 convolution", 25_000, 50)
    fig.write(3.9, 4.5, "2×2 max pooling", "+ ReLU")
    p1 = _stack(fig, 0.25, 3.91, 20, 12, 0.09, AFTER)
    c2 = _stack(fig, 2.1, 3.54, 50, 8, 0.09, BEFORE)
    p2 = _stack(fig, 4.2, 3.36, 50, 4, 0.09, AFTER)
    _field(fig, p1, c2, (4, 2), 5, "weight")
    _field(fig, c2, p2, (2, 2), 2, "flow")
    fig.write(0.9, 2.58, "the same 20 maps")
    fig.write(2.75, 2.58, "50 maps, 8×8")
    fig.write(4.65, 2.58, "50 maps, 4×4")

    fig.write(1.2, 2.22, "flatten", "to 800")
    _layer(fig, 2.95, 2.22, "fully connected", 8_000, 10)
    p2 = _stack(fig, 0.25, 1.15, 50, 4, 0.18, AFTER)
    h = fig.column(2.15, 1.7, 0.465, AFTER, ["$h_0$", "...", "$h_{799}$", "$+1$"])
    z = fig.column(3.55, 1.53, 0.465, BEFORE, ["$z_0$", "...", "$z_9$"])
    y = fig.column(4.9, 1.53, 0.465, AFTER, ["$y_0$", "...", "$y_9$"])
    for unit in h[:-1]:
        fig.arrow((0.97 + p2.depth, 1.21), unit - (RADIUS, 0), "flow")
    fig.connect(h, z)
    fig.softmax(z, y, 0.34, "softmax", rotation=90)
    fig.write(0.9, 0.14, "the same 50 maps")
    fig.write(3.55, 0.14, "10 logits")
    fig.write(4.9, 0.14, "output $Y$")
    return fig


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
    fig: Diagram, x: float, top: float, count: int, side: int, pixel: float, fill: str
) -> _Maps:
    """Draw a stack of side x side maps, each of them, the first one in front."""
    maps = _Maps(x, top, pixel, 0.0125 * (count - 1))  # 2 dots a map: an even grey
    style = {"facecolor": fill, "edgecolor": "#999999", "gid": f"map {side}"}
    for back in np.linspace(maps.depth, 0, count):
        fig.polygon(maps.corners(0, 0, side, back), linewidth=0.4, **style)
    return maps


def _field(
    fig: Diagram, maps: _Maps, to: _Maps, at: tuple[int, int], size: int, kind: str
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
    color = WEIGHT if kind == "weight" else INK
    for line in lines:
        fig.ax.plot(*np.transpose(line), color=color, linewidth=0.8)
    for square, gid in [(front, f"field {kind}"), (output, "output")]:
        fig.polygon(square, fill=False, color=color, linewidth=1, gid=gid)


def _seven() -> np.ndarray:
    """Return a 28 x 28 drawing of a 7, from 0 (paper) to 1 (ink): two thick strokes."""
    pixels, ink = np.moveaxis(np.indices((28, 28)), 0, -1), np.zeros((28, 28))
    for start, end in [((7, 7), (7, 20)), ((7, 20), (22, 12))]:
        stroke = np.subtract(end, start)
        along = np.clip((pixels - start) @ stroke / (stroke @ stroke), 0, 1)[..., None]
        distance = np.linalg.norm(pixels - start - along * stroke, axis=-1)
        ink = np.maximum(ink, np.clip(2 - distance, 0, 1))
    return ink


def _layer(fig: Diagram, x: float, y: float, name: str, w: int, b: int) -> None:
    """Name a layer that learns, with how many weights and biases it has."""
    fig.write(x, y, name)
    fig.write(x, y - 0.21, f"{w:,} weights ", color=WEIGHT, ha="right")
    fig.write(x, y - 0.21, f"+ {b} biases", color=BIAS, ha="left")


# The rim of a cell; the thick square around a window, or around its output.
RIM = {"fill": False, "linewidth": 0.8}
FRAME = {"fill": False, "edgecolor": INK, "linewidth": 2.2, "gid": "window"}
# The map of the source chapter's Fig. 5, and how its four windows look.
POOLED = np.array([[1, 0, 2, 3], [4, 6, 6, 8], [3, 1, 1, 0], [1, 2, 2, 4]])
WINDOWS = [("#FBE3D3", ""), (BEFORE, "//"), (INPUT, ".."), (AFTER, "\\\\")]
POOLED_CELL = 0.56


def draw_pooling() -> Diagram:
    """Draw 2 x 2 max pooling: a map of 4 x 4, four windows, a map of 2 x 2.

    After Fig. 5 of the source chapter, redrawn with rows counted downwards and columns
    to the right. A window and its output share a letter, a colour and a hatching; the
    largest value of each window has a circle around it.

    Returns
    -------
    matplotlib.figure.Figure
        5.4 x 3.3 inches; as a cell's last expression, Jupyter shows it once.
    """
    fig, side, top = Diagram(5.4, 3.3), POOLED_CELL, 2.62
    for i, (fill, hatch) in enumerate(WINDOWS):
        row, col = divmod(i, 2)
        x, y = 0.62 + 2 * col * side, top - 2 * row * side
        out_x, out_y = 3.98 + col * side, top - (row + 1) * side
        squares = [(x, y, 2 * side, "window "), (out_x, out_y, side, "")]
        look = {"facecolor": fill, "edgecolor": "#C9C9C9", "hatch": hatch}
        for left, upper, size, _ in squares:
            fig.square(left, upper, size, look, linewidth=0, gid="fill")
        window = POOLED[2 * row : 2 * row + 2, 2 * col : 2 * col + 2]
        for (r, c), value in np.ndenumerate(window):
            _cell(fig, x + c * side, y - r * side, value, value == window.max())
        _cell(fig, out_x, out_y, window.max(), True)
        for left, upper, size, name in squares:
            fig.square(left, upper, size, FRAME, linewidth=2)
            beside = -size - 0.24 if row else 0.09
            fig.write(left + size / 2, upper + beside, name + "abcd"[i])
    fig.write(0.62 + 2 * side, 3.06, "columns, to the right")
    fig.write(0.4, top - 2 * side, "rows, downwards", rotation=90, va="center")
    fig.arrow((2.98, top - 2 * side), (3.86, top - 2 * side), "flow")
    fig.write(3.41, top - 2 * side + 0.32, "largest", "of each")
    fig.write(3.98 + side, 3.06, "output")
    return fig


def _cell(fig: Diagram, x: float, y: float, value: int, largest: bool) -> None:
    """Write a value into a square, with (x, y) at the upper left; circle a winner."""
    fig.square(x, y, POOLED_CELL, RIM, edgecolor="#999999")
    x, y = x + POOLED_CELL / 2, y - POOLED_CELL / 2
    rim = INK if largest else "none"
    fig.circle(x, y, 0.17, facecolor="white", edgecolor=rim, linewidth=1.4)
    fig.write(x, y, str(value), size=14, va="center_baseline")


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

    @property
    def windows(self) -> np.ndarray:
        """Return what each output sees of the input, (rows, columns, D, F, F)."""
        every: np.ndarray = sliding_window_view(self.padded, self.w.shape[1:])
        return every[0, :: self.stride, :: self.stride]

    def products(self, row: int, col: int) -> np.ndarray:
        """Return each kernel times the window below it, (K, D, F, F)."""
        return np.asarray(self.w * self.windows[row, col])

    @property
    def output(self) -> np.ndarray:
        """Return the maps, (K, rows, columns)."""
        sums = np.einsum("kdij,rcdij->krc", self.w, self.windows)
        return np.asarray(sums + self.b[:, None, None])


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
    w=_slices(
        " 1  0 0 | -1 -1 0 | 1  1 0 |  1 -1  0 | 0 1 -1 |  0 -1  0",
        "-1  0 0 | -1 -1 1 | 0 -1 1 | -1  0  0 | 0 0  0 |  1  1 -1",
        " 0 -1 1 |  1  0 0 | 1  1 1 |  0  1 -1 | 0 1  1 | -1  0  1",
    ).reshape(2, 3, 3, 3),
    b=np.array([1, 0]),
    stride=2,
    padding=1,
)
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
CELL = 0.275  # 44 dots, so that equal cells are equal dot by dot


def draw_convolution(row: int = 1, column: int = 2) -> Diagram:
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

    Raises
    ------
    ValueError
        If there is no such output.
    """
    layer, y = CONVOLVED, CONVOLVED.output
    row, column = whole_number("row", row), whole_number("column", column)
    if row >= y.shape[1] or column >= y.shape[2]:
        raise ValueError(f"row and column must be 0, 1 or 2, not {row} and {column}")
    products = layer.products(row, column)
    sums, size = products.sum((2, 3)), CELL * layer.w.shape[-1]
    right, down = (CELL * layer.stride * n for n in (column, row))
    fig = Diagram(5.4, 9.2)
    fig.write(1.0875, 8.96, "input x", "with padding")
    fig.write(2.8375, 8.96, "kernels w", "0 and 1")
    fig.write(4.0875, 8.96, "window", "× kernel")
    fig.write(4.98, 8.96, "sum of", "these")
    for d, padded in enumerate(layer.padded):
        top = 8.2625 - 2.3 * d
        inside = np.pad(np.ones_like(layer.x[d]), layer.padding)
        _numbers(fig, 0.125, top, padded, np.where(inside, "input", "padding"))
        fig.square(0.125 + right, top - down, size, FRAME)
        fig.write(1.0875, top + 0.07, f"x[{d}]")
        for k, y0 in enumerate((top, top - 4 * CELL)):  # of 7 rows, from 0 and from 4
            _numbers(fig, 2.425, y0, layer.w[k, d], f"kernel {k}")
            _numbers(fig, 3.675, y0, products[k, d], "products")
            fig.write(2.8375, y0 + 0.07, f"w[{k}, {d}]")
            middle, total = y0 - size / 2, _signed(sums[k, d])
            fig.arrow((3.31, middle), (3.61, middle), "flow")
            fig.write(4.98, middle, total, va="center_baseline", gid="sum")
    for k, x0 in enumerate((0.125, 2.8375)):
        _numbers(fig, x0, 1, y[k], f"map {k}")
        fig.square(x0 + column * CELL, 1 - row * CELL, CELL, FRAME)
        fig.write(x0, 1.07, f"output y[{k}]", ha="left")
        total = " ".join([_signed(sums[k, 0]), *map(_added, sums[k, 1:])])
        bias = f"bias b[{k}]:  {_added(layer.b[k])}"
        result = f"y[{k}, {row}, {column}] = {_signed(y[k, row, column])}"
        fig.write(x0 + 2.44, 0.8, total, ha="right")
        fig.write(x0 + 2.44, 0.52, bias, ha="right", color=BIAS)
        fig.write(x0 + 2.44, 0.24, result, ha="right")
    return fig


def _numbers(
    fig: Diagram, x0: float, y0: float, values: np.ndarray, looks: str | np.ndarray
) -> None:
    """Write whole numbers, in a square each, with (x0, y0) at the upper left."""
    for (r, c), look in np.ndenumerate(np.broadcast_to(looks, values.shape)):
        fill, edge, hatch = CELLS[look]
        x, y = x0 + c * CELL, y0 - r * CELL
        # A hatching has the colour of the edge: one square for each of the two.
        style = {"facecolor": fill, "edgecolor": "#CCCCCC", "hatch": hatch}
        fig.square(x, y, CELL, style, linewidth=0, gid=look)
        fig.square(x, y, CELL, RIM, edgecolor=edge)
        how = {"size": 11.5, "va": "center_baseline", "gid": look}
        if look == "products":
            how |= {"weight": "bold"} if values[r, c] else {"color": "#666666"}
        fig.write(x + CELL / 2, y - CELL / 2, _signed(values[r, c]), **how)


def _signed(number: object) -> str:
    """Return a number with a true minus sign."""
    return str(number).replace("-", "−")


def _added(number: int) -> str:
    """Return a number as what is added to a sum."""
    return f"{'−' if number < 0 else '+'} {abs(number)}"
