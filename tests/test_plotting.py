import io
import json
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbclient import NotebookClient
from PIL import Image

from mnist_lesson import (
    CostLogger,
    CostPlotter,
    EndEpoch,
    EndIteration,
    Evaluation,
    Recognition,
    show_digits,
    show_maps,
    show_recognition,
)


def training(epochs=2, batches=250, validation=True):
    """The events of a training, with costs that say where they come from."""
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


def test_the_logger_in_a_terminal(capsys):
    for event in training(epochs=1, validation=False):
        CostLogger()(event)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "epoch 0 ended: cost 0.2500, accuracy 50.0 %"
    )


def test_show_digits(sample):
    figure = show_digits(sample.test.images[:12], sample.test.labels[:12], columns=5)
    drawn = [axes for axes in figure.axes if axes.images]
    assert isinstance(figure, Figure) and plt.get_fignums() == []
    assert len(drawn) == 12 and len(figure.axes) == 15
    assert [axes.get_title() for axes in drawn] == [
        str(n) for n in sample.test.labels[:12]
    ]
    shown = drawn[3].images[0]
    assert np.array_equal(shown.get_array(), sample.test.images[3])
    assert shown.get_clim() == (0, 255)  # not stretched to each image's own range
    with pytest.raises(ValueError, match="3 titles for 12 images"):
        show_digits(sample.test.images[:12], [1, 2, 3])
    with pytest.raises(ValueError, match=r"\(0, 28, 28\)"):
        show_digits(sample.test.images[:0])


def test_show_recognition(sample):
    probabilities = np.linspace(0, 0.2, 10)
    figure = show_recognition(Recognition(9, probabilities, sample.test.images[0]))
    _, right = figure.axes
    assert [bar.get_height() for bar in right.patches] == pytest.approx(probabilities)
    assert "9" in right.get_title() and plt.get_fignums() == []


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


def test_maps_share_one_scale_around_white():
    maps = torch.tensor([[[-2.0, 0.0]], [[1.0, 0.0]]])
    axes = show_maps(maps, ["a", "b"]).axes
    assert [a.images[0].get_clim() for a in axes] == [(-2, 2), (-2, 2)]
    assert [a.get_title() for a in axes] == ["a", "b"]
    red, _, blue, _ = axes[1].images[0].to_rgba(1.0)
    assert red > blue
    with pytest.raises(ValueError, match="not 1 in all"):
        show_maps(maps, ["a"])
