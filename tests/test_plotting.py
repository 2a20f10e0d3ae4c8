import io
import json
import math
import os
import re
import subprocess
import sys
from fractions import Fraction

import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from nbclient import NotebookClient
from PIL import Image

from mnist_lesson import (
    CostLogger,
    CostPlotter,
    EndEpoch,
    EndIteration,
    Evaluation,
)


def training(epochs=2, batches=250, validation=True):
    """The events of a training run, with costs that say where they come from."""
    for epoch in range(epochs):
        for batch in range(batches):
            step = epoch * batches + batch
            yield EndIteration(epoch, batch, step, cost=1000 + step, accuracy=0.5)
        judged = Evaluation(2000 + epoch, 0.75) if validation else None
        yield EndEpoch(epoch, step + 1, Evaluation(0.25, 0.5), judged)


def test_the_plotter_follows_a_training(capsys):
    plotter = CostPlotter("learning", "judging")
    for event in training():
        plotter(event)
    out = capsys.readouterr().out
    steps = [0, 100, 200, 300, 400]
    learning = [f"step {step:,}: learning {1000 + step:.4f}" for step in steps]
    judging = ["step 250: judging 2000.0000", "step 500: judging 2001.0000"]
    assert sorted(out.splitlines()) == sorted(learning + judging)  # each point once


def test_one_title_or_no_validation(capsys):
    for plotter, validation in (CostPlotter("cost"), True), (CostPlotter(), False):
        for event in training(validation=validation):
            plotter(event)
        assert len(capsys.readouterr().out.splitlines()) == 5


def test_png(tmp_path, capsys):
    plotter = CostPlotter("a", "b")
    path = tmp_path / "cost.png"
    plotter.plot(path)  # no points yet: empty axes
    empty = np.array(Image.open(path).convert("RGB"))
    for step in range(50):
        plotter.append("a", step, 3 - 0.05 * step)
    plotter.append("b", 49, 1.0)
    plotter.plot(path)
    full = np.array(Image.open(path).convert("RGB"))
    assert full.shape == empty.shape and (full[0, 0] == 255).all()
    blue, orange = (full == (0, 0x72, 0xB2)).all(2), (full == (0xD5, 0x5E, 0)).all(2)
    # the curve falls from the upper left to the lower right
    rows, columns = np.nonzero(blue[:, :400])
    assert len(rows) > 100 and rows[columns.argmin()] < rows[columns.argmax()]
    assert orange.any() and capsys.readouterr().out == ""
    plotter.reset()
    plotter.plot(path)
    assert np.array_equal(np.array(Image.open(path).convert("RGB")), empty)
    assert [p.name for p in tmp_path.iterdir()] == ["cost.png"]
    assert plt.get_fignums() == []


def test_errors(tmp_path):
    with pytest.raises(ValueError, match=r"no curve 'c'; this plotter has 'a', 'b'"):
        CostPlotter("a", "b").append("c", 0, 1.0)
    with pytest.raises(FileNotFoundError, match=r"make the folder .*missing first"):
        CostPlotter("a").plot(tmp_path / "missing" / "cost.png")


def picture(plotter, path):
    """What is drawn, as numbers, without the legend."""
    plotter.plot(path)
    pixels = np.array(Image.open(path).convert("RGB")).astype(int)
    legend = plotter._figure.axes[0].get_legend().get_window_extent()
    (left, bottom), (right, top) = legend.get_points().astype(int)
    pixels[400 - top - 1 : 400 - bottom + 1, left : right + 2] = 255
    return pixels


BLUE = (0, 0x72, 0xB2)
AXES = slice(16, 348), slice(87, 621)  # rows and columns that they take of the picture


def blue(pixels):
    """Where the first curve is."""
    return np.argwhere((pixels == BLUE).all(axis=2))


