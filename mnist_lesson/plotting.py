"""See how a training run goes, as a plot or in words."""

import io
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import numpy as np

from ._system import atomic_write, in_notebook
from ._values import home_path, real_number
from .events import EndEpoch, EndIteration, Evaluation

if TYPE_CHECKING:  # Matplotlib is loaded to draw, not to import this
    from ._figure import Figure

LOG_INTERVAL = 100  # batches between two readings of the cost
MAX_DRAW_FRACTION = 0.04  # of the time that passes, at most, goes into redrawing
EXPLODED = 20  # times the first value: above, the axis becomes logarithmic
LARGEST = 1e100  # what is beyond, Matplotlib can't place
# How the names of Matplotlib's backends begin that show figures in a notebook.
IN_NOTEBOOK = ("inline", "widget", "ipympl", "notebook", "nbagg", "module://")
BLUE, ORANGE = "#0072B2", "#D55E00"  # told apart by the colour-blind (Okabe and Ito)
COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00")
MARKERS = ("", "o", "s", "^", "D")


class _Point(NamedTuple):
    """A point of a curve, and the number of the notebook's cell that added it."""

    step: float
    value: float
    cell: int | None


class CostPlotter:
    """Curves that grow while a model learns.

    In Jupyter, one picture that is redrawn in place; in a terminal, a line of text for
    each reading. Give it to `Trainer.fit` as an event handler, and it follows the cost
    of every hundredth batch and of each epoch's validation digits, under the first and
    the second title. Each training run has its own picture, and so has each cell.

    A cost that is infinite or not a number is marked at the picture's edge. One that
    grows to twenty times the first makes the axis logarithmic above the first.

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
        if not all(isinstance(t, str) for t in titles) or len({*titles}) < len(titles):
            raise ValueError(
                "titles must be strings, and differ, as in "
                f'CostPlotter("training cost", "validation cost"), not {titles}'
            )
        self.titles = titles or ("training cost", "validation cost")
        self.reset()

    def append(self, title: str, step: float, value: float) -> None:
        """Add a point to a curve.

        A cell that is run again draws its curves anew: where the steps begin again, the
        points that it had added the time before are forgotten.
        """
        if not isinstance(title, str) or title not in self._curves:
            raise ValueError(
                f"there is no curve {title!r}; this plotter has "
                f"{', '.join(map(repr, self.titles))}"
            )
        step, value = real_number("step", step), real_number("value", value)
        if not abs(step) <= LARGEST:
            raise ValueError(f"step must be a finite number, not {step}")
        point = _Point(int(step) if step.is_integer() else step, value, _cell())
        for last in self._curves[title][-1:]:
            if point.step <= last.step and point.cell not in (None, last.cell):
                for points in self._curves.values():
                    points[:] = [p for p in points if p.cell != last.cell]
        self._curves[title].append(point)

    def plot(self, path: str | os.PathLike[str] | None = None) -> None:
        """Show the curves: in the notebook, in the terminal, or as a PNG file.

        Parameters
        ----------
        path
            Where to write the picture, instead of showing it.
        """
        if path is not None:
            path = home_path(path)
            if path.is_dir():
                raise IsADirectoryError(f"{path} is a folder; name a file in it")
            if path.suffix.lower() not in ("", ".png"):
                raise ValueError(
                    f"{path}: the picture is a PNG; name it {path.stem}.png"
                )
            with atomic_write(path) as temporary:
                temporary.write_bytes(self._draw())
        elif in_notebook():
            self._show()
        else:
            self._write()

    def reset(self) -> None:
        """Forget all points; the next plot begins a new picture."""
        self._curves: dict[str, list[_Point]] = {title: [] for title in self.titles}
        self._written = dict.fromkeys(self.titles, 0)
        self._figure = self._blank()
        self._start()

    def _start(self) -> None:
        """Begin a training run, and a picture of it."""
        self._place: tuple[int, bool] = (0, False)
        self._run: int | None = None  # the cell that it is in
        self._lost = False
        self._display: Any = None
        self._shown_by: int | None = None
        self._rest_until = 0.0

    def __call__(self, event: EndIteration | EndEpoch) -> None:
        """Follow a training run; see `Trainer.fit`."""
        # Batches learned from, and whether the epoch ended: it rises within a run. And
        # fit returns before another cell runs.
        reading = isinstance(event, EndIteration)
        place, cell = (event.step + reading, not reading), _cell()
        if place <= self._place or cell not in (None, self._run or cell):
            self._start()
            for title in self.titles[:2]:
                self._curves[title].clear()
                self._written[title] = 0
        self._place, self._run = place, cell or self._run

        if isinstance(event, EndIteration):
            if event.step % LOG_INTERVAL:
                return
            cost = event.cost
            self.append(self.titles[0], event.step, cost)
            # Fit will end with an error, and no further event, when the cost is not
            # finite: the first such reading is shown at once.
            lost, self._lost = self._lost, self._lost or not math.isfinite(cost)
            due = time.perf_counter() >= self._rest_until or self._lost > lost
        else:
            if event.validation is not None and len(self.titles) > 1:
                self.append(self.titles[1], event.step, event.validation.cost)
            due = True  # so that the last picture is complete
        if due:
            start = time.perf_counter()
            self.plot()
            end = time.perf_counter()
            self._rest_until = end + (end - start) * (1 / MAX_DRAW_FRACTION - 1)

    def _show(self) -> None:
        """Draw in the notebook, always in the same place while the same cell runs."""
        from IPython.display import Image, display

        words = "Cost curves: " + ("; ".join(self._told()) or "no points yet")
        # Not Image's own alt, which Colab's IPython 7 does not know.
        picture = Image(self._draw(), metadata={"alt": words})
        cell = _cell()
        if self._display is None or cell not in (None, self._shown_by):
            # A cell that is run again has lost the display it had.
            self._display = display(picture, display_id=True)
            self._shown_by = cell
        else:
            self._display.update(picture)

    def _told(self) -> Iterator[str]:
        """Say where each curve is, and since when it is no number."""
        for title, points in self._curves.items():
            for step, value, _ in points[-1:]:
                yield f"{title} {_brief(value, 3)} at step {step:,}"
            for what, places in _beyond(points).items():
                if places != [points[-1].step]:
                    yield f"first {what} at step {places[0]:,}"

    def _write(self) -> None:
        """Write the points that are new since the last time."""
        for title, points in self._curves.items():
            for step, value, _ in points[self._written[title] :]:
                sys.stdout.write(f"step {step:,}: {title} {_brief(value)}\n")
            self._written[title] = len(points)
        sys.stdout.flush()

    def _blank(self) -> "Figure":
        """Make axes with a line for each curve.

        Before the training run, whose time the redrawing is a share of: this loads
        Matplotlib.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from ._figure import Figure

        figure = Figure(figsize=(6.4, 4), dpi=100)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.135, 0.13, 0.835, 0.83))
        axes.set(xlabel="step (batches)", ylabel="cost (nats)")
        axes.grid(alpha=0.3)
        for number, title in enumerate(self.titles):
            axes.plot(
                *([], []),
                color=COLORS[number % len(COLORS)],
                marker=MARKERS[number % len(MARKERS)],
                label=title,
            )
        return figure

    def _draw(self) -> bytes:
        """Draw a PNG; lines and axes were made once, and are moved."""
        axes = self._figure.axes[0]
        lines = axes.lines[: len(self.titles)]
        for mark in axes.lines[len(self.titles) :]:
            mark.remove()
        sizes: list[tuple[float, float]] = []  # of each point: its step, how far from 0
        for line, points in zip(lines, self._curves.values(), strict=True):
            steps = np.array([p.step for p in points], float)
            values = np.array([p.value for p in points], float)
            values[~(abs(values) <= LARGEST)] = np.nan
            line.set_data(steps, values)
            # A point without neighbours makes no line: a dot.
            gaps = np.isnan(np.pad(values, 1, constant_values=np.nan))
            alone = gaps[:-2] & ~gaps[1:-1] & gaps[2:]
            if alone.any():
                axes.plot(steps[alone], values[alone], ".", color=line.get_color())
            for what, places in _beyond(points).items():
                up = not what.startswith("-")
                axes.plot(
                    places,
                    [up] * len(places),
                    "x" if what == "nan" else "^" if up else "v",
                    color=line.get_color(),
                    label=f"first {what} at step {places[0]:,}",
                    transform=axes.get_xaxis_transform(),
                    clip_on=False,
                )
            finite = ~np.isnan(values)
            sizes += zip(steps[finite], abs(values[finite]), strict=True)
        self._scale(sizes)
        png = io.BytesIO()
        # Little compression and no tight box (which draws twice) save most of the time.
        self._figure.savefig(png, format="png", pil_kwargs={"compress_level": 1})
        return png.getvalue()

    def _scale(self, sizes: list[tuple[float, float]]) -> None:
        """Make room for all points; if need be, with a logarithm above the first."""
        axes, label = self._figure.axes[0], "cost (nats)"
        start = min((step for step, _ in sizes), default=0)
        first = max((size for step, size in sizes if step == start), default=0)
        largest = max((size for _, size in sizes), default=0)
        if largest > EXPLODED * first > 1 / LARGEST:
            # A fifth of the height, at least, is left to what is below.
            part = max(1, math.log10(largest / first) / 4)
            axes.set_yscale("symlog", linthresh=first, linscale=part)
            label += f", logarithmic beyond {first:.3g}"
        else:
            axes.set_yscale("linear")
        axes.set_ylabel(label)
        axes.relim()
        axes.autoscale_view()
        if axes.dataLim.ymin > 0:
            axes.set_ylim(bottom=0, auto=None)  # None: and scale again the next time
        axes.legend(loc="best")


