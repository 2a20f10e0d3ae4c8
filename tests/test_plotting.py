import io
import math
import os
from fractions import Fraction
from unittest.mock import patch

import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbclient import NotebookClient
from PIL import Image

from mnist_lesson import CostLogger, CostPlotter, EndEpoch, EndIteration, Evaluation

BLUE, ORANGE = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)


def training(epochs=2, batches=250, validation=True):
    """The events of a training run, with costs that say where they come from."""
    for epoch in range(epochs):
        for batch in range(batches):
            step = epoch * batches + batch
            yield EndIteration(epoch, batch, step, cost=1000 + step, accuracy=0.5)
        judged = Evaluation(2000 + epoch, 0.75) if validation else None
        yield EndEpoch(epoch, step + 1, Evaluation(0.25, 0.5), judged)


@pytest.fixture
def draw(tmp_path):
    """Draw a plotter's picture; give its axes, and its pixels."""
    save, path = Figure.savefig, tmp_path / "cost.png"
    with patch.object(Figure, "savefig", autospec=True, side_effect=save) as savefig:

        def draw(plotter):
            plotter.plot(path)
            [axes] = savefig.call_args.args[0].axes
            return axes, np.array(Image.open(path).convert("RGB")).astype(int)

        yield draw


def colored(pixels, color):
    """Rows and columns of a curve's pixels."""
    return np.argwhere((pixels == color).all(axis=2))


@pytest.mark.parametrize("titles", [("learning", "judging"), ("cost",), ()])
@pytest.mark.parametrize("validation", [True, False])
def test_the_plotter_follows_a_training(capsys, titles, validation):
    plotter = CostPlotter(*titles)
    for event in training(validation=validation):
        plotter(event)
    titles = titles or ("training cost", "validation cost")
    steps = [0, 100, 200, 300, 400]
    expected = [f"step {step}: {titles[0]} {1000 + step:.4f}" for step in steps]
    if validation and len(titles) == 2:
        judged = [(250, "2000.0000"), (500, "2001.0000")]
        expected += [f"step {step}: {titles[1]} {cost}" for step, cost in judged]
    # each point once
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(expected)


def test_a_picture(capsys, draw):
    plotter = CostPlotter("a", "b")
    _, empty = draw(plotter)  # no points yet
    for step in range(50):
        plotter.append("a", step, 3 - 0.05 * step)
    plotter.append("b", 49, 1.0)
    axes, full = draw(plotter)
    assert full.shape == empty.shape == (400, 640, 3) and (full[0, 0] == 255).all()
    curve = colored(full[:, :400], BLUE)  # it falls from left to right
    assert len(curve) > 100 and curve[curve[:, 1].argmin(), 0] == curve[:, 0].min()
    assert len(colored(full, ORANGE)) and axes.get_xlabel() == "step (batches)"
    plotter.reset()
    assert np.array_equal(draw(plotter)[1], empty)
    assert plt.get_fignums() == [] and capsys.readouterr().out == ""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "setting",
    [
        {"figure.autolayout": True}, {"figure.constrained_layout.use": True},
        {"savefig.dpi": 300}, {"savefig.bbox": "tight"},
    ],
)  # fmt: skip
def test_the_readers_settings_leave_its_size_and_place(draw, setting):
    _, expected = draw(CostPlotter("a"))
    with plt.rc_context(setting):
        assert np.array_equal(draw(CostPlotter("a"))[1], expected)


def test_each_training_run_has_its_own_curve(draw):
    """A second fit with the same plotter begins anew; other points stay."""
    pictures = []
    for runs in (1, 3):
        plotter = CostPlotter("a", "b", "c")
        plotter.append("c", 0, 1500.0)  # by hand, before
        for event in [*training()] * runs:
            plotter(event)
        pictures.append(draw(plotter)[1])
    assert np.array_equal(*pictures)


