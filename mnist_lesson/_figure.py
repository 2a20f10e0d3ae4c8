"""A figure that a notebook shows, however the notebook was started."""

import contextlib
import io
import os
import sys

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

__all__ = ["Figure", "matplotlib"]


class Figure(matplotlib.figure.Figure):
    """A figure that Jupyter shows as the last expression of a cell.

    It is not pyplot's: that would show it again at the end of the cell, and not at all
    where MPLBACKEND names another backend than Jupyter's own.
    """

    def _repr_png_(self) -> bytes:
        """Draw it as Jupyter's own backend does, which goes first where it is there."""
        png = io.BytesIO()
        self.canvas.print_figure(
            png,
            format="png",
            dpi=self.dpi,
            facecolor=self.get_facecolor(),
            edgecolor=self.get_edgecolor(),
            bbox_inches="tight",
        )
        return png.getvalue()