@pytest.mark.parametrize("scale", [0.001, 1, 400, 1e12, 1e38, -1e12])
def test_a_cost_that_explodes_is_in_the_picture(tmp_path, scale):
    """Both what came before and the explosion are seen, redraw after redraw."""
    plotter = CostPlotter("cost")
    values = [2.3, 1.1, 2.3 + scale, 1.0]
    tops = []
    for step, value in enumerate(values):
        plotter.append("cost", step, value)
        pixels = picture(plotter, tmp_path / "cost.png")
        inside = pixels[AXES]
        places = blue(inside)
        tops.append((places[:, 0].min(), places[:, 0].max()))
        assert len(places) == len(blue(pixels))  # and nothing outside of the axes
    (height, _, _) = inside.shape
    # The explosion reaches far, and neither end leaves the axes.
    assert all(2 < top <= low < height - 2 for top, low in tops)
    assert np.ptp(tops[-1]) > 0.3 * height
    if abs(scale) > 100:  # what was small is not pressed flat: 1.1 and 2.3 differ
        left = places[places[:, 1] < 180]
        assert np.ptp(left[:, 0]) > 5


@pytest.mark.parametrize(
    "values",
    [
        (1e-320, 0.001, 2, 400, 1e12, 1e99),
        (1e38, 400, 2, 0, -0.001, -1e12),
        (0, 0, 1e-9, 1e9),
        (2, -400),
    ],
)
def test_every_point_is_within_the_axes_in_every_redraw(values):
    """Matplotlib's own transformation is the oracle."""
    plotter = CostPlotter("cost")
    for step, value in enumerate(values):
        plotter.append("cost", step, value)
        plotter._draw()
        axes = plotter._figure.axes[0]
        x, y = (
            axes.transAxes.inverted()
            .transform(axes.transData.transform(axes.lines[0].get_xydata()))
            .T
        )
        assert ((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, 1.7e308])
def test_what_is_no_number_is_marked(tmp_path, value):
    plotter, without = CostPlotter("a", "b"), CostPlotter("a", "b")
    for step in range(10):
        for p in plotter, without:
            p.append("b", step, 0.5 - 0.05 * step)
            p.append("a", step, 3.0 if step == 1 else 2.0)
    clean = picture(without, tmp_path / "without.png")
    plotter.append("a", 10, value)
    pixels = picture(plotter, tmp_path / "with.png")
    # A blue mark over the edge of the axes, at the step's place: the rightmost.
    edge = 348 if value == -math.inf else 16
    places = blue(pixels[edge - 8 : edge + 8, 550:])
    assert len(places) >= 4 and abs(places[:, 1].mean() + 550 - 597) < 3
    # The other curve keeps its height: nothing is scaled to infinity.
    orange = (0xD5, 0x5E, 0)
    heights = [np.argwhere((p == orange).all(2))[:, 0].max() for p in (clean, pixels)]
    assert heights[0] == heights[1]
    # The words stand in the legend, and in the text.
    legend = [t.get_text() for t in plotter._figure.axes[0].get_legend().get_texts()]
    word = str(value) if not math.isfinite(value) else f"{value:.0e}"
    assert legend == ["a", "b", f"first {word} at step 10"]
    plotter.append("a", 11, 1.0)
    told = "a 1.000 at step 11", f"first {word} at step 10", "b 0.050 at step 9"
    assert tuple(plotter._told()) == told


def test_marks_neither_hide_nor_are_hidden(tmp_path):
    """No text lies over another or over a mark; all of them are in the picture."""
    plotter = CostPlotter("training cost", "validation cost")
    costs = [2.3, 1.1, 0.9, 400, 3e4, math.inf, math.nan, math.nan]
    for step, cost in enumerate(costs):
        plotter.append("training cost", 100 * step, cost)
    plotter.append("validation cost", 430, 0.3)
    plotter.append("validation cost", 730, math.nan)
    plotter.plot(tmp_path / "cost.png")
    figure = plotter._figure
    [axes] = figure.axes
    legend = axes.get_legend().get_window_extent()
    for line in axes.lines:
        points = line.get_transform().transform(line.get_xydata())
        assert not any(legend.contains(*point) for point in points)
    labels = [t for t in axes.get_yticklabels() if t.get_window_extent().width]
    boxes = [t.get_window_extent() for t in [*labels, axes.yaxis.label]]
    for box in [*boxes, legend]:
        assert box.x0 >= 0 and box.x1 <= 640 and box.y0 >= 0 and box.y1 <= 400
    assert not any(boxes[-1].overlaps(box) for box in boxes[:-1])