def _cell() -> int | None:
    """Give the number of the notebook's cell that runs, or None where there is none.

    A thread goes on while other cells run, and belongs to none of them.
    """
    if threading.current_thread() is not threading.main_thread() or not in_notebook():
        return None
    number: int = sys.modules["IPython"].get_ipython().execution_count
    return number


def _brief(number: float, digits: int = 4) -> str:
    """Write a number of any size in a few digits."""
    usual = 1e-3 <= abs(number) < 1e6 or number == 0 or not math.isfinite(number)
    return f"{number:.{digits}{'f' if usual else 'g'}}"


def _beyond(points: Sequence[_Point]) -> dict[str, list[float]]:
    """Find what has no place in a picture: what it is, and at which steps."""
    found: dict[str, list[float]] = {}
    for step, value, _ in points:
        if not abs(value) <= LARGEST:
            what = f"{value:.0e}" if math.isfinite(value) else f"{value}"
            found.setdefault(what, []).append(step)
    return found


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
        """Follow a training run; see `Trainer.fit`."""
        stream = self._stream or sys.stdout
        if isinstance(event, EndIteration):
            if event.batch % LOG_INTERVAL:
                return
            stream.write(
                f"epoch {event.epoch}, batch {event.batch}: cost {_brief(event.cost)}, "
                f"accuracy {100 * event.accuracy:.1f} %\n"
            )
        else:
            stream.write(f"epoch {event.epoch} ended: {_judged(event.train)}")
            if event.validation is not None:
                stream.write(f"; validation {_judged(event.validation)}")
            stream.write("\n")
        stream.flush()


def _judged(evaluation: Evaluation) -> str:
    """Say cost and accuracy in words."""
    return f"cost {_brief(evaluation.cost)}, accuracy {100 * evaluation.accuracy:.1f} %"


def _show_here() -> None:
    """Have Matplotlib show its figures in the notebook, if there is one.

    Jupyter does so, but not where the shell that it was started from sets MPLBACKEND:
    that is meant for scripts, and figures would be shown nowhere.
    """
    wanted = os.environ.get("MPLBACKEND", "")
    if in_notebook() and wanted and not wanted.lower().startswith(IN_NOTEBOOK):
        from ._figure import matplotlib  # loads it, whatever the name is

        # A cell may have chosen another one since.
        if not matplotlib.get_backend().lower().startswith(IN_NOTEBOOK):
            shell: Any = sys.modules["IPython"].get_ipython()
            shell.run_line_magic("matplotlib", "inline")


_show_here()
