"""Show digits, feature maps and answers as pictures, and measurements as a table."""

import math
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .data import Digits
from .inference import Recognition
from .plotting import BLUE, VERMILION
from .values import short, to_array, whole_number

if TYPE_CHECKING:  # Matplotlib is loaded to draw, not to import this
    from .drawing import Figure

MOST_PICTURES = 1_000  # side by side
UPRIGHT: Any = {"origin": "upper", "aspect": "equal"}  # whatever a style says


class Table:
    """Rows of text under a heading: a table in a notebook, aligned text in print."""

    def __init__(self, heading: tuple[str, ...], rows: list[tuple[str, ...]]):
        self.heading = heading
        self.rows = rows

    def __repr__(self) -> str:
        all_rows = [self.heading, *self.rows]
        width, *widths = [
            max(map(len, column)) for column in zip(*all_rows, strict=True)
        ]
        return "\n".join(
            "   ".join([f"{name:{width}}", *map(str.rjust, entries, widths)])
            for name, *entries in all_rows
        )

    def _repr_html_(self) -> str:
        def line(name: str, *entries: str, tag: str = "td") -> str:
            cells = [f"<{tag} {RIGHT}>{escape(entry)}</{tag}>" for entry in entries]
            scope = "col" if tag == "th" else "row"
            first = f'<th scope="{scope}" {LEFT}>{escape(name)}</th>'
            return f"<tr>{first}{''.join(cells)}</tr>"

        head, *body = line(*self.heading, tag="th"), *[line(*row) for row in self.rows]
        start = f'<table class="table">\n<thead>{head}</thead>\n<tbody>'
        return "\n".join([start, *body, "</tbody></table>"])


LEFT, RIGHT = [f'style="text-align: {side}"' for side in ("left", "right")]


def show_table(heading: Iterable[object], *rows: Iterable[object]) -> Table:
    """Show what was measured, row by row.

    Parameters
    ----------
    heading
        What stands above each column.
    *rows
        As many entries each as the heading has, of anything: first what the row is
        about, then its numbers.

    Returns
    -------
    Table
        As the last expression of a cell, it is shown; printed, it is aligned text.

    Raises
    ------
    ValueError
        If a row is longer or shorter than the heading, or the heading is empty; or if
        all rows were given as one.
    """
    top, *given = [tuple(row) for row in (heading, *rows)]
    whole = given[0] if len(given) == 1 and not isinstance(rows[0], tuple) else ()
    if whole and all(isinstance(r, list | tuple) and len(r) == len(top) for r in whole):
        raise ValueError("the only row holds rows: put a star before them, *rows")
    top, *lines = [tuple(map(str, row)) for row in (top, *given)]
    for number, line in enumerate(lines, 1):
        if len(line) != len(top):
            raise ValueError(
                f"row {number} must have an entry for each of the {len(top)} columns, "
                f"not {len(line)}: {short(line)}"
            )
    if not top:
        raise ValueError("heading must have an entry for each column, not none")
    return Table(top, lines)


def spread(values: Iterable[float]) -> str:
    """Write the mean of several runs and the standard deviation between them.

    Parameters
    ----------
    values
        One number of each run, at least two of them.

    Returns
    -------
    str
        Both, with one decimal, as in "94.2 ± 0.1". The squares are divided by one less
        than the number of runs, since the mean was estimated from them, too.

    Raises
    ------
    ValueError
        If there are fewer than two numbers, or these aren't numbers.
    """
    given = hasattr(values, "shape") or not isinstance(values, Iterable)
    numbers = to_array(values if given else list(values))
    if numbers.ndim != 1 or len(numbers) < 2 or numbers.dtype.kind not in "biuf":
        raise ValueError(
            f"values must be the numbers of at least two runs, not {short(values)}"
        )
    return f"{numbers.mean():.1f} ± {numbers.std(ddof=1):.1f}"


def show_digits(
    images: np.ndarray | torch.Tensor,
    titles: Iterable[object] | None = None,
    *,
    columns: int = 10,
) -> "Figure":
    """Draw digits side by side.

    Parameters
    ----------
    images
        Grey levels from 0 to 255, (N, 28, 28), array or tensor; dark ink is drawn on
        light paper. One image, (28, 28), will do, and so will `Digits`.
    titles
        What to write above each; N of anything.
    columns
        How many to draw in a row.

    Returns
    -------
    matplotlib.figure.Figure
        As the last expression of a cell, it is shown.

    Raises
    ------
    ValueError
        If these are no such grey levels, or more than 1,000 images; if there are not N
        titles, or `columns` is no whole number from 1.
    """
    stack = _stack("images", images)
    if not np.isfinite(stack).all():
        raise ValueError("images must be grey levels from 0 to 255, not nan or inf")
    if stack.shape[2] in (3, 4):
        raise ValueError(
            "images must be (N, height, width), but these look like colours, of shape "
            f"{stack.shape}; make them grey first"
        )
    low, high = stack.min(), stack.max()
    if stack.dtype.kind in "iu":
        in_range = 0 <= low and high <= 255
    else:  # bicubic resizing overshoots; standardized images end below 3
        in_range = (-128 <= low and 3 < high <= 383) or not stack.any()
    if not in_range:
        raise ValueError(
            "images must be grey levels from 0 to 255, but these lie between "
            f"{low:.3g} and {high:.3g}; undo their scaling first"
        )
    return _side_by_side("images", stack, titles, columns, "gray_r", 0, 255)