@pytest.mark.parametrize(
    "values",
    [
        *([2.3, 1.1, 2.3 + n, 1.0] for n in (0.001, 1, 400, 1e12, 1e38, -1e12)),
        (1e-320, 0.001, 2, 400, 1e12, 1e99),
        (1e38, 400, 2, 0, -0.001, -1e12),
        (0, 0, 1e-9, 1e9),
        (2, -400),
    ],
)
def test_a_cost_that_explodes_is_in_the_picture(draw, values):
    """Both what came before and the explosion are seen, redraw after redraw."""
    plotter = CostPlotter("cost")
    for step, value in enumerate(values):
        plotter.append("cost", step, value)
        axes, _ = draw(plotter)
        # Where the points are, from 0 to 1 across the axes: Matplotlib's own answer.
        places = axes.transData.transform(axes.lines[0].get_xydata())
        x, y = axes.transAxes.inverted().transform(places).T
        assert ((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)).all()
    assert np.ptp(y) > 0.3
    if values[0] == 2.3:  # what was small is not pressed flat
        assert y[0] - y[1] > 0.015


def test_the_axis_is_as_ever_while_a_model_learns_well(draw):
    """However far a cost falls, and however low the validation cost begins."""
    plotter = CostPlotter()
    for step in range(0, 2_000, 100):
        plotter.append("training cost", step, 2.3 / (1 + step))
    plotter.append("validation cost", 430, 0.04)
    axes, _ = draw(plotter)
    assert axes.get_yscale() == "linear" and axes.get_ylabel() == "cost (nats)"
    assert axes.get_ylim() == (0, pytest.approx(2.3 * 1.05, rel=1e-3))
    for cost, label in [
        (2.3 * 20, "cost (nats)"),
        (2.3 * 20 + 0.1, "cost (nats), logarithmic beyond 2.3"),
    ]:
        plotter.append("validation cost", 860, cost)
        assert draw(plotter)[0].get_ylabel() == label


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, 1.7e308])
def test_what_is_no_number_is_marked(draw, value):
    plotter, without = CostPlotter("a", "b"), CostPlotter("a", "b")
    for step in range(10):
        for p in plotter, without:
            p.append("b", step, 0.5 - 0.05 * step)
            p.append("a", step, 3.0 if step == 1 else 2.0)
    plotter.append("a", 10, value)
    axes, pixels = draw(plotter)
    # A blue mark over the edge of the axes, at the step's place: the rightmost.
    edge = 348 if value == -math.inf else 16
    places = colored(pixels[edge - 8 : edge + 8, 550:], BLUE)
    assert len(places) >= 4 and abs(places[:, 1].mean() + 550 - 597) < 3
    # The other curve keeps its height: nothing is scaled to infinity.
    clean, orange = (colored(p, ORANGE)[:, 0] for p in (draw(without)[1], pixels))
    assert clean.max() == orange.max()
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    word = str(value) if not math.isfinite(value) else f"{value:.0e}"
    assert legend == ["a", "b", f"first {word} at step 10"]


def test_marks_neither_hide_nor_are_hidden(draw):
    """No text lies over another or over a mark; all of them are in the picture."""
    plotter = CostPlotter("training cost", "validation cost")
    costs = [2.3, 1.1, 0.9, 400, 3e4, math.inf, math.nan, math.nan]
    for step, cost in enumerate(costs):
        plotter.append("training cost", 100 * step, cost)
    plotter.append("validation cost", 430, 0.3)
    plotter.append("validation cost", 730, math.nan)
    axes, _ = draw(plotter)
    legend = axes.get_legend().get_window_extent()
    for line in axes.lines:
        points = line.get_transform().transform(line.get_xydata())
        assert not any(legend.contains(*point) for point in points)
    labels = [t for t in axes.get_yticklabels() if t.get_window_extent().width]
    boxes = [t.get_window_extent() for t in [*labels, axes.yaxis.label]]
    for box in [*boxes, legend]:
        assert box.x0 >= 0 and box.x1 <= 640 and box.y0 >= 0 and box.y1 <= 400
    assert not any(boxes[-1].overlaps(box) for box in boxes[:-1])


