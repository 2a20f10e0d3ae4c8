"""See how a training goes, and what it led to."""

import io
import math
import os
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import torch

from ._system import in_notebook, whole_file
from .training import EndEpoch, EndIteration, Evaluation, Recognition

if TYPE_CHECKING:  # Matplotlib is loaded to draw, not to import this
    from matplotlib.figure import Figure

EVERY = 100  # batches between two readings of the cost
DRAWING_SHARE = 0.04  # of the time that passes, at most, goes into redrawing
# How the names of Matplotlib's backends begin that show figures in a notebook.
IN_NOTEBOOK = ("inline", "widget", "ipympl", "notebook", "nbagg", "module://")
BLUE, ORANGE = "#0072B2", "#D55E00"  # told apart by the colour-blind (Okabe and Ito)
MARKERS = ("", "o", "s", "^", "D")


class CostPlotter:
    """Curves that grow while a model learns.

    In Jupyter, one picture that is redrawn in place; in a terminal, a line of text for
    each reading. Give it to `Trainer.fit` as an event handler, and it follows the cost
    of every hundredth batch and of each epoch's validation digits, under the first and
    the second title.

    Parameters
    ----------
    *titles
        The names of the curves.

    Examples
    --------
    >>> plotter = CostPlotter("training cost", "validation cost")
    >>> plotter.append("training cost", step=0, value=2.3)
    """

    def __init__(self, *titles: str):
        self.titles = titles or ("training cost", "validation cost")
        self.reset()

    def append(self, title: str, step: int, value: float) -> None:
        """Add a point to a curve."""
        if title not in self._curves:
            raise ValueError(
                f"there is no curve {title!r}; this plotter has "
                f"{', '.join(map(repr, self.titles))}"
            )
        steps, values = self._curves[title]
        steps.append(step)
        values.append(value)

    def plot(self, path: str | os.PathLike[str] | None = None) -> None:
        """Show the curves: in the notebook, in the terminal, or as a PNG file.

        Parameters
        ----------
        path
            Where to write the picture, instead of showing it.
        """
        if path is not None:
            with whole_file(path) as temporary:
                temporary.write_bytes(self._draw())
        elif in_notebook():
            self._show()
        else:
            self._write()

    def reset(self) -> None:
        """Forget all points; the next plot begins a new picture."""
        self._curves: dict[str, tuple[list[int], list[float]]] = {
            title: ([], []) for title in self.titles
        }
        self._written = dict.fromkeys(self.titles, 0)
        self._display: Any = None
        self._rest_until = 0.0
        self._figure = self._blank()

    def __call__(self, event: EndIteration | EndEpoch) -> None:
        """Follow a training; see `Trainer.fit`."""
        if isinstance(event, EndIteration):
            if event.step % EVERY:
                return
            self.append(self.titles[0], event.step, event.cost)
            due = time.perf_counter() >= self._rest_until
        else:
            if event.validation is not None and len(self.titles) > 1:
                self.append(self.titles[1], event.step, event.validation.cost)
            due = True  # so that the last picture is complete
        if due:
            start = time.perf_counter()
            self.plot()
            end = time.perf_counter()
            self._rest_until = end + (end - start) * (1 / DRAWING_SHARE - 1)

    def _show(self) -> None:
        """Draw in the notebook, always in the same place."""
        from IPython.display import Image, display

        latest = "; ".join(
            f"{title} {values[-1]:.3f} at step {steps[-1]:,}"
            for title, (steps, values) in self._curves.items()
            if steps
        )
        words = f"Cost curves: {latest or 'no points yet'}"
        # Not Image's own alt, which Colab's IPython 7 does not know.
        picture = Image(self._draw(), metadata={"alt": words})
        if self._display is None:
            self._display = display(picture, display_id=True)
        else:
            self._display.update(picture)

    def _write(self) -> None:
        """Write the points that are new since the last time."""
        for title, (steps, values) in self._curves.items():
            new = slice(self._written[title], None)
            for step, value in zip(steps[new], values[new], strict=True):
                sys.stdout.write(f"step {step:,}: {title} {value:.4f}\n")
            self._written[title] = len(steps)
        sys.stdout.flush()

    def _blank(self) -> "Figure":
        """Make axes with a line for each curve.

        No pyplot: its figures would be shown again at the end of the cell. And before
        the training, whose time the redrawing is a share of: this loads Matplotlib.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4), dpi=100)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.11, 0.13, 0.86, 0.83))
        axes.set(xlabel="step (batches)", ylabel="cost (nats)")
        axes.grid(alpha=0.3)
        for number, title in enumerate(self.titles):
            axes.plot(
                *([], []),
                color=(BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00")[number % 5],
                marker=MARKERS[number % len(MARKERS)],
                label=title,
            )
        axes.legend(loc="upper right")
        return figure

    def _draw(self) -> bytes:
        """Draw a PNG; lines and axes were made once, and are moved."""
        axes = self._figure.axes[0]
        for line, curve in zip(axes.lines, self._curves.values(), strict=True):
            line.set_data(*curve)
        axes.relim()
        axes.autoscale_view()
        if axes.dataLim.ymin > 0:
            axes.set_ylim(bottom=0)
        png = io.BytesIO()
        # Little compression and no tight box (which draws twice) save most of the time.
        self._figure.savefig(png, format="png", pil_kwargs={"compress_level": 1})
        return png.getvalue()


class CostLogger:
    """An event handler that writes a line every 100 batches and one for each epoch.

    Parameters
    ----------
    stream
        Where to write; by default the standard output.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream

    def __call__(self, event: EndIteration | EndEpoch) -> None:
        """Follow a training; see `Trainer.fit`."""
        stream = self._stream or sys.stdout
        if isinstance(event, EndIteration):
            if event.batch % EVERY:
                return
            stream.write(
                f"epoch {event.epoch}, batch {event.batch}: cost {event.cost:.4f}, "
                f"accuracy {100 * event.accuracy:.1f} %\n"
            )
        else:
            stream.write(f"epoch {event.epoch} ended: {_judged(event.train)}")
            if event.validation is not None:
                stream.write(f"; validation {_judged(event.validation)}")
            stream.write("\n")
        stream.flush()