def show_maps(
    maps: np.ndarray | torch.Tensor | Iterable[np.ndarray | torch.Tensor],
    titles: Iterable[object] | None = None,
    *,
    columns: int = 10,
) -> "Figure":
    """Draw weights or feature maps side by side: blue below 0, white 0, red above.

    Parameters
    ----------
    maps
        Numbers (N, height, width), array or tensor; all share one scale. What is not
        finite is left grey.
    titles
        What to write above each; N of anything.
    columns
        How many to draw in a row.

    Returns
    -------
    matplotlib.figure.Figure
        As the last expression of a cell, it is shown.

    Raises
    ------
    ValueError
        If these are no such maps, or more than 1,000; if there are not N titles, or
        `columns` is no whole number from 1.
    """
    stack = np.ma.masked_invalid(_stack("maps", maps).astype(np.float64))
    limit = float(abs(stack).max() or 1)
    return _side_by_side("maps", stack, titles, columns, "RdBu_r", -limit, limit)


def show_recognition(recognition: Recognition) -> "Figure":
    """Draw what a model was shown beside the probabilities it gave.

    Below a picture unlike any digit it says so.

    Parameters
    ----------
    recognition
        A `Recognition`.

    Returns
    -------
    matplotlib.figure.Figure
        As the last expression of a cell, it is shown.

    Raises
    ------
    ValueError
        If it is another thing, or one without an image or ten probabilities.
    """
    if not isinstance(recognition, Recognition):
        raise ValueError(
            "recognition must be what recognize gives, a Recognition, "
            f"not {short(recognition)}"
        )
    [image] = _stack("a recognition's image", recognition.image)[:1]
    probabilities = to_array(recognition.probabilities)
    if probabilities.shape != (10,) or probabilities.dtype.kind not in "biuf":
        raise ValueError(
            "a recognition's probabilities must be ten numbers, "
            f"not {probabilities.dtype} {probabilities.shape}"
        )
    from .drawing import Figure

    figure = Figure(figsize=(6, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(image, cmap="gray_r", vmin=0, vmax=255, **UPRIGHT)
    left.set(title="what the model sees", xticks=[], yticks=[])
    if image.shape == (28, 28) and recognition.outlier:
        left.set_xlabel("unlike any digit", color=VERMILION)
    colors = [VERMILION if d == recognition.label else BLUE for d in range(10)]
    right.bar(range(10), probabilities, color=colors)
    right.set(title=f"its answer: {recognition.label}", xlabel="digit")
    right.set(ylabel="probability", ylim=(0, 1), xticks=range(10))
    return figure


def _stack(name: str, pictures: Any) -> np.ndarray:
    """Give pictures as numbers (N, height, width), in whatever form they come."""
    if isinstance(pictures, Digits):
        pictures = pictures.images
    elif isinstance(pictures, Iterable) and not hasattr(pictures, "shape"):
        pictures = list(pictures)
    try:
        stack = to_array(pictures)
    except Exception as error:
        reason = str(error).split(". ")[0]
        raise ValueError(
            f"{name} must be numbers (N, height, width), all of one size: {reason}"
        ) from error
    if stack.ndim == 2:
        stack = stack[None]
    elif stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]  # one channel, as networks take and give it
    if stack.dtype.kind not in "biuf" or stack.ndim != 3 or stack.size == 0:
        found = f"{stack.dtype} {stack.shape}" if stack.ndim else repr(pictures)
        raise ValueError(
            f"{name} must be numbers (N, height, width) with N > 0, not {found}"
        )
    if len(stack) > MOST_PICTURES:
        raise ValueError(
            f"{len(stack):,} {name} are too many to draw; choose {MOST_PICTURES:,} of "
            f"them or fewer, as in {name}[:100]"
        )
    return stack


def _side_by_side(
    name: str,
    stack: np.ndarray,
    titles: Iterable[object] | None,
    columns: int,
    colors: str,
    low: float,
    high: float,
) -> "Figure":
    """Draw pictures in rows, in colours from the lowest number to the highest."""
    from .drawing import Figure

    if isinstance(titles, torch.Tensor):
        titles = to_array(titles)  # its numbers, not "tensor(7)"
    try:
        words = [""] * len(stack) if titles is None else [*map(str, titles)]
    except TypeError:
        raise ValueError(
            f"titles must be one for each of the {name}, not {titles!r}"
        ) from None
    if len(words) != len(stack):
        raise ValueError(
            f"there are {len(words)} titles for {len(stack)} {name}; "
            f"give a title to each, or none, not {len(words)} in all"
        )
    columns = min(whole_number("columns", columns, 1), len(stack))
    rows = math.ceil(len(stack) / columns)
    size = 0.75 * columns, rows * (1.0 if any(words) else 0.75)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, picture, title in zip(grid, stack, words, strict=False):
        image = axes.imshow(picture, cmap=colors, vmin=low, vmax=high, **UPRIGHT)
        image.set_cmap(image.get_cmap().with_extremes(bad="gray"))
        axes.set_title(title, fontsize=12, pad=3, parse_math=False)
    return figure