@pytest.mark.parametrize("values", [[2.3], [math.nan, 2.3, math.nan]])
def test_a_single_point_is_seen(draw, values):
    plotter = CostPlotter("cost")
    for step, value in enumerate(values):
        plotter.append("cost", step, value)
    axes, pixels = draw(plotter)
    [x, y] = axes.transData.transform([len(values) // 2, 2.3]).round().astype(int)
    assert len(colored(pixels[397 - y : 403 - y, x - 3 : x + 3], BLUE)) >= 4


def test_redrawing_is_limited(monkeypatch):
    """Where drawing takes long, the plotter rests 24 times as long before the next.

    But fit ends in an error at the first cost that is lost: there is no other moment.
    """
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
    drawn.clear()
    for step in range(0, 600, 100):
        plotter(EndIteration(0, step, step, [2.0, math.nan][step > 250], 0.1))
    assert len(drawn) == 2  # at the steps 0 and 300


def test_numbers_as_people_have_them(capsys):
    plotter, expected = CostPlotter("cost"), []
    for step, value, text in [
        (0, 2, "0: cost 2.0000"),
        (np.int64(1), np.float32(0.5), "1: cost 0.5000"),
        (torch.tensor(2), torch.tensor(0.25, requires_grad=True), "2: cost 0.2500"),
        (3.0, np.array([1.5]), "3: cost 1.5000"),
        (4.5, Fraction(1, 4), "4.5: cost 0.2500"),
        (5, torch.tensor(2.0).bfloat16(), "5: cost 2.0000"),
        (6, 12_345_678.9, "6: cost 1.235e+07"),
        (7, 0.00012345, "7: cost 0.0001234"),
        (8, math.nan, "8: cost nan"),
        (9, -math.inf, "9: cost -inf"),
        (10, 1e-3, "10: cost 0.0010"),
        (1_000, 1e6, "1,000: cost 1e+06"),
    ]:
        plotter.append("cost", step, value)
        expected.append(f"step {text}")
    plotter.plot()
    assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.parametrize(
    "bad",
    ["2.3", [1, 2], None, 1j, float, np.ones((2, 2)), torch.ones((), device="meta")],
)
def test_what_is_no_point_of_a_curve_is_refused(bad):
    plotter = CostPlotter("a", "b")
    for arguments, message in [
        (("a", 0, bad), r"value must be one number, not .+"),
        (("a", bad, 0), r"step must be one number, not .+"),
        (("a", math.nan, 0), "step must be a finite number, not nan"),
        ((bad, 0, 0), r"there is no curve (?s:.+); this plotter has 'a', 'b'"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}$"):
            plotter.append(*arguments)


def test_titles_are_different_strings():
    for titles in (["a", "b"],), ("a", "b", "a"), (1,), (None,), ("a", np.ones(2)):
        with pytest.raises(ValueError, match="titles must be strings, and differ"):
            CostPlotter(*titles)


def test_paths_as_people_write_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    plotter = CostPlotter("cost")
    for name in "~/cost.png", str(tmp_path / "cost"), tmp_path / "COST.PNG":
        plotter.plot(name)
    assert {p.name for p in tmp_path.iterdir()} >= {"cost.png", "cost"}
    for path, error, message in [
        (tmp_path, IsADirectoryError, r"is a folder; name a file in it$"),
        (tmp_path / "c.jpg", ValueError, r"c\.jpg: .* is a PNG; name it c\.png$"),
        (tmp_path / "no" / "c.png", FileNotFoundError, "make the folder .*no first"),
    ]:
        with pytest.raises(error, match=message):
            plotter.plot(path)


def run_cells(*cells, **environment):
    """Run cells in a real kernel; give what each of them puts out in the end."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, kernel_name="python3", timeout=120)
    client.execute(env=os.environ | environment)
    return [cell.outputs for cell in notebook.cells]


BEGIN = """
import os
from mnist_lesson import CostPlotter, EndEpoch, EndIteration, Evaluation
from threading import Thread
os.chdir(os.environ["FOLDER"])
plotter, hand = CostPlotter(), CostPlotter("a", "b")
def fit(first=0, last=300):
    for step in range(first, last):
        plotter(EndIteration(0, step, step, 1.0 + step, 0.5))
        if step == 150:  # so that a later picture than the first is compared
            plotter(EndEpoch(0, 151, Evaluation(1.0, 0.5), None))
def add(title, *values):
    for step, value in enumerate(values):
        hand.append(title, step, float(value))
        hand.plot()
def check(plotter, **curves):  # these points, and no others
    other = CostPlotter(*plotter.titles)
    for title, points in zip(plotter.titles, curves.values()):
        for step, value in points.items():
            other.append(title, step, value)
    plotter.plot("1.png"), other.plot("2.png")
    assert open("1.png", "rb").read() == open("2.png", "rb").read()
"""


def test_in_jupyter_each_cell_and_each_run_has_its_picture(tmp_path):
    """What a learner reruns, interrupts or repeats draws anew, and only its own.

    One output for each, redrawn in place, with words for who cannot see it.
    """
    whole, a = "training cost 101.000 at step 100", "a 9.000 at step 0"
    cells = [
        ("hand.plot()", ["no points yet"]),
        ("fit()", [whole]),
        ("fit(); check(plotter, a={0: 1, 100: 101, 200: 201})", [whole]),
        ("fit(); fit()", [whole, whole]),
        ("try: fit(0, 250); 1 / 0\nexcept ZeroDivisionError: 0", [whole]),
        (  # resumed
            "fit(200, 400); check(plotter, a={200: 201, 300: 301})",
            ["training cost 201.000 at step 200"],
        ),
        ("thread = Thread(target=fit); thread.start(); thread.join()", [whole]),
        ("fit()", [whole]),
        ("add('a', 9)", [a]),
        ("add('b', 1, 1)", [f"{a}; b 1.000 at step 1"]),
        (
            "add('b', 2, 2, 2); check(hand, a={0: 9}, b={0: 2, 1: 2, 2: 2})",
            [f"{a}; b 2.000 at step 2"],
        ),
        (
            "hand.reset(); add('b', 'nan'); add('a', 'nan', '-inf', 1)",
            [
                "a 1.000 at step 2; first nan at step 0; first -inf at step 1; "
                "b nan at step 0"
            ],
        ),
    ]
    codes = [BEGIN, *(code for code, _ in cells)]
    _, *outputs = run_cells(*codes, FOLDER=str(tmp_path))
    for (code, words), shown in zip(cells, outputs, strict=True):
        alts = [output.metadata["image/png"]["alt"] for output in shown]
        assert alts == [f"Cost curves: {text}" for text in words], code


def test_figures_are_shown_whatever_the_shell_names_as_backend():
    """And they are, byte for byte, as Jupyter's own backend draws them."""
    cells = [
        "from mnist_lesson import *",
        "show_digits([[range(28)] * 28], 'a')",
        "show_maps([[1, 0], [0, -1]])",
        "show_recognition(Recognition(3, [0.1] * 10, [range(28)] * 28))",
        "figures.draw_pooling()",
        "from matplotlib import pyplot as plt; plt.plot([1, 2]); plt.show()",
    ]
    first = "import matplotlib.pyplot"
    jupyters = run_cells(first, *cells, MPLBACKEND="")
    assert all("image/png" in output.data for [output] in jupyters[2:])
    for known in "Agg", "TkAgg":
        assert run_cells(first, *cells, MPLBACKEND=known) == jupyters
    assert run_cells("import math", *cells, MPLBACKEND="no such backend") == jupyters


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_the_logger_writes_the_same_for_every_model(capsys, stream):
    logger = CostLogger(stream)
    for event in training(epochs=1, batches=101):
        logger(event)
    logger(EndEpoch(1, 202, Evaluation(0.25, 0.5), None))
    for batch, cost in enumerate([math.nan, math.inf, 3e38]):
        logger(EndIteration(2, 100 * batch, 0, cost, 0.1))
    written = stream.getvalue() if stream else capsys.readouterr().out
    assert written.splitlines() == [
        "epoch 0, batch 0: cost 1000.0000, accuracy 50.0 %",
        "epoch 0, batch 100: cost 1100.0000, accuracy 50.0 %",
        "epoch 0 ended: cost 0.2500, accuracy 50.0 %; "
        "validation cost 2000.0000, accuracy 75.0 %",
        "epoch 1 ended: cost 0.2500, accuracy 50.0 %",
        "epoch 2, batch 0: cost nan, accuracy 10.0 %",
        "epoch 2, batch 100: cost inf, accuracy 10.0 %",
        "epoch 2, batch 200: cost 3e+38, accuracy 10.0 %",
    ]