def show_digits(
    images: np.ndarray, titles: Iterable[object] | None = None, *, columns: int = 10
) -> "Figure":
    """Draw digits side by side.

    Parameters
    ----------
    images
        uint8 (N, 28, 28); dark ink is drawn on light paper.
    titles
        What to write above each; N of anything.
    columns
        How many to draw in a row.

    Returns
    -------
    matplotlib.figure.Figure
        As the last expression of a cell, it is shown.
    """
    images = np.asarray(images)
    if images.ndim != 3 or len(images) == 0:
        raise ValueError(f"images must be (N, 28, 28) with N > 0, not {images.shape}")
    titles = [""] * len(images) if titles is None else list(titles)
    if len(titles) != len(images):
        raise ValueError(f"there are {len(titles)} titles for {len(images)} images")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    height = 0.75 if not any(map(str, titles)) else 1.0
    figure, grid = _figure((0.75 * columns, height * rows), rows, columns)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(title, fontsize=12, pad=3)
    return figure


def show_maps(
    maps: Iterable[np.ndarray | torch.Tensor],
    titles: Iterable[object] | None = None,
    *,
    columns: int = 10,
) -> "Figure":
    """Draw weights or feature maps side by side: blue below 0, white 0, red above.

    Parameters
    ----------
    maps
        Numbers (N, height, width), array or tensor; all share one scale.
    titles
        What to write above each; N of anything.
    columns
        How many to draw in a row.

    Returns
    -------
    matplotlib.figure.Figure
        As the last expression of a cell, it is shown.
    """
    stack = np.stack([np.asarray(m, np.float32) for m in maps])
    titles = [""] * len(stack) if titles is None else list(titles)
    if stack.ndim != 3 or len(titles) != len(stack):
        raise ValueError(
            f"maps must be (N, height, width), not {stack.shape}, and have a title "
            f"each, or none, not {len(titles)} in all"
        )
    columns = min(columns, len(stack))
    rows = math.ceil(len(stack) / columns)
    height = 1.0 if any(map(str, titles)) else 0.75
    figure, grid = _figure((0.75 * columns, height * rows), rows, columns)
    limit = float(np.abs(stack).max()) or 1.0
    for axes in grid.flat:
        axes.axis("off")
    for axes, values, title in zip(grid.flat, stack, titles, strict=False):
        axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(title, fontsize=12, pad=3)
    return figure


def show_recognition(recognition: Recognition) -> "Figure":
    """Draw what a model was shown beside the probabilities it gave.

    Parameters
    ----------
    recognition
        A `Recognition`.
    """
    figure, [[left, right]] = _figure((6, 2.6), 1, 2)
    left.imshow(recognition.image, cmap="gray_r", vmin=0, vmax=255)
    left.set(title="what the model sees", xticks=[], yticks=[])
    colors = [ORANGE if d == recognition.label else BLUE for d in range(10)]
    right.bar(range(10), np.asarray(recognition.probabilities), color=colors)
    right.set(title=f"its answer: {recognition.label}", xlabel="digit")
    right.set(ylabel="probability", ylim=(0, 1), xticks=range(10))
    return figure


def _judged(evaluation: Evaluation) -> str:
    """Say cost and accuracy in words."""
    return f"cost {evaluation.cost:.4f}, accuracy {100 * evaluation.accuracy:.1f} %"


def _figure(
    size: tuple[float, float], rows: int, columns: int
) -> "tuple[Figure, np.ndarray]":
    """Make a figure for a cell's last expression."""
    from matplotlib import pyplot as plt  # here: this makes Jupyter able to show it

    figure, grid = plt.subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained"
    )
    plt.close(figure)  # or Jupyter would show it twice
    return figure, grid


def _show_here() -> None:
    """Have Matplotlib show its figures in the notebook, if there is one.

    Jupyter does so, but not where the shell that it was started from sets MPLBACKEND:
    that is meant for scripts, and figures would be shown nowhere.
    """
    wanted = os.environ.get("MPLBACKEND", "")
    if in_notebook() and wanted and not wanted.lower().startswith(IN_NOTEBOOK):
        import matplotlib

        # A cell may have chosen another one since.
        if not matplotlib.get_backend().lower().startswith(IN_NOTEBOOK):
            shell: Any = sys.modules["IPython"].get_ipython()
            shell.run_line_magic("matplotlib", "inline")


_show_here()