def test_the_axis_is_as_ever_while_a_model_learns_well(tmp_path):
    """However far a cost falls, and however low the validation cost begins."""
    plotter = CostPlotter()
    for step in range(0, 2_000, 100):
        plotter.append("training cost", step, 2.3 / (1 + step))
    plotter.append("validation cost", 430, 0.04)
    plotter.plot(tmp_path / "cost.png")
    [axes] = plotter._figure.axes
    assert axes.get_yscale() == "linear" and axes.get_ylabel() == "cost (nats)"
    assert axes.get_ylim() == (0, pytest.approx(2.3 * 1.05, rel=1e-3))
    plotter.append("validation cost", 860, 60.0)
    plotter.plot(tmp_path / "cost.png")
    assert axes.get_ylabel() == "cost (nats), logarithmic beyond 2.3"


def test_a_single_point_is_seen(tmp_path):
    plotter = CostPlotter("cost")
    plotter.append("cost", 0, 2.3)
    assert len(blue(picture(plotter, tmp_path / "cost.png")[AXES])) >= 4


def test_the_first_cost_that_is_lost_is_shown_at_once(monkeypatch):
    """The fit ends with the epoch, in an error: there is no other moment."""
    shown = []
    plotter = CostPlotter()
    monkeypatch.setattr(plotter, "plot", lambda: shown.append(plotter._curves))
    monkeypatch.setattr("mnist_lesson.plotting.time.perf_counter", lambda: 0.0)
    monkeypatch.setattr(plotter, "_rest_until", 1.0)  # it would rest
    for step in range(0, 600, 100):
        plotter._rest_until = 1.0
        plotter(EndIteration(0, step, step, [2.0, math.nan][step > 250], 0.1))
    assert len(shown) == 1


def test_numbers_as_people_have_them(capsys):
    plotter = CostPlotter("cost")
    for step, value in [
        (0, 2),
        (np.int64(1), np.float32(0.5)),
        (torch.tensor(2), torch.tensor(0.25, requires_grad=True)),
        (3.0, np.array([1.5])),
        (4.5, Fraction(1, 4)),
        (5, torch.tensor(2.0).bfloat16()),
        (6, 12_345_678.9),
        (7, 0.00012345),
        (8, math.nan),
        (9, -math.inf),
    ]:
        plotter.append("cost", step, value)
    plotter.plot()
    assert capsys.readouterr().out.splitlines() == [
        "step 0: cost 2.0000",
        "step 1: cost 0.5000",
        "step 2: cost 0.2500",
        "step 3: cost 1.5000",
        "step 4.5: cost 0.2500",
        "step 5: cost 2.0000",
        "step 6: cost 1.235e+07",
        "step 7: cost 0.0001234",
        "step 8: cost nan",
        "step 9: cost -inf",
    ]


@pytest.mark.parametrize(
    "value",
    ["2.3", [1, 2], None, 1j, float, np.ones((2, 2)), torch.ones((), device="meta")],
)
def test_what_is_not_one_number_is_refused(value):
    plotter = CostPlotter("cost")
    for name, point in {"value": (0, value), "step": (value, 0)}.items():
        with pytest.raises(ValueError, match=rf"^{name} must be one number, not .+$"):
            plotter.append("cost", *point)
    with pytest.raises(ValueError, match="step must be a finite number, not nan"):
        plotter.append("cost", math.nan, 0)
    with pytest.raises(ValueError, match="there is no curve"):
        plotter.append(value, 0, 0)


@pytest.mark.parametrize(
    "titles", [(["a", "b"],), ("a", "b", "a"), (1,), (None,), ("a", np.ones(2))]
)
def test_titles_are_different_strings(titles):
    with pytest.raises(ValueError, match="titles must be strings, and differ"):
        CostPlotter(*titles)


