"""See how a training run goes, as a plot or in words."""

import io
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TextIO

import numpy as np

from .events import EndEpoch, EndIteration, Evaluation
from .system import atomic_write, in_notebook
from .values import home_path, real_number

LOG_INTERVAL = 100  # batches between two readings of the cost
MAX_DRAW_FRACTION = 0.04  # of the time that passes, at most, goes into redrawing
EXPLODED = 20  # times the first value: above, the axis becomes logarithmic
LARGEST = 1e100  # what is beyond, Matplotlib can't place
# How the names of Matplotlib's backends begin that show figures in a notebook.
IN_NOTEBOOK = ("inline", "widget", "ipympl", "notebook", "nbagg", "module://")
BLUE, VERMILION = "#0072B2", "#D55E00"  # told apart by the colour-blind (Okabe and Ito)
COLORS = (BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00")
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
        The names of the curves, all different; by default "training cost" and
        "validation cost".

    Raises
    ------
    ValueError
        If the titles are not strings, or not different.

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

        Parameters
        ----------
        title
            Which curve: one of the titles.
        step, value
            Where it is, in batches and in nats. Numbers, or tensors or arrays of one
            number; the step must be finite.

        Raises
        ------
        ValueError
            If there is no such curve, or these are no such numbers.
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
        curve = self._curves[title]
        last = curve[-1] if curve else None
        if last and point.step <= last.step and point.cell not in (None, last.cell):
            for points in self._curves.values():
                points[:] = [p for p in points if p.cell != last.cell]
        curve.append(point)

    def plot(self, path: str | os.PathLike[str] | None = None) -> None:
        """Show the curves: in the notebook, in the terminal, or as a PNG file.

        Parameters
        ----------
        path
            Where to write the picture, instead of showing it; `.png` or no ending.

        Raises
        ------
        OSError
            If it cannot be written; the folder must be there.
        ValueError
            If the name says that it is no PNG.
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
        elif sys.stdout:
            for title, points in self._curves.items():
                for step, value, _ in points[self._written[title] :]:
                    sys.stdout.write(f"step {step:,}: {title} {_brief(value)}\n")
                self._written[title] = len(points)
            sys.stdout.flush()

    def reset(self) -> None:
        """Forget all points; the next plot begins a new picture."""
        # Before the training: this loads Matplotlib.
        from .drawing import Figure, FigureCanvasAgg

        self._figure = Figure(figsize=(6.4, 4), dpi=100)
        self._figure.set_layout_engine("none")  # whatever the reader's settings say
        FigureCanvasAgg(self._figure)  # or each drawing makes one
        axes = self._figure.add_axes(
            (0.135, 0.13, 0.835, 0.83), xlabel="step (batches)"
        )
        axes.grid(alpha=0.3)
        self._curves: dict[str, list[_Point]] = {}
        self._written: dict[str, int] = {}  # how many points of each
        self._begin(*self.titles)

    def _begin(self, *titles: str) -> None:
        """Empty these curves, and begin a picture of them."""
        for title in titles:
            self._curves[title] = []
            self._written[title] = 0
        self._shown_in: int | None = None  # the cell of the picture
        self._display: Any = None
        self._rest_until = 0.0

    def __call__(self, event: EndIteration | EndEpoch) -> None:
        """Follow a training run; see `Trainer.fit`."""
        reading, cell = isinstance(event, EndIteration), _cell()
        if reading and event.step % LOG_INTERVAL:
            return
        points = self._curves[self.titles[0]]
        again = reading and bool(points) and event.step <= points[-1].step
        if again or cell not in (None, self._shown_in or cell):
            self._begin(*self.titles[:2])  # fit returns before another cell runs
        self._shown_in = cell or self._shown_in

        if isinstance(event, EndIteration):
            self.append(self.titles[0], event.step, event.cost)
            # Fit will end with an error, and no further event, when the cost is not
            # finite: the first such reading is shown at once.
            points = self._curves[self.titles[0]]
            *before, newest = (math.isfinite(point.value) for point in points)
            newly_lost = not newest and all(before)
            if time.perf_counter() < self._rest_until and not newly_lost:
                return
        elif event.validation is not None and len(self.titles) > 1:
            self.append(self.titles[1], event.step, event.validation.cost)
        start = time.perf_counter()
        self.plot()
        end = time.perf_counter()
        self._rest_until = end + (end - start) * (1 / MAX_DRAW_FRACTION - 1)

    def _show(self) -> None:
        """Draw in the notebook, always in the same place while the same cell runs."""
        from IPython.display import Image, display

        words = "Cost curves: " + ("; ".join(self._told()) or "no points yet")
        # Not Image's own alt, which Colab's IPython 7 does not know.
        picture = Image(self._draw(dpi=200), retina=True, metadata={"alt": words})
        cell = _cell()
        if self._display is None or cell not in (None, self._shown_in):
            # A cell that is run again has lost the display it had.
            self._display = display(picture, display_id=True)
            self._shown_in = cell
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

    def _draw(self, dpi: int = 100) -> bytes:
        """Draw a PNG, on axes that were made once."""
        [axes] = self._figure.axes
        for old in [*axes.lines]:
            old.remove()
        for number, (title, points) in enumerate(self._curves.items()):
            values = [p.value if abs(p.value) <= LARGEST else math.nan for p in points]
            [line] = axes.plot([p.step for p in points], values, label=title)
            line.set(color=COLORS[number % len(COLORS)])
            line.set(marker=MARKERS[number % len(MARKERS)])
        for line, points in zip([*axes.lines], self._curves.values(), strict=True):
            color, (steps, values) = line.get_color(), np.asarray(line.get_xydata()).T
            # A point without neighbours makes no line: a dot.
            gaps = np.isnan(np.pad(values, 1, constant_values=np.nan))
            alone = gaps[:-2] & ~gaps[1:-1] & gaps[2:]
            if alone.any():
                axes.plot(steps[alone], values[alone], ".", color=color)
            for what, places in _beyond(points).items():
                up = not what.startswith("-")
                mark = "x" if what == "nan" else "^" if up else "v"
                [edge] = axes.plot(places, [up] * len(places), mark, color=color)
                edge.set(label=f"first {what} at step {places[0]:,}", clip_on=False)
                edge.set_transform(axes.get_xaxis_transform())
        self._scale()
        png = io.BytesIO()
        # Little compression and no tight box (which draws twice) save most of the time.
        self._figure.savefig(
            png, format="png", dpi=dpi, bbox_inches=self._figure.bbox_inches,
            pil_kwargs={"compress_level": 1},
        )  # fmt: skip
        return png.getvalue()

    def _scale(self) -> None:
        """Make room for all points; if need be, with a logarithm above the first."""
        [axes] = self._figure.axes
        every = [point for points in self._curves.values() for point in points]
        sizes = [(p.step, abs(p.value)) for p in every if abs(p.value) <= LARGEST]
        _, first = min(sizes, key=lambda size: (size[0], -size[1]), default=(0, 0.0))
        largest, label = max((size for _, size in sizes), default=0.0), "cost (nats)"
        if first > 1 / LARGEST and largest > EXPLODED * first:
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
        if isinstance(event, EndEpoch):
            line = f"epoch {event.epoch} ended: {_judged(event.train)}"
            if event.validation is not None:
                line += f"; validation {_judged(event.validation)}"
        elif event.batch % LOG_INTERVAL == 0:
            line = f"epoch {event.epoch}, batch {event.batch}: {_judged(event)}"
        else:
            return
        if stream := self._stream or sys.stdout:  # a program without a console has none
            stream.write(line + "\n")
            stream.flush()


def _judged(what: EndIteration | Evaluation) -> str:
    """Say cost and accuracy in words."""
    return f"cost {_brief(what.cost)}, accuracy {100 * what.accuracy:.1f} %"


def _show_here() -> None:
    """Have Matplotlib show its figures in the notebook, if there is one.

    Jupyter does so, but not where the shell that it was started from sets MPLBACKEND:
    that is meant for scripts, and figures would be shown nowhere.
    """
    wanted = os.environ.get("MPLBACKEND", "").lower()
    if in_notebook() and wanted and not wanted.startswith(IN_NOTEBOOK):
        from .drawing import matplotlib  # loads it, whatever the name is

        # A cell may have chosen another one since.
        if not matplotlib.get_backend().lower().startswith(IN_NOTEBOOK):
            shell: Any = sys.modules["IPython"].get_ipython()
            shell.run_line_magic("matplotlib", "inline")


_show_here()