def test_paths_as_people_write_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    plotter = CostPlotter("cost")
    for name in "~/cost.png", str(tmp_path / "cost"), tmp_path / "COST.PNG":
        plotter.plot(name)
    assert {p.name for p in tmp_path.iterdir()} >= {"cost.png", "cost"}
    with pytest.raises(IsADirectoryError, match=r"is a folder; name a file in it$"):
        plotter.plot(tmp_path)
    with pytest.raises(ValueError, match=r"cost\.jpg: .* is a PNG; name it cost\.png$"):
        plotter.plot(tmp_path / "cost.jpg")


def test_each_training_run_has_its_own_curve(tmp_path):
    """A second fit with the same plotter begins anew; other points stay."""
    paths = [tmp_path / f"{n}.png" for n in range(2)]
    once, twice = CostPlotter("a", "b", "c"), CostPlotter("a", "b", "c")
    for plotter, runs in (once, 1), (twice, 3):
        plotter.append("c", 0, 1500.0)  # by hand, before
        for _ in range(runs):
            for event in training():
                plotter(event)
    drawn = [picture(p, path) for p, path in zip((once, twice), paths, strict=True)]
    assert np.array_equal(*drawn)


def run_cells(*cells, **environment):
    """Run cells in a real kernel; give what each of them puts out in the end."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, kernel_name="python3", timeout=120)
    client.execute(env=os.environ | environment)
    return [cell.outputs for cell in notebook.cells]


def alts(outputs):
    """What the pictures among outputs say."""
    return [o.metadata["image/png"]["alt"] for o in outputs if "data" in o]


def test_in_jupyter_one_display_is_updated():
    """A real kernel: one output, which ends as the last picture, with words for it."""
    code = """
from mnist_lesson import CostPlotter
plotter = CostPlotter("learning", "judging")
for step in range(3):
    plotter.append("learning", step, 3.0 - step)
    plotter.plot()
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client = NotebookClient(notebook, kernel_name="python3", timeout=120)
    messages = []
    process = client.process_message
    client.process_message = lambda msg, *args: (
        messages.append(msg),
        process(msg, *args),
    )[1]
    client.execute()
    kinds = [m["msg_type"] for m in messages if "display" in m["msg_type"]]
    assert kinds == ["display_data", "update_display_data", "update_display_data"]
    [output] = notebook.cells[0].outputs
    assert "image/png" in output.data and output.output_type == "display_data"
    assert "learning 1.000 at step 2" in json.dumps(output.metadata)


def test_in_jupyter_each_cell_and_each_run_has_its_picture():
    """What a learner reruns, interrupts or repeats draws anew, and only its own."""
    begin = """
from mnist_lesson import CostPlotter, EndEpoch, EndIteration, Evaluation
plotter, hand = CostPlotter(), CostPlotter("a", "b")
def fit(first=0, last=300):
    for step in range(first, last):
        plotter(EndIteration(0, step, step, 1.0 + step, 0.5))
        if step == 150:  # so that a later picture than the first is compared
            plotter(EndEpoch(0, 151, Evaluation(1.0, 0.5), None))
def sizes(plotter):
    return [len(points) for points in plotter._curves.values()]
"""
    stopped = "try:\n    fit(0, 250); raise KeyboardInterrupt\nexcept BaseException: 0"
    by_hand = "for s in range(3):\n    hand.append('b', s, {}); hand.plot()"
    thread = "from threading import Thread\nt = Thread(target=fit); t.start(); t.join()"
    outputs = run_cells(
        begin,
        "fit()",
        "fit(); print(sizes(plotter))",
        "fit(); fit()",
        stopped,
        "fit(200, 400); print(sizes(plotter))",  # resumed
        thread,
        "fit()",
        "hand.append('a', 0, 9.0)",
        by_hand.format(1.0),
        by_hand.format(2.0) + "\nprint(sizes(hand))",
        "hand.plot()",
    )
    whole = "Cost curves: training cost 101.000 at step 100"
    a, told = "Cost curves: a 9.000 at step 0", "b {}.000 at step 2"
    assert [alts(o) for o in outputs] == [
        *([], [whole], [whole], [whole, whole], [whole]),
        ["Cost curves: training cost 201.000 at step 200"],
        *([whole], [whole], []),
        *([f"{a}; {told.format(n)}"] for n in (1, 2, 2)),
    ]
    counts = [o.text for cell in outputs for o in cell if o.output_type == "stream"]
    assert counts == ["[3, 0]\n", "[2, 0]\n", "[1, 3]\n"]


def test_figures_are_shown_whatever_the_shell_names_as_backend():
    """And they are, byte for byte, as Jupyter's own backend draws them."""
    imports = """
import numpy as np
from mnist_lesson import Recognition, figures, show_digits, show_maps, show_recognition
"""
    cells = [
        "show_digits(np.arange(784).reshape(1, 28, 28) % 256, 'a')",
        "show_maps(np.eye(3))",
        "show_recognition(Recognition(3, np.eye(10)[3], np.eye(28)))",
        "figures.draw_pooling()",
    ]
    jupyters = run_cells(imports + "import matplotlib.pyplot", *cells, MPLBACKEND="")
    assert all("image/png" in output.data for [output] in jupyters[1:])
    for backend in "tkagg", "no such backend":
        assert run_cells(imports, *cells, MPLBACKEND=backend) == jupyters


def test_redrawing_is_limited(monkeypatch):
    """Where drawing takes long, the plotter rests 24 times as long before the next."""
    now, drawn = [0.0], []
    plotter = CostPlotter("a", "b")
    monkeypatch.setattr("mnist_lesson.plotting.time.perf_counter", lambda: now[0])

    def draw_for_a_second():
        drawn.append(now[0])
        now[0] += 1

    monkeypatch.setattr(plotter, "plot", draw_for_a_second)
    for event in training(epochs=1, batches=5000):
        plotter(event)
        now[0] += 0.1
    *during, end = drawn
    assert end == pytest.approx(now[0] - 1.1)  # the last picture is complete
    # chances come every 10 s: the first after 24 s of rest is 30 s after the drawing
    assert np.diff(during).tolist() == pytest.approx([31] * (len(during) - 1))
    assert len(during) == 17


def test_the_logger_writes_the_same_for_every_model():
    stream = io.StringIO()
    logger = CostLogger(stream)
    for event in training(epochs=1):
        logger(event)
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        f"epoch 0, batch {batch}: cost {1000 + batch:.4f}, accuracy 50.0 %"
        for batch in (0, 100, 200)
    ]
    assert lines[3:] == [
        "epoch 0 ended: cost 0.2500, accuracy 50.0 %; "
        "validation cost 2000.0000, accuracy 75.0 %"
    ]


def test_the_logger_says_what_is_no_number():
    stream = io.StringIO()
    logger = CostLogger(stream)
    for batch, cost in enumerate([math.nan, math.inf, 3e38]):
        logger(EndIteration(0, 100 * batch, 100 * batch, cost, 0.1))
    costs = [line.split(": ")[1] for line in stream.getvalue().splitlines()]
    assert costs == [f"cost {c}, accuracy 10.0 %" for c in ("nan", "inf", "3e+38")]


def test_the_logger_in_a_terminal(capsys):
    for event in training(epochs=1, validation=False):
        CostLogger()(event)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "epoch 0 ended: cost 0.2500, accuracy 50.0 %"
    )


def test_no_display_is_needed():
    """In a script, without Jupyter and without a screen."""
    code = (
        "import sys\nfrom mnist_lesson import CostPlotter\n"
        "plotter = CostPlotter('cost')\n"
        "plotter.append('cost', 7, 0.5)\nplotter.plot()\n"
        "assert 'IPython' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8"
    )
    assert re.fullmatch(r"step 7: cost 0\.5000\n", done.stdout), done.stderr
